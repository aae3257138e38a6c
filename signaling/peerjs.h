// The server of PeerJS as its clients, version 1, speak to it: peers with ids
// and tokens, to whom offers, answers and candidates are passed on. An engine
// over messages; WebSockets are the caller's. The protocol, and what differs
// from its reference server: docs/dialects.md.

#ifndef KYUU_SIGNALING_PEERJS_H_
#define KYUU_SIGNALING_PEERJS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
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
#include "signaling/envelope.h"
#include "signaling/internal/kept_messages.h"
#include "signaling/internal/send_queue.h"
#include "signaling/internal/shares.h"
#include "signaling/internal/token_bucket.h"
#include "signaling/peerjs_options.h"

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
  absl::Time NextTimeout() const { return kept_.NextTimeout(); }

  // An id that nobody has: a UUID of version 4 (RFC 9562 section 5.4).
  std::string NewId();
  // The ids of all peers as an array of JSON, in their order.
  std::string ListPeers() const;

  size_t peer_count() const { return peers_.size(); }
  size_t queued_bytes() const { return out_.bytes(); }
  // Of messages for peers that are not there.
  size_t kept_bytes() const { return kept_.bytes(); }
  const PeerJsStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  struct Peer {
    uint64_t number = 0;  // Tells it from a later peer of the same id.
    ConnectionId connection{};
    std::string token;
    internal::Source source;
    internal::TokenBucket messages;
    size_t dropped = 0;
  };
  // By id: listed in the same order each time.
  using Peers = absl::btree_map<std::string, Peer>;

  // Why somebody is turned away, and in a message of which type that is told;
  // "" if he is not.
  struct Verdict {
    absl::string_view type;
    absl::string_view reason;
  };
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
  // Returns what is wrong, or "".
  absl::string_view Handle(absl::Time now, const std::string& id, Peer& peer,
                           absl::string_view text);
  void PassOn(absl::Time now, const std::string& id, Peer& peer,
              absl::string_view type, const std::string& to,
              absl::string_view payload);
  // Tells `to`, if it is the peer that has sent it, that `absent` is not there.
  void Expire(const std::string& to, uint64_t number,
              const std::string& absent);
  void Close(ConnectionId connection, uint16_t code, absl::string_view reason);
  void Send(ConnectionId connection, std::string text);

  const PeerJsOptions options_;
  Random& random_;
  Peers peers_;
  // Whose connection each is.
  absl::flat_hash_map<ConnectionId, std::string> ids_;
  uint64_t next_number_ = 1;
  internal::Shares peers_per_source_;
  internal::KeptMessages kept_;
  internal::SendQueue out_;
  std::deque<Event> events_;
  PeerJsStats stats_;
};

static_assert(Engine<PeerJsServer>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_PEERJS_H_
