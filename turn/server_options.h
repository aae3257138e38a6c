// What an operator sets about a TURN server, every default the safe one.

#ifndef KYUU_TURN_SERVER_OPTIONS_H_
#define KYUU_TURN_SERVER_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "turn/bandwidth.h"
#include "turn/realm_options.h"

namespace kyuu::turn {

// All but realm, nonce_lifetime, instance, instances, own_relays, visitors_max,
// listeners and what is about relayed addresses may change while a server runs
// (Server::SetOptions). Clients and peers that are served no more end at once
// then; who has more than a quota that has shrunk keeps it.
struct ServerOptions {
  // --- Who may use it: any of the three kinds, and Server::Grant() ---

  // At most 127 characters. Each counts against what a stranger can be sent,
  // see unauthenticated_gain_bytes_burst.
  std::string realm = "kyuu";
  using User = turn::User;
  std::vector<User> users;
  // Time-limited credentials: user "EXPIRY:NAME" or "EXPIRY" (seconds of Unix
  // time), password base64(HMAC(secret, user)) with any of these secrets, so
  // that one can take another's place; at most 8.
  std::vector<std::string> rest_secrets;
  using RestHash = turn::RestHash;
  RestHash rest_hash = RestHash::kSha1;
  // Those beside the main one, at most 255; see there.
  std::vector<RealmOptions> realms;
  using AccessTokens = turn::AccessTokens;
  AccessTokens tokens;
  // What to add to the driver's clock to get UTC, by which EXPIRY and the age
  // of nonces are judged.
  absl::Duration utc_offset;
  // Makes nonces and reservation tokens; servers that share it accept each
  // other's, which those of one group (`instances`) must. Empty: drawn at
  // random, or kept. After a change the old one still counts for a lifetime.
  std::string nonce_secret;
  // RFC 8489 section 9.2 suggests to expire them; RFC 5766 section 4: "at
  // least once every hour".
  absl::Duration nonce_lifetime = absl::Hours(1);

  // Where clients are offered SHA-256 beside MD5, and to hide their names
  // behind a hash (RFC 8489 section 9.2; names only without rest_secrets). A
  // 401 is 24 bytes longer then: 84 to an Allocate of 28 with a realm of four
  // characters, and more than three times that for longer realms, which over
  // UDP is what a forged source can be sent. On streams nobody's address is
  // forged.
  enum class Sha256 : uint8_t { kNowhere, kOnStreams, kEverywhere };
  Sha256 sha256 = Sha256::kOnStreams;

  // Whom requests are answered: everybody, unless there are blocks here; and
  // nobody of `deny_clients`, whatever `allow_clients` says.
  std::vector<IpPrefix> allow_clients;
  std::vector<IpPrefix> deny_clients;
  // With kStun there is no TURN: its requests are of methods not supported
  // (RFC 8489 section 6.3: silently discarded).
  enum class Service : uint8_t { kStunAndTurn, kStun };
  Service service = Service::kStunAndTurn;
  // kDraining makes no new allocations, and those that there are go on. Who
  // asks for one gets 300 with that of `alternate_servers` that is of the
  // family of the address asked (RFC 8489 section 10), or 508.
  enum class Admission : uint8_t { kOpen, kDraining };
  Admission admission = Admission::kOpen;
  std::vector<TransportAddress> alternate_servers;

  // Two listeners that differ in IP and port, the first and the other one of
  // RFC 5780 section 3, or none: clients find out then what their NAT does. The
  // driver has the sockets of both IPs at both ports. A Binding answer is 24
  // bytes longer there, and goes where a forged source wants it.
  std::vector<TransportAddress> discovery;

  // --- Relayed addresses ---

  struct RelayAddress {
    IpAddress bind;        // Of our own interfaces; not the "any" address.
    IpAddress advertised;  // What clients are told behind a 1:1 NAT; `bind` if
                           // unspecified.
    // Whom it is for: clients that have reached us at it (and, of the first of
    // its family, those that have reached us at none of them), or everybody.
    enum class For : uint8_t { kItsOwnNetwork, kEverybody };
    For whom = For::kItsOwnNetwork;

