// What a TURN server tells its driver.

#ifndef KYUU_TURN_SERVER_EVENTS_H_
#define KYUU_TURN_SERVER_EVENTS_H_

#include <cstdint>
#include <optional>
#include <string>

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

// What an allocation has relayed, in datagrams and bytes of payload.
struct Traffic {
  uint64_t to_peers = 0;
  uint64_t to_clients = 0;
  uint64_t bytes_to_peers = 0;
  uint64_t bytes_to_clients = 0;
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

#endif  // KYUU_TURN_SERVER_EVENTS_H_
