// Candidates of both sides as they come and go, and the pairs they make (RFC
// 8445 section 6.1.2, RFC 8838).

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/internal/generation.h"

namespace kyuu::ice {

using internal::Base;
using internal::RemoteCandidate;

namespace {

bool IsOfUse(Transport transport, std::optional<TcpType> tcp_type) {
  if (transport == Transport::kUdp) return !tcp_type;
  return transport == Transport::kTcp && tcp_type;
}

// Ports to which a peer may make us connect. Below 1024 are services that might
// take a check for a command; those of the web have to bear anything.
bool IsOpenPort(uint16_t port) {
  return port >= 1024 || port == 80 || port == 443;
}

// Only who is on this machine himself may send us to its inside. Judged for a
// pair, and again with each address of ours: a candidate that came before our
// own is not to be refused for that.
bool MayReachInside(const ShortList<Base>& bases, const Base& base,
                    const RemoteCandidate& remote) {
  return !remote.address.ip.IsLoopback() || base.address.ip.IsLoopback() ||
         std::any_of(bases.begin(), bases.end(), [](const Base& other) {
           return other.address.ip.IsLoopback();
         });
}

}  // namespace

absl::Status Agent::AddLocalCandidate(absl::Time now,
                                      const Candidate& candidate) {
  if (state_ == AgentState::kClosed) {
    return absl::FailedPreconditionError("the agent is closed");
  }
  const TransportAddress& base =
      candidate.base.ip == IpAddress() ? candidate.address : candidate.base;
  if (!IsOfUse(candidate.transport, candidate.tcp_type) ||
      candidate.component != 1 || candidate.address.ip == IpAddress() ||
      candidate.address.port == 0 ||
      base.ip.family() != candidate.address.ip.family() || base.port == 0) {
    return absl::InvalidArgumentError(
        "a local candidate is UDP, or TCP with its type, of component 1, with "
        "addresses");
  }
  const auto known = [&](const internal::LocalCandidate& local) {
    return local.Is(candidate);
  };
  const auto local = std::find_if(locals_.begin(), locals_.end(), known);
  if (local != locals_.end()) {
    local->retired = false;
  } else if (locals_.size() >= options_->max_local_candidates) {
    return absl::ResourceExhaustedError("too many local candidates");
  } else {
    locals_.push_back(
        {candidate.address, candidate.type, base, candidate.tcp_type});
  }
  const Base added{base, candidate.type, candidate.priority,
                   Intern(candidate.foundation), candidate.tcp_type};
  if (std::optional<size_t> index = FindBase(candidate.tcp_type, base)) {
    // Redundant, unless it tells the better label (RFC 8445 section 6.1.2.4).
    Base& old = bases_[*index];
    const bool returns = old.retired;
    if (candidate.priority <= old.priority && !returns) return absl::OkStatus();
    old = added;
    current_->Relabel(bases_, role_);
    for (size_t i = 0; returns && i < current_->remotes().size(); ++i) {
      PairRemote(i);
    }
  } else {
    bases_.push_back(added);
    for (size_t i = 0; i < current_->remotes().size(); ++i) PairRemote(i);
  }
  Update(now);
  return absl::OkStatus();
}

void Agent::RemoveLocalCandidate(absl::Time now, const Candidate& candidate) {
  const auto local = std::find_if(
      locals_.begin(), locals_.end(),
      [&](const internal::LocalCandidate& l) { return l.Is(candidate); });
  if (local == locals_.end()) return;
  const TransportAddress base = local->base;
  locals_.erase(local);
  const std::optional<size_t> index = FindBase(candidate.tcp_type, base);
  if (!index || std::any_of(locals_.begin(), locals_.end(),
                            [&](const internal::LocalCandidate& other) {
                              return other.base == base &&
                                     other.tcp_type == candidate.tcp_type;
                            })) {
    return;
  }
  RemoveBase(now, *index);
  Update(now);
}

void Agent::RetireLocalCandidate(absl::Time now, const Candidate& candidate) {
  if (!previous_) return RemoveLocalCandidate(now, candidate);
  const auto local = std::find_if(
      locals_.begin(), locals_.end(),
      [&](const internal::LocalCandidate& l) { return l.Is(candidate); });
  if (local == locals_.end()) return;
  local->retired = true;
  const std::optional<size_t> index = FindBase(candidate.tcp_type, local->base);
  if (!index) return;
  bases_[*index].retired = std::all_of(
      locals_.begin(), locals_.end(),
      [&](const internal::LocalCandidate& other) {
        return other.base != local->base ||
               other.tcp_type != candidate.tcp_type || other.retired;
      });
}

// The path of before the restart is given up, and with it what served it alone.
void Agent::DropPrevious(absl::Time now) {
  previous_.reset();
  timers_.Stop(Timer::kOldGeneration);
  locals_.EraseIf([](const internal::LocalCandidate& l) { return l.retired; });
  for (size_t i = bases_.size(); i-- > 0;) {
    if (bases_[i].retired) RemoveBase(now, i);
  }
}

void Agent::RemoveBase(absl::Time now, size_t index) {
  bases_.erase(bases_.begin() + index);
  for (Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr) continue;
    const std::optional<size_t> used = g->InUse();
    const bool lost = used && g->pairs[*used].base == index;
    const IpAddress far = lost ? g->pairs[*used].path.remote.ip : IpAddress();
    g->RemoveBase(index);
    if (lost) Bereave(now, *g, far);
  }
}

