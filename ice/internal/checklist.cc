#include "ice/internal/checklist.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "ice/agent_types.h"
#include "ice/internal/pair.h"

namespace kyuu::ice::internal {
namespace {

// Checklist::valid_few_ before Valid() was looked at.
constexpr uint32_t kNotLookedAt = 0;

bool IsValid(const Pair& pair) { return pair.valid.has_value(); }

constexpr size_t kPending = static_cast<size_t>(PairState::kInProgress) + 1;

}  // namespace

Pair& Checklist::Edit(size_t index) {
  ++visits_;
  if (!index_) {
    edited_ = true;
    return pairs_[index];
  }
  Place& place = index_->places[index];
  if (!place.edited) {
    place.edited = true;
    index_->edited.push_back(static_cast<uint16_t>(index));
  }
  return pairs_[index];
}

PairTraffic& Checklist::Payload(size_t index) {
  std::unique_ptr<PairTraffic>& payload = pairs_[index].payload;
  if (!payload) payload = std::make_unique<PairTraffic>();
  return *payload;
}

Checklist::Index& Checklist::index() const {
  for (const uint16_t number : index_->edited) Settle(number);
  return *index_;
}

void Checklist::Settle(uint16_t number) const {
  ++visits_;
  const Pair& pair = pairs_[number];
  Index& index = *index_;
  Place& place = index.places[number];
  const uint64_t rank = ~pair.priority;  // Best first.
  const PairState state = pair.state();
  if (place.rank != rank || place.state != state) {
    if (place.state <= PairState::kInProgress) {
      index.by_state[static_cast<size_t>(place.state)].erase(
          {place.rank, number});
    }
    if (state <= PairState::kInProgress) {
      index.by_state[static_cast<size_t>(state)].emplace(rank, number);
    }
  }
  if (place.valid != pair.valid.has_value() ||
      (place.valid && place.rank != rank)) {
    if (place.valid) index.valid.erase({place.rank, number});
    if (pair.valid) index.valid.emplace(rank, number);
    ++valid_changes_;
  }
  place = {rank, state, pair.valid.has_value(), place.edited};
  if (pair.nomination == Nomination::kNominating) {
    index.nominating = number;
  } else if (index.nominating == number) {
    index.nominating.reset();
  }
  for (size_t i = 0; i < index.deadlines.size(); ++i) {
    index.deadlines[i].Set(number, DeadlineOf(pair, static_cast<PairTimer>(i)));
  }
}

CompactTime Checklist::DeadlineOf(const Pair& pair, PairTimer timer) const {
  const CompactTime never = absl::InfiniteFuture();
  const InProgress* const check = pair.in_progress();
  switch (timer) {
    case PairTimer::kCheck:
      return check != nullptr && !check->due ? check->deadline : never;
    case PairTimer::kRepeat:
      return check != nullptr && check->due ? check->deadline : never;
    case PairTimer::kKeepalive:
      return liveness_.asks && pair.valid && pair.valid->kept
                 ? pair.valid->next_keepalive
                 : never;
    case PairTimer::kSuspect:
      return liveness_.SuspectAt(pair);
    case PairTimer::kConsent:
      return liveness_.ConsentUntil(pair);
    case PairTimer::kCount:
      break;
  }
  return never;
}

void Checklist::Commit() {
  if (!index_) return;
  index();
  for (const uint16_t number : index_->edited) {
    index_->places[number].edited = false;
  }
  index_->edited.clear();
}

// As little counted as what the index looks at to find one.
std::optional<size_t> Checklist::FirstOfFew(Predicate is_it) const {
  for (size_t i = 0; i < pairs_.size(); ++i) {
    if (is_it(pairs_[i])) return i;
  }
  return std::nullopt;
}

std::optional<size_t> Checklist::BestOfFew(Predicate is_it) const {
  std::optional<size_t> best;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    ++visits_;
    if (!is_it(pairs_[i])) continue;
    if (!best || pairs_[i].priority > pairs_[*best].priority) best = i;
  }
  return best;
}

// The best first.
Checklist::Few Checklist::RankedOfFew(Predicate is_it) const {
  Few numbers;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    ++visits_;
    if (!is_it(pairs_[i])) continue;
    const auto* const behind =
        std::find_if(numbers.begin(), numbers.end(), [&](size_t other) {
          return pairs_[other].priority < pairs_[i].priority;
        });
    numbers.insert(behind, i);
  }
  return numbers;
}

