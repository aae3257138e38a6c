#include "sim/network.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace kyuu::sim {

namespace {

constexpr size_t kUdpHeader = 8;
constexpr size_t kIpV4Header = 20;
constexpr size_t kIpV6Header = 40;

size_t WireSize(const TransportAddress& destination, size_t payload) {
  return payload + kUdpHeader +
         (destination.ip.is_v6() ? kIpV6Header : kIpV4Header);
}

}  // namespace

struct Network::Port {
  int host;
  bool attached = true;
  std::unique_ptr<internal::Endpoint> endpoint;
};

struct Network::Host {
  struct Card {
    explicit Card(const Interface& interface)
        : zone(static_cast<int>(interface.zone)),
          up(interface.up),
          down(interface.down) {}
    int zone;
    Link up;
    Link down;
  };
  std::string name;
  std::vector<std::unique_ptr<Card>> cards;
  std::map<IpAddress, Card*> addresses;
  std::map<TransportAddress, int> bound;  // To an index into ports_.
  std::map<TransportAddress, std::function<void(const Path&)>> listeners;
  // By our address and the other end's.
  std::map<std::pair<TransportAddress, TransportAddress>,
           std::function<void(const absl::Status&)>>
      connecting;
};

struct Network::Zone {
  Zone(int parent_zone, const NatOptions& options, const LinkOptions& up_link,
       const LinkOptions& down_link, Random& random)
      : parent(parent_zone),
        nat(options, random),
        up(up_link),
        down(down_link) {}
  int parent;  // -1 for the internet, whose `nat` and links are not used.
  Nat nat;
  Link up;
  Link down;
  std::map<IpAddress, int> hosts;
};

Network::Network(const NetworkOptions& options)
    : options_(options),
      random_(options.seed),
      transcript_(options.transcript),
      buffer_(65536) {
  zones_.push_back(std::make_unique<Zone>(-1, NatOptions{}, LinkOptions{},
                                          LinkOptions{}, random_));
}

Network::~Network() = default;

// --- Topology ---------------------------------------------------------------

HostId Network::AddHost(absl::string_view name, const Interface& interface) {
  hosts_.push_back(std::make_unique<Host>());
  hosts_.back()->name = std::string(name);
  const HostId id{static_cast<int>(hosts_.size()) - 1};
  AddInterface(id, interface);
  return id;
}

void Network::AddInterface(HostId id, const Interface& interface) {
  Host& host = *hosts_.at(static_cast<size_t>(id));
  host.cards.push_back(std::make_unique<Host::Card>(interface));
  for (const IpAddress& ip : interface.addresses) {
    host.addresses[ip] = host.cards.back().get();
    if (ip.IsLoopback()) continue;  // Each host has its own.
    Zone& zone = *zones_.at(static_cast<size_t>(interface.zone));
    // Two hosts with one address in one zone: a mistake of the test.
    KYUU_CHECK(zone.hosts.emplace(ip, static_cast<int>(id)).second);
  }
}

ZoneId Network::AddNat(ZoneId parent, const NatOptions& options,
                       const LinkOptions& up, const LinkOptions& down) {
  zones_.push_back(std::make_unique<Zone>(static_cast<int>(parent), options, up,
                                          down, random_));
  return ZoneId{static_cast<int>(zones_.size()) - 1};
}

Link& Network::up(HostId host) {
  return hosts_.at(static_cast<size_t>(host))->cards.front()->up;
}
Link& Network::down(HostId host) {
  return hosts_.at(static_cast<size_t>(host))->cards.front()->down;
}
Link& Network::up(ZoneId zone) {
  return zones_.at(static_cast<size_t>(zone))->up;
}
Link& Network::down(ZoneId zone) {
  return zones_.at(static_cast<size_t>(zone))->down;
}
Nat& Network::nat(ZoneId zone) {
  return zones_.at(static_cast<size_t>(zone))->nat;
}

void Network::SetLinks(HostId host, const LinkOptions& both) {
  for (auto& card : hosts_.at(static_cast<size_t>(host))->cards) {
    card->up.options() = both;
    card->down.options() = both;
  }
}

