// Which peers clients of the TURN server may reach.

#ifndef KYUU_TURN_INTERNAL_PEER_POLICY_H_
#define KYUU_TURN_INTERNAL_PEER_POLICY_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/address.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

// PeerPolicy keeps a relay from being a way into the operator's own networks.
// Order of judgement: denied, then allowed by name, then our own addresses,
// then the special ranges; what remains is the public internet.
class PeerPolicy {
 public:
  explicit PeerPolicy(const ServerOptions& options);

  void SetLists(std::vector<IpPrefix> allow, std::vector<IpPrefix> deny);

  // Whether a permission for `ip` may be installed.
  bool AllowsIp(const IpAddress& ip) const;
  // Whether a datagram may be sent to `peer`: also refuses port 0, our
  // listeners, and of our own addresses all but the relay range.
  bool AllowsPeer(const TransportAddress& peer) const;

 private:
  bool IsListed(const std::vector<IpPrefix>& list, const IpAddress& ip) const;

  std::vector<IpPrefix> allow_;
  std::vector<IpPrefix> deny_;
  absl::flat_hash_set<IpAddress> own_;  // Of listeners and relays.
  std::vector<TransportAddress> listeners_;
  ServerOptions::OwnRelays own_relays_;
  uint16_t relay_port_low_;
  uint16_t relay_port_high_;
};

// Whether `ip` is of a range that is not the public internet, in any spelling:
// IPv6 addresses that embed an IPv4 address count as that one.
bool IsSpecial(const IpAddress& ip);

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_PEER_POLICY_H_
