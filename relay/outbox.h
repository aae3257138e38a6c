// Outbox: executes the TURN server's forwarding decisions in batches.

#ifndef KYUU_RELAY_OUTBOX_H_
#define KYUU_RELAY_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "net/train_builder.h"
#include "net/udp_socket.h"
#include "turn/forward.h"

namespace kyuu::relay {

// Outbox collects what is to be forwarded of one Receive and sends it with
// few system calls. Datagrams of equal size to the same destination leave as
// one train, also if they arrived one by one. Payloads stay where they were
// received; only the headers in front of them are copied.
//
// What the kernel does not take at once is dropped and counted, as a router
// does: a relay that queues only adds delay.
class Outbox {
 public:
  Outbox();

  // Adds a decision about what came with `marks`, which it keeps on its way
  // (RFC 8656 sections 15 and 16), and whose payloads stay valid until Flush(),
  // which the caller gives before the next Receive. `socket` must stay open as
  // long.
  void Add(net::UdpSocket& socket, const turn::Forward& forward,
           net::IpMarks marks = {});
  void Flush();

  uint64_t dropped_trains() const { return dropped_trains_; }

 private:
  struct Bundle {
    net::UdpSocket* socket = nullptr;
    net::TrainBuilder train;
  };
  // Trains gathered before a Flush, and header bytes: a Receive of 16 trains of
  // 64 segments needs 4 KiB of ChannelData headers.
  static constexpr size_t kMaxBundles = 64;
  static constexpr size_t kHeaderBytes = 64 * 1024;

  // The train that a segment of `bytes` joins or begins.
  net::TrainBuilder& TrainFor(net::UdpSocket& socket, const Path& path,
                              size_t bytes, const net::IpMarks& marks);

  std::vector<Bundle> bundles_;  // The first `used_` are in use.
  size_t used_ = 0;
  std::vector<uint8_t> headers_;
  size_t header_bytes_ = 0;
  std::vector<net::OutTrain> trains_;
  uint64_t dropped_trains_ = 0;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_OUTBOX_H_
