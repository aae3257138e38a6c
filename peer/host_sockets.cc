#include "peer/host_sockets.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "mdns/message.h"

namespace kyuu::peer {
namespace {

// What the name of an interface says by convention (systemd's and older
// schemes), for the order of candidates.
ice::InterfaceKind KindOf(const net::Interface& interface) {
  struct Row {
    const char* prefix;
    ice::InterfaceKind kind;
  };
  static constexpr Row kRows[] = {
      {"en", ice::InterfaceKind::kEthernet},
      {"eth", ice::InterfaceKind::kEthernet},
      {"wl", ice::InterfaceKind::kWifi},
      {"ww", ice::InterfaceKind::kCellular},
      {"ppp", ice::InterfaceKind::kCellular},
      {"tun", ice::InterfaceKind::kVpn},
      {"wg", ice::InterfaceKind::kVpn},
      {"tailscale", ice::InterfaceKind::kVpn},
  };
  if (interface.kind == net::InterfaceKind::kLoopback) {
    return ice::InterfaceKind::kLoopback;
  }
  for (const Row& row : kRows) {
    if (absl::StartsWith(interface.name, row.prefix)) return row.kind;
  }
  return ice::InterfaceKind::kUnknown;
}

// Bridges that container and virtual machine software makes: their addresses
// are the same on many machines, and nobody outside reaches them.
bool IsPrivateBridge(const net::Interface& interface) {
  static constexpr const char* kPrefixes[] = {
      "docker", "br-", "virbr", "lxcbr", "lxdbr", "podman", "cni", "vmnet"};
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](const char* prefix) {
                       return absl::StartsWith(interface.name, prefix);
                     });
}

// RFC 8445 section 5.1.1.1 leaves them out: site-local unicast (fec0::/10, RFC
// 3879) and IPv4-compatible addresses (::/96).
bool IsObsolete(const IpAddress& ip) {
  if (!ip.is_v6() || ip.IsAny() || ip.IsLoopback()) return false;
  const absl::Span<const uint8_t> bytes = ip.bytes();
  return (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0) ||
         std::all_of(bytes.begin(), bytes.begin() + 12,
                     [](uint8_t byte) { return byte == 0; });
}

bool SameNetwork(const net::Interface& a, const net::Interface& b) {
  return a.index == b.index && a.name == b.name && a.address.is_v6() &&
         b.address.is_v6() &&
         a.address.bytes().first(8) == b.address.bytes().first(8);
}

// Those of the kind in use, the less preferred included.
std::vector<net::Interface> UsableAddresses(
    const std::vector<net::Interface>& interfaces, LoopbackUse loopback) {
  std::vector<net::Interface> network, link_local, bridges, inside;
  for (const net::Interface& interface : interfaces) {
    if (IsObsolete(interface.address)) continue;
    if (interface.kind == net::InterfaceKind::kLoopback) {
      inside.push_back(interface);
    } else if (IsPrivateBridge(interface)) {
      if (!interface.address.IsLinkLocal()) bridges.push_back(interface);
    } else if (interface.address.IsLinkLocal()) {
      link_local.push_back(interface);
    } else {
      network.push_back(interface);
    }
  }
  std::vector<net::Interface> usable = !network.empty()      ? network
                                       : !link_local.empty() ? link_local
                                                             : bridges;
  // A cable that is pulled leaves its address. Where it is the only one, it may
  // be plugged in again a moment later, and nothing is to be gained.
  const auto running = [](const net::Interface& i) { return i.running; };
  if (std::any_of(usable.begin(), usable.end(), running)) {
    std::erase_if(usable, std::not_fn(running));
  }
  if (loopback == LoopbackUse::kAlways ||
      (loopback == LoopbackUse::kIfAlone && usable.empty())) {
    usable.insert(usable.end(), inside.begin(), inside.end());
  }
  return usable;
}

