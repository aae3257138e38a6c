#include "ice/policy.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/candidate.h"
#include "ice/internal/pair.h"

namespace kyuu::ice {

const Path& PairView::path() const { return pair_->path; }

CandidateType PairView::local_type() const { return pair_->local_type; }

uint64_t PairView::priority() const { return pair_->priority; }

absl::Duration PairView::rtt() const { return pair_->rtt; }

absl::Time PairView::works_since() const {
  if (!pair_->valid) return absl::InfiniteFuture();
  return pair_->valid->since;
}

bool PairView::answers() const { return pair_->healthy(); }

absl::Time PairView::silent_since() const {
  if (!pair_->valid) return absl::InfiniteFuture();
  return pair_->valid->unanswered_since;
}

uint64_t PairView::checks_sent() const { return pair_->checks_sent; }

absl::Time PairView::first_sent() const { return pair_->first_sent; }

absl::Time PairView::last_sent() const { return pair_->last_sent; }

bool PairView::is_relayed() const {
  return pair_->local_type == CandidateType::kRelayed ||
         remote_type_ == CandidateType::kRelayed;
}

namespace {

// When nothing better than `best` can be expected any more: at once if no pair
// of higher priority is under way, else when each of these has had the time
// that `best` needed (a direct pair next to a relayed one: two tries, for the
// first may have died at a NAT not yet opened from inside), but never later
// than the bounds of AgentOptions.
NominationAnswer FirstNomination(const NominationQuestion& question) {
  const PairView& best = question.best;
  const bool relayed = best.is_relayed();
  const absl::Time latest =
      best.works_since() +
      (relayed ? question.wait_relayed : question.wait_direct);
  NominationAnswer answer{best.works_since(), reasons::kNothingBetter};
  // Direct candidates may still be on their way to us.
  if (relayed && !question.remote_done)
    answer.when += question.wait_relayed / 4;
  for (const PairView& pair : question.pending) {
    // A direct way takes over from a relay later, too, and a connection may
    // take its time.
    if (pair.works_since() != absl::InfiniteFuture() ||
        IsStream(pair.path().transport)) {
      continue;
    }
    answer.reason = reasons::kBetterHadTheirTime;
    const bool patient = relayed && !pair.is_relayed();
    if (pair.checks_sent() < (patient ? 2u : 1u)) {
      answer.when = latest;
      return answer;
    }
    answer.when = std::max(
        answer.when,
        patient
            ? pair.last_sent() + std::max(best.rtt(), absl::Milliseconds(50))
            : pair.first_sent() + best.rtt() * 5 / 4 + absl::Milliseconds(5));
  }
  answer.when = std::min(answer.when, latest);
  return answer;
}

}  // namespace

absl::Time internal::HeldUntil(const PairView& silent, const PairView& other,
                               absl::Duration stream_after_silence) {
  const absl::Time since = silent.silent_since();
  if (IsStream(silent.path().transport) || !IsStream(other.path().transport) ||
      since == absl::InfiniteFuture()) {
    return absl::InfinitePast();
  }
  return since + stream_after_silence;
}

NominationAnswer DefaultNomination(const NominationQuestion& question) {
  if (!question.nominated) return FirstNomination(question);
  if (!question.nominated->answers()) {
    return {std::max(question.now,
                     internal::HeldUntil(*question.nominated, question.best,
                                         question.stream_after_silence)),
            reasons::kNominatedIsSilent};
  }
  // A better kind of way that was found after another one was nominated is
  // nominated anew (RFC 8445 section 8.1.1 ends there; the last nomination
  // counts for all peers known). It must work for a while first.
  const PairView& best = question.best;
  if (!best.is_relayed() && question.nominated->is_relayed()) {
    return {best.works_since() + question.renomination_wait,
            reasons::kInsteadOfRelay};
  }
  if (!best.is_relayed() && !IsStream(best.path().transport) &&
      IsStream(question.nominated->path().transport)) {
    return {best.works_since() + question.renomination_wait_stream,
            reasons::kInsteadOfStream};
  }
  return {absl::InfiniteFuture(), reasons::kWait};
}

absl::string_view ToString(Decision::Kind kind) {
  switch (kind) {
    case Decision::Kind::kNominate:
      return "nominate";
    case Decision::Kind::kIgnore:
      return "ignore";
    case Decision::Kind::kUse:
      return "use";
    case Decision::Kind::kDrop:
      return "drop";
  }
  return "";
}

}  // namespace kyuu::ice
