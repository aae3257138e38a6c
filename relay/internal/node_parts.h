// What the files of relay::Node share.

#ifndef KYUU_RELAY_INTERNAL_NODE_PARTS_H_
#define KYUU_RELAY_INTERNAL_NODE_PARTS_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/udp_socket.h"
#include "relay/crowd.h"
#include "relay/node.h"

namespace kyuu::relay {

struct Node::Listener {
  explicit Listener(net::UdpSocket from)
      : socket(std::move(from)), before(socket.stats()) {}
  // Since it is here.
  net::UdpStats Counted() const {
    return CountersSince(before, socket.stats());
  }

  net::UdpSocket socket;
  const net::UdpStats before;
  std::unique_ptr<net::Watch> watch;
  size_t relays = 0;    // Of clients who come by it.
  bool stays = false;   // Whoever comes by it.
  bool behind = false;  // More waited when it was read last.
  absl::Time crowded_until = absl::InfinitePast();
  Crowd crowd;  // Its clients.
};
struct Node::Relay {
  Relay(turn::RelayId of, net::UdpSocket opened)
      : id(of), socket(std::move(opened)) {}

  const turn::RelayId id;
  net::UdpSocket socket;
  std::optional<net::Watch> watch;  // Always.
  Listener* by = nullptr;           // Its client comes by it, if known.
};

struct Node::Guest {
  Guest(const Path& by, std::string name, std::shared_ptr<void> p,
        StreamClient c, turn::Reach r)
      : path(by),
        host(std::move(name)),
        place(std::move(p)),
        client(std::move(c)),
        reach(r) {}

  const Path path;         // Its transport tells TLS from TCP.
  const std::string host;  // That it has asked for by TLS, if any.
  std::shared_ptr<void> place;
  StreamClient client;
  turn::Reach reach;  // kHere for the message that it has moved for.
  std::optional<net::StreamDriver<StreamClient>> driver;
  bool dirty = false;  // Its path is in dirty_guests_.
};

namespace internal {

// Receive calls per socket and wake-up, so that one flow cannot keep the others
// waiting.
inline constexpr int kReceivesPerTurn = 4;

// The server knows a client on DTLS by the one, and DtlsClients by the other.
inline Path OverDtls(Path path) {
  path.transport = Transport::kDtls;
  return path;
}
inline Path OverUdp(Path path) {
  path.transport = Transport::kUdp;
  return path;
}

// What to add to the loop's clock to get UTC.
inline absl::Duration UtcOffset() {
  return (absl::Now() - absl::UnixEpoch()) -
         (net::Loop::Now() - absl::UnixEpoch());
}

}  // namespace internal
}  // namespace kyuu::relay

#endif  // KYUU_RELAY_INTERNAL_NODE_PARTS_H_
