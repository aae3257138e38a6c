// RelayOutbox: executes the TURN server's forwarding decisions in batches.

#ifndef KYUU_TOOLS_KYUUD_RELAY_OUTBOX_H_
#define KYUU_TOOLS_KYUUD_RELAY_OUTBOX_H_

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/address.h"
#include "net/udp_socket.h"
#include "turn/forward.h"

namespace kyuu::tools {

// RelayOutbox collects what is to be forwarded of one Receive and sends it with
// few system calls. Datagrams of equal size to the same destination leave as
// one train, also if they arrived one by one. Payloads stay where they were
// received; only the headers in front of them are copied.
//
// What the kernel does not take at once is dropped and counted, as a router
// does: a relay that queues only adds delay.
class RelayOutbox {
 public:
  RelayOutbox();

  // Adds a decision whose payloads stay valid until Flush(), which the caller
  // gives before the next Receive. `socket` must stay open as long.
  void Add(net::UdpSocket& socket, const turn::Forward& forward);
  void Flush();

  uint64_t dropped_trains() const { return dropped_trains_; }

 private:
  // One train being gathered.
  struct Bundle {
    net::UdpSocket* socket = nullptr;
    Path path;
    size_t segment_bytes = 0;
    size_t segments = 0;
    size_t bytes = 0;
    bool complete = false;  // Its last segment is shorter than the others.
    std::vector<iovec> pieces;
  };
  // Trains gathered before a Flush, and header bytes: a Receive of 16 trains of
  // 64 segments needs 4 KiB of ChannelData headers.
  static constexpr size_t kMaxBundles = 64;
  static constexpr size_t kHeaderBytes = 64 * 1024;

  // The bundle that a segment of `bytes` joins or begins.
  Bundle& BundleFor(net::UdpSocket& socket, const Path& path, size_t bytes);

  std::vector<Bundle> bundles_;  // The first `used_` are in use.
  size_t used_ = 0;
  std::vector<uint8_t> headers_;
  size_t header_bytes_ = 0;
  std::vector<net::OutTrain> trains_;
  uint64_t dropped_trains_ = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_RELAY_OUTBOX_H_
