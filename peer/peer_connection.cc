#include "peer/peer_connection.h"

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "peer/ice_servers.h"
#include "peer/internal/peer_connection_core.h"
#include "peer/server_url.h"
#include "peer/stats_report.h"

namespace kyuu::peer {
namespace {

using internal::Core;

// Empty before the first description.
std::string LocalText(const Connection& connection) {
  return connection.LocalDescription().value_or("");
}

absl::StatusOr<SessionDescription> MakeOffer(Connection& connection,
                                             IceRestart restart) {
  KYUU_ASSIGN_OR_RETURN(std::string sdp, connection.CreateOffer(restart));
  return SessionDescription{SdpType::kOffer, std::move(sdp)};
}

absl::StatusOr<SessionDescription> MakeAnswer(Connection& connection) {
  KYUU_ASSIGN_OR_RETURN(std::string sdp, connection.CreateAnswer());
  return SessionDescription{SdpType::kAnswer, std::move(sdp)};
}

// The identity of connections that are given none. Made once, and again in good
// time before it expires, because a key costs more than all else in a set-up.
absl::StatusOr<dtls::Certificate> DefaultCertificate() {
  struct Made {
    dtls::Certificate certificate;
    absl::Time until;
  };
  constexpr absl::Duration kRenewal = absl::Hours(24);
  static std::mutex mutex;
  static auto* const made = new std::optional<Made>;  // Guarded by `mutex`.
  const std::lock_guard<std::mutex> lock(mutex);
  const absl::Time now = absl::Now();
  if (!*made || now >= (*made)->until) {
    KYUU_ASSIGN_OR_RETURN(dtls::Certificate certificate,
                          dtls::Certificate::Generate(now));
    *made = Made{certificate, now + kRenewal};
  }
  return (*made)->certificate;
}

// W3C's InvalidModificationError: what cannot be changed any more.
absl::Status CheckChange(const Configuration& now, const Thread* thread,
                         const Configuration& next) {
  const auto refuse = [](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " may not change within a connection"));
  };
  if (next.certificate &&
      next.certificate->fingerprint() != now.certificate->fingerprint()) {
    return refuse("the certificate");
  }
  if (next.thread != nullptr && next.thread.get() != thread) {
    return refuse("the thread");
  }
  if (next.loopback != now.loopback || next.sockets_max != now.sockets_max ||
      next.ice_tcp != now.ice_tcp || next.use_addresses != now.use_addresses ||
      next.port_range != now.port_range) {
    return refuse("which sockets are opened");
  }
  if (next.hide_addresses != now.hide_addresses ||
      next.nat_mappings != now.nat_mappings) {
    return refuse("how addresses are told");
  }
  return absl::OkStatus();
}

// Those of `servers` whose address is known are added to `stun` and `turn`; the
// others are returned.
std::vector<ServerUrl> TakeAddresses(std::vector<ServerUrl> servers,
                                     std::vector<TransportAddress>& stun,
                                     std::vector<ice::TurnServer>& turn) {
  std::erase_if(servers, [&](const ServerUrl& server) {
    const absl::StatusOr<IpAddress> ip = IpAddress::Parse(server.host);
    if (!ip.ok()) return false;
    AddResolved(server, {{*ip, server.port}}, stun, turn);
    return true;
  });
  return servers;
}

}  // namespace

// On the port that its thread's connections share, it opens none.
absl::StatusOr<std::optional<HostSockets>> PeerConnection::OpenSockets(
    const Configuration& configuration) {
  SharedPort* const port = configuration.thread->workplace_->port.get();
  if (port != nullptr) {
    if (configuration.hide_addresses) {
      return absl::InvalidArgumentError("a shared port hides no addresses");
    }
    KYUU_RETURN_IF_ERROR(port->Reserve());
    return std::optional<HostSockets>();
  }
  KYUU_ASSIGN_OR_RETURN(
      HostSockets sockets,
      HostSockets::Open({.loopback = configuration.loopback,
                         .max = configuration.sockets_max,
                         .tcp = configuration.ice_tcp,
                         .hide_addresses = configuration.hide_addresses,
                         .nat_mappings = configuration.nat_mappings,
                         .use = configuration.use_addresses,
                         .port_range = configuration.port_range}));
  return std::optional<HostSockets>(std::move(sockets));
}

