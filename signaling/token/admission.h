// Admission: who may come, by what he shows: an API key, a token, or nothing.

#ifndef KYUU_SIGNALING_TOKEN_ADMISSION_H_
#define KYUU_SIGNALING_TOKEN_ADMISSION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "signaling/error_code.h"
#include "signaling/token/key.h"
#include "signaling/token/room_patterns.h"
#include "signaling/token/token.h"

namespace kyuu::signaling {

struct AdmissionOptions {
  enum class Anonymous : uint8_t { kForbid, kAllow };
  Anonymous anonymous = Anonymous::kAllow;
  // Texts that let in whoever shows one of them.
  std::vector<std::string> api_keys;
  KeySet keys;
  TokenRules rules;

  // INVALID_ARGUMENT if nobody could come, if an API key is shorter than 16
  // bytes, longer than 256 or has bytes that are no printable ASCII or a dot,
  // which tokens have, or if there are more than 256 of them.
  absl::Status Validate() const;
};

// What somebody may who was let in.
struct Grant {
  enum class By : uint8_t { kNobody, kApiKey, kToken };
  By by = By::kNobody;
  std::string user;    // The token's subject.
  std::string name;    // What he is called, or "" if he may choose.
  RoomPatterns rooms;  // Which he may join.
  absl::Time until = absl::InfiniteFuture();  // By the driver's clock.

  // Whether it is that of everybody who shows nothing.
  bool IsNobodys() const {
    return by == By::kNobody && user.empty() && name.empty() &&
           rooms.allows_all() && until == absl::InfiniteFuture();
  }
  // Whether both are of the same user; nameless ones are alike.
  bool IsSameUser(const Grant& other) const {
    return by == other.by && user == other.user;
  }
};

// Why somebody is not let in: kUnauthorized or kTokenExpired, and a text for
// him.
struct NotAdmitted {
  ErrorCode code = ErrorCode::kUnauthorized;
  std::string message;
};

struct AdmissionStats {
  uint64_t anonymous = 0;  // Let in.
  uint64_t by_api_key = 0;
  uint64_t by_token = 0;
  uint64_t refused_anonymous = 0;
  uint64_t refused_malformed = 0;  // Neither an API key nor a token.
  uint64_t refused_unknown_key = 0;
  uint64_t refused_signature = 0;
  uint64_t refused_expired = 0;
  uint64_t refused_not_yet = 0;
  uint64_t refused_claims = 0;
  uint64_t refused_room =
      0;  // Rooms, topics and ids that a token does not have.

  static constexpr Counter<AdmissionStats> kCounters[] = {
      KYUU_COUNTER(AdmissionStats, anonymous),
      KYUU_COUNTER(AdmissionStats, by_api_key),
      KYUU_COUNTER(AdmissionStats, by_token),
      KYUU_COUNTER(AdmissionStats, refused_anonymous),
      KYUU_COUNTER(AdmissionStats, refused_malformed),
      KYUU_COUNTER(AdmissionStats, refused_unknown_key),
      KYUU_COUNTER(AdmissionStats, refused_signature),
      KYUU_COUNTER(AdmissionStats, refused_expired),
      KYUU_COUNTER(AdmissionStats, refused_not_yet),
      KYUU_COUNTER(AdmissionStats, refused_claims),
      KYUU_COUNTER(AdmissionStats, refused_room),
  };
};
static_assert(Countable<AdmissionStats>);

// Admission judges for all that a server speaks, and counts. As it is made,
// everybody may come.
class Admission {
 public:
  Admission() = default;
  // `options` are valid.
  explicit Admission(AdmissionOptions options) {
    SetOptions(std::move(options));
  }

  // For whoever comes from now on; `options` are valid.
  void SetOptions(AdmissionOptions options);
  // UTC is the driver's clock and `offset`: told before each Judge() that may
  // be long after the last, as people set clocks.
  void SetUtcOffset(absl::Duration offset) { utc_offset_ = offset; }

  // Whether there is anything to show. If not, whatever is shown is not looked
  // at, and everybody is anonymous.
  bool judges() const { return !digests_.empty() || !options_.keys.empty(); }
  bool lets_anonymous_in() const {
    return options_.anonymous == AdmissionOptions::Anonymous::kAllow;
  }
  // What `shown` lets its owner do; "" if he shows nothing. A token or key that
  // is no good is refused, also where anonymous ones may come.
  std::variant<Grant, NotAdmitted> Judge(absl::Time now,
                                         absl::string_view shown);
  // Whether `text` is an API key, in a time that tells nothing of how alike it
  // is to one.
  bool IsApiKey(absl::string_view text) const;
  // Somebody has asked for what his token does not have.
  void CountRefusedRoom() { ++stats_.refused_room; }

  const AdmissionStats& stats() const { return stats_; }

 private:
  using Digest = std::array<unsigned char, 32>;  // SHA-256.

  void Count(TokenFault fault);

  AdmissionOptions options_;
  std::vector<Digest> digests_;  // Of the API keys.
  absl::Duration utc_offset_;
  AdmissionStats stats_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TOKEN_ADMISSION_H_
