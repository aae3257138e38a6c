// Reserved ports, and RESERVATION-TOKENs that any server of a group can read.

#ifndef KYUU_TURN_INTERNAL_RESERVATION_TOKEN_H_
#define KYUU_TURN_INTERNAL_RESERVATION_TOKEN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "stun/integrity.h"

namespace kyuu::turn::internal {

// ReservationTokens makes and opens the 8 bytes of RFC 8656 section 18.10. The
// client that shows one comes from another port than the one it was given to,
// so with one server per core it may meet another server: the token itself says
// which port is meant, and a MAC under the group's secret that it is true.
//
//   port, 2 bytes | relay address, 1 | seconds of UTC modulo 256, 1 | MAC, 4
//
// Forging one (2^32 guesses, each an authenticated request) would gain a choice
// of port, nothing else.
class ReservationTokens {
 public:
  using Token = std::array<uint8_t, 8>;
  struct Place {
    size_t pool;  // The index of the relay address; below 256.
    uint16_t port;
  };

  explicit ReservationTokens(absl::string_view secret);

  Token Make(absl::Time utc, const Place& place) const;
  // nullopt if it was not made under our secret, or more than `lifetime` ago
  // (at most 4 minutes).
  std::optional<Place> Open(absl::Time utc, const Token& token,
                            absl::Duration lifetime) const;

 private:
  Token MakeAt(uint32_t seconds, const Place& place) const;

  stun::IntegrityKey key_;
};

// The upper port of a pair, kept for whoever shows the token.
struct Reservation {
  ReservationTokens::Token token;
  size_t pool;
  uint16_t port;
  absl::Time expires;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_RESERVATION_TOKEN_H_
