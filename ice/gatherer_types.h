// What a gatherer is told: our sockets, the servers, and its limits.

#ifndef KYUU_ICE_GATHERER_TYPES_H_
#define KYUU_ICE_GATHERER_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/counters.h"
#include "ice/candidate.h"
#include "ice/stream_types.h"
#include "turn/client_options.h"

namespace kyuu::ice {

// The kind of network of an address, best first.
enum class InterfaceKind : uint8_t {
  kEthernet,
  kWifi,
  kUnknown,
  kCellular,
  kVpn,
  kLoopback,
};

// A bound UDP socket of ours, and what its IP address can do over TCP (RFC
// 6544).
struct HostAddress {
  TransportAddress address;
  InterfaceKind kind = InterfaceKind::kUnknown;
  // Connections can be made from it: an active candidate.
  bool tcp_active = false;
  // Where it listens, a passive candidate; 0: it does not.
  uint16_t tcp_port = 0;
  // By which the peer is told of it instead (an mDNS name, which the driver
  // answers for): neither its candidates nor the related addresses of others
  // show the address. "": it is told.
  std::string name = {};
  // Other agents send from it, too. A relay over UDP is asked from others only,
  // as it has one allocation for each of our addresses (RFC 8656 section 2.2:
  // it is known by its 5-tuple).
  bool shared = false;
  // Where a 1:1 NAT in front of us, which is known and need not be asked for,
  // shows this address, with the same ports; of the same family.
  std::optional<IpAddress> mapped = std::nullopt;
  // Where it listens and connects from, too, a candidate for simultaneous
  // opening; another port than `tcp_port`, or 0: there is none.
  uint16_t tcp_so_port = 0;
  // The driver can connect from these two ports, too (StreamWanted::from):
  // STUN servers are asked over TCP as what a NAT shows them.
  bool tcp_lends_ports = false;

  friend bool operator==(const HostAddress&, const HostAddress&) = default;
};

struct TurnServer {
  TransportAddress address;
  std::string username;
  std::string password;
  RelayProtocol protocol = RelayProtocol::kUdp;
  // With kTls and kDtls the name that the server must prove to have; if empty,
  // its address.
  std::string host;

  friend bool operator==(const TurnServer&, const TurnServer&) = default;
  // Credentials aside.
  bool IsSame(const TurnServer& other) const {
    return address == other.address && protocol == other.protocol;
  }
};

// Which candidates to tell (RFC 8828; kRelay is its mode 4).
enum class GatherPolicy : uint8_t { kAll, kRelay };

struct GathererOptions {
  // One local preference falls to each, by kind and then by order. More may
  // come and go: Gatherer::AddHost, RemoveHost.
  std::vector<HostAddress> hosts;
  std::vector<TransportAddress> stun_servers;
  // These are asked as STUN servers too. Of two with one address and protocol
  // the first counts. Those over TCP and TLS are asked as TURN servers only.
  std::vector<TurnServer> turn_servers;
  GatherPolicy policy = GatherPolicy::kAll;
  // kBoth: each TURN server is asked for an IPv4 and an IPv6 address of one
  // allocation (RFC 8656 section 7.1), whatever its own is, so that peers of
  // both families are reached by it; which of them it gives is a candidate. It
  // counts two against its quotas. kOne: for one of its own address's family.
  turn::ClientOptions::Families relay_families =
      turn::ClientOptions::Families::kBoth;
  // As what HostAddress::mapped is told: server-reflexive, or host by a lite
  // agent, which has no others (RFC 8445 section 2.5).
  CandidateType mapped_type = CandidateType::kServerReflexive;

  // When Finished is told at the latest, counted from the start or restart:
  // servers that are silent until then hold up nobody who waits for the end.
  // Should they answer after all, their candidates are told too.
  absl::Duration finish_after = absl::Seconds(1);
  // How long a server may take, counted from its own first request. No server
  // delays another one.
  absl::Duration server_deadline = absl::Seconds(3);
  // Sends at 0, 0.25, 0.75 and 1.75 s fit into the deadline.
  absl::Duration rto_initial = absl::Milliseconds(250);
  // The least time between the first requests of two transactions (RFC 8445
  // section 14.2: 5 ms for all agents of one implementation together).
  absl::Duration pace = absl::Milliseconds(5);
  // A TURN server silent for so long is asked from the next host address as
  // well; the first allocation is kept.
  absl::Duration next_host_after = absl::Milliseconds(500);
  // How long a server has, over UDP and then over TCP, before the next slower
  // protocol is tried at the same address: a relay that works makes slower ones
  // of its machine superfluous, which costs both sides a connection. When the
  // path is in doubt, or is restarted, all are asked.
  absl::Duration slower_after = absl::Milliseconds(200);
  // How long a stream may take to be connected, with TLS.
  absl::Duration stream_deadline = absl::Seconds(10);
  // A relay that was lost (its server restarted, its host address went) is
  // asked for again at once, then after this long, doubled each time.
  absl::Duration relay_retry_initial = absl::Seconds(1);
  absl::Duration relay_retry_max = absl::Minutes(1);
  // Allocations are asked for so that they may go on from another address of
  // ours (RFC 8016). A server that forbids it is asked twice: a round trip
  // more.
  turn::ClientOptions::Mobility mobility = turn::ClientOptions::Mobility::kAsk;
  // How long the server of one whose address went is asked from the others,
  // over and over, before it is lost: as long as a peer waits for a sign of
  // ours (RFC 7675 section 5.1). Without any address, all its lifetime.
  absl::Duration move_deadline = absl::Seconds(30);
  // Keeps server-reflexive addresses alive (RFC 8445 section 11: Tr).
  absl::Duration keepalive_interval = absl::Seconds(15);

  // Limits; what is beyond is not used.
  size_t max_hosts = 16;
  size_t max_servers = 8;  // Of each kind, and of each protocol.
  size_t max_candidates = 64;
  size_t max_peers = 100;  // Remembered for relays that come later.

  friend bool operator==(const GathererOptions&,
                         const GathererOptions&) = default;
};

// What a gatherer counts.
struct GathererStats {
  uint64_t wrapped = 0;
  uint64_t unwrapped = 0;
  uint64_t drop_unknown_path = 0;  // Neither server nor transaction of ours.
  uint64_t drop_unwrappable = 0;   // No such relay, or it refused.
  uint64_t candidate_limit = 0;
  uint64_t peer_limit = 0;
  uint64_t relays_moved = 0;  // Went on from another address of ours.
  uint64_t moves_failed = 0;  // Were lost after all.

  static constexpr Counter<GathererStats> kCounters[] = {
      KYUU_COUNTER(GathererStats, wrapped),
      KYUU_COUNTER(GathererStats, unwrapped),
      KYUU_COUNTER(GathererStats, drop_unknown_path),
      KYUU_COUNTER(GathererStats, drop_unwrappable),
      KYUU_COUNTER(GathererStats, candidate_limit),
      KYUU_COUNTER(GathererStats, peer_limit),
      KYUU_COUNTER(GathererStats, relays_moved),
      KYUU_COUNTER(GathererStats, moves_failed)};
};
static_assert(Countable<GathererStats>);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_GATHERER_TYPES_H_
