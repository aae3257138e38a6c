// The pairs of one generation (RFC 8445 section 6.1.2), found again by what is
// asked about them: by their ends, by priority, by state, by deadline.

#ifndef KYUU_ICE_INTERNAL_CHECKLIST_H_
#define KYUU_ICE_INTERNAL_CHECKLIST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "base/short_list.h"
#include "ice/agent_types.h"
#include "ice/internal/compact.h"
#include "ice/internal/pair.h"

namespace kyuu::ice::internal {

// The deadlines that a pair may have.
enum class PairTimer : uint8_t {
  kCheck,      // The check under way is to be repeated or given up.
  kRepeat,     // It is to be repeated, as soon as Ta allows.
  kKeepalive,  // Of pairs kept: the next check for consent, or after Tr.
  kSuspect,    // A check of a valid pair has gone unanswered too long.
  kConsent,    // Consent expires.
  kCount,
};

// Checklist holds the pairs and the triggered-check queue. Data and bookkeeping
// only; ice::Agent decides. Pairs are named by their index, which Remove()
// changes.
//
// A few pairs, which is what a server's agents have, are looked through. Of
// more there is an index, and no question but all() looks at every pair;
// visits() tells the truth of it.
class Checklist {
 public:
  explicit Checklist(const Liveness& liveness) : liveness_(liveness) {}

  // --- Pairs ---

  size_t size() const { return pairs_.size(); }
  const Pair& operator[](size_t index) const {
    ++visits_;
    return pairs_[index];
  }
  // For changes, which every question asked later sees. The reference lives
  // until Commit(), Add() or Remove().
  Pair& Edit(size_t index);
  // Every pair, for what happens seldom.
  absl::Span<const Pair> all() const {
    visits_ += pairs_.size();
    return pairs_;
  }
  std::optional<size_t> Find(size_t base, size_t remote) const;
  std::optional<size_t> FindPath(const Path& path) const;

  // Adds the pair, in the state that RFC 8838 section 12 gives it. When
  // `max_pairs` are there, the worst one that never worked makes room; nullopt
  // if that is the new one (RFC 8445 section 6.1.2.5).
  std::optional<size_t> Add(Pair pair, size_t max_pairs);
  // Removes the pairs for which `unwanted` holds. Returns the new index of each
  // old one, kGone for those removed.
  static constexpr size_t kGone = SIZE_MAX;
  std::vector<size_t> Remove(absl::FunctionRef<bool(const Pair&)> unwanted);
  // The same for the pairs of a base that is no more; those of bases behind it
  // get theirs lowered by one.
  std::vector<size_t> RemoveBase(size_t base);
  std::vector<size_t> RemoveAt(size_t index);
  // For counts, which nothing else depends on.
  void CountResponse(size_t index) { ++pairs_[index].responses_sent; }
  PairTraffic& Payload(size_t index);
  // Gives a pair another path: its connection's, or none any more.
  void SetPath(size_t index, const Path& path);

  // --- Questions ---

  // The highest-priority Waiting pair, else Frozen pair, that is not in the
  // triggered-check queue; nullopt if none.
  std::optional<size_t> NextOrdinary() const;
  // Lets the pairs of one foundation go (RFC 8445 section 7.2.5.3.3).
  void Unfreeze(uint32_t foundation);
  size_t CountActive() const;  // Waiting or in progress.
  bool AnyPending() const;
  // The pairs with checks to come or under way whose priority is higher than
  // `priority`, best first.
  std::vector<size_t> PendingAbove(uint64_t priority) const;
  // The valid list, best first.
  std::vector<size_t> Valid() const;
  // Grows with each change of Valid().
  uint64_t valid_changes() const;
  // The best valid pair, of all or of those that answer.
  enum class Among { kAll, kHealthy };
  std::optional<size_t> BestValid(Among among) const;
  // The pair that is being nominated.
  std::optional<size_t> Nominating() const;

  // --- Deadlines ---

  // The earliest one of that kind; InfiniteFuture() if none.
  absl::Time NextTimeout(PairTimer timer) const;
  // Edits the pair with the earliest deadline that is due; nullopt if none. It
  // comes again unless that deadline is changed.
  std::optional<size_t> EditDue(PairTimer timer, absl::Time now);
  const Liveness& liveness() const { return liveness_; }

  // --- Triggered checks: a FIFO without duplicates, in which those that need
  // not wait for Ta go before the others ---

  void Trigger(size_t index);
  std::optional<size_t> NextTriggered() const;
  // The same, if it need not wait.
  std::optional<size_t> NextImmediate() const;
  void Untrigger(size_t index);

  // Ends the references of Edit(). Once after each change of the agent.
  void Commit();
  // How many pairs were looked at so far.
  uint64_t visits() const { return visits_; }

 private:
  // More pairs than these have an index.
  static constexpr size_t kFew = 4;

  // Best priority first; of equals, the one added first.
  using Ranked = absl::btree_set<std::pair<uint64_t, uint16_t>>;
  // Under what a pair can be found at present.
  struct Place {
    uint64_t rank = 0;
    PairState state = PairState::kFailed;
    bool valid = false;
    bool edited = false;
  };
  struct Index {
    std::vector<Place> places;
    std::vector<uint16_t> edited;
    std::array<Ranked, 3> by_state;  // Frozen, Waiting, InProgress.
    Ranked valid;
    std::optional<size_t> nominating;
    std::array<DeadlineHeap, static_cast<size_t>(PairTimer::kCount)> deadlines;
    NumberTable by_ends;
    NumberTable by_path;
  };
  using Predicate = absl::FunctionRef<bool(const Pair&)>;
  using Few = absl::InlinedVector<size_t, kFew>;
  // Of a pair; InfiniteFuture(): of none.
  struct Deadline {
    CompactTime at = absl::InfiniteFuture();
    size_t number = 0;
  };

  static uint32_t Ends(size_t base, size_t remote) {
    return static_cast<uint32_t>(base << 16 | remote);
  }
  // The keys of the index. It looks at one pair or two, which are not counted.
  auto EndsOf() const {
    return [this](uint16_t number) {
      return Ends(pairs_[number].base, pairs_[number].remote);
    };
  }
  auto PathOf() const {
    return
        [this](uint16_t number) -> const Path& { return pairs_[number].path; };
  }
  std::optional<size_t> WorstForgettable() const;
  void Insert(size_t index);
  void Reindex();
  CompactTime DeadlineOf(const Pair& pair, PairTimer timer) const;
  // Of a few.
  std::optional<size_t> FirstOfFew(Predicate is_it) const;
  std::optional<size_t> BestOfFew(Predicate is_it) const;
  Few RankedOfFew(Predicate is_it) const;
  Deadline EarliestOfFew(PairTimer timer) const;
  // The index as the pairs are now.
  Index& index() const;
  void Settle(uint16_t number) const;

  Liveness liveness_;
  ShortList<Pair> pairs_;
  absl::InlinedVector<uint16_t, 8> triggered_;
  // So many of them, from the first on, need not wait.
  uint16_t immediate_ = 0;
  // A few were edited since Valid() was looked at for valid_changes().
  mutable bool edited_ = false;
  // Valid() of a few, as it was then: four bits for each, and one before them.
  mutable uint32_t valid_few_ = 1;
  mutable uint64_t valid_changes_ = 0;
  mutable std::unique_ptr<Index> index_;  // A cache; null for a few.
  mutable uint64_t visits_ = 0;
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_CHECKLIST_H_
