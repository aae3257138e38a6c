// Opens the path through the kernel for a relay.

#ifndef KYUU_TOOLS_KYUUD_KERNEL_OPEN_H_
#define KYUU_TOOLS_KYUUD_KERNEL_OPEN_H_

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/loop.h"
#include "relay/cluster.h"
#include "relay/kernel/kernel_path.h"
#include "relay/kernel/program.h"
#include "tools/kyuud/kernel/settings.h"

namespace kyuu::tools {

// KernelOpening gets a relay its path, and keeps it. A path that is required is
// there when this is; any other comes when it can, so that nobody waits for the
// server meanwhile.
class KernelOpening {
 public:
  using Done = absl::AnyInvocable<void(relay::kernel::KernelPath&)>;

  // For what the cluster listens at and relays from. `done` is called once with
  // the path, on the loop, perhaps before this returns, or never: if the
  // settings have none, or if there cannot be one, which is logged. `loop` must
  // outlive it. Errors of KernelPath::Open if the path is required.
  // `kept` is what the path of a server before this one has left, which goes
  // if it is not used.
  static absl::StatusOr<std::unique_ptr<KernelOpening>> Begin(
      const KernelSettings& settings, const relay::Cluster& cluster,
      std::vector<relay::kernel::Attachment> kept, net::Loop& loop, Done done);
  // Waits for a path that is on its way.
  ~KernelOpening();
  KernelOpening(const KernelOpening&) = delete;
  KernelOpening& operator=(const KernelOpening&) = delete;

  // Null until it is there.
  relay::kernel::KernelPath* path() const { return path_.get(); }

 private:
  using Prepared = absl::StatusOr<relay::kernel::KernelPath::Prepared>;

  KernelOpening(net::Loop& loop, Done done)
      : loop_(loop), done_(std::move(done)) {}
  absl::Status Finish(Prepared prepared);

  net::Loop& loop_;
  Done done_;
  std::unique_ptr<relay::kernel::KernelPath> path_;
  std::thread thread_;
  // Gone when this is; of the loop.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>();
};

// The program for these listeners.
relay::kernel::ProgramOptions KernelProgram(
    const KernelSettings& settings,
    absl::Span<const TransportAddress> listeners);

// The addresses that the cluster's data comes to, an "any" one for each.
std::vector<IpAddress> AddressesOf(const relay::Cluster& cluster);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_KERNEL_OPEN_H_
