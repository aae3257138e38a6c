// One agent and a hand-made peer: what is refused, what is ignored, who
// controls, what is nominated.

#include "ice/agent.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/testing.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/testing/agent_fixture.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::ice {
namespace {

using testing::AgentTest;
using testing::At;
using testing::Bytes;
using testing::Check;
using testing::ControllingAgentTest;
using testing::kOurs;
using testing::kTheirs;

// --- Authentication ---

TEST_F(AgentTest, AnswersAGoodCheckAndChecksBack) {
  Begin();
  PollAll();
  Receive(Make({.controlling = 1}), "192.0.2.9:9");
  auto response = Poll();
  ASSERT_TRUE(response);
  const stun::MessageView view = response->view();
  EXPECT_TRUE(view.Is(stun::MessageClass::kSuccess, stun::Method::kBinding));
  EXPECT_EQ(view.Get<stun::XorMappedAddress>()->address, At("192.0.2.9:9"));
  EXPECT_TRUE(
      view.CheckIntegrity(stun::IntegrityKey::ShortTerm(kOurs.password)));
  EXPECT_TRUE(view.CheckFingerprint());
  EXPECT_EQ(response->path.remote, At("192.0.2.9:9"));
  auto check = Poll();
  ASSERT_TRUE(check) << "the triggered check leaves at once";
  const stun::MessageView request = check->view();
  EXPECT_EQ(check->path.remote, At("192.0.2.9:9"));
  EXPECT_EQ(request.Get<stun::Username>()->value, "theirs12:oursours");
  EXPECT_TRUE(request.Has<stun::IceControlled>());
  EXPECT_FALSE(request.Has<stun::UseCandidate>());
  EXPECT_EQ(request.Get<stun::Priority>()->value >> 24, 110u);
  EXPECT_TRUE(
      request.CheckIntegrity(stun::IntegrityKey::ShortTerm(kTheirs.password)));
}

TEST_F(AgentTest, TellsConnectedEvenIfNominationCameFirst) {
  Begin();
  std::optional<Sent> request = Poll();
  ASSERT_TRUE(request);
  Receive(Make({.use_candidate = true, .controlling = 1}));
  Receive(Answer(*request, kTheirs.password));
  std::vector<AgentState> told;
  while (auto event = agent_.PollEvent()) {
    if (const auto* changed = std::get_if<StateChanged>(&*event)) {
      told.push_back(changed->state);
    }
  }
  EXPECT_THAT(told, ::testing::ElementsAre(AgentState::kConnected,
                                           AgentState::kCompleted));
}

TEST_F(AgentTest, S1UnauthenticatedRequestsChangeNothing) {
  Begin();
  PollAll();
  const std::string before = agent_.DebugString();
  struct Row {
    const char* name;
    Check check;
    uint64_t AgentStats::*counter;
  };
  const Row kRows[] = {
      {"no integrity", {.integrity = false}, &AgentStats::drop_no_integrity},
      {"no username", {.username = ""}, &AgentStats::drop_no_integrity},
      {"wrong password",
       {.password = "ourpasswordourpassworx"},
       &AgentStats::drop_wrong_integrity},
      {"the peer's own password",
       {.password = kTheirs.password},
       &AgentStats::drop_wrong_integrity},
      {"wrong local ufrag",
       {.username = "xxxxxxxx:theirs12"},
       &AgentStats::drop_wrong_username},
      {"wrong remote ufrag",
       {.username = "oursours:xxxxxxxx"},
       &AgentStats::drop_wrong_username},
      {"no colon", {.username = "oursours"}, &AgentStats::drop_wrong_username},
      {"the other way round",
       {.username = "theirs12:oursours"},
       &AgentStats::drop_wrong_username},
      {"longer ufrag",
       {.username = "oursours1:theirs12"},
       &AgentStats::drop_wrong_username},
  };
  for (Row row : kRows) {
    row.check.use_candidate = true;
    row.check.controlling = 1;
    for (const char* from : {"192.0.2.2:2", "198.51.100.66:66"}) {
      const uint64_t count = agent_.stats().*row.counter;
      Receive(Make(row.check), from);
      EXPECT_EQ(agent_.stats().*row.counter, count + 1) << row.name;
      EXPECT_EQ(PollAll(), 0) << row.name;
      EXPECT_EQ(agent_.DebugString(), before) << row.name;
    }
  }
  EXPECT_EQ(agent_.stats().requests_received, 0u);
}

TEST_F(AgentTest, IntegrityBehindFingerprintIsNone) {
  Begin();
  PollAll();
  const Bytes good = Make({.use_candidate = true, .controlling = 1});
  // The last 32 bytes are MESSAGE-INTEGRITY (24) and FINGERPRINT (8): swap.
  Bytes swapped(good.begin(), good.end() - 32);
  swapped.insert(swapped.end(), good.end() - 8, good.end());
  swapped.insert(swapped.end(), good.end() - 32, good.end() - 8);
  Receive(swapped);
  EXPECT_EQ(PollAll(), 0);
  EXPECT_EQ(agent_.stats().requests_received, 0u);
}

TEST_F(AgentTest, CredentialsBeforeTheLastRestartAreStale) {
  Begin();
  PollAll();
  const Credentials next{"newsours", "newpasswordnewpassword"};
  ASSERT_OK(agent_.Restart(now_, next));
  Receive(Make({.use_candidate = true, .controlling = 1}));
  EXPECT_EQ(PollAll(), 0) << "no pair of that generation worked";
  EXPECT_EQ(agent_.stats().drop_wrong_username, 1u);
}

TEST_F(AgentTest, EveryFlippedBitOfACheckIsRefused) {
  Begin();
  PollAll();
  const Bytes good = Make({.use_candidate = true, .controlling = 1});
  const std::string before = agent_.DebugString();
  const size_t fingerprint = (good.size() - 8) * 8;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    // With another type it is an attribute that nobody vouches for, and what
    // the integrity covers is good.
    if (bit >= fingerprint && bit < fingerprint + 16) continue;
    Bytes bad = good;
    bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
    Receive(bad);
    ASSERT_EQ(PollAll(), 0) << bit;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    Receive(Bytes(good.begin(), good.begin() + static_cast<long>(size)));
    ASSERT_EQ(PollAll(), 0) << size;
  }
  EXPECT_EQ(agent_.DebugString(), before);
  EXPECT_EQ(agent_.stats().requests_received, 0u);
}

