// Thread: where peer connections do their work and call their handlers.

#ifndef KYUU_PEER_PEER_CONNECTION_THREAD_H_
#define KYUU_PEER_PEER_CONNECTION_THREAD_H_

#include <memory>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "ice/gatherer_types.h"
#include "peer/shared_port.h"

namespace kyuu::peer {

namespace internal {
struct Workplace;
}  // namespace internal

// Thread runs an event loop for any number of connections. All their handlers
// are called on it, one at a time, so connections that share one need no locks
// among their handlers. Signals are blocked on it.
//
// Thread-safe.
class Thread {
 public:
  using Task = absl::AnyInvocable<void()>;

  // RESOURCE_EXHAUSTED if the process has no descriptor left.
  static absl::StatusOr<std::shared_ptr<Thread>> Start();
  // With a port that all its connections share: thousands of them need one hole
  // in a firewall, and no descriptors of their own. They neither hide their
  // addresses nor ask relays over UDP (ice::HostAddress::shared). The port is
  // closed when the thread ends. Errors are those of SharedPort::Open, too.
  static absl::StatusOr<std::shared_ptr<Thread>> Start(
      const SharedPortOptions& port);

  // Waits until the connections that were on it have taken their leave, which
  // takes no time without relays and at most Options::linger with them. On a
  // Thread, this one or another, it returns at once, and the thread ends when
  // they have; the end of the process waits for it.
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Runs `task` on the thread, after what was posted before. Tasks that are
  // left when the Thread dies may or may not run.
  void Post(Task task);
  bool IsCurrent() const;
  // The sockets of the port, as they are now; none without one.
  std::vector<ice::HostAddress> port_addresses() const;

 private:
  friend class PeerConnection;

  explicit Thread(std::shared_ptr<internal::Workplace> workplace);
  static absl::StatusOr<std::shared_ptr<Thread>> Start(
      const SharedPortOptions* port);

  std::shared_ptr<internal::Workplace> workplace_;
  std::thread thread_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_PEER_CONNECTION_THREAD_H_
