#include "stun/access_token.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::stun {
namespace {

using Algorithm = TokenKey::Algorithm;

constexpr absl::string_view kServer = "blackdow.carleon.gov";
constexpr absl::string_view kLongTermKey = "HGkj32KJGiuy098sdfaqbNjOiaz71923";

TokenKey Key(Algorithm algorithm = Algorithm::kA256Gcm) {
  const size_t size = algorithm == Algorithm::kA128Gcm ? 16 : 32;
  return *TokenKey::Make(algorithm, AsBytes(kLongTermKey.substr(0, size)));
}

TokenKey::Nonce Nonce() {
  return {'h', '4', 'j', '3', 'k', '2', 'l', '2', 'n', '4', 'b', '5'};
}

// RFC 7635 appendix A: its inputs, and what coturn's turnutils_oauth makes of
// them.
TokenContent Sample() {
  TokenContent content;
  content.mac_key = "ZksjpweoixXmvn67534m";
  content.timestamp = absl::FromUnixSeconds(92'470'300'704'768 >> 16);
  content.lifetime = absl::Seconds(3600);
  return content;
}
std::string SampleToken(Algorithm algorithm) {
  std::string token;
  EXPECT_TRUE(absl::Base64Unescape(
      algorithm == Algorithm::kA256Gcm
          ? "AAxoNGozazJsMm40YjVhfvE0o9XkTpoZzH3BBLDAPQOypVHY/fXNO23KbxDPt35b"
            "Ld7ITSk6XFBJk1nwwuJvdg=="
          : "AAxoNGozazJsMm40YjV/uemfCCe+PfHhvWUUk9MDHTbfVweXhK7l6stl+tTyf6sa"
            "P5eXS2n4UbJL9a8J7aNX4A==",
      &token));
  return token;
}

TEST(AccessTokenTest, SamplesOfTheRfc) {
  for (const Algorithm algorithm : {Algorithm::kA128Gcm, Algorithm::kA256Gcm}) {
    const std::string token = SampleToken(algorithm);
    const auto content = Key(algorithm).Open(AsBytes(token), kServer);
    ASSERT_TRUE(content.has_value());
    EXPECT_EQ(content->mac_key, Sample().mac_key);
    EXPECT_EQ(content->timestamp, Sample().timestamp);
    EXPECT_EQ(content->lifetime, Sample().lifetime);
    EXPECT_EQ(Key(algorithm).Seal(Sample(), kServer, Nonce()), token);
  }
}

TEST(AccessTokenTest, RoundTrip) {
  for (const size_t size : {20u, 32u, 64u}) {
    TokenContent content = Sample();
    content.mac_key = std::string(size, 'k');
    content.timestamp += absl::Milliseconds(250);
    const std::string token = Key().Seal(content, kServer, Nonce());
    const auto read = Key().Open(AsBytes(token), kServer);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->mac_key, content.mac_key);
    EXPECT_EQ(read->timestamp, content.timestamp);
  }
}

TEST(AccessTokenTest, NothingElseOpens) {
  const std::string token = SampleToken(Algorithm::kA256Gcm);
  const auto opens = [](absl::string_view text) {
    return Key().Open(AsBytes(text), kServer).has_value();
  };
  for (size_t size = 0; size < token.size(); ++size) {
    EXPECT_FALSE(opens(token.substr(0, size))) << size;
  }
  EXPECT_FALSE(opens(token + "x"));
  for (size_t bit = 0; bit < 8 * token.size(); ++bit) {
    std::string flipped = token;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(opens(flipped)) << bit;
  }
  EXPECT_FALSE(Key().Open(AsBytes(token), "other").has_value());
  EXPECT_FALSE(
      Key(Algorithm::kA128Gcm).Open(AsBytes(token), kServer).has_value());
}

// S8: a length of the nonce that is longer than the token, or any but that of
// the cipher, and tokens longer than any that we could have made.
TEST(AccessTokenTest, LengthsAreJudgedBeforeAnythingIsDecrypted) {
  std::string token = SampleToken(Algorithm::kA256Gcm);
  for (const int length : {0, 11, 13, 64, 256, 0xffff}) {
    token[0] = static_cast<char>(length >> 8);
    token[1] = static_cast<char>(length);
    EXPECT_FALSE(Key().Open(AsBytes(token), kServer).has_value());
  }
  EXPECT_FALSE(
      Key().Open(AsBytes(std::string(65'000, '\0')), kServer).has_value());
}

TEST(AccessTokenTest, KeysHaveTheirSizes) {
  const std::string key(33, 'k');
  for (const auto& [algorithm, right] : {std::pair(Algorithm::kA128Gcm, 16u),
                                         std::pair(Algorithm::kA256Gcm, 32u)}) {
    for (size_t size = 0; size <= key.size(); ++size) {
      EXPECT_EQ(TokenKey::Make(algorithm, AsBytes(key).first(size)).ok(),
                size == right);
    }
  }
}

TEST(AccessTokenTest, ExpiresByItsLifetimeAndDelta) {
  TokenContent content = Sample();
  content.lifetime = absl::Seconds(60);
  const absl::Duration delta = absl::Seconds(5);
  const auto at = [&](int seconds) {
    return TokenExpiry(content, content.timestamp + absl::Seconds(seconds),
                       delta);
  };
  for (const int seconds : {-64, 0, 64}) {
    EXPECT_EQ(at(seconds), content.timestamp + absl::Seconds(65)) << seconds;
  }
  for (const int seconds : {-65, 65, 1'000'000}) {
    EXPECT_EQ(at(seconds), std::nullopt) << seconds;
  }
}

}  // namespace
}  // namespace kyuu::stun
