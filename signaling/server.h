// The signaling server: rooms, presence, the directory of who is there, and
// calls between peers. An engine over messages; WebSockets are the caller's.

#ifndef KYUU_SIGNALING_SERVER_H_
#define KYUU_SIGNALING_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "signaling/internal/shares.h"
#include "signaling/message.h"

namespace kyuu::signaling {

// ConnectionId names a connection; the caller chooses it and does not use it
// again while the connection lasts.
enum class ConnectionId : uint64_t {};

struct ServerOptions {
  std::string server_name = "kyuud";  // Told in `welcome`.
  std::string default_room = "lobby";
  MessageLimits limits;
  absl::Duration ping_interval = absl::Seconds(25);  // Told in `welcome`.
  size_t max_connections = 10000;
  // Of one source: an IPv4 address or an IPv6 /64. A household or an office
  // behind one address has room in it; the whole server has not.
  size_t max_connections_per_source = 500;
  size_t max_rooms = 1000;
  // Each arrival is told to everybody: N arrivals cost N^2/2 messages.
  size_t max_peers_per_room = 500;
  // Ringing and running ones of one peer, both directions.
  size_t max_calls_per_peer = 16;
  // JSON bytes of the peers in one `joined` or `peers`; the rest is asked for
  // with `list`, so that a short request has no endless answer.
  size_t max_list_bytes = 32 * 1024;
  // A client's messages: in the long run, and at once (a call starts with some
  // 20 candidates).
  double messages_per_second = 50;
  double message_burst = 200;
  // So many messages dropped by the rate limit close the connection.
  size_t max_dropped_messages = 1000;
  // From Connect() to `hello`.
  absl::Duration hello_timeout = absl::Seconds(10);
  // How long an unanswered call rings.
  absl::Duration ring_timeout = absl::Seconds(60);
  // Bytes waiting for PollTransmit for all connections together. Beyond it
  // clients' messages are dropped (and counted) until the caller has polled.
  size_t max_queued_bytes = 64 * 1024 * 1024;
};

// Envelope is a text message from or to a connection.
struct Envelope {
  ConnectionId connection{};
  std::string text;
};

// A client has said hello. `session` is unique and unguessable, fit as a TURN
// username. Answer with SetIceServers(): `welcome` waits for it.
struct SessionOpened {
  ConnectionId connection{};
  std::string session;
};
// The session is over and its credentials are to be revoked. Comes once for
// each SessionOpened.
struct SessionClosed {
  ConnectionId connection{};
  std::string session;
};
// Send what PollTransmit has, then close this connection (RFC 6455 close code
// and reason). The engine knows it no more; Disconnect() is not needed.
struct CloseConnection {
  ConnectionId connection{};
  uint16_t code = 1008;
  std::string reason;
};

struct ServerStats {
  uint64_t messages_received = 0;
  uint64_t messages_refused = 0;  // Answered by an error.
  uint64_t messages_dropped = 0;  // For max_queued_bytes.
  uint64_t rate_limited = 0;
  uint64_t signals_relayed = 0;
  uint64_t calls_started = 0;
  uint64_t calls_accepted = 0;
  uint64_t unknown_connection = 0;  // Messages of connections not known.
};

class Server {
 public:
  using Packet = Envelope;
  using Event = std::variant<SessionOpened, SessionClosed, CloseConnection>;

  // `random` must outlive the server.
  Server(ServerOptions options, Random& random);

  // Connect announces a connection whose WebSocket is open. `source` is the
  // client's own address, by which shares of what is limited are counted.
  // RESOURCE_EXHAUSTED at max_connections or the source's share of them,
  // ALREADY_EXISTS for an id in use: close it (1013) then.
  absl::Status Connect(absl::Time now, ConnectionId connection,
                       const IpAddress& source);
  // Disconnect says that a connection is gone: its peer leaves its room, its
  // calls end ("peer_lost"), its session closes.
  void Disconnect(absl::Time now, ConnectionId connection);
  // SetIceServers answers SessionOpened: `welcome` is sent. Later calls send
  // the new list as `ice_servers`. NOT_FOUND if the session is over.
  absl::Status SetIceServers(absl::Time now, ConnectionId connection,
                             std::vector<IceServer> ice_servers);

