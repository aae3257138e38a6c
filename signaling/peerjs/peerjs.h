// The server of PeerJS as its clients, version 1, speak to it: peers with ids
// and tokens, to whom offers, answers and candidates are passed on. An engine
// over messages; WebSockets are the caller's. The protocol, and what differs
// from its reference server: docs/dialects.md.

#ifndef KYUU_SIGNALING_PEERJS_PEERJS_H_
#define KYUU_SIGNALING_PEERJS_PEERJS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "signaling/backplane/links.h"
#include "signaling/envelope.h"
#include "signaling/internal/send_queue.h"
#include "signaling/internal/shares.h"
#include "signaling/internal/token_bucket.h"
#include "signaling/peerjs/internal/kept_messages.h"
#include "signaling/peerjs/internal/nodes.h"
#include "signaling/peerjs/node_message.h"
#include "signaling/peerjs/peerjs_options.h"
#include "signaling/server_nodes.h"

namespace kyuu::signaling {

// What a client says in the query of its WebSocket's URL.
struct PeerJsIdentity {
  std::string id;
  std::string token;  // Proves that a peer that reconnects is the same one.
  std::string key;
  // Why it is refused by who has looked at it, or "".
  std::string refusal = {};
};

// What the root of a PeerJS server answers, in JSON.
inline constexpr char kPeerJsGreeting[] =
    R"({"name":"PeerJS Server","description":"A server side element to broker )"
    R"(connections between PeerJS clients.","website":"https://peerjs.com/"})";

class PeerJsServer {
 public:
  using Packet = Envelope;
  using Event = std::variant<CloseConnection>;

  // `random` must outlive the server.
  PeerJsServer(PeerJsOptions options, Random& random);
  PeerJsServer(const PeerJsServer&) = delete;
  PeerJsServer& operator=(const PeerJsServer&) = delete;

  // Connect announces a connection whose WebSocket is open. `source` is the
  // client's own address, by which shares of what is limited are counted;
  // IpAddress() if it is not known (behind a proxy): no share, then. It is told
  // OPEN, and what waits for it; or, if its identity is refused or there is no
  // room for it, the reason, and CloseConnection follows. A connection of the
  // same id and token replaces the one before, which is closed.
  //
  // RESOURCE_EXHAUSTED if too much waits to be sent, ALREADY_EXISTS for a
  // connection in use: refuse or close it then.
  absl::Status Connect(absl::Time now, ConnectionId connection,
                       const IpAddress& source, const PeerJsIdentity& identity);
  // Disconnect says that a connection is gone: its peer's id is free. Nobody is
  // told, as established calls go on without the server.
  void Disconnect(ConnectionId connection);

  // HandlePacket takes one message of a client, text or binary.
  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  // PollTransmit hands out the oldest message to send. It owns its text; `out`
  // is not used.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  // Drain PollTransmit first: CloseConnection follows that connection's last
  // message.
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // Of several nodes: makes it one of them, before anybody connects. An id is
  // one peer's on all of them; who connects is told OPEN once it is his. What
  // it wants of the others is drained with its events: ToNode (to be taken
  // there by Server::PassPeerJs), ClaimPlace and FreePlace. It takes the coming
  // and going of nodes and, as a NodeMessage, what PeerJsElsewhere has for it.
  void Federate();
  void HandleNode(absl::Time now, const Links::Event& event);
  void HandleClaim(absl::Time now, const ClaimAnswer& answer);
  void HandleBackplane(absl::Time now, BackplaneState state);
  std::optional<NodeCommand> PollNodeCommand();

  // An id that nobody has: a UUID of version 4 (RFC 9562 section 5.4).
  std::string NewId();
  // The ids of all peers, of all nodes, as an array of JSON, in their order.
  std::string ListPeers() const;

  size_t peer_count() const { return peers_.size(); }
  // Of other nodes.
  size_t remote_peer_count() const {
    return nodes_ == nullptr ? 0 : nodes_->remote_count();
  }
  size_t queued_bytes() const { return out_.bytes(); }
  // Of messages for peers that are not there.
  size_t kept_bytes() const { return kept_.bytes(); }
  const PeerJsStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  // What a peer says before it has its id on all nodes.
  struct Said {
    std::deque<std::string> texts;
    size_t bytes = 0;
  };
  struct Peer {
    uint64_t number = 0;  // Tells it from a later peer of the same id.
    ConnectionId connection{};
    std::string token;
    internal::Source source;
    internal::TokenBucket messages;
    size_t dropped = 0;
    std::unique_ptr<Said> said = nullptr;  // Null once it has its id.

    bool is_open() const { return said == nullptr; }
  };
  // By id: listed in the same order each time.
  using Peers = absl::btree_map<std::string, Peer>;

  // Why somebody is turned away, and in a message of which type that is told;
  // "" if he is not.
  struct Verdict {
    absl::string_view type;
    absl::string_view reason;
  };
  static constexpr Verdict kIdTaken = {"ID-TAKEN", "ID is taken"};
  // Of an identity, whoever has it.
  Verdict Judge(const PeerJsIdentity& identity) const;
  // Gives the peer, who is there, another connection; false if its source has
  // no room for it.
  bool TakeOver(Peer& peer, ConnectionId connection,
                const internal::Source& source);
  // Greets a peer on its connection, and hands it what is kept for it.
  void Open(ConnectionId connection, const std::string& id);
  // Sends the last message to a connection that is not a peer's.
  void TurnAway(ConnectionId connection, const Verdict& why, uint16_t code);
  void Wait(ConnectionId connection, Peer& peer, std::string text);
  // Judges what the peer says and tells it what is wrong with it.
  void Handle(absl::Time now, const std::string& id, Peer& peer,
              absl::string_view text);
  // Returns what is wrong, or "".
  absl::string_view Judge(absl::Time now, const std::string& id, Peer& peer,
                          absl::string_view text);
  // To the peer, wherever it is; or it waits for it.
  void PassOn(absl::Time now, const internal::Source& source,
              peerjs::Passed message);
  // Tells `to`, if it is the peer that has sent it, that `absent` is not there.
  void Expire(const std::string& to, uint64_t number,
              const std::string& absent);
  void Close(ConnectionId connection, uint16_t code, absl::string_view reason);
  // Forgets the peer of a connection; its id is another matter.
  void Forget(ConnectionId connection);

  void HandleMessage(absl::Time now, NodeId from, absl::string_view bytes);
  void On(NodeId from, peerjs::Passed& passed);
  void On(absl::Time now, peerjs::Returned& returned);
  void On(NodeId from, const peerjs::Wanted& wanted);
  bool IsId(absl::string_view id) const;
  bool IsText(const peerjs::Passed& passed) const;
  // Does what has become of ids.
  void Settle(absl::Time now);
  void HandleOurs(absl::Time now, const std::string& id, Peer& peer);
  void Send(ConnectionId connection, std::string text);

  const PeerJsOptions options_;
  Random& random_;
  Peers peers_;
  // Whose connection each is.
  absl::flat_hash_map<ConnectionId, std::string> ids_;
  uint64_t next_number_ = 1;
  internal::Shares peers_per_source_;
  internal::KeptMessages kept_;
  size_t said_bytes_ = 0;  // Of all peers.
  internal::SendQueue out_;
  std::deque<Event> events_;
  PeerJsStats stats_;
  std::unique_ptr<internal::PeerJsNodes> nodes_;  // Of several nodes only.
};

static_assert(Engine<PeerJsServer>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_PEERJS_PEERJS_H_
