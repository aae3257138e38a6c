// A TURN server under a script of bytes, for fuzzing.

#ifndef KYUU_TURN_TESTING_SERVER_SCRIPT_H_
#define KYUU_TURN_TESTING_SERVER_SCRIPT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::turn {

// RunServerScript puts a turn::Server between mad clients, mad peers and a mad
// driver. The first byte chooses what it begins with; each step (200 at most)
// is then an operation, an argument and, where it needs them, bytes behind a
// length. Aborts if what must hold does not: decisions stay inside of what was
// received and of what policy allows, and every port comes back.
void RunServerScript(absl::Span<const uint8_t> script);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_TESTING_SERVER_SCRIPT_H_
