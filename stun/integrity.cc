// SHA_CTX is deprecated in OpenSSL 3, but nothing else lets the state after the
// first block be kept: EVP_MAC costs three times as much per message.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "stun/integrity.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
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

// Takes whole blocks into the state.
void Take(std::array<uint32_t, 5>& state, absl::Span<const uint8_t> blocks) {
  SHA_CTX c;
  c.h0 = state[0];
  c.h1 = state[1];
  c.h2 = state[2];
  c.h3 = state[3];
  c.h4 = state[4];
  for (; !blocks.empty(); blocks.remove_prefix(kBlockSize)) {
    SHA1_Transform(&c, blocks.data());
  }
  state = {c.h0, c.h1, c.h2, c.h3, c.h4};
}

void Take(std::array<uint32_t, 8>& state, absl::Span<const uint8_t> blocks) {
  SHA256_CTX c;
  std::copy(state.begin(), state.end(), std::begin(c.h));
  for (; !blocks.empty(); blocks.remove_prefix(kBlockSize)) {
    SHA256_Transform(&c, blocks.data());
  }
  std::copy(std::begin(c.h), std::end(c.h), state.begin());
}

// Big-endian, as all numbers of both hashes.
template <typename Integer>
void Store(Integer value, uint8_t* to) {
  for (size_t i = 0; i < sizeof(value); ++i) {
    to[i] = static_cast<uint8_t>(value >> 8 * (sizeof(value) - 1 - i));
  }
}

// Ends a hash (RFC 3174 section 4, RFC 6234 section 4.1): what is left of its
// text, `used` bytes at `end`, is padded there, for which there is room for up
// to a block more; `bytes` is the size of the whole text.
template <size_t kWords>
std::array<uint8_t, 4 * kWords> Finish(std::array<uint32_t, kWords>& state,
                                       uint8_t* end, size_t used,
                                       uint64_t bytes) {
  constexpr size_t kLengthSize = sizeof(bytes);
  const size_t padded =
      (used + 1 + kLengthSize + kBlockSize - 1) / kBlockSize * kBlockSize;
  end[used] = 0x80;
  std::memset(end + used + 1, 0, padded - kLengthSize - used - 1);
  Store(bytes * 8, end + padded - kLengthSize);
  Take(state, absl::MakeConstSpan(end, padded));
  std::array<uint8_t, 4 * kWords> digest;
  for (size_t i = 0; i < kWords; ++i) Store(state[i], &digest[4 * i]);
  return digest;
}

// OpenSSL's Update() and Final() would cost an eighth more, for messages of few
// blocks.
template <size_t kWords>
std::array<uint8_t, 4 * kWords> Hmac(std::array<uint32_t, kWords> inner,
                                     std::array<uint32_t, kWords> outer,
                                     absl::Span<const uint8_t> head,
                                     absl::Span<const uint8_t> body) {
  constexpr size_t kAtOnce = 3 * kBlockSize;  // Nearly all are shorter.
  std::array<uint8_t, kAtOnce + kBlockSize> buffer;
  size_t used = 0;
  for (absl::Span<const uint8_t> part : {head, body}) {
    while (!part.empty()) {
      const size_t n = std::min(part.size(), kAtOnce - used);
      std::memcpy(&buffer[used], part.data(), n);
      part.remove_prefix(n);
      used += n;
      if (used == kAtOnce) {
        Take(inner, absl::MakeConstSpan(buffer).first(used));
        used = 0;
      }
    }
  }
  const auto digest = Finish(inner, buffer.data(), used,
                             kBlockSize + head.size() + body.size());
  std::copy(digest.begin(), digest.end(), buffer.begin());
  return Finish(outer, buffer.data(), digest.size(),
                kBlockSize + digest.size());
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
  return Hmac(inner_, outer_, head, body);
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
  return Hmac(sha256_inner_, sha256_outer_, head, body);
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
