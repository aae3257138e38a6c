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
                                       const TransportAddress& client) const {
  std::array<uint8_t, 6> head;
  Writer h(absl::MakeSpan(head));
  h.U32(seconds);
  h.U16(client.port);
  const auto mac = key.HmacSha1(head, client.ip.bytes());

  std::array<uint8_t, kRawSize> raw;
  Writer w(absl::MakeSpan(raw));
  w.U32(seconds);
  w.Bytes(absl::MakeConstSpan(mac).first(kMacSize));
  std::string text;
  absl::Base64Escape(AsText(raw), &text);
  KYUU_CHECK(text.size() == kSize);
  Nonce nonce;
  std::copy(text.begin(), text.end(), nonce.begin());
  return nonce;
}

NonceMaker::Nonce NonceMaker::Make(absl::Time utc,
                                   const TransportAddress& client) const {
  return MakeWith(key_, static_cast<uint32_t>(absl::ToUnixSeconds(utc)),
                  client);
}

bool NonceMaker::Check(absl::Time utc, const TransportAddress& client,
                       absl::string_view nonce) const {
  std::string raw;
  if (nonce.size() != kSize || !absl::Base64Unescape(nonce, &raw) ||
      raw.size() != kRawSize) {
    return false;
  }
  const uint32_t seconds = Reader(AsBytes(raw)).U32();
  const auto now = static_cast<uint32_t>(absl::ToUnixSeconds(utc));
  const absl::Duration age = absl::Seconds(static_cast<int32_t>(now - seconds));
  if (age > lifetime_ || age < -kSkew) return false;
  const auto equals = [&](const stun::IntegrityKey& key) {
    const Nonce ours = MakeWith(key, seconds, client);
    return stun::EqualInConstantTime(
        AsBytes(absl::string_view(ours.data(), ours.size())), AsBytes(nonce));
  };
  return equals(key_) || (utc < old_key_until_ && equals(old_key_));
}

void NonceMaker::Rotate(absl::Time utc, absl::string_view secret) {
  old_key_ = key_;
  old_key_until_ = utc + lifetime_;
  key_ = stun::IntegrityKey(AsBytes(secret));
}

}  // namespace kyuu::turn::internal