void Network::RemoveAddress(HostId id, const IpAddress& ip) {
  Host& host = *hosts_.at(static_cast<size_t>(id));
  auto it = host.addresses.find(ip);
  if (it == host.addresses.end()) return;
  if (!ip.IsLoopback()) zones_[it->second->zone]->hosts.erase(ip);
  host.addresses.erase(it);
}

// --- Endpoints --------------------------------------------------------------

EndpointId Network::Add(HostId host,
                        const std::vector<TransportAddress>& locals,
                        std::unique_ptr<internal::Endpoint> endpoint) {
  ports_.push_back(std::make_unique<Port>(
      Port{static_cast<int>(host), true, std::move(endpoint)}));
  const EndpointId id{static_cast<int>(ports_.size()) - 1};
  for (const TransportAddress& local : locals) Bind(id, local);
  return id;
}

EndpointId Network::Listen(HostId host, const TransportAddress& local,
                           std::function<void(const Datagram&)> handler) {
  return Add(host, {local},
             std::make_unique<internal::HandlerEndpoint>(std::move(handler)));
}

void Network::Bind(EndpointId id, const TransportAddress& local) {
  const int index = static_cast<int>(id);
  Host& host = *hosts_.at(ports_.at(index)->host);
  // Binding an address the host lacks, or one that is taken, is a mistake of
  // the test.
  KYUU_CHECK(host.addresses.contains(local.ip));
  KYUU_CHECK(host.bound.emplace(local, index).second);
}

void Network::Unbind(EndpointId id, const TransportAddress& local) {
  hosts_.at(ports_.at(static_cast<size_t>(id))->host)->bound.erase(local);
}

void Network::Detach(EndpointId id) {
  const int index = static_cast<int>(id);
  Port& port = *ports_.at(index);
  port.attached = false;  // Kept: its own handler may be calling us.
  auto& bound = hosts_.at(port.host)->bound;
  for (auto it = bound.begin(); it != bound.end();) {
    it = it->second == index ? bound.erase(it) : std::next(it);
  }
}

void Network::Send(HostId host, const Datagram& datagram) {
  Transmit(static_cast<int>(host), datagram);
}

void Network::At(absl::Time time, std::function<void()> action) {
  Schedule(std::max(time, now()),
           Event{Stage::kAction, 0, {}, std::move(action)});
}

// --- Running ----------------------------------------------------------------

void Network::RunFor(absl::Duration duration) {
  const absl::Time end = now() + duration;
  PumpAll();
  while (Step(end)) {
  }
  clock_.AdvanceTo(end);
}

bool Network::RunUntil(const std::function<bool()>& done,
                       absl::Duration limit) {
  const absl::Time end = now() + limit;
  PumpAll();
  while (!done()) {
    if (!Step(end)) return done();
  }
  return true;
}

bool Network::RunUntilIdle(int max_steps) {
  PumpAll();
  for (int i = 0; i < max_steps; ++i) {
    if (!Step(absl::InfiniteFuture())) return true;
  }
  return false;
}

absl::Time Network::NextTimeout() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& port : ports_) {
    if (port->attached) next = std::min(next, port->endpoint->NextTimeout());
  }
  return next;
}

bool Network::Step(absl::Time limit) {
  const absl::Time packet =
      queue_.empty() ? absl::InfiniteFuture() : queue_.begin()->first.first;
  const absl::Time timeout = NextTimeout();
  const absl::Time next = std::min(packet, timeout);
  if (next > limit || next == absl::InfiniteFuture()) return false;
  if (next > now()) spins_ = 0;
  clock_.AdvanceTo(next);
  if (packet <= timeout) {
    auto node = queue_.extract(queue_.begin());
    Run(std::move(node.mapped()));
    return true;
  }
  // Only an engine whose due timers stay due keeps time from moving.
  KYUU_CHECK(++spins_ < options_.spin_limit);
  for (size_t i = 0; i < ports_.size(); ++i) {
    Port& port = *ports_[i];
    if (!port.attached || port.endpoint->NextTimeout() > now()) continue;
    port.endpoint->HandleTimeout(now());
    if (Pump(port)) PumpAll();
  }
  return true;
}

