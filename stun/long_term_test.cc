#include "stun/long_term.h"

#include <array>
#include <string>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::stun {
namespace {

const PasswordAlgorithms kBoth = PasswordAlgorithms::Sha256ThenMd5();

// Builds messages in storage of its own.
class Message {
 public:
  explicit Message(MessageClass cls)
      : writer_(absl::MakeSpan(buffer_), cls, Method::kAllocate, {}) {}
  MessageWriter& writer() { return writer_; }
  MessageView view() { return *MessageView::Parse(writer_.Finish()); }

 private:
  std::array<uint8_t, 1024> buffer_;
  MessageWriter writer_;
};

absl::Status ChallengeWith(LongTermCredential& credential,
                           absl::string_view nonce,
                           std::optional<PasswordAlgorithms> algorithms = {}) {
  Message challenge(MessageClass::kError);
  challenge.writer().Add(ErrorCode{Error::kUnauthenticated, ""});
  challenge.writer().Add(Realm{"realm"});
  challenge.writer().Add(Nonce{nonce});
  if (algorithms) challenge.writer().Add(*algorithms);
  return credential.HandleChallenge(challenge.view());
}

TEST(NonceCookieTest, RoundTripsAllFeatures) {
  for (const bool algorithms : {false, true}) {
    for (const bool anonymity : {false, true}) {
      const SecurityFeatures features{algorithms, anonymity};
      const std::string cookie = NonceCookie(features);
      EXPECT_EQ(cookie.size(), kNonceCookieSize);
      EXPECT_EQ(ReadNonceCookie(cookie + "rest"), features);
    }
  }
}

// RFC 8489 appendix B.1 uses USERHASH under this cookie (erratum 6290).
TEST(NonceCookieTest, ReadsTheCookieOfTheRfc) {
  EXPECT_EQ(ReadNonceCookie("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"),
            (SecurityFeatures{.username_anonymity = true}));
}

TEST(NonceCookieTest, OtherNoncesHaveNone) {
  EXPECT_EQ(ReadNonceCookie(""), std::nullopt);
  EXPECT_EQ(ReadNonceCookie("f//499k954d6OL34oL9FSTvy64sA"), std::nullopt);
  EXPECT_EQ(ReadNonceCookie("obMatJos2AAA"), std::nullopt);
  EXPECT_EQ(ReadNonceCookie("obMatJos2AA!Crest"), std::nullopt);
}

TEST(LongTermCredentialTest, AnswersAnOldServerWithMd5AndSha1) {
  LongTermCredential credential("user", "pass");
  EXPECT_FALSE(credential.ready());
  ASSERT_OK(ChallengeWith(credential, "nonce"));
  Message request(MessageClass::kRequest);
  credential.Authenticate(request.writer());
  const MessageView view = request.view();
  EXPECT_EQ(view.Get<Username>(), Username{"user"});
  EXPECT_EQ(view.Get<Realm>(), Realm{"realm"});
  EXPECT_EQ(view.Get<Nonce>(), Nonce{"nonce"});
  EXPECT_FALSE(view.Has<PasswordAlgorithm>());
  EXPECT_FALSE(view.HasIntegritySha256());
  EXPECT_TRUE(view.CheckIntegrity(
      IntegrityKey::LongTerm("user", "realm", "pass", PasswordHash::kMd5)));
  EXPECT_TRUE(credential.Check(view));
}

// RFC 8489 section 9.2.5: the list is echoed, one is chosen, SHA-256 only.
TEST(LongTermCredentialTest, AnswersANewServerWithSha256) {
  LongTermCredential credential("user", "pass");
  const std::string nonce =
      NonceCookie({.password_algorithms = true, .username_anonymity = true}) +
      "x";
  ASSERT_OK(ChallengeWith(credential, nonce, kBoth));
  EXPECT_TRUE(credential.uses_sha256());
  Message request(MessageClass::kRequest);
  credential.Authenticate(request.writer());
  const MessageView view = request.view();
  EXPECT_FALSE(view.Has<Username>());
  EXPECT_EQ(view.Get<Userhash>(), UserhashOf("user", "realm"));
  EXPECT_EQ(view.Get<PasswordAlgorithm>()->algorithm, PasswordHash::kSha256);
  EXPECT_EQ(view.Get<PasswordAlgorithms>(), kBoth);
  EXPECT_FALSE(view.HasIntegrity());
  EXPECT_TRUE(view.CheckIntegritySha256(
      IntegrityKey::LongTerm("user", "realm", "pass", PasswordHash::kSha256)));
  EXPECT_TRUE(credential.Check(view));
}

TEST(LongTermCredentialTest, AListOfMd5OnlyStillMeansSha256Integrity) {
  LongTermCredential credential("user", "pass");
  const uint8_t md5_only[] = {0, 1, 0, 0};
  ASSERT_OK(ChallengeWith(credential,
                          NonceCookie({.password_algorithms = true}),
                          PasswordAlgorithms{md5_only}));
  Message request(MessageClass::kRequest);
  credential.Authenticate(request.writer());
  EXPECT_TRUE(request.view().CheckIntegritySha256(
      IntegrityKey::LongTerm("user", "realm", "pass", PasswordHash::kMd5)));
}

// The bid-down attack that the nonce cookie is there to reveal.
TEST(LongTermCredentialTest, AStrippedListOfAlgorithmsIsNotAnswered) {
  LongTermCredential credential("user", "pass");
  EXPECT_THAT(
      ChallengeWith(credential, NonceCookie({.password_algorithms = true})),
      StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_FALSE(credential.ready());
  const uint8_t unknown[] = {0, 9, 0, 0};
  EXPECT_THAT(
      ChallengeWith(credential, NonceCookie({.password_algorithms = true}),
                    PasswordAlgorithms{unknown}),
      StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(LongTermCredentialTest, AChallengeNeedsRealmAndNonce) {
  LongTermCredential credential("user", "pass");
  EXPECT_THAT(ChallengeWith(credential, ""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  Message bare(MessageClass::kError);
  bare.writer().Add(ErrorCode{Error::kUnauthenticated, ""});
  EXPECT_THAT(credential.HandleChallenge(bare.view()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(LongTermCredentialTest, WithoutAChallengeNothingIsAdded) {
  const LongTermCredential credential("user", "pass");
  Message request(MessageClass::kRequest);
  credential.Authenticate(request.writer());
  EXPECT_EQ(request.view().bytes().size(), kHeaderSize);
}

TEST(LongTermCredentialTest, ResetForgetsTheServer) {
  LongTermCredential credential("user", "pass");
  ASSERT_OK(ChallengeWith(credential, "nonce"));
  credential.Reset();
  EXPECT_FALSE(credential.ready());
}

}  // namespace
}  // namespace kyuu::stun