// What was in use, with its far end at `far`, went with our address, or with a
// connection, and not for want of the peer's consent: an address that comes,
// another connection, or a pair that failed before, may still reach it.
void Agent::Bereave(absl::Time now, Generation& g, const IpAddress& far) {
  if (&g != current_.get()) return;
  // Which network it was of nobody says, but who was reached by it at `far` may
  // be so by that network alone: where there is a way to another address of the
  // peer, that is used first. All reserves are asked at once.
  for (const size_t i : g.pairs.Valid()) {
    Pair& pair = g.pairs.Edit(i);
    pair.valid->next_keepalive = now;
    if (pair.path.remote.ip == far) pair.valid->Doubt(now);
  }
  if (g.InUse()) return;
  g.ever_valid = false;
  g.moved = true;
  g.patience_until = now + options_->patience;
  Resume();
}

void Agent::AddRemoteCandidate(absl::Time now, const Candidate& candidate) {
  if (state_ == AgentState::kClosed) return;
  if (current_->remote) {
    AdmitRemoteCandidate(now, candidate);
    Update(now);
  } else if (unbound_.size() < options_->max_remote_candidates) {
    unbound_.push_back(candidate);
  } else {
    ++stats_.at<&AgentStats::candidate_limit>();
  }
}

void Agent::AdmitRemoteCandidate(absl::Time now, const Candidate& candidate) {
  Generation& g = *current_;
  // Those that are active connect to us, from ports that nobody can tell (RFC
  // 6544 section 6.2).
  if (!IsOfUse(candidate.transport, candidate.tcp_type) ||
      candidate.tcp_type == TcpType::kActive || candidate.component != 1) {
    ++stats_.at<&AgentStats::candidate_ignored_transport>();
    return;
  }
  if (candidate.ufrag() && *candidate.ufrag() != g.remote->ufrag) {
    ++stats_.at<&AgentStats::candidate_ignored_generation>();
    return;
  }
  if (candidate.is_name()) {
    // Other names than mDNS ones would let the peer make us ask a server of
    // its choice.
    if (!candidate.is_mdns()) {
      ++stats_.at<&AgentStats::candidate_ignored_name>();
    } else if (names_.size() >= options_->max_pending_names) {
      ++stats_.at<&AgentStats::candidate_limit>();
    } else {
      names_.push_back({NameId{next_name_++}, candidate,
                        now + options_->name_deadline, false});
      timers_.Set(Timer::kNames, names_.front().deadline);
    }
    return;
  }
  const IpAddress& ip = candidate.address.ip;
  if (ip == IpAddress() || candidate.address.port == 0 || ip.IsAny() ||
      ip.IsMulticast() || ip == IpAddress::V4(0xffffffff) ||
      (candidate.tcp_type && !IsOpenPort(candidate.address.port)) ||
      !options_->peers.Takes(ip)) {
    ++stats_.at<&AgentStats::candidate_ignored_address>();
    return;
  }
  const RemoteCandidate told{candidate.address, candidate.type,
                             candidate.priority, Intern(candidate.foundation),
                             candidate.tcp_type};
  if (std::optional<size_t> known =
          g.FindRemote(candidate.tcp_type, candidate.address)) {
    // A peer-reflexive candidate learned from a check gets its true labels; of
    // two signalled ones the better counts.
    const RemoteCandidate& remote = g.remotes()[*known];
    if (remote.type == CandidateType::kPeerReflexive ||
        remote.priority < candidate.priority) {
      g.LabelRemote(*known, told);
      g.Relabel(bases_, role_);
      PairRemote(*known);
    }
    return;
  }
  AddRemote(told);
}

