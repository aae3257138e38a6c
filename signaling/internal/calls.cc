#include "signaling/internal/calls.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kyuu::signaling::internal {
namespace {

// Characters of a call's id: 96 bits that nobody guesses.
constexpr size_t kCallIdChars = 16;

Refusal TooMany(absl::string_view message) {
  Refusal refusal;
  refusal.code = ErrorCode::kTooManyCalls;
  refusal.message = std::string(message);
  return refusal;
}

}  // namespace

Calls::Calls(CallOptions options, Random& random)
    : options_(options),
      random_(&random),
      source_rates_(options.calls_per_source),
      pair_rates_(options.calls_per_pair) {}

std::variant<std::string, Refusal> Calls::Start(absl::Time now, Member caller,
                                                const Source& source,
                                                Member callee) {
  if (IsFull(caller)) return TooMany("you are in too many calls");
  if (IsFull(callee)) return TooMany("this peer is in too many calls");
  const Record record = {caller, callee, source, State::kRinging};
  if (std::optional<Refusal> refusal = TakeRates(now, record)) return *refusal;
  std::string id = random_->IceChars(kCallIdChars);
  while (calls_.contains(id)) id = random_->IceChars(kCallIdChars);
  if (!Add(now, id, record)) {
    return TooMany("too many calls ring from your address");
  }
  return id;
}

bool Calls::IsFull(Member member) const {
  const auto it = by_member_.find(member);
  return it != by_member_.end() &&
         it->second.size() >= options_.max_calls_per_peer;
}

bool Calls::Add(absl::Time now, const std::string& call, const Record& record) {
  if (IsFull(record.caller) || IsFull(record.callee) ||
      !ringing_.Take(record.source, options_.max_ringing_per_source)) {
    return false;
  }
  calls_.emplace(call, record);
  rings_.Set(call, now + options_.ring_timeout);
  by_member_[record.caller].push_back(call);
  by_member_[record.callee].push_back(call);
  return true;
}

std::optional<Refusal> Calls::TakeRates(absl::Time now, const Record& record) {
  const bool is_known = record.source != Source();
  // A source that is not told is not one source; its members are.
  const Caller caller = {record.source, is_known ? Member{} : record.caller};
  absl::Duration wait = pair_rates_.Take(now, {caller, record.callee});
  if (wait == absl::ZeroDuration() && is_known) {
    wait = source_rates_.Take(now, record.source);
  }
  if (wait == absl::ZeroDuration()) return std::nullopt;
  Refusal refusal = TooMany("too many calls in a short time");
  refusal.code = ErrorCode::kRateLimited;
  refusal.retry_after = wait;
  return refusal;
}

const Calls::Record* Calls::Find(absl::string_view call) const {
  const auto it = calls_.find(call);
  return it == calls_.end() ? nullptr : &it->second;
}

std::optional<std::string> Calls::Between(Member a, Member b) const {
  const auto it = by_member_.find(a);
  if (it == by_member_.end()) return std::nullopt;
  for (const std::string& call : it->second) {
    if (calls_.at(call).Concerns(b)) return call;
  }
  return std::nullopt;
}

std::vector<std::string> Calls::Of(Member member) const {
  const auto it = by_member_.find(member);
  return it == by_member_.end() ? std::vector<std::string>() : it->second;
}

void Calls::Accept(const std::string& call) {
  Record& record = calls_.at(call);
  StopRinging(call, record);
  record.state = State::kAccepted;
}

bool Calls::TakeReport(const std::string& call, Member member) {
  Record& record = calls_.at(call);
  bool& reported = record.caller == member ? record.has_caller_reported
                                           : record.has_callee_reported;
  return !std::exchange(reported, true);
}

Calls::Record Calls::End(const std::string& call) {
  const auto it = calls_.find(call);
  KYUU_CHECK(it != calls_.end());
  const Record record = it->second;
  if (record.state == State::kRinging) StopRinging(call, record);
  calls_.erase(it);
  for (const Member member : {record.caller, record.callee}) {
    const auto mine = by_member_.find(member);
    mine->second.erase(
        std::find(mine->second.begin(), mine->second.end(), call));
    if (mine->second.empty()) by_member_.erase(mine);
  }
  return record;
}

void Calls::StopRinging(const std::string& call, const Record& record) {
  rings_.Stop(call);
  ringing_.Return(record.source);
}

std::optional<std::string> Calls::PopUnanswered(absl::Time now) {
  return rings_.PopDue(now);
}

}  // namespace kyuu::signaling::internal
