// A network address translator and firewall (RFC 4787), as a table without
// I/O.

#ifndef KYUU_SIM_NAT_H_
#define KYUU_SIM_NAT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"

namespace kyuu::sim {

// Behavior is how much of the remote endpoint a mapping or a filter depends on
// (RFC 4787 sections 4.1 and 5).
enum class Behavior {
  kEndpointIndependent,
  kAddressDependent,
  kAddressAndPortDependent,
};

struct NatOptions {
  Behavior mapping = Behavior::kEndpointIndependent;
  Behavior filtering = Behavior::kEndpointIndependent;
  // Whether two inside hosts reach each other by their outside addresses; the
  // source they see is the outside one (RFC 4787 section 6, REQ-9).
  bool hairpin = false;
  // How long a mapping, and a hole in the filter, lives after the last
  // outbound packet. RFC 4787 section 4.3, REQ-5: at least 2 minutes, 5 wanted.
  absl::Duration mapping_lifetime = absl::Minutes(5);
  // Whether inbound packets keep a mapping alive too (REQ-6c: MAY).
  bool inbound_refreshes = false;
  // Whether the outside port is the inside one while it is free.
  bool preserve_port = false;
  uint16_t first_port = 10'000;
  uint16_t last_port = 60'000;

  // The outside addresses. A family without one is not translated: its packets
  // pass unchanged, behind the same filter (an IPv6 router with a firewall).
  std::vector<IpAddress> outside;

  // The firewall. `block_udp` leaves streams only. If `allowed` is not empty,
  // only destinations in one of its blocks can be reached from inside, and if
  // `allowed_ports` is not, only those ports.
  bool block_udp = false;
  std::vector<IpPrefix> allowed;
  std::vector<uint16_t> allowed_ports;
  // Whether connections may be made to addresses inside that are not
  // translated, with nobody there having sent something first.
  bool accept_streams = false;

  // The four types by their traditional names (RFC 3489 section 5).
  static NatOptions FullCone(IpAddress outside);
  static NatOptions AddressRestrictedCone(IpAddress outside);
  static NatOptions PortRestrictedCone(IpAddress outside);
  static NatOptions Symmetric(IpAddress outside);
  // A stateful firewall that translates nothing.
  static NatOptions Firewall();
};

// NatStats counts packets by why they did not pass.
struct NatStats {
  uint64_t outbound = 0;  // Passed.
  uint64_t inbound = 0;   // Passed.
  uint64_t no_mapping = 0;
  uint64_t filtered = 0;
  uint64_t blocked = 0;  // By the firewall.
  uint64_t ports_exhausted = 0;
};

// Nat holds the mappings of one translator. sim::Network owns them; it can be
// tested, and used, alone.
class Nat {
 public:
  // `random` chooses outside ports and must outlive the Nat.
  Nat(NatOptions options, Random& random);

  // Outbound returns the source address that `destination` sees of a packet
  // from `inside`, making or refreshing the mapping; nullopt if it is dropped.
  std::optional<TransportAddress> Outbound(
      absl::Time now, const TransportAddress& inside,
      const TransportAddress& destination,
      Transport transport = Transport::kUdp);
  // Inbound returns the inside address that gets a packet from `source` to
  // `outside`; nullopt if it is dropped.
  std::optional<TransportAddress> Inbound(
      absl::Time now, const TransportAddress& source,
      const TransportAddress& outside, Transport transport = Transport::kUdp);

  // Whether `ip` is one of the outside addresses.
  bool Owns(const IpAddress& ip) const;
  // Whether packets of this family are translated.
  bool Translates(IpFamily family) const;
  // Forgets all mappings, as a restart does.
  void Restart();

  NatOptions& options() { return options_; }
  const NatOptions& options() const { return options_; }
  const NatStats& stats() const { return stats_; }
  size_t mappings() const { return mappings_.size(); }

 private:
  // What a mapping is looked up by: the inside address and as much of the
  // destination as the behavior depends on.
  using Key = std::pair<TransportAddress, TransportAddress>;
  struct Mapping {
    TransportAddress inside;
    absl::Time used;
    // Remote endpoints sent to, masked by the filtering behavior.
    std::map<TransportAddress, absl::Time> holes;
  };

  bool Expired(absl::Time used, absl::Time now) const;
  bool Blocked(const TransportAddress& destination, Transport transport) const;
  std::optional<TransportAddress> NewOutside(absl::Time now,
                                             const TransportAddress& inside);
  void Purge(absl::Time now);

  NatOptions options_;
  Random& random_;
  NatStats stats_;
  std::map<Key, TransportAddress> outside_of_;
  std::map<TransportAddress, Mapping> mappings_;  // By outside address.
};

}  // namespace kyuu::sim

#endif  // KYUU_SIM_NAT_H_
