// What goes into a peer connection and comes out of it: options and events.

#ifndef KYUU_PEER_CONNECTION_TYPES_H_
#define KYUU_PEER_CONNECTION_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/address_filter.h"
#include "dtls/session.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"
#include "ice/transport.h"
#include "sctp/data_channel.h"
#include "sdp/session.h"

namespace kyuu::peer {

// The names of W3C's webrtc-pc for what it knows too.
using ice::GatheringState;
using ice::GatheringStateChanged;
using ice::ToString;
using sctp::ChannelConfig;
using sctp::ChannelId;
using sctp::ChannelStats;
using sctp::Delivery;
using sctp::Fate;
using sctp::Part;
using sctp::PayloadType;
using sdp::SdpType;
using sdp::SignalingState;

// RTCPeerConnectionState: ICE and DTLS together.
enum class ConnectionState : uint8_t {
  kNew,
  kConnecting,
  kConnected,
  kDisconnected,  // The path does not answer; it may come back.
  kFailed,        // No path, or DTLS failed. An ICE restart may mend the first.
  kClosed,
};

absl::string_view ToString(ConnectionState state);

// Whether CreateOffer restarts ICE (RFC 8445 section 9): new credentials, the
// path in use stays until a new one works.
enum class IceRestart : uint8_t { kNo, kYes };

struct Options {
  std::vector<TransportAddress> stun_servers;
  std::vector<ice::TurnServer> turn_servers;
  // kRelay: only the relay's addresses are told and used.
  ice::GatherPolicy policy = ice::GatherPolicy::kAll;
  // iceCandidatePoolSize: unless 0, candidates are gathered from the first
  // address of ours on, and told with the first local description. There is
  // one transport, so that more than 1 is like 1.
  size_t candidate_pool_size = 0;

  // The largest message that we take, in bytes, at least 1: what is told the
  // peer (RFC 8841 section 6), and what it may send without being aborted. What
  // we may send, the peer's description says.
  size_t max_message_size = 256 * 1024;

  // The largest datagram that is tried on a direct path, in bytes without IP
  // and UDP, where more than one packet is to be sent (RFC 8899): Ethernet's.
  // More, up to what a driver offers PollTransmit, is for peers that are known:
  // libwebrtc ends a connection at the first record of DTLS with more than 2048
  // bytes, and aiortc reads 1500 at a time. 0 tries nothing above
  // channels.association.mtu.
  size_t max_datagram_bytes = 1472;

  // The largest message that is handed over in parts, so that it takes no more
  // memory than the receive window (sctp::ChannelMessagePart): on channels with
  // ChannelConfig::delivery kParts, and on those of the peer if
  // Options::channels.incoming_delivery says so. If it is above
  // max_message_size, it is what the peer is told; on any other channel, what
  // is above max_message_size ends the channel. 1 GiB is what Firefox tells.
  size_t max_message_size_in_parts = 0;

  // Which of our addresses the peer is told. Paths may begin at the others,
  // too, and what servers show of those is told without saying so.
  AddressFilter advertise;

  // SNAP (draft-hancke-tsvwg-snap): SCTP's INITs travel in the descriptions, as
  // a=sctp-init, where the peer knows that too. Channels open two round trips
  // earlier. Off as in browsers: a draft may still change.
  bool snap = false;
  // SPED (draft-hancke-webrtc-sped): DTLS's handshake begins with the checks of
  // ICE and rides on them, where the peer does so too: a round trip less. Off
  // for the same reason.
  bool sped = false;

  // As ice::AgentOptions::lite; servers are not asked then.
  bool lite = false;

  // The parts, for those who want to turn their knobs. Addresses, servers and
  // policy of `gatherer`, and the sizes of messages that come in, are taken
  // from above.
  ice::AgentOptions ice;
  ice::GathererOptions gatherer;
  // No deadline of its own: ICE judges whether the peer is there.
  dtls::Options dtls{.handshake_timeout = absl::InfiniteDuration()};
  // Packets come over DTLS, which needs no second checksum (RFC 9653). SCTP
  // judges no peer to be gone: ICE's consent and DTLS do, and ICE may
  // restart. Its limits are off.
  //
  // An end waits until the peer's application has taken what was sent, which
  // nothing tells: libdatachannel drops the rest when the channel ends, and
  // again when the association does. Half a second each is what a busy one
  // takes (tools/interop/endings.test.mjs).
  sctp::DataChannels::Options channels{
      .association = {.zero_checksum = true,
                      .reset_delay = absl::Milliseconds(500),
                      .max_init_retransmits = std::nullopt,
                      .max_association_retransmits = std::nullopt}};
  sdp::Session::Options sdp;

