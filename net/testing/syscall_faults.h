// SyscallFaults: makes system calls fail in tests, as often and as long as a
// test likes.
//
// A binary that links this library has the system calls below replaced by ones
// that ask the living SyscallFaults first (link-time interposition, as
// sim/clock_override.h does with the clock); production code makes the plain
// calls and knows nothing of it.
//
//   SyscallFaults faults;
//   faults.Fail(Syscall::kAccept, EMFILE);       // From now on, each time.
//   faults.Fail(Syscall::kSendmmsg, EINVAL, 2);  // The next two.
//   ...
//   EXPECT_LE(faults.calls(Syscall::kAccept), 3u);

#ifndef KYUU_NET_TESTING_SYSCALL_FAULTS_H_
#define KYUU_NET_TESTING_SYSCALL_FAULTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace kyuu::net {

enum class Syscall : uint8_t {
  kAccept,  // accept4
  kBind,
  kConnect,
  kEpollCtl,
  kEpollPwait2,
  kEpollWait,
  kListen,
  kOpen,
  kRecv,
  kRecvfrom,
  kRecvmmsg,
  kRecvmsg,
  kSend,
  kSendmmsg,
  kSendmsg,
  kSendto,
  kSetrlimit,
  kSetsockopt,
  kSocket,
  kCount,
};

// SyscallFaults lives in at most one place at a time; its end is the end of all
// faults. Calls of every thread are meant.
class SyscallFaults {
 public:
  static constexpr size_t kAlways = SIZE_MAX;
  // So many injected failures in one life abort the test: the loop around that
  // call does not end.
  static constexpr size_t kEndless = 100'000;

  SyscallFaults();
  ~SyscallFaults();
  SyscallFaults(const SyscallFaults&) = delete;
  SyscallFaults& operator=(const SyscallFaults&) = delete;

  // The next `times` calls of `call` (on descriptor `fd` only, if given) return
  // -1 with errno `error`, and do nothing. Faults of one call that were asked
  // for earlier come first.
  void Fail(Syscall call, int error, size_t times = kAlways,
            std::optional<int> fd = std::nullopt);
  // Ends the faults of `call`.
  void Heal(Syscall call);

  // Calls made since the beginning of this life or Forget(), those that were
  // let through included.
  size_t calls(Syscall call) const;
  void Forget();
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TESTING_SYSCALL_FAULTS_H_
