// ToldCandidates: which candidates an ice::Gatherer has told of, and which of
// them nobody wants any more.

#ifndef KYUU_ICE_INTERNAL_TOLD_CANDIDATES_H_
#define KYUU_ICE_INTERNAL_TOLD_CANDIDATES_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/address.h"
#include "base/queue.h"
#include "base/sparse_counters.h"
#include "ice/candidate.h"
#include "ice/compact/candidate_list.h"
#include "ice/gatherer_events.h"
#include "ice/gatherer_types.h"

namespace kyuu::ice::internal {

// Whoever has heard CandidateFound hears CandidateGone of the same candidate at
// most twice: once it is unwanted, then lost. At most `max` are told at a time,
// and as many are remembered as unwanted. `events` and `stats` must outlive it.
class ToldCandidates {
 public:
  using Predicate = absl::FunctionRef<bool(const Candidate&)>;

  ToldCandidates(size_t max, Queue<GathererEvent, 0>& events,
                 SparseCounters<GathererStats>& stats)
      : max_(max), events_(events), stats_(stats) {}
  ToldCandidates(const ToldCandidates&) = delete;
  ToldCandidates& operator=(const ToldCandidates&) = delete;

  // In the order in which they were told. An unwanted one is not among them.
  std::vector<Candidate> found() const { return found_.Get(); }
  bool Has(const TransportAddress& base, std::optional<TcpType> tcp_type,
           const TransportAddress& address) const;

  // Counted only (candidate_limit) beyond `max`.
  void Tell(Candidate candidate);
  // They are no way to us any more, wanted or not.
  void Lose(Predicate is_it);
  void Lose(const TransportAddress& base, std::optional<TcpType> tcp_type,
            const TransportAddress& address);
  // The configuration leaves them out; a path of before may go on by them.
  void Unwant(Predicate is_it);
  // It has them again: they are told once more.
  void WantAgain(Predicate is_it);
  // No path goes by what is unwanted, and no more is told of it.
  void ReleaseUnwanted() { unwanted_ = CandidateList(); }

 private:
  const size_t max_;
  Queue<GathererEvent, 0>& events_;
  SparseCounters<GathererStats>& stats_;
  CandidateList found_;
  CandidateList unwanted_;
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_TOLD_CANDIDATES_H_
