// What a TURN client tells: its events, and the data of peers.

#ifndef KYUU_TURN_CLIENT_EVENTS_H_
#define KYUU_TURN_CLIENT_EVENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "stun/protocol.h"
#include "turn/client_options.h"

namespace kyuu::turn {

// A family that the server did not give (RFC 8656 section 7.3): with 440 it has
// none of it, with 486 or 508 ask for it later.
struct ClientFamilyRefused {
  IpFamily family = IpFamily::kUnspecified;
  stun::Error error{};
};
// The allocation is there; `lifetime` is what the server granted.
struct ClientAllocated {
  TransportAddress relayed;
  TransportAddress mapped;  // The TCP one over a stream.
  absl::Duration lifetime;
  // With ClientOptions::Ports::kEvenAndNext: of the port above.
  std::optional<ReservationId> reservation = std::nullopt;
  // With ClientOptions::Families::kBoth: the IPv6 address, if `relayed` is the
  // IPv4 one; else what the server says of the family that is missing. Neither
  // from a server that knows of one family an allocation only.
  std::optional<TransportAddress> additional = std::nullopt;
  std::optional<ClientFamilyRefused> refused = std::nullopt;
};
// One family of an allocation has ended, and the other goes on: OK after
// Release(), else why. Its permissions and channels are gone with it.
struct ClientFamilyEnded {
  TransportAddress relayed;
  absl::Status status;
  std::optional<stun::Error> error;
};
// The server lets datagrams of this address pass.
struct ClientPermissionGranted {
  IpAddress peer;
};
// The server refused, or has not answered for so long that the permission has
// run out; nothing passes to or from this address. Permit() may try again.
struct ClientPermissionFailed {
  IpAddress peer;
  absl::Status status;
  std::optional<stun::Error> error;
};
// Datagrams to this peer now carry 4 bytes of overhead instead of 36 or more.
struct ClientChannelBound {
  TransportAddress peer;
  uint16_t channel = 0;
};
// The allocation with all that hangs on it goes on from `local`; so many
// seconds as `lifetime` has are left of it unless it is refreshed.
struct ClientMoved {
  TransportAddress local;
  absl::Duration lifetime;
};
// The server does not let the allocation move, for example with 437 as it has
// ended there. It is lost with its relayed address, permissions and channels,
// and one from the address that we have moved to is asked for: Allocated or
// Closed follows.
struct ClientMoveRefused {
  absl::Status status;
  std::optional<stun::Error> error;
};
// The end: OK after Close(), else why there is no allocation (any more).
// `error` is the server's code if it gave one: with 437 try again from another
// local port, with 486 or 508 later or elsewhere.
struct ClientClosed {
  absl::Status status;
  std::optional<stun::Error> error;
  // The server sends us to another one (300), where the client cannot go by
  // itself: it takes another stream.
  std::optional<TransportAddress> alternate;
};

// The server wants a token of `authorization_server` (RFC 7635), which the
// application may have or fetch, and gives to UseToken(). It is told once for
// each token, and with kMissing and kRefused what the server was asked waits
// for it: for as long as the allocation lives or, while there is none, until
// UseToken() or Close().
struct ClientTokenWanted {
  std::string authorization_server;  // THIRD-PARTY-AUTHORIZATION.
  std::string realm;
  enum class Why : uint8_t {
    kMissing,
    kRunsOut,  // A minute before its end, or half of a short lifetime.
    kRefused,
  };
  Why why = Why::kMissing;
};

// A TCP connection between the relayed address and a peer, as the server calls
// it: CONNECTION-ID (RFC 6062 section 6.2.1).
enum class ClientConnectionId : uint32_t {};
// It is there. A stream to the server, besides the one of the allocation, is
// to be opened for it and told to turn::ClientConnections::Bind().
struct ClientPeerConnected {
  ClientConnectionId id{};
  TransportAddress peer;
  enum class By : uint8_t { kUs, kPeer };  // Connect(), or it has come.
  By by = By::kUs;
};
// The stream at `local` is the connection, and its driver's alone: all that
// comes behind the message which was handled last is the peer's.
struct ClientPeerJoined {
  ClientConnectionId id{};
  TransportAddress peer;
  TransportAddress local;
};
// Connect() or Bind() has come to nothing; `id` if there was one. A stream that
// was to be bound is of no use any more.
struct ClientPeerFailed {
  TransportAddress peer;
  std::optional<ClientConnectionId> id;
  absl::Status status;
  std::optional<stun::Error> error;
};

using ClientEvent =
    std::variant<ClientAllocated, ClientPermissionGranted,
                 ClientPermissionFailed, ClientChannelBound, ClientMoved,
                 ClientMoveRefused, ClientFamilyEnded, ClientTokenWanted,
                 ClientPeerConnected, ClientPeerJoined, ClientPeerFailed,
                 ClientClosed>;

// A relayed datagram as it came out of turn::Client::Unwrap().
struct ClientReceived {
  TransportAddress peer;
  absl::Span<const uint8_t> payload;  // Points into the input.
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_CLIENT_EVENTS_H_
