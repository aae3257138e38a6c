// What a consumer sets about a relay, and what it is told.

#ifndef KYUU_RELAY_OPTIONS_H_
#define KYUU_RELAY_OPTIONS_H_

#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/address.h"
#include "turn/server.h"

namespace kyuu::relay {

struct Options {
  // Where STUN and TURN are served over UDP. An "any" address is served at
  // each address of the machine; port 0 lets the kernel choose.
  std::vector<TransportAddress> listen;

  // Where relayed packets come from. Empty: from the listeners' addresses. A
  // `bind` without family stands for the machine's main address of the family
  // of `advertised`, for a NAT in front of it.
  std::vector<turn::ServerOptions::RelayAddress> relay_addresses;

  // Loops that share the work, the caller's among them.
  int threads = 1;

  // Users, realm, ports, peers and limits. The cluster itself sets
  // relay_addresses, listeners, instance, instances, utc_offset and, if empty,
  // nonce_secret.
  turn::ServerOptions server;
};

// For logs and accounting: what the servers tell. Delivered on the caller's
// loop, in order for each allocation.
using AllocationMade = turn::Server::AllocationMade;
using AllocationEnded = turn::Server::AllocationEnded;
// A relay socket could not be opened; the client is given another port, or 508.
struct OpenFailed {
  TransportAddress bind;
  absl::Status status;
};
using Event = std::variant<AllocationMade, AllocationEnded, OpenFailed>;
using EventHandler = absl::AnyInvocable<void(const Event&)>;

// ToText is the reason of an AllocationEnded, in words.
absl::string_view ToText(turn::Server::EndReason reason);

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_OPTIONS_H_
