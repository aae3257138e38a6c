#include "ice/agent.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/check.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/internal/generation.h"
#include "ice/internal/policy_questions.h"
#include "stun/message.h"

namespace kyuu::ice {

namespace {

// Without what an agent keeps beside them, so that nearly all have them in
// common.
AgentOptions Shareable(AgentOptions options) {
  const AgentOptions defaults;
  options.lite = defaults.lite;
  options.ta = defaults.ta;
  options.embedded_dtls = defaults.embedded_dtls;
  return options;
}

std::unique_ptr<internal::Generation> NewGeneration(const Credentials& local,
                                                    const AgentOptions& options,
                                                    bool lite) {
  return std::make_unique<internal::Generation>(
      local, internal::Liveness(options, /*asks_peer=*/!lite));
}

}  // namespace

using internal::Nomination;

absl::Duration AgreedPacing(std::optional<absl::Duration> ours,
                            std::optional<absl::Duration> theirs) {
  return std::max({ours.value_or(kPacingDefault),
                   theirs.value_or(kPacingDefault), kPacingMin});
}

Agent::Agent(Role role, const Credentials& local, Random& random,
             const AgentOptions& options)
    : options_(Shareable(options)),
      lite_(options.lite),
      role_(role),
      ta_(options.ta),
      random_(&random),
      tie_breaker_(random.U64()),
      current_(NewGeneration(local, *options_, lite_)),
      streams_(options.max_streams),
      embedded_dtls_(options.embedded_dtls) {
  KYUU_CHECK(local.Validate().ok());
  told_.role = role;
}

Agent::~Agent() = default;

void Agent::SetRole(absl::Time now, Role role) {
  if (role == role_) return;
  SwitchRole(role);
  told_.role = role;
  Update(now);
}

void Agent::SwitchRole(Role role) {
  role_ = role;
  current_->Relabel(bases_, role);
  for (size_t i = 0; i < current_->pairs.size(); ++i) {
    Pair& pair = current_->pairs.Edit(i);
    if (!pair.nominated()) pair.nomination = Nomination::kNone;
  }
}

void Agent::SetPacing(absl::Time now, absl::Duration ta) {
  ta_ = std::max(ta, kPacingMin);
  next_slot_ = std::min<absl::Time>(next_slot_, now + ta_);
  Update(now);
}

absl::Status Agent::SetRemoteCredentials(absl::Time now,
                                         const Credentials& remote,
                                         RemoteMode mode) {
  KYUU_RETURN_IF_ERROR(remote.Validate());
  if (state_ == AgentState::kClosed) {
    return absl::FailedPreconditionError("the agent is closed");
  }
  Generation& g = *current_;
  if (g.remote) {
    if (g.IsRemote(remote)) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "the peer has other credentials already: restart first");
  }
  if (remote.ufrag.size() + g.local.ufrag.size() + 1 >
      Generation::kMaxUsername) {
    return absl::InvalidArgumentError("the two ice-ufrags are too long");
  }
  g.SetRemote(remote, mode);
  g.patience_until = now + options_->patience;
  // A lite agent does not control a full one (RFC 8445 section 6.1.1).
  if (lite_ != (mode == RemoteMode::kLite)) {
    SwitchRole(lite_ ? Role::kControlled : Role::kControlling);
  }
  for (const Candidate& candidate : std::exchange(unbound_, {})) {
    AdmitRemoteCandidate(now, candidate);
  }
  for (const internal::EarlyCheck& check : std::exchange(g.early, {})) {
    if (check.remote_ufrag == remote.ufrag) {
      HandleCheck(now, check.path, check.priority, check.use_candidate);
    }
  }
  Update(now);
  return absl::OkStatus();
}

absl::Status Agent::Restart(absl::Time now, const Credentials& local) {
  KYUU_RETURN_IF_ERROR(local.Validate());
  if (state_ == AgentState::kClosed) {
    return absl::FailedPreconditionError("the agent is closed");
  }
  if (local.ufrag == current_->local.ufrag) {
    return absl::InvalidArgumentError("a restart needs a new ice-ufrag");
  }
  // Of two restarts in a row, the path that works comes from the first.
  if (current_->InUse()) previous_ = std::move(current_);
  current_ = NewGeneration(local, *options_, lite_);
  timers_.StopAll();
  responses_.clear();
  unbound_.clear();
  names_.clear();
  Update(now);
  return absl::OkStatus();
}

void Agent::Close(absl::Time) {
  if (state_ == AgentState::kClosed) return;
  state_ = AgentState::kClosed;
  timers_.StopAll();
  current_ = NewGeneration(current_->local, *options_, lite_);
  previous_.reset();
  responses_.clear();
  unbound_.clear();
  names_.clear();
  streams_.Review([](const internal::PeerStream&) { return false; });
  decisions_.clear();
}

