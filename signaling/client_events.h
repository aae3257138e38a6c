// What a signaling client is set up with, reports and counts.

#ifndef KYUU_SIGNALING_CLIENT_EVENTS_H_
#define KYUU_SIGNALING_CLIENT_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "signaling/message.h"

namespace kyuu::signaling {

// kKeep: the client asks for a session that outlives its connection, and waits
// for a new one (Client::HandleConnectionOpened) when it is lost. kEnd: the
// client ends with its connection.
enum class OnLoss : uint8_t { kEnd, kKeep };

struct ClientOptions {
  std::string client_name = "kyuu";
  OnLoss on_loss = OnLoss::kEnd;
  // By which the server lets this client in: a token, or an API key. At most
  // kMaxTokenBytes.
  std::string token;
  MessageLimits limits;
  // Peers of the room that are remembered; the server's rooms hold 500.
  size_t max_peers = 10000;
  size_t max_calls = 64;  // Ringing and running.
  // Requests waiting for their answer.
  size_t max_requests = 64;
  // Events and messages not yet polled; more end with RESOURCE_EXHAUSTED.
  size_t max_queued = 16 * 1024;
  // Messages kept until the server has acknowledged them, with kKeep: what may
  // have to be said again. The server acknowledges every 16th.
  size_t max_kept_bytes = 256 * 1024;
  // For an answer to hello and to each request.
  absl::Duration request_timeout = absl::Seconds(10);
  // For a call of ours to be answered. The server ends one after 60 s
  // (docs/signaling_protocol.md, "Limits"); one that does not is not waited
  // for.
  absl::Duration ring_timeout = absl::Seconds(90);
};

// RTCIceCandidateInit. An empty `candidate` ends the candidates of this
// description.
struct CandidateInit {
  std::string candidate;  // "candidate:..."
  std::optional<std::string> sdp_mid;
  std::optional<int> sdp_m_line_index;
  std::optional<std::string> username_fragment;
};

// Events. A status carries a text for the person at the terminal.
struct Ready {
  std::string session;
  std::string server;
  std::vector<IceServer> ice_servers;
};
struct IceServersChanged {
  std::vector<IceServer> ice_servers;
};
// With OnLoss::kKeep. The connection is lost, or does not answer: close it, and
// open a new WebSocket and call HandleConnectionOpened() after 1, 2, 4, ... at
// most 30 s, with some jitter. Meanwhile commands about a room and its calls
// are taken and kept. UNAVAILABLE or DEADLINE_EXCEEDED. A server that goes away
// on purpose may have said when to come back: after `retry_after`, then.
struct ConnectionLost {
  absl::Status status;
  std::optional<absl::Duration> retry_after = std::nullopt;
};
// The session goes on as if nothing had happened: what either side has said
// meanwhile arrives, once and in order. Credentials of `ice_servers` are good
// for running calls, too (to restart their ICE).
struct Resumed {
  std::vector<IceServer> ice_servers;
};
// The server does not have the session any more (it was restarted, or it took
// too long); Ready follows for a new one. The room is left and signaling about
// these calls is at its end, without CallEnded; connections between peers that
// are established live on. What was said since the loss has reached nobody.
// JoinRoom(name, room) comes back.
struct SessionLost {
  std::string room;  // Empty if it was in none.
  std::string name;
  std::vector<std::string> calls;
};
// peers() lists who is there.
struct JoinedRoom {
  std::string room;
  std::string name;
};
// ALREADY_EXISTS: the name is taken. INVALID_ARGUMENT: the name cannot be
// used. RESOURCE_EXHAUSTED: the room or the server is full. PERMISSION_DENIED:
// the token does not let this client in there, or the room has another secret.
// Join() may be tried again.
struct JoinFailed {
  absl::Status status;
};
struct PeerChanged {
  PresenceChange change = PresenceChange::kJoined;
  Peer peer;
};
// The answer to Find().
struct PeersFound {
  std::vector<Peer> peers;
  std::string after;  // Unless it is empty, Find() again behind this name.
};
// The answer to Block() and Unblock().
struct BlockChanged {
  std::string name;
  bool is_blocked = false;
};
// The answer to StartCall(): it rings there. In glare (both call each other)
// both get the same call, accepted.
struct CallStarted {
  std::string call;
  std::string to;
  bool polite = false;  // The role of perfect negotiation.
};
// NOT_FOUND: nobody of that name is here.
struct CallFailed {
  std::string to;
  absl::Status status;
};
struct IncomingCall {
  std::string call;
  std::string from;
  bool polite = true;
  std::string meta;
};
// Both ends get it; offers may be sent from here on.
struct CallAccepted {
  std::string call;
  std::string peer;
};
// `reason` is the protocol's word; `text` says it to a person.
struct CallEnded {
  std::string call;
  std::string peer;
  std::string reason;
  std::string text;
};
struct DescriptionReceived {
  std::string call;
  SignalKind kind = SignalKind::kOffer;  // Or kAnswer, kPranswer, kRollback.
  std::string sdp;                       // Empty with kRollback.
};
struct CandidateReceived {
  std::string call;
  CandidateInit candidate;
};
// What an application of the room says: `data` is JSON.
struct MessageReceived {
  std::string from;
  bool is_for_all = false;
  std::string data;
};
// An error that belongs to no join and no call request.
struct ErrorReceived {
  Error error;
};
// The last event. UNAVAILABLE: the server is lost (with OnLoss::kEnd), or
// another connection has taken the session, or cannot be spoken with.
// DEADLINE_EXCEEDED: it does not answer. INVALID_ARGUMENT: what it says is not
// this protocol. PERMISSION_DENIED: it asks for a token, or for another one.
struct ClientClosed {
  absl::Status status;
};

struct ClientStats {
  uint64_t messages_received = 0;
  uint64_t unknown_types = 0;  // Newer than this client; ignored.
  uint64_t stale = 0;          // About calls or requests long gone.
  uint64_t resumed = 0;        // Times that the session went on.
  uint64_t sessions_lost = 0;  // Times that it did not.

  static constexpr Counter<ClientStats> kCounters[] = {
      KYUU_COUNTER(ClientStats, messages_received),
      KYUU_COUNTER(ClientStats, unknown_types),
      KYUU_COUNTER(ClientStats, stale),
      KYUU_COUNTER(ClientStats, resumed),
      KYUU_COUNTER(ClientStats, sessions_lost),
  };
};
static_assert(Countable<ClientStats>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_CLIENT_EVENTS_H_
