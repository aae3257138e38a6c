// Which addresses a relay has, from its options and the machine's interfaces.

#ifndef KYUU_RELAY_ADDRESSES_H_
#define KYUU_RELAY_ADDRESSES_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/address.h"
#include "net/interfaces.h"
#include "relay/options.h"
#include "turn/server_options.h"

namespace kyuu::relay {

struct Addresses {
  // Where relayed packets come from, the preferred ones first.
  std::vector<turn::ServerOptions::RelayAddress> relay;
  // All addresses of this machine.
  std::vector<IpAddress> own;

  friend bool operator==(const Addresses&, const Addresses&) = default;
};

// AddressesOf makes them for the interfaces as they are now. Relay addresses
// are those that `options` name and, in families of which it names none, those
// of the listeners: of one on the "any" address each that the machine has,
// public ones first, loopback last, link-local ones not at all. What the
// machine does not have now is left out. `listeners` are the real ones.
Addresses AddressesOf(const Options& options,
                      const std::vector<TransportAddress>& listeners,
                      const std::vector<net::Interface>& interfaces);

// CheckPolicy asks `allows` (turn::Server::AllowsPeer) for what no client may
// reach: each address of this machine at the ports of its listeners and others
// in common use, loopback, and the metadata service of clouds. A relay that
// gives a wrong answer must not start: FAILED_PRECONDITION, with the address.
// `options.server` says which of them the operator has opened by name.
absl::Status CheckPolicy(
    const Options& options, const std::vector<TransportAddress>& listeners,
    const Addresses& addresses,
    absl::FunctionRef<bool(const TransportAddress& peer)> allows);

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_ADDRESSES_H_
