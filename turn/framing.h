// How STUN messages and ChannelData follow each other in a byte stream (RFC
// 8489 section 6.2.2, RFC 8656 section 12.5).

#ifndef KYUU_TURN_FRAMING_H_
#define KYUU_TURN_FRAMING_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace kyuu::turn {

// The first message of a stream: STUN as long as its header says; ChannelData
// too, and what pads it to a multiple of four.
struct Frame {
  size_t message_bytes = 0;
  size_t padding_bytes = 0;  // Behind it, 0 to 3.

  size_t bytes() const { return message_bytes + padding_bytes; }
};

// ReadFrame reads the frame that `stream` begins with, of which only the first
// bytes need to be there. nullopt: more are needed to tell. INVALID_ARGUMENT if
// neither STUN (with its magic cookie, and a length that is a multiple of four)
// nor ChannelData begins here: nothing behind it can be found then.
absl::StatusOr<std::optional<Frame>> ReadFrame(
    absl::Span<const uint8_t> stream);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_FRAMING_H_
