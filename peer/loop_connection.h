// LoopConnection: a peer connection on real sockets and an event loop.
//
//   auto loop = *net::Loop::Create();
//   auto connection = *peer::LoopConnection::Create(
//       *loop, certificate, {}, random, [&](peer::ConnectionEvent event)
//       {...});
//   connection->engine().CreateDataChannel(net::Loop::Now(), {.label = "x"});
//   connection->Flush();          // After commands given outside the handler.

#ifndef KYUU_PEER_LOOP_CONNECTION_H_
#define KYUU_PEER_LOOP_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "base/random.h"
#include "dtls/certificate.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "peer/connection.h"
#include "peer/host_sockets.h"
#include "peer/name_resolver.h"
#include "peer/peer_streams.h"
#include "peer/server_streams.h"
#include "peer/shared_port.h"
#include "turn/message_stream.h"

namespace kyuu::peer {

struct LoopConnectionOptions {
  Options connection;
  LoopbackUse loopback = LoopbackUse::kIfAlone;
  // Sockets opened at most, one for each address of the machine, in the order
  // of its interfaces.
  size_t sockets_max = 16;
  TcpUse tcp = TcpUse::kBoth;
  // See HostSocketsOptions.
  bool hide_addresses = false;
  std::vector<NatMapping> nat_mappings = {};
  AddressFilter use_addresses = {};
  std::optional<PortRange> port_range = {};
  // Streams to TURN servers over TCP and TLS.
  ServerStreamOptions streams;
  // TCP connections to the peer.
  PeerStreamOptions peer_streams;
  // The loop's, which must outlive the connection, in place of sockets of its
  // own; its addresses are not hidden.
  SharedPort* port = nullptr;
};

// LoopConnection opens sockets on each address of the machine, or shares a
// port's, hands them to a Connection and drives it; addresses that come and go
// are followed, and names of multicast DNS are resolved. It belongs to the
// loop's thread.
class LoopConnection {
 public:
  using EventHandler = absl::AnyInvocable<void(ConnectionEvent)>;

  // `loop` and `random` must outlive it. The handler may give commands to
  // engine(), and may destroy the LoopConnection. UNAVAILABLE if the machine
  // has no usable address. RESOURCE_EXHAUSTED: SharedPort::Reserve().
  // INVALID_ARGUMENT: `port` with `hide_addresses`, or a port_range that is
  // none.
  static absl::StatusOr<std::unique_ptr<LoopConnection>> Create(
      net::Loop& loop, const dtls::Certificate& certificate,
      const LoopConnectionOptions& options, Random& random,
      EventHandler on_event);

  Connection& engine() { return connection_; }
  // Sends what commands to the engine have made, and arms its timer.
  void Flush() { driver_.Flush(); }
  // Why the system does not tell of addresses that come and go, which are then
  // seen later; OK if it does. See HostWatch::status().
  absl::Status address_watch_status() const {
    return watch_ ? watch_->status() : absl::OkStatus();
  }
  // Messages to and from TURN servers over TCP and TLS.
  turn::MessageStreamStats stream_stats() const { return streams_.stats(); }
  // Packets to and from the peer over TCP.
  ice::PacketStreamStats peer_stream_stats() const {
    return peer_streams_.stats();
  }

 private:
  LoopConnection(net::Loop& loop, const dtls::Certificate& certificate,
                 const LoopConnectionOptions& options, Random& random,
                 std::optional<HostSockets> sockets, EventHandler on_event);

  void Add(const HostSocket& host);
  void Remove(const HostSocket& host);
  void FollowAddresses();
  void OnEvent(ConnectionEvent event);

  Connection connection_;
  std::optional<HostSockets> sockets_;  // Unless a port is shared.
  // Held by who calls it, so that it may destroy us.
  std::shared_ptr<EventHandler> on_event_;
  net::Driver<Connection> driver_;
  ServerStreams streams_;
  PeerStreams peer_streams_;
  std::optional<PortSeat<Connection>> seat_;  // If one is.
  std::optional<HostWatch> watch_;            // Else.
  NameResolver names_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_LOOP_CONNECTION_H_
