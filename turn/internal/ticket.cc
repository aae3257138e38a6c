#include "turn/internal/ticket.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace kyuu::turn::internal {

namespace {

constexpr absl::string_view kForTickets = "mobility ticket ";

}  // namespace

// The secret makes nonces too: tickets have a key of their own from it.
TicketMaker::TicketMaker(absl::string_view secret)
    : key_(AsBytes(absl::StrCat(kForTickets, secret))) {}

TicketMaker::Sealed TicketMaker::Seal(const Ticket& ticket) const {
  Sealed sealed;
  const absl::Span<uint8_t> mac = absl::MakeSpan(sealed).first(kMacSize);
  const absl::Span<uint8_t> body = absl::MakeSpan(sealed).subspan(kMacSize);
  Writer w(body);
  w.U16(static_cast<uint16_t>(ticket.holder.instance));
  w.U64(static_cast<uint64_t>(ticket.holder.relay));
  w.U32(ticket.number);
  const auto proof = key_.HmacSha256(body, {});
  std::copy_n(proof.begin(), kMacSize, mac.begin());
  const auto stream = key_.HmacSha256(mac, {});
  for (size_t i = 0; i < kBytes; ++i) body[i] ^= stream[i];
  return sealed;
}

std::optional<Ticket> TicketMaker::Open(
    absl::Span<const uint8_t> sealed) const {
  if (sealed.size() != kMacSize + kBytes) return std::nullopt;
  std::array<uint8_t, kBytes> body;
  const auto stream = key_.HmacSha256(sealed.first(kMacSize), {});
  for (size_t i = 0; i < kBytes; ++i) {
    body[i] = static_cast<uint8_t>(sealed[kMacSize + i] ^ stream[i]);
  }
  const auto proof = key_.HmacSha256(body, {});
  if (!stun::EqualInConstantTime(absl::MakeConstSpan(proof).first(kMacSize),
                                 sealed.first(kMacSize))) {
    return std::nullopt;
  }
  Reader r(body);
  Ticket ticket;
  ticket.holder.instance = r.U16();
  ticket.holder.relay = RelayId{r.U64()};
  ticket.number = r.U32();
  return ticket;
}

}  // namespace kyuu::turn::internal