    const IpAddress& told() const {
      return advertised == IpAddress() ? bind : advertised;
    }
    friend bool operator==(const RelayAddress&, const RelayAddress&) = default;
  };
  std::vector<RelayAddress> relay_addresses;  // At most 256.
  // RFC 8656 section 7.2: the range of dynamic ports is RECOMMENDED.
  uint16_t relay_port_low = 49152;
  uint16_t relay_port_high = 65535;
  // Of several servers that share the addresses (one per core) each has a
  // number of its own and all have one Ledger. A socket of a relay must refuse
  // an address in use.
  int instance = 0;   // Of 0 to 255, below `instances`,
  int instances = 1;  // whom the driver takes what is handed on to.
  // How many ports are tried when the driver cannot bind one.
  int open_attempts = 8;

  // --- Peers: whom clients may reach ---

  // Refused are special ranges (loopback, private, link-local, multicast,
  // documentation, ...; turn/internal/peer_policy.cc has the list) in whatever
  // IPv6 spelling, unless a block here has them; and what is in `deny_peers`,
  // whatever `allow_peers` says. Our own addresses are opened only by a block
  // of just that address, or for loopback by a block within loopback: who
  // allows a private network does not mean the server's own services there.
  std::vector<IpPrefix> allow_peers;
  std::vector<IpPrefix> deny_peers;
  // Our own listeners, TURN's and those of other services beside it. No client
  // reaches them by way of a relay, not even if allowed: an allocation made
  // through an allocation is a loop. An "any" address is at each of ours.
  std::vector<TransportAddress> listeners;
  // The addresses of this machine, beside those of listeners and relays.
  std::vector<IpAddress> own_addresses;
  // Whether the relayed addresses of one client are peers to another, as two
  // clients need that both may only relay. Just those that are lent at that
  // moment can be reached then, and without the network (Forward::Exit).
  enum class OwnRelays : uint8_t { kRefuse, kAllow };
  OwnRelays own_relays = OwnRelays::kRefuse;

  // The highest channel number that a client may bind. RFC 8656 section 12
  // ends the range at 0x4fff, RFC 5766 at 0x7fff, and clients of the latter use
  // all of it; nothing else begins with those bytes on this port. 0x4fff is the
  // strict choice: numbers above it then get 400.
  uint16_t channel_max = 0x7fff;

  // Whether clients may go on with an allocation from another address, or by
  // another transport (RFC 8016), whichever server of the ledger they come to.
  // What came by a stream outlives it then, until its lifetime ends. Who relays
  // TCP stays at its stream.
  enum class Mobility : uint8_t { kForbid, kAllow };
  Mobility mobility = Mobility::kAllow;

  // Whether clients on streams may have TCP connections with peers (RFC 6062).
  enum class TcpRelay : uint8_t { kRefuse, kOffer };
  TcpRelay tcp_relay = TcpRelay::kOffer;
  // How long a connection to a peer may take (RFC 6062 section 5.2: at least 30
  // seconds), and how long one waits until the client binds it.
  absl::Duration peer_connect_timeout = absl::Seconds(30);
  absl::Duration peer_bind_timeout = absl::Seconds(30);

  // Who is told what ICMP says of their datagrams (RFC 8656 section 11.5): by a
  // Data indication without DATA, of which some clients make an end of all
  // reading. Who has asked for DONT-FRAGMENT expects it.
  enum class IcmpReports : uint8_t {
    kNobody,
    kWhoAsksDontFragment,
    kEverybody
  };
  IcmpReports icmp_reports = IcmpReports::kWhoAsksDontFragment;
  // The least time between two to one allocation: ten a second find a path's
  // MTU, and whoever makes peers refuse makes no flood of it.
  absl::Duration icmp_report_interval = absl::Milliseconds(100);

  // About user names that nobody has here.
  using Authorizing = turn::Authorizing;
  Authorizing authorizing;

