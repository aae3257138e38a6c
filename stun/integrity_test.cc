#include "stun/integrity.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::stun {
namespace {

// RFC 2202 section 3 and RFC 4231 section 4, the same inputs.
TEST(IntegrityKeyTest, MatchesTheHmacVectors) {
  const IntegrityKey jefe{AsBytes("Jefe")};
  const absl::string_view data = "what do ya want for nothing?";
  EXPECT_EQ(ToHex(jefe.HmacSha1({}, AsBytes(data))),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(ToHex(jefe.HmacSha256({}, AsBytes(data))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

// Keys and texts of all sizes around the block boundaries, split anywhere.
TEST(IntegrityKeyTest, AgreesWithOpenSsl) {
  constexpr uint64_t kSeed = 2104;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  for (const size_t key_size : {1, 16, 20, 32, 63, 64, 65, 128, 200}) {
    std::vector<uint8_t> key_bytes(key_size);
    random.Fill(absl::MakeSpan(key_bytes));
    const IntegrityKey key{absl::MakeConstSpan(key_bytes)};
    for (size_t size = 0; size < 420; ++size) {
      std::vector<uint8_t> text(size);
      random.Fill(absl::MakeSpan(text));
      const size_t split = random.Below(size + 1);
      const auto head = absl::MakeConstSpan(text).first(split);
      const auto body = absl::MakeConstSpan(text).subspan(split);
      uint8_t expected[EVP_MAX_MD_SIZE];
      unsigned expected_size = 0;
      HMAC(EVP_sha1(), key_bytes.data(), static_cast<int>(key_size),
           text.data(), size, expected, &expected_size);
      EXPECT_EQ(ToHex(key.HmacSha1(head, body)),
                ToHex(absl::MakeConstSpan(expected, expected_size)));
      HMAC(EVP_sha256(), key_bytes.data(), static_cast<int>(key_size),
           text.data(), size, expected, &expected_size);
      EXPECT_EQ(ToHex(key.HmacSha256(head, body)),
                ToHex(absl::MakeConstSpan(expected, expected_size)));
    }
  }
}

TEST(IntegrityKeyTest, LongTermKeyIsTheDigestOfNameRealmPassword) {
  // RFC 8489 section 9.2.2 gives the MD5 of "user:realm:pass".
  const auto digest = FromHex("8493fbc53ba582fb4c044c456bdc40eb");
  const auto text = AsBytes("text");
  EXPECT_EQ(IntegrityKey::LongTerm("user", "realm", "pass").HmacSha1({}, text),
            IntegrityKey::FromDigest(digest).HmacSha1({}, text));
  EXPECT_NE(
      IntegrityKey::LongTerm("user", "realm", "pass", PasswordHash::kSha256)
          .HmacSha1({}, text),
      IntegrityKey::FromDigest(digest).HmacSha1({}, text));
}

TEST(EqualInConstantTimeTest, ComparesBytesAndSizes) {
  EXPECT_TRUE(EqualInConstantTime({}, {}));
  EXPECT_TRUE(EqualInConstantTime(AsBytes("abc"), AsBytes("abc")));
  EXPECT_FALSE(EqualInConstantTime(AsBytes("abc"), AsBytes("abd")));
  EXPECT_FALSE(EqualInConstantTime(AsBytes("abc"), AsBytes("ab")));
}

}  // namespace
}  // namespace kyuu::stun
