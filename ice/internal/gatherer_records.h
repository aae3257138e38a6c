// What an ice::Gatherer remembers of its addresses and servers.

#ifndef KYUU_ICE_INTERNAL_GATHERER_RECORDS_H_
#define KYUU_ICE_INTERNAL_GATHERER_RECORDS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/short_list.h"
#include "ice/gatherer_types.h"
#include "turn/client.h"

namespace kyuu::ice::internal {

// The servers to be asked, and what is told of what is found.
struct Wanted {
  ShortList<TransportAddress> stun_servers;
  ShortList<TurnServer> turn_servers;
  GatherPolicy policy = GatherPolicy::kAll;
  CandidateType mapped_type = GathererOptions().mapped_type;
};

enum class JobState : uint8_t { kIdle, kQueued, kRunning, kDone, kFailed };

struct Host {
  HostAddress host;
  uint16_t preference;  // RFC 8445 section 5.1.2.1.
};

// A TURN server that is asked from one address.
struct Attempt {
  TransportAddress local;
  std::unique_ptr<turn::Client> client;
  absl::Time deadline;
  // Of servers over TCP and TLS, until the stream has ended or is told to.
  std::optional<StreamId> stream;
  bool dead = false;    // Given up.
  bool closed = false;  // The client has said so.
};

// A stream that the driver connects.
struct Connecting {
  StreamId id;
  TransportAddress server;  // Another than was configured, sent there by it.
  absl::Time deadline;
};

// An allocation whose address of ours is gone, or whose stream has ended (RFC
// 8016).
struct Moving {
  // Not asked from yet in this round, in order, as Relay::hosts.
  std::vector<TransportAddress> hosts;
  absl::Time asked = absl::InfinitePast();  // From the last one.
  // When there is something to do; InfiniteFuture() without any address.
  absl::Time next = absl::InfiniteFuture();
  absl::Time until = absl::InfiniteFuture();  // Lost then.

  bool waits_for_address() const { return next == absl::InfiniteFuture(); }
};

// One TURN server: over UDP asked from one host address after the other, over a
// stream from where the system connects it.
struct Relay {
  TurnServer server;
  size_t place;  // Among the relays, for the order of their candidates.
  // Wanted no more: it serves a path of before until it is released.
  bool dropped = false;
  JobState state = JobState::kIdle;
  // Not asked from yet, in order. For a stream one of no family at most.
  std::vector<TransportAddress> hosts;
  std::optional<Connecting> connecting;
  std::vector<Attempt> attempts;
  absl::Time next_attempt = absl::InfiniteFuture();
  std::optional<size_t> kept;    // In `attempts`.
  std::optional<Moving> moving;  // Of the one kept.
  // Of the one kept: of one family, or one of each.
  std::vector<TransportAddress> relayed;
  absl::Status failure;
  uint16_t code = 0;
  // How long to wait after the next failure; nullopt until one was lost.
  std::optional<absl::Duration> retry;

  bool on_stream() const { return server.protocol != RelayProtocol::kUdp; }
  // The same machine by a slower protocol.
  bool IsSlowerThan(const Relay& other) const {
    return server.address.ip == other.server.address.ip &&
           server.protocol > other.server.protocol;
  }
  bool Has(const TransportAddress& address) const {
    return std::find(relayed.begin(), relayed.end(), address) != relayed.end();
  }
  // An allocation to which nothing of ours leads.
  bool cut_off() const {
    if (!moving) return false;
    return on_stream() ? !attempts[*kept].stream.has_value()
                       : moving->waits_for_address();
  }
  bool running() const {
    if (connecting) return true;
    for (const Attempt& attempt : attempts) {
      if (!attempt.dead) return true;
    }
    return false;
  }
};

// The first that no relay has.
size_t FreePlace(const ShortList<Relay>& relays);

// Leaves out the servers beyond max_servers.
void LimitServers(GathererOptions& options);

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_GATHERER_RECORDS_H_
