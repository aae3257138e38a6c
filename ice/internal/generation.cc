#include "ice/internal/generation.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "stun/integrity.h"
#include "stun/protocol.h"

namespace kyuu::ice::internal {
namespace {

// All that one pair's quick checks may have under way.
constexpr size_t kTransactionsPerPair = 8;

uint32_t PairFoundation(uint16_t base, uint16_t remote) {
  return uint32_t{base} << 16 | remote;
}

uint64_t PriorityOf(const Base& base, const RemoteCandidate& remote,
                    Role role) {
  return role == Role::kControlling
             ? PairPriority(base.priority, remote.priority)
             : PairPriority(remote.priority, base.priority);
}

bool IsIpv6LinkLocal(const IpAddress& ip) {
  return ip.is_v6() && ip.IsLinkLocal();
}

TransportAddress WithoutScope(TransportAddress address) {
  if (address.ip.scope_id() != 0) {
    address.ip = IpAddress::FromBytes(address.ip.bytes());
  }
  return address;
}

// A link-local destination needs the interface of its source.
TransportAddress WithScope(const TransportAddress& address, uint32_t scope) {
  if (scope == 0 || !IsIpv6LinkLocal(address.ip)) return address;
  std::array<uint8_t, 16> bytes;
  const absl::Span<const uint8_t> from = address.ip.bytes();
  std::copy(from.begin(), from.end(), bytes.begin());
  return {IpAddress::V6(bytes, scope), address.port};
}

}  // namespace

bool SameAddress(const TransportAddress& a, const TransportAddress& b) {
  if (a == b) return true;
  if (a.ip.scope_id() != 0 && b.ip.scope_id() != 0) return false;
  return WithoutScope(a) == WithoutScope(b);
}

bool MayPair(const Base& base, const RemoteCandidate& remote) {
  const IpAddress& from = base.address.ip;
  const IpAddress& to = remote.address.ip;
  if (from.family() != to.family()) return false;
  if (IsIpv6LinkLocal(from) != IsIpv6LinkLocal(to)) return false;
  if (from.IsLoopback() != to.IsLoopback()) {
    // A relay on this machine talks to any of its addresses.
    return base.type == CandidateType::kRelayed ||
           (to.IsLoopback() && remote.type == CandidateType::kRelayed);
  }
  return true;
}

Generation::Generation(const Credentials& local_credentials)
    : local(local_credentials),
      local_key(stun::IntegrityKey::ShortTerm(local_credentials.password)) {}

void Generation::SetRemote(const Credentials& credentials, RemoteMode mode) {
  remote = credentials;
  remote_key = stun::IntegrityKey::ShortTerm(credentials.password);
  remote_mode = mode;
  username = absl::StrCat(credentials.ufrag, ":", local.ufrag);
}

bool Generation::AcceptsUsername(absl::string_view name) const {
  const size_t colon = local.ufrag.size();
  if (name.size() <= colon || name[colon] != ':' ||
      name.substr(0, colon) != local.ufrag) {
    return false;
  }
  return !remote || name.substr(colon + 1) == remote->ufrag;
}

std::optional<size_t> Generation::FindRemote(
    const TransportAddress& address) const {
  for (size_t i = 0; i < remotes.size(); ++i) {
    if (SameAddress(remotes[i].address, address)) return i;
  }
  return std::nullopt;
}

std::optional<size_t> Generation::FindPair(size_t base,
                                           size_t remote_index) const {
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (pairs[i].base == base && pairs[i].remote == remote_index) return i;
  }
  return std::nullopt;
}

