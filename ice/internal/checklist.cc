#include "ice/internal/checklist.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/internal/pair.h"

namespace kyuu::ice::internal {
namespace {

constexpr size_t kPending = static_cast<size_t>(PairState::kInProgress) + 1;

}  // namespace

Pair& Checklist::Edit(size_t index) {
  ++visits_;
  Place& place = index_.places[index];
  if (!place.edited) {
    place.edited = true;
    index_.edited.push_back(static_cast<uint16_t>(index));
  }
  return pairs_[index];
}

Checklist::Index& Checklist::index() const {
  for (const uint16_t number : index_.edited) Settle(number);
  return index_;
}

void Checklist::Settle(uint16_t number) const {
  ++visits_;
  const Pair& pair = pairs_[number];
  Place& place = index_.places[number];
  const uint64_t rank = ~pair.priority;  // Best first.
  const PairState state = pair.state();
  if (place.rank != rank || place.state != state) {
    if (place.state <= PairState::kInProgress) {
      index_.by_state[static_cast<size_t>(place.state)].erase(
          {place.rank, number});
    }
    if (state <= PairState::kInProgress) {
      index_.by_state[static_cast<size_t>(state)].emplace(rank, number);
    }
  }
  if (place.valid != pair.valid.has_value() ||
      (place.valid && place.rank != rank)) {
    if (place.valid) index_.valid.erase({place.rank, number});
    if (pair.valid) index_.valid.emplace(rank, number);
    ++index_.valid_changes;
  }
  place = {rank, state, pair.valid.has_value(), place.edited};
  if (pair.nomination == Nomination::kNominating) {
    index_.nominating = number;
  } else if (index_.nominating == number) {
    index_.nominating.reset();
  }

  const CompactTime never = absl::InfiniteFuture();
  const auto set = [&](PairTimer timer, CompactTime deadline) {
    index_.deadlines[static_cast<size_t>(timer)].Set(number, deadline);
  };
  const InProgress* check = pair.in_progress();
  const CompactTime repeat = check == nullptr ? never : check->deadline;
  const bool due = check != nullptr && check->due;
  set(PairTimer::kCheck, due ? never : repeat);
  set(PairTimer::kRepeat, due ? repeat : never);
  set(PairTimer::kKeepalive, liveness_.asks && pair.valid && pair.valid->kept
                                 ? pair.valid->next_keepalive
                                 : never);
  set(PairTimer::kSuspect, liveness_.SuspectAt(pair));
  set(PairTimer::kConsent, liveness_.ConsentUntil(pair));
}

void Checklist::Commit() {
  index();
  for (const uint16_t number : index_.edited) {
    index_.places[number].edited = false;
  }
  index_.edited.clear();
}

std::optional<size_t> Checklist::Find(size_t base, size_t remote) const {
  return index_.by_ends.Find(Ends(base, remote), EndsOf());
}

std::optional<size_t> Checklist::FindPath(const Path& path) const {
  return index_.by_path.Find(path, PathOf());
}

std::optional<size_t> Checklist::Add(Pair pair, size_t max_pairs) {
  // RFC 8838 section 12: Waiting if the foundation is new or has worked.
  bool known = false;
  bool worked = false;
  for (const Pair& other : all()) {
    if (other.foundation != pair.foundation) continue;
    known = true;
    worked |= other.valid.has_value();
  }
  if (known && !worked) {
    pair.check = Frozen{};
  } else {
    pair.check = Waiting{};
  }
  size_t number = pairs_.size();
  if (number < max_pairs) {
    Append(pairs_, pair);
    Append(index_.places, Place{});
  } else {
    const std::optional<size_t> worst = WorstForgettable();
    if (!worst || pairs_[*worst].priority >= pair.priority) return std::nullopt;
    number = *worst;
    const auto gone = static_cast<uint16_t>(number);
    index_.by_ends.Remove(gone, EndsOf());
    index_.by_path.Remove(gone, PathOf());
    pairs_[number] = pair;
  }
  Insert(number);
  return number;
}

void Checklist::Insert(size_t index) {
  Edit(index);
  const auto number = static_cast<uint16_t>(index);
  index_.by_ends.Add(number, EndsOf());
  index_.by_path.Add(number, PathOf());
}

std::optional<size_t> Checklist::WorstForgettable() const {
  const absl::Span<const Pair> pairs = all();
  std::optional<size_t> worst;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Pair& pair = pairs[i];
    if (pair.valid || pair.triggered || pair.heard() || pair.in_progress()) {
      continue;
    }
    if (!worst || pair.priority < pairs[*worst].priority) worst = i;
  }
  return worst;
}

std::vector<size_t> Checklist::Remove(
    absl::FunctionRef<bool(const Pair&)> unwanted) {
  std::vector<size_t> place(pairs_.size());
  std::vector<Pair> left;
  const absl::Span<const Pair> pairs = all();
  for (size_t i = 0; i < pairs.size(); ++i) {
    place[i] = unwanted(pairs[i]) ? kGone : left.size();
    if (place[i] != kGone) left.push_back(pairs[i]);
  }
  for (size_t i = triggered_.size(); i-- > 0;) {
    triggered_[i] = place[triggered_[i]];
    if (triggered_[i] != kGone) continue;
    triggered_.erase(triggered_.begin() + static_cast<long>(i));
    if (i < immediate_) --immediate_;
  }
  pairs_ = std::move(left);
  const uint64_t changes = index_.valid_changes + 1;
  index_ = Index{};
  index_.valid_changes = changes;
  index_.places.resize(pairs_.size());
  for (size_t i = 0; i < pairs_.size(); ++i) Insert(i);
  return place;
}

