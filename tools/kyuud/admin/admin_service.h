// AdminService: kyuud's admin socket, and what is done by it.

#ifndef KYUU_TOOLS_KYUUD_ADMIN_ADMIN_SERVICE_H_
#define KYUU_TOOLS_KYUUD_ADMIN_ADMIN_SERVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/unix_socket.h"
#include "relay/sessions.h"
#include "tools/kyuud/admin/admin_connection.h"

namespace kyuu::tools {

// What a reload has done, by paths of settings.
struct ReloadReport {
  std::vector<std::string> changed;
  std::vector<std::string> need_restart;
};

// A server at one moment.
struct AdminStatus {
  absl::Duration uptime;
  bool draining = false;
  int threads = 0;
  std::vector<std::string> turn_listen;
  std::vector<std::string> http_listen;
  std::vector<std::string> relay_addresses;
  size_t allocations = 0;
  size_t free_relay_ports = 0;
  size_t connections = 0;
  size_t signaling_sessions = 0;
};

// AdminService serves operators on one loop. They are trusted, as far as they
// may open the socket; all the same no list of theirs stops a loop, and no more
// of it is held than some pages.
class AdminService {
 public:
  // Who does what is asked. All are called on the loop.
  struct Handlers {
    // As relay::Cluster::ListSessions.
    absl::AnyInvocable<void(relay::SessionCursor, relay::SessionFilter,
                            absl::AnyInvocable<void(relay::SessionPage)>)>
        list;
    absl::AnyInvocable<absl::StatusOr<ReloadReport>()> reload;
    absl::AnyInvocable<absl::Status()> drain;
    absl::AnyInvocable<AdminStatus()> status;
  };
  // Connections at one time; others are cut.
  static constexpr size_t kConnectionsMax = 16;

  // Errors of net::UnixListener::Open. `loop` must outlive it.
  static absl::StatusOr<std::unique_ptr<AdminService>> Open(
      net::Loop& loop, const net::UnixListener::Options& options,
      Handlers handlers);
  ~AdminService();
  AdminService(const AdminService&) = delete;
  AdminService& operator=(const AdminService&) = delete;

 private:
  struct Guest;

  AdminService(net::Loop& loop, net::UnixListener listener, Handlers handlers);
  void Accept();
  void Admit(net::TcpStream stream);
  void Answer(Guest& guest, const AdminCommand& command);
  // Takes the next step of the guest's walk through the sessions.
  void Walk(Guest& guest);

  net::Loop& loop_;
  net::UnixListener listener_;
  Handlers handlers_;
  net::StreamBuffer buffer_;
  uint64_t next_id_ = 1;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Guest>> guests_;
  net::Watch watch_;
  net::Alarm resume_;
  // Expires with the service, for answers that come later.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ADMIN_ADMIN_SERVICE_H_