absl::StatusOr<std::unique_ptr<PeerConnection>> PeerConnection::Create(
    Configuration configuration, PeerConnectionHandlers handlers) {
  KYUU_ASSIGN_OR_RETURN(std::vector<ServerUrl> servers,
                        ParseIceServers(configuration.ice_servers));
  if (!configuration.certificate) {
    KYUU_ASSIGN_OR_RETURN(configuration.certificate, DefaultCertificate());
  }
  if (configuration.thread == nullptr) {
    KYUU_ASSIGN_OR_RETURN(configuration.thread, Thread::Start());
  }
  KYUU_ASSIGN_OR_RETURN(std::optional<HostSockets> sockets,
                        OpenSockets(configuration));
  Options options = configuration.engine;
  options.stun_servers = configuration.stun_servers;
  options.turn_servers = configuration.turn_servers;
  options.policy = configuration.ice_transport_policy;
  options.candidate_pool_size = configuration.ice_candidate_pool_size;
  servers = TakeAddresses(std::move(servers), options.stun_servers,
                          options.turn_servers);
  auto core = std::make_shared<Core>(
      configuration.thread->workplace_, *configuration.certificate, options,
      configuration.streams, configuration.peer_streams, std::move(sockets),
      std::move(servers), std::move(handlers));
  core->Start();
  return std::unique_ptr<PeerConnection>(
      new PeerConnection(std::move(configuration), std::move(core)));
}

PeerConnection::PeerConnection(Configuration configuration,
                               std::shared_ptr<Core> core)
    : thread_(configuration.thread),
      core_(std::move(core)),
      configuration_(std::move(configuration)) {
  configuration_.thread.reset();  // Nobody's copy shall keep it.
}

PeerConnection::~PeerConnection() { Close(); }

absl::StatusOr<SessionDescription> PeerConnection::CreateOffer(
    IceRestart restart) {
  return core_->Do([&](Connection& connection, absl::Time) {
    return MakeOffer(connection, restart);
  });
}

absl::StatusOr<SessionDescription> PeerConnection::CreateAnswer() {
  return core_->Do([](Connection& connection, absl::Time) {
    return MakeAnswer(connection);
  });
}

absl::Status PeerConnection::SetLocalDescription() {
  return core_->Do([](Connection& connection, absl::Time now) -> absl::Status {
    const SignalingState state = connection.signaling_state();
    const bool answer = state == SignalingState::kHaveRemoteOffer ||
                        state == SignalingState::kHaveLocalPranswer;
    KYUU_ASSIGN_OR_RETURN(const SessionDescription local,
                          answer ? MakeAnswer(connection)
                                 : MakeOffer(connection, IceRestart::kNo));
    return connection.SetLocalDescription(now, local.type, local.sdp);
  });
}

absl::Status PeerConnection::SetLocalDescription(
    const SessionDescription& description) {
  return core_->Do([&](Connection& connection, absl::Time now) {
    return connection.SetLocalDescription(now, description.type,
                                          description.sdp);
  });
}

absl::Status PeerConnection::SetRemoteDescription(
    const SessionDescription& description) {
  return core_->Do([&](Connection& connection, absl::Time now) {
    return connection.SetRemoteDescription(now, description.type,
                                           description.sdp);
  });
}

absl::Status PeerConnection::Rollback() {
  return core_->Do([](Connection& connection, absl::Time now) {
    return connection.Rollback(now);
  });
}

std::optional<SessionDescription> PeerConnection::local_description() const {
  return core_->Ask([](const Core& core) -> std::optional<SessionDescription> {
    const std::optional<SdpType> type =
        core.connection().session().local_type();
    if (!type) return std::nullopt;
    return SessionDescription{*type, LocalText(core.connection())};
  });
}

std::optional<SessionDescription> PeerConnection::remote_description() const {
  return core_->Ask([](const Core& core) -> std::optional<SessionDescription> {
    const sdp::Session& session = core.connection().session();
    const std::optional<SdpType> type = session.remote_type();
    if (!type) return std::nullopt;
    const sdp::Description* pending = session.pending_remote_description();
    return SessionDescription{
        *type,
        std::string((pending != nullptr ? pending
                                        : session.current_remote_description())
                        ->text())};
  });
}

std::optional<bool> PeerConnection::can_trickle_ice_candidates() const {
  return core_->Ask([](const Core& core) -> std::optional<bool> {
    const auto& remote = core.connection().session().remote();
    if (!remote) return std::nullopt;
    return remote->trickle;
  });
}

