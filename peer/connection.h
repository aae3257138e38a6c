// A WebRTC peer connection for data channels, as one engine.
//
//   peer::Connection connection(certificate, {}, random);
//   connection.AddLocalAddress(now, {socket_address});
//   ChannelId chat = *connection.CreateDataChannel(now, {.label = "chat"});
//   std::string offer = *connection.CreateOffer();
//   connection.SetLocalDescription(now, SdpType::kOffer);   // Send `offer`.
//   ... drive it; hand CandidateFound to the peer, then, as they come: ...
//   connection.SetRemoteDescription(now, SdpType::kAnswer, answer);
//   connection.AddIceCandidate(now, line, mid, mline_index);

#ifndef KYUU_PEER_CONNECTION_H_
#define KYUU_PEER_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "dtls/certificate.h"
#include "dtls/session.h"
#include "ice/credentials.h"
#include "ice/gatherer.h"
#include "ice/transport.h"
#include "peer/connection_stats.h"
#include "peer/connection_types.h"
#include "peer/internal/decision_log.h"
#include "peer/internal/ending.h"
#include "peer/internal/kept_options.h"
#include "peer/internal/pending_candidate.h"
#include "peer/internal/server_names.h"
#include "sctp/data_channel.h"
#include "sdp/session.h"

namespace kyuu::peer {

// Connection composes ice, dtls, sctp and sdp. How a datagram travels through
// it is HandlePacket and PollTransmit in connection_data.cc, and nowhere else.
//
// Not thread-safe. `random` must outlive it. It stays: its parts hold pointers.
class Connection {
 public:
  using Packet = Datagram;
  using Event = ConnectionEvent;

  // The certificate's key is shared; the object may go.
  Connection(const dtls::Certificate& certificate, const Options& options,
             Random& random);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // --- Signaling (RFC 9429) ---

  // AddLocalAddress names a bound UDP socket of the driver, which sends by it
  // what has this `path.local`; RemoveLocalAddress tells that it is gone. At
  // any time: candidates of a new address are told as they are found, and a
  // path that used a lost one moves at once. Errors are ice::Gatherer's.
  absl::Status AddLocalAddress(absl::Time now, const ice::HostAddress& host);
  absl::Status RemoveLocalAddress(absl::Time now,
                                  const TransportAddress& address);
  // RFC 9429 section 4.1.18: for the next gathering, which the next offer
  // begins by a restart if need be, and at once for what is found in advance.
  // INVALID_ARGUMENT: the pool may not change. FAILED_PRECONDITION: closed.
  absl::Status SetConfiguration(absl::Time now,
                                const ConnectionConfiguration& wanted);
  // More servers (of the name `host`), or new credentials: an ICE restart asks
  // them. AwaitServers() and ServersKnown() are the Gatherer's.
  void UpdateServers(std::vector<TransportAddress> stun_servers,
                     std::vector<ice::TurnServer> turn_servers,
                     absl::string_view host = "");
  void AwaitServers(size_t names) { ice_.AwaitServers(names); }
  void ServersKnown(absl::Time now);
  // These write a description, and SetLocalDescription applies it: the text
  // that was returned last, or `sdp` if it is the same. Errors: sdp::Session's.
  absl::StatusOr<std::string> CreateOffer(IceRestart restart = IceRestart::kNo);
  absl::StatusOr<std::string> CreateAnswer();
  absl::Status SetLocalDescription(absl::Time now, SdpType type,
                                   absl::string_view sdp = "");
  // Errors are those of sdp::Session; after one nothing has changed. A peer
  // that takes the data section in use away, or changes its certificate within
  // the connection (RFC 8842 section 5.5), ends it with Closed. One that merely
  // answers without data does not: a later offer may bring some.
  absl::Status SetRemoteDescription(absl::Time now, SdpType type,
                                    absl::string_view sdp);
  // Takes a pending offer back (RFC 9429 section 5.7), and what it had ICE do.
  absl::Status Rollback(absl::Time now);
  // The next offer restarts ICE, until one is answered.
  void RestartIce() { session_.WantRestart(); }
  // W3C webrtc-pc section 4.7.3: whether an offer is due, because of a channel
  // or of RestartIce(). True once for each need; ask when PollEvent is empty.
  bool TakeNegotiationNeeded() { return session_.TakeNegotiationNeeded(); }
  // AddIceCandidate takes a candidate of the peer, before its description too.
  // `candidate` is "candidate:..." with or without "a="; empty for their end.
  // It is taken under any section that shares data's transport; others are
  // counted and ignored, and all of a description whose sections were refused.
  // One whose `ufrag` no description has named waits. INVALID_ARGUMENT: syntax.
  // RESOURCE_EXHAUSTED: pending_candidates_max. FAILED_PRECONDITION: closed.
  absl::Status AddIceCandidate(absl::Time now, absl::string_view candidate,
                               absl::string_view mid, size_t mline_index,
                               absl::string_view ufrag = "");
  // Answer ResolveName (nullopt: no address), StreamWanted, PeerStreamWanted.
  void NameResolved(absl::Time now, ice::NameId, std::optional<IpAddress> ip);
  void StreamConnected(absl::Time now, ice::StreamId id,
                       const TransportAddress& local);
  void StreamEnded(absl::Time now, ice::StreamId id, const absl::Status& why);
  std::optional<ice::StreamId> StreamAccepted(absl::Time now, const Path& path);
  // With the candidates found so far. FAILED_PRECONDITION without one.
  absl::StatusOr<std::string> LocalDescription() const;
  const sdp::Session& session() const { return session_; }

