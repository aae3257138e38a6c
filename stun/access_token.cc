#include "stun/access_token.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"

namespace kyuu::stun {
namespace {

constexpr size_t kMacKeyMin = 20;  // The MUST of section 6.2: HMAC-SHA1.
constexpr size_t kMacKeyMax = 64;
// Key length, timestamp and lifetime.
constexpr size_t kFixed = 2 + 8 + 4;
constexpr size_t kAround = 2 + TokenKey::kNonceSize + TokenKey::kTagSize;
constexpr size_t kSizeMin = kAround + kFixed + kMacKeyMin;
constexpr size_t kSizeMax = kAround + kFixed + kMacKeyMax;
// Of a second, in the fraction of a timestamp.
constexpr int64_t kFractions = 64'000;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Context MakeContext() { return {EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free}; }

const EVP_CIPHER* CipherOf(TokenKey::Algorithm algorithm) {
  return algorithm == TokenKey::Algorithm::kA128Gcm ? EVP_aes_128_gcm()
                                                    : EVP_aes_256_gcm();
}

int Size(absl::Span<const uint8_t> bytes) {
  return static_cast<int>(bytes.size());
}

std::optional<TokenContent> Read(absl::Span<const uint8_t> plain) {
  Reader r(plain);
  const absl::Span<const uint8_t> key = r.Bytes(r.U16());
  const uint64_t timestamp = r.U64();
  const uint32_t lifetime = r.U32();
  if (!r.ok() || r.remaining() != 0 || key.size() < kMacKeyMin ||
      key.size() > kMacKeyMax) {
    return std::nullopt;
  }
  TokenContent content;
  content.mac_key = std::string(AsText(key));
  content.timestamp =
      absl::FromUnixSeconds(static_cast<int64_t>(timestamp >> 16)) +
      absl::Seconds(1) * static_cast<int64_t>(timestamp & 0xffff) / kFractions;
  content.lifetime = absl::Seconds(lifetime);
  return content;
}

}  // namespace

absl::StatusOr<TokenKey> TokenKey::Make(Algorithm algorithm,
                                        absl::Span<const uint8_t> key) {
  const size_t size = algorithm == Algorithm::kA128Gcm ? 16 : 32;
  if (key.size() != size) {
    return absl::InvalidArgumentError(
        absl::StrCat("the key of a token has ", size, " bytes"));
  }
  return TokenKey(algorithm, key);
}

TokenKey::TokenKey(Algorithm algorithm, absl::Span<const uint8_t> key)
    : algorithm_(algorithm) {
  std::copy(key.begin(), key.end(), key_.begin());
}

std::optional<TokenContent> TokenKey::Open(
    absl::Span<const uint8_t> token, absl::string_view server_name) const {
  if (token.size() < kSizeMin || token.size() > kSizeMax) return std::nullopt;
  Reader r(token);
  if (r.U16() != kNonceSize) return std::nullopt;
  const absl::Span<const uint8_t> nonce = r.Bytes(kNonceSize);
  const absl::Span<const uint8_t> sealed = r.Bytes(r.remaining() - kTagSize);
  const absl::Span<const uint8_t> tag = r.Bytes(kTagSize);
  const absl::Span<const uint8_t> name = AsBytes(server_name);
  const Context context = MakeContext();
  KYUU_CHECK(context != nullptr);
  std::array<uint8_t, kFixed + kMacKeyMax> plain;
  std::array<uint8_t, kTagSize> expected;
  std::copy(tag.begin(), tag.end(), expected.begin());
  int size = 0, rest = 0;
  // The length of the nonce is what the ciphers have unless told otherwise.
  if (EVP_DecryptInit_ex(context.get(), CipherOf(algorithm_), nullptr,
                         key_.data(), nonce.data()) != 1 ||
      EVP_DecryptUpdate(context.get(), nullptr, &size, name.data(),
                        Size(name)) != 1 ||
      EVP_DecryptUpdate(context.get(), plain.data(), &size, sealed.data(),
                        Size(sealed)) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagSize,
                          expected.data()) != 1 ||
      EVP_DecryptFinal_ex(context.get(), plain.data() + size, &rest) != 1) {
    return std::nullopt;
  }
  return Read(absl::MakeConstSpan(plain).first(static_cast<size_t>(size) +
                                               static_cast<size_t>(rest)));
}

std::string TokenKey::Seal(const TokenContent& content,
                           absl::string_view server_name,
                           const Nonce& nonce) const {
  KYUU_CHECK(content.mac_key.size() >= kMacKeyMin &&
             content.mac_key.size() <= kMacKeyMax);
  const absl::Duration since = content.timestamp - absl::UnixEpoch();
  absl::Duration part;
  const int64_t seconds = absl::IDivDuration(since, absl::Seconds(1), &part);
  const int64_t fraction =
      absl::IDivDuration(part * kFractions, absl::Seconds(1), &part);
  std::array<uint8_t, kFixed + kMacKeyMax> plain;
  Writer p(absl::MakeSpan(plain));
  p.U16(static_cast<uint16_t>(content.mac_key.size()));
  p.Bytes(AsBytes(content.mac_key));
  p.U64(static_cast<uint64_t>(seconds) << 16 | static_cast<uint64_t>(fraction));
  p.U32(static_cast<uint32_t>(absl::ToInt64Seconds(content.lifetime)));

  std::vector<uint8_t> token(kAround + p.size());
  Writer w(absl::MakeSpan(token));
  w.U16(kNonceSize);
  w.Bytes(nonce);
  uint8_t* const sealed = token.data() + w.size();
  const absl::Span<const uint8_t> name = AsBytes(server_name);
  const Context context = MakeContext();
  int size = 0, rest = 0;
  KYUU_CHECK(context != nullptr &&
             EVP_EncryptInit_ex(context.get(), CipherOf(algorithm_), nullptr,
                                key_.data(), nonce.data()) == 1 &&
             EVP_EncryptUpdate(context.get(), nullptr, &size, name.data(),
                               Size(name)) == 1 &&
             EVP_EncryptUpdate(context.get(), sealed, &size, plain.data(),
                               static_cast<int>(p.size())) == 1 &&
             EVP_EncryptFinal_ex(context.get(), sealed + size, &rest) == 1 &&
             EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagSize,
                                 sealed + p.size()) == 1);
  return std::string(AsText(token));
}

std::optional<absl::Time> TokenExpiry(const TokenContent& content,
                                      absl::Time now, absl::Duration delta) {
  const absl::Duration good = content.lifetime + delta;
  if (absl::AbsDuration(now - content.timestamp) >= good) return std::nullopt;
  return content.timestamp + good;
}

}  // namespace kyuu::stun
