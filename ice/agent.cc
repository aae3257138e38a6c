#include "ice/agent.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
#include "stun/message.h"

namespace kyuu::ice {

namespace {

// USERNAME carries both fragments and a colon (RFC 8489 section 14.3: fewer
// than 509 bytes).
constexpr size_t kMaxUsername = 508;

}  // namespace

using internal::Base;
using internal::RemoteCandidate;

Agent::Agent(Role role, const Credentials& local, Random& random,
             const AgentOptions& options)
    : options_(options),
      random_(&random),
      role_(role),
      tie_breaker_(random.U64()),
      current_(std::make_unique<Generation>(local)) {
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
  for (Pair& pair : current_->pairs) {
    pair.nominating = false;
    pair.peer_nominated = false;
  }
}

absl::Status Agent::AddLocalCandidate(absl::Time now,
                                      const Candidate& candidate) {
  if (state_ == AgentState::kClosed) {
    return absl::FailedPreconditionError("the agent is closed");
  }
  const TransportAddress& base =
      candidate.base.ip == IpAddress() ? candidate.address : candidate.base;
  if (candidate.transport != Transport::kUdp || candidate.component != 1 ||
      candidate.address.ip == IpAddress() || candidate.address.port == 0 ||
      base.ip.family() != candidate.address.ip.family() || base.port == 0) {
    return absl::InvalidArgumentError(
        "a local candidate is UDP, of component 1, with addresses");
  }
  const auto known = [&](const LocalCandidate& local) {
    return local.address == candidate.address && local.type == candidate.type;
  };
  if (std::none_of(locals_.begin(), locals_.end(), known)) {
    if (locals_.size() >= options_.max_local_candidates) {
      return absl::ResourceExhaustedError("too many local candidates");
    }
    locals_.push_back({candidate.address, candidate.type});
  }
  if (std::optional<size_t> index = FindBase(base)) {
    // Redundant, unless it tells the better label (RFC 8445 section 6.1.2.4).
    Base& old = bases_[*index];
    if (candidate.priority <= old.priority) return absl::OkStatus();
    old = {base, candidate.type, candidate.priority,
           Intern(candidate.foundation)};
    current_->Relabel(bases_, role_);
  } else {
    bases_.push_back({base, candidate.type, candidate.priority,
                      Intern(candidate.foundation)});
    for (size_t i = 0; i < current_->remotes.size(); ++i) PairRemote(i);
  }
  Update(now);
  return absl::OkStatus();
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
    if (*g.remote == remote) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "the peer has other credentials already: restart first");
  }
  if (remote.ufrag.size() + g.local.ufrag.size() + 1 > kMaxUsername) {
    return absl::InvalidArgumentError("the two ice-ufrags are too long");
  }
  g.SetRemote(remote, mode);
  g.patience_until = now + options_.patience;
  // A lite agent never controls (RFC 8445 section 6.1.1).
  if (mode == RemoteMode::kLite && role_ == Role::kControlled) {
    SwitchRole(Role::kControlling);
  }
  for (const Candidate& candidate : std::exchange(unbound_, {})) {
    AdmitRemoteCandidate(candidate);
  }
  for (const internal::EarlyCheck& check : std::exchange(g.early, {})) {
    if (check.remote_ufrag == remote.ufrag) {
      HandleCheck(check.path, check.priority, check.use_candidate);
    }
  }
  Update(now);
  return absl::OkStatus();
}

void Agent::AddRemoteCandidate(absl::Time now, const Candidate& candidate) {
  if (state_ == AgentState::kClosed) return;
  if (current_->remote) {
    AdmitRemoteCandidate(candidate);
    Update(now);
  } else if (unbound_.size() < options_.max_remote_candidates) {
    unbound_.push_back(candidate);
  } else {
    ++stats_.candidate_limit;
  }
}