std::vector<size_t> Checklist::RemoveBase(size_t base) {
  std::vector<size_t> place =
      Remove([&](const Pair& pair) { return pair.base == base; });
  index_.by_ends.Clear();
  for (size_t i = 0; i < pairs_.size(); ++i) {
    Pair& pair = Edit(i);
    if (pair.base > base) --pair.base;
  }
  for (size_t i = 0; i < pairs_.size(); ++i) {
    index_.by_ends.Add(static_cast<uint16_t>(i), EndsOf());
  }
  return place;
}

std::vector<size_t> Checklist::RemoveAt(size_t index) {
  size_t at = 0;
  return Remove([&](const Pair&) { return at++ == index; });
}

void Checklist::SetPath(size_t index, const Path& path) {
  const auto number = static_cast<uint16_t>(index);
  index_.by_path.Remove(number, PathOf());
  Edit(index).path = path;
  index_.by_path.Add(number, PathOf());
}

std::optional<size_t> Checklist::NextOrdinary() const {
  // A frozen pair is better than an idle slot (RFC 5245 section 5.8): a peer
  // that gives one foundation to all its candidates must not hold itself up.
  for (const PairState state : {PairState::kWaiting, PairState::kFrozen}) {
    for (const auto& ranked : index().by_state[static_cast<size_t>(state)]) {
      if (!(*this)[ranked.second].triggered) return ranked.second;
    }
  }
  return std::nullopt;
}

void Checklist::Unfreeze(uint32_t foundation) {
  for (const auto& ranked :
       index().by_state[static_cast<size_t>(PairState::kFrozen)]) {
    if ((*this)[ranked.second].foundation == foundation) {
      Edit(ranked.second).check = Waiting{};
    }
  }
}

size_t Checklist::CountActive() const {
  const Index& now = index();
  return now.by_state[static_cast<size_t>(PairState::kWaiting)].size() +
         now.by_state[static_cast<size_t>(PairState::kInProgress)].size();
}

bool Checklist::AnyPending() const {
  return !triggered_.empty() || CountActive() > 0 ||
         !index_.by_state[static_cast<size_t>(PairState::kFrozen)].empty();
}

std::vector<size_t> Checklist::PendingAbove(uint64_t priority) const {
  std::vector<std::pair<uint64_t, uint16_t>> above;
  for (size_t state = 0; state < kPending; ++state) {
    for (const auto& ranked : index().by_state[state]) {
      if (ranked.first >= ~priority) break;
      ++visits_;
      above.push_back(ranked);
    }
  }
  std::sort(above.begin(), above.end());
  std::vector<size_t> numbers;
  numbers.reserve(above.size());
  for (const auto& ranked : above) numbers.push_back(ranked.second);
  return numbers;
}

std::vector<size_t> Checklist::Valid() const {
  std::vector<size_t> numbers;
  for (const auto& ranked : index().valid) {
    ++visits_;
    numbers.push_back(ranked.second);
  }
  return numbers;
}

uint64_t Checklist::valid_changes() const { return index().valid_changes; }

std::optional<size_t> Checklist::BestValid(Among among) const {
  for (const auto& ranked : index().valid) {
    if (among == Among::kAll || !(*this)[ranked.second].suspect()) {
      return ranked.second;
    }
  }
  return std::nullopt;
}

std::optional<size_t> Checklist::Nominating() const {
  return index().nominating;
}

absl::Time Checklist::NextTimeout(PairTimer timer) const {
  return index().deadlines[static_cast<size_t>(timer)].NextTimeout();
}

std::optional<size_t> Checklist::EditDue(PairTimer timer, absl::Time now) {
  const std::optional<uint16_t> due =
      index().deadlines[static_cast<size_t>(timer)].FirstDue(now);
  if (!due) return std::nullopt;
  Edit(*due);
  return *due;
}

void Checklist::Trigger(size_t index) {
  Pair& pair = Edit(index);
  if (pair.triggered) {
    if (!pair.immediate) return;
    Untrigger(index);
  }
  pair.triggered = true;
  if (pair.immediate) {
    triggered_.insert(triggered_.begin() + static_cast<long>(immediate_++),
                      index);
  } else {
    triggered_.push_back(index);
  }
}

std::optional<size_t> Checklist::NextTriggered() const {
  if (triggered_.empty()) return std::nullopt;
  return triggered_.front();
}

std::optional<size_t> Checklist::NextImmediate() const {
  return immediate_ > 0 ? NextTriggered() : std::nullopt;
}

void Checklist::Untrigger(size_t index) {
  if (!(*this)[index].triggered) return;
  Edit(index).triggered = false;
  const auto at = std::find(triggered_.begin(), triggered_.end(), index);
  if (at < triggered_.begin() + static_cast<long>(immediate_)) --immediate_;
  triggered_.erase(at);
}

}  // namespace kyuu::ice::internal
