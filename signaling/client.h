// The signaling client: joins a room, knows who is there, and introduces this
// peer to others. An engine over messages; the WebSocket is the caller's
// (client_connection.h).

#ifndef KYUU_SIGNALING_CLIENT_H_
#define KYUU_SIGNALING_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/timer.h"
#include "signaling/client_events.h"
#include "signaling/internal/outbox.h"
#include "signaling/message.h"

namespace kyuu::signaling {

class Client {
 public:
  using Packet = std::string;  // One text message.
  using Event = std::variant<Ready, Resumed, SessionLost, ConnectionLost,
                             IceServersChanged, JoinedRoom, JoinFailed,
                             PeersFound, BlockChanged, PeerChanged, CallStarted,
                             CallFailed, IncomingCall, CallAccepted, CallEnded,
                             DescriptionReceived, CandidateReceived,
                             MessageReceived, ErrorReceived, ClientClosed>;

  // The WebSocket is open at `now`; `hello` is the first message to transmit.
  Client(ClientOptions options, absl::Time now);

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  // PollTransmit hands out the next message; it owns its text, `out` is not
  // used.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;
  // The WebSocket has closed: ClientClosed or ConnectionLost follows, with a
  // text for a person made from `code` and `status`.
  void HandleConnectionClosed(absl::Time now, uint16_t code,
                              const absl::Status& status);
  // A new WebSocket is open behind ConnectionLost: Resumed or SessionLost and
  // Ready follow. FAILED_PRECONDITION if the client has not lost its
  // connection.
  absl::Status HandleConnectionOpened(absl::Time now);

  // Commands give FAILED_PRECONDITION out of order (before Ready, before or
  // after joining, a call of another state), INVALID_ARGUMENT for names and
  // metadata that the protocol does not allow, NOT_FOUND for calls that do not
  // exist, RESOURCE_EXHAUSTED beyond Options' limits.

  // Answered by JoinedRoom or JoinFailed. An empty room is the server's
  // default; `meta` is a JSON object; a room that is made with a secret lets in
  // only who shows it.
  absl::Status JoinRoom(absl::Time now, absl::string_view name,
                        absl::string_view room = "",
                        absl::string_view meta = "{}",
                        absl::string_view secret = "");
  absl::Status LeaveRoom(absl::Time now);
  absl::Status SetMeta(absl::Time now, absl::string_view meta);
  // Asks the server for peers of the room whose names begin so, in whatever
  // case, whose metadata has the members of `meta` alike, and whose names are
  // behind `after`. peers() has all of the room, unless there are more than
  // Options::max_peers. Answered by PeersFound or ErrorReceived.
  absl::Status Find(absl::Time now, absl::string_view prefix,
                    absl::string_view meta = "{}",
                    absl::string_view after = "");
  // Nothing is heard any more of who has this name in the room, who is told
  // that this peer is busy; a call with it ends. Holds in this room, also when
  // it has to be joined anew. Answered by BlockChanged or ErrorReceived.
  absl::Status Block(absl::Time now, absl::string_view name);
  absl::Status Unblock(absl::Time now, absl::string_view name);
  // Answered by CallStarted or CallFailed, then CallAccepted or CallEnded.
  absl::Status StartCall(absl::Time now, absl::string_view to,
                         absl::string_view meta = "{}");
  absl::Status AcceptCall(absl::Time now, absl::string_view call);
  absl::Status RejectCall(absl::Time now, absl::string_view call,
                          absl::string_view reason = "declined");
  absl::Status EndCall(absl::Time now, absl::string_view call,
                       absl::string_view reason = "hangup");
  // `kind` is one with a description, or kRollback without. OUT_OF_RANGE if it
  // is too large to send.
  absl::Status SendDescription(absl::Time now, absl::string_view call,
                               SignalKind kind, absl::string_view sdp);
  absl::Status SendCandidate(absl::Time now, absl::string_view call,
                             const CandidateInit& candidate);
  // Says what came of an accepted call, once: for the server's metrics.
  absl::Status ReportCall(absl::Time now, absl::string_view call,
                          CallOutcome outcome,
                          std::optional<absl::Duration> round_trip = {});
  // Says a JSON value, of at most MessageLimits::max_data_bytes, to a peer of
  // the room, or to all others if `to` is empty. What is refused is told by
  // ErrorReceived.
  absl::Status Say(absl::Time now, absl::string_view to,
                   absl::string_view data);
  // The token to be shown from now on: when the connection has been lost, and
  // by RequestCredentials(), which so makes a session last that an earlier
  // token of the same user began.
  void SetToken(std::string token) { token_ = std::move(token); }
  // Answered by IceServersChanged, with credentials that are good for a while.
  absl::Status RequestCredentials(absl::Time now);

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
  enum class State : uint8_t { kHello, kReady, kAway, kClosed };
  enum class Timer : uint8_t {
    kHello,    // `welcome` does not come.
    kRequest,  // An answer does not come.
    kRing,     // A call of ours is not answered.
    kDrain,    // The server wants to have been left.
    kCount,
  };
  enum class CallState : uint8_t { kRinging, kIncoming, kAccepted };
  struct CallRecord {
    std::string peer;
    CallState state = CallState::kRinging;
    // Of kRinging.
    absl::Time deadline = absl::InfiniteFuture();
  };
  enum class RequestKind : uint8_t {
    kJoin,
    kLeave,
    kUpdate,
    kList,
    kFind,
    kBlock,
    kUnblock,
    kCall,
    kCredentials,
    kSay,
  };
  struct Request {
    RequestKind kind{};
    std::string to;  // kCall.
    absl::Time deadline;
  };

