// Which pair is used: nomination, consent, failover, and the agent's state (RFC
// 8445 section 8, RFC 7675, RFC 8863).

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/internal/generation.h"

namespace kyuu::ice {

// Everything that follows from the state as it is now. Called after each
// change; calling it more often does nothing.
void Agent::Update(absl::Time now) {
  if (state_ == AgentState::kClosed) return;
  Generation& g = *current_;
  if (now >= g.patience_until) g.patience_until = absl::InfinitePast();
  ConsiderNomination(now);

  const std::optional<size_t> in_use = g.InUse();
  g.Keep(in_use, options_.max_backup_pairs);
  if (in_use) {
    Pair& pair = g.pairs[*in_use];
    // A reserve that came into use needs consent's shorter interval.
    const absl::Duration longest = options_.consent_interval * 1.2;
    if (pair.next_keepalive > now + longest) {
      pair.next_keepalive = now + ConsentInterval();
    }
    const bool dead = pair.suspect && now >= pair.unanswered_since +
                                                 options_.disconnected_after;
    if (dead && !g.resumed) Resume();
    if (!pair.suspect) g.resumed = false;
  }
  if (previous_) {
    const std::optional<size_t> old = previous_->InUse();
    previous_->Keep(in_use ? std::nullopt : old, 0);
    if (!old) {
      previous_.reset();
      timers_.Stop(Timer::kOldGeneration);
    } else if (in_use && !timers_.IsSet(Timer::kOldGeneration)) {
      timers_.Set(Timer::kOldGeneration, now + options_.old_generation_linger);
    }
  }
  state_ = ComputeState(now);
}

void Agent::ConsiderNomination(absl::Time now) {
  Generation& g = *current_;
  timers_.Stop(Timer::kNominate);
  if (role_ != Role::kControlling || !g.remote) return;
  Pair* nominating = nullptr;
  for (Pair& pair : g.pairs) {
    if (pair.nominating) nominating = &pair;
  }
  if (nominating != nullptr && !nominating->suspect) return;
  if (g.selected && !g.pairs[*g.selected].suspect) return;
  const std::optional<size_t> best =
      g.BestValid(internal::Generation::Among::kHealthy);
  if (!best) return;
  // The pair being nominated fell silent, and another one works.
  if (nominating != nullptr) nominating->nominating = false;
  const absl::Time when =
      g.selected ? now : NominationTime(g.pairs[*best]);  // Failover at once.
  if (now >= when) {
    Nominate(*best);
  } else {
    timers_.Set(Timer::kNominate, when);
  }
}

bool Agent::IsRelayed(const Pair& pair) const {
  return bases_[pair.base].type == CandidateType::kRelayed ||
         current_->remotes[pair.remote].type == CandidateType::kRelayed;
}

// When nothing better than `best` can be expected any more: at once if no pair
// of higher priority is under way, else when each of these has had the time
// that `best` needed (a direct pair next to a relayed one: two tries, for the
// first may have died at a NAT not yet opened from inside), but never later
// than the bounds of AgentOptions.
absl::Time Agent::NominationTime(const Pair& best) const {
  const Generation& g = *current_;
  const bool relayed = IsRelayed(best);
  const absl::Time latest =
      best.valid_since + (relayed ? options_.nomination_wait_relayed
                                  : options_.nomination_wait_direct);
  if (!names_.empty()) return latest;
  absl::Time when = best.valid_since;
  // Direct candidates may still be on their way to us.
  if (relayed && !g.remote_done) {
    when += options_.nomination_wait_relayed / 4;
  }
  for (const Pair& pair : g.pairs) {
    if (pair.valid || pair.priority <= best.priority || !pair.pending()) {
      continue;
    }
    const bool patient = relayed && !IsRelayed(pair);
    if (pair.checks_sent < (patient ? 2u : 1u)) return latest;
    when = std::max(
        when, patient
                  ? pair.last_sent + std::max(best.rtt, absl::Milliseconds(50))
                  : pair.first_sent + best.rtt * 5 / 4 + absl::Milliseconds(5));
  }
  return std::min(when, latest);
}

void Agent::Nominate(size_t index) {
  Pair& pair = current_->pairs[index];
  pair.nominating = true;
  pair.immediate = true;
  current_->Trigger(index);
}

void Agent::Select(size_t index) {
  Generation& g = *current_;
  Pair& pair = g.pairs[index];
  pair.nominated = true;
  if (g.selected == index) return;
  if (g.selected && role_ == Role::kControlled) {
    // A peer that nominates aggressively means the best of all pairs (RFC 5245
    // section 8.1.1.2); one that nominates anew means the one that works.
    const Pair& old = g.pairs[*g.selected];
    if (old.valid && !old.suspect && old.priority >= pair.priority) return;
  }
  if (g.selected && role_ == Role::kControlling) {
    g.pairs[*g.selected].nominated = false;
  }
  g.selected = index;
}

// The round trip of a path that works is a fair guess for a better one: do not
// wait for the long first timeout before the second try.
void Agent::Hasten(absl::Time now, const Pair& valid) {
  const absl::Duration wait = std::max(2 * valid.rtt, absl::Milliseconds(100));
  for (Pair& pair : current_->pairs) {
    if (pair.state != PairState::kInProgress || pair.transmissions != 1 ||
        pair.priority < valid.priority) {
      continue;
    }
    pair.deadline =
        std::min(pair.deadline, std::max(now, pair.last_sent + wait));
  }
}

absl::Duration Agent::SuspectAfter(const Pair& pair) const {
  return std::max(options_.suspect_after, 3 * pair.rtt);
}

// RFC 7675 section 5.1: 0.8 to 1.2 of the interval, so that agents do not fall
// into step.
absl::Duration Agent::ConsentInterval() {
  return options_.consent_interval * (0.8 + 0.4 * random_->Fraction());
}

void Agent::ReviewConsent(absl::Time now, Generation& g) {
  const std::optional<size_t> in_use = g.InUse();
  for (size_t i = 0; i < g.pairs.size(); ++i) {
    Pair& pair = g.pairs[i];
    if (!pair.valid) continue;
    if (now >= pair.last_response + options_.consent_expiry) {
      FailPair(g, i);
    } else if (!pair.suspect &&
               now >= pair.unanswered_since + SuspectAfter(pair)) {
      pair.suspect = true;
      if (in_use != i) continue;
      // Ask it again, and the reserves whether one of them still works.
      for (Pair& other : g.pairs) {
        if (other.kept) other.next_keepalive = now;
      }
    }
  }
}

// The pair in use is silent: give all others a new chance.
void Agent::Resume() {
  Generation& g = *current_;
  g.resumed = true;
  for (Pair& pair : g.pairs) {
    if (pair.valid || pair.state == PairState::kInProgress) continue;
    pair.state = PairState::kWaiting;
  }
}

AgentState Agent::ComputeState(absl::Time now) const {
  const Generation& g = *current_;
  if (const Pair* pair = PairInUse()) {
    if (pair->suspect &&
        now >= pair->unanswered_since + options_.disconnected_after) {
      return AgentState::kDisconnected;
    }
    return g.selected ? AgentState::kCompleted : AgentState::kConnected;
  }
  if (!g.remote) return AgentState::kNew;
  if (g.ever_valid) return AgentState::kFailed;
  // Even with no pair left, the peer may still reach us from an address that
  // nobody told (RFC 8863 section 4).
  return g.AnyPending() || !names_.empty() ||
                 g.patience_until != absl::InfinitePast()
             ? AgentState::kChecking
             : AgentState::kFailed;
}

absl::Time Agent::NextTimeout() const {
  if (state_ == AgentState::kClosed) return absl::InfiniteFuture();
  const Generation& now_current = *current_;
  absl::Time next = std::min(timers_.NextTimeout(), NextCheckTime());
  if (state_ == AgentState::kChecking &&
      now_current.patience_until != absl::InfinitePast()) {
    next = std::min(next, now_current.patience_until);
  }
  const Pair* in_use = PairInUse();
  for (const Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr) continue;
    for (const Pair& pair : g->pairs) {
      if (!pair.valid) continue;
      next = std::min(next, pair.last_response + options_.consent_expiry);
      if (pair.kept) next = std::min(next, pair.next_keepalive);
      if (!pair.suspect) {
        next = std::min(next, pair.unanswered_since + SuspectAfter(pair));
      } else if (&pair == in_use && state_ != AgentState::kDisconnected) {
        next =
            std::min(next, pair.unanswered_since + options_.disconnected_after);
      }
    }
  }
  return next;
}

