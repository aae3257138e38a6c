// Opens the path through the kernel for a relay.

#ifndef KYUU_TOOLS_KYUUD_KERNEL_OPEN_H_
#define KYUU_TOOLS_KYUUD_KERNEL_OPEN_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/loop.h"
#include "relay/cluster.h"
#include "relay/kernel/kernel_path.h"
#include "relay/kernel/program.h"
#include "tools/kyuud/kernel/settings.h"

namespace kyuu::tools {

// Opens it for what the cluster listens at and relays from; null if the
// settings have none, or if there cannot be one and they do not require it:
// that is logged. `loop` must outlive it. Errors of KernelPath::Open.
absl::StatusOr<std::unique_ptr<relay::kernel::KernelPath>> OpenKernelPath(
    const KernelSettings& settings, const relay::Cluster& cluster,
    net::Loop& loop);

// The program for these listeners.
relay::kernel::ProgramOptions KernelProgram(
    const KernelSettings& settings,
    absl::Span<const TransportAddress> listeners);

// The addresses that the cluster's data comes to, an "any" one for each.
std::vector<IpAddress> AddressesOf(const relay::Cluster& cluster);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_KERNEL_OPEN_H_
