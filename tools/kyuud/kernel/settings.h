// What kyuud is told of the path through the kernel.

#ifndef KYUU_TOOLS_KYUUD_KERNEL_SETTINGS_H_
#define KYUU_TOOLS_KYUUD_KERNEL_SETTINGS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "turn/server_options.h"

namespace kyuu::tools {

struct KernelSettings {
  // kAuto goes on without where the machine does not allow it, kRequired does
  // not start then.
  enum class Path : uint8_t { kOff, kAuto, kRequired };
  Path path = Path::kOff;
  // Whether Binding requests are answered there too.
  enum class Stun : uint8_t { kOff, kOn };
  Stun stun = Stun::kOff;
  // Of one source in a second; ten times as many at once.
  int stun_per_s = 1000;
  // Directions of flows; beyond, flows are relayed by the process.
  int flows = 65'536;

  friend bool operator==(const KernelSettings&,
                         const KernelSettings&) = default;
};

// What cannot be had together: the program in the kernel answers everybody, and
// always from where it was asked. INVALID_ARGUMENT.
absl::Status CheckKernel(const KernelSettings& settings,
                         const turn::ServerOptions& turn);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_KERNEL_SETTINGS_H_
