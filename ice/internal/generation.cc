#include "ice/internal/generation.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

}  // namespace

Generation::Generation(const Credentials& local_credentials,
                       const Liveness& liveness)
    : local(local_credentials),
      local_key(stun::Sha1Key::ShortTerm(local_credentials.password)),
      pairs(liveness) {}

void Generation::SetRemote(const Credentials& credentials, RemoteMode mode) {
  remote = {credentials.ufrag, stun::Sha1Key::ShortTerm(credentials.password)};
  remote_mode = mode;
}

bool Generation::IsRemote(const Credentials& credentials) const {
  return remote->ufrag == credentials.ufrag &&
         remote->key == stun::Sha1Key::ShortTerm(credentials.password);
}

absl::string_view Generation::WriteUsername(
    std::array<char, kMaxUsername>& out) const {
  const size_t size = remote->ufrag.size() + 1 + local.ufrag.size();
  auto end = std::copy(remote->ufrag.begin(), remote->ufrag.end(), out.begin());
  *end++ = ':';
  std::copy(local.ufrag.begin(), local.ufrag.end(), end);
  return {out.data(), size};
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
    std::optional<TcpType> tcp_type, const TransportAddress& address) const {
  const Place place = PlaceOf(tcp_type, WithoutScope(address));
  if (by_address_) return by_address_->Find(place, AddressOf());
  for (size_t i = 0; i < remotes_.size(); ++i) {
    if (PlaceOf(remotes_[i].tcp_type, remotes_[i].address) == place) return i;
  }
  return std::nullopt;
}

size_t Generation::AddRemote(const RemoteCandidate& candidate) {
  remotes_.push_back(candidate);
  const size_t index = remotes_.size() - 1;
  if (by_address_) {
    by_address_->Add(static_cast<uint16_t>(index), AddressOf());
  } else if (remotes_.size() > kFewRemotes) {
    by_address_ = std::make_unique<NumberTable>();
    for (uint16_t i = 0; i <= index; ++i) by_address_->Add(i, AddressOf());
  }
  return index;
}

void Generation::ReplaceRemote(size_t index, const RemoteCandidate& candidate) {
  Follow(pairs.Remove([&](const Pair& pair) { return pair.remote == index; }));
  const auto number = static_cast<uint16_t>(index);
  if (by_address_) by_address_->Remove(number, AddressOf());
  remotes_[index] = candidate;
  if (by_address_) by_address_->Add(number, AddressOf());
}

void Generation::LabelRemote(size_t index, const RemoteCandidate& candidate) {
  RemoteCandidate& known = remotes_[index];
  known.type = candidate.type;
  known.priority = candidate.priority;
  known.foundation = candidate.foundation;
  known.tcp_type = candidate.tcp_type;
}

std::optional<size_t> Generation::UselessReflexive() const {
  std::vector<bool> worked(remotes_.size());
  for (const Pair& pair : pairs.all()) {
    if (pair.valid || pair.responses_received > 0) worked[pair.remote] = true;
  }
  for (size_t i = 0; i < remotes_.size(); ++i) {
    if (remotes_[i].type == CandidateType::kPeerReflexive && !worked[i]) {
      return i;
    }
  }
  return std::nullopt;
}

std::optional<size_t> Generation::LostStreamEnd() const {
  std::vector<bool> lost(remotes_.size());
  for (size_t i = 0; i < remotes_.size(); ++i) {
    lost[i] = remotes_[i].tcp_type &&
              remotes_[i].type == CandidateType::kPeerReflexive;
  }
  for (const Pair& pair : pairs.all()) lost[pair.remote] = false;
  const auto it = std::find(lost.begin(), lost.end(), true);
  if (it == lost.end()) return std::nullopt;
  return static_cast<size_t>(it - lost.begin());
}

std::optional<size_t> Generation::AddPair(const Base& base, size_t base_index,
                                          size_t remote_index, Role role,
                                          size_t max_pairs) {
  const size_t before = pairs.size();
  const std::optional<size_t> index = pairs.Add(
      MakePair(base, base_index, remotes_[remote_index], remote_index, role),
      max_pairs);
  seeks_reserves |= index.has_value();
  if (index && *index < before) {
    // In another's place.
    transactions_.EraseIf(
        [&](const Transaction& t) { return t.pair == *index; });
  }
  return index;
}

void Generation::Validate(size_t index, const Validity& validity) {
  pairs.Edit(index).valid = validity;
  ever_valid = true;
  moved = false;
}

void Generation::RemoveBase(size_t base) { Follow(pairs.RemoveBase(base)); }

