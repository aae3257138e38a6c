// The signaling client: joins a room, knows who is there, and introduces this
// peer to others. An engine over messages; the WebSocket is the caller's
// (client_connection.h).

#ifndef KYUU_SIGNALING_CLIENT_H_
#define KYUU_SIGNALING_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "signaling/message.h"

namespace kyuu::signaling {

struct ClientOptions {
  std::string client_name = "kyuu";
  MessageLimits limits;
  // Peers of the room that are remembered; the server's rooms hold 500.
  size_t max_peers = 10000;
  size_t max_calls = 64;  // Ringing and running.
  // Requests waiting for their answer.
  size_t max_requests = 64;
  // Events and messages not yet polled; more end with RESOURCE_EXHAUSTED.
  size_t max_queued = 16 * 1024;
  // For an answer to hello, join, call and list.
  absl::Duration request_timeout = absl::Seconds(10);
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
// peers() lists who is there.
struct JoinedRoom {
  std::string room;
  std::string name;
};
// ALREADY_EXISTS: the name is taken. INVALID_ARGUMENT: the name cannot be
// used. RESOURCE_EXHAUSTED: the room or the server is full. Join() may be
// tried again.
struct JoinFailed {
  absl::Status status;
};
struct PeerChanged {
  PresenceChange change = PresenceChange::kJoined;
  Peer peer;
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
  SignalKind kind = SignalKind::kOffer;  // Or kAnswer.
  std::string sdp;
};
struct CandidateReceived {
  std::string call;
  CandidateInit candidate;
};
// An error that belongs to no join and no call request.
struct ErrorReceived {
  Error error;
};
// The last event. UNAVAILABLE: the server is lost. DEADLINE_EXCEEDED: it does
// not answer. INVALID_ARGUMENT: what it says is not this protocol.
struct ClientClosed {
  absl::Status status;
};

struct ClientStats {
  uint64_t messages_received = 0;
  uint64_t unknown_types = 0;  // Newer than this client; ignored.
  uint64_t stale = 0;          // About calls or requests long gone.
};

class Client {
 public:
  using Packet = std::string;  // One text message.
  using Event = std::variant<Ready, IceServersChanged, JoinedRoom, JoinFailed,
                             PeerChanged, CallStarted, CallFailed, IncomingCall,
                             CallAccepted, CallEnded, DescriptionReceived,
                             CandidateReceived, ErrorReceived, ClientClosed>;

  // The WebSocket is open at `now`; `hello` is the first message to transmit.
  Client(ClientOptions options, absl::Time now);

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  // PollTransmit hands out the next message; it owns its text, `out` is not
  // used.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;
  // The WebSocket has closed: ClientClosed follows, with a text for a person
  // made from `code` and `status`.
  void HandleConnectionClosed(absl::Time now, uint16_t code,
                              const absl::Status& status);

  // Commands give FAILED_PRECONDITION out of order (before Ready, before or
  // after joining, a call of another state), INVALID_ARGUMENT for names and
  // metadata that the protocol does not allow, NOT_FOUND for calls that do not
  // exist, RESOURCE_EXHAUSTED beyond Options' limits.

  // Answered by JoinedRoom or JoinFailed. An empty room is the server's
  // default; `meta` is a JSON object.
  absl::Status JoinRoom(absl::Time now, absl::string_view name,
                        absl::string_view room = "",
                        absl::string_view meta = "{}");
  absl::Status LeaveRoom(absl::Time now);
  absl::Status SetMeta(absl::Time now, absl::string_view meta);
  // Answered by CallStarted or CallFailed, then CallAccepted or CallEnded.
  absl::Status StartCall(absl::Time now, absl::string_view to,
                         absl::string_view meta = "{}");
  absl::Status AcceptCall(absl::Time now, absl::string_view call);
  absl::Status RejectCall(absl::Time now, absl::string_view call,
                          absl::string_view reason = "declined");
  absl::Status EndCall(absl::Time now, absl::string_view call,
                       absl::string_view reason = "hangup");
  // `kind` is kOffer or kAnswer. OUT_OF_RANGE if it is too large to send.
  absl::Status SendDescription(absl::Time now, absl::string_view call,
                               SignalKind kind, absl::string_view sdp);
  absl::Status SendCandidate(absl::Time now, absl::string_view call,
                             const CandidateInit& candidate);

  bool ready() const { return state_ == State::kReady; }
  bool joined() const { return joined_; }
  const std::string& name() const { return name_; }
  const std::string& room() const { return room_; }
  // The others in the room, by name: name -> metadata.
  const absl::btree_map<std::string, std::string>& peers() const {
    return peers_;
  }
  const std::vector<IceServer>& ice_servers() const { return ice_servers_; }
  const ClientStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  enum class State : uint8_t { kHello, kReady, kClosed };
  enum class CallState : uint8_t { kRinging, kIncoming, kAccepted };
  struct CallRecord {
    std::string peer;
    CallState state = CallState::kRinging;
  };
  enum class RequestKind : uint8_t { kHello, kJoin, kList, kCall, kOther };
  struct Request {
    RequestKind kind = RequestKind::kOther;
    std::string to;  // kCall.
    absl::Time deadline;
  };

  void On(absl::Time now, const std::string& id, Welcome& message);
  void On(absl::Time now, const std::string& id, IceServers& message);
  void On(absl::Time now, const std::string& id, Joined& message);
  void On(absl::Time now, const std::string& id, Peers& message);
  void On(absl::Time now, const std::string& id, Presence& message);
  void On(absl::Time now, const std::string& id, Updated& message);
  void On(absl::Time now, const std::string& id, Left& message);
  void On(absl::Time now, const std::string& id, Calling& message);
  void On(absl::Time now, const std::string& id, Incoming& message);
  void On(absl::Time now, const std::string& id, Accepted& message);
  void On(absl::Time now, const std::string& id, Rejected& message);
  void On(absl::Time now, const std::string& id, Hangup& message);
  void On(absl::Time now, const std::string& id, Signal& message);
  void On(absl::Time now, const std::string& id, Pong& message);
  void On(absl::Time now, const std::string& id, Error& message);

  void AddPeer(Peer peer);
  void FinishCall(const std::string& call, std::string reason);
  absl::Status RequireCall(absl::string_view call, CallState state) const;
  // Sends a request that has an answer; returns false at max_requests.
  bool SendRequest(absl::Time now, RequestKind kind, ClientMessage message,
                   std::string to = {});
  std::optional<Request> TakeRequest(const std::string& id);
  void Finish(absl::Status status);

  const ClientOptions options_;
  MessageLimits limits_;  // The server's, once it has told them.
  State state_ = State::kHello;
  bool joined_ = false;
  bool joining_ = false;
  std::string room_;
  std::string name_;
  std::vector<IceServer> ice_servers_;
  absl::btree_map<std::string, std::string> peers_;
  absl::btree_map<std::string, CallRecord> calls_;
  // By number, oldest first: deadlines are in the same order.
  absl::btree_map<uint64_t, Request> requests_;
  uint64_t next_request_ = 1;
  std::deque<std::string> out_;
  std::deque<Event> events_;
  ClientStats stats_;
};

static_assert(Engine<Client>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_CLIENT_H_
