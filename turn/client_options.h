// What a program sets about a TURN client.

#ifndef KYUU_TURN_CLIENT_OPTIONS_H_
#define KYUU_TURN_CLIENT_OPTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/address.h"
#include "stun/retransmit.h"

namespace kyuu::turn {

// RESERVATION-TOKEN (RFC 8656 section 18.10).
using ReservationId = std::array<uint8_t, 8>;

struct ClientOptions {
  // The bound address of our socket, and the server's.
  TransportAddress local;
  TransportAddress server;
  // kTcp: `local` and `server` are the ends of a stream, plain or TLS, which
  // the driver has connected and cuts into messages (turn/message_stream.h). No
  // request is sent twice, and ChannelData is padded (RFC 8656 section 12.5).
  Transport transport = Transport::kUdp;
  // The long-term credential (RFC 8489 section 9.2).
  std::string username;
  std::string password;
  // If not empty, a server of another realm is refused: the password was not
  // meant for it.
  std::string realm;
  // kAsk: where the server takes tokens of an authorization server (RFC 7635),
  // one is asked for (TokenWanted) and shown; elsewhere the password counts.
  enum class Tokens : uint8_t { kIgnore, kAsk };
  Tokens tokens = Tokens::kIgnore;
  // REQUESTED-ADDRESS-FAMILY; kUnspecified leaves it out, which means IPv4.
  IpFamily relayed_family = IpFamily::kUnspecified;
  // kBoth: ADDITIONAL-ADDRESS-FAMILY, an IPv4 and an IPv6 address of the one
  // allocation, for peers of both. The server may give one of them, and counts
  // each against its quotas. It goes with none of `relayed_family`,
  // `reservation` and Ports::kEvenAndNext (RFC 8656 section 7.1).
  enum class Families : uint8_t { kOne, kBoth };
  Families families = Families::kOne;
  // REQUESTED-TRANSPORT. kTcp: peers are spoken to by turn::ClientConnections
  // alone (RFC 6062); over a stream only.
  Transport relayed_transport = Transport::kUdp;
  // EVEN-PORT: the relayed port is even, and with kEvenAndNext the one above is
  // kept for another allocation of ours, within 30 s, by
  // ClientAllocated::reservation. Of UDP only, like the two below.
  enum class Ports : uint8_t { kAny, kEven, kEvenAndNext };
  Ports ports = Ports::kAny;
  // RESERVATION-TOKEN: the port that was kept so for another one, with its
  // address. It goes with neither `ports` nor `relayed_family`.
  std::optional<ReservationId> reservation;
  // kForbid: no datagram is cut into fragments on its way to a peer, but lost
  // if it is too long (DONT-FRAGMENT). Only Send indications can say so: a
  // channel is bound by BindChannel() alone, and what goes by it is cut as
  // ever. A server that cannot do it answers 420.
  enum class Fragments : uint8_t { kAllow, kForbid };
  Fragments fragments = Fragments::kAllow;
  // Connections of peers that are being made or wait to be bound, at one time;
  // what comes beyond is left to end at the server.
  size_t connections_max = 64;
  // How long one of them waits to be bound: as the server does (section 5.2).
  absl::Duration bind_within = absl::Seconds(30);
  // kAsk: asks for a ticket, with which the client may go on from another
  // address of its own: Move() (RFC 8016). A server that forbids it (405) is
  // asked for an allocation without.
  enum class Mobility : uint8_t { kNone, kAsk };
  Mobility mobility = Mobility::kNone;
  // A longer ticket of a server's is taken for none: it must fit into a
  // request.
  size_t ticket_bytes_max = 512;
  // What to ask for; the server may grant another (RFC 8656 section 7.1).
  absl::Duration lifetime = absl::Minutes(10);
  stun::RetransmitOptions retransmit;  // Over UDP.
  // A channel is bound to a peer when this many datagrams went there: more
  // than the seven sends of a connectivity check that leads nowhere. 0 keeps
  // to Send indications unless BindChannel() is called.
  int channel_after_datagrams = 8;
  // Peer addresses that may be permitted, and peers that may be sent to, at
  // one time. A remote description with hundreds of candidates is an attack.
  size_t permissions_max = 128;
  size_t peers_max = 256;
  // Bytes of payload that wait for the request which they depend on to leave
  // first; see Wrap().
  size_t held_bytes_max = 65'536;
  // How often one request may be challenged (401, 438) before it fails.
  int challenges_max = 3;
  // SOFTWARE of requests; none if empty.
  std::string software;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_CLIENT_OPTIONS_H_
