// Mux: whose a datagram is, where many ICE agents share a port.

#ifndef KYUU_ICE_MUX_H_
#define KYUU_ICE_MUX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/counters.h"
#include "ice/compact/slot_table.h"
#include "stun/protocol.h"

namespace kyuu::ice {

// An agent behind a Mux; never given twice.
enum class MuxId : uint64_t {};

// What an agent knows of a path.
enum class PathProof : uint8_t {
  kNone,
  // An authenticated check came along it: it may be a replay from elsewhere.
  kHeard,
  // A check of ours was answered along it, so its other end is the peer's. To a
  // lite agent, which makes none, what it has heard.
  kProven,
};

struct MuxOptions {
  // Each has one ufrag, one path and some 150 bytes here, as a rule.
  size_t agents_max = 65'536;
  // Of one agent; the oldest makes room. A restart needs two ufrags at a time,
  // an offer that is rolled back a third.
  size_t ufrags_max = 8;
  size_t paths_max = 16;
  // Requests of ours that may be answered along a path that is not (yet) the
  // agent's own: 10 000 agents that begin at once, with 20 pairs each. The
  // oldest makes room.
  size_t transactions_max = 200'000;
  // How long after it was last sent. RFC 8445 section 14.3 repeats a check for
  // some seconds; later answers find no check any more.
  absl::Duration transaction_lifetime = absl::Seconds(10);
};

struct MuxStats {
  uint64_t by_path = 0;         // Datagrams of the owner of their path.
  uint64_t by_ufrag = 0;        // Checks.
  uint64_t by_transaction = 0;  // Answers.
  // Of nobody: the sender gets no answer.
  uint64_t drop_unknown_ufrag = 0;
  uint64_t drop_unknown_transaction = 0;
  uint64_t drop_unknown_path = 0;
  // A path has another owner than before.
  uint64_t paths_moved = 0;
  // The oldest made room.
  uint64_t path_limit = 0;
  uint64_t transaction_limit = 0;
  // Not added: it is another agent's.
  uint64_t ufrag_collisions = 0;

  static constexpr Counter<MuxStats> kCounters[] = {
      KYUU_COUNTER(MuxStats, by_path),
      KYUU_COUNTER(MuxStats, by_ufrag),
      KYUU_COUNTER(MuxStats, by_transaction),
      KYUU_COUNTER(MuxStats, drop_unknown_ufrag),
      KYUU_COUNTER(MuxStats, drop_unknown_transaction),
      KYUU_COUNTER(MuxStats, drop_unknown_path),
      KYUU_COUNTER(MuxStats, paths_moved),
      KYUU_COUNTER(MuxStats, path_limit),
      KYUU_COUNTER(MuxStats, transaction_limit),
      KYUU_COUNTER(MuxStats, ufrag_collisions)};
};
static_assert(Countable<MuxStats>);

// UfragOf returns the part of USERNAME in front of the colon of what looks like
// a STUN message (RFC 8445 section 7.2.2: the ufrag of who is asked); "" if
// there is none. It allocates nothing and looks at 32 attributes at most.
absl::string_view UfragOf(absl::Span<const uint8_t> stun);

// Mux finds the agent that a datagram is for. Agents do not know of it.
//
//   const MuxId id = *mux.Add();
//   mux.AddUfrag(id, agent.local_credentials().ufrag);
//   ... of what the agents send:  mux.NoteSent(now, id, datagram);
//   ... of what comes:
//   if (const auto id = mux.Route(datagram)) {
//     agents[*id].HandlePacket(now, datagram);
//     mux.Bind(*id, datagram.path, agents[*id].ProofOf(datagram.path));
//   }
//
// A check (a Binding request) is for the agent whose ufrag it names, an answer
// for who has asked, and all else for the owner of the path. A path has an
// owner from when one has authenticated something along it. It passes to
// another agent that has proven it: a NAT has given the address away, or a
// program that was restarted uses its port again. The newer one keeps it,
// though the older one be alive: data of two agents with the same two addresses
// cannot be told apart.
//
// Each datagram costs one or two look-ups and no allocation, whoever sent it.
// What is of nobody is counted and dropped; as an agent, too, is silent to who
// does not know its password, nobody learns which ufrags there are.
class Mux {
 public:
  explicit Mux(const MuxOptions& options = {}) : options_(options) {}

  // RESOURCE_EXHAUSTED beyond agents_max.
  absl::StatusOr<MuxId> Add();
  // Its ufrags and paths are nobody's afterwards. Nothing for unknown ones.
  void Remove(MuxId id);
  // AddUfrag names one more ufrag of the agent; its former ones go on to be its
  // own, for the generation before a restart. A known one is as if new. False,
  // and counted, if it is another agent's.
  bool AddUfrag(MuxId id, absl::string_view ufrag);
  // Whether that is what AddUfrag() has named last.
  bool KnowsUfrag(MuxId id, absl::string_view ufrag) const;
  // Takes note of what the agent sends.
  void NoteSent(absl::Time now, MuxId id, const Datagram& datagram);

  // Whose a datagram that has come is; nullopt, and counted: nobody's.
  std::optional<MuxId> Route(const Datagram& datagram);
  // The owner of a path, which all but STUN along it is for.
  std::optional<MuxId> Owner(const Path& path) const;
  // What an agent that was given something along `path` says of it then.
  void Bind(MuxId id, const Path& path, PathProof proof);

  size_t agents() const { return slots_.size() - free_slots_.size(); }
  size_t paths() const { return paths_.size(); }
  size_t transactions() const { return transactions_.size(); }
  const MuxStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  // Its path, or one that it has lost to a newer agent.
  struct OwnPath {
    Path path;
    bool lost = false;
  };
  // Its place is the slot that its id names, and it is the next one's after it.
  struct Agent {
    MuxId id{};                                  // 0: the slot is free.
    absl::InlinedVector<std::string, 1> ufrags;  // The newest last.
    absl::InlinedVector<OwnPath, 1> paths;       // The newest last.
  };
  struct Transaction {
    MuxId id;
    absl::Time deadline;
  };

  // Null if it is gone.
  Agent* Find(MuxId id);
  const Agent* Find(MuxId id) const;
  std::optional<uint32_t> SlotOfUfrag(absl::string_view ufrag) const;
  std::optional<uint32_t> SlotOfPath(const Path& path) const;
  void ForgetUfrag(uint32_t slot, absl::string_view ufrag);
  void ForgetPath(uint32_t slot, const Path& path);
  std::optional<MuxId> RouteRequest(const Datagram& datagram);
  void MakeRoom(absl::Time now);
  void Lose(Agent& agent, const Path& path);

  const MuxOptions options_;
  uint64_t last_id_ = 0;
  std::deque<Agent> slots_;
  std::vector<uint32_t> free_slots_;
  // Slots, by what their agents have.
  internal::SlotTable ufrags_;
  internal::SlotTable paths_;
  absl::flat_hash_map<stun::TransactionId, Transaction> transactions_;
  std::deque<stun::TransactionId> oldest_;  // Each of transactions_ once.
  MuxStats stats_;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_MUX_H_
