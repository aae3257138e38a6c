// What a TURN server tells its driver.

#ifndef KYUU_TURN_SERVER_EVENTS_H_
#define KYUU_TURN_SERVER_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "turn/forward.h"
#include "turn/ledger.h"
#include "turn/server_options.h"

namespace kyuu::turn::server_events {

// Open a socket at `bind`, for TCP one that listens, and answer with
// RelayOpened or RelayFailed.
struct OpenRelay {
  RelayId relay;
  TransportAddress bind;
  Transport transport = Transport::kUdp;
  // The port above is reserved until then, with a socket of its own that is
  // kept for whoever opens it; without one this is RelayFailed, too.
  std::optional<absl::Time> next_reserved_until;
};
// Close it, and with it all connections of its peers. By the next PollEvent()
// the port may be somebody else's.
struct CloseRelay {
  RelayId relay;
  TransportAddress bind;
};

// Connect to `peer` from `bind`, where a relay listens, and answer with
// PeerConnections::Connected() or Failed().
struct ConnectPeer {
  ConnectionId connection;
  RelayId relay;
  TransportAddress bind;
  TransportAddress peer;
};
// Close the connection, and the stream of the client that is joined with it.
struct ClosePeer {
  ConnectionId connection;
  RelayId relay;
};

// Names an allocation in logs and lists as long as it lives, wherever it moves:
// drawn at random, so that it is never the same again.
enum class SessionId : uint64_t {};

// For logs and accounting.
struct AllocationMade {
  SessionId session;
  RelayId relay;
  Path client;
  TransportAddress relayed;
  std::string username;
  // Of a dual allocation: its IPv6 address.
  std::optional<TransportAddress> additional;
  Transport transport = Transport::kUdp;  // Of the relayed address.
  std::string realm;
};

// The client of an allocation has another 5-tuple from now on (RFC 8016).
struct AllocationMoved {
  RelayId relay;
  Path from;
  Path to;
};

// What an allocation has relayed, in datagrams and bytes of payload; of TCP to
// peers the bytes only.
struct Traffic {
  uint64_t to_peers = 0;
  uint64_t to_clients = 0;
  uint64_t bytes_to_peers = 0;
  uint64_t bytes_to_clients = 0;
  // Datagrams dropped beyond ServerOptions::bandwidth.
  uint64_t over_bandwidth_to_peers = 0;
  uint64_t over_bandwidth_to_clients = 0;
};

// An allocation as an operator sees it in a list. What it has relayed counts
// from its beginning, wherever its client has moved.
struct SessionInfo {
  SessionId session;
  std::string username;
  std::string quota_user;  // NAME, if the user name is a time-limited one.
  std::string realm;
  Path client;
  TransportAddress relayed;
  std::optional<TransportAddress> additional;  // As AllocationMade's.
  absl::Time made;
  absl::Time expires;  // Unless it is refreshed.
  Traffic traffic;
  size_t permissions = 0;
  size_t channels = 0;
};

enum class SessionVerdict : uint8_t { kKeep, kEnd };

enum class EndReason : uint8_t {
  kReleased,
  kExpired,
  kRevoked,       // By the operator: its user's, or itself.
  kDisconnected,  // The stream that it came by has ended.
  kClosed,
};
struct AllocationEnded {
  SessionId session;
  RelayId relay;
  std::string username;
  EndReason reason;
  Traffic traffic;
  Path client;
  TransportAddress relayed;
  absl::Time made;  // When the socket was open, on the driver's clock.
  // Of a dual allocation that still had both: its IPv6 address.
  std::optional<TransportAddress> additional;
  std::string realm;
};

// A client that has proven itself is refused for want of ports or quota.
struct AllocationRefused {
  Path client;
  std::string username;
  Ledger::Refusal reason;
};

// A client that has shown where it is says it is a user whom nobody knows. Its
// request waits for Server::Authorize(), which must come.
struct AuthorizationWanted {
  std::string username;
  std::string realm;
  TransportAddress client;
};

struct Closed {
  absl::Status status;
};

}  // namespace kyuu::turn::server_events

namespace kyuu::turn {

// Authorization is the answer to AuthorizationWanted.
struct Authorization {
  enum class Verdict : uint8_t {
    kGranted,
    kDenied,  // Nobody has that name: 401.
    kFailed,  // Nothing is known: 500, try again.
  };
  Verdict verdict = Verdict::kFailed;
  ServerOptions::User user;  // Its name always; the rest with kGranted.
  std::string realm;         // As it was asked; the main one if empty.
  // How long what was said holds, but kFailed: on the driver's clock. A user is
  // asked about again behind it; if he is nobody then, his allocations go on
  // for ServerOptions::revoked_grace.
  absl::Time until;
  // Of allocations; ServerOptions::allocations_per_user_max unless said.
  std::optional<size_t> allocations_max;
};

using server_events::SessionId;
using server_events::SessionInfo;
using server_events::SessionVerdict;

// The same as names of turn::Server, and what PollEvent() gives.
struct ServerEvents {
  using OpenRelay = server_events::OpenRelay;
  using CloseRelay = server_events::CloseRelay;
  using ConnectPeer = server_events::ConnectPeer;
  using ClosePeer = server_events::ClosePeer;
  using AllocationMade = server_events::AllocationMade;
  using AllocationMoved = server_events::AllocationMoved;
  using EndReason = server_events::EndReason;
  using AllocationEnded = server_events::AllocationEnded;
  using AllocationRefused = server_events::AllocationRefused;
  using AuthorizationWanted = server_events::AuthorizationWanted;
  using Closed = server_events::Closed;
  using Event = std::variant<OpenRelay, CloseRelay, ConnectPeer, ClosePeer,
                             AllocationMade, AllocationMoved, AllocationEnded,
                             AllocationRefused, AuthorizationWanted, Closed>;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_SERVER_EVENTS_H_