Checklist::Deadline Checklist::EarliestOfFew(PairTimer timer) const {
  Deadline earliest;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const CompactTime at = DeadlineOf(pairs_[i], timer);
    if (at.nanoseconds() < earliest.at.nanoseconds()) earliest = {at, i};
  }
  return earliest;
}

std::optional<size_t> Checklist::Find(size_t base, size_t remote) const {
  if (index_) return index_->by_ends.Find(Ends(base, remote), EndsOf());
  return FirstOfFew([&](const Pair& pair) {
    return pair.base == base && pair.remote == remote;
  });
}

std::optional<size_t> Checklist::FindPath(const Path& path) const {
  if (index_) return index_->by_path.Find(path, PathOf());
  return FirstOfFew([&](const Pair& pair) { return pair.path == path; });
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
    pairs_.push_back(std::move(pair));
    if (!index_ && pairs_.size() > kFew) {
      Reindex();
      return number;
    }
    if (index_) Append(index_->places, Place{});
  } else {
    const std::optional<size_t> worst = WorstForgettable();
    if (!worst || pairs_[*worst].priority >= pair.priority) return std::nullopt;
    number = *worst;
    const auto gone = static_cast<uint16_t>(number);
    if (index_) {
      index_->by_ends.Remove(gone, EndsOf());
      index_->by_path.Remove(gone, PathOf());
    }
    pairs_[number] = std::move(pair);
  }
  Insert(number);
  return number;
}

void Checklist::Insert(size_t index) {
  Edit(index);
  if (!index_) return;
  const auto number = static_cast<uint16_t>(index);
  index_->by_ends.Add(number, EndsOf());
  index_->by_path.Add(number, PathOf());
}

// Makes the index anew, or none of a few.
void Checklist::Reindex() {
  ++valid_changes_;
  valid_few_ = kNotLookedAt;
  edited_ = true;
  index_.reset();
  if (pairs_.size() <= kFew) return;
  index_ = std::make_unique<Index>();
  index_->places.resize(pairs_.size());
  for (size_t i = 0; i < pairs_.size(); ++i) Insert(i);
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
  ShortList<Pair> left;
  const absl::Span<const Pair> pairs = all();
  for (size_t i = 0; i < pairs.size(); ++i) {
    place[i] = unwanted(pairs[i]) ? kGone : left.size();
    if (place[i] != kGone) left.push_back(std::move(pairs_[i]));
  }
  for (size_t i = triggered_.size(); i-- > 0;) {
    const size_t to = place[triggered_[i]];
    triggered_[i] = static_cast<uint16_t>(to);
    if (to != kGone) continue;
    triggered_.erase(triggered_.begin() + static_cast<long>(i));
    if (i < immediate_) --immediate_;
  }
  pairs_ = std::move(left);
  Reindex();
  return place;
}

std::vector<size_t> Checklist::RemoveBase(size_t base) {
  std::vector<size_t> place =
      Remove([&](const Pair& pair) { return pair.base == base; });
  if (index_) index_->by_ends.Clear();
  for (size_t i = 0; i < pairs_.size(); ++i) {
    Pair& pair = Edit(i);
    if (pair.base > base) --pair.base;
  }
  for (size_t i = 0; index_ && i < pairs_.size(); ++i) {
    index_->by_ends.Add(static_cast<uint16_t>(i), EndsOf());
  }
  return place;
}

std::vector<size_t> Checklist::RemoveAt(size_t index) {
  size_t at = 0;
  return Remove([&](const Pair&) { return at++ == index; });
}

void Checklist::SetPath(size_t index, const Path& path) {
  const auto number = static_cast<uint16_t>(index);
  if (index_) index_->by_path.Remove(number, PathOf());
  Edit(index).path = path;
  if (index_) index_->by_path.Add(number, PathOf());
}

std::optional<size_t> Checklist::NextOrdinary() const {
  // A frozen pair is better than an idle slot (RFC 5245 section 5.8): a peer
  // that gives one foundation to all its candidates must not hold itself up.
  for (const PairState state : {PairState::kWaiting, PairState::kFrozen}) {
    if (!index_) {
      const std::optional<size_t> best = BestOfFew([&](const Pair& pair) {
        return pair.state() == state && !pair.triggered;
      });
      if (best) return best;
      continue;
    }
    for (const auto& ranked : index().by_state[static_cast<size_t>(state)]) {
      if (!(*this)[ranked.second].triggered) return ranked.second;
    }
  }
  return std::nullopt;
}

