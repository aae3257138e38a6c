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
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "base/random.h"
#include "dtls/certificate.h"
#include "ice/gatherer.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "peer/connection.h"

namespace kyuu::peer {

// Whether loopback addresses are used. RFC 8445 section 5.1.1.1 forbids to
// offer them; two programs on a machine without a network have nothing else.
enum class LoopbackUse : uint8_t { kIfAlone, kAlways, kNever };

// A socket bound to one address of the machine.
struct HostSocket {
  std::unique_ptr<net::UdpSocket> socket;
  ice::InterfaceKind kind = ice::InterfaceKind::kUnknown;
};
// OpenHostSockets opens a socket on each address of the machine, at most `max`,
// in the order of its interfaces. UNAVAILABLE if there is none.
absl::StatusOr<std::vector<HostSocket>> OpenHostSockets(LoopbackUse loopback,
                                                        size_t max);

struct LoopConnectionOptions {
  Options connection;
  LoopbackUse loopback = LoopbackUse::kIfAlone;
  // Sockets opened at most, one for each address of the machine, in the order
  // of its interfaces.
  size_t sockets_max = 16;
};

// LoopConnection opens a UDP socket on each address of the machine, hands them
// to a Connection and drives it. It belongs to the loop's thread.
class LoopConnection {
 public:
  using EventHandler = absl::AnyInvocable<void(ConnectionEvent)>;

  // `loop` and `random` must outlive it. The handler may give commands to
  // engine(), and may destroy the LoopConnection. UNAVAILABLE if the machine
  // has no usable address.
  static absl::StatusOr<std::unique_ptr<LoopConnection>> Create(
      net::Loop& loop, const dtls::Certificate& certificate,
      const LoopConnectionOptions& options, Random& random,
      EventHandler on_event);

  Connection& engine() { return connection_; }
  // Sends what commands to the engine have made, and arms its timer.
  void Flush() { driver_.Flush(); }

 private:
  LoopConnection(net::Loop& loop, const dtls::Certificate& certificate,
                 const LoopConnectionOptions& options, Random& random,
                 EventHandler on_event);

  Connection connection_;
  std::vector<HostSocket> sockets_;
  net::ReceiveBuffer buffer_;
  net::Driver<Connection> driver_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_LOOP_CONNECTION_H_
