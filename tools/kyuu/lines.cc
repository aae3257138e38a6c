#include "tools/kyuu/lines.h"

#include <unistd.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace kyuu::tools {
namespace {

constexpr size_t kLineBytesMax = size_t{1} << 20;

}  // namespace

// What the thread and the object share: the thread may outlive the loop.
struct StdinLines::Shared {
  std::mutex mutex;
  net::Loop* loop;  // Null once the object is gone. Guarded by mutex.
  Handler handler;  // Used on the loop only.

  // False if nobody listens any more.
  bool Deliver(std::shared_ptr<Shared> self, std::optional<std::string> line) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (loop == nullptr) return false;
    loop->Post([self = std::move(self), line = std::move(line)]() mutable {
      if (self->handler) self->handler(std::move(line));
    });
    return true;
  }
};

StdinLines::StdinLines(net::Loop& loop, Handler handler)
    : shared_(std::make_shared<Shared>()) {
  shared_->loop = &loop;
  shared_->handler = std::move(handler);
  std::thread([shared = shared_] {
    std::string pending;
    char buffer[4096];
    while (pending.size() <= kLineBytesMax) {
      const ssize_t count = read(STDIN_FILENO, buffer, sizeof buffer);
      if (count <= 0) break;
      pending.append(buffer, static_cast<size_t>(count));
      size_t begin = 0;
      for (size_t end = pending.find('\n'); end != std::string::npos;
           end = pending.find('\n', begin)) {
        if (!shared->Deliver(shared, pending.substr(begin, end - begin))) {
          return;
        }
        begin = end + 1;
      }
      pending.erase(0, begin);
    }
    if (!pending.empty() && pending.size() <= kLineBytesMax) {
      shared->Deliver(shared, std::move(pending));
    }
    shared->Deliver(shared, std::nullopt);
  }).detach();
}

StdinLines::~StdinLines() {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->loop = nullptr;
  shared_->handler = nullptr;
}

}  // namespace kyuu::tools
