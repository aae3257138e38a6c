// The state cookie (RFC 9260 section 5.1.3): everything the answering side has
// to remember about an INIT, kept by the peer and not by us.

#ifndef KYUU_SCTP_INTERNAL_STATE_COOKIE_H_
#define KYUU_SCTP_INTERNAL_STATE_COOKIE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "base/random.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

// StateCookie in plain. On the wire it is a fixed record of numbers, followed
// by its HMAC-SHA256 under a key that only this association knows. It holds no
// address and no byte that was not written.
struct StateCookie {
  static constexpr size_t kMacSize = 32;
  static constexpr size_t kPlainSize = 48;
  static constexpr size_t kSize = kPlainSize + kMacSize;

  absl::Time created;
  uint32_t local_tag = 0;
  uint32_t peer_tag = 0;
  Tsn local_initial_tsn;
  Tsn peer_initial_tsn;
  uint32_t peer_a_rwnd = 0;
  uint16_t peer_outbound_streams = 0;
  uint16_t peer_inbound_streams = 0;
  Extensions peer_extensions;
  // The tags of the association that existed when the INIT came; 0 for none
  // (section 5.2.2).
  uint32_t local_tie_tag = 0;
  uint32_t peer_tie_tag = 0;

  friend bool operator==(const StateCookie&, const StateCookie&) = default;
};

// CookieKey makes and checks cookies.
class CookieKey {
 public:
  explicit CookieKey(Random& random) { random.Fill(absl::MakeSpan(key_)); }

  std::array<uint8_t, StateCookie::kSize> Seal(const StateCookie& cookie) const;
  // nullopt unless `bytes` came from Seal of this key, unchanged.
  std::optional<StateCookie> Open(Bytes bytes) const;

 private:
  std::array<uint8_t, StateCookie::kMacSize> Mac(Bytes plain) const;

  std::array<uint8_t, 32> key_{};
};

// What a COOKIE ECHO means beside the association that is there already
// (RFC 9260 section 5.2.4, table 12).
enum class CookieAction : uint8_t {
  kEstablish,  // There is none: the ordinary handshake.
  kRestart,    // A: the peer began anew.
  kCollision,  // B: both sides sent an INIT.
  kDuplicate,  // D: it was sent twice, or crossed ours.
  kDiscard,    // C, and everything else.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STATE_COOKIE_H_
