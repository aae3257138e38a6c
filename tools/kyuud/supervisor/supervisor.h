// Supervisor: what started us, if it wants to be told how we are
// (sd_notify(3)).

#ifndef KYUU_TOOLS_KYUUD_SUPERVISOR_SUPERVISOR_H_
#define KYUU_TOOLS_KYUUD_SUPERVISOR_SUPERVISOR_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "net/fd.h"
#include "net/loop.h"

namespace kyuu::tools {

// Supervisor tells systemd, or whoever gave us a socket for it, that the server
// is ready, reloads, stops, and is alive. It lives on one loop, whose thread
// alone calls it. Where nobody listens it does nothing. A message is one
// datagram, sent without waiting; one that cannot be sent is lost.
class Supervisor {
 public:
  // What was put into our environment, each "" if it is not there.
  struct Variables {
    std::string notify_socket;  // NOTIFY_SOCKET: a path, or "@" and a name.
    std::string watchdog_usec;  // WATCHDOG_USEC: how long silence may last.
    std::string watchdog_pid;   // WATCHDOG_PID: of whom, if not of everybody.

    // Those of this process. Not while another thread changes them.
    static Variables OfProcess();
  };

  // Pulse finds out whether the server is alive, and calls `alive` then, on the
  // loop; a server that hangs never does. It is not called again before.
  using Pulse = absl::AnyInvocable<void(absl::AnyInvocable<void()> alive)>;

  // INVALID_ARGUMENT for variables that mean nothing, UNAVAILABLE if there is
  // no descriptor left. `loop` must outlive it.
  static absl::StatusOr<std::unique_ptr<Supervisor>> Create(
      net::Loop& loop, const Variables& variables);

  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  bool listens() const { return socket_.valid(); }
  // Zero if nobody counts our silence.
  absl::Duration watchdog() const { return watchdog_; }

  // The server serves. If silence is counted, `pulse` is felt from now on,
  // twice in the time that silence may last.
  void Ready(Pulse pulse);
  // The configuration is read anew, from now until Reloaded().
  void Reloading();
  void Reloaded();
  // The server makes its end, which may take as long as a drain does.
  void Stopping();

 private:
  explicit Supervisor(net::Loop& loop);

  absl::Status SetAddress(absl::string_view path);
  void Tell(absl::string_view message);
  void Feel();

  net::Fd socket_;
  sockaddr_un address_ = {};
  socklen_t address_bytes_ = 0;
  absl::Duration watchdog_;
  Pulse pulse_;
  bool felt_ = true;  // The last pulse has come.
  net::Alarm alarm_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_SUPERVISOR_SUPERVISOR_H_
