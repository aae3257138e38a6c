// HostSockets: a UDP socket on each address of the machine, and a TCP one.
// HostWatch: when to look again, as addresses come and go.

#ifndef KYUU_PEER_HOST_SOCKETS_H_
#define KYUU_PEER_HOST_SOCKETS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/address_filter.h"
#include "ice/gatherer_types.h"
#include "net/interface_watch.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/udp_socket.h"

namespace kyuu::peer {

// Whether loopback addresses are used. RFC 8445 section 5.1.1.1 forbids to
// offer them; two programs on a machine without a network have nothing else.
enum class LoopbackUse : uint8_t { kIfAlone, kAlways, kNever };

// Whether ICE uses TCP beside UDP (RFC 6544). It takes no connection where
// datagrams pass.
enum class TcpUse : uint8_t {
  kNone,
  kActive,  // Connects to a peer that listens.
  kBoth,    // And listens itself, on a port of each address.
  // And opens connections together with a peer that does so, too, from another
  // port of each address: where both are behind firewalls that let connections
  // out only. Of shared ports (HostSocketsOptions::ports) as kBoth.
  kSimultaneous,
};

// Port numbers that all addresses have in common; 0: one that the system
// chooses for the first address.
struct PortNumbers {
  uint16_t udp = 0;
  uint16_t tcp = 0;  // Where TcpUse says that it listens.
};

// Ports that a firewall lets through: each socket has one of them for itself.
struct PortRange {
  uint16_t low = 0;   // At least 1.
  uint16_t high = 0;  // The last one; not below `low`.

  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// A 1:1 NAT in front of the machine, as clouds have it: what comes to `told`
// arrives at `ours`, at the same port.
struct NatMapping {
  IpAddress told;
  // Unset: the first of our addresses of the family of `told` that is neither
  // loopback nor link-local.
  std::optional<IpAddress> ours;

  // "203.0.113.5" or "203.0.113.5/10.0.0.5", told and ours; INVALID_ARGUMENT,
  // also if they are not of one family.
  static absl::StatusOr<NatMapping> Parse(absl::string_view text);

  friend bool operator==(const NatMapping&, const NatMapping&) = default;
};

struct HostSocketsOptions {
  LoopbackUse loopback = LoopbackUse::kIfAlone;
  size_t max = 16;  // Sockets, one for each address.
  TcpUse tcp = TcpUse::kBoth;
  // Whether addresses of networks are told by names of multicast DNS
  // (NameResolver::Publish), as browsers do it. It hides them from who sees the
  // signaling, and not from who gets a packet.
  bool hide_addresses = false;
  // nullopt: any, which differ. Else an address is left out where it cannot be
  // had, and Open() fails with the reason if there is none.
  std::optional<PortNumbers> ports;
  // Told beside our own addresses, hidden or not.
  std::vector<NatMapping> nat_mappings;
  // Which addresses are used at all, of those that there are.
  AddressFilter use;
  // Where UDP is bound and TCP listens, unless `ports` names one: from a random
  // one on. An address for which none is free is left out, and Open() fails
  // with the reason if there is no other.
  std::optional<PortRange> port_range;
};

// A socket bound to one address of the machine.
struct HostSocket {
  std::unique_ptr<net::UdpSocket> socket;
  // On the same port if it is free; null if it does not listen.
  std::unique_ptr<net::TcpListener> listener;
  // Where connections are opened simultaneously; null if none are.
  std::unique_ptr<net::TcpListener> so_listener;
  ice::InterfaceKind kind = ice::InterfaceKind::kUnknown;
  IpAddress ip;
  TcpUse tcp = TcpUse::kNone;
  uint32_t interface = 0;  // Index of the system's.
  std::string name;        // "": it is not hidden.
  bool shared = false;     // Its port is one of HostSocketsOptions::ports.
  std::optional<IpAddress> mapped;  // By HostSocketsOptions::nat_mappings.

