#include "dtls/fingerprint.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::dtls {
namespace {

// From the offer of Chromium 156.
constexpr char kSha256[] =
    "sha-256 3B:6D:1E:3F:94:12:5E:7C:A0:4B:99:FE:00:11:22:33:44:55:66:77:88:"
    "99:AA:BB:CC:DD:EE:FF:01:23:45:67";

std::string Repeated(absl::string_view name, size_t size) {
  std::string text = std::string(name) + " ";
  for (size_t i = 0; i < size; ++i) text += i == 0 ? "AB" : ":AB";
  return text;
}

TEST(Fingerprint, ParsesAndWritesWhatBrowsersSend) {
  absl::StatusOr<Fingerprint> f = Fingerprint::Parse(kSha256);
  ASSERT_OK(f);
  EXPECT_EQ(f->algorithm(), HashAlgorithm::kSha256);
  EXPECT_EQ(f->digest().size(), 32u);
  EXPECT_EQ(f->digest()[0], 0x3b);
  EXPECT_EQ(f->ToString(), kSha256);
}

TEST(Fingerprint, CaseMattersNeitherInNameNorDigits) {
  absl::StatusOr<Fingerprint> lower =
      Fingerprint::Parse(absl::AsciiStrToLower(kSha256));
  absl::StatusOr<Fingerprint> upper =
      Fingerprint::Parse(absl::AsciiStrToUpper(kSha256));
  ASSERT_OK(lower);
  ASSERT_OK(upper);
  EXPECT_EQ(*lower, *upper);
}

TEST(Fingerprint, AcceptsLongerHashes) {
  EXPECT_OK(Fingerprint::Parse(Repeated("sha-384", 48)));
  EXPECT_OK(Fingerprint::Parse(Repeated("sha-512", 64)));
}

TEST(Fingerprint, H34RefusesWeakHashesByAnErrorOfTheirOwn) {
  for (const std::string& text :
       {Repeated("sha-1", 20), Repeated("md5", 16), Repeated("md2", 16),
        Repeated("sha-224", 28), Repeated("whirlpool", 64)}) {
    EXPECT_THAT(Fingerprint::Parse(text),
                StatusIs(absl::StatusCode::kUnimplemented))
        << text;
  }
}

TEST(Fingerprint, RefusesWhatIsNoFingerprint) {
  for (const std::string& text :
       {std::string(), std::string(" "), std::string("sha-256"),
        std::string("sha-256 "), Repeated("sha-256", 31),
        Repeated("sha-256", 33), std::string(kSha256) + ":",
        std::string(kSha256) + " ", Repeated("sha-256", 31) + ":G0",
        Repeated("sha-256", 31) + "-AB", " " + std::string(kSha256)}) {
    EXPECT_THAT(Fingerprint::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(Fingerprint, EveryTruncationIsRefused) {
  const absl::string_view text = kSha256;
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(Fingerprint::Parse(text.substr(0, size)).ok()) << size;
  }
}

TEST(Fingerprint, DigestOfTheWrongSizeIsNone) {
  const std::vector<uint8_t> digest(32, 1);
  EXPECT_TRUE(Fingerprint::FromDigest(HashAlgorithm::kSha256, digest));
  EXPECT_FALSE(Fingerprint::FromDigest(HashAlgorithm::kSha384, digest));
}

TEST(Fingerprint, StrongestHashDecides) {
  EXPECT_EQ(StrongestHash({}), std::nullopt);
  const std::vector<Fingerprint> both = {
      *Fingerprint::Parse(Repeated("sha-512", 64)),
      *Fingerprint::Parse(kSha256)};
  EXPECT_EQ(StrongestHash(both), HashAlgorithm::kSha512);
}

TEST(Fingerprint, DefaultEqualsNoParsedOne) {
  EXPECT_NE(Fingerprint(), *Fingerprint::Parse(kSha256));
}

}  // namespace
}  // namespace kyuu::dtls