std::vector<net::Interface> PreferredAmong(std::vector<net::Interface> usable) {
  const auto fresh = [](const net::Interface& i) {
    return i.address.is_v6() && !i.deprecated &&
           i.kind != net::InterfaceKind::kLoopback;
  };
  if (std::any_of(usable.begin(), usable.end(), fresh)) {
    std::erase_if(usable, [](const net::Interface& i) { return i.deprecated; });
  }
  std::vector<net::Interface> temporary;
  std::copy_if(usable.begin(), usable.end(), std::back_inserter(temporary),
               [](const net::Interface& i) { return i.temporary; });
  std::erase_if(usable, [&](const net::Interface& i) {
    return !i.temporary && std::any_of(temporary.begin(), temporary.end(),
                                       [&](const net::Interface& other) {
                                         return SameNetwork(i, other);
                                       });
  });
  return usable;
}

// As PeerStreamOptions::unsent_bytes, of streams that are accepted.
constexpr uint32_t kUnsentBytes = 16 * 1024;
// Connections that wait to be accepted where thousands of peers may come back
// at once.
constexpr int kSharedBacklog = 1024;

// Connections that wait where one peer is expected.
constexpr int kBacklog = 16;

// For us alone, so that connections can be made from there, too.
absl::StatusOr<net::TcpListener> ListenAndLend(const TransportAddress& at) {
  return net::TcpListener::Open({.bind = at,
                                 .lend_address = true,
                                 .backlog = kBacklog,
                                 .stream = {.unsent_bytes = kUnsentBytes}});
}

// What `open(port)` gives of the first port that is free, or of the last one
// that is not. Without a range the system chooses.
template <typename Open>
auto OpenWithin(const std::optional<PortRange>& range, const Open& open) {
  if (!range) return open(uint16_t{0});
  const uint32_t count = uint32_t{range->high} - range->low + 1;
  SystemRandom random;
  const auto from = static_cast<uint32_t>(random.Below(count));
  for (uint32_t i = 0;; ++i) {
    auto opened = open(static_cast<uint16_t>(range->low + (from + i) % count));
    if (opened.ok() || i + 1 == count) return opened;
  }
}

// On a port for itself. Null: the others have to do.
std::unique_ptr<net::TcpListener> ListenAndConnect(
    const IpAddress& ip, const std::optional<PortRange>& range) {
  absl::StatusOr<net::TcpListener> listener =
      OpenWithin(range, [&ip](uint16_t port) {
        return ListenAndLend({ip, port});
      });
  if (!listener.ok()) return nullptr;
  return std::make_unique<net::TcpListener>(*std::move(listener));
}

// On the port of the UDP socket, which whoever opens a firewall knows already,
// or another one. Null: UDP has to do.
std::unique_ptr<net::TcpListener> ListenBeside(
    const TransportAddress& udp, const std::optional<PortRange>& range) {
  absl::StatusOr<net::TcpListener> listener = ListenAndLend(udp);
  if (!listener.ok()) return ListenAndConnect(udp.ip, range);
  return std::make_unique<net::TcpListener>(*std::move(listener));
}

// Without a list: the addresses that the system would send to the internet
// from. Nothing is sent; the destinations are those of documentation (RFC 5737,
// RFC 3849), which the default routes lead to.
std::vector<net::Interface> RoutedAddresses() {
  static constexpr const char* kFarAway[] = {"192.0.2.1", "2001:db8::1"};
  static constexpr const char* kHere[] = {"127.0.0.1", "::1"};
  std::vector<net::Interface> routed;
  const auto add = [&](const char* to, net::InterfaceKind kind) {
    const absl::StatusOr<IpAddress> ip =
        net::SourceAddress({IpAddress::Parse(to).value(), 9});
    if (!ip.ok() || ip->IsAny()) return;
    routed.push_back({.address = *ip, .kind = kind});
  };
  for (const char* to : kFarAway) add(to, net::InterfaceKind::kOther);
  for (const char* to : kHere) add(to, net::InterfaceKind::kLoopback);
  return routed;
}

}  // namespace

