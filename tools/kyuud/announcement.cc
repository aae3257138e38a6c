#include "tools/kyuud/announcement.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "net/interfaces.h"
#include "tools/kyuu/qr/qr_code.h"

namespace kyuu::tools {
namespace {

// A machine with more has bridges and tunnels that nobody asks for.
constexpr size_t kMaxUrls = 4;

absl::string_view SchemeOf(const Config& config) {
  return config.tls_certificates.empty() ? "http://" : "https://";
}

// What a person types into a browser: a wildcard address is no destination.
std::string Url(const TransportAddress& listen, const Config& config) {
  const absl::string_view scheme = SchemeOf(config);
  if (!listen.ip.IsAny()) return absl::StrCat(scheme, listen.ToString(), "/");
  return absl::StrCat(scheme, "localhost:", listen.port, "/");
}

// What a person types at another machine of the network.
void AddUrlsElsewhere(const TransportAddress& listen,
                      const std::vector<net::Interface>& interfaces,
                      const Config& config, std::vector<std::string>& urls) {
  for (const net::Interface& interface : interfaces) {
    const IpAddress& ip = interface.address;
    if (!listen.ip.IsAny() || ip.family() != listen.ip.family() ||
        interface.kind == net::InterfaceKind::kLoopback || ip.IsLinkLocal() ||
        interface.deprecated || interface.temporary ||
        urls.size() >= kMaxUrls) {
      continue;
    }
    urls.push_back(absl::StrCat(
        SchemeOf(config), TransportAddress{ip, listen.port}.ToString(), "/"));
  }
}

// The same, drawn for a phone's camera, where somebody sits before it.
void AnnounceElsewhere(const std::vector<TransportAddress>& http,
                       const Config& config) {
  std::vector<std::string> urls;
  if (config.public_url.has_value()) {
    urls.push_back(absl::StrCat(config.public_url->origin.ToString(),
                                config.public_url->path, "/"));
  } else if (const auto interfaces = net::Interfaces(); interfaces.ok()) {
    for (const TransportAddress& listen : http) {
      AddUrlsElsewhere(listen, *interfaces, config, urls);
    }
  }
  for (const std::string& url : urls) {
    std::printf("kyuud: from other machines %s\n", url.c_str());
  }
  if (urls.empty() || isatty(STDOUT_FILENO) == 0) return;
  const std::optional<QrCode> code = QrCode::Make(urls.front());
  if (code.has_value()) std::printf("%s", code->Draw().c_str());
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
  if (ServesPages(config)) AnnounceElsewhere(http, config);
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
