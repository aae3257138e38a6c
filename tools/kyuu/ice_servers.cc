#include "tools/kyuu/ice_servers.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/status_macros.h"
#include "ice/candidate.h"
#include "net/resolve.h"

namespace kyuu::tools {

void AddResolved(const ServerUrl& url,
                 absl::Span<const TransportAddress> addresses,
                 peer::Options& options) {
  std::map<IpFamily, size_t> taken;
  for (const TransportAddress& address : addresses) {
    if (++taken[address.ip.family()] > kAddressesPerFamilyMax) continue;
    if (url.kind == ServerKind::kStun) {
      options.stun_servers.push_back(address);
    } else {
      options.turn_servers.push_back(
          {address, url.username, url.password, url.protocol, url.host});
    }
  }
}

absl::Status AddIceServer(absl::string_view text, ServerKind kind,
                          absl::string_view username,
                          absl::string_view password, peer::Options& options) {
  KYUU_ASSIGN_OR_RETURN(ServerUrl url, ServerUrl::Parse(text, kind));
  if (url.kind == ServerKind::kStun &&
      url.protocol != ice::RelayProtocol::kUdp) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\": only over UDP does STUN tell an address for UDP"));
  }
  if (url.username.empty()) {
    url.username = std::string(username);
    url.password = std::string(password);
  }
  KYUU_ASSIGN_OR_RETURN(const std::vector<TransportAddress> addresses,
                        net::Resolve(url.host, url.port));
  AddResolved(url, addresses, options);
  return absl::OkStatus();
}

}  // namespace kyuu::tools
