// The JSEP state machine as a table, and what restart, rollback and
// renegotiation change.

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"

namespace kyuu::sdp {
namespace {

using ::testing::HasSubstr;
using enum SignalingState;

const auto kWrongState = StatusIs(absl::StatusCode::kFailedPrecondition);

constexpr SignalingState kAllStates[] = {kStable,
                                         kHaveLocalOffer,
                                         kHaveRemoteOffer,
                                         kHaveLocalPranswer,
                                         kHaveRemotePranswer,
                                         kClosed};

constexpr Operation kAllOperations[] = {
    Operation::kLocalOffer,     Operation::kLocalPranswer,
    Operation::kLocalAnswer,    Operation::kRemoteOffer,
    Operation::kRemotePranswer, Operation::kRemoteAnswer,
    Operation::kRollback,       Operation::kClose};

std::string ForeignAnswer() {
  return absl::StrReplaceAll(ForeignOffer(), {{"actpass", "active"}});
}

// Brings a fresh session into `state`.
void Enter(Session& session, SignalingState state) {
  switch (state) {
    case kStable:
      return;
    case kHaveLocalOffer:
      ASSERT_OK(session.CreateOffer(TransportOf('a')));
      ASSERT_OK(session.SetLocal(SdpType::kOffer));
      return;
    case kHaveRemoteOffer:
      ASSERT_OK(session.SetRemote(SdpType::kOffer, ForeignOffer()));
      return;
    case kHaveLocalPranswer:
      Enter(session, kHaveRemoteOffer);
      ASSERT_OK(session.CreateAnswer(TransportOf('a')));
      ASSERT_OK(session.SetLocal(SdpType::kPranswer));
      return;
    case kHaveRemotePranswer:
      Enter(session, kHaveLocalOffer);
      ASSERT_OK(session.SetRemote(SdpType::kPranswer, ForeignAnswer()));
      return;
    case kClosed:
      session.Close();
      return;
  }
}

absl::Status Apply(Session& session, Operation operation) {
  // Creating may fail: SetLocal then has to fail too.
  switch (operation) {
    case Operation::kLocalOffer:
      (void)session.CreateOffer(TransportOf('a'));
      return session.SetLocal(SdpType::kOffer).status();
    case Operation::kLocalPranswer:
      (void)session.CreateAnswer(TransportOf('a'));
      return session.SetLocal(SdpType::kPranswer).status();
    case Operation::kLocalAnswer:
      (void)session.CreateAnswer(TransportOf('a'));
      return session.SetLocal(SdpType::kAnswer).status();
    case Operation::kRemoteOffer:
      return session.SetRemote(SdpType::kOffer, ForeignOffer()).status();
    case Operation::kRemotePranswer:
      return session.SetRemote(SdpType::kPranswer, ForeignAnswer()).status();
    case Operation::kRemoteAnswer:
      return session.SetRemote(SdpType::kAnswer, ForeignAnswer()).status();
    case Operation::kRollback:
      return session.Rollback().status();
    case Operation::kClose:
      session.Close();
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

// RFC 9429 section 3.2, figure 2, written out from the figure.
struct Arrow {
  SignalingState from;
  Operation operation;
  SignalingState to;
};
constexpr Arrow kFigure[] = {
    {kStable, Operation::kLocalOffer, kHaveLocalOffer},
    {kStable, Operation::kRemoteOffer, kHaveRemoteOffer},
    {kHaveLocalOffer, Operation::kLocalOffer, kHaveLocalOffer},
    {kHaveLocalOffer, Operation::kRemotePranswer, kHaveRemotePranswer},
    {kHaveLocalOffer, Operation::kRemoteAnswer, kStable},
    {kHaveRemoteOffer, Operation::kRemoteOffer, kHaveRemoteOffer},
    {kHaveRemoteOffer, Operation::kLocalPranswer, kHaveLocalPranswer},
    {kHaveRemoteOffer, Operation::kLocalAnswer, kStable},
    {kHaveLocalPranswer, Operation::kLocalPranswer, kHaveLocalPranswer},
    {kHaveLocalPranswer, Operation::kLocalAnswer, kStable},
    {kHaveRemotePranswer, Operation::kRemotePranswer, kHaveRemotePranswer},
    {kHaveRemotePranswer, Operation::kRemoteAnswer, kStable},
    // Section 5.7.
    {kHaveLocalOffer, Operation::kRollback, kStable},
    {kHaveRemoteOffer, Operation::kRollback, kStable},
    {kHaveLocalPranswer, Operation::kRollback, kStable},
    {kHaveRemotePranswer, Operation::kRollback, kStable},
    // W3C's implicit rollback.
    {kHaveLocalOffer, Operation::kRemoteOffer, kHaveRemoteOffer},
};

std::optional<SignalingState> Expected(SignalingState from,
                                       Operation operation) {
  if (operation == Operation::kClose) return kClosed;
  for (const Arrow& arrow : kFigure) {
    if (arrow.from == from && arrow.operation == operation) return arrow.to;
  }
  return std::nullopt;
}

TEST(SessionStatesTest, EveryOperationInEveryState) {
  for (const SignalingState from : kAllStates) {
    for (const Operation operation : kAllOperations) {
      SCOPED_TRACE(absl::StrCat(SignalingStateName(from), " operation ",
                                static_cast<int>(operation)));
      SeededRandom random(1);
      Session session({}, random);
      Enter(session, from);
      ASSERT_EQ(session.state(), from);
      const auto expected = Expected(from, operation);
      EXPECT_EQ(NextState(from, operation), expected);
      const absl::Status status = Apply(session, operation);
      if (expected) {
        EXPECT_OK(status);
      } else {
        EXPECT_THAT(status, kWrongState);
      }
      EXPECT_EQ(session.state(), expected.value_or(from));
    }
  }
}

TEST(SessionStatesTest, EveryPairOfOperationsLeavesAUsableSession) {
  for (const SignalingState from : kAllStates) {
    for (const Operation first : kAllOperations) {
      for (const Operation second : kAllOperations) {
        SeededRandom random(1);
        Session session({}, random);
        Enter(session, from);
        (void)Apply(session, first);
        (void)Apply(session, second);
        if (session.state() == kClosed) continue;
        if (session.state() != kStable) {
          ASSERT_OK(session.Rollback());
        }
        ASSERT_EQ(session.state(), kStable);
        EXPECT_OK(session.CreateOffer(TransportOf('a')));
      }
    }
  }
}

TEST(SessionStatesTest, CreateNeedsAStateWithRoom) {
  for (const SignalingState state : kAllStates) {
    SeededRandom random(1);
    Session session({}, random);
    Enter(session, state);
    EXPECT_EQ(session.CreateOffer(TransportOf('a')).ok(),
              state == kStable || state == kHaveLocalOffer);
    EXPECT_EQ(session.CreateAnswer(TransportOf('a')).ok(),
              state == kHaveRemoteOffer || state == kHaveLocalPranswer);
  }
}

TEST(SessionStatesTest, ARefusedDescriptionChangesNothing) {
  for (const SignalingState state :
       {kStable, kHaveLocalOffer, kHaveRemoteOffer}) {
    SeededRandom random(1);
    Session session({}, random);
    Enter(session, state);
    const bool had_remote = session.remote().has_value();
    EXPECT_THAT(session.SetRemote(SdpType::kOffer, "v=0\r\n"),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(session.state(), state);
    EXPECT_EQ(session.remote().has_value(), had_remote);
    EXPECT_EQ(session.pending_local_description() != nullptr,
              state == kHaveLocalOffer);
  }
}

TEST(SessionStatesTest, RenegotiationWithoutChangesChangesNothing) {
  Couple couple;
  couple.Negotiate();
  const std::string offer = couple.b.CreateOffer(TransportOf('b')).value();
  const Change local = couple.b.SetLocal(SdpType::kOffer).value();
  EXPECT_FALSE(local.data().local_ice || local.data().ice_restart);
  const Change remote = couple.a.SetRemote(SdpType::kOffer, offer).value();
  EXPECT_FALSE(remote.data().remote_ice || remote.data().ice_restart ||
               remote.data().dtls_restart);
  // The DTLS roles stay: a was passive.
  const std::string answer = couple.a.CreateAnswer(TransportOf('a')).value();
  EXPECT_THAT(answer, HasSubstr("a=setup:passive\r\n"));
  const Change done = couple.a.SetLocal(SdpType::kAnswer).value();
  EXPECT_TRUE(done.data().answered);
  EXPECT_FALSE(done.data().local_ice || done.data().ice_restart);
  ASSERT_OK(couple.b.SetRemote(SdpType::kAnswer, answer));
  EXPECT_EQ(couple.b.remote()->local_setup, sdp::Setup::kActive);
  // Who offered first stays, too.
  EXPECT_TRUE(couple.a.offerer());
  EXPECT_FALSE(couple.b.offerer());
}

// What an exchange makes different is told for each transport by its tag, and
// nothing is told of what stays.
TEST(SessionStatesTest, AChangeNamesTheTransportsThatDiffer) {
  Couple couple;
  const auto offer = couple.a.CreateOffer(TransportOf('a'));
  Change change = couple.a.SetLocal(SdpType::kOffer).value();
  ASSERT_EQ(change.transports.size(), 1u);
  EXPECT_EQ(change.transports[0].tag, "0");
  change = couple.b.SetRemote(SdpType::kOffer, *offer).value();
  ASSERT_EQ(change.transports.size(), 1u);
  EXPECT_EQ(change.transports[0].tag, "0");
  EXPECT_TRUE(change.transports[0].remote_ice);

  Couple agreed;
  agreed.Negotiate();
  const auto again = agreed.a.CreateOffer(TransportOf('a'));
  EXPECT_TRUE(agreed.a.SetLocal(SdpType::kOffer).value().transports.empty());
  change = agreed.b.SetRemote(SdpType::kOffer, *again).value();
  EXPECT_TRUE(change.transports.empty());
  EXPECT_EQ(change.state, SignalingState::kHaveRemoteOffer);
}

TEST(SessionStatesTest, IceRestartIsSeenOnBothSides) {
  Couple couple;
  couple.Negotiate();
  const std::string offer = couple.a.CreateOffer(TransportOf('a', '2')).value();
  const Change local = couple.a.SetLocal(SdpType::kOffer).value();
  EXPECT_TRUE(local.data().local_ice && local.data().ice_restart);
  EXPECT_EQ(couple.a.remote()->ice_ufrag, "bbb1");

  const Change remote = couple.b.SetRemote(SdpType::kOffer, offer).value();
  EXPECT_TRUE(remote.data().remote_ice && remote.data().ice_restart);
  EXPECT_FALSE(remote.data().dtls_restart);
  // The answer needs new credentials.
  EXPECT_THAT(couple.b.CreateAnswer(TransportOf('b')), kWrongState);
  LocalTransport half = TransportOf('b', '2');
  half.ice_pwd = TransportOf('b').ice_pwd;
  EXPECT_THAT(couple.b.CreateAnswer(half), kWrongState);
  const std::string answer =
      couple.b.CreateAnswer(TransportOf('b', '2')).value();
  const Change answered = couple.b.SetLocal(SdpType::kAnswer).value();
  EXPECT_TRUE(answered.data().local_ice && answered.data().ice_restart);
  const Change done = couple.a.SetRemote(SdpType::kAnswer, answer).value();
  EXPECT_TRUE(done.data().remote_ice && done.data().ice_restart);
  EXPECT_EQ(couple.a.remote()->ice_ufrag, "bbb2");
  EXPECT_EQ(couple.a.remote()->local_setup, sdp::Setup::kPassive);
}

TEST(SessionStatesTest, AnOfferRestartsWithBothCredentialsOrNone) {
  Couple couple;
  couple.Negotiate();
  LocalTransport half = TransportOf('a', '2');
  half.ice_ufrag = TransportOf('a').ice_ufrag;
  EXPECT_THAT(couple.a.CreateOffer(half),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(SessionStatesTest, AnAnswerKeepsItsCredentialsWithoutARestart) {
  Couple couple;
  couple.Negotiate();
  const std::string offer = couple.a.CreateOffer(TransportOf('a')).value();
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer, offer));
  EXPECT_THAT(couple.b.CreateAnswer(TransportOf('b', '2')), kWrongState);
  EXPECT_OK(couple.b.CreateAnswer(TransportOf('b')));
}

TEST(SessionStatesTest, ANewCertificateTravelsWithARestart) {
  Couple couple;
  couple.Negotiate();
  LocalTransport renewed = TransportOf('a', '2');
  renewed.fingerprints = {FingerprintOf('x')};
  const std::string offer = couple.a.CreateOffer(renewed).value();
  ASSERT_OK(couple.a.SetLocal(SdpType::kOffer));
  const Change change = couple.b.SetRemote(SdpType::kOffer, offer).value();
  EXPECT_TRUE(change.data().ice_restart && change.data().dtls_restart);
  // The association is a new one, and the roles are free again.
  EXPECT_THAT(couple.b.CreateAnswer(TransportOf('b', '2')).value(),
              HasSubstr("a=setup:active\r\n"));
}

TEST(SessionStatesTest, RollbackOfTheFirstOfferLeavesNothing) {
  SeededRandom random(1);
  Session session({}, random);
  Enter(session, kHaveRemoteOffer);
  const Change change = session.Rollback().value();
  EXPECT_TRUE(change.rolled_back && change.data().ended);
  EXPECT_FALSE(change.data().remote_ice);
  EXPECT_EQ(session.state(), kStable);
  EXPECT_FALSE(session.remote());
  EXPECT_EQ(session.pending_remote_description(), nullptr);
  // And the roles are open again.
  Enter(session, kHaveLocalOffer);
  EXPECT_TRUE(session.offerer());
}

TEST(SessionStatesTest, RollbackOfARestartBringsTheOldTransportBack) {
  Couple couple;
  couple.Negotiate();
  const std::string offer = couple.a.CreateOffer(TransportOf('a', '2')).value();
  ASSERT_OK(couple.a.SetLocal(SdpType::kOffer));
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer, offer));
  EXPECT_EQ(couple.b.remote()->ice_ufrag, "aaa2");

  const Change theirs = couple.b.Rollback().value();
  EXPECT_TRUE(theirs.rolled_back && theirs.data().remote_ice);
  EXPECT_FALSE(theirs.data().ice_restart || theirs.data().ended);
  EXPECT_EQ(couple.b.remote()->ice_ufrag, "aaa1");
  EXPECT_EQ(couple.b.remote()->local_setup, sdp::Setup::kActive);
  const Change ours = couple.a.Rollback().value();
  EXPECT_TRUE(ours.rolled_back && ours.data().local_ice);
  EXPECT_FALSE(ours.data().remote_ice || ours.data().ended);
  // The two still understand each other.
  couple.Negotiate(couple.a, TransportOf('a'), couple.b, TransportOf('b'));
}

TEST(SessionStatesTest, GlareYieldsByImplicitRollback) {
  Couple couple;
  ASSERT_OK(couple.a.CreateOffer(TransportOf('a')));
  ASSERT_OK(couple.a.SetLocal(SdpType::kOffer));
  const std::string offer = couple.b.CreateOffer(TransportOf('b')).value();
  ASSERT_OK(couple.b.SetLocal(SdpType::kOffer));
  const Change change = couple.a.SetRemote(SdpType::kOffer, offer).value();
  EXPECT_TRUE(change.rolled_back && change.data().remote_ice);
  EXPECT_FALSE(change.data().ended);
  EXPECT_EQ(couple.a.pending_local_description(), nullptr);
  EXPECT_FALSE(couple.a.offerer());
  const std::string answer = couple.a.CreateAnswer(TransportOf('a')).value();
  ASSERT_OK(couple.a.SetLocal(SdpType::kAnswer));
  ASSERT_OK(couple.b.SetRemote(SdpType::kAnswer, answer));
  EXPECT_TRUE(couple.b.offerer());
}

TEST(SessionStatesTest, ProvisionalAnswersMayFork) {
  Couple couple;
  SeededRandom random(9);
  Session fork({}, random);
  const std::string offer = couple.a.CreateOffer(TransportOf('a')).value();
  ASSERT_OK(couple.a.SetLocal(SdpType::kOffer));
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer, offer));
  ASSERT_OK(fork.SetRemote(SdpType::kOffer, offer));
  const std::string first = couple.b.CreateAnswer(TransportOf('b')).value();
  const std::string second = fork.CreateAnswer(TransportOf('f')).value();