  ice::HostAddress address() const {
    return {socket->local(),
            kind,
            tcp != TcpUse::kNone,
            listener ? listener->local().port : uint16_t{0},
            name,
            shared,
            mapped,
            so_listener ? so_listener->local().port : uint16_t{0},
            /*tcp_lends_ports=*/!shared};
  }
  // Those that there are.
  std::vector<net::TcpListener*> listeners() const;
};

// The addresses to use, in the order of `interfaces`. Of these kinds only the
// first that there is: addresses of networks; link-local ones, which a cable
// between two machines has; those of bridges that programs make for containers
// and virtual machines. Loopback ones as `loopback` says.
//
// Of the IPv6 ones among them (RFC 8445 section 5.1.1.1, RFC 6724 section 5): a
// deprecated one only if there is no other, a temporary one instead of all
// others of its network (/64) on its interface, and never what RFC 8445 leaves
// out (site-local, IPv4-compatible).
std::vector<net::Interface> ChooseAddresses(
    const std::vector<net::Interface>& interfaces, LoopbackUse loopback);

// HostSockets belongs to one thread at a time.
class HostSockets {
 public:
  using Lister =
      absl::AnyInvocable<absl::StatusOr<std::vector<net::Interface>>()>;

  // Opens a socket on each address that ChooseAddresses() gives.
  // UNAVAILABLE if there is none; with `ports` or `port_range` why none could
  // be bound. INVALID_ARGUMENT: a `port_range` that is none. Where the system
  // does not list its addresses (no netlink for us), the two are used that it
  // sends to the internet from.
  static absl::StatusOr<HostSockets> Open(const HostSocketsOptions& options);
  // The same with another source of addresses, which each Refresh() asks again.
  static absl::StatusOr<HostSockets> Open(const HostSocketsOptions& options,
                                          Lister list);

  struct Changes {
    std::vector<const HostSocket*> added;  // Valid until the next Refresh().
    std::vector<HostSocket> gone;
    bool empty() const { return added.empty() && gone.empty(); }
  };
  // Asks the machine again. Nothing changes if it cannot tell, or if it has no
  // address left: one may come back. A socket stays while its address is there
  // and of the kind in use, even when a better one of that kind would be
  // chosen now: what runs over it shall run on (RFC 4862 section 5.5.4).
  Changes Refresh();

  absl::Span<const HostSocket> sockets() const { return sockets_; }
  void Clear() { sockets_.clear(); }

 private:
  HostSockets(const HostSocketsOptions& options, Lister list)
      : options_(options), list_(std::move(list)) {}
  // Opens what is in `chosen` and not open; returns how many.
  size_t OpenNew(const std::vector<net::Interface>& chosen);
  absl::StatusOr<HostSocket> OpenOne(const net::Interface& interface) const;
  absl::StatusOr<net::UdpSocket> OpenUdp(const TransportAddress& at) const;
  std::optional<IpAddress> MappedOf(const IpAddress& ip) const;

  HostSocketsOptions options_;
  Lister list_;
  bool listed_ = false;   // The system has listed its addresses once.
  absl::Status refused_;  // Why the last address of OpenNew() has none.
  std::vector<HostSocket> sockets_;
};

// HostWatch says when to call HostSockets::Refresh(): at once where the system
// tells of changes, and every now and then in any case, as a socket may have
// been refused for want of descriptors.
class HostWatch {
 public:
  using Handler = absl::AnyInvocable<void()>;

  // Where the system tells nothing.
  static constexpr absl::Duration kPollInterval = absl::Seconds(2);
  // Where it does.
  static constexpr absl::Duration kReviewInterval = absl::Seconds(60);

  // Calls `on_change` on `loop`, which must outlive it, for the first time in
  // the loop's next turn. The handler may destroy the HostWatch.
  HostWatch(net::Loop& loop, Handler on_change);
  HostWatch(const HostWatch&) = delete;
  HostWatch& operator=(const HostWatch&) = delete;

  // OK while the system tells of changes. Else the reason why it does not: it
  // is asked every kPollInterval, and whether it tells now.
  const absl::Status& status() const { return status_; }

 private:
  void Listen();
  void Review();
  void Tell();

  net::Loop& loop_;
  std::shared_ptr<Handler> on_change_;          // Outlives us while it runs.
  std::unique_ptr<net::InterfaceWatch> watch_;  // Null while it tells nothing.
  absl::Status status_;
  net::Alarm alarm_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_HOST_SOCKETS_H_
