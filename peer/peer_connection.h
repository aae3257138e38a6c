// PeerConnection: a WebRTC peer connection on a thread of its own, with the
// names and the order of events of W3C's RTCPeerConnection.
//
//   auto connection = *peer::PeerConnection::Create(
//       {.ice_servers = {{.urls = {"stun:stun.example.org"}}}},
//       {.on_ice_candidate = [&](const IceCandidate& c) { /* To the peer. */ },
//        .on_data_channel = [&](std::shared_ptr<DataChannel> channel) {...}});
//   auto channel = *connection->CreateDataChannel(
//       {.label = "chat"},
//       {.on_open = [](DataChannel& channel) { channel.Send("hello"); }});
//   absl::Status status = connection->SetLocalDescription();
//   ... connection->local_description() to the peer, and its answer to: ...
//   status = connection->SetRemoteDescription({SdpType::kAnswer, sdp});

#ifndef KYUU_PEER_PEER_CONNECTION_H_
#define KYUU_PEER_PEER_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "dtls/certificate.h"
#include "ice/agent_types.h"
#include "ice/gatherer.h"
#include "peer/connection.h"
#include "peer/connection_types.h"
#include "peer/data_channel.h"
#include "peer/host_sockets.h"
#include "peer/ice_servers.h"
#include "peer/peer_connection_thread.h"
#include "peer/peer_streams.h"
#include "peer/server_streams.h"
#include "peer/stats_report.h"

namespace kyuu::peer {

namespace internal {
class Core;
}  // namespace internal

// RTCSessionDescription; Rollback() stands for its fourth type.
struct SessionDescription {
  SdpType type = SdpType::kOffer;
  std::string sdp;
};

// RTCIceCandidate. An empty `candidate` says that no more will come.
struct IceCandidate {
  std::string candidate;  // "candidate:...", with or without "a=".
  std::string sdp_mid;
  size_t sdp_mline_index = 0;
  // Which generation it belongs to, if that is known: ours always say it.
  std::string username_fragment = {};
};

// RTCConfiguration.
struct Configuration {
  // Names are resolved by the system, on threads of their own: host candidates
  // do not wait for them, the end of gathering does, a second at most.
  std::vector<IceServer> ice_servers;
  // More of them, as addresses.
  std::vector<TransportAddress> stun_servers;
  std::vector<ice::TurnServer> turn_servers;
  ice::GatherPolicy ice_transport_policy = ice::GatherPolicy::kAll;
  // Unless 0, gathering begins at once, and what it has found is told with the
  // first local description.
  uint8_t ice_candidate_pool_size = 0;
  // If unset, one that all such connections of the process share, and that is
  // made anew each day. Whoever must not be known again gives its own.
  std::optional<dtls::Certificate> certificate;
  LoopbackUse loopback = LoopbackUse::kIfAlone;
  // Sockets opened at most, one for each address of the machine.
  size_t sockets_max = 16;
  TcpUse ice_tcp = TcpUse::kBoth;
  // See HostSocketsOptions.
  bool hide_addresses = false;
  std::vector<NatMapping> nat_mappings;
  AddressFilter use_addresses;  // HostSocketsOptions::use.
  std::optional<PortRange> port_range;
  // Streams to TURN servers over TCP and TLS, and TCP connections to the peer.
  ServerStreamOptions streams;
  PeerStreamOptions peer_streams;
  // Where the connection works; a thread of its own if null. On one with a port
  // that is shared, that port is used: what is said above of sockets and of
  // listening is without effect, and `hide_addresses` an error.
  std::shared_ptr<Thread> thread;
  // Knobs of the parts. Its servers and policy are taken from above.
  Options engine;
};

// The events of RTCPeerConnection, for those who want them. Called on the
// connection's thread, one at a time.
struct PeerConnectionHandlers {
  // Time for SetLocalDescription() and telling it to the peer.
  absl::AnyInvocable<void()> on_negotiation_needed;
  absl::AnyInvocable<void(const IceCandidate&)> on_ice_candidate;
  // A STUN or TURN server gave nothing, or its name is unknown: then
  // ServerFailed::server is none, and the status says which.
  absl::AnyInvocable<void(const ServerFailed&)> on_ice_candidate_error;
  absl::AnyInvocable<void(SignalingState)> on_signaling_state_change;
  absl::AnyInvocable<void(GatheringState)> on_ice_gathering_state_change;
  absl::AnyInvocable<void(ice::AgentState)> on_ice_connection_state_change;
  absl::AnyInvocable<void(ConnectionState)> on_connection_state_change;
  // The path that carries data, and whether it is relayed.
  absl::AnyInvocable<void(const SelectedPathChanged&)> on_selected_path_change;
  // Why, and which others were nominated, or are no reserve any more; if
  // `engine.ice.decisions_max` is not 0.
  absl::AnyInvocable<void(const Decision&)> on_path_decision;
  // The peer opened a channel. Its own handlers are to be set here.
  absl::AnyInvocable<void(std::shared_ptr<DataChannel>)> on_data_channel;
  // The connection ended, and not by Close(): see peer::Closed for the reasons.
  // The last call of all.
  absl::AnyInvocable<void(absl::Status)> on_closed;
};

// PeerConnection may be used from any thread. A call does its work at once,
// under a mutex that no handler runs under, so handlers may call each other's
// connections freely. Only those that promise silence wait for a handler that
// is running: Close(), the destructor, and SetHandlers() of a channel.
//
// Handlers may call everything and destroy the connection, or another one. On a
// Thread nothing waits: two handlers that close each other's connections would
// wait for ever. There silence begins when the handler that is running has
// returned. As in W3C's events what handlers cause is told after they have
// returned, never within a call.
class PeerConnection {
 public:
  // INVALID_ARGUMENT: an ICE server's URL or credentials (ParseIceServers), or
  // a port_range that is none. UNAVAILABLE: the machine has no usable address.
  // RESOURCE_EXHAUSTED: no descriptor is left, or no room on a shared port.
  // INTERNAL: OpenSSL failed.
  static absl::StatusOr<std::unique_ptr<PeerConnection>> Create(
      Configuration configuration, PeerConnectionHandlers handlers);
  // Close(), and the end of a thread of its own (see ~Thread for how long that
  // may take).
  ~PeerConnection();
  PeerConnection(const PeerConnection&) = delete;
  PeerConnection& operator=(const PeerConnection&) = delete;

