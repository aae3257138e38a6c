#include "net/testing/syscall_faults.h"

#include <linux/fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <mutex>

#include "base/check.h"

// The headers that declare these calls are left out on purpose: the
// definitions below need not agree with them in pointer types.

namespace kyuu::net {
namespace {

struct Fault {
  Syscall call;
  int error;
  size_t left;
  std::optional<int> fd;
};

constexpr size_t kCalls = static_cast<size_t>(Syscall::kCount);

// Constant-initialised: calls come before main, too.
std::atomic<bool> active{false};
std::array<std::atomic<size_t>, kCalls> counts{};
std::mutex mutex;
std::vector<Fault>* faults = nullptr;  // Guarded by mutex, as is `injected`.
size_t injected = 0;

// The errno with which this call is to fail; 0 to let it through.
int FaultFor(Syscall call, int fd) {
  if (!active.load(std::memory_order_acquire)) return 0;
  counts[static_cast<size_t>(call)].fetch_add(1);
  const std::lock_guard<std::mutex> lock(mutex);
  if (faults == nullptr) return 0;
  for (Fault& fault : *faults) {
    if (fault.call != call || fault.left == 0) continue;
    if (fault.fd.has_value() && *fault.fd != fd) continue;
    if (fault.left != SyscallFaults::kAlways) --fault.left;
    KYUU_CHECK(++injected < SyscallFaults::kEndless);
    return fault.error;
  }
  return 0;
}

// Fails as told, or makes the system call `number`. Not by way of the C
// library's function: to look that up is too much for calls that come before
// a sanitizer's runtime is ready.
template <typename... Arguments>
int Make(Syscall call, long number, int fd, Arguments... arguments) {
  if (const int error = FaultFor(call, fd); error != 0) {
    errno = error;
    return -1;
  }
  return static_cast<int>(syscall(number, arguments...));
}

}  // namespace

SyscallFaults::SyscallFaults() {
  const std::lock_guard<std::mutex> lock(mutex);
  KYUU_CHECK(faults == nullptr);
  faults = new std::vector<Fault>();
  injected = 0;
  for (std::atomic<size_t>& count : counts) count.store(0);
  active.store(true, std::memory_order_release);
}

SyscallFaults::~SyscallFaults() {
  active.store(false, std::memory_order_release);
  const std::lock_guard<std::mutex> lock(mutex);
  delete faults;
  faults = nullptr;
}

void SyscallFaults::Fail(Syscall call, int error, size_t times,
                         std::optional<int> fd) {
  const std::lock_guard<std::mutex> lock(mutex);
  faults->push_back({call, error, times, fd});
}

void SyscallFaults::Heal(Syscall call) {
  const std::lock_guard<std::mutex> lock(mutex);
  std::erase_if(*faults, [&](const Fault& f) { return f.call == call; });
}

size_t SyscallFaults::calls(Syscall call) const {
  return counts[static_cast<size_t>(call)].load();
}

void SyscallFaults::Forget() {
  for (std::atomic<size_t>& count : counts) count.store(0);
}

}  // namespace kyuu::net

using kyuu::net::Make;
using kyuu::net::Syscall;

namespace {

// What the kernel calls a set of signals has 64 of them.
constexpr size_t kSignalSetBytes = 8;
constexpr void* kNone = nullptr;

}  // namespace

extern "C" {

int accept4(int fd, void* address, void* size, int flags) {
  return Make(Syscall::kAccept, SYS_accept4, fd, fd, address, size, flags);
}
int bind(int fd, const void* address, unsigned size) {
  return Make(Syscall::kBind, SYS_bind, fd, fd, address, size);
}
int connect(int fd, const void* address, unsigned size) {
  return Make(Syscall::kConnect, SYS_connect, fd, fd, address, size);
}
// `fd` is the watched descriptor, not the set's.
int epoll_ctl(int epoll, int operation, int fd, void* event) {
  return Make(Syscall::kEpollCtl, SYS_epoll_ctl, fd, epoll, operation, fd,
              event);
}
int epoll_pwait2(int fd, void* events, int size, const void* timeout,
                 const void* signals) {
  return Make(Syscall::kEpollPwait2, SYS_epoll_pwait2, fd, fd, events, size,
              timeout, signals, kSignalSetBytes);
}
int epoll_wait(int fd, void* events, int size, int timeout) {
  return Make(Syscall::kEpollWait, SYS_epoll_pwait, fd, fd, events, size,
              timeout, kNone, kSignalSetBytes);
}
int listen(int fd, int backlog) {
  return Make(Syscall::kListen, SYS_listen, fd, fd, backlog);
}
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = va_arg(rest, unsigned);
  va_end(rest);
  return Make(Syscall::kOpen, SYS_openat, -1, AT_FDCWD, path, flags, mode);
}
ssize_t recv(int fd, void* out, size_t size, int flags) {
  return Make(Syscall::kRecv, SYS_recvfrom, fd, fd, out, size, flags, kNone,
              kNone);
}
ssize_t recvfrom(int fd, void* out, size_t size, int flags, void* address,
                 void* address_size) {
  return Make(Syscall::kRecvfrom, SYS_recvfrom, fd, fd, out, size, flags,
              address, address_size);
}
int recvmmsg(int fd, void* messages, unsigned count, int flags, void* timeout) {
  return Make(Syscall::kRecvmmsg, SYS_recvmmsg, fd, fd, messages, count, flags,
              timeout);
}
ssize_t recvmsg(int fd, void* message, int flags) {
  return Make(Syscall::kRecvmsg, SYS_recvmsg, fd, fd, message, flags);
}
ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  return Make(Syscall::kSend, SYS_sendto, fd, fd, bytes, size, flags, kNone,
              0ul);
}
int sendmmsg(int fd, void* messages, unsigned count, int flags) {
  return Make(Syscall::kSendmmsg, SYS_sendmmsg, fd, fd, messages, count, flags);
}
ssize_t sendmsg(int fd, const void* message, int flags) {
  return Make(Syscall::kSendmsg, SYS_sendmsg, fd, fd, message, flags);
}
ssize_t sendto(int fd, const void* bytes, size_t size, int flags,
               const void* address, unsigned address_size) {
  return Make(Syscall::kSendto, SYS_sendto, fd, fd, bytes, size, flags, address,
              address_size);
}
int setrlimit(int resource, const void* limit) {
  return Make(Syscall::kSetrlimit, SYS_prlimit64, -1, 0, resource, limit,
              kNone);
}
int setsockopt(int fd, int level, int name, const void* value, unsigned size) {
  return Make(Syscall::kSetsockopt, SYS_setsockopt, fd, fd, level, name, value,
              size);
}
int socket(int family, int type, int protocol) {
  return Make(Syscall::kSocket, SYS_socket, -1, family, type, protocol);
}

}  // extern "C"
