#include "tools/kyuu/turn_probe/token_file.h"

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

// RFC 7635 section 4.1.2's.
constexpr absl::string_view kToken = R"({
  "access_token": "U2FsdGVkX18qJK/kkWmRcnfHglrVTJSpS6yU32kmHmOrfGyI3m1g+Q==",
  "token_type": "pop",
  "expires_in": 1800,
  "kid": "22BIjxU93h/IgwEb",
  "key": "v51N62OM65kyMvfTI08O",
  "alg": "HMAC-SHA-256-128"
})";

std::string With(absl::string_view from, absl::string_view to) {
  return absl::StrReplaceAll(kToken, {{from, to}});
}

TEST(TokenFile, IsReadAsTheRfcHasIt) {
  const auto token = ParseToken(kToken);
  ASSERT_OK(token);
  EXPECT_EQ(token->kid, "22BIjxU93h/IgwEb");
  EXPECT_EQ(token->mac_key, "v51N62OM65kyMvfTI08O");
  EXPECT_EQ(token->token.substr(0, 8), "Salted__");
  EXPECT_EQ(token->lifetime, absl::Minutes(30));
}

TEST(TokenFile, AKeyOfAnyBytesIsInBase64) {
  const auto token = ParseToken(absl::StrReplaceAll(
      kToken, {{"\"key\"", "\"mac_key\""},
               {"v51N62OM65kyMvfTI08O", "djUxTjYyT002NWt5TXZmVEkwOP8"}}));
  ASSERT_OK(token);
  EXPECT_EQ(token->mac_key, "v51N62OM65kyMvfTI08\xff");
}

TEST(TokenFile, BothAlphabetsAndNoPaddingWillDo) {
  const auto token = ParseToken(
      absl::StrReplaceAll(kToken, {{"JK/k", "JK_k"}, {"+Q==", "-Q"}}));
  ASSERT_OK(token);
  EXPECT_EQ(token->token, ParseToken(kToken)->token);
}

TEST(TokenFile, WithoutExpiresInItHasNoEnd) {
  const auto token = ParseToken(With("\"expires_in\": 1800,", ""));
  ASSERT_OK(token);
  EXPECT_EQ(token->lifetime, absl::InfiniteDuration());
}

TEST(TokenFile, WhatIsNoneIsRefusedWithItsReason) {
  const auto why = [](absl::string_view text) {
    const auto token = ParseToken(text);
    return token.ok() ? "" : std::string(token.status().message());
  };
  using testing::HasSubstr;
  EXPECT_THAT(why(""), HasSubstr("not a JSON object"));
  EXPECT_THAT(why("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(why("{}"), HasSubstr("no text \"access_token\""));
  EXPECT_THAT(why(With("\"kid\"", "\"id\"")), HasSubstr("no text \"kid\""));
  EXPECT_THAT(why(With("\"key\"", "\"mac_key\": \"!\", \"k\"")),
              HasSubstr("\"mac_key\" is not base64"));
  EXPECT_THAT(why(With("\"key\"", "\"k\"")), HasSubstr("either \"key\" or"));
  EXPECT_THAT(why(With("\"key\"", "\"mac_key\": \"\", \"key\"")),
              HasSubstr("either \"key\" or"));
  EXPECT_THAT(why(With("v51N62OM65kyMvfTI08O", "v51N62OM65kyMvf")),
              HasSubstr("mac_key has 16 to 64 bytes"));
  for (const char* seconds : {"\"1800\"", "-1", "1.5", "null", "4e12",
                              "99999999999999999999", "3162240001"}) {
    EXPECT_THAT(why(With("1800", seconds)), HasSubstr("expires_in")) << seconds;
  }
  EXPECT_THAT(why(With("1800", "0")), HasSubstr("the token is over"));
}

TEST(TokenFile, EveryTruncationIsRefused) {
  for (size_t size = 0; size + 1 < kToken.size(); ++size) {
    EXPECT_FALSE(ParseToken(kToken.substr(0, size)).ok()) << size;
  }
}

TEST(TokenFile, FilesAreReadAndNamedInErrors) {
  const std::string path = absl::StrCat(testing::TempDir(), "/token");
  EXPECT_EQ(ReadTokenFile(path).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(path) << kToken;
  EXPECT_OK(ReadTokenFile(path));
  std::ofstream(path) << kToken << std::string(kTokenFileMax, ' ');
  EXPECT_THAT(std::string(ReadTokenFile(path).status().message()),
              testing::HasSubstr("more than 16384 bytes"));
  std::ofstream(path) << "{}";
  EXPECT_THAT(std::string(ReadTokenFile(path).status().message()),
              testing::StartsWith(absl::StrCat(path, ": there is no")));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace kyuu::tools
