#include "tools/kyuud/admission/settings.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/token/testing/keys.h"

namespace kyuu::tools {
namespace {

using signaling::TokenAlgorithm;
using ::testing::HasSubstr;
namespace keys = signaling::testing;

// A file of this test; returns its name.
std::string File(const std::string& name, const std::string& content) {
  const std::string path = absl::StrCat(std::getenv("TEST_TMPDIR"), "/", name);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string Problem(const AdmissionSettings& settings) {
  return std::string(LoadAdmission(settings).status().message());
}

TEST(TokenKeyFileTest, IsAnIdAnAlgorithmAndAFile) {
  const auto key = TokenKeyFile::Parse("2026:ES256:/etc/a:b.pem");
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->id, "2026");
  EXPECT_EQ(key->algorithm, TokenAlgorithm::kEs256);
  EXPECT_EQ(key->file, "/etc/a:b.pem");
  EXPECT_EQ(key->ToString(), "2026:ES256:/etc/a:b.pem");
  EXPECT_EQ(TokenKeyFile::Parse(":HS256:secret")->id, "");
  for (const char* bad : {"", "a", "a:HS256", "a:HS256:", "a:none:f", "a::f",
                          "HS256:f", "a:hs256:f"}) {
    EXPECT_FALSE(TokenKeyFile::Parse(bad).ok()) << bad;
  }
}

TEST(LoadAdmissionTest, ReadsKeysOfAllKinds) {
  AdmissionSettings settings;
  settings.keys = {
      {"h", TokenAlgorithm::kHs256,
       File("secret", absl::StrCat(keys::kSecret, "\n"))},
      {"r", TokenAlgorithm::kRs256, File("rsa.pem", keys::kRsaPublic)},
      {"", TokenAlgorithm::kEs256, File("ec.pem", keys::kP256Public)},
      {"", TokenAlgorithm::kEdDsa, File("ed.pem", keys::kEd25519Public)},
  };
  settings.jwks_files = {File(
      "jwks.json", R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"j",)"
                   R"("x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})")};
  settings.api_keys = {"an-api-key-of-some-length"};
  settings.api_key_files = {File(
      "api-keys", "\nanother-key-that-is-long \n\na-third-key-that-is-long")};
  settings.issuer = "me";
  settings.audience = "you";
  const auto options = LoadAdmission(settings);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->keys.keys().size(), 5u);
  // The end of a line is no part of a secret.
  EXPECT_FALSE(options->keys.keys()[0].Verify("text", "x"));
  EXPECT_EQ(options->api_keys,
            (std::vector<std::string>{"an-api-key-of-some-length",
                                      "another-key-that-is-long",
                                      "a-third-key-that-is-long"}));
  EXPECT_EQ(options->rules.issuer, "me");
  EXPECT_EQ(options->rules.audience, "you");
}

TEST(LoadAdmissionTest, SaysWhichFileIsWrongAndWhy) {
  AdmissionSettings settings;
  settings.keys = {{"", TokenAlgorithm::kHs256, "/nowhere/key"}};
  EXPECT_THAT(Problem(settings), HasSubstr("/nowhere/key: cannot be read"));
  settings.keys = {{"", TokenAlgorithm::kHs256, ::testing::TempDir()}};
  EXPECT_THAT(Problem(settings), HasSubstr("cannot be read"));
  settings.keys = {{"", TokenAlgorithm::kHs256, File("short", "short")}};
  EXPECT_THAT(Problem(settings), HasSubstr("32 bytes"));
  settings.keys = {
      {"", TokenAlgorithm::kRs256, File("weak", keys::kWeakRsaPublic)}};
  EXPECT_THAT(Problem(settings), HasSubstr("2048"));
  settings.keys = {
      {"", TokenAlgorithm::kEs256, File("other", keys::kRsaPublic)}};
  EXPECT_THAT(Problem(settings), HasSubstr("RS256, not of ES256"));
  settings.keys.clear();
  settings.jwks_files = {File("none.json", R"({"keys":[]})")};
  EXPECT_THAT(Problem(settings), HasSubstr("none.json"));
  settings.jwks_files = {File("large", std::string((1 << 20) + 2, ' '))};
  EXPECT_THAT(Problem(settings), HasSubstr("more than 1 MiB"));
  settings.jwks_files.clear();
  settings.api_key_files = {File("empty", "\n\n")};
  EXPECT_THAT(Problem(settings), HasSubstr("no key"));
  settings.api_key_files.clear();
  settings.anonymous = signaling::AdmissionOptions::Anonymous::kForbid;
  EXPECT_THAT(Problem(settings), HasSubstr("nobody could come"));
}

}  // namespace
}  // namespace kyuu::tools
