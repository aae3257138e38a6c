// Tokens of RFC 7635: whatever opens is sealed again as it was.

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "stun/access_token.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::stun::TokenKey;
  const std::string secret(32, 'k');
  const auto key =
      TokenKey::Make(TokenKey::Algorithm::kA256Gcm, kyuu::AsBytes(secret));
  const auto bytes = absl::MakeConstSpan(data, size);
  // As it came, and with what it says sealed, since nobody guesses a tag.
  (void)key->Open(bytes, "server");
  kyuu::stun::TokenContent content;
  kyuu::Reader r(bytes);
  content.timestamp = absl::FromUnixSeconds(r.U32());
  content.lifetime = absl::Seconds(r.U32());
  content.mac_key = std::string(kyuu::AsText(bytes.subspan(0, 64)));
  if (content.mac_key.size() < 20) return 0;
  const std::string token = key->Seal(content, "server", TokenKey::Nonce{});
  const auto again = key->Open(kyuu::AsBytes(token), "server");
  KYUU_CHECK(again.has_value() && again->mac_key == content.mac_key &&
             again->timestamp == content.timestamp &&
             again->lifetime == content.lifetime);
  return 0;
}