void Checklist::Unfreeze(uint32_t foundation) {
  for (size_t i = 0; !index_ && i < pairs_.size(); ++i) {
    if (pairs_[i].foundation == foundation &&
        pairs_[i].state() == PairState::kFrozen) {
      Edit(i).check = Waiting{};
    }
  }
  if (!index_) return;
  for (const auto& ranked :
       index().by_state[static_cast<size_t>(PairState::kFrozen)]) {
    if ((*this)[ranked.second].foundation == foundation) {
      Edit(ranked.second).check = Waiting{};
    }
  }
}

size_t Checklist::CountActive() const {
  if (!index_) {
    visits_ += pairs_.size();
    return static_cast<size_t>(
        std::count_if(pairs_.begin(), pairs_.end(), [](const Pair& pair) {
          return pair.state() == PairState::kWaiting ||
                 pair.state() == PairState::kInProgress;
        }));
  }
  const Index& now = index();
  return now.by_state[static_cast<size_t>(PairState::kWaiting)].size() +
         now.by_state[static_cast<size_t>(PairState::kInProgress)].size();
}

bool Checklist::AnyPending() const {
  if (!triggered_.empty()) return true;
  if (!index_) {
    return FirstOfFew([](const Pair& pair) { return pair.pending(); })
        .has_value();
  }
  const Index& now = index();
  return std::any_of(now.by_state.begin(), now.by_state.end(),
                     [](const Ranked& ranked) { return !ranked.empty(); });
}

std::vector<size_t> Checklist::PendingAbove(uint64_t priority) const {
  if (!index_) {
    const Few few = RankedOfFew([&](const Pair& pair) {
      return pair.state() <= PairState::kInProgress && pair.priority > priority;
    });
    return {few.begin(), few.end()};
  }
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
  if (!index_) {
    const Few few = RankedOfFew(IsValid);
    return {few.begin(), few.end()};
  }
  std::vector<size_t> numbers;
  for (const auto& ranked : index().valid) {
    ++visits_;
    numbers.push_back(ranked.second);
  }
  return numbers;
}

uint64_t Checklist::valid_changes() const {
  if (index_) {
    index();
    return valid_changes_;
  }
  if (!std::exchange(edited_, false)) return valid_changes_;
  uint32_t valid = 1;
  for (const size_t number : RankedOfFew(IsValid)) {
    valid = valid << 4 | static_cast<uint32_t>(number);
  }
  if (valid != std::exchange(valid_few_, valid)) ++valid_changes_;
  return valid_changes_;
}

std::optional<size_t> Checklist::BestValid(Among among) const {
  if (!index_) {
    return BestOfFew([&](const Pair& pair) {
      return pair.valid && (among == Among::kAll || !pair.suspect());
    });
  }
  for (const auto& ranked : index().valid) {
    if (among == Among::kAll || !(*this)[ranked.second].suspect()) {
      return ranked.second;
    }
  }
  return std::nullopt;
}

std::optional<size_t> Checklist::Nominating() const {
  if (!index_) {
    return FirstOfFew([](const Pair& pair) {
      return pair.nomination == Nomination::kNominating;
    });
  }
  return index().nominating;
}

absl::Time Checklist::NextTimeout(PairTimer timer) const {
  if (!index_) return EarliestOfFew(timer).at;
  return index().deadlines[static_cast<size_t>(timer)].NextTimeout();
}

std::optional<size_t> Checklist::EditDue(PairTimer timer, absl::Time now) {
  if (!index_) {
    const Deadline first = EarliestOfFew(timer);
    if (first.at.is_infinite_future() || first.at > now) return std::nullopt;
    Edit(first.number);
    return first.number;
  }
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
                      static_cast<uint16_t>(index));
  } else {
    triggered_.push_back(static_cast<uint16_t>(index));
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
  const auto* const at = std::find(triggered_.begin(), triggered_.end(), index);
  if (at < triggered_.begin() + static_cast<long>(immediate_)) --immediate_;
  triggered_.erase(at);
}

}  // namespace kyuu::ice::internal
