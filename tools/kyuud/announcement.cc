#include "tools/kyuud/announcement.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {
namespace {

// What a person types into a browser: a wildcard address is no destination.
std::string Url(const TransportAddress& listen, const Config& config) {
  const absl::string_view scheme =
      config.tls_certificates.empty() ? "http://" : "https://";
  if (!listen.ip.IsAny()) return absl::StrCat(scheme, listen.ToString(), "/");
  return absl::StrCat(scheme, "localhost:", listen.port, "/");
}

}  // namespace

bool ServesPages(const Config& config) {
  return config.mode == Mode::kAll || config.mode == Mode::kHttp;
}

std::vector<std::string> RelaysOf(const relay::Cluster& turn) {
  std::vector<std::string> relays;
  for (const auto& relay : turn.relay_addresses()) {
    relays.push_back(relay.told().ToString());
  }
  return relays;
}

void Announce(const std::vector<TransportAddress>& http,
              const relay::Cluster& turn, const Config& config) {
  for (const TransportAddress& listen : http) {
    std::printf("kyuud: %s at %s (listening on tcp %s)\n",
                ServesPages(config) ? "page and signaling" : "health",
                Url(listen, config).c_str(), listen.ToString().c_str());
  }
  const std::vector<std::string> relays = RelaysOf(turn);
  for (const TransportAddress& listener : turn.listeners()) {
    if (config.mode == Mode::kStun) {
      std::printf("kyuud: STUN on udp %s\n", listener.ToString().c_str());
      continue;
    }
    std::printf(
        "kyuud: STUN and TURN on udp %s, relaying from %s ports %d-%d\n",
        listener.ToString().c_str(),
        relays.empty() ? "no address yet,"
                       : absl::StrJoin(relays, " and ").c_str(),
        config.turn.relay_port_low, config.turn.relay_port_high);
  }
  std::fflush(stdout);
}

}  // namespace kyuu::tools