std::vector<net::Interface> ChooseAddresses(
    const std::vector<net::Interface>& interfaces, LoopbackUse loopback) {
  return PreferredAmong(UsableAddresses(interfaces, loopback));
}

absl::StatusOr<NatMapping> NatMapping::Parse(absl::string_view text) {
  NatMapping mapping;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  KYUU_ASSIGN_OR_RETURN(mapping.told, IpAddress::Parse(parts.first));
  if (!absl::StrContains(text, '/')) return mapping;
  KYUU_ASSIGN_OR_RETURN(mapping.ours, IpAddress::Parse(parts.second));
  if (mapping.ours->family() != mapping.told.family()) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, " maps an address to one of the other family"));
  }
  return mapping;
}

std::optional<IpAddress> HostSockets::MappedOf(const IpAddress& ip) const {
  for (const NatMapping& mapping : options_.nat_mappings) {
    if (mapping.ours.has_value()) {
      if (*mapping.ours == ip) return mapping.told;
      continue;
    }
    const bool taken = std::any_of(
        sockets_.begin(), sockets_.end(),
        [&](const HostSocket& host) { return host.mapped == mapping.told; });
    if (!taken && mapping.told.family() == ip.family() && !ip.IsLoopback() &&
        !ip.IsLinkLocal()) {
      return mapping.told;
    }
  }
  return std::nullopt;
}

absl::StatusOr<net::UdpSocket> HostSockets::OpenUdp(
    const TransportAddress& at) const {
  if (at.port != 0) return net::UdpSocket::Open({.bind = at});
  return OpenWithin(options_.port_range, [&at](uint16_t port) {
    return net::UdpSocket::Open({.bind = {at.ip, port}});
  });
}

absl::StatusOr<HostSocket> HostSockets::OpenOne(
    const net::Interface& interface) const {
  PortNumbers ports = options_.ports.value_or(PortNumbers{});
  if (options_.ports && !sockets_.empty()) {
    const HostSocket& first = sockets_.front();
    ports.udp = first.socket->local().port;
    if (first.listener) ports.tcp = first.listener->local().port;
  }
  KYUU_ASSIGN_OR_RETURN(net::UdpSocket socket,
                        OpenUdp({interface.address, ports.udp}));
  HostSocket host{std::make_unique<net::UdpSocket>(std::move(socket)),
                  nullptr,
                  nullptr,
                  KindOf(interface),
                  interface.address,
                  options_.tcp,
                  interface.index,
                  "",
                  options_.ports.has_value(),
                  MappedOf(interface.address)};
  const bool listens =
      options_.tcp == TcpUse::kBoth || options_.tcp == TcpUse::kSimultaneous;
  if (listens && host.shared) {
    const auto open = [&](uint16_t port) {
      return net::TcpListener::Open({.bind = {interface.address, port},
                                     .backlog = kSharedBacklog,
                                     .stream = {.unsent_bytes = kUnsentBytes}});
    };
    KYUU_ASSIGN_OR_RETURN(net::TcpListener listener,
                          ports.tcp != 0
                              ? open(ports.tcp)
                              : OpenWithin(options_.port_range, open));
    host.listener = std::make_unique<net::TcpListener>(std::move(listener));
  } else if (listens) {
    host.listener = ListenBeside(host.socket->local(), options_.port_range);
    if (options_.tcp == TcpUse::kSimultaneous) {
      host.so_listener =
          ListenAndConnect(interface.address, options_.port_range);
    }
  }
  if (options_.hide_addresses && !interface.address.IsLoopback()) {
    SystemRandom random;
    host.name = mdns::MakeName(random);
  }
  return host;
}

std::vector<net::TcpListener*> HostSocket::listeners() const {
  std::vector<net::TcpListener*> all;
  for (const auto* one : {&listener, &so_listener}) {
    if (*one) all.push_back(one->get());
  }
  return all;
}