  // HandlePacket takes one text message of a client.
  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  // PollTransmit hands out the oldest message to send. It owns its text, which
  // can be moved on to WebSocket::Send; `out` is not used.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  // Drain PollTransmit first: CloseConnection follows that connection's last
  // message.
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  size_t connection_count() const { return connections_.size(); }
  size_t peer_count() const { return peer_count_; }
  size_t room_count() const { return rooms_.size(); }
  size_t call_count() const { return calls_.size(); }
  size_t queued_bytes() const { return queued_bytes_; }
  const ServerStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  enum class State : uint8_t { kNew, kAwaitingIceServers, kReady, kJoined };
  struct Connection {
    State state = State::kNew;
    internal::Source source;
    std::string session;
    std::string hello_id;
    absl::Time hello_deadline;
    double tokens = 0;
    absl::Time tokens_at;
    size_t dropped = 0;
    // While kJoined.
    std::string room;
    Peer peer;
    std::vector<std::string> calls;
  };
  // Peers by name, in the order of lists.
  using Room = absl::btree_map<std::string, ConnectionId>;
  struct CallRecord {
    ConnectionId caller{};
    ConnectionId callee{};
    bool accepted = false;
    absl::Time deadline;  // While ringing.
  };
  // The message being handled, for answers and errors.
  struct Context {
    absl::Time now;
    ConnectionId id;
    Connection* connection;
    const std::string* request_id;
  };

  bool TakeToken(absl::Time now, ConnectionId id, Connection& connection);
  void On(const Context& context, const Hello& hello);
  void On(const Context& context, const Join& join);
  void On(const Context& context, const Update& update);
  void On(const Context& context, const List& list);
  void On(const Context& context, const Leave& leave);
  void On(const Context& context, const Call& call);
  void On(const Context& context, const Accept& accept);
  void On(const Context& context, const Reject& reject);
  void On(const Context& context, const Hangup& hangup);
  void On(const Context& context, const Signal& signal);
  void On(const Context& context, const Ping& ping);

  bool RequireJoined(const Context& context);
  // The call of that id in which the connection takes part, or nullptr after
  // an error was sent.
  CallRecord* FindCall(const Context& context, absl::string_view call);
  std::optional<std::string> CallBetween(const Connection& a,
                                         ConnectionId b) const;
  bool ListPeers(const Room& room, absl::string_view self,
                 absl::string_view after, std::vector<Peer>* peers) const;
  void EndCall(std::string call, ConnectionId by, const ServerMessage& to_other,
               const ServerMessage& to_self);
  // `request_id`: of the callee's `accept`, if it was one.
  void AcceptCall(const std::string& call, CallRecord& record,
                  std::string request_id);
  void LeaveRoom(ConnectionId id, Connection& connection,
                 absl::string_view reason);
  void Announce(ConnectionId by, const Connection& connection,
                PresenceChange change);
  void Forget(ConnectionId id, absl::string_view reason);
  void CloseFor(ConnectionId id, uint16_t code, absl::string_view reason);
  void Reply(const Context& context, ServerMessage message);
  void Refuse(const Context& context, ErrorCode code, absl::string_view message,
              absl::string_view call = {});
  void Send(ConnectionId to, const ServerMessage& message);
  void SendText(ConnectionId to, std::string text);

  const ServerOptions options_;
  Random* random_;
  absl::node_hash_map<ConnectionId, Connection> connections_;
  absl::node_hash_map<std::string, Room> rooms_;
  absl::flat_hash_map<std::string, CallRecord> calls_;
  size_t peer_count_ = 0;
  internal::Shares connections_per_source_;
  // Deadlines of connections without hello and of ringing calls.
  absl::btree_set<std::pair<absl::Time, ConnectionId>> hello_deadlines_;
  absl::btree_set<std::pair<absl::Time, std::string>> ring_deadlines_;
  std::deque<Envelope> out_;
  size_t queued_bytes_ = 0;
  std::deque<Event> events_;
  ServerStats stats_;
};

static_assert(Engine<Server>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_SERVER_H_