  const Change provisional =
      couple.a.SetRemote(SdpType::kPranswer, first).value();
  EXPECT_TRUE(provisional.data().answered && provisional.data().remote_ice);
  EXPECT_EQ(couple.a.remote()->ice_ufrag, "bbb1");
  EXPECT_EQ(couple.a.remote()->local_setup, sdp::Setup::kPassive);
  const Change final = couple.a.SetRemote(SdpType::kAnswer, second).value();
  EXPECT_TRUE(final.data().answered && final.data().remote_ice &&
              final.data().dtls_restart);
  EXPECT_EQ(couple.a.remote()->ice_ufrag, "fff1");
  EXPECT_EQ(couple.a.state(), kStable);
}

TEST(SessionStatesTest, RefusedDataEndsTheTransportAndItsPlaceIsUsedAgain) {
  Couple couple;
  couple.Negotiate();
  // b offers the section with port 0.
  const std::string offer = absl::StrReplaceAll(
      couple.b.CreateOffer(TransportOf('b')).value(),
      {{"a=group:BUNDLE 0\r\n", ""}, {"application 9 ", "application 0 "}});
  ASSERT_OK(couple.a.SetRemote(SdpType::kOffer, offer));
  EXPECT_FALSE(couple.a.remote());
  const std::string answer = couple.a.CreateAnswer(TransportOf('a')).value();
  EXPECT_THAT(answer, HasSubstr("m=application 0 "));
  const Change change = couple.a.SetLocal(SdpType::kAnswer).value();
  EXPECT_TRUE(change.data().ended);
  EXPECT_FALSE(change.data().answered);

  const std::string again = couple.a.CreateOffer(TransportOf('a', '2')).value();
  EXPECT_THAT(again, HasSubstr("a=group:BUNDLE 1\r\n"));
  EXPECT_THAT(again, HasSubstr("a=mid:1\r\n"));
  const Description description = Description::Parse(again).value();
  EXPECT_EQ(description.media_count(), 1u);
}

TEST(SessionStatesTest, OneDescriptionMayBeSetSeveralTimes) {
  Couple couple;
  const std::string offer = couple.a.CreateOffer(TransportOf('a')).value();
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(couple.a.SetLocal(SdpType::kOffer, offer));
  }
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer, offer));
  const std::string answer = couple.b.CreateAnswer(TransportOf('b')).value();
  ASSERT_OK(couple.b.SetLocal(SdpType::kPranswer, answer));
  ASSERT_OK(couple.b.SetLocal(SdpType::kPranswer, answer));
  ASSERT_OK(couple.b.SetLocal(SdpType::kAnswer, answer));
  ASSERT_OK(couple.a.SetRemote(SdpType::kPranswer, answer));
  ASSERT_OK(couple.a.SetRemote(SdpType::kAnswer, answer));
  EXPECT_EQ(couple.a.state(), kStable);
  // Not beyond the exchange it was made for.
  EXPECT_THAT(couple.a.SetLocal(SdpType::kOffer, offer), kWrongState);
  // Nor against another offer than the one it answers.
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer,
                               couple.a.CreateOffer(TransportOf('a')).value()));
  EXPECT_THAT(couple.b.SetLocal(SdpType::kAnswer, answer), kWrongState);
}

