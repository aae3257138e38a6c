#include "net/testing/syscall_faults.h"

#include <dlfcn.h>
#include <sys/types.h>

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

// Fails as told, or makes the call `name` of the C library.
template <typename Result, typename... Arguments>
Result Make(Syscall call, const char* name, int fd, Arguments... arguments) {
  if (const int error = FaultFor(call, fd); error != 0) {
    errno = error;
    return -1;
  }
  using Function = Result (*)(Arguments...);
  const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
  KYUU_CHECK(real != nullptr);
  return real(arguments...);
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

extern "C" {

int accept4(int fd, void* address, void* size, int flags) {
  return Make<int>(Syscall::kAccept, "accept4", fd, fd, address, size, flags);
}
int bind(int fd, const void* address, unsigned size) {
  return Make<int>(Syscall::kBind, "bind", fd, fd, address, size);
}
int connect(int fd, const void* address, unsigned size) {
  return Make<int>(Syscall::kConnect, "connect", fd, fd, address, size);
}
// `fd` is the watched descriptor, not the set's.
int epoll_ctl(int epoll, int operation, int fd, void* event) {
  return Make<int>(Syscall::kEpollCtl, "epoll_ctl", fd, epoll, operation, fd,
                   event);
}
int epoll_pwait2(int fd, void* events, int size, const void* timeout,
                 const void* signals) {
  return Make<int>(Syscall::kEpollPwait2, "epoll_pwait2", fd, fd, events, size,
                   timeout, signals);
}
int epoll_wait(int fd, void* events, int size, int timeout) {
  return Make<int>(Syscall::kEpollWait, "epoll_wait", fd, fd, events, size,
                   timeout);
}
int listen(int fd, int backlog) {
  return Make<int>(Syscall::kListen, "listen", fd, fd, backlog);
}
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = va_arg(rest, unsigned);
  va_end(rest);
  return Make<int>(Syscall::kOpen, "open", -1, path, flags, mode);
}
ssize_t recv(int fd, void* out, size_t size, int flags) {
  return Make<ssize_t>(Syscall::kRecv, "recv", fd, fd, out, size, flags);
}
ssize_t recvfrom(int fd, void* out, size_t size, int flags, void* address,
                 void* address_size) {
  return Make<ssize_t>(Syscall::kRecvfrom, "recvfrom", fd, fd, out, size, flags,
                       address, address_size);
}
int recvmmsg(int fd, void* messages, unsigned count, int flags, void* timeout) {
  return Make<int>(Syscall::kRecvmmsg, "recvmmsg", fd, fd, messages, count,
                   flags, timeout);
}
ssize_t recvmsg(int fd, void* message, int flags) {
  return Make<ssize_t>(Syscall::kRecvmsg, "recvmsg", fd, fd, message, flags);
}
ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  return Make<ssize_t>(Syscall::kSend, "send", fd, fd, bytes, size, flags);
}
int sendmmsg(int fd, void* messages, unsigned count, int flags) {
  return Make<int>(Syscall::kSendmmsg, "sendmmsg", fd, fd, messages, count,
                   flags);
}
ssize_t sendmsg(int fd, const void* message, int flags) {
  return Make<ssize_t>(Syscall::kSendmsg, "sendmsg", fd, fd, message, flags);
}
ssize_t sendto(int fd, const void* bytes, size_t size, int flags,
               const void* address, unsigned address_size) {
  return Make<ssize_t>(Syscall::kSendto, "sendto", fd, fd, bytes, size, flags,
                       address, address_size);
}
int setrlimit(int resource, const void* limit) {
  return Make<int>(Syscall::kSetrlimit, "setrlimit", -1, resource, limit);
}
int setsockopt(int fd, int level, int name, const void* value, unsigned size) {
  return Make<int>(Syscall::kSetsockopt, "setsockopt", fd, fd, level, name,
                   value, size);
}
int socket(int family, int type, int protocol) {
  return Make<int>(Syscall::kSocket, "socket", -1, family, type, protocol);
}

}  // extern "C"