std::optional<size_t> Agent::AddRemote(RemoteCandidate remote) {
  Generation& g = *current_;
  remote.address.ip = IpAddress::FromBytes(remote.address.ip.bytes());
  size_t index = g.remotes().size();
  if (index < options_->max_remote_candidates) {
    g.AddRemote(remote);
  } else {
    // What the peer told counts more than where a check once came from: a
    // replayed check must not fill the list with addresses that never answer.
    std::optional<size_t> useless = g.LostStreamEnd();
    if (!useless && remote.type != CandidateType::kPeerReflexive) {
      useless = g.UselessReflexive();
    }
    if (!useless) {
      ++stats_.at<&AgentStats::candidate_limit>();
      return std::nullopt;
    }
    ++stats_.at<&AgentStats::candidate_evicted>();
    index = *useless;
    g.ReplaceRemote(index, remote);
  }
  PairRemote(index);
  return index;
}

void Agent::PairRemote(size_t index) {
  Generation& g = *current_;
  // What was learned from a check is paired with the base it came to only
  // (RFC 8445 section 7.3.1.4); see HandleCheck.
  const RemoteCandidate& remote = g.remotes()[index];
  if (remote.type == CandidateType::kPeerReflexive) return;
  for (size_t i = 0; i < bases_.size(); ++i) {
    if (bases_[i].retired || !MayPair(bases_[i], remote) ||
        !MayReachInside(bases_, bases_[i], remote) || g.pairs.Find(i, index)) {
      continue;
    }
    if (!g.AddPair(bases_[i], i, index, role_, options_->max_pairs)) {
      ++stats_.at<&AgentStats::pair_limit>();
    }
  }
}

uint16_t Agent::Intern(absl::string_view foundation) {
  return foundations_.Intern(
      foundation,
      options_->max_local_candidates + 2 * options_->max_remote_candidates);
}

std::optional<size_t> Agent::FindBase(std::optional<TcpType> tcp_type,
                                      const TransportAddress& address) const {
  for (size_t i = 0; i < bases_.size(); ++i) {
    if (bases_[i].tcp_type == tcp_type &&
        internal::SameAddress(bases_[i].address, address)) {
      return i;
    }
  }
  return std::nullopt;
}

// What came along `path` came to this one. Of a connection that we have made
// only its pair knows.
std::optional<size_t> Agent::FindBase(const Path& path) const {
  if (!IsStream(path.transport)) return FindBase(std::nullopt, path.local);
  for (const Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr) continue;
    if (auto index = g->pairs.FindPath(path)) return g->pairs[*index].base;
  }
  const auto passive = FindBase(TcpType::kPassive, path.local);
  return passive ? passive : FindBase(TcpType::kSimultaneousOpen, path.local);
}

void Agent::EndOfRemoteCandidates(absl::Time now) {
  current_->remote_done = true;
  Update(now);
}

void Agent::NameResolved(absl::Time now, NameId id,
                         std::optional<IpAddress> ip) {
  const auto it = std::find_if(
      names_.begin(), names_.end(),
      [&](const internal::PendingName& name) { return name.id == id; });
  if (it == names_.end()) return;
  Candidate candidate = std::move(it->candidate);
  names_.erase(it);
  if (ip) {
    candidate.name.clear();
    candidate.address.ip = *ip;
    AdmitRemoteCandidate(now, candidate);
  } else {
    ++stats_.at<&AgentStats::candidate_ignored_name>();
  }
  Update(now);
}

void Agent::ExpireNames(absl::Time now) {
  while (!names_.empty() && now >= names_.front().deadline) {
    names_.erase(names_.begin());
    ++stats_.at<&AgentStats::candidate_ignored_name>();
  }
  if (!names_.empty()) timers_.Set(Timer::kNames, names_.front().deadline);
}

}  // namespace kyuu::ice