size_t HostSockets::OpenNew(const std::vector<net::Interface>& chosen) {
  size_t opened = 0;
  for (const net::Interface& interface : chosen) {
    const bool known = std::any_of(
        sockets_.begin(), sockets_.end(),
        [&](const HostSocket& host) { return host.ip == interface.address; });
    if (known || sockets_.size() >= options_.max) continue;
    // An address may be tentative, or go at any moment: the others count.
    absl::StatusOr<HostSocket> host = OpenOne(interface);
    if (!host.ok()) {
      refused_ = host.status();
      continue;
    }
    sockets_.push_back(*std::move(host));
    ++opened;
  }
  return opened;
}

absl::StatusOr<HostSockets> HostSockets::Open(
    const HostSocketsOptions& options) {
  return Open(options, net::Interfaces);
}

absl::StatusOr<HostSockets> HostSockets::Open(const HostSocketsOptions& options,
                                              Lister list) {
  if (options.port_range &&
      (options.port_range->low == 0 ||
       options.port_range->high < options.port_range->low)) {
    return absl::InvalidArgumentError(
        "a range of ports begins at 1 at least, and ends no sooner");
  }
  HostSockets sockets(options, std::move(list));
  sockets.Refresh();
  if (sockets.sockets_.empty()) {
    if ((options.ports || options.port_range) && !sockets.refused_.ok()) {
      return sockets.refused_;
    }
    return absl::UnavailableError("this machine has no usable IP address");
  }
  return sockets;
}

HostSockets::Changes HostSockets::Refresh() {
  Changes changes;
  const absl::StatusOr<std::vector<net::Interface>> listed = list_();
  // A list that fails now and then (ENOBUFS) says nothing about the sockets.
  if (!listed.ok() && listed_) return changes;
  listed_ = listed.ok();
  std::vector<net::Interface> known = listed.ok() ? *listed : RoutedAddresses();
  std::erase_if(known, [&](const net::Interface& interface) {
    return !options_.use.Takes(interface.address);
  });
  const std::vector<net::Interface> usable =
      UsableAddresses(known, options_.loopback);
  if (usable.empty()) return changes;
  const auto gone = std::stable_partition(
      sockets_.begin(), sockets_.end(), [&](const HostSocket& host) {
        return std::any_of(usable.begin(), usable.end(),
                           [&](const net::Interface& interface) {
                             return interface.address == host.ip;
                           });
      });
  std::move(gone, sockets_.end(), std::back_inserter(changes.gone));
  sockets_.erase(gone, sockets_.end());
  const size_t opened = OpenNew(PreferredAmong(usable));
  for (size_t i = sockets_.size() - opened; i < sockets_.size(); ++i) {
    changes.added.push_back(&sockets_[i]);
  }
  return changes;
}

HostWatch::HostWatch(net::Loop& loop, Handler on_change)
    : loop_(loop),
      on_change_(std::make_shared<Handler>(std::move(on_change))),
      alarm_(loop, [this] { Review(); }) {
  Listen();
  // An address may have come before we listened.
  alarm_.Set(net::Loop::Now());
}

void HostWatch::Listen() {
  absl::StatusOr<std::unique_ptr<net::InterfaceWatch>> watch =
      net::InterfaceWatch::Create(loop_, [this] { Tell(); });
  status_ = watch.ok() ? (*watch)->status() : watch.status();
  if (status_.ok()) watch_ = *std::move(watch);
}

void HostWatch::Review() {
  if (!status_.ok()) Listen();
  alarm_.Set(net::Loop::Now() +
             (status_.ok() ? kReviewInterval : kPollInterval));
  Tell();  // Last: it may destroy us.
}

void HostWatch::Tell() {
  const std::shared_ptr<Handler> handler = on_change_;
  (*handler)();
}

}  // namespace kyuu::peer
