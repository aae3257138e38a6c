// Links: messages between nodes, once and in order, over something that may
// lose, repeat and reorder packets or be away for a while (Redis' pub/sub).
//
// A packet, numbers in network order:
//
//   magic "kl" | version 1 | kind
//   from (8 bytes)
//   kAlive, kLeaving: nothing more, to all
//   kData: to (8) | own epoch (8) | other's epoch (8, zero if not known)
//          | messages of the other had so far (8) | number of the first message
//          below (8) | count (2) | count x (size (4) | message)
//
// A link between two nodes begins when each knows the other's epoch of it, and
// ends, for both, when one has not heard the other for `lifetime`, has too much
// for it, or hears that it leaves. Then it begins anew under greater epochs:
// what was sent on the old one and not acknowledged is lost, and NodeLost says
// so to both. Whatever names an epoch that is over does nothing, unless nothing
// else is said for `lifetime`: then the greater one was a stranger's.

#ifndef KYUU_SIGNALING_BACKPLANE_LINKS_H_
#define KYUU_SIGNALING_BACKPLANE_LINKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/counters.h"
#include "base/engine.h"
#include "signaling/backplane/node.h"

namespace kyuu::signaling {

struct LinksOptions {
  // A node says that it is there so often,
  absl::Duration alive_interval = absl::Seconds(1);
  // and is gone when eight times nothing came of it.
  absl::Duration lifetime = absl::Seconds(8);
  // What was not acknowledged is sent again after this, doubled each time up to
  // the alive_interval.
  absl::Duration resend_after = absl::Milliseconds(300);
  size_t max_nodes = 64;
  // Of one message; a session with all that waits for its client has 256 KiB.
  size_t max_message_bytes = 1 << 20;
  // Of one packet, unless it is of one message that is larger.
  size_t packet_bytes = 64 * 1024;
  // Sent and not acknowledged, of one link: the others wait.
  size_t window_bytes = 1 << 20;
  // All that is kept for one node. It holds the presence of 10000 peers, and
  // what is said in the lifetime. Beyond it the link ends.
  size_t max_kept_bytes = 32 << 20;
};

struct LinksStats {
  uint64_t malformed = 0;        // Packets that are none of ours.
  uint64_t stale = 0;            // Of epochs that are over.
  uint64_t repeated = 0;         // Messages that had come before.
  uint64_t gaps = 0;             // Packets ahead of what is missing.
  uint64_t resent = 0;           // Messages, once more.
  uint64_t too_many_nodes = 0;   // Packets of nodes for which is no place.
  uint64_t nodes_lost = 0;       // Links that ended,
  uint64_t nodes_overflown = 0;  // of these for what had to be kept.

  static constexpr Counter<LinksStats> kCounters[] = {
      KYUU_COUNTER(LinksStats, malformed),
      KYUU_COUNTER(LinksStats, stale),
      KYUU_COUNTER(LinksStats, repeated),
      KYUU_COUNTER(LinksStats, gaps),
      KYUU_COUNTER(LinksStats, resent),
      KYUU_COUNTER(LinksStats, too_many_nodes),
      KYUU_COUNTER(LinksStats, nodes_lost),
      KYUU_COUNTER(LinksStats, nodes_overflown),
  };
};
static_assert(Countable<LinksStats>);

// A packet to one node, or to all if `to` is zero. One that is handed in needs
// no `to`: it stands in the bytes.
struct NodePacket {
  NodeId to{};
  std::string bytes;
};

// A link has begun. What is sent from now on arrives.
struct NodeUp {
  NodeId node{};
};
// The link has ended, and with it whatever was on its way.
struct NodeLost {
  NodeId node{};
};
struct NodeMessage {
  NodeId from{};
  std::string message;
};
// So many messages of this link have arrived there, all together.
struct NodeHas {
  NodeId node{};
  uint64_t count = 0;
};

class Links {
 public:
  using Packet = NodePacket;
  using Event = std::variant<NodeUp, NodeLost, NodeMessage, NodeHas>;

  // `self` is not zero.
  Links(LinksOptions options, NodeId self);

  // Queues a message to a node whose link is up; false, and nothing is sent, if
  // it is not, or the link ends for it.
  bool Send(absl::Time now, NodeId to, std::string message);
  // The way between nodes is there again: what may be lost is sent at once.
  void HandleReconnected(absl::Time now);
  // Tells all that this node leaves, and forgets them.
  void Leave();

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  // `out` is not used: the packet owns its bytes.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  bool IsUp(NodeId node) const;
  std::vector<NodeId> nodes() const;  // Whose links are up.
  size_t node_count() const { return nodes().size(); }
  size_t kept_bytes() const;
  const LinksStats& stats() const { return stats_; }

 private:
  struct Link {
    uint64_t epoch = 0;  // Own one.
    uint64_t other = 0;  // The other's; zero while unknown.
    bool up = false;     // Both know both.
    absl::Time heard;
    std::deque<std::string> kept;  // Not acknowledged.
    size_t kept_bytes = 0;
    uint64_t acknowledged = 0;  // The number of the last one before `kept`.
    uint64_t sent = 0;          // Of the last one sent.
    size_t in_flight = 0;       // Bytes of those sent and kept.
    uint64_t received = 0;
    bool owes_packet = false;  // An acknowledgement, or a first word.
    // First words that are repeated are answered from then on.
    absl::Time answer_at = absl::InfinitePast();
    // Since when all that was said is of an older epoch than `other`.
    absl::Time stale_since = absl::InfiniteFuture();
    absl::Time resend_at = absl::InfiniteFuture();
    absl::Duration backoff;
  };
  using Map = absl::btree_map<NodeId, Link>;

  // The link to `node`, made if there is place.
  Link* Find(absl::Time now, NodeId node);
  // Takes what was kept of a link that ends, and begins a new one of it.
  void Restart(NodeId node, Link& link);
  // Ends the link for good; returns the next one.
  Map::iterator Lose(Map::iterator it);
  void HandleData(absl::Time now, NodeId from, Reader& r);
  // Of a packet with a lesser epoch than the other's. It may be late, but not
  // for so long: who repeats it then is the node itself, the greater epoch was
  // made up by a stranger, and the link begins anew.
  bool IsLate(absl::Time now, NodeId from, Link& link);
  void Acknowledge(absl::Time now, NodeId node, Link& link, uint64_t number);
  std::string BuildData(absl::Time now, NodeId to, Link& link);
  bool FitsWindow(const Link& link, size_t bytes) const;
  bool WantsToSend(const Link& link) const;

  const LinksOptions options_;
  const NodeId self_;
  Map links_;
  uint64_t last_epoch_ = 0;
  absl::Time alive_at_ = absl::InfinitePast();
  bool leaving_ = false;
  std::deque<Event> events_;
  LinksStats stats_;
};

static_assert(Engine<Links>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_BACKPLANE_LINKS_H_
