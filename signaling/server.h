// The signaling server: kyuu's protocol for many connections. It turns messages
// into commands of the directory (directory.h) and what comes of them into
// messages, and keeps each peer's session beyond its connection. An engine over
// messages; WebSockets are the caller's.

#ifndef KYUU_SIGNALING_SERVER_H_
#define KYUU_SIGNALING_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/histogram.h"
#include "base/random.h"
#include "signaling/backplane/links.h"
#include "signaling/backplane/node.h"
#include "signaling/directory.h"
#include "signaling/envelope.h"
#include "signaling/internal/saying.h"
#include "signaling/internal/session.h"
#include "signaling/internal/shares.h"
#include "signaling/message.h"
#include "signaling/server_events.h"
#include "signaling/server_nodes.h"
#include "signaling/server_options.h"
#include "signaling/token/admission.h"

namespace kyuu::signaling {
namespace internal {

class Federation;

}  // namespace internal

class Server {
 public:
  using Packet = Envelope;
  using Event = ServerEvent;

  // `random` must outlive the server, and so must `admission`, which judges who
  // may come; without one everybody may.
  Server(ServerOptions options, Random& random, Admission* admission = nullptr);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Connect announces a connection whose WebSocket is open. `source` is the
  // client's own address, by which shares of what is limited are counted;
  // IpAddress() if it is not known (behind a proxy): no share, then.
  // RESOURCE_EXHAUSTED at max_connections or the source's share of them,
  // ALREADY_EXISTS for an id in use: close it (1013) then.
  absl::Status Connect(absl::Time now, ConnectionId connection,
                       const IpAddress& source);
  // Disconnect says that a connection is gone. A session that can be resumed
  // waits for its client if the connection was lost. Others end: the peer
  // leaves its room, its calls end ("peer_lost").
  void Disconnect(absl::Time now, ConnectionId connection, Departure departure);
  // SetIceServers answers SessionOpened and CredentialsWanted. Called unasked
  // it sends the new list as `ice_servers`. NOT_FOUND if the session is over.
  absl::Status SetIceServers(absl::Time now, absl::string_view session,
                             std::vector<IceServer> ice_servers);

  // Asks a client to come back by another connection then, as Drain says.
  // NOT_FOUND for a connection without a session.
  absl::Status TellDrain(ConnectionId connection, absl::Duration retry_after);

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

  // Of several nodes: makes it one of them, before anybody connects. What it
  // wants of them is drained with its events. It takes what its links
  // (backplane/links.h) have for it, answers to its ClaimPlace, and whether all
  // that works: at first it does not.
  void Federate(NodeId self);
  void HandleNode(absl::Time now, Links::Event event);
  void HandleClaim(absl::Time now, const ClaimAnswer& answer);
  void HandleBackplane(absl::Time now, BackplaneState state);
  std::optional<NodeCommand> PollNodeCommand();
  // Tells all nodes what clients of another dialect have published here.
  void Publish(std::string text);
  // Takes to another node, if its link is up, what the server of PeerJS here
  // has for the one there; PeerJsElsewhere comes of it.
  void PassPeerJs(NodeId to, std::string message);
  FederationStats federation_stats() const;
  // In rooms, of other nodes.
  size_t remote_peer_count() const;

  size_t connection_count() const { return connections_.size(); }
  // Sessions that wait for their clients.
  size_t waiting_session_count() const { return sessions_.in_grace(); }
  size_t peer_count() const {
    return directory_.peer_count() - remote_peer_count();
  }
  size_t room_count() const { return directory_.room_count(); }
  size_t call_count() const { return directory_.call_count(); }
  size_t queued_bytes() const { return queued_bytes_; }
  // Of messages that clients have not acknowledged.
  size_t kept_bytes() const { return sessions_.kept_bytes(); }
  const ServerStats& stats() const { return stats_; }
  // Of calls, in seconds, as clients report them.
  const Histogram& round_trips() const { return round_trips_; }
  std::string DebugString() const;

 private:
  friend class internal::Federation;

  using Session = internal::Session;
  struct Connection {
    Member member{};  // Whose session it serves.
    internal::Source source;
  };
  struct Outgoing {
    ConnectionId connection{};
    absl::Cord text;
  };
  // The message being handled, for answers and errors.
  struct Context {
    absl::Time now;
    Session& session;
    const std::string& request_id;
    absl::string_view text;
  };

