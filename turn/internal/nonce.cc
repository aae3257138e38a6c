#include "turn/internal/nonce.h"

#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/check.h"

namespace kyuu::turn::internal {

namespace {

constexpr size_t kMacSize = 11;
constexpr size_t kRawSize = 4 + kMacSize;
// Servers that share a secret may differ by this much.
constexpr absl::Duration kSkew = absl::Minutes(1);

}  // namespace

NonceMaker::NonceMaker(absl::string_view secret, absl::Duration lifetime)
    : lifetime_(lifetime), key_(AsBytes(secret)) {}

NonceMaker::Nonce NonceMaker::MakeWith(const stun::IntegrityKey& key,
                                       uint32_t seconds,
                                       const TransportAddress& client,
                                       absl::string_view realm,
                                       absl::string_view cookie) const {
  std::array<uint8_t, 6 + 16 + stun::kNonceCookieSize + 127> about;
  Writer h(absl::MakeSpan(about));
  h.U32(seconds);
  h.U16(client.port);
  h.Bytes(client.ip.bytes());
  h.Bytes(AsBytes(cookie));
  h.Bytes(AsBytes(realm));
  const auto mac = key.HmacSha1(absl::MakeConstSpan(about).first(h.size()), {});

  // The last byte is zero behind a cookie, and the character for it left out.
  std::array<uint8_t, kRawSize> raw{};
  Writer w(absl::MakeSpan(raw));
  w.U32(seconds);
  w.Bytes(
      absl::MakeConstSpan(mac).first(cookie.empty() ? kMacSize : kMacSize - 1));
  std::string text;
  absl::Base64Escape(AsText(raw), &text);
  KYUU_CHECK(text.size() == kPlainSize);
  Nonce nonce;
  nonce.size = SizeOf(!cookie.empty());
  const auto proof =
      std::copy(cookie.begin(), cookie.end(), nonce.chars.begin());
  std::copy_n(text.begin(), nonce.size - cookie.size(), proof);
  return nonce;
}

NonceMaker::Nonce NonceMaker::Make(absl::Time utc,
                                   const TransportAddress& client,
                                   absl::string_view realm,
                                   absl::string_view cookie) const {
  return MakeWith(key_, static_cast<uint32_t>(absl::ToUnixSeconds(utc)), client,
                  realm, cookie);
}

bool NonceMaker::Check(absl::Time utc, const TransportAddress& client,
                       absl::string_view realm, absl::string_view nonce,
                       absl::string_view cookie) const {
  if (nonce.size() != SizeOf(!cookie.empty())) return false;
  // The first six characters are the seconds, and a nibble more.
  std::string raw;
  if (!absl::Base64Unescape(nonce.substr(cookie.size(), 8), &raw) ||
      raw.size() != 6) {
    return false;
  }
  const uint32_t seconds = Reader(AsBytes(raw)).U32();
  const auto now = static_cast<uint32_t>(absl::ToUnixSeconds(utc));
  const absl::Duration age = absl::Seconds(static_cast<int32_t>(now - seconds));
  if (age > lifetime_ || age < -kSkew) return false;
  const auto equals = [&](const stun::IntegrityKey& key) {
    const Nonce ours = MakeWith(key, seconds, client, realm, cookie);
    return stun::EqualInConstantTime(AsBytes(ours.text()), AsBytes(nonce));
  };
  return equals(key_) || (utc < old_key_until_ && equals(old_key_));
}

void NonceMaker::Rotate(absl::Time utc, absl::string_view secret) {
  old_key_ = key_;
  old_key_until_ = utc + lifetime_;
  key_ = stun::IntegrityKey(AsBytes(secret));
}

}  // namespace kyuu::turn::internal
