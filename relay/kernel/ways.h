// Ways: how frames reach destinations, kept up to date for the program.

#ifndef KYUU_RELAY_KERNEL_WAYS_H_
#define KYUU_RELAY_KERNEL_WAYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/address.h"
#include "relay/kernel/program.h"
#include "relay/kernel/routes.h"

namespace kyuu::relay::kernel {

// Ways writes a way of the program for each pair of addresses in use. bpf_fib_
// lookup() would do without, but answers only where the machine is a router
// (forwarding=1), which a relay is not. One thread at a time.
class Ways {
 public:
  // `program` must outlive it.
  Ways(const Program& program, Routes routes, uint32_t max);

  // The interfaces that the program is at: it sends through no other. Renew()
  // tells it of what has changed with them.
  void SetLinks(std::vector<Link> links);

  // The index of the way between two addresses, to be given back; nullopt if
  // there is no room, or no way through an interface of ours. Until it is known
  // who the next on the way is, the program leaves packets to the process.
  std::optional<uint32_t> Take(const IpAddress& from, const IpAddress& to);
  void Give(uint32_t index);

  // What is known of a neighbor has changed.
  void OnNeighbor(uint32_t ifindex, const IpAddress& ip);
  // Asks for up to `count` routes again, from `begin` on, and tells the kernel
  // that their neighbors are in use, which it does not see. Returns where to go
  // on, or nullopt at the end.
  std::optional<size_t> Renew(size_t begin, size_t count);

  size_t size() const { return by_ends_.size(); }

 private:
  using Ends = std::pair<IpAddress, IpAddress>;
  using HopKey = std::pair<uint32_t, IpAddress>;
  struct Way {
    Ends ends;
    size_t users = 0;  // 0: the place is free.
    std::optional<Route> route;
  };
  struct Hop {
    std::optional<Neighbor> neighbor;
    absl::flat_hash_set<uint32_t> ways;
  };

  const Link* LinkOf(uint32_t ifindex) const;
  std::optional<Route> RouteOf(const Ends& ends);
  void Join(uint32_t index);
  void Leave(uint32_t index);
  void Write(uint32_t index);
  // Asks who it is, and has the kernel see to it that this is known.
  void Ask(const HopKey& key, Hop& hop);

  const Program& program_;
  Routes routes_;
  const uint32_t max_;
  std::vector<Link> links_;
  std::vector<Way> ways_;
  std::vector<uint32_t> free_;
  absl::flat_hash_map<Ends, uint32_t> by_ends_;
  absl::flat_hash_map<HopKey, Hop> hops_;
};

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_WAYS_H_
