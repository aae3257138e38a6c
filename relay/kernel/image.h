// The compiled program.

#ifndef KYUU_RELAY_KERNEL_IMAGE_H_
#define KYUU_RELAY_KERNEL_IMAGE_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::relay::kernel {

// An ELF file for the machine that is the kernel's own.
absl::Span<const uint8_t> Image();

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_IMAGE_H_
