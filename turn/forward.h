// Forward: what the TURN server wants done with received bytes.

#ifndef KYUU_TURN_FORWARD_H_
#define KYUU_TURN_FORWARD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/address.h"

namespace kyuu::turn {

// RelayId names an allocation, and with it its relay socket. Ids are not used
// again during a server's life.
enum class RelayId : uint64_t {};

// ConnectionId names a connection between a relayed address and a peer (RFC
// 6062 section 6.2.1). Its upper 8 bits are the instance of the server that has
// it.
enum class ConnectionId : uint32_t {};
constexpr int InstanceOf(ConnectionId id) {
  return static_cast<int>(static_cast<uint32_t>(id) >> 24);
}

// Whether a packet may be another server's of the same ledger: what a client
// says who has moved (RFC 8016) or binds a connection (RFC 6062) is handed to
// the server that has what it means. With kHere it is refused instead. Of
// kElsewhere is what only the driver could read, if the client were its own (a
// record of DTLS): it is handed on if the client has moved, and else nothing is
// made of it. kReturned is what another server was handed and has nothing for:
// the client, if it had moved, is there no more, and is heard as anybody. kOver
// is no packet, but the word of a server that nothing is left there of a
// client's visit, Arrival::visit.
enum class Reach : uint8_t { kEverywhere, kHere, kElsewhere, kReturned, kOver };

// What else is known of a packet of a client.
struct Arrival {
  Reach reach = Reach::kEverywhere;
  // The name that it has asked for by TLS or DTLS (SNI), if any; of nothing but
  // the realm. It need not live longer than the call.
  absl::string_view host = {};
  // With kHere and kReturned the server that has handed it on, if requests may
  // be returned to it.
  std::optional<int> from = std::nullopt;
  // With kOver: Forward::visit of what was handed on.
  uint64_t visit = 0;
};

// Forward is a decision about one datagram or a train of them: through which
// socket to send, whereto, and which parts of the received bytes. It does not
// copy: `payload` points into what was received, `prefix` into the server, and
// both are valid until the server is given its next packet.
//
// Segment i leaves as one datagram: prefix(i), payload(i) and padding(i) zeros.
// All segments have segment_bytes() but the last, which may be shorter, so that
// a train leaves in one send (UDP_SEGMENT) that gathers the pieces.
struct Forward {
  // kPeer: through the relay socket of `relay`. kClient: through the listener
  // whose address is path.local. kRelay: to the server `instance` of the same
  // ledger, as FromPeer(relay, path.local, payloads) there: from one relayed
  // address of ours to another, and never through a socket. kServer: to the
  // server `instance` of the same ledger, as FromClient(path, payloads,
  // {reach}) there; of a stream all that comes goes there from now on.
  // kJoin: the stream of the client is no more one of messages. When our
  // answers to it have left, what comes by it behind this one goes to the peer
  // of `connection` as it is, and the other way round.
  enum class Exit : uint8_t { kPeer, kClient, kRelay, kServer, kJoin };

  Exit exit = Exit::kPeer;
  RelayId relay{};
  int instance = 0;            // With kRelay and kServer.
  Reach reach = Reach::kHere;  // With kServer; or kReturned.
  // With kServer, of a client on datagrams that has moved: which of its visits
  // to this server it is, so that kOver ends no later one. 0 is none.
  uint64_t visit = 0;
  ConnectionId connection{};  // With kJoin.
  // From our bound address to the destination.
  Path path;
  size_t segments = 0;
  // It must not be cut into fragments on its way (DONT-FRAGMENT).
  bool dont_fragment = false;

  // All of a train that was cut every `segment_size`, or one datagram.
  void SetWhole(absl::Span<const uint8_t> train, size_t segment_size) {
    received = train;
    stride = std::max<size_t>(segment_size, 1);
    segments = train.empty() ? 1 : (train.size() + stride - 1) / stride;
    payload_bytes = std::min(stride, train.size());
    last_payload_bytes = train.size() - (segments - 1) * stride;
  }

  absl::Span<const uint8_t> payload(size_t i) const {
    return received.subspan(i * stride + skip, i + 1 == segments
                                                   ? last_payload_bytes
                                                   : payload_bytes);
  }
  // Nothing towards a peer; a ChannelData header of 4 bytes, or the 36 or 48
  // in front of the payload of a Data indication, towards a client.
  absl::Span<const uint8_t> prefix(size_t i) const {
    return prefixes.subspan(i * prefix_bytes, prefix_bytes);
  }
  // Zeros that follow the payload, 0 to 3.
  size_t padding(size_t i) const {
    const size_t size = i + 1 == segments ? last_payload_bytes : payload_bytes;
    return (alignment - size % alignment) % alignment;
  }
  size_t segment_bytes() const {
    return prefix_bytes + payload_bytes +
           (segments == 1
                ? padding(0)
                : (alignment - payload_bytes % alignment) % alignment);
  }

  // How the parts lie in memory; read them by the functions above.
  absl::Span<const uint8_t> received;  // From the first segment's first byte.
  size_t stride = 0;                   // From one segment to the next.
  size_t skip = 0;                     // Bytes in front of each payload.
  size_t payload_bytes = 0;            // Of all segments but the last.
  size_t last_payload_bytes = 0;
  absl::Span<const uint8_t> prefixes;
  size_t prefix_bytes = 0;
  size_t alignment = 1;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_FORWARD_H_
