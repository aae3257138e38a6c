// PeerConnections: what a TURN server knows of TCP connections between relayed
// addresses and peers (RFC 6062).

#ifndef KYUU_TURN_PEER_CONNECTIONS_H_
#define KYUU_TURN_PEER_CONNECTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "base/random.h"
#include "stun/protocol.h"
#include "turn/bandwidth.h"
#include "turn/forward.h"
#include "turn/internal/allocation.h"
#include "turn/internal/allocation_table.h"
#include "turn/internal/answer.h"
#include "turn/internal/answer_queue.h"
#include "turn/internal/peer_policy.h"
#include "turn/internal/request.h"
#include "turn/internal/throttle.h"
#include "turn/ledger.h"
#include "turn/server_events.h"
#include "turn/server_options.h"
#include "turn/server_stats.h"

namespace kyuu::turn {

// PeerConnections is a part of turn::Server (Server::connections()) that
// drivers with sockets for TCP speak to. A connection is made for a client
// (ConnectPeer) or has come to a relay; it waits until the client binds a
// stream of its own to it (Forward::Exit::kJoin), and is then only passed on by
// the driver. What a peer sends before stays in the driver's socket, unread.
// Ids that are gone are ignored.
class PeerConnections {
 public:
  // The rest of the server.
  struct Parts {
    const ServerOptions& options;
    Random& random;
    const internal::PeerPolicy& policy;
    internal::AllocationTable& allocations;
    Ledger& ledger;
    internal::Throttle& throttle;
    internal::AnswerQueue& answers;
    std::deque<ServerEvents::Event>& events;
    ServerStats& stats;
  };

  explicit PeerConnections(const Parts& parts) : parts_(parts) {}
  ~PeerConnections();
  PeerConnections(const PeerConnections&) = delete;
  PeerConnections& operator=(const PeerConnections&) = delete;

  // --- The driver's ---

  // A connection of `peer` has come to a relay; nullopt if it is to be reset:
  // the peer has no permission, or there are too many.
  std::optional<ConnectionId> Accepted(absl::Time now, RelayId relay,
                                       const TransportAddress& peer);
  // Answers to ConnectPeer.
  void Connected(absl::Time now, ConnectionId id);
  void Failed(ConnectionId id);
  // Bytes that a joined connection has passed on. Returns how long no more of
  // that direction are to be read, for want of bandwidth; then it is to be
  // called again, with no bytes.
  absl::Duration Passed(absl::Time now, ConnectionId id, Direction direction,
                        size_t bytes);
  // One that was connected is no more.
  void Gone(ConnectionId id);

  // --- The server's ---

  // Where a Connect request leads: from a relay's socket to a peer, which is
  // told as `peer` and reached at `target`.
  struct Route {
    RelayId relay;
    TransportAddress bind;
    TransportAddress peer;
    TransportAddress target;
  };
  // Begins to connect; the answer comes later, unless it is an error at once.
  std::optional<stun::Error> Connect(const internal::ServerRequest& request,
                                     const internal::Allocation& allocation,
                                     const Route& route);
  // The allocation whose connection waits for being bound, or null.
  internal::Allocation* OwnerOf(ConnectionId id) const;
  // Binds it: it is the driver's from now on.
  void Join(ConnectionId id);
  // An allocation has ended, or one of its relays.
  void End(const internal::Allocation& allocation);
  void End(const internal::Allocation& allocation, RelayId relay);
  // Ends those whose peers are refused by policy now.
  void Enforce(const internal::Allocation& allocation);
  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const { return deadlines_.NextTimeout(); }

  size_t size() const { return connections_.size(); }

 private:
  // The client asked for it and it is being made; it waits to be bound; it is.
  enum class State : uint8_t { kConnecting, kWaiting, kJoined };
  struct Connection {
    State state;
    RelayId allocation;
    RelayId relay;
    TransportAddress peer;
    stun::TransactionId request;  // With kConnecting: the Connect request,
    bool fingerprint = false;     // which had one.
    // Bytes that were passed on before there was bandwidth, by Direction.
    std::array<size_t, 2> owed{};
  };
  using Ids = absl::InlinedVector<ConnectionId, 2>;

  std::optional<stun::Error> Admit(const internal::Allocation& allocation,
                                   const TransportAddress& peer) const;
  ConnectionId Add(const internal::Allocation& allocation,
                   const Connection& connection, absl::Time deadline);
  // Forgets one and gives its share back.
  void Erase(ConnectionId id);
  void Close(ConnectionId id);
  template <typename Predicate>
  void CloseIf(const internal::Allocation& allocation, Predicate predicate);
  internal::Answer AnswerTo(const Connection& connection) const;

  const Parts parts_;
  absl::flat_hash_map<ConnectionId, Connection> connections_;
  absl::flat_hash_map<RelayId, Ids> by_allocation_;
  // Until it is connected, and then until it is bound.
  DeadlineQueue<ConnectionId> deadlines_;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_PEER_CONNECTIONS_H_
