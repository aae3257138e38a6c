// a=sctp-init through offer and answer (draft-hancke-tsvwg-snap).

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "base/testing.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"

namespace kyuu::sdp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const auto kInvalid = StatusIs(absl::StatusCode::kInvalidArgument);
constexpr absl::string_view kLine = "a=sctp-init:";

LocalTransport WithInit(char letter, char generation = '1') {
  LocalTransport local = TransportOf(letter, generation);
  local.sctp_init = std::string(4, letter);
  return local;
}

std::string LocalText(const Session& session) {
  return session.current_local_description()->ToString();
}

TEST(SctpInit, BothTellTheirsAndAgree) {
  Couple couple;
  couple.Negotiate(couple.a, WithInit('a'), couple.b, WithInit('b'));
  EXPECT_TRUE(couple.a.sctp_init_agreed());
  EXPECT_TRUE(couple.b.sctp_init_agreed());
  EXPECT_EQ(couple.a.remote()->sctp_init, "bbbb");
  EXPECT_EQ(couple.b.remote()->sctp_init, "aaaa");
  EXPECT_THAT(LocalText(couple.a),
              HasSubstr("a=max-message-size:262144\r\na=sctp-init:aaaa\r\n"));
}

TEST(SctpInit, WithoutItOnEitherSideNothingIsAgreed) {
  Couple offered;
  offered.Negotiate(offered.a, WithInit('a'), offered.b, TransportOf('b'));
  EXPECT_FALSE(offered.a.sctp_init_agreed());
  EXPECT_FALSE(offered.b.sctp_init_agreed());

  // An answer has none unless the offer has.
  Couple answered;
  answered.Negotiate(answered.a, TransportOf('a'), answered.b, WithInit('b'));
  EXPECT_THAT(LocalText(answered.b), Not(HasSubstr(kLine)));
  EXPECT_FALSE(answered.a.sctp_init_agreed());
  EXPECT_FALSE(answered.b.sctp_init_agreed());
}

TEST(SctpInit, AProvisionalAnswerAgreesToo) {
  Couple couple;
  const auto offer = couple.a.CreateOffer(WithInit('a'));
  ASSERT_OK(offer);
  ASSERT_OK(couple.a.SetLocal(SdpType::kOffer));
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer, *offer));
  EXPECT_FALSE(couple.b.sctp_init_agreed());
  const auto answer = couple.b.CreateAnswer(WithInit('b'));
  ASSERT_OK(answer);
  EXPECT_FALSE(couple.b.sctp_init_agreed());
  ASSERT_OK(couple.b.SetLocal(SdpType::kPranswer));
  ASSERT_OK(couple.a.SetRemote(SdpType::kPranswer, *answer));
  EXPECT_TRUE(couple.a.sctp_init_agreed());
  EXPECT_TRUE(couple.b.sctp_init_agreed());
}

// What libdatachannel does with an attribute that it does not know (up to
// 0.24.5).
TEST(SctpInit, OursSentBackIsNone) {
  Couple couple;
  LocalTransport parrot = TransportOf('b');
  parrot.sctp_init = "aaaa";
  couple.Negotiate(couple.a, WithInit('a'), couple.b, parrot);
  EXPECT_FALSE(couple.a.sctp_init_agreed());
  EXPECT_EQ(couple.a.remote()->sctp_init, "");
}

TEST(SctpInit, StaysWithTheAssociation) {
  Couple couple;
  couple.Negotiate(couple.a, WithInit('a'), couple.b, WithInit('b'));
  // In both directions, and over an ICE restart.
  couple.Negotiate(couple.b, WithInit('b'), couple.a, WithInit('a'));
  couple.Negotiate(couple.a, WithInit('a', '2'), couple.b, WithInit('b', '2'));
  EXPECT_TRUE(couple.a.sctp_init_agreed());
  EXPECT_THAT(LocalText(couple.b), HasSubstr("a=sctp-init:bbbb\r\n"));

  // Where it was not agreed, it is not offered to an association in use.
  Couple plain;
  plain.Negotiate(plain.a, WithInit('a'), plain.b, TransportOf('b'));
  plain.Negotiate(plain.a, WithInit('a'), plain.b, WithInit('b'));
  EXPECT_THAT(LocalText(plain.a), Not(HasSubstr(kLine)));
  // Nor answered, if the peer offers it.
  std::string offer = plain.b.CreateOffer(TransportOf('b')).value();
  absl::StrAppend(&offer, "a=sctp-init:bbbb\r\n");
  ASSERT_OK(plain.a.SetRemote(SdpType::kOffer, offer));
  EXPECT_THAT(plain.a.CreateAnswer(WithInit('a')).value(),
              Not(HasSubstr(kLine)));
}

// Row H35 of the hostile inputs.
TEST(SctpInit, H35AChangedOneIsRefusedWithinAnAssociation) {
  Couple couple;
  couple.Negotiate(couple.a, WithInit('a'), couple.b, WithInit('b'));
  const std::string offer = couple.b.CreateOffer(WithInit('b')).value();
  const std::string changed =
      absl::StrReplaceAll(offer, {{"sctp-init:bbbb", "sctp-init:cccc"}});
  const auto refused = couple.a.SetRemote(SdpType::kOffer, changed);
  EXPECT_THAT(refused, kInvalid);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("sctp-init changed within an association"));
  EXPECT_EQ(couple.a.state(), SignalingState::kStable);

  // One that is left out is that of before.
  ASSERT_OK(couple.a.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(offer, {{"a=sctp-init:bbbb\r\n", ""}})));
  EXPECT_EQ(couple.a.remote()->sctp_init, "bbbb");
  EXPECT_TRUE(couple.a.sctp_init_agreed());

  // With another certificate and a restart it is another association.
  LocalTransport other = TransportOf('c', '2');
  other.sctp_init = "cccc";
  Couple anew;
  anew.Negotiate(anew.a, WithInit('a'), anew.b, WithInit('b'));
  anew.Negotiate(anew.b, other, anew.a, WithInit('a', '2'));
  EXPECT_EQ(anew.a.remote()->sctp_init, "cccc");
}

}  // namespace
}  // namespace kyuu::sdp