  // --- Data channels; errors are those of sctp::DataChannels. ---
  absl::StatusOr<ChannelId> CreateDataChannel(absl::Time now,
                                              ChannelConfig config);
  absl::Status Send(absl::Time now, ChannelId channel, PayloadType type,
                    std::vector<uint8_t>&& payload,
                    std::optional<uint64_t> lifecycle = std::nullopt);
  absl::Status BeginMessage(absl::Time now, ChannelId channel, PayloadType type,
                            std::optional<size_t> size = std::nullopt,
                            std::optional<uint64_t> lifecycle = std::nullopt);
  absl::Status SendPart(absl::Time now, ChannelId channel,
                        std::vector<uint8_t>&& bytes, Part part);
  // Half a second after all is acknowledged: see Options::channels.
  absl::Status CloseChannel(absl::Time now, ChannelId channel);
  absl::Status SetBufferedAmountLowThreshold(ChannelId channel, size_t bytes);
  size_t buffered_amount(ChannelId channel) const;
  // Another Options::max_datagram_bytes, on the path in use as well.
  void SetMaxDatagramBytes(absl::Time now, size_t bytes);
  std::optional<ChannelStats> channel_stats(ChannelId channel) const;

  // Shutdown is the graceful end: what was sent is delivered, the channels are
  // closed so that the peer sees the end of each, then the association, DTLS
  // and ICE. The peer's application has half a second before each of the two
  // to take what was just sent (Options::channels.association.reset_delay); one
  // that ends by itself is not waited for. All events of channels and
  // Closed{OK} follow. When the peer takes nothing for
  // Options::shutdown_timeout, or not all within shutdown_timeout_max, it
  // becomes Close.
  void Shutdown(absl::Time now);
  // Close hangs up: an ABORT and close_notify tell the peer, relays are given
  // back. All events of channels and Closed follow; drive it until then.
  void Close(absl::Time now);