  // --- Descriptions. Errors are those of sdp::Session, and change nothing;
  // FAILED_PRECONDITION is W3C's InvalidStateError. ---

  absl::StatusOr<SessionDescription> CreateOffer(
      IceRestart restart = IceRestart::kNo);
  absl::StatusOr<SessionDescription> CreateAnswer();
  // Without an argument it makes the offer or answer that is due. Candidates
  // are gathered from the first one on.
  absl::Status SetLocalDescription();
  absl::Status SetLocalDescription(const SessionDescription& description);
  absl::Status SetRemoteDescription(const SessionDescription& description);
  // Takes a pending offer back.
  absl::Status Rollback();
  // With the candidates found so far. The pending one if there is one; nullopt
  // before the first.
  std::optional<SessionDescription> local_description() const;
  std::optional<SessionDescription> remote_description() const;
  // Whether the peer takes candidates after its description (RFC 8838 section
  // 3); nullopt before that.
  std::optional<bool> can_trickle_ice_candidates() const;

  // A candidate of the peer, before its description too. INVALID_ARGUMENT:
  // malformed. RESOURCE_EXHAUSTED: too many before the description.
  absl::Status AddIceCandidate(const IceCandidate& candidate);
  // The next offer restarts ICE; on_negotiation_needed asks for it.
  void RestartIce();
  // Other servers, another policy, another size of the pool: for the next
  // gathering, which the next offer begins, by an ICE restart if it is not the
  // first; and at once for what is found in advance. A path of before goes on
  // until there is another one. INVALID_ARGUMENT: as Create(), or it would
  // change what may not be changed: the size of the pool once there is a local
  // description; `certificate` and `thread`, if they are set; what is said of
  // sockets. `streams`, `peer_streams` and `engine` are not looked at.
  // FAILED_PRECONDITION: closed.
  absl::Status SetConfiguration(const Configuration& configuration);
  // The one in force, to be changed and set; without `thread`.
  Configuration GetConfiguration() const;
  // More servers, and new credentials of known ones. The next ICE restart asks
  // them, and waits for their names; relays in use, and servers that are not
  // named again, stay. INVALID_ARGUMENT as Create().
  absl::Status UpdateIceServers(const std::vector<IceServer>& servers);

  // --- Data channels ---

  // Before or after the connection exists. With handlers given here no event
  // is missed. Errors are those of sctp::DataChannels::Create.
  absl::StatusOr<std::shared_ptr<DataChannel>> CreateDataChannel(
      ChannelConfig config, DataChannelHandlers handlers = {});
  // RTCSctpTransport.maxMessageSize: the largest message that the peer takes,
  // in bytes, 0 for any; nullopt before its description.
  std::optional<uint64_t> max_message_size() const;

  // --- The rest ---

  // The graceful end: what was sent arrives, each channel is closed, and then
  // the connection, half a second after each other so that the peer's
  // application has it too. on_close of the channels and on_closed(OK) tell;
  // Close(), or the destructor, before that cuts it short. A peer that takes
  // nothing more is not waited for beyond Options::shutdown_timeout.
  void Shutdown();
  // Hangs up: the peer knows after half a round trip. As in W3C no event tells
  // of it here, nor of anything else any more: once it has returned, no handler
  // of the connection or its channels is running or will be called (on a
  // Thread: but the one running). It waits for a running handler, except on a
  // Thread; do not hold a lock that one may take.
  void Close();

  // States are those of the newest event; the signaling state is that of the
  // newest description.
  SignalingState signaling_state() const;
  GatheringState ice_gathering_state() const;
  ice::AgentState ice_connection_state() const;
  ConnectionState connection_state() const;
  // All counters of all layers.
  ConnectionStats GetStats() const;
  // The same as W3C's getStats() would tell it.
  StatsReport GetStatsReport() const;
  const std::shared_ptr<Thread>& thread() const { return thread_; }

 private:
  PeerConnection(Configuration configuration,
                 std::shared_ptr<internal::Core> core);
  static absl::StatusOr<std::optional<HostSockets>> OpenSockets(
      const Configuration& configuration);

  const std::shared_ptr<Thread> thread_;
  const std::shared_ptr<internal::Core> core_;
  mutable std::mutex configuration_mutex_;
  Configuration configuration_;  // Guarded by it.
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_PEER_CONNECTION_H_
