#include "relay/options.h"

namespace kyuu::relay {

absl::string_view ToText(turn::Server::EndReason reason) {
  switch (reason) {
    case turn::Server::EndReason::kReleased:
      return "released";
    case turn::Server::EndReason::kExpired:
      return "expired";
    case turn::Server::EndReason::kRevoked:
      return "credential revoked";
    case turn::Server::EndReason::kClosed:
      return "server closed";
  }
  return "?";
}

}  // namespace kyuu::relay
