// HostSockets: a UDP socket on each address of the machine, as addresses come
// and go.

#ifndef KYUU_PEER_HOST_SOCKETS_H_
#define KYUU_PEER_HOST_SOCKETS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/gatherer_types.h"
#include "net/interfaces.h"
#include "net/udp_socket.h"

namespace kyuu::peer {

// Whether loopback addresses are used. RFC 8445 section 5.1.1.1 forbids to
// offer them; two programs on a machine without a network have nothing else.
enum class LoopbackUse : uint8_t { kIfAlone, kAlways, kNever };

// A socket bound to one address of the machine.
struct HostSocket {
  std::unique_ptr<net::UdpSocket> socket;
  ice::InterfaceKind kind = ice::InterfaceKind::kUnknown;
  IpAddress ip;

  ice::HostAddress address() const { return {socket->local(), kind}; }
};

// The addresses to use, in the order of `interfaces`. Of these kinds only the
// first that there is: addresses of networks; link-local ones, which a cable
// between two machines has; those of bridges that programs make for containers
// and virtual machines. Loopback ones as `loopback` says.
std::vector<net::Interface> ChooseAddresses(
    const std::vector<net::Interface>& interfaces, LoopbackUse loopback);

// HostSockets belongs to one thread at a time.
class HostSockets {
 public:
  // How often to call Refresh(): a network that changed is noticed within it.
  static constexpr absl::Duration kRefreshInterval = absl::Seconds(2);

  // Opens a socket on each address that ChooseAddresses() gives, at most `max`.
  // UNAVAILABLE if there is none.
  static absl::StatusOr<HostSockets> Open(LoopbackUse loopback, size_t max);

  struct Changes {
    std::vector<const HostSocket*> added;  // Valid until the next Refresh().
    std::vector<HostSocket> gone;
    bool empty() const { return added.empty() && gone.empty(); }
  };
  // Asks the machine again. Nothing changes if it cannot tell, or if it has no
  // address left: one may come back.
  Changes Refresh();

  absl::Span<const HostSocket> sockets() const { return sockets_; }
  void Clear() { sockets_.clear(); }

 private:
  HostSockets(LoopbackUse loopback, size_t max)
      : loopback_(loopback), max_(max) {}
  // Opens what is in `chosen` and not open; returns how many.
  size_t OpenNew(const std::vector<net::Interface>& chosen);

  LoopbackUse loopback_;
  size_t max_;
  std::vector<HostSocket> sockets_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_HOST_SOCKETS_H_