TEST_F(AgentTest, S2ForgedRequestsDoNotDelayTheGoodPeer) {
  Begin();
  Bytes forged = Make({.password = "guessguessguessguessgu",
                       .use_candidate = true,
                       .controlling = 1});
  for (int i = 0; i < 100'000; ++i) {
    Receive(forged, i % 2 != 0 ? "192.0.2.2:2" : "203.0.113.5:5");
  }
  EXPECT_EQ(agent_.stats().drop_wrong_integrity, 100'000u);
  auto request = Poll();
  ASSERT_TRUE(request) << "our check is not held up";
  EXPECT_EQ(request->view().cls(), stun::MessageClass::kRequest);
  Receive(Answer(*request, kTheirs.password));
  Receive(Make({.use_candidate = true, .controlling = 1}));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
}

TEST_F(AgentTest, S3UnauthenticatedErrorsChangeNothing) {
  Begin();
  auto request = Poll();
  ASSERT_TRUE(request);
  const std::string before = agent_.DebugString();
  for (stun::Error error :
       {stun::Error::kRoleConflict, stun::Error::kBadRequest,
        stun::Error::kUnauthenticated, stun::Error::kServerError}) {
    Receive(Answer(*request, "", false, error));
    Receive(Answer(*request, kOurs.password, true, error));
  }
  EXPECT_EQ(agent_.DebugString(), before);
  EXPECT_EQ(agent_.role(), Role::kControlled);
  EXPECT_EQ(agent_.stats().drop_no_integrity, 4u);
  EXPECT_EQ(agent_.stats().drop_wrong_integrity, 4u);
  Receive(Answer(*request, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kConnected);
}

TEST_F(AgentTest, S4AnswersFromElsewhereAreIgnored) {
  Begin();
  AddLocal("192.0.2.7:7", 100);
  auto request = Poll();
  ASSERT_TRUE(request);
  const Bytes answer = Answer(*request, kTheirs.password);
  Receive(answer, "192.0.2.3:2");
  Receive(answer, "192.0.2.2:3");
  Receive(answer, "192.0.2.2:2", "192.0.2.7:7");
  EXPECT_EQ(agent_.stats().drop_asymmetric, 3u);
  EXPECT_EQ(agent_.state(), AgentState::kChecking);
  EXPECT_FALSE(agent_.selected_path());
  Receive(answer);
  EXPECT_EQ(agent_.state(), AgentState::kConnected);
  Receive(answer);  // A replay.
  EXPECT_EQ(agent_.stats().drop_unknown_transaction, 1u);
  Sent other = *request;
  other.bytes[19] ^= 1;  // In the transaction id.
  Receive(Answer(other, kTheirs.password));
  EXPECT_EQ(agent_.stats().drop_unknown_transaction, 2u);
}

TEST_F(AgentTest, PathsAreUnknownUntilAuthenticated) {
  Begin();
  PollAll();
  const Path path{At("192.0.2.1:1"), At("192.0.2.2:2"), Transport::kUdp};
  EXPECT_FALSE(agent_.IsKnownPath(path));
  Receive(Make({.integrity = false}));
  EXPECT_FALSE(agent_.IsKnownPath(path));
  Receive(Make({.controlling = 1}));
  EXPECT_TRUE(agent_.IsKnownPath(path));
  Path other = path;
  other.remote.port = 3;
  EXPECT_FALSE(agent_.IsKnownPath(other));
}

TEST_F(AgentTest, S8ForgedAnswersDoNotRenewConsent) {
  Connect();
  const absl::Time start = now_;
  while (agent_.selected_path() && now_ < start + absl::Minutes(2)) {
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
    while (auto sent = Poll()) {
      Receive(Answer(*sent, "", false));
      Receive(Answer(*sent, kOurs.password));
      Receive(Answer(*sent, kTheirs.password), "192.0.2.3:3");
      Receive(Answer(*sent, kTheirs.password, true, stun::Error::kServerError));
    }
  }
  EXPECT_EQ(now_, start + absl::Seconds(30));
  EXPECT_EQ(agent_.state(), AgentState::kFailed);
  EXPECT_EQ(Pass(absl::Minutes(10)), 0);
}

// RFC 7675 section 5.1 wants them apart from each other; the grid lets many
// agents share a wake-up.
TEST_F(AgentTest, ConsentIsAskedForAfterFourToSixSecondsAtMultiplesOfTheGrid) {
  Connect();
  std::set<absl::Duration> intervals;
  absl::Time last = now_;
  for (int i = 0; i < 50; ++i) {
    now_ = agent_.NextTimeout();
    agent_.HandleTimeout(now_);
    const auto request = Poll();
    ASSERT_TRUE(request);
    Receive(Answer(*request, kTheirs.password));
    EXPECT_EQ((now_ - absl::UnixEpoch()) % absl::Milliseconds(20),
              absl::ZeroDuration());
    EXPECT_GE(now_ - last, absl::Seconds(4));
    EXPECT_LE(now_ - last, absl::Seconds(6));
    intervals.insert(now_ - last);
    last = now_;
  }
  EXPECT_GT(intervals.size(), 25u) << "they are random";
  EXPECT_EQ(agent_.stats().consent_sent, 50u);
}

TEST_F(AgentTest, S13RebindingDoesNotMoveTheSelectedPair) {
  Connect();
  const Path before = *agent_.selected_path();
  Receive(Make({.use_candidate = true, .controlling = 1}), "198.51.100.3:3");
  EXPECT_EQ(agent_.selected_path(), before);
  // Its old generation's credentials do not, either.
  ASSERT_OK(agent_.Restart(now_, {"newsours", "newpasswordnewpassword"}));
  PollAll();
  Receive(Make({.use_candidate = true, .controlling = 1}), "198.51.100.4:4");
  EXPECT_EQ(PollAll(), 1) << "answered, for the peer's consent";
  EXPECT_EQ(agent_.selected_path(), before);
  EXPECT_FALSE(agent_.IsKnownPath(
      {At("192.0.2.1:1"), At("198.51.100.4:4"), Transport::kUdp}));
}

// --- Noise ---

TEST_F(AgentTest, IndicationsMeanNothing) {
  Begin();
  PollAll();
  Bytes indication = Make({.controlling = 1});
  indication[1] = 0x11;
  stun::TransactionId id;
  stun::MessageWriter w(absl::MakeSpan(buffer_),
                        stun::MessageClass::kIndication, stun::Method::kBinding,
                        id);
  const absl::Span<const uint8_t> bytes = w.Finish();
  Receive(Bytes(bytes.begin(), bytes.end()));
  EXPECT_EQ(agent_.stats().indications_received, 1u);
  EXPECT_EQ(PollAll(), 0);
}

TEST_F(AgentTest, UnknownRequiredAttributeIsRefusedWith420) {
  Begin();
  PollAll();
  Receive(Make({.use_candidate = true, .controlling = 1, .unknown = 0x7fff}));
  auto response = Poll();
  ASSERT_TRUE(response);
  const stun::MessageView view = response->view();
  EXPECT_EQ(view.Get<stun::ErrorCode>()->code, stun::Error::kUnknownAttribute);
  EXPECT_EQ(view.Get<stun::UnknownAttributes>()->types[0], 0x7fff);
  EXPECT_EQ(PollAll(), 0);
}

// An attribute that the codec can read is not one that ICE does something
// about.
TEST_F(AgentTest, AttributesOfOtherUsagesAreRefusedWith420) {
  Begin();
  PollAll();
  for (const uint16_t type :
       {stun::ChannelNumber::kType, stun::Lifetime::kType,
        stun::ChangeRequest::kType, stun::DontFragment::kType,
        stun::ResponsePort::kType, stun::ConnectionId::kType}) {
    SCOPED_TRACE(stun::AttributeName(type));
    Receive(Make({.use_candidate = true, .controlling = 1, .unknown = type}));
    auto response = Poll();
    ASSERT_TRUE(response);
    const auto unknown = response->view().Get<stun::UnknownAttributes>();
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->types[0], type);
  }
}

TEST_F(AgentTest, UnknownOptionalAttributeIsIgnored) {
  Begin();
  PollAll();
  Receive(Make({.controlling = 1, .unknown = 0xc057}));
  EXPECT_EQ(Poll()->view().cls(), stun::MessageClass::kSuccess);
}

// --- Roles (RFC 8445 sections 7.2.5.1 and 7.3.1.1) ---

TEST_F(AgentTest, ConflictOfTwoControlled) {
  Begin();
  PollAll();
  // Theirs is the greatest of all tie-breakers: they shall control.
  Receive(Make({.controlled = UINT64_MAX}));
  EXPECT_EQ(Poll()->view().Get<stun::ErrorCode>()->code,
            stun::Error::kRoleConflict);
  EXPECT_EQ(agent_.role(), Role::kControlled);
  Receive(Make({.controlled = 0}));
  EXPECT_EQ(Poll()->view().cls(), stun::MessageClass::kSuccess);
  EXPECT_EQ(agent_.role(), Role::kControlling);
  bool told = false;
  while (auto event = agent_.PollEvent()) {
    auto* changed = std::get_if<RoleChanged>(&*event);
    told |= changed != nullptr && changed->role == Role::kControlling;
  }
  EXPECT_TRUE(told);
}

TEST_F(ControllingAgentTest, ConflictOfTwoControlling) {
  Begin();
  PollAll();
  Receive(Make({.controlling = 0}));
  EXPECT_EQ(Poll()->view().Get<stun::ErrorCode>()->code,
            stun::Error::kRoleConflict);
  EXPECT_EQ(agent_.role(), Role::kControlling);
  Receive(Make({.controlling = UINT64_MAX}));
  EXPECT_EQ(Poll()->view().cls(), stun::MessageClass::kSuccess);
  EXPECT_EQ(agent_.role(), Role::kControlled);
}

TEST_F(ControllingAgentTest, AuthenticatedRoleConflictResponseSwitches) {
  Begin();
  auto request = Poll();
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->view().Has<stun::IceControlling>());
  Receive(Answer(*request, kTheirs.password, true, stun::Error::kRoleConflict));
  EXPECT_EQ(agent_.role(), Role::kControlled);
  auto again = Poll();
  ASSERT_TRUE(again) << "the pair is checked again in the new role";
  EXPECT_TRUE(again->view().Has<stun::IceControlled>());
}