// Firefox 153 answers an ICE restart with setup:active though it is the server.
TEST(SessionStatesTest, AnAnswerWithTheOtherRoleKeepsTheAssociation) {
  Couple couple;
  couple.Negotiate(couple.b, TransportOf('b'), couple.a, TransportOf('a'));
  ASSERT_EQ(couple.a.remote()->local_setup, sdp::Setup::kActive);
  const std::string offer = couple.a.CreateOffer(TransportOf('a', '2')).value();
  ASSERT_OK(couple.a.SetLocal(SdpType::kOffer));
  ASSERT_OK(couple.b.SetRemote(SdpType::kOffer, offer));
  const std::string answer =
      absl::StrReplaceAll(couple.b.CreateAnswer(TransportOf('b', '2')).value(),
                          {{"setup:passive", "setup:active"}});
  const auto change = couple.a.SetRemote(SdpType::kAnswer, answer);
  ASSERT_OK(change);
  EXPECT_TRUE(change->data().ice_restart);
  EXPECT_FALSE(change->data().dtls_restart);
  EXPECT_EQ(couple.a.remote()->local_setup, sdp::Setup::kActive);
}

// W3C webrtc-pc section 4.7.3.
TEST(SessionStatesTest, NegotiationIsNeededOnceForEachNeed) {
  Couple couple;
  EXPECT_FALSE(couple.a.TakeNegotiationNeeded());
  couple.a.WantData();
  EXPECT_TRUE(couple.a.TakeNegotiationNeeded());
  couple.a.WantData();
  EXPECT_FALSE(couple.a.TakeNegotiationNeeded());
  // An exchange about audio alone leaves the need.
  ASSERT_OK(
      couple.a.SetRemote(SdpType::kOffer,
                         "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
                         "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x\r\n"));
  EXPECT_FALSE(couple.a.TakeNegotiationNeeded());
  ASSERT_OK(couple.a.CreateAnswer(TransportOf('a')));
  ASSERT_OK(couple.a.SetLocal(SdpType::kAnswer));
  EXPECT_TRUE(couple.a.TakeNegotiationNeeded());
  EXPECT_FALSE(couple.a.TakeNegotiationNeeded());

  Couple other;
  other.a.WantData();
  other.Negotiate();
  EXPECT_FALSE(other.a.TakeNegotiationNeeded());
  // The other side gets data that it did not ask for, and needs nothing.
  other.b.WantData();
  EXPECT_FALSE(other.b.TakeNegotiationNeeded());
  other.a.WantRestart();
  EXPECT_TRUE(other.a.restart_wanted());
  EXPECT_TRUE(other.a.TakeNegotiationNeeded());
  other.Negotiate(other.a, TransportOf('a', '2'), other.b,
                  TransportOf('b', '2'));
  EXPECT_FALSE(other.a.restart_wanted());
  EXPECT_FALSE(other.a.TakeNegotiationNeeded());
}

