// The peer's checks: authentication, role conflicts, peer-reflexive candidates
// and triggered checks (RFC 8445 section 7.3).

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/internal/generation.h"
#include "ice/internal/understood.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace kyuu::ice {

using internal::Nomination;
using internal::RemoteCandidate;

namespace {

// To a lite agent the peer's check is the peer's consent.
void TakeConsent(absl::Time now, const AgentOptions& options,
                 internal::Validity& valid) {
  valid.Heard(now);
  // When the next one should have come.
  valid.unanswered_since = now + options.consent_interval * 1.2;
}

}  // namespace

// Returns the generation whose credentials the request was made with; nullptr
// (and counts) if none. A request that is not authenticated gets no answer,
// not even an error: whoever forged its source shall get nothing from us (RFC
// 8489 section 9.1.3 would answer 400 or 401).
internal::Generation* Agent::Authenticate(const stun::MessageView& message) {
  const auto username = message.Get<stun::Username>();
  if (!username || !message.HasIntegrity()) {
    ++stats_.at<&AgentStats::drop_no_integrity>();
    return nullptr;
  }
  for (Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr || !g->AcceptsUsername(username->value)) continue;
    if (message.CheckIntegrity(g->local_key)) return g;
    ++stats_.at<&AgentStats::drop_wrong_integrity>();
    return nullptr;
  }
  ++stats_.at<&AgentStats::drop_wrong_username>();
  return nullptr;
}

void Agent::HandleRequest(absl::Time now, const Path& path,
                          const stun::MessageView& message) {
  const std::optional<size_t> base = FindBase(path);
  if (!base) {
    ++stats_.at<&AgentStats::drop_unknown_local>();
    return;
  }
  Generation* g = Authenticate(message);
  if (g == nullptr) return;
  if (g == current_.get() && bases_[*base].retired) {
    ++stats_.at<&AgentStats::drop_unknown_local>();
    return;
  }
  ++stats_.at<&AgentStats::requests_received>();
  const stun::UnknownAttributes unknown =
      message.UnknownComprehensionRequired(internal::kIceAttributes);
  if (!unknown.empty()) {
    Respond(path, message.transaction_id(), stun::Error::kUnknownAttribute,
            unknown, *g);
    return;
  }
  if (g != current_.get()) {
    // The old generation keeps its consent and nothing else.
    Respond(path, message.transaction_id(), std::nullopt, {}, *g);
    const std::optional<size_t> index = g->pairs.FindPath(path);
    if (lite_ && index && g->pairs[*index].valid) {
      TakeConsent(now, *options_, *g->pairs.Edit(*index).valid);
      Update(now);
    }
    return;
  }
  embedded_dtls_.Read(message);
  if (ResolveRoleConflict(message)) {
    Respond(path, message.transaction_id(), stun::Error::kRoleConflict, {}, *g);
    return;
  }
  Respond(path, message.transaction_id(), std::nullopt, {}, *g);
  if (!g->remote) {
    KeepEarlyCheck(path, message);
    return;
  }
  const auto priority = message.Get<stun::Priority>();
  HandleCheck(now, path, priority ? priority->value : 0,
              message.Has<stun::UseCandidate>());
  Update(now);
}

// RFC 8445 section 7.3.1.1. Returns true if the request is to be refused with
// 487; may switch our role.
bool Agent::ResolveRoleConflict(const stun::MessageView& message) {
  std::optional<uint64_t> theirs;
  if (role_ == Role::kControlling) {
    if (auto controlling = message.Get<stun::IceControlling>()) {
      theirs = controlling->value;
    }
  } else if (auto controlled = message.Get<stun::IceControlled>()) {
    theirs = controlled->value;
  }
  if (!theirs) return false;
  ++stats_.at<&AgentStats::role_conflicts>();
  if (lite_) return true;  // The peer has to control.
  const bool we_control = tie_breaker_ >= *theirs;
  const Role ours = we_control ? Role::kControlling : Role::kControlled;
  if (ours == role_) return true;
  SwitchRole(ours);
  return false;
}

void Agent::KeepEarlyCheck(const Path& path, const stun::MessageView& message) {
  Generation& g = *current_;
  const absl::string_view username = message.Get<stun::Username>()->value;
  const absl::string_view ufrag = username.substr(g.local.ufrag.size() + 1);
  const auto priority = message.Get<stun::Priority>();
  const bool use_candidate = message.Has<stun::UseCandidate>();
  for (internal::EarlyCheck& check : g.early) {
    if (check.path == path && check.remote_ufrag == ufrag) {
      check.use_candidate |= use_candidate;
      return;
    }
  }
  if (g.early.size() >= options_->max_early_checks) {
    ++stats_.at<&AgentStats::early_check_limit>();
    return;
  }
  g.early.push_back({path, priority ? priority->value : 0, use_candidate,
                     std::string(ufrag)});
}

