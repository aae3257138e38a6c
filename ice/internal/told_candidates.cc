#include "ice/internal/told_candidates.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "ice/candidate.h"
#include "ice/gatherer_events.h"

namespace kyuu::ice::internal {
namespace {

// Takes those out, the last first.
std::vector<Candidate> TakeOut(CandidateList& all,
                               ToldCandidates::Predicate is_it) {
  std::vector<Candidate> taken = all.TakeOut(is_it);
  std::reverse(taken.begin(), taken.end());
  return taken;
}

}  // namespace

bool ToldCandidates::Has(const TransportAddress& base,
                         std::optional<TcpType> tcp_type,
                         const TransportAddress& address) const {
  return found_.Any([&](const Candidate& c) {
    return c.address == address && c.base == base && c.tcp_type == tcp_type;
  });
}

void ToldCandidates::Tell(Candidate candidate) {
  if (found_.size() >= max_) {
    ++stats_.at<&GathererStats::candidate_limit>();
    return;
  }
  unwanted_.TakeOut([&](const Candidate& other) {
    return other.address == candidate.address && other.base == candidate.base &&
           other.tcp_type == candidate.tcp_type;
  });
  found_.Add(candidate);
  events_.push_back(GathererCandidateFound{std::move(candidate)});
}

void ToldCandidates::Lose(Predicate is_it) {
  for (CandidateList* all : {&found_, &unwanted_}) {
    for (Candidate& lost : TakeOut(*all, is_it)) {
      events_.push_back(GathererCandidateGone{std::move(lost)});
    }
  }
}

void ToldCandidates::Lose(const TransportAddress& base,
                          std::optional<TcpType> tcp_type,
                          const TransportAddress& address) {
  Lose([&](const Candidate& c) {
    return c.base == base && c.address == address && c.tcp_type == tcp_type;
  });
}

void ToldCandidates::Unwant(Predicate is_it) {
  for (Candidate& unwanted : TakeOut(found_, is_it)) {
    events_.push_back(
        GathererCandidateGone{unwanted, GathererCandidateGone::Why::kUnwanted});
    // Beyond this they are lost when their address is, or the agent's path.
    if (unwanted_.size() < max_) unwanted_.Add(unwanted);
  }
}

void ToldCandidates::WantAgain(Predicate is_it) {
  // In the order of before: Unwant() has turned it round as this does.
  for (Candidate& again : TakeOut(unwanted_, is_it)) {
    if (found_.size() >= max_) unwanted_.Add(again);
    Tell(std::move(again));
  }
}

}  // namespace kyuu::ice::internal