TEST(SessionStatesTest, ParkedSectionsStayParkedInOurOffers) {
  SeededRandom random(1);
  Session session({}, random);
  const std::string offer = absl::StrReplaceAll(
      ForeignOffer(), {{"BUNDLE 0", "BUNDLE a 0"},
                       {"m=application",
                        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n"
                        "a=rtpmap:111 opus/48000/2\r\na=rtcp-mux\r\n"
                        "a=ice-ufrag:rem1\r\n"
                        "a=ice-pwd:remoteremoteremotermt1\r\nm=application"}});
  ASSERT_OK(session.SetRemote(SdpType::kOffer, offer));
  ASSERT_OK(session.CreateAnswer(TransportOf('a')));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  const Description ours =
      Description::Parse(session.CreateOffer(TransportOf('a')).value()).value();
  ASSERT_EQ(ours.media_count(), 2u);
  EXPECT_EQ(ours.BundleGroups()[0], (std::vector<absl::string_view>{"a", "0"}));
  EXPECT_EQ(ours.media(0).port(), 9);
  EXPECT_EQ(ours.media(0).direction(), Direction::kInactive);
  EXPECT_EQ(ours.media(0).ice_ufrag(), "aaa1");
  EXPECT_TRUE(ours.media(0).Has(AttributeType::kRtcpMux));
  EXPECT_EQ(ours.media(0).setup(), sdp::Setup::kActpass);
  // The peer stops audio: the transport lives on under the other tag.
  const auto change = session.SetRemote(
      SdpType::kOffer,
      absl::StrReplaceAll(
          offer, {{"BUNDLE a 0", "BUNDLE 0"}, {"m=audio 9", "m=audio 0"}}));
  ASSERT_OK(change);
  EXPECT_FALSE(change->data().remote_ice);
  EXPECT_EQ(session.remote()->tag, "0");
  EXPECT_THAT(session.CreateAnswer(TransportOf('a')).value(),
              HasSubstr("m=audio 0 "));
}