  // --- Lifetimes (RFC 8656 sections 3.2, 9, 12) ---

  absl::Duration lifetime_default = absl::Minutes(10);
  absl::Duration lifetime_max = absl::Hours(1);
  absl::Duration permission_lifetime = absl::Minutes(5);
  absl::Duration channel_lifetime = absl::Minutes(10);
  absl::Duration reservation_lifetime = absl::Seconds(30);
  // How long a credential that has expired or was revoked still serves the
  // allocations that were made with it: a call goes on when its signaling has
  // broken. No new allocation is made with it. Zero ends their refreshes with
  // the credential.
  absl::Duration revoked_grace = absl::Hours(6);

  // --- Bounds on what clients can make us hold ---

  // All servers of one Ledger together.
  size_t allocations_max = 16'384;        // Beyond: 508.
  size_t allocations_per_user_max = 256;  // Beyond: 486.
  // Per IPv4 address or IPv6 /64; beyond: 486. A school behind one NAT fits.
  size_t allocations_per_source_max = 1024;
  // The part of a relay address's ports that one source may have, at least one
  // port; beyond: 486. Programs of this machine with credentials that were not
  // made by Grant() are trusted with all of them.
  double source_share = 0.5;
  size_t permissions_max = 128;    // Per allocation; beyond: 508.
  size_t channels_max = 256;       // Per allocation; beyond: 508.
  size_t reservations_max = 1024;  // Beyond: 508.
  size_t granted_max = 65'536;     // Credentials by Grant(), of a realm.
  // Connections with peers (RFC 6062). Each is two descriptors, and a second
  // one of the client. Per allocation, beyond: 508; per user, beyond: 486; and
  // of all servers of one Ledger, beyond: 508. Peers that come are reset.
  size_t peer_connections_per_allocation_max = 64;
  size_t peer_connections_per_user_max = 256;
  size_t peer_connections_max = 4096;
  // Allocations of other servers whose clients have moved to addresses that
  // bring their packets here; a client beyond is told that it has none (437).
  size_t visitors_max = 16'384;
  // Answers and events that wait for the driver; beyond, requests are dropped.
  size_t answers_max = 1024;
  size_t events_max = 4096;

  // --- Bounds on what a stranger can make us do, for each source: an IPv4
  // address or an IPv6 /64 (RFC 8656 section 21.1). All servers of one Ledger
  // together ---

  // Bytes by which errors to whom has proven nothing (400, 401, 420, 438) may
  // be longer than the requests: what a forged source can turn against its
  // owner. 401 to an Allocate of 28 bytes is 32 longer with a realm of 4
  // characters, 56 with one of 28: a thousand clients behind one address are
  // answered at once. A rate of 0 removes the limit.
  double unauthenticated_gain_bytes_per_s = 16'384;
  double unauthenticated_gain_bytes_burst = 65'536;
  // Wrong credentials that are looked at, beyond the first `burst`; others are
  // dropped before their HMAC is computed. Only requests with a nonce that we
  // gave to this very address count, and those of an allocation's own client
  // are always looked at. A rate of 0 removes the limit.
  double auth_failures_per_s = 10;
  double auth_failures_burst = 100;
  // A source with a good credential gets so many times the bytes for so long.
  double proven_factor = 10;
  absl::Duration proven_for = absl::Minutes(10);
  // Sources that are told apart at one time, by all servers of one Ledger, in a
  // table of fixed size.
  size_t unauthenticated_sources = 4096;

  // What may be relayed in a second; all that comes unless set.
  BandwidthLimits bandwidth;

  // SOFTWARE of authenticated answers; none if empty.
  std::string software;

  // INVALID_ARGUMENT with the reason if a server cannot work this way, or not
  // safely: an empty name, password or range, a relay address that is "any".
  absl::Status Validate() const;
  // Whether requests of `ip` are answered, by allow_clients and deny_clients.
  bool ServesClient(const IpAddress& ip) const;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_SERVER_OPTIONS_H_
