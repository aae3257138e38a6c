// Whether what works still does: consent, probes, and what is done when the
// pair in use falls silent or is gone (RFC 7675).

#include <algorithm>
#include <optional>

#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/internal/generation.h"

namespace kyuu::ice {

using internal::PairTimer;
using internal::Validity;

void Agent::Probe(absl::Time now) {
  if (state_ == AgentState::kClosed) return;
  const std::optional<size_t> in_use = current_->InUse();
  if (!in_use) return;
  Validity& valid = *current_->pairs.Edit(*in_use).valid;
  if (valid.suspect || valid.probes > 0) return;
  ++stats_.at<&AgentStats::probes_started>();
  valid.probes = 1;
  valid.unanswered_since = absl::InfiniteFuture();
  valid.next_keepalive = now;
  Update(now);
}

// RFC 7675 section 5.1: after 0.8 to 1.2 of the interval, so that agents do not
// fall into step, and on the grid.
absl::Time Agent::NextConsent(absl::Time now) {
  const absl::Duration grid = options_->consent_grid;
  const absl::Duration least = options_->consent_interval * 0.8;
  const absl::Duration spread =
      std::max(absl::ZeroDuration(), options_->consent_interval * 0.4 - grid);
  const absl::Time next = now + least + spread * random_->Fraction();
  if (grid <= absl::ZeroDuration()) return next;
  return absl::UnixEpoch() + absl::Ceil(next - absl::UnixEpoch(), grid);
}

void Agent::ReviewConsent(absl::Time now, Generation& g) {
  const std::optional<size_t> in_use = g.InUse();
  while (const auto index = g.pairs.EditDue(PairTimer::kConsent, now)) {
    Decide(Decision::Kind::kDrop, g, *index, reasons::kNoConsent);
    FailPair(g, *index);
  }
  while (const auto index = g.pairs.EditDue(PairTimer::kSuspect, now)) {
    if (in_use == index && &g == current_.get()) {
      Suspect(now, *index);
    } else {
      g.pairs.Edit(*index).valid->suspect = true;
    }
  }
}

// The pair in use does not answer. It is asked again, and so are the reserves,
// whether one of them still works; those that share an address with it, ours or
// the peer's, over TCP, too, probably share its fate, and have to answer first,
// unless they were heard in the meantime.
void Agent::Suspect(absl::Time now, size_t index) {
  Generation& g = *current_;
  const IpAddress ip = bases_[g.pairs[index].base].address.ip;
  const IpAddress far = g.pairs[index].path.remote.ip;
  const absl::Time since =
      std::min<absl::Time>(g.pairs[index].valid->unanswered_since, now);
  for (const size_t i : g.pairs.Valid()) {
    Pair& pair = g.pairs.Edit(i);
    pair.valid->next_keepalive = now;
    const bool shares =
        bases_[pair.base].address.ip == ip || pair.path.remote.ip == far;
    if (i == index || (shares && pair.heard_at() < since)) {
      pair.valid->Doubt(now);
    }
  }
}

// The peer has begun to send payload by another pair than the nominated one:
// its address there may be gone, of which only it can know. Two checks tell.
// (If it nominates, its word may have been lost, or taken for an aggressive
// one.)
void Agent::HearElsewhere(absl::Time now, size_t index) {
  Generation& g = *current_;
  if (lite_ || !g.selected || g.selected == index || g.InUse() != g.selected ||
      !g.pairs[index].healthy()) {
    return;
  }
  Validity& valid = *g.pairs.Edit(*g.selected).valid;
  if (valid.suspect || valid.hasty) return;
  ++stats_.at<&AgentStats::probes_started>();
  valid.probes = 1;
  valid.hasty = true;
  valid.unanswered_since = std::min<absl::Time>(valid.unanswered_since, now);
  valid.next_keepalive = now;
  Update(now);
}

// The pair in use is silent: give all others a new chance.
void Agent::Resume() {
  Generation& g = *current_;
  g.resumed = true;
  for (size_t i = 0; i < g.pairs.size(); ++i) {
    const Pair& pair = g.pairs[i];
    if (pair.valid || pair.in_progress()) continue;
    // A peer that comes and goes must not make us ask for ever where nobody is.
    if (pair.responses_received == 0 &&
        pair.checks_sent >=
            2 * static_cast<uint64_t>(options_->max_transmissions)) {
      continue;
    }
    g.pairs.Edit(i).check = internal::Waiting{};
  }
}

}  // namespace kyuu::ice
