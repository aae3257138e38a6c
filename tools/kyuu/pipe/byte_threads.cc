#include "tools/kyuu/pipe/byte_threads.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace kyuu::tools {
namespace {

// A descriptor that others share may have been set not to block.
bool TryAgain(int fd, short events) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  pollfd waiting{fd, events, 0};
  return poll(&waiting, 1, -1) >= 0 || errno == EINTR;
}

ssize_t ReadSome(int fd, absl::Span<uint8_t> bytes) {
  for (;;) {
    const ssize_t count = read(fd, bytes.data(), bytes.size());
    if (count >= 0 || !TryAgain(fd, POLLIN)) return count;
  }
}

absl::Status WriteAll(int fd, absl::Span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
    } else if (!TryAgain(fd, POLLOUT)) {
      return absl::ErrnoToStatus(errno, "stdout cannot be written");
    }
  }
  return absl::OkStatus();
}

// What the system has to say of what was written says the last close.
absl::Status CloseOutput(int fd) {
  const int last = dup(fd);
  const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (last < 0 || nothing < 0 || dup2(nothing, fd) < 0) {
    return absl::ErrnoToStatus(errno, "stdout cannot be closed");
  }
  close(nothing);
  return close(last) == 0 || errno == EINTR
             ? absl::OkStatus()
             : absl::ErrnoToStatus(errno, "stdout cannot be written");
}

}  // namespace

// What the thread and the object share: the thread may outlive the loop.
struct InputBytes::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  net::Loop* loop;    // Null once the object is gone. Guarded by mutex.
  size_t wanted = 0;  // Guarded by mutex.
  Handler handler;    // Used on the loop only.

  // What to read next; 0 if nobody listens any more.
  size_t Await() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [this] { return wanted > 0 || loop == nullptr; });
    return loop == nullptr ? 0 : std::exchange(wanted, 0);
  }
  void Deliver(std::shared_ptr<Shared> self, absl::Status status,
               std::vector<uint8_t> bytes) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (loop == nullptr) return;
    loop->Post([self = std::move(self), status = std::move(status),
                bytes = std::move(bytes)]() mutable {
      if (self->handler) self->handler(std::move(status), std::move(bytes));
    });
  }
};

InputBytes::InputBytes(net::Loop& loop, int fd, Handler handler)
    : shared_(std::make_shared<Shared>()) {
  shared_->loop = &loop;
  shared_->handler = std::move(handler);
  std::thread([shared = shared_, fd] {
    while (const size_t size = shared->Await()) {
      std::vector<uint8_t> bytes(size);
      const ssize_t count = ReadSome(fd, absl::MakeSpan(bytes));
      absl::Status status =
          count < 0 ? absl::ErrnoToStatus(errno, "stdin cannot be read")
                    : absl::OkStatus();
      bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
      shared->Deliver(shared, std::move(status), std::move(bytes));
      if (count <= 0) return;
    }
  }).detach();
}

InputBytes::~InputBytes() {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->loop = nullptr;
  shared_->handler = nullptr;
  shared_->changed.notify_one();
}

void InputBytes::Read(size_t size) {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->wanted = size;
  shared_->changed.notify_one();
}

struct OutputBytes::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  net::Loop* loop;               // Null once the object is gone.
  std::vector<uint8_t> waiting;  // One piece, however small what comes is.
  bool closing = false;          // These three are guarded by mutex.
  Handler handler;               // Used on the loop only.

  // What to write next; empty if that is the end.
  std::vector<uint8_t> Await() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [this] {
      return !waiting.empty() || closing || loop == nullptr;
    });
    return std::exchange(waiting, {});
  }
  bool is_closing() {
    const std::lock_guard<std::mutex> lock(mutex);
    return closing;
  }
  void Deliver(std::shared_ptr<Shared> self, absl::Status status,
               size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (loop == nullptr) return;
    loop->Post(
        [self = std::move(self), status = std::move(status), bytes]() mutable {
          if (self->handler) self->handler(std::move(status), bytes);
        });
  }
};

OutputBytes::OutputBytes(net::Loop& loop, int fd, Handler handler)
    : shared_(std::make_shared<Shared>()) {
  shared_->loop = &loop;
  shared_->handler = std::move(handler);
  std::thread([shared = shared_, fd] {
    // So much is told at a time: who sends goes on while a reader reads.
    constexpr size_t kPiece = 65536;
    for (;;) {
      const std::vector<uint8_t> bytes = shared->Await();
      if (bytes.empty()) break;
      for (absl::Span<const uint8_t> left = bytes; !left.empty();) {
        const auto piece = left.subspan(0, kPiece);
        absl::Status status = WriteAll(fd, piece);
        const bool ok = status.ok();
        shared->Deliver(shared, std::move(status), ok ? piece.size() : 0);
        if (!ok) return;
        left.remove_prefix(piece.size());
      }
    }
    if (shared->is_closing()) shared->Deliver(shared, CloseOutput(fd), 0);
  }).detach();
}

OutputBytes::~OutputBytes() {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->loop = nullptr;
  shared_->handler = nullptr;
  shared_->changed.notify_one();
}

void OutputBytes::Write(absl::Span<const uint8_t> bytes) {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->waiting.insert(shared_->waiting.end(), bytes.begin(), bytes.end());
  shared_->changed.notify_one();
}

void OutputBytes::Close() {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->closing = true;
  shared_->changed.notify_one();
}

}  // namespace kyuu::tools
