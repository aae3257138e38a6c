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

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "net/loop.h"
#include "relay/flow_path.h"
#include "relay/kernel/places.h"
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
    // Addresses of ours that data comes to or leaves from, an "any" one for all
    // of its family. The program goes to the interfaces that have them, those
    // that come later too.
    std::vector<IpAddress> addresses;
    // What another KernelPath has left: the program comes to these places
    // without a moment's wait.
    std::vector<Attachment> kept;
    // Where the program is now, and the first interface where it should be and
    // is not, with the reason. Not told of Open().
    absl::AnyInvocable<void(const std::string& where, const absl::Status&)>
        on_change;
  };

  // The program, loaded and at its places.
  struct Prepared {
    Options options;
    Places places;
  };
  // What takes time: tens of milliseconds, more with cards that start anew for
  // it. For any thread. Errors of Program::Load and Places::Open.
  static absl::StatusOr<Prepared> Prepare(Options options);
  // `loop` must outlive it.
  static absl::StatusOr<std::unique_ptr<KernelPath>> Open(net::Loop& loop,
                                                          Prepared prepared);
  // Both, one after the other.
  static absl::StatusOr<std::unique_ptr<KernelPath>> Open(net::Loop& loop,
                                                          Options options);
  ~KernelPath() override;
  KernelPath(const KernelPath&) = delete;
  KernelPath& operator=(const KernelPath&) = delete;

  std::optional<Handle> Install(const turn::Flow& flow) override;
  void Update(Handle handle, const turn::Flow& flow) override;
  Counts Remove(Handle handle) override;
  Counts Read(Handle handle) const override;
  void Fund(Handle handle, turn::Direction direction, int64_t bytes) override;
  int64_t Funds(Handle handle, turn::Direction direction) const override;

  // Replaces those of Options.
  void SetAddresses(std::vector<IpAddress> addresses);

  // Relays nothing from now on, and gives the program's places away, as
  // Places::Leave(), for a path that comes next: the kernel takes some tens of
  // milliseconds to take a program off a driver. The last call but Remove() and
  // those that read.
  std::vector<Attachment> Leave();

  // Where the program is, as Places::Where().
  std::string Where() const { return places_.Where(); }
  KernelStats stats() const;
  const Program& program() const { return program_; }

 private:
  // The two directions of a flow are two neighboring slots.
  struct Entry {
    std::array<kyuu_flow_key, 2> keys;
    std::array<kyuu_flow, 2> flows;
  };

  KernelPath(net::Loop& loop, Prepared prepared, Routes routes);
  absl::Status Follow();
  void Scan();
  void ScanSoon();
  void Look();
  kyuu_count& CountOf(Handle handle, turn::Direction direction) const;
  // With mutex_ held.
  std::optional<uint32_t> TakePlace(absl::Time now);
  bool Fill(Entry& entry, uint32_t place, const turn::Flow& flow);

  Options options_;
  const uint32_t entries_max_;
  Places places_;
  const Program& program_;
  std::pair<std::string, absl::Status> told_;  // By on_change.
  mutable std::mutex mutex_;
  Ways ways_;  // Guarded by mutex_, as what follows.
  std::vector<std::optional<Entry>> entries_;
  // Free places of entries_, and since when.
  std::deque<std::pair<absl::Time, uint32_t>> free_;
  std::unique_ptr<RouteWatch> watch_;
  // Of the ways, those that were renewed; then once more if `again_`.
  size_t scanned_ = 0;
  bool again_ = false;
  net::Alarm scan_alarm_;
  absl::Time renew_at_;
  uint64_t narrowed_ = 0;  // As it was when last looked at.
  net::Alarm look_alarm_;
};

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_KERNEL_PATH_H_
