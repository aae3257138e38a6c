// TurnService: kyuud's relay, as its configuration wants it.

#ifndef KYUU_TOOLS_KYUUD_TURN_SERVICE_H_
#define KYUU_TOOLS_KYUUD_TURN_SERVICE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "base/histogram.h"
#include "base/random.h"
#include "dtls/acceptor.h"
#include "net/loop.h"
#include "net/stream_port.h"
#include "relay/cluster.h"
#include "relay/kernel/kernel_path.h"
#include "tools/kyuud/authorizer.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/ice_provider.h"
#include "tools/kyuud/kernel/open.h"
#include "tools/kyuud/relay_log.h"

namespace kyuu::tools {

// RelayOptions is what `config` means for the relay. `services` are the other
// ports of this process, which no client may reach by relay.
relay::Options RelayOptions(const Config& config,
                            std::vector<TransportAddress> services);

// Where clients are told to come for TURN over TCP and TLS: the `listeners` of
// HTTP, by the name by which a client has reached us, `host`. None if a proxy
// is in front (`proxies`, or a `public_url` that none of them can be), which
// passes on nothing but HTTP.
std::vector<std::string> StreamUrls(
    const Config& config, const std::vector<TransportAddress>& listeners,
    const std::string& host);

// What allocations came to that have ended.
struct AllocationTotals {
  static constexpr double kSeconds[] = {1,    10,    60,     300,    600,
                                        1800, 3'600, 14'400, 43'200, 86'400};
  static constexpr double kBytes[] = {1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10};

  Histogram seconds{kSeconds};
  Histogram bytes{kBytes};  // Payload, both ways.
};

// TurnService gives each signaling session a TURN credential of its own, and
// logs what the relay tells.
class TurnService final : public IceProvider {
 public:
  // `kept` is what LeaveKernel() of a server before this one was. `loop` and
  // `random` must outlive the service. Errors of relay::Cluster::Open.
  static absl::StatusOr<std::unique_ptr<TurnService>> Open(
      const Config& config, std::vector<TransportAddress> services,
      std::vector<relay::kernel::Attachment> kept, net::Loop& loop,
      Random& random);
  // Closes.
  ~TurnService() override;

  void Open(const std::string& session, const std::string& host,
            absl::AnyInvocable<void(Servers)> done) override;
  void Close(const std::string& session) override;
  // Serves a client on TCP, until Close().
  void Admit(net::AcceptedStream accepted) {
    cluster_->Admit(std::move(accepted));
  }
  // Takes what may change of `config`: as relay::Cluster::SetOptions.
  absl::Status Reload(const Config& config);
  // From now on no new allocations are made; those that there are go on.
  void Drain();
  // As relay::Cluster::SetDtls().
  void SetDtls(const dtls::ServerContext& context) {
    cluster_->SetDtls(context);
  }
  // Ends all allocations and streams, and logs totals; nothing the second time.
  void Close();
  // After Close(): as relay::kernel::KernelPath::Leave, if there is one.
  std::vector<relay::kernel::Attachment> LeaveKernel();

  // As relay::Cluster::ListSessions.
  void ListSessions(relay::SessionCursor from, relay::SessionFilter filter,
                    absl::AnyInvocable<void(relay::SessionPage)> done) {
    cluster_->ListSessions(from, std::move(filter), std::move(done));
  }

  // Of those that have ended.
  const AllocationTotals& totals() const { return totals_; }
  const AuthorizerStats& authorizer_stats() const {
    return authorizer_.stats();
  }
  const relay::Cluster& cluster() const { return *cluster_; }
  // Null if data is not relayed in the kernel, or not yet.
  relay::kernel::KernelPath* kernel() const {
    return kernel_ == nullptr ? nullptr : kernel_->path();
  }
  // As relay::Cluster::CollectStats.
  void CollectStats(absl::AnyInvocable<void(const relay::Stats&)> done) {
    cluster_->CollectStats(std::move(done));
  }

 private:
  TurnService(std::vector<TransportAddress> stream_listeners,
              const Config& config, net::Loop& loop, Random& random);

  // Takes what the relay tells.
  void On(const relay::Event& event);
  void OnKernelPath(relay::kernel::KernelPath& path);
  void OnAnswer(const AuthorizerQuestion& question,
                const AuthorizerAnswer& answer);

  RelayLog log_;
  AllocationTotals totals_;
  Authorizer authorizer_;
  std::unique_ptr<KernelOpening> kernel_;
  std::unique_ptr<relay::Cluster> cluster_;  // It tells all of these.
  const std::vector<TransportAddress> stream_listeners_;
  Config config_;
  bool draining_ = false;
  bool closed_ = false;
  Random& random_;
  // Of the sessions that are not over.
  absl::flat_hash_map<std::string, std::string> passwords_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_TURN_SERVICE_H_
