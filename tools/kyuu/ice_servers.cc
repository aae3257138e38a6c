#include "tools/kyuu/ice_servers.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "base/status_macros.h"
#include "ice/candidate.h"
#include "net/resolve.h"
#include "peer/ice_servers.h"

namespace kyuu::tools {

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
  peer::AddResolved(url, addresses, options.stun_servers, options.turn_servers);
  return absl::OkStatus();
}

}  // namespace kyuu::tools
