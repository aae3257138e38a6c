// AskTurn: whether a TURN server relays, and whereto it does not.

#ifndef KYUU_TOOLS_KYUU_TURN_PROBE_TURN_PROBE_H_
#define KYUU_TOOLS_KYUU_TURN_PROBE_TURN_PROBE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "peer/server_url.h"
#include "turn/client.h"

namespace kyuu::tools {

using peer::ServerUrl;

struct TurnQuestion {
  absl::Duration patience = absl::Seconds(40);  // For all answers.
  // Of the relayed addresses; unspecified asks for none, which means IPv4.
  IpFamily family = IpFamily::kUnspecified;
  enum class Ways : uint8_t {
    kPermissions,  // Data by Send indications, or as the client likes.
    kChannels,     // A channel is bound on each side first.
    kTcp,          // TCP to peers (RFC 6062): AskTurnTcp().
  };
  Ways ways = Ways::kPermissions;
  enum class Moves : uint8_t {
    kStay,
    // Goes on from another port, or stream, after the first loop (RFC 8016),
    // and makes a second one.
    kOnce,
  };
  Moves moves = Moves::kStay;
  enum class Ports : uint8_t {
    kAny,
    // The second allocation has the port above the even one of the first, which
    // the server has kept for it (RFC 8656 section 7).
    kPair,
  };
  Ports ports = Ports::kAny;
  // kBoth: IPv4 and IPv6 relayed addresses of one allocation (RFC 8656). The
  // loops go by each of the families that were given; without Ports::kPair.
  turn::ClientOptions::Families families = turn::ClientOptions::Families::kOne;
  // Of what is sent to peers (DONT-FRAGMENT); kForbid not by channels.
  turn::ClientOptions::Fragments fragments =
      turn::ClientOptions::Fragments::kAllow;
  // Stays so long after the first loop, all that must be refreshed being
  // refreshed, and makes another one.
  absl::Duration hold;
  // Where a token is read from when the server wants one (RFC 7635), instead of
  // a password; empty: nowhere.
  std::string token_file;
  // After the loops, over UDP: payloads in bytes, of 2000 at most, that are
  // sent to the server in one packet each, or not at all, and through the relay
  // and back.
  std::vector<size_t> payloads;
  // Peers of the same family that nobody should be relayed to.
  std::vector<IpAddress> forbidden;
  // Told of each of the two allocations as it is made; may be empty.
  absl::AnyInvocable<void(const turn::ClientAllocated&)> on_allocated;
  // Told whose token was wanted, once it was read; may be empty.
  absl::AnyInvocable<void(const turn::ClientTokenWanted&)> on_token;
};

// Once through the relay and back.
struct TurnLoop {
  // At first, after the move if one was asked for, after TurnQuestion::hold.
  enum class When : uint8_t { kAtFirst, kMoved, kHeld };
  When when = When::kAtFirst;
  IpFamily family = IpFamily::kUnspecified;  // Of the relayed addresses.
  absl::Duration round_trip;
};

struct TurnAnswer {
  absl::Duration round_trip;  // Of the first loop.
  std::vector<TurnLoop> loops;
  // The largest of TurnQuestion::payloads that came back, if one did.
  std::optional<size_t> payload_max;
  // What became of each of TurnQuestion::forbidden: PERMISSION_DENIED if the
  // server forbids it (403), OK if it allows it.
  std::vector<absl::Status> forbidden;
};

// AskTurn makes two allocations at `server`, an address of url.host, with the
// credential of `url`, sends a datagram from the one to the other through the
// relay and another one back, asks for what is forbidden, and gives the
// allocations back. It blocks, `hold` beside its patience. Errors are the
// server's (UNAUTHENTICATED for 401, UNIMPLEMENTED for a family that it does
// not have, FAILED_PRECONDITION if it gives no ticket for a move, or keeps no
// port, INTERNAL if that is not the one above), of the way
// to it, or DEADLINE_EXCEEDED.
absl::StatusOr<TurnAnswer> AskTurn(const ServerUrl& url,
                                   const TransportAddress& server,
                                   TurnQuestion question);

// "192.0.2.1:3478 over tls"; UDP, the usual way, is not named.
std::string NameOf(const TransportAddress& server, const ServerUrl& url);
// Its second part, " over tls" or "".
std::string OverText(const ServerUrl& url);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TURN_PROBE_TURN_PROBE_H_