void Agent::AdmitRemoteCandidate(const Candidate& candidate) {
  Generation& g = *current_;
  if (candidate.transport != Transport::kUdp || candidate.component != 1) {
    ++stats_.candidate_ignored_transport;
    return;
  }
  if (candidate.ufrag() && *candidate.ufrag() != g.remote->ufrag) {
    ++stats_.candidate_ignored_generation;
    return;
  }
  if (candidate.is_name()) {
    // Other names than mDNS ones would let the peer make us ask a server of
    // its choice (S12).
    if (!candidate.is_mdns()) {
      ++stats_.candidate_ignored_name;
    } else if (names_.size() >= options_.max_pending_names) {
      ++stats_.candidate_limit;
    } else {
      names_.push_back({NameId{next_name_++}, candidate, false});
    }
    return;
  }
  if (!MayBeRemote(candidate.address)) {
    ++stats_.candidate_ignored_address;
    return;
  }
  const uint16_t foundation = Intern(candidate.foundation);
  if (std::optional<size_t> known = g.FindRemote(candidate.address)) {
    // A peer-reflexive candidate learned from a check gets its true labels; of
    // two signalled ones the better counts.
    RemoteCandidate& remote = g.remotes[*known];
    if (remote.type == CandidateType::kPeerReflexive ||
        remote.priority < candidate.priority) {
      remote.type = candidate.type;
      remote.priority = candidate.priority;
      remote.foundation = foundation;
      g.Relabel(bases_, role_);
      PairRemote(*known);
    }
    return;
  }
  AddRemote(candidate.address, candidate.type, candidate.priority, foundation);
}

bool Agent::MayBeRemote(const TransportAddress& address) const {
  const IpAddress& ip = address.ip;
  if (ip == IpAddress() || address.port == 0 || ip.IsAny() ||
      ip.IsMulticast() || ip == IpAddress::V4(0xffffffff)) {
    return false;
  }
  // Only who is on this machine himself may send us to its inside (S6).
  return !ip.IsLoopback() ||
         std::any_of(bases_.begin(), bases_.end(), [](const Base& base) {
           return base.address.ip.IsLoopback();
         });
}

std::optional<size_t> Agent::AddRemote(const TransportAddress& address,
                                       CandidateType type, uint32_t priority,
                                       uint16_t foundation) {
  Generation& g = *current_;
  if (g.remotes.size() >= options_.max_remote_candidates) {
    ++stats_.candidate_limit;
    return std::nullopt;
  }
  const IpAddress ip = IpAddress::FromBytes(address.ip.bytes());
  g.remotes.push_back({{ip, address.port}, type, priority, foundation});
  PairRemote(g.remotes.size() - 1);
  return g.remotes.size() - 1;
}

void Agent::PairRemote(size_t index) {
  Generation& g = *current_;
  // What was learned from a check is paired with the base it came to only
  // (RFC 8445 section 7.3.1.4); see HandleCheck.
  if (g.remotes[index].type == CandidateType::kPeerReflexive) return;
  for (size_t i = 0; i < bases_.size(); ++i) {
    if (!MayPair(bases_[i], g.remotes[index]) || g.FindPair(i, index)) continue;
    if (!g.AddPair(bases_[i], i, index, role_, options_.max_pairs)) {
      ++stats_.pair_limit;
    }
  }
}

uint16_t Agent::Intern(const std::string& foundation) {
  auto it = std::find(foundations_.begin(), foundations_.end(), foundation);
  if (it == foundations_.end()) {
    // Each belongs to a candidate that was let in, or was looked at: restarts
    // without end must not fill the table.
    if (foundations_.size() >=
        options_.max_local_candidates + 2 * options_.max_remote_candidates) {
      return next_reflexive_foundation_++ | 0x8000;
    }
    it = foundations_.insert(it, foundation);
  }
  return static_cast<uint16_t>(it - foundations_.begin());
}

std::optional<size_t> Agent::FindBase(const TransportAddress& address) const {
  for (size_t i = 0; i < bases_.size(); ++i) {
    if (internal::SameAddress(bases_[i].address, address)) return i;
  }
  return std::nullopt;
}

void Agent::EndOfRemoteCandidates(absl::Time now) {
  current_->remote_done = true;
  Update(now);
}

void Agent::NameResolved(absl::Time now, NameId id,
                         std::optional<IpAddress> ip) {
  const auto it =
      std::find_if(names_.begin(), names_.end(),
                   [&](const PendingName& name) { return name.id == id; });
  if (it == names_.end()) return;
  Candidate candidate = std::move(it->candidate);
  names_.erase(it);
  if (ip) {
    candidate.name.clear();
    candidate.address.ip = *ip;
    AdmitRemoteCandidate(candidate);
  } else {
    ++stats_.candidate_ignored_name;
  }
  Update(now);
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
  current_ = std::make_unique<Generation>(local);
  timers_.StopAll();
  responses_.clear();
  responses_taken_ = 0;
  unbound_.clear();
  names_.clear();
  Update(now);
  return absl::OkStatus();
}

