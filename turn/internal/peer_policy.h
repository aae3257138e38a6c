// Which peers clients of the TURN server may reach.

#ifndef KYUU_TURN_INTERNAL_PEER_POLICY_H_
#define KYUU_TURN_INTERNAL_PEER_POLICY_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/address.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

// PeerPolicy keeps a relay from being a way into the operator's own networks.
// It tells three sets apart:
//   - relayed addresses of ours: reached only at ports that are lent at that
//     moment, which the caller knows (Ledger), and never through the network;
//   - our other addresses (interfaces, listeners, bound ones behind a NAT):
//     refused unless the operator names just that address;
//   - the rest: allowed by name, or of the public internet.
// What is denied by name is refused first of all.
class PeerPolicy {
 public:
  explicit PeerPolicy(const ServerOptions& options);

  void SetLists(std::vector<IpPrefix> allow, std::vector<IpPrefix> deny);
  // Takes relay_addresses, listeners and own_addresses from `options`.
  void SetAddresses(const ServerOptions& options);

  // kOwnRelay: yes if a port of `ip` is lent.
  enum class Verdict : uint8_t { kRefused, kAllowed, kOwnRelay };
  // Whether a permission for `ip` may be installed.
  Verdict JudgeIp(const IpAddress& ip) const;
  // Whether data may be sent to `peer`: also refuses port 0 and our listeners.
  // kOwnRelay: yes if this very port is lent; if it is not, kAllowed holds if
  // OpensOwn().
  Verdict JudgePeer(const TransportAddress& peer) const;
  // Whether the operator has opened this address of ours by naming it.
  bool OpensOwn(const IpAddress& ip) const;

  bool IsOwnRelay(const IpAddress& ip) const { return relayed_.contains(ip); }
  // The address as clients are told it: what is bound behind a NAT has another
  // name outside (RFC 8656 speaks of one address, a 1:1 NAT makes it two).
  TransportAddress AsTold(const TransportAddress& address) const {
    const auto it = told_.find(address.ip);
    return it == told_.end() ? address
                             : TransportAddress{it->second, address.port};
  }
  // The other way round.
  TransportAddress AsBound(const TransportAddress& told) const;

 private:
  bool IsListed(const std::vector<IpPrefix>& list, const IpAddress& ip) const;

  std::vector<IpPrefix> allow_;
  std::vector<IpPrefix> deny_;
  absl::flat_hash_set<IpAddress> relayed_;          // As told.
  absl::flat_hash_map<IpAddress, IpAddress> told_;  // By bind, if another.
  absl::flat_hash_set<IpAddress> own_;              // All of ours.
  std::vector<TransportAddress> listeners_;
  ServerOptions::OwnRelays own_relays_;
};

// Whether `ip` is of a range that is not the public internet, in any spelling:
// IPv6 addresses that embed an IPv4 address count as that one.
bool IsSpecial(const IpAddress& ip);

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_PEER_POLICY_H_