void Agent::HandlePacket(absl::Time now, const Datagram& datagram) {
  if (state_ == AgentState::kClosed) {
    ++stats_.at<&AgentStats::drop_closed>();
    return;
  }
  if (!options_->peers.Takes(datagram.path.remote.ip)) {
    ++stats_.at<&AgentStats::drop_forbidden_peer>();
    return;
  }
  if (!stun::IsStun(datagram.bytes)) {
    ++stats_.at<&AgentStats::drop_not_stun>();
    return;
  }
  const absl::StatusOr<stun::MessageView> message =
      stun::MessageView::Parse(datagram.bytes);
  if (!message.ok()) {
    ++stats_.at<&AgentStats::drop_not_stun>();
    return;
  }
  if (message->method() != stun::Method::kBinding) {
    ++stats_.at<&AgentStats::drop_wrong_method>();
    return;
  }
  if (message->HasFingerprint() && !message->CheckFingerprint()) {
    ++stats_.at<&AgentStats::drop_bad_fingerprint>();
    return;
  }
  switch (message->cls()) {
    case stun::MessageClass::kRequest:
      HandleRequest(now, datagram.path, *message);
      return;
    case stun::MessageClass::kIndication:
      // Keepalives are not authenticated and mean nothing more than that the
      // NAT saw them (RFC 8445 section 11).
      ++stats_.at<&AgentStats::indications_received>();
      return;
    case stun::MessageClass::kSuccess:
    case stun::MessageClass::kError:
      HandleResponse(now, datagram.path, *message);
      return;
  }
}

void Agent::HandleTimeout(absl::Time now) {
  if (state_ == AgentState::kClosed || now < timers_.NextTimeout()) return;
  while (std::optional<Timer> due = timers_.PopDue(now)) {
    switch (*due) {
      case Timer::kRto:
        ExpireChecks(now);
        break;
      case Timer::kSuspect:
      case Timer::kConsent:
        ReviewConsent(now, *current_);
        if (previous_) ReviewConsent(now, *previous_);
        break;
      case Timer::kKeepalive:     // PollTransmit() sends it.
      case Timer::kDisconnected:  // Update() looks again.
      case Timer::kPac:
      case Timer::kNominate:
      case Timer::kHold:
      case Timer::kStreams:
        break;
      case Timer::kOldGeneration:
        DropPrevious(now);
        break;
      case Timer::kNames:
        ExpireNames(now);
        break;
      case Timer::kCount:
        break;
    }
  }
  Update(now);
}

std::optional<Datagram> Agent::PollTransmit(absl::Time now,
                                            absl::Span<uint8_t> out) {
  while (!responses_.empty()) {
    if (auto datagram = NextResponse(out)) return datagram;
  }
  if (state_ == AgentState::kClosed) return std::nullopt;
  // Bulk data comes by here for each datagram: nothing due, nothing looked at.
  if (now < std::min(timers_.deadline(Timer::kRto),
                     timers_.deadline(Timer::kKeepalive))) {
    return std::nullopt;
  }
  // Whoever does not call HandleTimeout() in time shall lose nothing by it.
  if (now >= current_->pairs.NextTimeout(internal::PairTimer::kCheck)) {
    ExpireChecks(now);
    Update(now);
  }
  std::optional<Datagram> datagram = NextKeepalive(now, *current_, out);
  if (!datagram && previous_) datagram = NextKeepalive(now, *previous_, out);
  if (!datagram) datagram = NextCheck(now, out);
  Arm();
  return datagram;
}

std::optional<AgentEvent> Agent::PollEvent() {
  if (auto stream = streams_.PollEvent()) {
    return std::visit([](const auto& e) { return Event(e); }, *stream);
  }
  if (state_ == AgentState::kClosed) {
    if (std::exchange(told_.closed, true)) return std::nullopt;
    return Closed{absl::OkStatus()};
  }
  if (!decisions_.empty()) {
    const Decision decision = decisions_.front();
    decisions_.erase(decisions_.begin());
    return decision;
  }
  if (told_.role != role_) {
    told_.role = role_;
    return RoleChanged{role_};
  }
  for (internal::PendingName& name : names_) {
    if (std::exchange(name.asked, true)) continue;
    return ResolveName{name.id, name.candidate.name};
  }
  if (const Pair* pair = PairInUse()) {
    const Generation& g = current_->InUse() ? *current_ : *previous_;
    const SelectedPair selected{pair->path, pair->local_type,
                                g.remotes()[pair->remote].type,
                                pair->nominated()};
    if (!told_.selected || told_.pair != selected) {
      if (!told_.selected || told_.pair->path != selected.path) {
        ++stats_.at<&AgentStats::path_changes>();
        const size_t index = *g.InUse();
        const std::optional<Path> before =
            told_.pair ? std::optional(told_.pair->path) : std::nullopt;
        Decide(Decision::Kind::kUse, g, index,
               internal::ReasonOfUse(g, index, before));
      }
      told_.selected = true;
      told_.pair = selected;
      return selected;
    }
  } else {
    told_.selected = false;
  }
  if (told_.state != state_) {
    // A pair may be nominated before it is seen to work; who waits for
    // "connected" is told it all the same.
    const bool skips_connected = state_ == AgentState::kCompleted &&
                                 told_.state < AgentState::kConnected;
    told_.state = skips_connected ? AgentState::kConnected : state_;
    return StateChanged{told_.state};
  }
  return std::nullopt;
}

}  // namespace kyuu::ice
