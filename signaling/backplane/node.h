// The names of servers that work together, and of their peers.

#ifndef KYUU_SIGNALING_BACKPLANE_NODE_H_
#define KYUU_SIGNALING_BACKPLANE_NODE_H_

#include <cstdint>
#include <utility>

namespace kyuu::signaling {

// NodeId is one run of one server: drawn at random when it starts, so that a
// server that was started again is another node. Zero is nobody.
enum class NodeId : uint64_t {};

// PeerId is one session on all nodes. It stays the same when the session moves.
struct PeerId {
  NodeId origin{};      // Where the session began,
  uint64_t number = 0;  // and its number there.

  friend bool operator==(const PeerId&, const PeerId&) = default;
  friend auto operator<=>(const PeerId&, const PeerId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PeerId& p) {
    return H::combine(std::move(h), p.origin, p.number);
  }
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_BACKPLANE_NODE_H_