void Network::Run(Event event) {
  switch (event.stage) {
    case Stage::kAction:
      event.action();
      PumpAll();
      return;
    case Stage::kInZone:
      return Route(event.index, event.packet);
    case Stage::kAtNat:
      return Enter(event.index, event.packet);
    case Stage::kAtHost:
      return Deliver(event.index, event.packet);
  }
}

// Takes out what one engine has to send and to tell. True if a handler of the
// test ran, which may have touched any engine.
bool Network::Pump(Port& port) {
  bool handled = false;
  for (int count = 0; port.attached; ++count) {
    KYUU_CHECK(count < options_.spin_limit);
    while (auto datagram =
               port.endpoint->PollTransmit(now(), absl::MakeSpan(buffer_))) {
      KYUU_CHECK(++count < options_.spin_limit);
      if (hosts_[port.host]->bound.contains(datagram->path.local)) {
        Transmit(port.host, *datagram);
      } else {
        ++stats_.bad_source;
      }
    }
    if (!port.endpoint->DispatchEvents()) break;
    handled = true;
  }
  return handled;
}

void Network::PumpAll() {
  bool again = true;
  for (int round = 0; again; ++round) {
    KYUU_CHECK(round < options_.spin_limit);
    again = false;
    for (size_t i = 0; i < ports_.size(); ++i) again |= Pump(*ports_[i]);
  }
}

// --- The way of a datagram --------------------------------------------------

void Network::Schedule(absl::Time time, Event event) {
  queue_.emplace(std::make_pair(time, next_sequence_++), std::move(event));
}

void Network::Cross(Link& link, Stage stage, int index, const Packet& packet) {
  const Link::Arrivals arrivals = link.Send(
      now(), WireSize(packet.destination, packet.bytes.size()), random_);
  if (arrivals.empty()) ++stats_.dropped;
  for (absl::Time arrival : arrivals) {
    Schedule(arrival, Event{stage, index, packet, nullptr});
  }
}

void Network::Transmit(int index, const Datagram& datagram) {
  ++stats_.sent;
  if (filter_ && !filter_(datagram)) {
    ++stats_.dropped;
    return;
  }
  const Path& path = datagram.path;
  Emit(index, Packet{path.local, path.remote, path.transport,
                     std::vector<uint8_t>(datagram.bytes.begin(),
                                          datagram.bytes.end())});
}

void Network::Emit(int index, const Packet& packet) {
  Host& host = *hosts_[index];
  const auto card = host.addresses.find(packet.source.ip);
  if (card == host.addresses.end() ||
      packet.source.ip.family() != packet.destination.ip.family()) {
    ++stats_.bad_source;
    return;
  }
  if (host.addresses.contains(packet.destination.ip)) {
    // To oneself: no link is crossed.
    Schedule(now(), Event{Stage::kAtHost, index, packet, nullptr});
    return;
  }
  Cross(card->second->up, Stage::kInZone, card->second->zone, packet);
}

// Whether a host in `zone`, or below it without translation, has `ip`.
bool Network::Reaches(int zone, const IpAddress& ip) const {
  if (zones_[zone]->hosts.contains(ip)) return true;
  for (size_t i = 0; i < zones_.size(); ++i) {
    const Zone& child = *zones_[i];
    if (child.parent != zone) continue;
    if (child.nat.Owns(ip)) return true;
    if (!child.nat.Translates(ip.family()) &&
        Reaches(static_cast<int>(i), ip)) {
      return true;
    }
  }
  return false;
}

