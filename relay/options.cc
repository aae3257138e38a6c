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
    case turn::Server::EndReason::kDisconnected:
      return "connection ended";
    case turn::Server::EndReason::kClosed:
      return "server closed";
  }
  return "?";
}

absl::string_view ToText(turn::Ledger::Refusal refusal) {
  switch (refusal) {
    case turn::Ledger::Refusal::kFamily:
      return "no relay address for this client";
    case turn::Ledger::Refusal::kUserQuota:
      return "quota of the user";
    case turn::Ledger::Refusal::kSourceQuota:
      return "quota of the source address";
    case turn::Ledger::Refusal::kTotal:
      return "quota of all";
    case turn::Ledger::Refusal::kPorts:
      return "no port free";
    case turn::Ledger::Refusal::kToken:
      return "no such reservation";
  }
  return "?";
}

}  // namespace kyuu::relay
