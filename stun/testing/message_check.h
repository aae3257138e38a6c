// What holds for every STUN message, for fuzzing.

#ifndef KYUU_STUN_TESTING_MESSAGE_CHECK_H_
#define KYUU_STUN_TESTING_MESSAGE_CHECK_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::stun {

// CheckMessage aborts unless what parses can be written attribute by attribute,
// parses to the same attributes again, and typed values survive the same round
// trip; nothing is asked of what does not parse.
void CheckMessage(absl::Span<const uint8_t> bytes);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_TESTING_MESSAGE_CHECK_H_
