#include "peer/peer_connection.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "peer/internal/peer_connection_core.h"

namespace kyuu::peer {
namespace {

using internal::Core;
using internal::Negotiation;

// Empty before the first description.
std::string LocalText(const Connection& connection) {
  return connection.LocalDescription().value_or("");
}

absl::StatusOr<SessionDescription> MakeOffer(Connection& connection,
                                             const Negotiation& negotiation,
                                             IceRestart restart) {
  if (negotiation.restart_wanted()) restart = IceRestart::kYes;
  KYUU_ASSIGN_OR_RETURN(std::string sdp, connection.CreateOffer(restart));
  return SessionDescription{SdpType::kOffer, std::move(sdp)};
}

absl::StatusOr<SessionDescription> MakeAnswer(Connection& connection) {
  KYUU_ASSIGN_OR_RETURN(std::string sdp, connection.CreateAnswer());
  return SessionDescription{SdpType::kAnswer, std::move(sdp)};
}

absl::Status ApplyLocal(Connection& connection, Negotiation& negotiation,
                        absl::Time now, const SessionDescription& local) {
  KYUU_RETURN_IF_ERROR(
      connection.SetLocalDescription(now, local.type, local.sdp));
  negotiation.OnLocal(local.type, connection.signaling_state(),
                      LocalText(connection));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerConnection>> PeerConnection::Create(
    Configuration configuration, PeerConnectionHandlers handlers) {
  if (!configuration.certificate) {
    KYUU_ASSIGN_OR_RETURN(configuration.certificate,
                          dtls::Certificate::Generate(absl::Now()));
  }
  if (configuration.thread == nullptr) {
    KYUU_ASSIGN_OR_RETURN(configuration.thread, Thread::Start());
  }
  KYUU_ASSIGN_OR_RETURN(
      HostSockets sockets,
      HostSockets::Open(configuration.loopback, configuration.sockets_max));
  Options& options = configuration.engine;
  options.stun_servers = std::move(configuration.stun_servers);
  options.turn_servers = std::move(configuration.turn_servers);
  options.policy = configuration.ice_transport_policy;
  auto core = std::make_shared<Core>(configuration.thread->workplace_,
                                     *configuration.certificate, options,
                                     std::move(sockets), std::move(handlers));
  core->Start();
  return std::unique_ptr<PeerConnection>(
      new PeerConnection(std::move(configuration.thread), std::move(core)));
}

PeerConnection::PeerConnection(std::shared_ptr<Thread> thread,
                               std::shared_ptr<Core> core)
    : thread_(std::move(thread)), core_(std::move(core)) {}

PeerConnection::~PeerConnection() { Close(); }

absl::StatusOr<SessionDescription> PeerConnection::CreateOffer(
    IceRestart restart) {
  return core_->Do(
      [&](Connection& connection, Negotiation& negotiation, absl::Time) {
        return MakeOffer(connection, negotiation, restart);
      });
}

absl::StatusOr<SessionDescription> PeerConnection::CreateAnswer() {
  return core_->Do([](Connection& connection, Negotiation&, absl::Time) {
    return MakeAnswer(connection);
  });
}

absl::Status PeerConnection::SetLocalDescription() {
  return core_->Do([](Connection& connection, Negotiation& negotiation,
                      absl::Time now) -> absl::Status {
    const SignalingState state = connection.signaling_state();
    const bool answer = state == SignalingState::kHaveRemoteOffer ||
                        state == SignalingState::kHaveLocalPranswer;
    KYUU_ASSIGN_OR_RETURN(
        const SessionDescription local,
        answer ? MakeAnswer(connection)
               : MakeOffer(connection, negotiation, IceRestart::kNo));
    return ApplyLocal(connection, negotiation, now, local);
  });
}

absl::Status PeerConnection::SetLocalDescription(
    const SessionDescription& description) {
  return core_->Do(
      [&](Connection& connection, Negotiation& negotiation, absl::Time now) {
        return ApplyLocal(connection, negotiation, now, description);
      });
}

absl::Status PeerConnection::SetRemoteDescription(
    const SessionDescription& description) {
  return core_->Do([&](Connection& connection, Negotiation& negotiation,
                       absl::Time now) -> absl::Status {
    KYUU_RETURN_IF_ERROR(connection.SetRemoteDescription(now, description.type,
                                                         description.sdp));
    negotiation.OnRemote(description, connection.signaling_state(),
                         LocalText(connection));
    return absl::OkStatus();
  });
}

absl::Status PeerConnection::Rollback() {
  return core_->Do([](Connection& connection, Negotiation& negotiation,
                      absl::Time now) -> absl::Status {
    KYUU_RETURN_IF_ERROR(connection.Rollback(now));
    negotiation.OnRollback();
    return absl::OkStatus();
  });
}

std::optional<SessionDescription> PeerConnection::local_description() const {
  return core_->Ask([](const Core& core) -> std::optional<SessionDescription> {
    const std::optional<SdpType> type = core.negotiation().local_type();
    if (!type) return std::nullopt;
    return SessionDescription{*type, LocalText(core.connection())};
  });
}

std::optional<SessionDescription> PeerConnection::remote_description() const {
  return core_->Ask(
      [](const Core& core) { return core.negotiation().remote(); });
}

absl::Status PeerConnection::AddIceCandidate(const IceCandidate& candidate) {
  return core_->Do([&](Connection& connection, Negotiation&, absl::Time now) {
    return connection.AddIceCandidate(
        now, candidate.candidate, candidate.sdp_mid, candidate.sdp_mline_index);
  });
}

void PeerConnection::RestartIce() {
  core_->Do([](Connection& connection, Negotiation& negotiation, absl::Time) {
    negotiation.WantRestart(LocalText(connection));
    return true;
  });
}

absl::StatusOr<std::shared_ptr<DataChannel>> PeerConnection::CreateDataChannel(
    ChannelConfig config, DataChannelHandlers handlers) {
  return core_->CreateDataChannel(std::move(config), std::move(handlers));
}

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

}  // namespace kyuu::peer