TEST(SessionStatesTest, RejectedSectionsKeepTheirPlacesInOurOffers) {
  SeededRandom random(1);
  Session session({}, random);
  const std::string offer = absl::StrReplaceAll(
      ForeignOffer(),
      {{"m=application",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:a\r\nm=application"}});
  ASSERT_OK(session.SetRemote(SdpType::kOffer, offer));
  ASSERT_OK(session.CreateAnswer(TransportOf('a')));
  ASSERT_OK(session.SetLocal(SdpType::kAnswer));
  const Description ours =
      Description::Parse(session.CreateOffer(TransportOf('a')).value()).value();
  ASSERT_EQ(ours.media_count(), 2u);
  EXPECT_TRUE(ours.media(0).rejected());
  EXPECT_EQ(ours.media(0).formats(), "111 0");
  EXPECT_EQ(ours.media(0).mid(), "a");
  EXPECT_EQ(ours.media(1).mid(), "0");
  EXPECT_EQ(session.tag_mline_index(), 1u);
}

TEST(SessionStatesTest, AnOfferWithoutDataIsAnsweredWithNothing) {
  SeededRandom random(1);
  Session session({}, random);
  ASSERT_OK(
      session.SetRemote(SdpType::kOffer,
                        "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
                        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x\r\n"));
  EXPECT_FALSE(session.remote());
  EXPECT_THAT(session.CreateAnswer(TransportOf('a')).value(),
              HasSubstr("m=audio 0 "));
  EXPECT_TRUE(session.SetLocal(SdpType::kAnswer)->transports.empty());
  // Our own data section takes the free place.
  EXPECT_THAT(session.CreateOffer(TransportOf('a')).value(),
              HasSubstr("t=0 0\r\na=group:BUNDLE 0\r\n"
                        "a=ice-options:trickle ice2\r\nm=application 9 "));
}

}  // namespace
}  // namespace kyuu::sdp
