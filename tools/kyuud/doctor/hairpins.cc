#include "tools/kyuud/doctor/hairpins.h"

#include <algorithm>
#include <future>
#include <optional>
#include <utility>

#include "net/interfaces.h"
#include "net/resolver.h"
#include "tools/kyuu/probe/stun_probe.h"

namespace kyuu::tools {
namespace {

// Where `here` is listened at for STUN over UDP.
std::optional<uint16_t> StunPort(const Config& config, const IpAddress& here) {
  for (const TransportAddress& listen : config.turn_listen) {
    if (listen.port != 0 && listen.ip.is_v4() == here.is_v4() &&
        (listen.ip.IsAny() || listen.ip == here)) {
      return listen.port;
    }
  }
  return std::nullopt;
}

// Whether a kyuud may hold the ports of STUN. Processes of other users are not
// to be seen.
bool MayAnswer(const std::vector<PortFacts>& ports) {
  return std::any_of(ports.begin(), ports.end(), [](const PortFacts& port) {
    return port.transport == Transport::kUdp &&
           absl::IsAlreadyExists(port.bound) &&
           (!port.holder || port.holder->name == "kyuud");
  });
}

class Gathering {
 public:
  Gathering(const Config& config, std::vector<net::Interface> interfaces)
      : config_(config), interfaces_(std::move(interfaces)) {}

  void Add(HairpinFacts::Source source, const IpAddress& told,
           const IpAddress& here) {
    const std::optional<uint16_t> port = StunPort(config_, here);
    if (!port || told.IsAny() || net::IsHere(interfaces_, told)) return;
    const TransportAddress asked = {told, *port};
    const bool is_known =
        std::any_of(found_.begin(), found_.end(),
                    [&](const HairpinFacts& f) { return f.asked == asked; });
    if (!is_known) found_.push_back({source, asked, here, std::nullopt});
  }
  void AddUrl(absl::Duration patience) {
    const auto addresses =
        net::ResolveWithin(config_.public_url->origin.host,
                           config_.turn_listen.front().port, patience);
    // A name that is not known here has no address that could be asked.
    if (!addresses.ok()) return;
    for (const TransportAddress& address : *addresses) {
      const auto here = net::SourceAddress(address);
      if (here.ok()) {
        Add(HairpinFacts::Source::kPublicUrl, address.ip, *here);
      }
    }
  }
  std::vector<HairpinFacts> Take() { return std::move(found_); }

 private:
  const Config& config_;
  const std::vector<net::Interface> interfaces_;
  std::vector<HairpinFacts> found_;
};

}  // namespace

std::vector<HairpinFacts> GatherHairpins(const Config& config,
                                         const std::vector<PortFacts>& ports,
                                         absl::Duration patience) {
  const auto interfaces = net::Interfaces();
  if (!interfaces.ok() || config.turn_listen.empty()) return {};
  Gathering gathering(config, *interfaces);
  for (const Config::RelayAddress& address : config.relay_addresses) {
    if (address.bind) {
      gathering.Add(HairpinFacts::Source::kRelayAddress, address.told,
                    *address.bind);
    }
  }
  if (config.public_url) gathering.AddUrl(patience);
  std::vector<HairpinFacts> hairpins = gathering.Take();
  if (!MayAnswer(ports)) return hairpins;
  std::vector<std::future<absl::Status>> answers;
  answers.reserve(hairpins.size());
  for (const HairpinFacts& hairpin : hairpins) {
    answers.push_back(std::async(std::launch::async, [&hairpin, patience] {
      return AskStun({}, hairpin.asked, patience).status();
    }));
  }
  for (size_t i = 0; i < hairpins.size(); ++i) {
    hairpins[i].answered = answers[i].get();
  }
  return hairpins;
}

}  // namespace kyuu::tools
