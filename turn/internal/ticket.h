// Mobility tickets that need no memory (RFC 8016).

#ifndef KYUU_TURN_INTERNAL_TICKET_H_
#define KYUU_TURN_INTERNAL_TICKET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "stun/integrity.h"
#include "turn/ledger.h"

namespace kyuu::turn::internal {

// Ticket names an allocation to whoever has lost its 5-tuple. Each that is
// given out for it has the next number, and with it another face.
struct Ticket {
  Ledger::Holder holder;
  uint32_t number = 0;

  friend bool operator==(const Ticket&, const Ticket&) = default;
};

// TicketMaker seals tickets and opens them (RFC 8016 section 5: encrypted and
// authenticated):
//
//   mac = HMAC-SHA256(key, instance | relay | number) cut to 10 bytes
//   value = base64(mac | (instance | relay | number) XOR HMAC-SHA256(key, mac))
//
// 80 bits keep guessing hopeless. It is text of 32 characters because coturn's
// client has room for no more, and ends it at a zero.
class TicketMaker {
 public:
  static constexpr size_t kBytes = 2 + 8 + 4;
  static constexpr size_t kMacSize = 10;
  static constexpr size_t kSize = (kMacSize + kBytes) / 3 * 4;
  using Sealed = std::array<uint8_t, kSize>;

  // Servers with the same secret open each other's.
  explicit TicketMaker(absl::string_view secret);

  Sealed Seal(const Ticket& ticket) const;
  // nullopt if it is not of our making.
  std::optional<Ticket> Open(absl::Span<const uint8_t> sealed) const;

 private:
  stun::IntegrityKey key_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_TICKET_H_
