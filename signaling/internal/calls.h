// Calls: who rings or talks with whom.

#ifndef KYUU_SIGNALING_INTERNAL_CALLS_H_
#define KYUU_SIGNALING_INTERNAL_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "base/random.h"
#include "signaling/directory_types.h"
#include "signaling/internal/shares.h"
#include "signaling/internal/token_bucket.h"

namespace kyuu::signaling::internal {

class Calls {
 public:
  enum class State : uint8_t { kRinging, kAccepted };
  struct Record {
    Member caller{};
    Member callee{};
    Source source;  // The caller's.
    State state = State::kRinging;
    // Which of them has told what came of it.
    bool has_caller_reported = false;
    bool has_callee_reported = false;

    bool Concerns(Member m) const { return caller == m || callee == m; }
    Member Other(Member m) const { return caller == m ? callee : caller; }
  };

  // `random` must outlive it.
  Calls(CallOptions options, Random& random);

  // The new call's id. There is no call between the two.
  std::variant<std::string, Refusal> Start(absl::Time now, Member caller,
                                           const Source& source, Member callee);
  // A ringing call whose id was chosen elsewhere and is not here; false if one
  // of the two is in too many, or too many ring from the caller's source.
  bool Add(absl::Time now, const std::string& call, const Record& record);
  // nullptr if there is no such call.
  const Record* Find(absl::string_view call) const;
  std::optional<std::string> Between(Member a, Member b) const;
  std::vector<std::string> Of(Member member) const;
  // The call exists for these two.
  void Accept(const std::string& call);
  // False if that side of it has reported before.
  bool TakeReport(const std::string& call, Member member);
  Record End(const std::string& call);

  // A call that rings in vain until `now`; it still exists.
  std::optional<std::string> PopUnanswered(absl::Time now);
  absl::Time NextTimeout() const { return rings_.NextTimeout(); }

  size_t size() const { return calls_.size(); }

 private:
  // Whoever calls, by its source where that is known.
  using Caller = std::pair<Source, Member>;

  bool IsFull(Member member) const;
  void StopRinging(const std::string& call, const Record& record);
  std::optional<Refusal> TakeRates(absl::Time now, const Record& record);

  const CallOptions options_;
  Random* random_;
  absl::flat_hash_map<std::string, Record> calls_;
  absl::flat_hash_map<Member, std::vector<std::string>> by_member_;
  DeadlineQueue<std::string> rings_;
  Shares ringing_;  // By the caller's source.
  RateTable<Source> source_rates_;
  RateTable<std::pair<Caller, Member>> pair_rates_;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_CALLS_H_
