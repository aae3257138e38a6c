// What decides which way is nominated, which one carries data and which ones
// are kept in reserve, and the reason of each decision.

#ifndef KYUU_ICE_POLICY_H_
#define KYUU_ICE_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/candidate.h"

namespace kyuu::ice {

namespace internal {
struct Pair;
}  // namespace internal

// Reasons, as people read them. A policy of an application has its own; all of
// them are of static storage.
namespace reasons {
inline constexpr absl::string_view kNothingBetter =
    "nothing better is under way";
inline constexpr absl::string_view kBetterHadTheirTime =
    "better ones have had their time";
inline constexpr absl::string_view kInsteadOfRelay =
    "it is direct, and a relay is in use";
inline constexpr absl::string_view kInsteadOfStream =
    "it is over UDP, and TCP is in use";
inline constexpr absl::string_view kNominatedIsSilent =
    "the one nominated before does not answer";
inline constexpr absl::string_view kPeerNominated = "the peer nominates it";
inline constexpr absl::string_view kBestOfPeers =
    "the peer nominates many, and a better one is among them";
inline constexpr absl::string_view kUnchecked = "nobody checks, and it is best";
inline constexpr absl::string_view kFirst = "it is the first that works";
inline constexpr absl::string_view kBest = "it is the best that works";
inline constexpr absl::string_view kNominated = "it is nominated";
inline constexpr absl::string_view kUsedIsSilent =
    "the one in use does not answer";
inline constexpr absl::string_view kUsedIsGone = "the one in use is gone";
inline constexpr absl::string_view kEnoughOthers =
    "enough others are in reserve";
inline constexpr absl::string_view kNoConsent =
    "the peer has not answered for too long";
inline constexpr absl::string_view kWait = "better ones may come";
}  // namespace reasons

// A way to the peer, as a policy sees it. A view: it lives for the call that it
// is given to.
class PairView {
 public:
  // `remote_type` is what `pair`, which has only its index, does not say.
  PairView(const internal::Pair& pair, CandidateType remote_type)
      : pair_(&pair), remote_type_(remote_type) {}

  const Path& path() const;
  CandidateType local_type() const;
  CandidateType remote_type() const { return remote_type_; }
  uint64_t priority() const;  // RFC 8445 section 6.1.2.3.
  // Smoothed; zero when unknown.
  absl::Duration rtt() const;
  // Since when it works, or works again; InfiniteFuture() if it does not.
  absl::Time works_since() const;
  // It works, and the last checks are answered.
  bool answers() const;
  // Since when they are not; InfiniteFuture() if none waits for its answer.
  absl::Time silent_since() const;
  // Checks that were made of it, the first and the last of them.
  uint64_t checks_sent() const;
  absl::Time first_sent() const;
  absl::Time last_sent() const;
  // A relay of either side lies on it.
  bool is_relayed() const;

 private:
  const internal::Pair* pair_;
  CandidateType remote_type_;
};

// Whether `best` is to be nominated, which we do as the controlling side.
struct NominationQuestion {
  absl::Time now;
  // Of those that work and answer, the one of the highest priority.
  PairView best;
  // Nominated so far.
  std::optional<PairView> nominated;
  // Of higher priority than `best`, with checks to come or under way. Empty if
  // there is one nominated.
  absl::Span<const PairView> pending;
  // The peer has told all its candidates.
  bool remote_done;
  // As in AgentOptions.
  absl::Duration wait_direct;
  absl::Duration wait_relayed;
  absl::Duration renomination_wait;
  absl::Duration stream_after_silence;
  absl::Duration renomination_wait_stream;
};
struct NominationAnswer {
  // When, unless something changes by then; InfiniteFuture(): not as things
  // are.
  absl::Time when;
  absl::string_view reason;
};

namespace internal {
// How long `silent` is kept to although `other` answers; InfinitePast() if not
// at all. See AgentOptions::stream_after_silence.
absl::Time HeldUntil(const PairView& silent, const PairView& other,
                     absl::Duration stream_after_silence);
}  // namespace internal

// Today's rules, for who wants to change only a part of them: at once if
// nothing better is under way, else when that had its time; anew when the
// nominated one does not answer (UDP for a while, if TCP is to take over), or
// is relayed or over TCP and a direct one, over UDP, has worked for a while.
NominationAnswer DefaultNomination(const NominationQuestion& question);

// Which of those that work is to carry data while none that is nominated
// answers: an index into `pairs`, which are in the order of their priority, and
// of which at least two answer.
struct UseQuestion {
  absl::Time now;
  absl::Span<const PairView> pairs;
};
struct UseAnswer {
  size_t pair = 0;
  absl::string_view reason = reasons::kBest;
};

// Whether `pair`, which works, is kept alive by checks as a reserve for
// `in_use`; `kept` are so already, and may be at most `kept_max`.
struct ReserveQuestion {
  PairView pair;
  PairView in_use;
  size_t kept;
  size_t kept_max;
};
struct ReserveAnswer {
  bool keep;
  absl::string_view reason;  // If not.
};

// SelectionPolicy is what an agent asks. Its functions are pure: they look at
// what they are shown, call nothing of the agent, and may be asked at any time
// and again. `context` is handed to each; it must outlive the agent. One that
// is null is today's behaviour.
struct SelectionPolicy {
  const void* context = nullptr;
  NominationAnswer (*nominate)(const void* context,
                               const NominationQuestion&) = nullptr;
  UseAnswer (*use)(const void* context, const UseQuestion&) = nullptr;
  ReserveAnswer (*reserve)(const void* context,
                           const ReserveQuestion&) = nullptr;

  friend bool operator==(const SelectionPolicy&,
                         const SelectionPolicy&) = default;
};

// What was decided, and why. Told as an event.
struct Decision {
  enum class Kind : uint8_t {
    kNominate,  // We nominate it, or take the peer's nomination.
    kIgnore,    // The peer's nomination of it counts for nothing.
    kUse,       // Data goes by it from now on.
    kDrop,      // It is no reserve any more.
  };
  Kind kind;
  Path path;
  CandidateType local_type;
  CandidateType remote_type;
  absl::string_view reason;  // Of static storage.
};

// "nominate", "ignore", "use" or "drop".
absl::string_view ToString(Decision::Kind kind);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_POLICY_H_
