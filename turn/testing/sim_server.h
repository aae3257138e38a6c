// A TURN server on a simulated host, for tests of everything that relays.
//
//   turn::SimServer turn(random, {.users = {{"u", "p"}},
//                                 .relay_addresses = {{server_ip}},
//                                 .allow_peers = {...}});
//   turn.Attach(network, host, {server_address});

#ifndef KYUU_TURN_TESTING_SIM_SERVER_H_
#define KYUU_TURN_TESTING_SIM_SERVER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "sim/network.h"
#include "turn/server.h"

namespace kyuu::turn {

// SimServer turns the server's forwarding decisions into datagrams, and opens
// its relay ports on the simulated host. The clients of the default options'
// policy cannot reach simulated (documentation, private) addresses: set
// `allow_peers`, as operators of private networks do.
class SimServer {
 public:
  using Packet = Datagram;
  using Event = Server::Event;

  SimServer(Random& random, ServerOptions options)
      : server_(random, std::move(options)) {}

  // Call once, before the network runs. Listeners and relay addresses must be
  // addresses of `host`.
  void Attach(sim::Network& network, sim::HostId host,
              const std::vector<TransportAddress>& listeners) {
    endpoint_ = network.Attach(host, listeners, *this, [&](Event event) {
      if (const auto* open = std::get_if<Server::OpenRelay>(&event)) {
        network.Bind(endpoint_, open->bind);
        relays_.emplace_back(open->relay, open->bind);
        server_.RelayOpened(network.now(), open->relay);
      } else if (const auto* gone = std::get_if<Server::CloseRelay>(&event)) {
        for (size_t i = 0; i < relays_.size(); ++i) {
          if (relays_[i].first != gone->relay) continue;
          network.Unbind(endpoint_, relays_[i].second);
          relays_.erase(relays_.begin() + static_cast<std::ptrdiff_t>(i));
          break;
        }
      }
    });
  }

  Server& server() { return server_; }
  // To detach it from the network: a server that is switched off.
  sim::EndpointId endpoint() const { return endpoint_; }

  void HandlePacket(absl::Time now, Packet in) {
    server_.HandlePacket(now, in);
    for (const Forward& forward : server_.forwards()) {
      for (size_t i = 0; i < forward.segments; ++i) {
        Copy copy{forward.path, {}};
        for (auto part : {forward.prefix(i), forward.payload(i)}) {
          copy.bytes.insert(copy.bytes.end(), part.begin(), part.end());
        }
        copy.bytes.resize(copy.bytes.size() + forward.padding(i));
        copies_.push_back(std::move(copy));
      }
    }
  }
  void HandleTimeout(absl::Time now) { server_.HandleTimeout(now); }
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out) {
    if (copies_.empty()) return server_.PollTransmit(now, out);
    const Copy copy = std::move(copies_.front());
    copies_.pop_front();
    if (copy.bytes.size() > out.size()) return PollTransmit(now, out);
    std::copy(copy.bytes.begin(), copy.bytes.end(), out.begin());
    return Datagram{copy.path, out.first(copy.bytes.size())};
  }
  std::optional<Event> PollEvent() { return server_.PollEvent(); }
  absl::Time NextTimeout() const { return server_.NextTimeout(); }

 private:
  struct Copy {
    Path path;
    std::vector<uint8_t> bytes;
  };

  Server server_;
  sim::EndpointId endpoint_{};
  std::vector<std::pair<RelayId, TransportAddress>> relays_;
  std::deque<Copy> copies_;
};

// A server for the user "u" (password "p") that relays from `listener`'s
// address to every peer, relays of its own included.
inline ServerOptions OpenServerOptions(const TransportAddress& listener) {
  ServerOptions options;
  options.users = {{"u", "p"}};
  options.relay_addresses = {{listener.ip, {}}};
  options.allow_peers = {*IpPrefix::Parse("0.0.0.0/0")};
  options.listeners = {listener};
  options.own_relays = ServerOptions::OwnRelays::kAllow;
  return options;
}

static_assert(Engine<SimServer>);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_TESTING_SIM_SERVER_H_