std::optional<size_t> Generation::AddPair(const Base& base, size_t base_index,
                                          size_t remote_index, Role role,
                                          size_t max_pairs) {
  const RemoteCandidate& to = remotes[remote_index];
  Pair pair;
  pair.base = static_cast<uint16_t>(base_index);
  pair.remote = static_cast<uint16_t>(remote_index);
  pair.priority = PriorityOf(base, to, role);
  pair.foundation = PairFoundation(base.foundation, to.foundation);
  pair.local_type = base.type;
  pair.path = {base.address, WithScope(to.address, base.address.ip.scope_id()),
               Transport::kUdp};
  // RFC 8838 section 12: Waiting if the foundation is new or has worked.
  bool known = false;
  bool worked = false;
  for (const Pair& other : pairs) {
    if (other.foundation != pair.foundation) continue;
    known = true;
    worked |= other.valid;
  }
  pair.state = known && !worked ? PairState::kFrozen : PairState::kWaiting;

  if (pairs.size() < max_pairs) {
    pairs.push_back(pair);
    return pairs.size() - 1;
  }
  std::optional<size_t> worst;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Pair& other = pairs[i];
    if (other.valid || other.triggered || other.authenticated ||
        other.state == PairState::kInProgress) {
      continue;
    }
    if (!worst || other.priority < pairs[*worst].priority) worst = i;
  }
  if (!worst || pairs[*worst].priority >= pair.priority) return std::nullopt;
  std::erase_if(transactions_,
                [&](const Transaction& t) { return t.pair == *worst; });
  pairs[*worst] = pair;
  return worst;
}

void Generation::RemovePairs(absl::FunctionRef<bool(const Pair&)> unwanted) {
  constexpr size_t kGone = SIZE_MAX;
  std::vector<size_t> place(pairs.size());
  size_t left = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    place[i] = unwanted(pairs[i]) ? kGone : left++;
  }
  for (size_t i = 0; i < place.size(); ++i) {
    if (place[i] != kGone) pairs[place[i]] = pairs[i];
  }
  pairs.erase(pairs.begin() + static_cast<long>(left), pairs.end());
  if (selected) {
    const size_t to = place[*selected];
    selected = to == kGone ? std::nullopt : std::optional<size_t>(to);
  }
  for (size_t& index : triggered_) index = place[index];
  std::erase(triggered_, kGone);
  std::erase_if(transactions_,
                [&](const Transaction& t) { return place[t.pair] == kGone; });
  for (Transaction& transaction : transactions_) {
    transaction.pair = static_cast<uint16_t>(place[transaction.pair]);
  }
}

std::optional<size_t> Generation::UselessReflexive() const {
  for (size_t i = 0; i < remotes.size(); ++i) {
    if (remotes[i].type != CandidateType::kPeerReflexive) continue;
    const bool worked =
        std::any_of(pairs.begin(), pairs.end(), [&](const Pair& pair) {
          return pair.remote == i &&
                 (pair.valid || pair.responses_received > 0);
        });
    if (!worked) return i;
  }
  return std::nullopt;
}

void Generation::Relabel(const std::vector<Base>& bases, Role role) {
  for (Pair& pair : pairs) {
    const Base& base = bases[pair.base];
    const RemoteCandidate& to = remotes[pair.remote];
    pair.priority = PriorityOf(base, to, role);
    pair.foundation = PairFoundation(base.foundation, to.foundation);
  }
}

std::optional<size_t> Generation::NextOrdinary() const {
  std::optional<size_t> waiting;
  std::optional<size_t> frozen;
  for (size_t i = 0; i < pairs.size(); ++i) {
    std::optional<size_t>* best =
        pairs[i].state == PairState::kWaiting  ? &waiting
        : pairs[i].state == PairState::kFrozen ? &frozen
                                               : nullptr;
    if (best == nullptr || pairs[i].triggered) continue;
    if (!*best || pairs[i].priority > pairs[**best].priority) *best = i;
  }
  // A frozen pair is better than an idle slot (RFC 5245 section 5.8): a peer
  // that gives one foundation to all its candidates must not hold itself up.
  return waiting ? waiting : frozen;
}

