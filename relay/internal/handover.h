// What goes from one relay::Node to another: a client's words whose meaning is
// there, and clients themselves.

#ifndef KYUU_RELAY_INTERNAL_HANDOVER_H_
#define KYUU_RELAY_INTERNAL_HANDOVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "net/stream.h"
#include "net/train.h"
#include "relay/dtls_clients.h"
#include "relay/stream_client.h"
#include "turn/forward.h"

namespace kyuu::relay::internal {

// Datagrams on their way from one node to another, whose relayed address or
// whose client's they are for; copied because receive buffers are each loop's
// own.
struct Handover {
  struct Item {
    turn::RelayId relay;      // From another relay, at `source`; or else
    TransportAddress source;  // from a client who has moved.
    std::optional<Path> client;
    turn::Reach reach = turn::Reach::kHere;  // Of a client's.
    uint64_t visit = 0;                      // The same: turn::Forward::visit.
    // Who is on DTLS comes with the session; what follows is sealed.
    std::unique_ptr<DtlsClients::Client> session;
    size_t begin = 0;
    size_t size = 0;
    size_t segment_size = 0;
    net::IpMarks marks;
  };
  std::vector<Item> items;
  int from = 0;  // The node that it is of.
  std::vector<uint8_t> bytes;
  size_t datagrams = 0;
};

// A client's stream on its way to the node that has what the client means,
// with the message that says so.
struct Departure {
  Path path;
  std::string host;
  net::Stream stream;
  std::shared_ptr<void> place;
  StreamClient client;
  std::vector<uint8_t> message;
};

}  // namespace kyuu::relay::internal

#endif  // KYUU_RELAY_INTERNAL_HANDOVER_H_