absl::Status PeerConnection::AddIceCandidate(const IceCandidate& candidate) {
  return core_->Do([&](Connection& connection, absl::Time now) {
    return connection.AddIceCandidate(
        now, candidate.candidate, candidate.sdp_mid, candidate.sdp_mline_index,
        candidate.username_fragment);
  });
}

void PeerConnection::RestartIce() {
  core_->Do([](Connection& connection, absl::Time) {
    connection.RestartIce();
    return true;
  });
}

absl::Status PeerConnection::SetConfiguration(
    const Configuration& configuration) {
  KYUU_ASSIGN_OR_RETURN(std::vector<ServerUrl> servers,
                        ParseIceServers(configuration.ice_servers));
  const std::lock_guard<std::mutex> lock(configuration_mutex_);
  KYUU_RETURN_IF_ERROR(
      CheckChange(configuration_, thread_.get(), configuration));
  ConnectionConfiguration wanted{
      .stun_servers = configuration.stun_servers,
      .turn_servers = configuration.turn_servers,
      .policy = configuration.ice_transport_policy,
      .candidate_pool_size = configuration.ice_candidate_pool_size};
  servers = TakeAddresses(std::move(servers), wanted.stun_servers,
                          wanted.turn_servers);
  KYUU_RETURN_IF_ERROR(core_->Configure(std::move(wanted), std::move(servers)));
  configuration_.ice_servers = configuration.ice_servers;
  configuration_.stun_servers = configuration.stun_servers;
  configuration_.turn_servers = configuration.turn_servers;
  configuration_.ice_transport_policy = configuration.ice_transport_policy;
  configuration_.ice_candidate_pool_size =
      configuration.ice_candidate_pool_size;
  return absl::OkStatus();
}

Configuration PeerConnection::GetConfiguration() const {
  const std::lock_guard<std::mutex> lock(configuration_mutex_);
  return configuration_;
}

absl::Status PeerConnection::UpdateIceServers(
    const std::vector<IceServer>& servers) {
  KYUU_ASSIGN_OR_RETURN(std::vector<ServerUrl> urls, ParseIceServers(servers));
  std::vector<TransportAddress> stun;
  std::vector<ice::TurnServer> turn;
  std::vector<ServerUrl> named = TakeAddresses(std::move(urls), stun, turn);
  // A restart that is asked for next waits for the names.
  core_->Do([&](Connection& connection, absl::Time) {
    connection.UpdateServers(std::move(stun), std::move(turn));
    connection.AwaitServers(named.size());
    return true;
  });
  core_->AddServers(std::move(named));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<DataChannel>> PeerConnection::CreateDataChannel(
    ChannelConfig config, DataChannelHandlers handlers) {
  return core_->CreateDataChannel(std::move(config), std::move(handlers));
}

std::optional<uint64_t> PeerConnection::max_message_size() const {
  return core_->Ask([](const Core& core) -> std::optional<uint64_t> {
    const auto& remote = core.connection().session().remote();
    if (!remote) return std::nullopt;
    return remote->max_message_size;
  });
}

void PeerConnection::Shutdown() { core_->Shutdown(); }

void PeerConnection::Close() { core_->Close(); }

SignalingState PeerConnection::signaling_state() const {
  return core_->Ask(
      [](const Core& core) { return core.connection().signaling_state(); });
}

GatheringState PeerConnection::ice_gathering_state() const {
  return core_->Ask([](const Core& core) { return core.gathering_state(); });
}

ice::AgentState PeerConnection::ice_connection_state() const {
  return core_->Ask([](const Core& core) { return core.ice_state(); });
}

ConnectionState PeerConnection::connection_state() const {
  return core_->Ask([](const Core& core) { return core.connection_state(); });
}

ConnectionStats PeerConnection::GetStats() const {
  return core_->Ask([](const Core& core) { return core.connection().stats(); });
}

StatsReport PeerConnection::GetStatsReport() const {
  // The report is made of it without the mutex, which packets wait for.
  auto [stats, channels] = core_->Ask([](const Core& core) {
    return std::pair(core.connection().stats(), core.ChannelReports());
  });
  return MakeStatsReport(absl::Now(), stats, std::move(channels));
}

}  // namespace kyuu::peer
