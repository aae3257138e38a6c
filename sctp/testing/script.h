// Bytes as a script for a puppet: the starting state of the association, then
// packets, waits and commands. What the association's fuzzer runs.

#ifndef KYUU_SCTP_TESTING_SCRIPT_H_
#define KYUU_SCTP_TESTING_SCRIPT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::sctp::internal {

// RunScript runs an association with small buffers through what `bytes` say,
// and aborts if a bound is passed, an event follows Closed, or it is not quiet
// when it was drained.
void RunScript(absl::Span<const uint8_t> bytes);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_TESTING_SCRIPT_H_