  void HandlePacket(absl::Time now, const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  // `out` must hold kDatagramMax bytes. Bulk data comes as runs of datagrams
  // of one size to one destination, as UDP segmentation offload wants it.
  static constexpr size_t kDatagramMax = 1500;
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;
  // SCTP has to answer before the next packet: see net/drive_engine.h.
  bool transmit_urgent() const { return channels_.transmit_urgent(); }
  ice::PathProof ProofOf(const Path& path) const { return ice_.ProofOf(path); }
  std::string local_ufrag() const { return ice_.local_ufrag(); }

  // --- Queries ---
  SignalingState signaling_state() const { return session_.state(); }
  GatheringState gathering_state() const { return ice_.gathering_state(); }
  ConnectionState connection_state() const { return connection_state_; }
  ConnectionStats stats() const;
  std::string DebugString() const;

 private:
  // connection_signaling.cc: descriptions and candidates.
  sdp::LocalTransport LocalTransport() const;
  absl::Status ApplyLocal(absl::Time now, const sdp::Change& change);
  absl::Status ApplyRemote(absl::Time now, const sdp::Change& change);
  absl::Status ApplyRemoteIce(
      absl::Time now, const std::optional<sdp::TransportParameters>& remote);
  absl::Status RestartIce(absl::Time now);
  absl::Status UndoIce(absl::Time now);
  void EndData(absl::Time now);
  std::string RemoteUfrag() const;
  bool IsOfAnotherGeneration(const internal::PendingCandidate& pending) const;
  void ApplyCandidate(absl::Time now, const internal::PendingCandidate&);
  void Announce(const ice::Candidate& candidate);
  void AnnounceEnd();
  void Applied(absl::Time now, const sdp::Change& change);

  // connection_data.cc: the two directions of data.
  void HandleDtls(absl::Time now, absl::Span<const uint8_t> bytes);
  void FeedDtls(absl::Time now, absl::Span<const uint8_t> bytes);
  std::optional<Datagram> NextDtls(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Datagram> NextData(absl::Time now, absl::Span<uint8_t> out);

  // connection.cc: what the parts tell, and the end.
  std::optional<ice::RelayProtocol> RelayProtocolOf(const Path& path) const;
  std::optional<Event> NextChannelEvent();
  void React(absl::Time now);
  void On(absl::Time now, ice::IceTransport::Event& event);
  void On(absl::Time now, dtls::Session::Event& event);
  void StartDtls(absl::Time now);
  bool PeerAwaitsDtls() const;
  void EmbedDtls(absl::Time now);
  void HastenDtls(absl::Time now);
  std::string OwnSctpInit() const;
  std::optional<sctp::OutOfBandInits> AgreedInits() const;
  void FollowPath(absl::Time now);
  size_t MaxPacket() const;
  void UpdateConnectionState();
  void Hangup(absl::Time now, absl::Status status);
  internal::LeftToTake WhatIsLeft() const;
  void ReviewShutdown(absl::Time now);
  void ReviewClosing(absl::Time now);

  internal::KeptOptions options_;
  Random& random_;
  dtls::Certificate certificate_;
  sdp::Session session_;
  // Those in the newest description written; those of the last stable state.
  ice::Credentials credentials_;
  std::optional<ice::Credentials> stable_credentials_;
  ice::IceTransport ice_;
  std::unique_ptr<dtls::Session> dtls_;  // From StartDtls on.
  sctp::DataChannels channels_;
  std::vector<uint8_t> sctp_init_;  // Of Options::snap; else empty.

  internal::ServerNames server_names_;
  internal::DecisionLog decisions_;
  internal::RemoteIce remote_ice_;
  std::optional<ice::Credentials> outdated_;  // Before SetConfiguration().
  Queue<std::vector<uint8_t>> early_dtls_;
  ConnectionState connection_state_ = ConnectionState::kNew;
  std::optional<SelectedPathChanged> selected_;
  std::optional<Path> sctp_path_;  // That channels_ was told of.
  bool doubted_ = false;           // Since then, by ICE.
  std::optional<dtls::Connected> dtls_session_;
  std::optional<internal::ShuttingDown> shutdown_;  // From Shutdown to Hangup.
  std::optional<internal::Closing> closing_;        // From Hangup on.
  absl::Time last_now_ = absl::InfinitePast();
  Queue<Event> events_;
  ConnectionCounters counters_;
};
static_assert(Engine<Connection>);

}  // namespace kyuu::peer

#endif  // KYUU_PEER_CONNECTION_H_
