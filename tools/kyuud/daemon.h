// Daemon: kyuud from its start to its end.

#ifndef KYUU_TOOLS_KYUUD_DAEMON_H_
#define KYUU_TOOLS_KYUUD_DAEMON_H_

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/system_random.h"
#include "net/limits.h"
#include "net/loop.h"
#include "net/tls.h"
#include "relay/stats.h"
#include "tools/kyuud/admin/admin_service.h"
#include "tools/kyuud/certificates.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/front_door.h"
#include "tools/kyuud/metrics.h"
#include "tools/kyuud/static_pages.h"
#include "tools/kyuud/supervisor/supervisor.h"
#include "tools/kyuud/turn_service.h"

namespace kyuu::tools {

// Whether a server could be made of it as far as it can be told without making
// one: certificates are read, and bounds looked at.
absl::Status CheckConfig(const Config& config);

// Daemon serves what its configuration says, and does as signals say:
//
//   SIGTERM  ends it; with a drain timeout once the last allocation has ended,
//            or time is up, or another SIGTERM comes
//   SIGINT   ends it
//   SIGHUP   reads the configuration again
//   SIGUSR1  logs a line of status
//
// and as operators say by its admin socket (tools/kyuud/admin/admin_service.h).
class Daemon {
 public:
  // Reads the configuration anew.
  using Reread = absl::AnyInvocable<std::variant<Config, Exit>()>;

  Daemon(Config config, Reread reread);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Serves until it is told to end.
  absl::Status Run();

 private:
  absl::Status Open();
  // Certificates that are watched as long as it lives, and what they are now.
  struct Tls {
    std::unique_ptr<Certificates> files;
    ServerIdentity identity;
  };
  // Those that `config` names; nullopt if it names none.
  absl::StatusOr<std::optional<Tls>> OpenTls(const Config& config);
  // To all who connect from now on.
  void Show(const ServerIdentity& identity);
  void OnSignal(int number);
  absl::Status OpenAdmin();
  AdminStatus Tell() const;
  // Logs what has become of it, too.
  absl::StatusOr<ReloadReport> Reload();
  // Up to the first thing that is wrong; then nothing has changed.
  absl::StatusOr<ReloadReport> TryReload();
  // FAILED_PRECONDITION if it drains already.
  absl::Status StartDraining(absl::Duration timeout);
  void LookAtDrain();
  void End();
  // `config` as far as the descriptors go.
  Config Bounded(Config config) const;
  Metrics Tell(const relay::Stats& stats) const;

  Config config_;
  Reread reread_;
  std::vector<TransportAddress> http_;  // Where it listens, with real ports.
  SystemRandom random_;
  net::DescriptorBudget budget_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<net::SignalWatch> signals_;
  std::unique_ptr<Supervisor> supervisor_;
  std::unique_ptr<StaticPages> pages_;
  std::unique_ptr<TurnService> turn_;
  std::unique_ptr<FrontDoor> door_;
  std::unique_ptr<Certificates> certificates_;
  std::unique_ptr<net::Alarm> drain_alarm_;
  std::unique_ptr<net::Alarm> start_alarm_;
  std::unique_ptr<AdminService> admin_;
  absl::Time started_;
  // When a drain that has begun ends at the latest.
  std::optional<absl::Time> drained_by_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DAEMON_H_