// What an authenticated request tells: where the peer is, that the way to us
// is open, and whether it nominates the pair (RFC 8445 sections 7.3.1.3 to
// 7.3.1.5).
void Agent::HandleCheck(absl::Time now, const Path& path, uint32_t priority,
                        bool use_candidate) {
  Generation& g = *current_;
  const std::optional<size_t> base = FindBase(path);
  if (!base) return;
  // Who opens simultaneously does so with its like only (RFC 6544 section 6.2).
  std::optional<TcpType> tcp_type = bases_[*base].tcp_type;
  if (tcp_type && tcp_type != TcpType::kSimultaneousOpen) {
    tcp_type = TcpType::kActive;
  }
  std::optional<size_t> remote = g.FindRemote(tcp_type, path.remote);
  if (!remote) {
    // Without PRIORITY, which the RFC requires, it is the last to be chosen.
    remote = AddRemote({path.remote, CandidateType::kPeerReflexive,
                        std::clamp(priority, 1u, 0x7fffffffu),
                        foundations_.New(), tcp_type});
    if (!remote) return;
  }
  std::optional<size_t> index = g.pairs.Find(*base, *remote);
  if (!index) {
    index =
        g.AddPair(bases_[*base], *base, *remote, role_, options_->max_pairs);
    if (!index) {
      ++stats_.at<&AgentStats::pair_limit>();
      return;
    }
  }
  Pair& pair = g.pairs.Edit(*index);
  ++pair.requests_received;
  if (lite_) return Serve(now, *index, use_candidate);
  if (use_candidate && role_ == Role::kControlled) {
    if (pair.valid) {
      Select(now, *index);
    } else {
      pair.nomination = Nomination::kByPeer;
    }
  }
  // Its check may have been lost on the way, and the way is open now: check
  // again at once. A late answer to the old one still counts.
  if (pair.state() != PairState::kSucceeded) {
    if (!pair.in_progress()) pair.check = internal::Waiting{};
    g.pairs.Trigger(*index);
  }
}

// A lite agent's part: what the peer nominates is in use (RFC 8445 section
// 7.3.2), for as long as it goes on to check it.
void Agent::Serve(absl::Time now, size_t index, bool use_candidate) {
  Generation& g = *current_;
  if (g.remote_mode == RemoteMode::kLite) return;  // It was chosen already.
  Pair& pair = g.pairs.Edit(index);
  if (!pair.valid) {
    if (!use_candidate) return;
    pair.check = internal::Succeeded{};
    g.Validate(index, {.since = now});
  }
  TakeConsent(now, *options_, *pair.valid);
  if (use_candidate) Select(now, index);
}

bool Agent::CheckStranger(absl::Time now, const Path& path) {
  if (lite_) return false;  // The peer's next check will tell.
  Generation& g = *current_;
  const std::optional<size_t> in_use = g.InUse();
  if (!in_use || IsStream(path.transport) ||
      !internal::SameAddress(path.local, g.pairs[*in_use].path.local) ||
      !options_->peers.Takes(path.remote.ip)) {
    return false;
  }
  // A forged source gets a few checks of ours, and nothing more.
  if (g.strangers >= options_->max_strangers) {
    ++stats_.at<&AgentStats::stranger_limit>();
    return false;
  }
  if (now < g.next_stranger) return false;
  const Pair& used = g.pairs[*in_use];
  const uint16_t base = used.base;
  const absl::Duration rtt = used.rtt;
  std::optional<size_t> remote = g.FindRemote(std::nullopt, path.remote);
  if (!remote) {
    RemoteCandidate reflexive{
        path.remote, CandidateType::kPeerReflexive,
        TypePreference(CandidateType::kPeerReflexive) << 24 |
            (g.remotes()[used.remote].priority & 0x00ffffff),
        foundations_.New()};
    remote = AddRemote(reflexive);
    if (!remote) return false;
  }
  std::optional<size_t> index = g.pairs.Find(base, *remote);
  if (!index) {
    index = g.AddPair(bases_[base], base, *remote, role_, options_->max_pairs);
    if (!index) {
      ++stats_.at<&AgentStats::pair_limit>();
      return false;
    }
  }
  ++g.strangers;
  ++stats_.at<&AgentStats::strangers_checked>();
  g.next_stranger = now + std::max(rtt, absl::Milliseconds(50));
  Pair& pair = g.pairs.Edit(*index);
  pair.rebound = true;
  pair.immediate = true;
  g.pairs.Trigger(*index);
  Update(now);
  return true;
}

void Agent::Respond(const Path& path, const stun::TransactionId& id,
                    std::optional<stun::Error> error,
                    const stun::UnknownAttributes& unknown,
                    const Generation& g) {
  if (responses_.size() >= options_->max_pending_responses) {
    ++stats_.at<&AgentStats::drop_response_queue_full>();
    return;
  }
  responses_.push_back(
      {path, id, error,
       unknown.empty() ? nullptr
                       : std::make_unique<stun::UnknownAttributes>(unknown),
       &g != current_.get()});
}

std::optional<Datagram> Agent::NextResponse(absl::Span<uint8_t> out) {
  const internal::Response response = std::move(responses_.front());
  responses_.pop_front();
  Generation* g = response.old_generation ? previous_.get() : current_.get();
  if (g == nullptr) return std::nullopt;
  stun::MessageWriter w(out,
                        response.error ? stun::MessageClass::kError
                                       : stun::MessageClass::kSuccess,
                        stun::Method::kBinding, response.id);
  if (response.error) {
    w.Add(
        stun::ErrorCode{*response.error, stun::ReasonPhrase(*response.error)});
    if (response.unknown) w.Add(*response.unknown);
  } else {
    w.Add(stun::XorMappedAddress{response.path.remote});
    if (!response.old_generation) embedded_dtls_.Write(w);
  }
  w.AddIntegrity(g->local_key);
  w.AddFingerprint();
  const absl::Span<const uint8_t> bytes = w.Finish();
  if (bytes.empty()) {
    ++stats_.at<&AgentStats::drop_too_big>();
    return std::nullopt;
  }
  ++stats_.at<&AgentStats::responses_sent>();
  if (const std::optional<size_t> index = g->pairs.FindPath(response.path)) {
    g->pairs.CountResponse(*index);
  }
  return Datagram{response.path, bytes};
}

}  // namespace kyuu::ice