void Agent::Close(absl::Time) {
  if (state_ == AgentState::kClosed) return;
  state_ = AgentState::kClosed;
  timers_.StopAll();
  current_ = std::make_unique<Generation>(current_->local);
  previous_.reset();
  responses_.clear();
  responses_taken_ = 0;
  unbound_.clear();
  names_.clear();
}

void Agent::HandlePacket(absl::Time now, const Datagram& datagram) {
  if (state_ == AgentState::kClosed) {
    ++stats_.drop_closed;
    return;
  }
  if (!stun::IsStun(datagram.bytes)) {
    ++stats_.drop_not_stun;
    return;
  }
  const absl::StatusOr<stun::MessageView> message =
      stun::MessageView::Parse(datagram.bytes);
  if (!message.ok()) {
    ++stats_.drop_not_stun;
    return;
  }
  if (message->method() != stun::Method::kBinding) {
    ++stats_.drop_wrong_method;
    return;
  }
  if (message->HasFingerprint() && !message->CheckFingerprint()) {
    ++stats_.drop_bad_fingerprint;
    return;
  }
  switch (message->cls()) {
    case stun::MessageClass::kRequest:
      HandleRequest(now, datagram.path, *message);
      return;
    case stun::MessageClass::kIndication:
      // Keepalives are not authenticated and mean nothing more than that the
      // NAT saw them (RFC 8445 section 11).
      ++stats_.indications_received;
      return;
    case stun::MessageClass::kSuccess:
    case stun::MessageClass::kError:
      HandleResponse(now, datagram.path, *message);
      return;
  }
}

void Agent::HandleTimeout(absl::Time now) {
  if (state_ == AgentState::kClosed) return;
  while (std::optional<Timer> due = timers_.PopDue(now)) {
    switch (*due) {
      case Timer::kNominate:  // Update() looks again.
        break;
      case Timer::kOldGeneration:
        previous_.reset();
        break;
      case Timer::kCount:
        break;
    }
  }
  ExpireChecks(now);
  ReviewConsent(now, *current_);
  if (previous_) ReviewConsent(now, *previous_);
  Update(now);
}

std::optional<Datagram> Agent::PollTransmit(absl::Time now,
                                            absl::Span<uint8_t> out) {
  while (responses_taken_ < responses_.size()) {
    if (auto datagram = NextResponse(out)) return datagram;
  }
  if (state_ == AgentState::kClosed) return std::nullopt;
  if (auto datagram = NextKeepalive(now, *current_, out)) return datagram;
  if (previous_) {
    if (auto datagram = NextKeepalive(now, *previous_, out)) return datagram;
  }
  return NextCheck(now, out);
}

std::optional<AgentEvent> Agent::PollEvent() {
  if (state_ == AgentState::kClosed) {
    if (std::exchange(told_.closed, true)) return std::nullopt;
    return Closed{absl::OkStatus()};
  }
  if (told_.role != role_) {
    told_.role = role_;
    return RoleChanged{role_};
  }
  for (PendingName& name : names_) {
    if (std::exchange(name.asked, true)) continue;
    return ResolveName{name.id, name.candidate.name};
  }
  if (const Pair* pair = PairInUse()) {
    const Generation& g = current_->InUse() ? *current_ : *previous_;
    const SelectedPair selected{pair->path, pair->local_type,
                                g.remotes[pair->remote].type, pair->nominated};
    if (!told_.pair || told_.pair->path != selected.path ||
        told_.pair->local_type != selected.local_type ||
        told_.pair->remote_type != selected.remote_type ||
        told_.pair->nominated != selected.nominated) {
      told_.pair = selected;
      return selected;
    }
  } else {
    told_.pair.reset();
  }
  if (told_.state != state_) {
    told_.state = state_;
    return StateChanged{state_};
  }
  return std::nullopt;
}

}  // namespace kyuu::ice
