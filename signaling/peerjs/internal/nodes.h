// PeerJsNodes: which ids of PeerJS are whose, of several nodes.
//
// An id is one node's on all of them once it has claimed it at the authority
// that all share, as the names of kyuu's own protocol are
// (internal/federation.h of signaling). If another node has it, that one is
// asked whether the token is the same; then it gives the id away. A node that
// is dead still has its ids for a while: whoever wants one waits for that.

#ifndef KYUU_SIGNALING_PEERJS_INTERNAL_NODES_H_
#define KYUU_SIGNALING_PEERJS_INTERNAL_NODES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "base/random.h"
#include "signaling/backplane/node.h"
#include "signaling/peerjs/node_message.h"
#include "signaling/peerjs/peerjs_options.h"
#include "signaling/server_nodes.h"

namespace kyuu::signaling::internal {

class PeerJsNodes {
 public:
  // All must outlive it.
  PeerJsNodes(const PeerJsOptions& options, Random& random, PeerJsStats& stats)
      : options_(options), random_(random), stats_(stats) {}

  // What becomes of an id.
  struct Outcome {
    enum class Kind : uint8_t {
      kOurs,     // It is this node's from now on.
      kTaken,    // Somebody else's: it is claimed no more,
      kLost,     // nor if it was this node's before.
      kArrived,  // Another node has it now.
    };
    Kind kind = Kind::kOurs;
    std::string id;
  };

  // Claims an id that this node has not; kOurs or kTaken comes of it.
  void Claim(absl::Time now, const std::string& id, const std::string& token);
  // Nobody here has or wants it any more; harmless if nobody did.
  void Free(const std::string& id);
  // The same, and another node will have it.
  void GiveAway(const std::string& id);

  // The node that has the peer; nullopt if none of the others does.
  std::optional<NodeId> HomeOf(const std::string& id) const;
  // Ids of other nodes, in their order.
  std::vector<std::string> RemoteIds() const;
  bool IsUp(NodeId node) const { return nodes_.contains(node); }
  void Tell(NodeId node, const peerjs::NodeMessage& message);

  void HandleUp(NodeId node);
  void HandleLost(absl::Time now, NodeId node);
  void HandleBackplane(absl::Time now, BackplaneState state);
  void Handle(absl::Time now, const ClaimAnswer& answer);
  void Handle(absl::Time now, NodeId from, const peerjs::Here& here);
  void Handle(NodeId from, const peerjs::Gone& gone);
  void Handle(absl::Time now, NodeId from, const peerjs::Answer& answer);
  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const { return times_.NextTimeout(); }

  std::optional<Outcome> PollOutcome();
  std::optional<NodeCommand> PollCommand();

  size_t remote_count() const { return remote_count_; }

 private:
  // An id that this node has, or wants.
  struct Record {
    enum class State : uint8_t {
      kClaiming,  // The authority has been asked.
      kAsking,    // It is another node's: all are asked for it.
      kWaiting,   // None of them has it: one that is dead, perhaps.
      kHeld,
    };
    State state = State::kClaiming;
    std::string token;
    uint64_t epoch = 0;  // Zero: nobody has granted it yet.
    uint64_t request = 0;
    absl::btree_set<NodeId> awaited;
    absl::Time give_up_at;
  };
  using Records = absl::btree_map<std::string, Record>;

  void Ask(absl::Time now, Records::iterator it, NodeId from);
  void Dispute(absl::Time now, Records::iterator it);
  void Wait(absl::Time now, Records::iterator it);
  void Hold(absl::Time now, Records::iterator it, uint64_t epoch);
  void Return(absl::Time now, NodeId from, const std::string& id);
  void SetClaimTimer(absl::Time now, const std::string& id);
  void Forget(Records::iterator it);
  void Finish(Records::iterator it, Outcome::Kind kind);
  void TellAll(const peerjs::NodeMessage& message);

  const PeerJsOptions& options_;
  Random& random_;
  PeerJsStats& stats_;
  bool is_connected_ = false;
  absl::btree_set<NodeId> nodes_;  // Whose links are up.
  Records records_;
  absl::btree_map<uint64_t, std::string> requests_;  // Of those that are asked.
  uint64_t next_request_ = 1;
  DeadlineQueue<std::string> times_;
  // By id, the epochs of those who have it.
  absl::btree_map<std::string, absl::btree_map<NodeId, uint64_t>> remotes_;
  size_t remote_count_ = 0;
  std::deque<Outcome> outcomes_;
  std::deque<NodeCommand> commands_;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_PEERJS_INTERNAL_NODES_H_
