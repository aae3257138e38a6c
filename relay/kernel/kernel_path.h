// KernelPath: flows of TURN servers relayed by a program in the kernel.

#ifndef KYUU_RELAY_KERNEL_KERNEL_PATH_H_
#define KYUU_RELAY_KERNEL_KERNEL_PATH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "net/loop.h"
#include "relay/flow_path.h"
#include "relay/kernel/program.h"
#include "relay/kernel/routes.h"
#include "relay/kernel/stats.h"
#include "relay/kernel/ways.h"

namespace kyuu::relay::kernel {

// KernelPath takes frames of established flows off the interfaces of this
// machine (XDP) and sends them on, so that they never reach a socket. What it
// needs: Program. Firewalls and captures of this machine do not see such
// datagrams.
//
// Install() to Funds() are for any thread, the rest for the loop's.
class KernelPath final : public FlowPath {
 public:
  struct Options {
    ProgramOptions program;
    // Addresses of ours that data comes to or leaves from. The program goes to
    // the interfaces that have them.
    std::vector<IpAddress> addresses;
  };

  // Loads the program and attaches it to all interfaces, in their drivers if
  // all can, else behind them. `loop` must outlive it. Errors of Program;
  // FAILED_PRECONDITION if no interface of Ethernet has one of the addresses.
  static absl::StatusOr<std::unique_ptr<KernelPath>> Open(
      net::Loop& loop, const Options& options);
  ~KernelPath() override;
  KernelPath(const KernelPath&) = delete;
  KernelPath& operator=(const KernelPath&) = delete;

  std::optional<Handle> Install(const turn::Flow& flow) override;
  void Update(Handle handle, const turn::Flow& flow) override;
  Counts Remove(Handle handle) override;
  Counts Read(Handle handle) const override;
  void Fund(Handle handle, turn::Direction direction, int64_t bytes) override;
  int64_t Funds(Handle handle, turn::Direction direction) const override;

  // The machine has other addresses. The program goes to interfaces that have
  // come; one that it cannot go to is left alone, and said so.
  absl::Status SetAddresses(const std::vector<IpAddress>& addresses);

  // Where the program is: "eth0 (native), eth1 (native)".
  std::string Where() const;
  KernelStats stats() const;
  const Program& program() const { return program_; }

 private:
  struct Place {
    Link link;
    Mode mode;
    Attachment attachment;
  };
  // The two directions of a flow are two neighboring slots.
  struct Entry {
    std::array<kyuu_flow_key, 2> keys;
    std::array<kyuu_flow, 2> flows;
  };

  KernelPath(net::Loop& loop, Program program, Routes routes,
             const Options& options);
  absl::Status Attach(const std::vector<IpAddress>& addresses);
  absl::Status AttachAll(const std::vector<Link>& links, Mode mode);
  bool Transmits(const Link& link) const;
  void Scan();
  void ScanSoon();
  kyuu_count& CountOf(Handle handle, turn::Direction direction) const;
  // With mutex_ held.
  std::optional<uint32_t> TakePlace(absl::Time now);
  bool Fill(Entry& entry, uint32_t place, const turn::Flow& flow);

  const Program program_;
  const uint32_t flows_max_;
  std::vector<Place> places_;
  mutable std::mutex mutex_;
  Ways ways_;  // Guarded by mutex_, as what follows.
  std::vector<std::optional<Entry>> entries_;
  // Free places of entries_, and since when.
  std::deque<std::pair<absl::Time, uint32_t>> free_;
  std::unique_ptr<RouteWatch> watch_;
  size_t scanned_ = 0;
  net::Alarm scan_alarm_;
  net::Alarm renew_alarm_;
};

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_KERNEL_PATH_H_