  void On(absl::Time now, const std::string& id, Welcome& message);
  void On(absl::Time now, const std::string& id, IceServers& message);
  void On(absl::Time now, const std::string& id, Joined& message);
  void On(absl::Time now, const std::string& id, Peers& message);
  void On(absl::Time now, const std::string& id, Found& message);
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
  void On(absl::Time now, const std::string& id, Ack& message);
  void On(absl::Time now, const std::string& id, Blocked& message);
  void On(absl::Time now, const std::string& id, Unblocked& message);
  void On(absl::Time now, const std::string& id, Sent& message);
  void On(absl::Time now, const std::string& id, Said& message);
  void On(absl::Time now, const std::string& id, Error& message);
  void On(absl::Time now, const std::string& id, Drain& message);

  void SayHello(absl::Time now);
  void Resume(absl::Time now, const ResumeGrant& grant);
  void LoseSession();
  // The connection is of no more use.
  void LoseConnection(absl::Time now, absl::Status status);
  // One more message behind `welcome` has come.
  void CountReceived(size_t bytes);
  void Acknowledge(uint64_t received);
  void Arm();
  // Hangs up what has rung for too long.
  void EndRinging(absl::Time now);
  // Asks for the peers behind the name `after`.
  void ListOn(absl::Time now, const std::string& after);
  void AddPeer(Peer peer);
  void FinishCall(const std::string& call, std::string reason);
  absl::Status RequireCall(absl::string_view call, CallState state) const;
  // Sends a request that has an answer. RESOURCE_EXHAUSTED at max_requests.
  absl::Status SendRequest(absl::Time now, RequestKind kind,
                           ClientMessage message, std::string to = {});
  // Sends a message. RESOURCE_EXHAUSTED at max_queued.
  absl::Status Post(std::string text);
  std::optional<Request> TakeRequest(const std::string& id);
  // The request with this id is answered, if it is of this kind. Else it still
  // waits, the answer is counted as stale, and false returned.
  bool Settle(const std::string& id, RequestKind kind);
  void Finish(absl::Status status);

  const ClientOptions options_;
  MessageLimits limits_;  // The server's, once it has told them.
  std::string token_;
  State state_ = State::kHello;
  bool joined_ = false;
  bool joining_ = false;
  absl::btree_set<std::string> blocked_;
  std::string room_;
  std::string name_;
  std::vector<IceServer> ice_servers_;
  absl::btree_map<std::string, std::string> peers_;
  absl::btree_map<std::string, CallRecord> calls_;
  // By number, oldest first: deadlines are in the same order.
  absl::btree_map<uint64_t, Request> requests_;
  uint64_t next_request_ = 1;
  TimerTable<Timer> timers_;
  std::string session_;
  std::string secret_;     // Empty for a session that cannot be resumed.
  uint64_t received_ = 0;  // Messages behind `welcome`.
  uint64_t received_acknowledged_ = 0;
  size_t unacknowledged_bytes_ = 0;
  std::optional<absl::Time> return_at_;  // As the server has asked.
  internal::Outbox sent_;                // Handed out, and not acknowledged.
  size_t resent_ = 0;                    // Of those, since the session went on.
  std::string hello_;                    // To be sent before anything else.
  Queue<std::string> out_;
  Queue<Event> events_;
  ClientStats stats_;
};

static_assert(Engine<Client>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_CLIENT_H_
