#include "peer/internal/server_names.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "ice/candidate.h"

namespace kyuu::peer::internal {
namespace {

// RFC 7065 section 3.1.
absl::string_view SchemeOf(std::optional<ice::RelayProtocol> protocol) {
  if (!protocol) return "stun:";
  return *protocol == ice::RelayProtocol::kUdp ||
                 *protocol == ice::RelayProtocol::kTcp
             ? "turn:"
             : "turns:";
}

absl::string_view TransportOf(std::optional<ice::RelayProtocol> protocol) {
  if (!protocol) return "";
  return *protocol == ice::RelayProtocol::kUdp ||
                 *protocol == ice::RelayProtocol::kDtls
             ? "?transport=udp"
             : "?transport=tcp";
}

}  // namespace

void ServerNames::Add(const std::vector<TransportAddress>& stun_servers,
                      const std::vector<ice::TurnServer>& turn_servers,
                      absl::string_view host) {
  for (const TransportAddress& address : stun_servers) {
    Add({address, std::nullopt, std::string(host)});
  }
  for (const ice::TurnServer& server : turn_servers) {
    Add({server.address, server.protocol,
         server.host.empty() ? std::string(host) : server.host});
  }
}

void ServerNames::Add(Server server) {
  std::erase_if(servers_, [&](const Server& known) {
    return known.address == server.address && known.protocol == server.protocol;
  });
  if (servers_.size() >= kMax) servers_.erase(servers_.begin());
  servers_.push_back(std::move(server));
}

const ServerNames::Server* ServerNames::Find(
    const TransportAddress& address,
    std::optional<ice::RelayProtocol> protocol) const {
  const auto it =
      std::find_if(servers_.begin(), servers_.end(), [&](const Server& server) {
        return server.address == address && server.protocol == protocol;
      });
  return it == servers_.end() ? nullptr : &*it;
}

std::string ServerNames::UrlOf(const ice::Candidate& candidate) const {
  if (candidate.server.port == 0) return "";
  const Server* server = Find(candidate.server, candidate.relay_protocol);
  // A TURN server is asked as a STUN server, too.
  if (server == nullptr && !candidate.relay_protocol) {
    server = Find(candidate.server, ice::RelayProtocol::kUdp);
  }
  const std::optional<ice::RelayProtocol> protocol =
      server == nullptr ? candidate.relay_protocol : server->protocol;
  const std::string host = server == nullptr ? std::string() : server->host;
  // With the brackets of an IPv6 one.
  const std::string place =
      host.empty() || IpAddress::Parse(host).ok()
          ? candidate.server.ToString()
          : absl::StrCat(host, ":", candidate.server.port);
  return absl::StrCat(SchemeOf(protocol), place, TransportOf(protocol));
}

}  // namespace kyuu::peer::internal