void Network::Route(int index, const Packet& packet) {
  Zone& zone = *zones_[index];
  const IpAddress& ip = packet.destination.ip;
  if (auto host = zone.hosts.find(ip); host != zone.hosts.end()) {
    Host::Card* card = hosts_[host->second]->addresses.at(ip);
    return Cross(card->down, Stage::kAtHost, host->second, packet);
  }
  for (size_t i = 0; i < zones_.size(); ++i) {
    Zone& child = *zones_[i];
    if (child.parent != index) continue;
    if (child.nat.Owns(ip) || (!child.nat.Translates(ip.family()) &&
                               Reaches(static_cast<int>(i), ip))) {
      return Cross(child.down, Stage::kAtNat, static_cast<int>(i), packet);
    }
  }
  if (zone.parent < 0) {
    ++stats_.unroutable;
    return;
  }
  Leave(index, packet);
}

// Out of a zone through its NAT, or back in by hairpin.
void Network::Leave(int index, const Packet& packet) {
  Zone& zone = *zones_[index];
  const bool hairpin = zone.nat.Owns(packet.destination.ip);
  if (hairpin && !zone.nat.options().hairpin) {
    ++stats_.dropped;
    return;
  }
  const std::optional<TransportAddress> source = zone.nat.Outbound(
      now(), packet.source, packet.destination, packet.transport);
  if (!source.has_value()) {
    ++stats_.dropped;
    return;
  }
  Packet translated = packet;
  translated.source = *source;
  if (hairpin) return Enter(index, translated);
  Cross(zone.up, Stage::kInZone, zone.parent, translated);
}

// Into a zone through its NAT.
void Network::Enter(int index, const Packet& packet) {
  const std::optional<TransportAddress> inside = zones_[index]->nat.Inbound(
      now(), packet.source, packet.destination, packet.transport);
  if (!inside.has_value()) {
    ++stats_.dropped;
    return;
  }
  Packet translated = packet;
  translated.destination = *inside;
  Route(index, translated);
}

void Network::Deliver(int index, const Packet& packet) {
  if (packet.kind != Kind::kData) return DeliverStream(index, packet);
  Host& host = *hosts_[index];
  const auto bound = host.bound.find(packet.destination);
  // The address may have left the host while the packet was under way.
  if (bound == host.bound.end() ||
      !host.addresses.contains(packet.destination.ip)) {
    ++stats_.unbound;
    return;
  }
  ++stats_.delivered;
  transcript_.Add(now(), packet.source.ToString(),
                  absl::StrCat(host.name, " ", packet.destination.ToString()),
                  packet.bytes);
  Port& port = *ports_[bound->second];
  port.endpoint->HandlePacket(
      now(), Datagram{{packet.destination, packet.source, packet.transport},
                      packet.bytes});
  if (Pump(port)) PumpAll();
}

// --- Connections ------------------------------------------------------------

void Network::ListenStreams(HostId host, const TransportAddress& local,
                            std::function<void(const Path&)> accept) {
  hosts_.at(static_cast<size_t>(host))->listeners[local] = std::move(accept);
}

void Network::ConnectStream(HostId id, const Path& path,
                            std::function<void(const absl::Status&)> done) {
  const int index = static_cast<int>(id);
  hosts_.at(index)->connecting[{path.local, path.remote}] = std::move(done);
  Emit(index, Packet{path.local, path.remote, Transport::kTcp, {}, Kind::kSyn});
}

void Network::DeliverStream(int index, const Packet& packet) {
  Host& host = *hosts_[index];
  ++stats_.delivered;
  if (packet.kind == Kind::kSyn) {
    const auto listener = host.listeners.find(packet.destination);
    const bool listens = listener != host.listeners.end();
    Emit(index, Packet{packet.destination,
                       packet.source,
                       Transport::kTcp,
                       {},
                       listens ? Kind::kSynAck : Kind::kReset});
    if (listens) {
      listener->second({packet.destination, packet.source, Transport::kTcp});
    }
  } else {
    auto node = host.connecting.extract({packet.destination, packet.source});
    if (!node.empty()) {
      node.mapped()(packet.kind == Kind::kSynAck
                        ? absl::OkStatus()
                        : absl::UnavailableError("nobody listens"));
    }
  }
  PumpAll();
}

}  // namespace kyuu::sim
