// RoomPatterns: which rooms somebody may join.

#ifndef KYUU_SIGNALING_TOKEN_ROOM_PATTERNS_H_
#define KYUU_SIGNALING_TOKEN_ROOM_PATTERNS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kyuu::signaling {

// A pattern is the name of a room, or how names begin and "*" behind it.
// Without any, there is no room; as it is made, there are all.
class RoomPatterns {
 public:
  static constexpr size_t kMaxPatterns = 64;
  static constexpr size_t kMaxPatternBytes = 256;

  RoomPatterns() = default;  // All rooms.
  // nullopt beyond the bounds.
  static std::optional<RoomPatterns> Of(
      const std::vector<std::string>& patterns);

  bool allows_all() const { return all_; }
  // As they were given.
  std::vector<std::string> patterns() const;
  // `room` as a person has written it: names that the protocol takes for the
  // same (RFC 8266 section 2.4) are the same here. What is no name is no room.
  bool AllowsRoom(absl::string_view room) const;
  // Of a topic every byte counts.
  bool AllowsTopic(absl::string_view topic) const;

 private:
  struct Pattern {
    enum class Kind : uint8_t { kWhole, kBeginning };
    Kind kind = Kind::kWhole;
    std::string text;
    std::optional<std::string> folded;  // None if it is no name.
  };

  bool all_ = true;
  std::vector<Pattern> patterns_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TOKEN_ROOM_PATTERNS_H_
