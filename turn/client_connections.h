// ClientConnections: TCP connections between a client's relayed address and its
// peers (RFC 6062).

#ifndef KYUU_TURN_CLIENT_CONNECTIONS_H_
#define KYUU_TURN_CLIENT_CONNECTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "stun/message.h"
#include "turn/client_events.h"
#include "turn/client_options.h"
#include "turn/client_stats.h"
#include "turn/internal/client_credential.h"
#include "turn/internal/client_records.h"

namespace kyuu::turn {

// ClientConnections is a part of turn::Client (Client::connections()) whose
// allocation is of TCP (ClientOptions::relayed_transport). A connection is made
// by Connect(), or comes from a peer whose address is permitted:
//
//   client.connections().Connect(now, peer);   // event PeerConnected
//   // Open a stream to client.server(); when it is there, from `local`:
//   client.connections().Bind(now, id, local);
//   // PollTransmit() and HandlePacket() carry its messages, by the path
//   // {local, client.server(), kTcp}; event PeerJoined: it is the driver's.
//
// A stream is read one message at a time until then, for the peer's bytes may
// stand right behind the server's answer.
class ClientConnections {
 public:
  // The rest of the client.
  struct Parts {
    Random& random;
    const ClientOptions& options;
    const TransportAddress& server;
    const internal::ClientRelays& relays;
    internal::ClientCredential& credential;
    Queue<ClientEvent>& events;
    ClientStats& stats;
  };
  explicit ClientConnections(const Parts& parts) : parts_(parts) {}
  ClientConnections(const ClientConnections&) = delete;
  ClientConnections& operator=(const ClientConnections&) = delete;

  // --- The application's ---

  // Has the server connect to `peer`, which needs no permission.
  // FAILED_PRECONDITION unless there is an allocation of TCP, INVALID_ARGUMENT
  // if the peer is of no family of it, RESOURCE_EXHAUSTED beyond
  // connections_max.
  absl::Status Connect(absl::Time now, const TransportAddress& peer);
  // Makes the stream at `local` the connection's. NOT_FOUND if there is none of
  // this id (any more); FAILED_PRECONDITION if a stream was bound to it before.
  absl::Status Bind(absl::Time now, ClientConnectionId id,
                    const TransportAddress& local);
  // The stream for it has ended, or could not be opened. The server gives the
  // connection up by itself.
  void Drop(ClientConnectionId id, const absl::Status& why);

  // How many are being made or wait to be bound.
  size_t size() const { return connections_.size(); }

  // --- The client's ---

  // Whether the path is of a stream that is being bound.
  bool Binds(const Path& path) const;
  // What a response has come to: not to a request of ours; to one; to one that
  // waits for a token, or for one in the place of that which it has shown.
  enum class Heard : uint8_t { kNotOurs, kOurs, kWantsToken, kWantsAnother };
  Heard HandleResponse(absl::Time now, const Path& path,
                       const stun::MessageView& response);
  // The client has another token, and its allocation has been refreshed: what
  // has waited for that is asked for again.
  void UseToken(const ClientToken& token);
  void Refreshed() { AskAgain(Awaits::kRefresh); }
  void Attempted(absl::Time now, ClientConnectionId id,
                 const TransportAddress& peer);
  void HandleTimeout(absl::Time now);
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  absl::Time NextTimeout() const { return deadlines_.NextTimeout(); }
  // The allocation is no more, and nothing of it is told.
  void Clear();

 private:
  // In the order in which they came.
  enum class Key : uint64_t {};
  // What an answer has to be asked for again after (RFC 7635).
  enum class Awaits : uint8_t { kNothing, kToken, kRefresh };
  struct Connection {
    TransportAddress peer;
    std::optional<ClientConnectionId> id;   // Once the server has told.
    std::optional<TransportAddress> local;  // Of the stream to bind.
    // The server's nonces are of one stream each.
    std::optional<internal::ClientCredential> credential;
    // Connect, then ConnectionBind; over a stream it leaves once.
    std::optional<internal::ClientRequest> request;
    // Until then, but no longer than its deadline.
    Awaits awaits = Awaits::kNothing;
  };

  Key Add(Connection connection);
  std::optional<Key> Find(ClientConnectionId id) const;
  void Ask(Key key, int challenges);
  void AskAgain(Awaits what);
  Heard Await(Connection& connection, Awaits what);
  internal::ClientCredential& CredentialOf(Connection& connection);
  absl::Span<const uint8_t> Write(Connection& connection,
                                  absl::Span<uint8_t> out);
  void OnSuccess(absl::Time now, Key key, const stun::MessageView& response);
  void Fail(Key key, internal::Failure failure);
  void Erase(Key key);

  const Parts parts_;
  uint64_t last_key_ = 0;
  absl::btree_map<Key, Connection> connections_;
  absl::btree_set<Key> due_;  // Whose request has not left.
  // Of an answer to Connect, then of being bound.
  DeadlineQueue<Key> deadlines_;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_CLIENT_CONNECTIONS_H_
