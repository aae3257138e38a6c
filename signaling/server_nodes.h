// What a signaling server that is one of several wants of the others, and what
// it counts of them. Its driver carries it (docs/operating.md, "Several
// machines"); a server alone never wants anything.

#ifndef KYUU_SIGNALING_SERVER_NODES_H_
#define KYUU_SIGNALING_SERVER_NODES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "base/counters.h"
#include "signaling/backplane/node.h"

namespace kyuu::signaling {

// A message to a node whose link is up (backplane/links.h).
struct ToNode {
  NodeId to{};
  std::string message;
};
// The name at `place`, a text that stands for the room as well, is to be this
// node's: if nobody has it, or this node, `from`, or a node that is dead. Asked
// again and again while it is held. To be answered by HandleClaim().
struct ClaimPlace {
  std::string place;
  // By which nodes order who had it when; zero for a new one, greater than all
  // that were given before.
  uint64_t epoch = 0;
  NodeId from{};
};
// It is nobody's any more, if it is this node's.
struct FreePlace {
  std::string place;
};
// Another node's Server::Publish(), for the server of that dialect here.
struct PublishedElsewhere {
  std::string text;
};
// What another node's server of PeerJS has for the one here (PassPeerJs).
struct PeerJsElsewhere {
  NodeId from{};
  std::string message;
};
using NodeCommand = std::variant<ToNode, ClaimPlace, FreePlace,
                                 PublishedElsewhere, PeerJsElsewhere>;

struct ClaimAnswer {
  std::string place;
  bool is_granted = false;
  uint64_t epoch = 0;  // Under which it is held.
};

// Whether nodes can reach each other, and places can be claimed.
enum class BackplaneState : uint8_t { kAway, kThere };

struct FederationOptions {
  // A place is asked for again after this time, give or take a quarter; the
  // driver lets it go after three times as long.
  absl::Duration claim_interval = absl::Seconds(20);
  // How long a `join` waits for a place; then it goes without, as it does while
  // the backplane is away. Who has it is found out later.
  absl::Duration claim_timeout = absl::Seconds(2);
  // How long a session that is given away waits for all nodes to say that
  // nothing more is on its way; calls with those that do not say so end.
  absl::Duration move_timeout = absl::Seconds(2);
  // How long who wants a session waits for it.
  absl::Duration want_timeout = absl::Seconds(5);
  size_t max_wanted = 1000;
  // Peers of other nodes, in rooms.
  size_t max_remote_peers = 100'000;
  // What is held back for one peer that is being moved.
  size_t max_held_bytes = 256 * 1024;
  // Messages of a client that wait behind one that waits for an answer.
  size_t max_waiting_bytes = 256 * 1024;
};

struct FederationStats {
  uint64_t malformed = 0;        // Messages of nodes that are none of ours,
  uint64_t stale = 0;            // of what is over, or not theirs,
  uint64_t peers_refused = 0;    // or about peers for which is no place.
  uint64_t names_lost = 0;       // Peers that ended, as others had their names.
  uint64_t unclaimed_joins = 0;  // While the backplane was away.
  uint64_t nodes_up = 0;
  uint64_t nodes_lost = 0;
  uint64_t sessions_given = 0;  // To other nodes,
  uint64_t sessions_taken = 0;  // of other nodes.
  uint64_t moves_broken_off = 0;
  uint64_t held_too_much = 0;  // Peers lost for what had to be held back.

  static constexpr Counter<FederationStats> kCounters[] = {
      KYUU_COUNTER(FederationStats, malformed),
      KYUU_COUNTER(FederationStats, stale),
      KYUU_COUNTER(FederationStats, peers_refused),
      KYUU_COUNTER(FederationStats, names_lost),
      KYUU_COUNTER(FederationStats, unclaimed_joins),
      KYUU_COUNTER(FederationStats, nodes_up),
      KYUU_COUNTER(FederationStats, nodes_lost),
      KYUU_COUNTER(FederationStats, sessions_given),
      KYUU_COUNTER(FederationStats, sessions_taken),
      KYUU_COUNTER(FederationStats, moves_broken_off),
      KYUU_COUNTER(FederationStats, held_too_much),
  };
};
static_assert(Countable<FederationStats>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_SERVER_NODES_H_