const internal::Pair* Agent::PairInUse() const {
  for (const Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr) continue;
    if (std::optional<size_t> index = g->InUse()) return &g->pairs[*index];
  }
  return nullptr;
}

std::optional<Path> Agent::selected_path() const {
  const Pair* pair = PairInUse();
  if (pair == nullptr) return std::nullopt;
  return pair->path;
}

bool Agent::IsKnownPath(const Path& path) const {
  for (const Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr) continue;
    for (const Pair& pair : g->pairs) {
      if (pair.authenticated && pair.path == path) return true;
    }
    for (const internal::EarlyCheck& check : g->early) {
      if (check.path == path) return true;
    }
  }
  return false;
}

std::optional<absl::Duration> Agent::rtt() const {
  const Pair* pair = PairInUse();
  if (pair == nullptr || pair->rtt == absl::ZeroDuration()) return std::nullopt;
  return pair->rtt;
}

std::vector<PairInfo> Agent::pairs() const {
  std::vector<PairInfo> infos;
  infos.reserve(current_->pairs.size());
  for (const Pair& pair : current_->pairs) {
    infos.push_back(
        {pair.path, pair.local_type, current_->remotes[pair.remote].type,
         pair.state, pair.priority, pair.valid, pair.nominated, pair.rtt,
         pair.checks_sent, pair.responses_received, pair.requests_received});
  }
  return infos;
}

absl::string_view ToString(Role role) {
  return role == Role::kControlling ? "controlling" : "controlled";
}

absl::string_view ToString(AgentState state) {
  switch (state) {
    case AgentState::kNew:
      return "new";
    case AgentState::kChecking:
      return "checking";
    case AgentState::kConnected:
      return "connected";
    case AgentState::kCompleted:
      return "completed";
    case AgentState::kDisconnected:
      return "disconnected";
    case AgentState::kFailed:
      return "failed";
    case AgentState::kClosed:
      return "closed";
  }
  return "";
}

std::string Agent::DebugString() const {
  static constexpr absl::string_view kStates[] = {
      "frozen", "waiting", "in-progress", "succeeded", "failed"};
  std::string text =
      absl::StrCat("ice::Agent ", ToString(role_), " ", ToString(state_), "\n");
  for (const PairInfo& pair : pairs()) {
    absl::StrAppend(&text, "  ", pair.path.ToString(), " ",
                    ToString(pair.local_type), "-", ToString(pair.remote_type),
                    " ", kStates[static_cast<size_t>(pair.state)],
                    pair.valid ? " valid" : "",
                    pair.nominated ? " nominated" : "", " rtt ",
                    absl::FormatDuration(pair.rtt), "\n");
  }
  return text;
}

}  // namespace kyuu::ice
