// Trains of datagrams, as UdpSocket takes and gives them.

#ifndef KYUU_NET_TRAIN_H_
#define KYUU_NET_TRAIN_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/address.h"

namespace kyuu::net {

// The ECN field of the IP header (RFC 3168 section 5).
enum class Ecn : uint8_t { kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3 };

// What the IP header of a datagram says beside its addresses.
struct IpMarks {
  Ecn ecn = Ecn::kNotEct;
  uint8_t dscp = 0;  // 6 bits (RFC 2474 section 3).
  // Of what is sent: routers drop it, and say so, rather than cut it. Not known
  // of what is received.
  bool dont_fragment = false;

  // The byte that ECN and DSCP are: IPv4's type of service, IPv6's class.
  uint8_t traffic_class() const {
    return static_cast<uint8_t>(dscp << 2 | static_cast<uint8_t>(ecn));
  }
  static IpMarks OfTrafficClass(uint8_t byte) {
    return {static_cast<Ecn>(byte & 3), static_cast<uint8_t>(byte >> 2), false};
  }
  friend bool operator==(const IpMarks&, const IpMarks&) = default;
};

// Train is a received datagram or several: `bytes` holds them back to back,
// `segment_size` bytes each but perhaps the last.
struct Train {
  Path path;  // `local` is the address it was sent to, even on a wildcard bind.
  absl::Span<const uint8_t> bytes;
  size_t segment_size = 0;  // Equal to bytes.size() for a lone datagram.
  IpMarks marks;

  // An empty datagram counts as one segment.
  size_t segments() const {
    return segment_size == 0 ? 1
                             : (bytes.size() + segment_size - 1) / segment_size;
  }
  absl::Span<const uint8_t> segment(size_t i) const {
    return bytes.subspan(i * segment_size, segment_size);
  }
};

// OutTrain is a datagram or a train to send, gathered from `pieces`: their
// bytes in order, cut every `segment_size` bytes. Pieces need not end where
// segments do, so a header and a payload may be two pieces.
struct OutTrain {
  Path path;  // `local` only matters on a wildcard bind, as the source address.
  absl::Span<const iovec> pieces;
  size_t segment_size = 0;  // 0 sends all of it as one datagram.
  IpMarks marks;
};

// An iovec over bytes that will only be read.
inline iovec Piece(absl::Span<const uint8_t> bytes) {
  return {const_cast<uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace kyuu::net

#endif  // KYUU_NET_TRAIN_H_
