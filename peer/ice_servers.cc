#include "peer/ice_servers.h"

#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "ice/candidate.h"

namespace kyuu::peer {
namespace {

absl::StatusOr<ServerUrl> ParseUrl(absl::string_view text,
                                   const IceServer& server) {
  const auto wrong = [text](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": ", why));
  };
  const bool turn =
      absl::StartsWith(text, "turn:") || absl::StartsWith(text, "turns:");
  if (!turn && !absl::StartsWith(text, "stun:") &&
      !absl::StartsWith(text, "stuns:")) {
    return wrong("a server's URL begins with stun:, turn: or turns:");
  }
  // RFC 7064 and 7065 know no credentials in it.
  if (absl::StrContains(text, '@')) return wrong("credentials go beside it");
  if (turn && (server.username.empty() || server.credential.empty())) {
    return wrong("a TURN server needs username and credential");
  }
  KYUU_ASSIGN_OR_RETURN(ServerUrl url,
                        ServerUrl::Parse(text, ServerKind::kStun));
  if (!turn && url.protocol != ice::RelayProtocol::kUdp) {
    return wrong("only over UDP does STUN tell an address for UDP");
  }
  if (turn) {
    url.username = server.username;
    url.password = server.credential;
  }
  return url;
}

}  // namespace

absl::StatusOr<std::vector<ServerUrl>> ParseIceServers(
    absl::Span<const IceServer> servers) {
  std::vector<ServerUrl> urls;
  for (const IceServer& server : servers) {
    if (server.urls.empty()) {
      return absl::InvalidArgumentError("an ICE server without URLs");
    }
    for (const std::string& text : server.urls) {
      KYUU_ASSIGN_OR_RETURN(ServerUrl url, ParseUrl(text, server));
      urls.push_back(std::move(url));
    }
  }
  return urls;
}

void AddResolved(const ServerUrl& url,
                 absl::Span<const TransportAddress> addresses,
                 std::vector<TransportAddress>& stun,
                 std::vector<ice::TurnServer>& turn) {
  std::map<IpFamily, size_t> taken;
  for (const TransportAddress& address : addresses) {
    if (++taken[address.ip.family()] > kAddressesPerFamilyMax) continue;
    if (url.kind == ServerKind::kStun) {
      stun.push_back(address);
    } else {
      turn.push_back(
          {address, url.username, url.password, url.protocol, url.host});
    }
  }
}

}  // namespace kyuu::peer
