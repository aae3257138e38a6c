#include "signaling/token/admission.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"

namespace kyuu::signaling {
namespace {

using Anonymous = AdmissionOptions::Anonymous;
using ::testing::HasSubstr;

constexpr absl::Time kUtc = absl::FromUnixSeconds(1'800'000'000);
// The driver's clock has a beginning of its own.
constexpr absl::Time kNow = absl::FromUnixSeconds(5'000);
constexpr char kApiKey[] = "an-api-key-of-some-length";

std::string TokenOf(absl::string_view user, absl::Duration lifetime) {
  NewToken token;
  token.subject = std::string(user);
  token.name = "Ada";
  token.rooms = {"team-*"};
  token.issued = kUtc;
  token.expires = kUtc + lifetime;
  return *SigningKey::FromText(testing::kEd25519Private)->MakeToken("k", token);
}

AdmissionOptions Options(Anonymous anonymous) {
  AdmissionOptions options;
  options.anonymous = anonymous;
  options.api_keys = {"another-api-key-there-is", kApiKey};
  EXPECT_TRUE(options.keys
                  .Add(*TokenKey::FromPem("k", TokenAlgorithm::kEdDsa,
                                          testing::kEd25519Public))
                  .ok());
  return options;
}

Admission Made(Anonymous anonymous) {
  Admission admission(Options(anonymous));
  admission.SetUtcOffset(kUtc - kNow);
  return admission;
}

Grant Granted(Admission& admission, absl::string_view shown) {
  auto verdict = admission.Judge(kNow, shown);
  EXPECT_TRUE(std::holds_alternative<Grant>(verdict)) << shown;
  const Grant* grant = std::get_if<Grant>(&verdict);
  return grant == nullptr ? Grant() : *grant;
}

NotAdmitted Refused(Admission& admission, absl::string_view shown) {
  auto verdict = admission.Judge(kNow, shown);
  EXPECT_TRUE(std::holds_alternative<NotAdmitted>(verdict)) << shown;
  const NotAdmitted* refused = std::get_if<NotAdmitted>(&verdict);
  return refused == nullptr ? NotAdmitted{ErrorCode::kUnknown, ""} : *refused;
}

TEST(AdmissionTest, LetsEverybodyInWithoutKeysWhateverTheyShow) {
  Admission admission;
  EXPECT_FALSE(admission.judges());
  EXPECT_EQ(Granted(admission, "").by, Grant::By::kNobody);
  EXPECT_EQ(Granted(admission, "a.b.c").by, Grant::By::kNobody);
  EXPECT_EQ(admission.stats().anonymous, 2u);
}

TEST(AdmissionTest, ATokenSaysWhoComesAndUntilWhen) {
  Admission admission = Made(Anonymous::kForbid);
  const Grant grant = Granted(admission, TokenOf("ada", absl::Minutes(5)));
  EXPECT_EQ(grant.by, Grant::By::kToken);
  EXPECT_EQ(grant.user, "ada");
  EXPECT_EQ(grant.name, "Ada");
  EXPECT_TRUE(grant.rooms.AllowsRoom("team-x"));
  EXPECT_FALSE(grant.rooms.AllowsRoom("lobby"));
  EXPECT_EQ(grant.until, kNow + absl::Minutes(5));
  EXPECT_TRUE(
      grant.IsSameUser(Granted(admission, TokenOf("ada", absl::Minutes(9)))));
  EXPECT_FALSE(
      grant.IsSameUser(Granted(admission, TokenOf("eve", absl::Minutes(5)))));
  EXPECT_EQ(admission.stats().by_token, 3u);
}

TEST(AdmissionTest, AnApiKeyLetsInForEver) {
  Admission admission = Made(Anonymous::kForbid);
  const Grant grant = Granted(admission, kApiKey);
  EXPECT_EQ(grant.by, Grant::By::kApiKey);
  EXPECT_EQ(grant.until, absl::InfiniteFuture());
  EXPECT_TRUE(grant.rooms.allows_all());
  EXPECT_FALSE(grant.IsSameUser(Grant()));
  EXPECT_EQ(admission.stats().by_api_key, 1u);
  // Neither a part of one nor more.
  EXPECT_EQ(Refused(admission, absl::StrCat(kApiKey, "x")).code,
            ErrorCode::kUnauthorized);
  EXPECT_EQ(Refused(admission, "an-api-key").code, ErrorCode::kUnauthorized);
  EXPECT_EQ(admission.stats().refused_malformed, 2u);
}

TEST(AdmissionTest, AnonymousOnesComeIfTheyMay) {
  Admission open = Made(Anonymous::kAllow);
  EXPECT_EQ(Granted(open, "").by, Grant::By::kNobody);
  Admission closed = Made(Anonymous::kForbid);
  const NotAdmitted refused = Refused(closed, "");
  EXPECT_EQ(refused.code, ErrorCode::kUnauthorized);
  EXPECT_THAT(refused.message, HasSubstr("token"));
  EXPECT_EQ(closed.stats().refused_anonymous, 1u);
}

TEST(AdmissionTest, WhatIsNoGoodIsRefusedAlsoWhereNothingIsNeeded) {
  Admission admission = Made(Anonymous::kAllow);
  EXPECT_EQ(Refused(admission, TokenOf("ada", -absl::Minutes(2))).code,
            ErrorCode::kTokenExpired);
  EXPECT_EQ(admission.stats().refused_expired, 1u);
  EXPECT_EQ(Refused(admission, "a.b.c").code, ErrorCode::kUnauthorized);
  std::string forged = TokenOf("ada", absl::Minutes(5));
  forged[forged.size() - 4] = forged[forged.size() - 4] == 'A' ? 'B' : 'A';
  const NotAdmitted refused = Refused(admission, forged);
  EXPECT_EQ(refused.code, ErrorCode::kUnauthorized);
  EXPECT_EQ(refused.message, "the token is refused: its signature is wrong");
  EXPECT_EQ(admission.stats().refused_signature, 1u);
  EXPECT_EQ(admission.stats().refused_malformed, 1u);
}

TEST(AdmissionTest, OtherOptionsHoldForWhoComesFromThenOn) {
  Admission admission = Made(Anonymous::kAllow);
  const std::string token = TokenOf("ada", absl::Minutes(5));
  Granted(admission, token);
  AdmissionOptions next = Options(Anonymous::kForbid);
  next.keys = KeySet();
  next.api_keys = {"a-key-that-is-quite-new"};
  admission.SetOptions(next);
  Refused(admission, token);
  EXPECT_EQ(admission.stats().refused_unknown_key, 1u);
  Refused(admission, kApiKey);
  Granted(admission, "a-key-that-is-quite-new");
}

TEST(AdmissionTest, OptionsThatLetNobodyInOrAreWeakAreInvalid) {
  EXPECT_TRUE(AdmissionOptions().Validate().ok());
  EXPECT_TRUE(Options(Anonymous::kForbid).Validate().ok());
  AdmissionOptions nobody;
  nobody.anonymous = Anonymous::kForbid;
  EXPECT_THAT(std::string(nobody.Validate().message()),
              HasSubstr("nobody could come"));
  for (const std::string& key :
       {std::string("too-short"), std::string(257, 'k'),
        std::string("it has blanks in it, so it"),
        std::string("looks.like.a.token.to.us")}) {
    AdmissionOptions options;
    options.api_keys = {key};
    EXPECT_FALSE(options.Validate().ok()) << key;
  }
  AdmissionOptions many;
  many.api_keys.assign(257, kApiKey);
  EXPECT_FALSE(many.Validate().ok());
}

}  // namespace
}  // namespace kyuu::signaling
