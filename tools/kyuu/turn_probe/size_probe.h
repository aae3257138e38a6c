// SizeProbe: which sizes of datagrams come back, some of which may be lost.

#ifndef KYUU_TOOLS_KYUU_TURN_PROBE_SIZE_PROBE_H_
#define KYUU_TOOLS_KYUU_TURN_PROBE_SIZE_PROBE_H_

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"

namespace kyuu::tools {

// The payloads, in bytes and ascending, with which a datagram by a channel of
// TURN fills packets of usual sizes (those of tunnels and PPPoE among them),
// and the 1200 that DTLS and SCTP count on. `family` is that of the way to the
// server.
std::vector<size_t> UsualPayloads(IpFamily family);

class SizeProbe {
 public:
  // A size is tried so often before it counts as one that does not come back.
  static constexpr int kRoundsMax = 3;

  explicit SizeProbe(std::vector<size_t> sizes) : missing_(std::move(sizes)) {}

  // What is to be sent: what has not come back yet. Empty when all has, or
  // after the last round: then it is over.
  std::vector<size_t> NextRound();
  // A datagram of that size has come back.
  void HandleReturn(size_t size);

  bool is_complete() const { return missing_.empty(); }
  // The largest one that has come back, if any has.
  std::optional<size_t> largest() const { return largest_; }

 private:
  std::vector<size_t> missing_;
  std::optional<size_t> largest_;
  int rounds_ = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TURN_PROBE_SIZE_PROBE_H_