void Generation::Unfreeze(uint32_t foundation) {
  for (Pair& pair : pairs) {
    if (pair.foundation == foundation && pair.state == PairState::kFrozen) {
      pair.state = PairState::kWaiting;
    }
  }
}

size_t Generation::CountActive() const {
  return static_cast<size_t>(
      std::count_if(pairs.begin(), pairs.end(), [](const Pair& pair) {
        return pair.state == PairState::kWaiting ||
               pair.state == PairState::kInProgress;
      }));
}

bool Generation::AnyPending() const {
  return std::any_of(pairs.begin(), pairs.end(),
                     [](const Pair& pair) { return pair.pending(); });
}

std::optional<size_t> Generation::BestValid(Among among) const {
  std::optional<size_t> best;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Pair& pair = pairs[i];
    if (!pair.valid || (among == Among::kHealthy && pair.suspect)) continue;
    if (!best || pair.priority > pairs[*best].priority) best = i;
  }
  return best;
}

std::optional<size_t> Generation::InUse() const {
  const bool alive = selected && pairs[*selected].valid;
  if (alive && !pairs[*selected].suspect) return selected;
  if (std::optional<size_t> best = BestValid(Among::kHealthy)) return best;
  if (alive) return selected;
  return BestValid(Among::kAll);
}

void Generation::Keep(std::optional<size_t> in_use, size_t max_backups) {
  for (Pair& pair : pairs) pair.kept = false;
  if (in_use) pairs[*in_use].kept = true;
  for (size_t n = 0; n < max_backups; ++n) {
    // One from another address of ours first: what dies is mostly an interface.
    Pair* best = nullptr;
    bool best_elsewhere = false;
    for (Pair& pair : pairs) {
      if (!pair.valid || pair.kept) continue;
      const bool elsewhere =
          n == 0 && in_use && pair.base != pairs[*in_use].base;
      if (best == nullptr || std::pair(elsewhere, pair.priority) >
                                 std::pair(best_elsewhere, best->priority)) {
        best = &pair;
        best_elsewhere = elsewhere;
      }
    }
    if (best == nullptr) return;
    best->kept = true;
  }
}

void Generation::Trigger(size_t pair) {
  if (pairs[pair].triggered) return;
  pairs[pair].triggered = true;
  triggered_.push_back(pair);
}

std::optional<size_t> Generation::NextTriggered() const {
  if (triggered_.empty()) return std::nullopt;
  return triggered_.front();
}

std::optional<size_t> Generation::NextImmediate() const {
  for (size_t pair : triggered_) {
    if (pairs[pair].immediate) return pair;
  }
  return std::nullopt;
}

void Generation::Untrigger(size_t pair) {
  if (!pairs[pair].triggered) return;
  pairs[pair].triggered = false;
  std::erase(triggered_, pair);
}

void Generation::AddTransaction(const Transaction& transaction, size_t limit) {
  const auto of_pair = [&](const Transaction& t) {
    return t.pair == transaction.pair;
  };
  if (static_cast<size_t>(
          std::count_if(transactions_.begin(), transactions_.end(), of_pair)) >=
      kTransactionsPerPair) {
    transactions_.erase(
        std::find_if(transactions_.begin(), transactions_.end(), of_pair));
  } else if (transactions_.size() >= limit) {
    transactions_.erase(transactions_.begin());
  }
  transactions_.push_back(transaction);
}

const Transaction* Generation::FindTransaction(
    const stun::TransactionId& id) const {
  for (const Transaction& transaction : transactions_) {
    if (transaction.id == id) return &transaction;
  }
  return nullptr;
}

void Generation::MarkRetransmitted(const stun::TransactionId& id) {
  for (Transaction& transaction : transactions_) {
    if (transaction.id == id) transaction.retransmitted = true;
  }
}

void Generation::RemoveTransaction(const stun::TransactionId& id) {
  std::erase_if(transactions_,
                [&](const Transaction& t) { return t.id == id; });
}

}  // namespace kyuu::ice::internal
