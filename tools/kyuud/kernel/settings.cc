#include "tools/kyuud/kernel/settings.h"

namespace kyuu::tools {

absl::Status CheckKernel(const KernelSettings& settings,
                         const turn::ServerOptions& turn) {
  if (settings.stun == KernelSettings::Stun::kOff) return absl::OkStatus();
  if (settings.path == KernelSettings::Path::kOff) {
    return absl::InvalidArgumentError("--kernel-stun needs --kernel-path");
  }
  if (!turn.allow_clients.empty() || !turn.deny_clients.empty()) {
    return absl::InvalidArgumentError(
        "--kernel-stun answers everybody: it cannot be had with clients that "
        "are allowed or denied");
  }
  if (!turn.discovery.empty()) {
    return absl::InvalidArgumentError(
        "--kernel-stun answers from where it is asked: it cannot be had with "
        "the other address of RFC 5780");
  }
  return absl::OkStatus();
}

}  // namespace kyuu::tools
