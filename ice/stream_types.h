// The streams that an ICE transport asks its driver for.

#ifndef KYUU_ICE_STREAM_TYPES_H_
#define KYUU_ICE_STREAM_TYPES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "ice/candidate.h"

namespace kyuu::ice {

// A stream of one transport, to a server or to the peer.
enum class StreamId : uint64_t {};

// A stream to `server` is wanted, with kTls in TLS, on which nothing leaves
// before the server has proven `host` (or its address, if empty); with kDtls
// a session over UDP, of datagrams. Answer with StreamConnected() or
// StreamEnded().
struct StreamWanted {
  StreamId id;
  TransportAddress server;
  RelayProtocol protocol = RelayProtocol::kTcp;  // Not kUdp.
  std::string host = {};
  // From there, beside whoever listens there; nullopt: from any address and
  // port. When it is unwanted it ends by a reset: the port is of use again for
  // the same server, and at once (RFC 9293 section 3.6.1, TIME-WAIT).
  std::optional<TransportAddress> from = std::nullopt;
};
// A TCP connection to a passive or simultaneous-open candidate of the peer is
// wanted (RFC 6544 section 7.1). Answer as StreamWanted. Packets go both ways
// as datagrams of its Path, on the wire behind their length (RFC 4571;
// ice::PacketStream).
struct PeerStreamWanted {
  StreamId id;
  IpAddress local;
  TransportAddress remote;
  // From this port of `local`, beside whoever listens there; 0: from any.
  uint16_t local_port = 0;
};
// The stream is of no more use, connected or not: it may end when what was sent
// on it has left. It is not told of again.
struct StreamUnwanted {
  StreamId id;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_STREAM_TYPES_H_
