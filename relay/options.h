// What a consumer sets about a relay, and what it is told.

#ifndef KYUU_RELAY_OPTIONS_H_
#define KYUU_RELAY_OPTIONS_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/address.h"
#include "relay/dtls_clients.h"
#include "relay/stream_client.h"
#include "turn/server.h"

namespace kyuu::relay {

struct Options {
  // Where STUN and TURN are served over UDP. An "any" address is served at
  // each address of the machine; one that the machine does not have yet, once
  // it has it; port 0 lets the kernel choose. What server.discovery needs
  // beside is added.
  std::vector<TransportAddress> listen;

  // Where relayed packets come from. In a family of which none is named: from
  // the address that the client has reached, if others can reach it too. A
  // `bind` without family stands for `advertised` while the machine has it, and
  // else for its main address of that family, with a NAT in front of it.
  std::vector<turn::ServerOptions::RelayAddress> relay_addresses;

  // Loops that share the work.
  int threads = 1;
  // Whether the caller's loop is one of them. With other work on it, which
  // datagrams would have to wait for, it had better not be; there are as many
  // loops beside it then.
  enum class MainLoop : uint8_t { kServes, kKeptFree };
  MainLoop main_loop = MainLoop::kServes;

  // Users, realm, ports, peers and limits; `listeners` are those of other
  // services on this machine, which no client reaches by relay. The cluster
  // itself sets relay_addresses, own_addresses, instance, utc_offset and, if
  // empty, nonce_secret, and adds its own listeners.
  turn::ServerOptions server;

  // Clients on TCP and TLS; the loops share what these may hold.
  StreamSettings streams;

  // Clients on DTLS, at the addresses of `listen`, once Cluster::SetDtls() has
  // given a certificate; the loops share the number of sessions.
  DtlsClientsOptions dtls;

  // What waits at one loop of datagrams that other loops hand over between
  // relayed addresses; beyond, they are dropped and counted. A loop that is so
  // far behind would deliver them too late anyway.
  size_t handover_bytes_max = 4 << 20;
};

// For logs and accounting: what the servers tell. Delivered on the caller's
// loop, in order for each allocation.
using AllocationMade = turn::Server::AllocationMade;
using AllocationEnded = turn::Server::AllocationEnded;
// A relay socket could not be opened; the client is given another port, or 508.
struct OpenFailed {
  TransportAddress bind;
  std::string reason;
};
using AllocationRefused = turn::Server::AllocationRefused;
// With ServerOptions::authorizing: to be answered by Cluster::Authorize().
using AuthorizationWanted = turn::Server::AuthorizationWanted;
// The machine's addresses have changed, and with them where it relays from.
struct AddressesChanged {
  std::vector<turn::ServerOptions::RelayAddress> relay;
};
using Event = std::variant<AllocationMade, AllocationEnded, AllocationRefused,
                           AuthorizationWanted, OpenFailed, AddressesChanged>;
using EventHandler = absl::AnyInvocable<void(const Event&)>;

// ToText is the reason of an AllocationEnded, in words.
absl::string_view ToText(turn::Server::EndReason reason);
// And that of an AllocationRefused.
absl::string_view ToText(turn::Ledger::Refusal refusal);

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_OPTIONS_H_