  // A message of the client that is to be counted, or has been.
  enum class Arrival : uint8_t { kNew, kCounted };
  void HandleText(absl::Time now, Session& session, std::string text,
                  Arrival arrival);

  bool TakeToken(absl::Time now, Session& session);
  void AcknowledgeReceived(Session& session);

  void On(const Context& context, const Hello& hello);
  void On(const Context& context, const Join& join);
  void On(const Context& context, const Update& update);
  void On(const Context& context, const List& list);
  void On(const Context& context, const Find& find);
  void On(const Context& context, const Leave& leave);
  void On(const Context& context, const Call& call);
  void On(const Context& context, const Accept& accept);
  void On(const Context& context, const Reject& reject);
  void On(const Context& context, const Hangup& hangup);
  void On(const Context& context, const Signal& signal);
  void On(const Context& context, const Ping& ping);
  void On(const Context& context, const Credentials& credentials);
  void On(const Context& context, const Ack& ack);
  void On(const Context& context, const Block& block);
  void On(const Context& context, const Unblock& unblock);
  void On(const Context& context, const Say& say);
  void On(const Context& context, const Report& report);

  void On(const effect::PeersChanged& changed);
  void On(const effect::CallRings& rings);
  void On(const effect::CallAccepted& accepted);
  void On(const effect::CallRejected& rejected);
  void On(const effect::CallEnded& ended);

  // What `token` lets the client do; nullopt if it was refused and told so,
  // and the session may be gone then.
  std::optional<Grant> Admit(const Context& context, const std::string& token);
  enum class Resumable : uint8_t { kNo, kYes };
  void Begin(Session& session, std::string request_id, Resumable resumable,
             Grant grant);
  // How the name is kept that a client wants to block or unblock; nullopt if
  // it was refused and told so.
  std::optional<std::string> LooksOf(const Context& context,
                                     absl::string_view name);
  bool IsBlocked(const Session& session, absl::string_view name) const;
  void EndCallsWithBlocked(Session& session);
  // Passes what an application says on; false if too much waits for `to`.
  bool Deliver(Member from, const std::string& name, Member to,
               const absl::Cord& text);
  void SaySome();
  // What opens the room (Directory::Unlock); nullopt if the client was refused
  // and told so, and the session may be gone then.
  std::optional<std::string> Unlock(const Context& context, const Join& join);
  // False, and the client is told so, if it is refused.
  bool FinishJoin(const Context& context, const JoinRequest& request);
  void SetGrant(Session& session, Grant grant);
  void Resume(const Context& context, Session& resumed, uint64_t received);
  void SendWelcome(absl::Time now, Session& session,
                   std::vector<IceServer> ice_servers);
  void ForgetConnection(ConnectionId connection);
  // Closes its connection, if any, and ends it.
  void Drop(absl::Time now, Session& session, absl::string_view reason);
  // Ends the session and what it takes part in; frees `session`.
  void End(absl::Time now, Session& session);
  // Closes its connection and, unless it waits for another one, ends it.
  void Close(absl::Time now, Session& session, uint16_t code,
             absl::string_view reason, Departure departure);
  // Works off what the step has caused, until nothing more comes of it.
  void Settle(absl::Time now);
  void TakeEffects();

  // Answers errors for the message; the answer otherwise.
  void Reply(const Context& context, ServerMessage message);
  void Refuse(const Context& context, ErrorCode code,
              absl::string_view message);
  void Refuse(const Context& context, const Refusal& refusal);
  bool TakeRate(const Context& context, internal::TokenBucket& bucket,
                absl::string_view what, double count = 1);
  void Send(Session& session, const ServerMessage& message);
  void SendTo(Member member, const ServerMessage& message);
  void SendText(Session& session, const absl::Cord& text);
  void Enqueue(ConnectionId connection, absl::Cord text);

  const ServerOptions options_;
  Admission* const admission_;  // Or null.
  Random& random_;
  internal::Sessions sessions_;
  Directory directory_;
  absl::flat_hash_map<ConnectionId, Connection> connections_;
  internal::Shares connections_per_source_;
  // Sessions beyond their bounds, to be ended when the step is done.
  std::vector<Member> doomed_;
  std::deque<internal::Saying> sayings_;
  std::deque<Outgoing> out_;
  size_t queued_bytes_ = 0;
  std::deque<Event> events_;
  ServerStats stats_;
  Histogram round_trips_;
  std::unique_ptr<internal::Federation> federation_;  // Of several nodes only.
};

static_assert(Engine<Server>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_SERVER_H_
