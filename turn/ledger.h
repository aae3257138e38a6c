// What the TURN servers of one machine have in common: ports, shares, and what
// strangers may cost.

#ifndef KYUU_TURN_LEDGER_H_
#define KYUU_TURN_LEDGER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "turn/bandwidth.h"
#include "turn/forward.h"
#include "turn/realm_options.h"
#include "turn/server_options.h"

namespace kyuu::turn {

// Ledger knows which relay ports are lent to which allocation, and how many
// each user and each source address has, and what each source costs before it
// has proven anything. One ledger may serve several servers (one per core), so
// that ports, quotas and rates are exact whichever of them a client meets. Like
// Random it is an interface because the engines stay without locks: a server
// alone keeps a LocalLedger; a driver of several puts a lock around one
// (relay/shared_ledger.h).
//
// A source is an IPv4 address or an IPv6 /64.
class Ledger {
 public:
  using Token = std::array<uint8_t, 8>;  // RESERVATION-TOKEN.
  using RelayAddress = ServerOptions::RelayAddress;

  // Who has a port: an allocation of the server ServerOptions::instance.
  struct Holder {
    int instance = 0;
    RelayId relay{};

    friend bool operator==(const Holder&, const Holder&) = default;
  };
  // kEvenAndNext also reserves the port above (RFC 8656 section 18.7).
  enum class Ports : uint8_t { kAny, kEven, kEvenAndNext };
  // Credentials that the operator has given to somebody, or that anybody gets
  // who asks (Server::Grant).
  enum class Trust : uint8_t { kConfigured, kGranted };

  struct Claim {
    Holder holder;
    Path client;  // Its local address is the one that the client has reached.
    std::string user;
    Trust trust = Trust::kConfigured;
    // Of a realm beside the main one: its allocations count, and its bounds
    // hold for them and for the user.
    RealmId realm = kMainRealm;
    size_t realm_max = 0;
    size_t realm_user_max = 0;
    // Of the user, instead of allocations_per_user_max.
    std::optional<size_t> user_max;
    IpFamily family = IpFamily::kV4;
    Transport transport = Transport::kUdp;  // What is relayed.
    Ports ports = Ports::kAny;
    std::optional<Token> token;  // Of a reservation; then no other port does.
  };
  struct Lease {
    TransportAddress bind;     // Of the relay socket.
    TransportAddress relayed;  // What clients and peers are told.
    std::optional<Token> reservation;
  };
  enum class Refusal : uint8_t {
    kFamily,       // No relay address of that family at all.
    kUserQuota,    // allocations_per_user_max, of the server or the realm.
    kSourceQuota,  // allocations_per_source_max, source_share.
    kTotal,        // allocations_max, of the server or the realm.
    kPorts,        // None is free, or no pair, or reservations_max.
    kToken,        // Unknown or expired.
  };
  using Result = std::variant<Lease, Refusal>;

  virtual ~Ledger() = default;

  // Lends a port until Return(). The relay address is the one that the client
  // has reached if it is one of ours; otherwise the first of the family that
  // others reach too: loopback is for clients on loopback. When that is out of
  // ports, those that are for everybody (RelayAddress::For).
  virtual Result Take(absl::Time now, const Claim& claim, Random& random) = 0;
  // Another port for a lease whose socket could not be opened. The old one
  // stays taken until Return() of the new one, so that none is tried twice;
  // after Options::open_attempts it is kPorts. On refusal the lease is over.
  virtual Result Exchange(absl::Time now, const TransportAddress& bind,
                          Random& random) = 0;
  // Ends a lease; nothing if there is none.
  virtual void Return(const TransportAddress& bind) = 0;
  // Ends reservations that have run out. Take() does it too.
  virtual void Expire(absl::Time now) = 0;
  // Ends what is lent to and reserved by a server that closes.
  virtual void ReturnAll(int instance) = 0;

  // Whose the relayed address is, now, for that transport.
  virtual std::optional<Holder> Find(const TransportAddress& relayed,
                                     Transport transport) const = 0;
  // Whether any port of that relayed address is lent, now.
  virtual bool IsLent(const IpAddress& relayed) const = 0;
  // Ports neither lent nor reserved, of all relay addresses.
  virtual size_t free_ports() const = 0;

  // Counts a connection of a user's with a peer (RFC 6062), until
  // ReturnConnection(). kUserQuota: peer_connections_per_user_max; kTotal:
  // peer_connections_max.
  virtual std::optional<Refusal> TakeConnection(const std::string& user) = 0;
  virtual void ReturnConnection(const std::string& user) = 0;

  // What strangers cost: as the methods of Strangers (turn/strangers.h). Asked
  // for requests that prove nothing, and for an allocation's own client once in
  // half of ServerOptions::proven_for; never for data.
  virtual bool TakeGain(absl::Time now, const IpAddress& ip,
                        size_t request_bytes, size_t answer_bytes) = 0;
  virtual bool TakeTry(absl::Time now, const IpAddress& ip) = 0;
  virtual void Proven(absl::Time now, const IpAddress& ip) = 0;

  // Bandwidth: as the methods of Bandwidth (turn/bandwidth.h). Asked for a
  // slice at a time, and only if there are such limits.
  virtual double TakeUserBytes(absl::Time now, Direction direction,
                               absl::string_view user, double wanted) = 0;
  virtual double TakeRealmBytes(absl::Time now, Direction direction,
                                RealmId realm, double bytes_per_s,
                                double wanted) = 0;
  virtual double TakeTotalBytes(absl::Time now, Direction direction,
                                double wanted) = 0;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_LEDGER_H_
