#include "turn/internal/reservation_token.h"

#include "absl/types/span.h"
#include "base/bytes.h"

namespace kyuu::turn::internal {

namespace {

constexpr size_t kMacSize = 4;
// Sets these MACs apart from those of nonces under the same secret.
constexpr absl::string_view kPurpose = "RESERVATION-TOKEN";

}  // namespace

ReservationTokens::ReservationTokens(absl::string_view secret)
    : key_(AsBytes(secret)) {}

ReservationTokens::Token ReservationTokens::MakeAt(uint32_t seconds,
                                                   const Place& place) const {
  std::array<uint8_t, 7> signed_part;
  Writer s(absl::MakeSpan(signed_part));
  s.U16(place.port);
  s.U8(static_cast<uint8_t>(place.pool));
  s.U32(seconds);
  const auto mac = key_.HmacSha1(AsBytes(kPurpose), signed_part);

  Token token;
  Writer w(absl::MakeSpan(token));
  w.U16(place.port);
  w.U8(static_cast<uint8_t>(place.pool));
  w.U8(static_cast<uint8_t>(seconds));
  w.Bytes(absl::MakeConstSpan(mac).first(kMacSize));
  return token;
}

ReservationTokens::Token ReservationTokens::Make(absl::Time utc,
                                                 const Place& place) const {
  return MakeAt(static_cast<uint32_t>(absl::ToUnixSeconds(utc)), place);
}

std::optional<ReservationTokens::Place> ReservationTokens::Open(
    absl::Time utc, const Token& token, absl::Duration lifetime) const {
  Reader r(token);
  const uint16_t port = r.U16();
  const Place place = {r.U8(), port};
  const auto now = static_cast<uint32_t>(absl::ToUnixSeconds(utc));
  // The token has the low byte of the time only; the MAC has all of it.
  const auto age = static_cast<uint8_t>(now - r.U8());
  if (absl::Seconds(age) > lifetime ||
      !stun::EqualInConstantTime(MakeAt(now - age, place), token)) {
    return std::nullopt;
  }
  return place;
}

}  // namespace kyuu::turn::internal
