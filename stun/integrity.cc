// SHA_CTX is deprecated in OpenSSL 3, but nothing else lets the state after the
// first block be kept: EVP_MAC costs three times as much per message.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "stun/integrity.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"

namespace kyuu::stun {
namespace {

// Both hashes work on blocks of 64 bytes.
constexpr size_t kBlockSize = 64;
using Block = std::array<uint8_t, kBlockSize>;

constexpr uint8_t kIpad = 0x36;
constexpr uint8_t kOpad = 0x5c;

Block Xor(const Block& key, uint8_t pad) {
  Block result;
  for (size_t i = 0; i < kBlockSize; ++i) {
    result[i] = static_cast<uint8_t>(key[i] ^ pad);
  }
  return result;
}

std::array<uint32_t, 5> Sha1AfterBlock(const Block& block) {
  SHA_CTX c;
  SHA1_Init(&c);
  SHA1_Update(&c, block.data(), block.size());
  return {c.h0, c.h1, c.h2, c.h3, c.h4};
}

std::array<uint32_t, 8> Sha256AfterBlock(const Block& block) {
  SHA256_CTX c;
  SHA256_Init(&c);
  SHA256_Update(&c, block.data(), block.size());
  std::array<uint32_t, 8> state;
  std::copy(std::begin(c.h), std::end(c.h), state.begin());
  return state;
}

SHA_CTX Restore(const std::array<uint32_t, 5>& state) {
  SHA_CTX c{};
  c.h0 = state[0];
  c.h1 = state[1];
  c.h2 = state[2];
  c.h3 = state[3];
  c.h4 = state[4];
  c.Nl = kBlockSize * 8;
  return c;
}

SHA256_CTX Restore(const std::array<uint32_t, 8>& state) {
  SHA256_CTX c{};
  std::copy(state.begin(), state.end(), std::begin(c.h));
  c.Nl = kBlockSize * 8;
  c.md_len = SHA256_DIGEST_LENGTH;
  return c;
}

// RFC 2104: a key longer than a block is replaced by its hash, then padded
// with zeros. The hash is that of the HMAC, so the two can differ.
Block KeyBlock(absl::Span<const uint8_t> key, const EVP_MD* md) {
  Block block{};
  if (key.size() <= kBlockSize) {
    std::copy(key.begin(), key.end(), block.begin());
  } else {
    KYUU_CHECK(EVP_Digest(key.data(), key.size(), block.data(), nullptr, md,
                          nullptr) == 1);
  }
  return block;
}

}  // namespace

Sha1Key::Sha1Key(absl::Span<const uint8_t> key) {
  Block block = KeyBlock(key, EVP_sha1());
  inner_ = Sha1AfterBlock(Xor(block, kIpad));
  outer_ = Sha1AfterBlock(Xor(block, kOpad));
  OPENSSL_cleanse(block.data(), block.size());
}

Sha1Key Sha1Key::ShortTerm(absl::string_view password) {
  return Sha1Key(AsBytes(password));
}

Sha1Key::Sha1Mac Sha1Key::HmacSha1(absl::Span<const uint8_t> head,
                                   absl::Span<const uint8_t> body) const {
  Sha1Mac mac;
  SHA_CTX c = Restore(inner_);
  SHA1_Update(&c, head.data(), head.size());
  SHA1_Update(&c, body.data(), body.size());
  SHA1_Final(mac.data(), &c);
  c = Restore(outer_);
  SHA1_Update(&c, mac.data(), mac.size());
  SHA1_Final(mac.data(), &c);
  return mac;
}

IntegrityKey::IntegrityKey() : IntegrityKey(absl::Span<const uint8_t>()) {}

IntegrityKey::IntegrityKey(absl::Span<const uint8_t> key) : Sha1Key(key) {
  Block block = KeyBlock(key, EVP_sha256());
  sha256_inner_ = Sha256AfterBlock(Xor(block, kIpad));
  sha256_outer_ = Sha256AfterBlock(Xor(block, kOpad));
  OPENSSL_cleanse(block.data(), block.size());
}

IntegrityKey IntegrityKey::ShortTerm(absl::string_view password) {
  return IntegrityKey(AsBytes(password));
}

IntegrityKey IntegrityKey::LongTerm(absl::string_view username,
                                    absl::string_view realm,
                                    absl::string_view password,
                                    PasswordHash hash) {
  std::string text = absl::StrCat(username, ":", realm, ":", password);
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  const EVP_MD* md = hash == PasswordHash::kSha256 ? EVP_sha256() : EVP_md5();
  KYUU_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, md,
                        nullptr) == 1);
  OPENSSL_cleanse(text.data(), text.size());
  return FromDigest(absl::MakeConstSpan(digest).first(size));
}

IntegrityKey IntegrityKey::FromDigest(absl::Span<const uint8_t> digest) {
  return IntegrityKey(digest);
}

IntegrityKey::Sha256Mac IntegrityKey::HmacSha256(
    absl::Span<const uint8_t> head, absl::Span<const uint8_t> body) const {
  Sha256Mac mac;
  SHA256_CTX c = Restore(sha256_inner_);
  SHA256_Update(&c, head.data(), head.size());
  SHA256_Update(&c, body.data(), body.size());
  SHA256_Final(mac.data(), &c);
  c = Restore(sha256_outer_);
  SHA256_Update(&c, mac.data(), mac.size());
  SHA256_Final(mac.data(), &c);
  return mac;
}

bool EqualInConstantTime(absl::Span<const uint8_t> a,
                         absl::Span<const uint8_t> b) {
  return a.size() == b.size() &&
         CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Userhash UserhashOf(absl::string_view username, absl::string_view realm) {
  const std::string text = absl::StrCat(username, ":", realm);
  Userhash result;
  KYUU_CHECK(EVP_Digest(text.data(), text.size(), result.value.data(), nullptr,
                        EVP_sha256(), nullptr) == 1);
  return result;
}

}  // namespace kyuu::stun
