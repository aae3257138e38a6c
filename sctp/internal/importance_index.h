// Which messages may be given up for more important ones (RFC 7496
// section 3.2).

#ifndef KYUU_SCTP_INTERNAL_IMPORTANCE_INDEX_H_
#define KYUU_SCTP_INTERNAL_IMPORTANCE_INDEX_H_

#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/btree_map.h"
#include "sctp/internal/out_message.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// ImportanceIndex orders messages by who goes first: the least important; of
// those, one that still waits before one that is begun; of those, the oldest.
// Unused, it owns nothing.
class ImportanceIndex {
 public:
  // `message` has an importance, and keeps what it is found by until Remove.
  void Add(MessageId id, const OutMessage& message) {
    all_.emplace(RankOf(message), id);
    by_stream_.emplace(std::pair(message.stream, RankOf(message)), id);
  }
  void Remove(const OutMessage& message) {
    all_.erase(RankOf(message));
    by_stream_.erase(std::pair(message.stream, RankOf(message)));
  }
  void Clear() {
    all_.clear();
    by_stream_.clear();
  }

  // Visits those that are less important than `than`, on one stream or all of
  // them, in their order, while `visit(id)` is true. Unset is above every
  // value.
  template <typename Visit>
  void ForEach(StreamId stream, std::optional<uint16_t> than,
               Visit visit) const {
    for (auto it = by_stream_.lower_bound({stream, Rank()});
         it != by_stream_.end() && it->first.first == stream &&
         IsBelow(it->first.second, than) && visit(it->second);
         ++it) {
    }
  }
  template <typename Visit>
  void ForEach(std::optional<uint16_t> than, Visit visit) const {
    for (auto it = all_.begin();
         it != all_.end() && IsBelow(it->first, than) && visit(it->second);
         ++it) {
    }
  }

 private:
  // Importance, whether it is begun, and the arrival, which no other has.
  using Rank = std::tuple<uint16_t, bool, uint64_t>;
  static Rank RankOf(const OutMessage& message) {
    return {message.importance.value_or(0), message.started, message.arrival};
  }
  static bool IsBelow(const Rank& rank, std::optional<uint16_t> than) {
    return !than || std::get<0>(rank) < *than;
  }

  absl::btree_map<Rank, MessageId> all_;
  absl::btree_map<std::pair<StreamId, Rank>, MessageId> by_stream_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_IMPORTANCE_INDEX_H_
