// What an ice::Agent remembers beside its generations, and its timers.

#ifndef KYUU_ICE_INTERNAL_AGENT_RECORDS_H_
#define KYUU_ICE_INTERNAL_AGENT_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::ice::internal {

enum class Timer {
  kRto,            // The next check, first or repeated (RFC 8445 14.3).
  kKeepalive,      // The next check of a pair kept: consent, Tr (11).
  kSuspect,        // A check of a valid pair has gone unanswered too long.
  kConsent,        // Consent of a pair expires (RFC 7675 section 5.1).
  kDisconnected,   // The pair in use has been silent too long.
  kPac,            // The patience of RFC 8863 ends.
  kNominate,       // Nothing better is to be waited for.
  kHold,           // UDP in use has been silent long enough for TCP.
  kOldGeneration,  // The generation before the restart is given up.
  kNames,          // A name was not resolved in time.
  kStreams,        // Who has connected to us has not said who he is.
  kCount,
};

// A request that waits to be answered.
struct Response {
  Path path;
  stun::TransactionId id;
  std::optional<stun::Error> error;
  std::unique_ptr<stun::UnknownAttributes> unknown;  // Null: none.
  bool old_generation;
};
struct LocalCandidate {
  TransportAddress address;
  CandidateType type;
  TransportAddress base;
  std::optional<TcpType> tcp_type;
  bool retired = false;  // As its base, if that has no others.

  bool Is(const Candidate& candidate) const {
    return address == candidate.address && type == candidate.type &&
           tcp_type == candidate.tcp_type;
  }
};
struct PendingName {
  NameId id;
  Candidate candidate;
  absl::Time deadline;
  bool asked;
};
// Numbers for foundations: the same for the same text.
class FoundationTable {
 public:
  // Each belongs to a candidate that was let in, or was looked at: restarts
  // without end must not fill the table with more than `max`.
  uint16_t Intern(absl::string_view foundation, size_t max) {
    uint16_t number = 0;
    for (size_t at = 0; at < known_.size(); ++number) {
      const absl::string_view rest = absl::string_view(known_).substr(at);
      const absl::string_view text = rest.substr(0, rest.find(kEnd));
      if (text == foundation) return number;
      at += text.size() + 1;
    }
    // One with that character in it, which is of no candidate line.
    if (number >= max || foundation.find(kEnd) != absl::string_view::npos) {
      return New();
    }
    known_.append(foundation.data(), foundation.size());
    known_.push_back(kEnd);
    return number;
  }
  // Like no other.
  uint16_t New() { return next_++ | 0x8000; }

 private:
  static constexpr char kEnd = '\n';

  std::string known_;  // One behind the other: most agents have three.
  uint16_t next_ = 0x8000;
};
// What PollEvent() has told last.
struct Told {
  AgentState state = AgentState::kNew;
  Role role;
  bool closed = false;
  bool selected = false;             // There is a pair in use: `pair`.
  std::optional<SelectedPair> pair;  // The last one that there was.
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_AGENT_RECORDS_H_
