#include "turn/internal/ticket.h"

#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"

namespace kyuu::turn::internal {

namespace {

constexpr absl::string_view kForTickets = "mobility ticket ";

}  // namespace

// The secret makes nonces too: tickets have a key of their own from it.
TicketMaker::TicketMaker(absl::string_view secret)
    : key_(AsBytes(absl::StrCat(kForTickets, secret))) {}

TicketMaker::Sealed TicketMaker::Seal(const Ticket& ticket) const {
  std::array<uint8_t, kMacSize + kBytes> raw;
  const absl::Span<uint8_t> mac = absl::MakeSpan(raw).first(kMacSize);
  const absl::Span<uint8_t> body = absl::MakeSpan(raw).subspan(kMacSize);
  Writer w(body);
  w.U16(static_cast<uint16_t>(ticket.holder.instance));
  w.U64(static_cast<uint64_t>(ticket.holder.relay));
  w.U32(ticket.number);
  const auto proof = key_.HmacSha256(body, {});
  std::copy_n(proof.begin(), kMacSize, mac.begin());
  const auto stream = key_.HmacSha256(mac, {});
  for (size_t i = 0; i < kBytes; ++i) body[i] ^= stream[i];
  std::string text;
  absl::Base64Escape(AsText(raw), &text);
  KYUU_CHECK(text.size() == kSize);
  Sealed sealed;
  std::copy(text.begin(), text.end(), sealed.begin());
  return sealed;
}

std::optional<Ticket> TicketMaker::Open(
    absl::Span<const uint8_t> sealed) const {
  std::string raw;
  if (sealed.size() != kSize || !absl::Base64Unescape(AsText(sealed), &raw) ||
      raw.size() != kMacSize + kBytes) {
    return std::nullopt;
  }
  const absl::Span<const uint8_t> mac = AsBytes(raw).first(kMacSize);
  const absl::Span<const uint8_t> hidden = AsBytes(raw).subspan(kMacSize);
  std::array<uint8_t, kBytes> body;
  const auto stream = key_.HmacSha256(mac, {});
  for (size_t i = 0; i < kBytes; ++i) {
    body[i] = static_cast<uint8_t>(hidden[i] ^ stream[i]);
  }
  const auto proof = key_.HmacSha256(body, {});
  if (!stun::EqualInConstantTime(absl::MakeConstSpan(proof).first(kMacSize),
                                 mac)) {
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