void Generation::RemovePair(size_t index) { Follow(pairs.RemoveAt(index)); }

void Generation::Follow(const std::vector<size_t>& place) {
  if (selected) {
    const size_t to = place[*selected];
    selected = to == Checklist::kGone ? std::nullopt : std::optional(to);
  }
  if (stand_in) {
    stand_in->pair = place[stand_in->pair];
    if (stand_in->pair == Checklist::kGone) stand_in.reset();
  }
  transactions_.EraseIf(
      [&](const Transaction& t) { return place[t.pair] == Checklist::kGone; });
  for (Transaction& transaction : transactions_) {
    transaction.pair = static_cast<uint16_t>(place[transaction.pair]);
  }
}

void Generation::Relabel(const ShortList<Base>& bases, Role role) {
  for (size_t i = 0; i < pairs.size(); ++i) {
    Pair& pair = pairs.Edit(i);
    Label(pair, bases[pair.base], remotes_[pair.remote], role);
  }
}

std::optional<size_t> Generation::InUse() const {
  const std::optional<Validity> none;
  const std::optional<Validity>& alive =
      selected ? pairs[*selected].valid : none;
  if (alive && (!alive->suspect || held)) return selected;
  if (stand_in && pairs[stand_in->pair].healthy()) return stand_in->pair;
  if (auto best = pairs.BestValid(Checklist::Among::kHealthy)) return best;
  if (alive) return selected;
  return pairs.BestValid(Checklist::Among::kAll);
}

std::optional<size_t> Generation::NextReserve(size_t max_backups) {
  std::optional<size_t> best;
  if (pairs.Valid().size() <= max_backups) {
    // To another address of the peer, too, first: see Keep().
    const auto apart = [&](size_t i) {
      return pairs[i].remote != pairs[*selected].remote;
    };
    const auto better = [&](size_t a, size_t b) {
      return apart(a) != apart(b) ? apart(a)
                                  : pairs[a].priority > pairs[b].priority;
    };
    for (size_t i = 0; i < pairs.size(); ++i) {
      const Pair& pair = pairs[i];
      if (pair.state() > PairState::kWaiting || pair.triggered ||
          pair.checks_sent > 0 || pair.is_stream() ||
          pair.base == pairs[*selected].base || ViewOf(i).is_relayed()) {
        continue;
      }
      if (!best || better(i, *best)) best = i;
    }
  }
  seeks_reserves = best.has_value();
  return best;
}

void Generation::Keep(std::optional<size_t> in_use, size_t max_backups,
                      absl::FunctionRef<bool(size_t, size_t)> may_keep,
                      absl::FunctionRef<void(size_t)> dropped) {
  const Kept wanted{pairs.valid_changes(),
                    static_cast<uint32_t>(in_use ? *in_use + 1 : 0),
                    static_cast<uint32_t>(max_backups)};
  if (kept_ == wanted) return;
  kept_ = wanted;
  const std::vector<size_t> valid = pairs.Valid();
  std::vector<size_t> chosen;
  const auto is_chosen = [&](size_t pair) {
    return std::find(chosen.begin(), chosen.end(), pair) != chosen.end();
  };
  if (in_use) {
    chosen.push_back(*in_use);
    // One from another address of ours first: what dies is mostly an interface,
    // and with it the way to the peer's address there, whatever ours is.
    const auto elsewhere = [&](bool apart) {
      return std::find_if(valid.begin(), valid.end(), [&](size_t pair) {
        return pairs[pair].base != pairs[*in_use].base &&
               (!apart || pairs[pair].remote != pairs[*in_use].remote) &&
               may_keep(pair, 0);
      });
    };
    auto first = elsewhere(/*apart=*/true);
    if (first == valid.end()) first = elsewhere(/*apart=*/false);
    if (first != valid.end() && max_backups > 0) chosen.push_back(*first);
  }
  const size_t most = max_backups + (in_use ? 1 : 0);
  for (const size_t pair : valid) {
    if (chosen.size() < most && !is_chosen(pair) &&
        may_keep(pair, chosen.size() - (in_use ? 1 : 0))) {
      chosen.push_back(pair);
    }
  }
  for (const size_t pair : valid) {
    const bool kept = is_chosen(pair);
    if (pairs[pair].valid->kept == kept) continue;
    pairs.Edit(pair).valid->kept = kept;
    if (!kept) dropped(pair);
  }
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
  transactions_.EraseIf([&](const Transaction& t) { return t.id == id; });
}

}  // namespace kyuu::ice::internal