TEST_F(ControllingAgentTest, EndlessRoleConflictsKeepToTa) {
  Begin();
  int sent = 0;
  const absl::Time start = now_;
  while (now_ < start + absl::Seconds(1)) {
    while (auto request = Poll()) {
      ++sent;
      Receive(
          Answer(*request, kTheirs.password, true, stun::Error::kRoleConflict));
    }
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
  }
  EXPECT_LE(sent, 22);
}

TEST_F(AgentTest, LitePeerMakesUsControl) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs, RemoteMode::kLite));
  EXPECT_EQ(agent_.role(), Role::kControlling);
  AddRemote("1 1 udp 7 192.0.2.2 2 typ host");
  auto check = Poll();
  ASSERT_TRUE(check);
  Receive(Answer(*check, kTheirs.password));
  auto nomination = Poll();
  ASSERT_TRUE(nomination);
  EXPECT_TRUE(nomination->view().Has<stun::UseCandidate>());
  Receive(Answer(*nomination, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
}

// --- Nomination ---

TEST_F(ControllingAgentTest, NominatesAtOnceWhenNothingBetterIsPending) {
  Begin();
  auto check = Poll();
  ASSERT_TRUE(check);
  EXPECT_FALSE(check->view().Has<stun::UseCandidate>());
  now_ += absl::Milliseconds(30);
  Receive(Answer(*check, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kConnected);
  EXPECT_TRUE(agent_.selected_path());
  auto nomination = Poll();
  ASSERT_TRUE(nomination);
  EXPECT_TRUE(nomination->view().Has<stun::UseCandidate>());
  Receive(Answer(*nomination, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
}

TEST_F(ControllingAgentTest, WaitsShortlyForABetterPair) {
  Begin();
  AddRemote("2 1 udp 7 192.0.2.3 3 typ srflx");
  std::vector<Sent> checks;
  checks.push_back(*Poll());
  now_ += absl::Milliseconds(50);
  checks.push_back(*Poll());
  ASSERT_EQ(checks[1].path.remote, At("192.0.2.3:3"));
  now_ += absl::Milliseconds(60);
  Receive(Answer(checks[1], kTheirs.password), "192.0.2.3:3");
  // The better one, sent 110 ms ago, has had more than this one's 60 ms.
  auto nomination = Poll();
  ASSERT_TRUE(nomination);
  EXPECT_EQ(nomination->path.remote, At("192.0.2.3:3"));
  EXPECT_TRUE(nomination->view().Has<stun::UseCandidate>());
}

TEST_F(AgentTest, AggressiveNominationSettlesOnTheBestPair) {
  Begin();
  AddRemote("2 1 udp 7 192.0.2.3 3 typ srflx");
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.3:3");
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.2:2");
  std::vector<Sent> checks;
  while (auto sent = Poll()) {
    if (sent->view().cls() == stun::MessageClass::kRequest) {
      checks.push_back(*sent);
    }
  }
  ASSERT_EQ(checks.size(), 2u);
  Receive(Answer(checks[0], kTheirs.password),
          checks[0].path.remote.ToString());
  EXPECT_EQ(agent_.selected_path()->remote, At("192.0.2.3:3"));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
  Receive(Answer(checks[1], kTheirs.password),
          checks[1].path.remote.ToString());
  EXPECT_EQ(agent_.selected_path()->remote, At("192.0.2.2:2"));
  // The worse one, nominated again, does not win it back.
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.3:3");
  EXPECT_EQ(agent_.selected_path()->remote, At("192.0.2.2:2"));
}

// --- Candidates ---

TEST_F(AgentTest, EarlyChecksOfAnotherPeerAreForgotten) {
  AddLocal("192.0.2.1:1");
  Receive(Make({.username = "oursours:somebody", .controlling = 1}));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  EXPECT_TRUE(agent_.pairs().empty());
}

TEST_F(AgentTest, CandidatesBeforeTheCredentialsWait) {
  AddLocal("192.0.2.1:1");
  AddRemote("1 1 udp 7 192.0.2.2 4 typ host ufrag theirs12");
  AddRemote("1 1 udp 7 192.0.2.2 5 typ host ufrag another1");
  EXPECT_EQ(Pass(absl::Seconds(1)), 0);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  EXPECT_EQ(agent_.pairs().size(), 1u);
  EXPECT_EQ(PollAll(), 1);
}

TEST_F(AgentTest, ServerReflexiveSharesItsBase) {
  AddLocal("192.0.2.1:1");
  Candidate srflx;
  srflx.foundation = "2";
  srflx.type = CandidateType::kServerReflexive;
  srflx.priority = 1694498815;
  srflx.address = At("203.0.113.1:77");
  srflx.base = At("192.0.2.1:1");
  ASSERT_OK(agent_.AddLocalCandidate(now_, srflx));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 7 192.0.2.2 2 typ host");
  EXPECT_EQ(agent_.pairs().size(), 1u);
  // A check that the peer sees come from there is server-reflexive.
  auto check = Poll();
  ASSERT_TRUE(check);
  Sent seen = *check;
  seen.path.local = At("203.0.113.1:77");
  Receive(Answer(seen, kTheirs.password));
  EXPECT_EQ(agent_.pairs()[0].local_type, CandidateType::kServerReflexive);
}

TEST_F(AgentTest, SameFoundationWaitsFrozen) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 9 192.0.2.2 2 typ host");
  AddRemote("1 1 udp 8 192.0.2.2 3 typ host");
  AddRemote("2 1 udp 7 192.0.2.3 4 typ host");
  const std::vector<PairInfo> pairs = agent_.pairs();
  EXPECT_EQ(pairs[0].state, PairState::kWaiting);
  EXPECT_EQ(pairs[1].state, PairState::kFrozen);
  EXPECT_EQ(pairs[2].state, PairState::kWaiting);
  auto check = Poll();
  ASSERT_TRUE(check);
  Receive(Answer(*check, kTheirs.password));
  EXPECT_EQ(agent_.pairs()[1].state, PairState::kWaiting);
}

// --- Commands ---

TEST_F(AgentTest, CallersMistakesAreStatuses) {
  EXPECT_THAT(agent_.SetRemoteCredentials(now_, {"abc", kTheirs.password}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(agent_.SetRemoteCredentials(
                  now_, {std::string(256, 'u'), std::string(256, 'p')}),
              IsOk());
  EXPECT_THAT(agent_.SetRemoteCredentials(now_, kTheirs),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(agent_.Restart(now_, kOurs),
              StatusIs(absl::StatusCode::kInvalidArgument));
  agent_.Close(now_);
  EXPECT_THAT(agent_.SetRemoteCredentials(now_, kTheirs),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(agent_.Restart(now_, kTheirs),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AgentTest, LongestUserNamesFit) {
  ASSERT_OK(agent_.SetRemoteCredentials(
      now_, {std::string(256, 'u'), std::string(256, 'p')}));
  AddLocal("[2001:db8::1]:1");
  AddRemote("1 1 udp 7 2001:db8::2 2 typ host");
  auto check = Poll();
  ASSERT_TRUE(check);
  EXPECT_LE(check->bytes.size(), 700u);
  EXPECT_TRUE(check->view().CheckIntegrity(
      stun::IntegrityKey::ShortTerm(std::string(256, 'p'))));
}

TEST_F(AgentTest, EarlyAndRepeatedTimeoutsDoNothing) {
  Begin();
  PollAll();
  const std::string before = agent_.DebugString();
  for (int i = 0; i < 100; ++i) agent_.HandleTimeout(now_);
  EXPECT_EQ(PollAll(), 0);
  EXPECT_EQ(agent_.DebugString(), before);
}

}  // namespace
}  // namespace kyuu::ice
