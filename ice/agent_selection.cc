// Which pair is used: nomination and the agent's state (RFC 8445 section 8, RFC
// 8863).

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
#include "ice/internal/policy_questions.h"

namespace kyuu::ice {
namespace {

// Payload that comes along a pair after so long without is no straggler of the
// time before another one was nominated.
constexpr absl::Duration kPayloadPause = absl::Milliseconds(250);

// Whether an authenticated check came along `path`, whose pair is that of the
// index, if there is one.
bool Knows(const internal::Generation& g, std::optional<size_t> index,
           const Path& path, bool lite) {
  // Two lite agents have nothing but what they have told each other.
  const bool told = lite && g.remote_mode == RemoteMode::kLite;
  if (index && (told || g.pairs[*index].heard())) return true;
  return std::any_of(
      g.early.begin(), g.early.end(),
      [&path](const internal::EarlyCheck& c) { return c.path == path; });
}

}  // namespace

using internal::Checklist;
using internal::Nomination;
using internal::PairTimer;
using internal::Validity;

// Everything that follows from the state as it is now. Called after each
// change; calling it more often does nothing.
void Agent::Update(absl::Time now) {
  if (state_ == AgentState::kClosed) return;
  Generation& g = *current_;
  if (now >= g.patience_until) g.patience_until = absl::InfinitePast();
  ConsiderNomination(now);
  timers_.Set(Timer::kHold, internal::ChooseUse(now, *options_, g));

  const std::optional<size_t> in_use = g.InUse();
  g.Keep(
      in_use, options_->max_backup_pairs,
      [&](size_t pair, size_t kept) {
        return internal::AskReserve(*options_, g, pair, in_use, kept).keep;
      },
      [&](size_t pair) {
        const ReserveAnswer answer =
            internal::AskReserve(*options_, g, pair, in_use, 0);
        Decide(Decision::Kind::kDrop, g, pair,
               answer.keep ? reasons::kEnoughOthers : answer.reason);
      });
  if (in_use) {
    const Pair& pair = g.pairs[*in_use];
    // A reserve that came into use needs consent's shorter interval.
    const absl::Duration longest = options_->consent_interval * 1.2;
    if (pair.valid->next_keepalive > now + longest) {
      g.pairs.Edit(*in_use).valid->next_keepalive = NextConsent(now);
    }
    // Nothing that works is left: others may.
    if (pair.suspect() && !g.resumed) Resume();
    if (!pair.suspect()) g.resumed = false;
  }
  if (previous_) {
    const std::optional<size_t> old = previous_->InUse();
    previous_->Keep(
        in_use ? std::nullopt : old, 0, [](size_t, size_t) { return true; },
        [](size_t) {});
    if (!old) {
      DropPrevious(now);
    } else if (in_use && !timers_.IsSet(Timer::kOldGeneration)) {
      timers_.Set(Timer::kOldGeneration, now + options_->old_generation_linger);
    }
  }
  ReviewStreams(now);
  // So that nothing wakes up for one that is not there.
  if (g.SeeksReserves()) g.NextReserve(options_->max_backup_pairs);
  state_ = ComputeState(now);
  Arm();
}

void Agent::ConsiderNomination(absl::Time now) {
  Generation& g = *current_;
  timers_.Stop(Timer::kNominate);
  if (lite_) return ChooseUnchecked(now);
  if (role_ != Role::kControlling || !g.remote) return;
  const std::optional<size_t> nominating = g.pairs.Nominating();
  if (nominating && !g.pairs[*nominating].suspect()) return;
  const std::optional<size_t> best =
      g.pairs.BestValid(Checklist::Among::kHealthy);
  if (!best || best == g.selected) return;
  // The pair being nominated fell silent, and another one works.
  if (nominating && !(g.selected && g.pairs[*g.selected].healthy())) {
    g.pairs.Edit(*nominating).nomination = Nomination::kNone;
  }
  const NominationAnswer answer =
      internal::AskNomination(now, *options_, g, *best);
  if (now >= answer.when) {
    Nominate(*best);
    Decide(Decision::Kind::kNominate, g, *best, answer.reason);
  } else {
    timers_.Set(Timer::kNominate, answer.when);
  }
}

void Agent::Decide(Decision::Kind kind, const Generation& g, size_t index,
                   absl::string_view reason) {
  if (options_->decisions_max == 0) return;
  if (decisions_.size() >= options_->decisions_max) {
    ++stats_.at<&AgentStats::decision_limit>();
    decisions_.erase(decisions_.begin());
  }
  const Pair& pair = g.pairs[index];
  decisions_.push_back({kind, pair.path, pair.local_type,
                        g.remotes()[pair.remote].type, reason});
}

// Two lite agents (RFC 8445 section 8.2): nobody checks, and nobody asks for
// consent.
void Agent::ChooseUnchecked(absl::Time now) {
  Generation& g = *current_;
  if (!g.remote || g.remote_mode != RemoteMode::kLite || g.selected ||
      g.pairs.size() == 0) {
    return;
  }
  size_t best = 0;
  for (size_t i = 1; i < g.pairs.size(); ++i) {
    if (g.pairs[i].priority > g.pairs[best].priority) best = i;
  }
  g.pairs.Edit(best).check = internal::Succeeded{};
  g.Validate(best, {.since = now, .last_response = absl::InfiniteFuture()});
  Select(now, best);
  Decide(Decision::Kind::kNominate, g, best, reasons::kUnchecked);
}

bool Agent::IsRelayed(const Pair& pair) const {
  return bases_[pair.base].type == CandidateType::kRelayed ||
         current_->remotes()[pair.remote].type == CandidateType::kRelayed;
}

void Agent::Nominate(size_t index) {
  Pair& pair = current_->pairs.Edit(index);
  pair.nomination = Nomination::kNominating;
  pair.immediate = true;
  current_->pairs.Trigger(index);
}

void Agent::Select(absl::Time now, size_t index) {
  Generation& g = *current_;
  Pair& pair = g.pairs.Edit(index);
  pair.nomination = Nomination::kNominated;
  if (g.selected == index) return;
  if (g.selected && role_ == Role::kControlled) {
    // A peer that nominates aggressively means the best of all pairs (RFC 5245
    // section 8.1.1.2); one that nominates anew means the one that works.
    const Pair& old = g.pairs[*g.selected];
    if (old.healthy() && old.priority >= pair.priority &&
        now < old.nominated_at + options_->aggressive_nomination) {
      return Decide(Decision::Kind::kIgnore, g, index, reasons::kBestOfPeers);
    }
  }
  if (g.selected && role_ == Role::kControlling) {
    g.pairs.Edit(*g.selected).nomination = Nomination::kNone;
  }
  g.selected = index;
  // On a fast network nothing else was checked yet.
  g.seeks_reserves = true;
  pair.nominated_at = now;
  if (role_ == Role::kControlled && g.remote_mode == RemoteMode::kFull) {
    Decide(Decision::Kind::kNominate, g, index, reasons::kPeerNominated);
  }
}

// The round trip of a path that works is a fair guess for a better one: do not
// wait for the long first timeout before the second try.
void Agent::Hasten(absl::Time now, const Pair& valid) {
  const absl::Duration wait = std::max(2 * valid.rtt, absl::Milliseconds(100));
  Checklist& pairs = current_->pairs;
  for (const size_t index : pairs.PendingAbove(valid.priority)) {
    const internal::InProgress* check = pairs[index].in_progress();
    if (check == nullptr || check->transmissions != 1 || check->due ||
        pairs[index].is_stream()) {
      continue;
    }
    Pair& pair = pairs.Edit(index);
    pair.in_progress()->deadline = std::min<absl::Time>(
        check->deadline, std::max(now, pair.last_sent + wait));
  }
}

AgentState Agent::ComputeState(absl::Time now) const {
  const Generation& g = *current_;
  if (const Pair* pair = PairInUse()) {
    if (pair->suspect() &&
        now >= pair->valid->unanswered_since + options_->disconnected_after) {
      return AgentState::kDisconnected;
    }
    return g.selected ? AgentState::kCompleted : AgentState::kConnected;
  }
  if (!g.remote) return AgentState::kNew;
  if (g.ever_valid) return AgentState::kFailed;
  // Even with no pair left, the peer may still reach us from an address that
  // nobody told (RFC 8863 section 4).
  if ((lite_ || !g.pairs.AnyPending()) &&
      g.patience_until == absl::InfinitePast()) {
    return AgentState::kFailed;
  }
  return g.moved ? AgentState::kDisconnected : AgentState::kChecking;
}

// The deadlines as they are now. The end of each change.
void Agent::Arm() {
  timers_.Set(Timer::kRto, NextCheckTime());
  const Pair* in_use = PairInUse();
  const bool patient = current_->remote && in_use == nullptr &&
                       current_->patience_until != absl::InfinitePast();
  timers_.Set(Timer::kPac, patient ? absl::Time(current_->patience_until)
                                   : absl::InfiniteFuture());
  const auto earliest = [&](PairTimer timer) {
    const absl::Time next = current_->pairs.NextTimeout(timer);
    return previous_ ? std::min(next, previous_->pairs.NextTimeout(timer))
                     : next;
  };
  timers_.Set(Timer::kKeepalive, earliest(PairTimer::kKeepalive));
  timers_.Set(Timer::kSuspect, earliest(PairTimer::kSuspect));
  timers_.Set(Timer::kConsent, earliest(PairTimer::kConsent));
  const bool silent = in_use != nullptr && in_use->suspect() &&
                      state_ != AgentState::kDisconnected;
  timers_.Set(Timer::kDisconnected, silent ? in_use->valid->unanswered_since +
                                                 options_->disconnected_after
                                           : absl::InfiniteFuture());
  current_->pairs.Commit();
  if (previous_) previous_->pairs.Commit();
}

absl::Time Agent::NextTimeout() const { return timers_.NextTimeout(); }

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

std::optional<Path> Agent::nominated_path() const {
  const std::optional<size_t> in_use = current_->InUse();
  if (!in_use || in_use != current_->selected) return std::nullopt;
  return current_->pairs[*in_use].path;
}

bool Agent::doubts_path() const {
  const Pair* pair = PairInUse();
  return pair != nullptr && pair->suspect();
}

bool Agent::IsKnownPath(const Path& path) const {
  for (const Generation* g : {current_.get(), previous_.get()}) {
    if (g != nullptr && Knows(*g, g->pairs.FindPath(path), path, lite_)) {
      return true;
    }
  }
  return false;
}

void Agent::CountSent(absl::Time now, size_t bytes) {
  for (Generation* g : {current_.get(), previous_.get()}) {
    const std::optional<size_t> index =
        g == nullptr ? std::nullopt : g->InUse();
    if (!index) continue;
    PairTraffic& traffic = g->pairs.Payload(*index);
    ++traffic.packets_sent;
    traffic.bytes_sent += bytes;
    traffic.last_sent = now;
    return;
  }
}

bool Agent::TakePayload(absl::Time now, const Path& path, size_t bytes) {
  for (Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr) continue;
    const std::optional<size_t> index = g->pairs.FindPath(path);
    if (!Knows(*g, index, path, lite_)) continue;
    if (index) {
      PairTraffic& traffic = g->pairs.Payload(*index);
      ++traffic.packets_received;
      traffic.bytes_received += bytes;
      const bool begins = now > traffic.last_received + kPayloadPause;
      traffic.last_received = now;
      if (begins && g == current_.get()) HearElsewhere(now, *index);
    }
    return true;
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
  for (const Pair& pair : current_->pairs.all()) {
    infos.push_back({.path = pair.path,
                     .local_type = pair.local_type,
                     .remote_type = current_->remotes()[pair.remote].type,
                     .state = pair.state(),
                     .priority = pair.priority,
                     .valid = pair.valid.has_value(),
                     .nominated = pair.nominated(),
                     .rtt = pair.rtt,
                     .rtt_sum = pair.rtt_sum,
                     .checks_sent = pair.checks_sent,
                     .consent_sent = pair.consent_sent,
                     .responses_received = pair.responses_received,
                     .requests_received = pair.requests_received,
                     .traffic = pair.traffic()});
  }
  return infos;
}

uint64_t Agent::pair_visits() const {
  return current_->pairs.visits() + (previous_ ? previous_->pairs.visits() : 0);
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

absl::string_view ToString(PairState state) {
  switch (state) {
    case PairState::kFrozen:
      return "frozen";
    case PairState::kWaiting:
      return "waiting";
    case PairState::kInProgress:
      return "in-progress";
    case PairState::kSucceeded:
      return "succeeded";
    case PairState::kFailed:
      return "failed";
  }
  return "";
}

std::string Agent::DebugString() const {
  std::string text =
      absl::StrCat("ice::Agent ", ToString(role_), " ", ToString(state_), "\n");
  for (const PairInfo& pair : pairs()) {
    absl::StrAppend(&text, "  ", pair.path.ToString(), " ",
                    ToString(pair.local_type), "-", ToString(pair.remote_type),
                    " ", ToString(pair.state), pair.valid ? " valid" : "",
                    pair.nominated ? " nominated" : "", " rtt ",
                    absl::FormatDuration(pair.rtt), "\n");
  }
  return text;
}

}  // namespace kyuu::ice
