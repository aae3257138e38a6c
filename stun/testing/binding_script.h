// The Binding client and server under a script of bytes, for fuzzing.

#ifndef KYUU_STUN_TESTING_BINDING_SCRIPT_H_
#define KYUU_STUN_TESTING_BINDING_SCRIPT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::stun {

// RunBindingScript runs a Client and a Server against each other and against
// noise: each step is an operation, an argument and so many bytes. Aborts
// unless every transaction ends in exactly one event.
void RunBindingScript(absl::Span<const uint8_t> script);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_TESTING_BINDING_SCRIPT_H_
