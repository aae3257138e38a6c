// A TURN client under a script of bytes, for fuzzing.

#ifndef KYUU_TURN_TESTING_CLIENT_SCRIPT_H_
#define KYUU_TURN_TESTING_CLIENT_SCRIPT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::turn {

// RunClientScript puts a turn::Client into the hands of a mad driver, an erring
// server and a network that makes things up. The first byte chooses what it
// begins with; each step is then an operation, an argument and, where it needs
// them, bytes behind a length. Aborts if what must hold does not: a closed
// client says so once, and is silent from then on.
void RunClientScript(absl::Span<const uint8_t> script);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_TESTING_CLIENT_SCRIPT_H_
