// What an ice::Gatherer tells: ice::Gatherer::Event.

#ifndef KYUU_ICE_GATHERER_EVENTS_H_
#define KYUU_ICE_GATHERER_EVENTS_H_

#include <cstdint>
#include <optional>
#include <variant>

#include "absl/status/status.h"
#include "base/address.h"
#include "ice/candidate.h"
#include "ice/stream_types.h"

namespace kyuu::ice {

struct GathererCandidateFound {
  Candidate candidate;  // To be handed to the agent and told to the peer.
};
// No longer a way to us: its host address is gone, the relay was lost, or the
// NAT gave another address.
struct GathererCandidateGone {
  Candidate candidate;
  // kUnwanted: Configure() has left it out. A path of before may go on by it
  // until ReleaseUnwanted(); should it be lost by then, that is told, too.
  enum class Why : uint8_t { kLost, kUnwanted } why = Why::kLost;
};
// A server gave nothing. `code` is 0 unless it answered with an error.
struct GathererServerFailed {
  TransportAddress server;
  TransportAddress local;
  absl::Status status;
  uint16_t code = 0;
  RelayProtocol protocol = RelayProtocol::kUdp;
};
// Gathering has begun, or begins again. Finished follows.
struct GathererStarted {};
// All servers have answered or failed, or have had `finish_after`; from now
// on candidates come only late or when something changes.
struct GathererFinished {};
// One of the two of an allocation may go alone: its server has ended that
// family, and is not asked for another one while the other serves.
struct GathererRelayLost {
  TransportAddress relayed;  // No longer works.
  absl::Status status;
};
// Close() is done: allocations are given back. The last event.
struct GathererClosed {
  absl::Status status;
};

using GathererEvent =
    std::variant<GathererStarted, GathererCandidateFound, GathererCandidateGone,
                 GathererServerFailed, GathererFinished, GathererRelayLost,
                 StreamWanted, StreamUnwanted, GathererClosed>;

// What Gatherer::Take() made of a datagram.
struct GathererTaken {
  bool claimed = false;  // It came from a server of ours.
  // The data it carried: its path goes from the peer to the relayed address.
  // Views into the datagram.
  std::optional<Datagram> relayed;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_GATHERER_EVENTS_H_
