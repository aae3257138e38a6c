// Visitors: clients that come to this server, and whose allocations another one
// has.

#ifndef KYUU_TURN_INTERNAL_VISITORS_H_
#define KYUU_TURN_INTERNAL_VISITORS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "turn/ledger.h"

namespace kyuu::turn::internal {

// Visitors knows which server of the ledger has the allocation of a client that
// has moved (RFC 8016): the kernel gives the packets of its new 5-tuple to
// whichever server it likes. Each allocation has two 5-tuples at most, as in
// Mobility, so that nobody has more here than his quota allows.
class Visitors {
 public:
  // Whose a client is, and which of all visits this one is.
  struct Visit {
    int instance = 0;
    uint64_t number = 0;
  };

  explicit Visitors(size_t max) : max_(max) {}

  bool empty() const { return by_path_.empty(); }
  size_t size() const { return by_path_.size(); }
  // The packets of `path` are for `holder`, until none has come for `lifetime`.
  // A visit of its own begins, whose number is returned; nullopt if there is no
  // room.
  std::optional<uint64_t> Add(absl::Time now, const Path& path,
                              const Ledger::Holder& holder,
                              absl::Duration lifetime);
  // Whose they are, or nullopt.
  std::optional<Visit> Find(absl::Time now, const Path& path);
  // Says anew for how long the client of `path` may be silent from now on.
  void Expect(absl::Time now, const Path& path, absl::Duration lifetime);
  // They are nobody's any more.
  void Remove(const Path& path);
  // The same, if it is that visit: what is said of an earlier one is late.
  void End(const Path& path, uint64_t number);
  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const { return deadlines_.NextTimeout(); }

 private:
  using Key = std::pair<int, uint64_t>;  // The holder.
  struct Host {
    absl::InlinedVector<Path, 2> paths;  // The last one is the newest.
    absl::Time used;
    absl::Duration lifetime;
  };
  struct Entry {
    Key key;
    uint64_t number;
  };
  void Drop(const Key& key);

  const size_t max_;
  uint64_t visits_ = 0;  // That have begun.
  absl::flat_hash_map<Path, Entry> by_path_;
  absl::flat_hash_map<Key, Host> hosts_;
  // Checked against `used` when due, so that a packet costs no more than that.
  DeadlineQueue<Key> deadlines_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_VISITORS_H_
