// Supervisor: what started us, if it wants to be told how we are
// (sd_notify(3)).

#ifndef KYUU_TOOLS_KYUUD_SUPERVISOR_SUPERVISOR_H_
#define KYUU_TOOLS_KYUUD_SUPERVISOR_SUPERVISOR_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <memory>
#include <string>
#include <vector>

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
    std::string listen_fds;     // LISTEN_FDS: how many were kept for us.
    std::string listen_pid;     // LISTEN_PID: for whom they are.
    std::string listen_names;   // LISTEN_FDNAMES: with ":" between them.
    int listen_from = 3;        // The first of them, but in tests.

    // Those of this process. Not while another thread changes them.
    static Variables OfProcess();
  };

  // A descriptor that was kept for us.
  struct Kept {
    std::string name;
    net::Fd fd;
  };
  static constexpr int kKeptMax = 64;

  // Pulse finds out whether the server is alive, and calls `alive` then, on the
  // loop; a server that hangs never does. It is not called again before.
  using Pulse = absl::AnyInvocable<void(absl::AnyInvocable<void()> alive)>;

  // INVALID_ARGUMENT for variables that mean nothing, more than kKeptMax
  // descriptors among it; UNAVAILABLE if there is no descriptor left. `loop`
  // must outlive it.
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

  // What the server before us has left by Keep(), once; from now on it is ours
  // alone, and gone with us.
  std::vector<Kept> TakeKept();
  // Gives a copy of the descriptor into the keeping of systemd, if that keeps
  // any for us (FileDescriptorStoreMax): the server that is started in our
  // place has it then. `name` has no ":" in it. Nobody has it if no such server
  // comes.
  void Keep(absl::string_view name, const net::Fd& fd);

 private:
  explicit Supervisor(net::Loop& loop);

  absl::Status SetAddress(absl::string_view path);
  absl::Status FindKept(const Variables& variables);
  void Tell(absl::string_view message, int descriptor = -1);
  void Feel();

  net::Fd socket_;
  sockaddr_un address_ = {};
  socklen_t address_bytes_ = 0;
  absl::Duration watchdog_;
  std::vector<Kept> kept_;
  Pulse pulse_;
  bool felt_ = true;  // The last pulse has come.
  net::Alarm alarm_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_SUPERVISOR_SUPERVISOR_H_