  // Candidates of the peer that came before its description.
  size_t pending_candidates_max = 100;
  // DTLS datagrams that came on an authenticated path before the roles were
  // known (the answer is slower than the peer). A browser's ClientHello is two
  // of them, sent again after 50 ms, 100 ms, ...
  size_t early_dtls_datagrams_max = 16;
  // How long Shutdown waits while the peer takes nothing of what was sent and
  // closes nothing: two of channels.close_channels_timeout. And how long in
  // all, whatever it takes: the buffer of 16 MiB at half a Mbit/s.
  absl::Duration shutdown_timeout = absl::Seconds(20);
  absl::Duration shutdown_timeout_max = absl::Minutes(5);
  // How long the last packets (ABORT, close_notify, giving allocations back)
  // may take before Closed.
  absl::Duration linger = absl::Seconds(1);
};

// What Connection::SetConfiguration() may change: as in Options.
struct ConnectionConfiguration {
  std::vector<TransportAddress> stun_servers;
  std::vector<ice::TurnServer> turn_servers;
  // Servers that are yet to come, from so many names: see AwaitServers().
  size_t names = 0;
  ice::GatherPolicy policy = ice::GatherPolicy::kAll;
  size_t candidate_pool_size = 0;
};

// --- Events; those of channels are sctp's. ---

struct SignalingStateChanged {
  SignalingState state;
};
// A candidate of ours to be told the peer; an empty `candidate` says that no
// more will come (RFC 8838 section 13).
struct CandidateFound {
  std::string candidate;  // "candidate:1 1 udp ...", without "a=".
  std::string mid;
  size_t mline_index = 0;
  std::string ufrag = {};  // Of the generation that it belongs to.
};
struct IceStateChanged {
  ice::AgentState state;
};
struct ConnectionStateChanged {
  ConnectionState state;
};
// The path that carries data has changed.
struct SelectedPathChanged {
  Path path;
  ice::CandidateType local_type;
  ice::CandidateType remote_type;
  // How the relay is reached if ours lies on the path.
  std::optional<ice::RelayProtocol> relay_protocol = std::nullopt;
  // Whether a relay of either side lies on the path.
  bool relayed() const {
    return local_type == ice::CandidateType::kRelayed ||
           remote_type == ice::CandidateType::kRelayed;
  }
};
// Which way ICE nominates, uses and keeps, and why: told if
// Options::ice.decisions_max is not 0.
using ice::Decision;
// The peer's candidate has an mDNS name. Answer with NameResolved(), or let it
// lie.
struct ResolveName {
  ice::NameId id;
  std::string name;
};
// A STUN or TURN server gave nothing; the others go on.
struct ServerFailed {
  TransportAddress server;
  absl::Status status;
  uint16_t code = 0;  // The server's, 0 if it sent none.
  ice::RelayProtocol protocol = ice::RelayProtocol::kUdp;
};
// Streams to TURN servers over TCP and TLS, and TCP connections to the peer:
// answer with StreamConnected() and StreamEnded(), as ice/stream_types.h says.
using ice::PeerStreamWanted;
using ice::StreamUnwanted;
using ice::StreamWanted;
// The last event. OK after Close() and when the peer closed its DTLS session;
// ABORTED if it aborted SCTP, which is how browsers, and kyuu, hang up;
// UNAUTHENTICATED if its certificate was wrong; else what failed.
struct Closed {
  absl::Status status;
};

using ConnectionEvent =
    std::variant<SignalingStateChanged, GatheringStateChanged, CandidateFound,
                 IceStateChanged, ConnectionStateChanged, SelectedPathChanged,
                 ResolveName, ServerFailed, StreamWanted, PeerStreamWanted,
                 StreamUnwanted, Decision, sctp::ChannelOpened,
                 sctp::ChannelIncoming, sctp::ChannelMessage,
                 sctp::ChannelMessagePart, sctp::ChannelBufferedAmountLow,
                 sctp::ChannelMessageSettled, sctp::ChannelClosing,
                 sctp::ChannelClosed, sctp::WritableAgain, Closed>;

}  // namespace kyuu::peer

#endif  // KYUU_PEER_CONNECTION_TYPES_H_
