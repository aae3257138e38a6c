// What a TURN server tells its driver.

#ifndef KYUU_TURN_SERVER_EVENTS_H_
#define KYUU_TURN_SERVER_EVENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "turn/forward.h"
#include "turn/ledger.h"

namespace kyuu::turn::server_events {

// Open a UDP socket at `bind` and answer with RelayOpened or RelayFailed.
struct OpenRelay {
  RelayId relay;
  TransportAddress bind;
};
// Close it. By the next PollEvent() the port may be somebody else's.
struct CloseRelay {
  RelayId relay;
  TransportAddress bind;
};

// For logs and accounting.
struct AllocationMade {
  RelayId relay;
  Path client;
  TransportAddress relayed;
  std::string username;
  // Of a dual allocation: its IPv6 address.
  std::optional<TransportAddress> additional;
};

// The client of an allocation has another 5-tuple from now on (RFC 8016).
struct AllocationMoved {
  RelayId relay;
  Path from;
  Path to;
};

// What an allocation has relayed, in datagrams and bytes of payload.
struct Traffic {
  uint64_t to_peers = 0;
  uint64_t to_clients = 0;
  uint64_t bytes_to_peers = 0;
  uint64_t bytes_to_clients = 0;
  // Datagrams dropped beyond ServerOptions::bandwidth.
  uint64_t over_bandwidth_to_peers = 0;
  uint64_t over_bandwidth_to_clients = 0;
};

enum class EndReason : uint8_t {
  kReleased,
  kExpired,
  kRevoked,
  kDisconnected,  // The stream that it came by has ended.
  kClosed,
};
struct AllocationEnded {
  RelayId relay;
  std::string username;
  EndReason reason;
  Traffic traffic;
  Path client;
  TransportAddress relayed;  // Of a dual allocation the one that it had last.
  absl::Time made;           // When the socket was open, on the driver's clock.
};

// A client that has proven itself is refused for want of ports or quota.
struct AllocationRefused {
  Path client;
  std::string username;
  Ledger::Refusal reason;
};

struct Closed {
  absl::Status status;
};

}  // namespace kyuu::turn::server_events

namespace kyuu::turn {

// The same as names of turn::Server, and what PollEvent() gives.
struct ServerEvents {
  using OpenRelay = server_events::OpenRelay;
  using CloseRelay = server_events::CloseRelay;
  using AllocationMade = server_events::AllocationMade;
  using AllocationMoved = server_events::AllocationMoved;
  using EndReason = server_events::EndReason;
  using AllocationEnded = server_events::AllocationEnded;
  using AllocationRefused = server_events::AllocationRefused;
  using Closed = server_events::Closed;
  using Event =
      std::variant<OpenRelay, CloseRelay, AllocationMade, AllocationMoved,
                   AllocationEnded, AllocationRefused, Closed>;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_SERVER_EVENTS_H_
