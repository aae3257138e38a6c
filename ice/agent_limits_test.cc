// One agent and a hand-made peer: what a peer or a stranger can make us do is
// bounded, and all that comes to nothing is counted.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/testing/agent_fixture.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::ice {
namespace {

using testing::AgentTest;
using testing::At;
using testing::Bytes;
using testing::Check;
using ::testing::ElementsAre;
using testing::kOurs;
using testing::kTheirs;
using ::testing::UnorderedElementsAre;

const AddressFilter kNot203{
    .except = {IpPrefix::Parse("203.0.113.0/24").value()}};

TEST_F(AgentTest, S6ManyCandidatesOfOneVictimAreBounded) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  for (int i = 1; i <= 1000; ++i) {
    AddRemote(absl::StrCat(i, " 1 udp ", i, " 198.51.100.1 ", i, " typ host"));
  }
  EXPECT_EQ(agent_.pairs().size(), 100u);
  EXPECT_EQ(agent_.stats().candidate_limit, 900u);
  size_t bytes = 0;
  int packets = 0;
  absl::Time last = absl::InfinitePast();
  const absl::Time start = now_;
  while (now_ < start + absl::Minutes(10)) {
    while (auto sent = Poll()) {
      EXPECT_GE(now_ - last, absl::Milliseconds(50));
      last = now_;
      bytes += sent->bytes.size();
      ++packets;
    }
    if (agent_.NextTimeout() == absl::InfiniteFuture()) break;
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
  }
  EXPECT_EQ(packets, 700);  // 100 pairs, seven times each.
  EXPECT_LE(bytes, 700u * 120);
  EXPECT_EQ(agent_.state(), AgentState::kFailed);
}

class FilteringAgentTest : public AgentTest {
 protected:
  FilteringAgentTest() : AgentTest(Role::kControlled, {.peers = kNot203}) {}
};

TEST_F(FilteringAgentTest, PeersThatAreNotWantedGetNothing) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 7 203.0.113.7 9 typ host");
  EXPECT_EQ(agent_.stats().candidate_ignored_address, 1u);
  // Nor does a check of the peer's own.
  Receive(Make({.controlling = 1}), "203.0.113.7:9");
  EXPECT_EQ(agent_.stats().drop_forbidden_peer, 1u);
  EXPECT_TRUE(agent_.pairs().empty());
  EXPECT_EQ(Pass(absl::Seconds(5)), 0);
  Receive(Make({.controlling = 1}), "192.0.2.7:9");
  EXPECT_EQ(agent_.pairs().size(), 1u);
  EXPECT_GT(Pass(absl::Seconds(5)), 0);
  // Payload from there is no reason to look.
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.7:9");
  PollAll();
  EXPECT_FALSE(agent_.CheckStranger(
      now_, {At("192.0.2.1:1"), At("203.0.113.7:9"), Transport::kUdp}));
}

TEST_F(AgentTest, ForbiddenAddressesGetNothing) {
  AddLocal("192.0.2.1:1");
  AddLocal("[2001:db8::1]:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  uint64_t ignored = 0;
  for (const char* address : {"224.0.0.1 5", "ff02::1 5", "255.255.255.255 5",
                              "0.0.0.0 5", ":: 5", "198.51.100.1 0"}) {
    AddRemote(absl::StrCat("1 1 udp 7 ", address, " typ host"));
    EXPECT_EQ(agent_.stats().candidate_ignored_address, ++ignored) << address;
  }
  // The inside of a machine is judged with each address of ours, as none that
  // may reach it need be known yet: until one is, it is as good as forbidden.
  for (const char* address :
       {"127.0.0.1 5", "127.9.9.9 5", "::1 5", "::ffff:127.0.0.1 5"}) {
    AddRemote(absl::StrCat("1 1 udp 7 ", address, " typ host"));
    EXPECT_EQ(agent_.stats().candidate_ignored_address, ignored) << address;
  }
  EXPECT_TRUE(agent_.pairs().empty());
  EXPECT_EQ(Pass(absl::Seconds(5)), 0);
  AddLocal("127.0.0.1:1");
  EXPECT_EQ(agent_.pairs().size(), 2u);
  for (const PairInfo& pair : agent_.pairs()) {
    EXPECT_TRUE(pair.path.local.ip.IsLoopback());
    EXPECT_TRUE(pair.path.remote.ip.IsLoopback());
  }
}

TEST_F(AgentTest, LoopbackIsReachedFromLoopbackOnly) {
  AddLocal("127.0.0.1:1");
  AddLocal("192.0.2.1:1", 100);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 7 127.0.0.1 5 typ host");
  AddRemote("1 1 udp 7 192.0.2.2 5 typ host");
  ASSERT_EQ(agent_.pairs().size(), 2u);
  for (const PairInfo& pair : agent_.pairs()) {
    EXPECT_EQ(pair.path.local.ip.IsLoopback(),
              pair.path.remote.ip.IsLoopback());
  }
}

TEST_F(AgentTest, S7AnswersAreNoLargerThanRequests) {
  Begin();
  PollAll();
  const Check kChecks[] = {
      {.controlling = 1},
      {.controlled = 1},  // 487
      {.controlling = 1, .unknown = 0x7fff},
  };
  for (const Check& check : kChecks) {
    const Bytes request = Make(check);
    Receive(request, "192.0.2.2:2");
    auto response = Poll();
    ASSERT_TRUE(response);
    EXPECT_LE(response->bytes.size(), request.size());
  }
}

TEST_F(AgentTest, NoiseIsCounted) {
  Begin();
  PollAll();
  Receive({});
  Receive(Bytes(20, 0x80));
  Receive(Bytes(64, 0));
  EXPECT_EQ(agent_.stats().drop_not_stun, 3u);
  Bytes allocate = Make({.controlling = 1});
  allocate[1] = 3;
  Receive(allocate);
  EXPECT_EQ(agent_.stats().drop_wrong_method, 1u);
  Bytes fingerprint = Make({.controlling = 1});
  fingerprint.back() ^= 1;
  Receive(fingerprint);
  EXPECT_EQ(agent_.stats().drop_bad_fingerprint, 1u);
  Receive(Make({.controlling = 1}), "192.0.2.2:2", "192.0.2.55:1");
  EXPECT_EQ(agent_.stats().drop_unknown_local, 1u);
  EXPECT_EQ(PollAll(), 0);
}

TEST_F(AgentTest, ResponsesWaitingAreBounded) {
  Begin();
  for (int i = 0; i < 100; ++i) Receive(Make({.controlling = 1}));
  EXPECT_EQ(agent_.stats().drop_response_queue_full, 36u);
  int responses = 0;
  while (auto sent = Poll()) {
    if (sent->view().cls() == stun::MessageClass::kSuccess) ++responses;
  }
  EXPECT_EQ(responses, 64);
}

TEST_F(AgentTest, EarlyChecksAreBounded) {
  AddLocal("192.0.2.1:1");
  for (int i = 1; i <= 20; ++i) {
    Receive(Make({.controlling = 1}), absl::StrCat("192.0.2.2:", i));
    EXPECT_TRUE(Poll());
  }
  EXPECT_EQ(agent_.stats().early_check_limit, 10u);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  EXPECT_EQ(agent_.pairs().size(), 10u);
}

TEST_F(AgentTest, PeerReflexiveCandidatesAreBounded) {
  Begin();
  for (int i = 1; i <= 500; ++i) {
    Receive(Make({.controlling = 1}), absl::StrCat("198.51.100.1:", i));
    PollAll();
  }
  EXPECT_EQ(agent_.pairs().size(), 100u);
  EXPECT_EQ(agent_.stats().candidate_limit, 401u);
}

TEST_F(AgentTest, BetterPairsReplaceTheWorstOnes) {
  AddLocal("192.0.2.1:1");
  AddLocal("192.0.2.9:9", 2130706175);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  for (int i = 1; i <= 100; ++i) {
    AddRemote(absl::StrCat(i, " 1 udp ", i, " 198.51.100.1 ", i, " typ host"));
  }
  EXPECT_EQ(agent_.pairs().size(), 100u);
  for (const PairInfo& pair : agent_.pairs()) {
    EXPECT_GT(pair.path.remote.port, 50);
  }
  auto check = Poll();
  ASSERT_TRUE(check);
  EXPECT_EQ(check->path.remote.port, 100);
  // One that is worse than all of them does not get in.
  AddLocal("192.0.2.10:10", 1);
  EXPECT_GT(agent_.stats().pair_limit, 0u);
}

TEST_F(AgentTest, S12NamesAreBoundedAndOnlyLocalOnesAsked) {
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 7 evil.example 5 typ host");
  EXPECT_EQ(agent_.stats().candidate_ignored_name, 1u);
  for (int i = 0; i < 20; ++i) {
    AddRemote(absl::StrCat("1 1 udp 7 n", i, ".local 5 typ host"));
  }
  EXPECT_EQ(agent_.stats().candidate_limit, 4u);
  std::vector<ResolveName> asked;
  while (auto event = agent_.PollEvent()) {
    if (auto* resolve = std::get_if<ResolveName>(&*event)) {
      asked.push_back(*resolve);
    }
  }
  EXPECT_EQ(asked.size(), 16u);
  // Answers: none, a forbidden one, one twice.
  agent_.NameResolved(now_, asked[0].id, std::nullopt);
  agent_.NameResolved(now_, asked[1].id, IpAddress::V4(224, 0, 0, 1));
  agent_.NameResolved(now_, asked[1].id, IpAddress::V4(192, 0, 2, 2));
  EXPECT_EQ(agent_.stats().candidate_ignored_name, 2u);
  EXPECT_EQ(agent_.stats().candidate_ignored_address, 1u);
}

TEST_F(AgentTest, LocalCandidatesAreBoundedAndChecked) {
  Candidate c;
  c.foundation = "1";
  c.priority = 7;
  for (int i = 1; i <= 64; ++i) {
    c.address = At(absl::StrCat("192.0.2.1:", i));
    EXPECT_OK(agent_.AddLocalCandidate(now_, c));
  }
  EXPECT_OK(agent_.AddLocalCandidate(now_, c)) << "again is no error";
  c.address = At("192.0.2.1:65");
  EXPECT_THAT(agent_.AddLocalCandidate(now_, c),
              StatusIs(absl::StatusCode::kResourceExhausted));
  c.address.port = 0;
  EXPECT_THAT(agent_.AddLocalCandidate(now_, c),
              StatusIs(absl::StatusCode::kInvalidArgument));
  c.address = {IpAddress(), 5};
  EXPECT_THAT(agent_.AddLocalCandidate(now_, c),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AgentTest, CandidatesOfOtherKindsAreIgnored) {
  Begin();
  AddRemote("1 1 tcp 7 192.0.2.2 9 typ host tcptype active");
  AddRemote("1 2 udp 7 192.0.2.2 3 typ host");
  EXPECT_EQ(agent_.stats().candidate_ignored_transport, 2u);
  AddRemote("1 1 udp 7 192.0.2.2 4 typ host ufrag another1");
  EXPECT_EQ(agent_.stats().candidate_ignored_generation, 1u);
  AddRemote("1 1 udp 7 192.0.2.2 4 typ host ufrag theirs12");
  EXPECT_EQ(agent_.pairs().size(), 2u);
}

TEST_F(AgentTest, ABufferTooSmallLosesThePacketOnly) {
  Begin();
  std::array<uint8_t, 40> small;
  EXPECT_FALSE(agent_.PollTransmit(now_, absl::MakeSpan(small)));
  EXPECT_EQ(agent_.stats().drop_too_big, 1u);
  EXPECT_GT(agent_.NextTimeout(), now_);
  now_ += absl::Milliseconds(500);
  EXPECT_TRUE(Poll()) << "sent again like any lost packet";
}

// What a peer can make us do, it can make us do once in each generation.
TEST_F(AgentTest, LimitsHoldInEachGeneration) {
  AddLocal("192.0.2.1:1");
  for (int generation = 0; generation < 4; ++generation) {
    SCOPED_TRACE(generation);
    const Credentials ours{absl::StrCat("ours", generation), kOurs.password};
    ASSERT_OK(agent_.Restart(now_, ours));
    const AgentStats before = agent_.stats();
    const auto since = [&] { return CountersSince(before, agent_.stats()); };
    const std::string username = ours.ufrag + ":" + kTheirs.ufrag;
    for (int i = 1; i <= 20; ++i) {
      Receive(Make({.username = username, .controlling = 1}),
              absl::StrCat("203.0.113.2:", i));
      PollAll();
    }
    EXPECT_EQ(since().early_check_limit, 10u);
    for (int i = 1; i <= 300; ++i) {
      AddRemote(
          absl::StrCat(i, " 1 udp ", i, " 198.51.100.1 ", i, " typ host"));
    }
    EXPECT_EQ(since().candidate_limit, 200u) << "before the credentials";
    ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
    for (int i = 301; i <= 600; ++i) {
      AddRemote(
          absl::StrCat(i, " 1 udp ", i, " 198.51.100.1 ", i, " typ host"));
    }
    for (int i = 0; i < 20; ++i) {
      AddRemote(absl::StrCat("1 1 udp 7 n", i, ".local 5 typ host"));
    }
    // Each from another address, as a replayed one may be.
    for (int i = 1; i <= 300; ++i) {
      Receive(Make({.username = username, .controlling = 1}),
              absl::StrCat("203.0.113.1:", i));
      PollAll();
    }
    EXPECT_EQ(agent_.pairs().size(), 100u);
    EXPECT_GE(since().candidate_limit, 200u + 200 + 4 + 300);
    Pass(absl::Minutes(10));
    EXPECT_EQ(agent_.state(), AgentState::kFailed);
    // Seven for each pair, whichever it was at the time.
    EXPECT_LE(since().checks_sent, 7u * 100 + 10 * 7);
    EXPECT_EQ(PollAll(), 0);
  }
}

// A peer that comes and goes makes us ask at its other addresses again and
// again: twice as often as one that stays away, and not more.
TEST_F(AgentTest, SilencesOfThePeerCostNoMoreThanTwo) {
  Connect();
  for (int i = 1; i < 100; ++i) {
    AddRemote(absl::StrCat(i, " 1 udp ", i, " 198.51.100.1 ", i, " typ host"));
  }
  std::map<TransportAddress, int> sent;
  const absl::Time start = now_;
  int silences = 0;
  bool silent = false;
  while (now_ < start + absl::Minutes(10)) {
    while (auto packet = Poll()) {
      ++sent[packet->path.remote];
      const bool answers =
          (now_ - start) % absl::Seconds(30) > absl::Seconds(14);
      silences += std::exchange(silent, !answers) && answers;
      if (answers && packet->path.remote == At("192.0.2.2:2") &&
          packet->view().cls() == stun::MessageClass::kRequest) {
        Receive(Answer(*packet, kTheirs.password));
      }
    }
    ASSERT_NE(agent_.NextTimeout(), absl::InfiniteFuture());
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
  }
  EXPECT_GE(silences, 10);
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
  sent.erase(At("192.0.2.2:2"));
  EXPECT_EQ(sent.size(), 99u) << "all others were asked";
  for (const auto& [address, count] : sent) {
    EXPECT_LE(count, 14) << address.ToString();
  }
}

class FewAgentTest : public AgentTest {
 protected:
  FewAgentTest()
      : AgentTest(Role::kControlled,
                  {.max_backup_pairs = 1, .max_transactions = 2}) {}
  // Four ways to the peer, and a check on each, 50 ms apart.
  std::vector<Sent> CheckFour() {
    AddLocal("192.0.2.1:1");
    EXPECT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
    for (int i = 1; i <= 4; ++i) {
      AddRemote(
          absl::StrCat(i, " 1 udp ", 10 - i, " 192.0.2.2 ", i, " typ host"));
    }
    std::vector<Sent> checks;
    for (int i = 0; i < 4; ++i) {
      if (auto check = Poll()) checks.push_back(*check);
      now_ += absl::Milliseconds(50);
      agent_.HandleTimeout(now_);
    }
    EXPECT_EQ(checks.size(), 4u);
    return checks;
  }
};

TEST_F(FewAgentTest, OnlySoManyAnswersAreWaitedFor) {
  const std::vector<Sent> checks = CheckFour();
  for (const Sent& check : checks) {
    Receive(Answer(check, kTheirs.password), check.path.remote.ToString());
  }
  EXPECT_EQ(agent_.stats().responses_received, 2u) << "the last two";
  EXPECT_EQ(agent_.stats().drop_unknown_transaction, 2u);
}

TEST_F(FewAgentTest, OnlySoManyReservesAreKeptAlive) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  for (int i = 1; i <= 4; ++i) {
    AddRemote(
        absl::StrCat(i, " 1 udp ", 10 - i, " 192.0.2.2 ", i, " typ host"));
  }
  std::set<TransportAddress> asked;
  const auto run = [&](absl::Duration duration) {
    asked.clear();
    const absl::Time end = now_ + duration;
    while (now_ < end) {
      while (const auto packet = Poll()) {
        if (packet->view().cls() != stun::MessageClass::kRequest) continue;
        asked.insert(packet->path.remote);
        Receive(Answer(*packet, kTheirs.password),
                packet->path.remote.ToString());
      }
      now_ = std::max(now_, agent_.NextTimeout());
      agent_.HandleTimeout(now_);
    }
  };
  run(absl::Seconds(1));
  EXPECT_EQ(asked.size(), 4u);
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.2:3");
  run(absl::Minutes(2));
  EXPECT_THAT(asked, ElementsAre(At("192.0.2.2:1"), At("192.0.2.2:3")));
}

class SmallAgentTest : public AgentTest {
 protected:
  SmallAgentTest()
      : AgentTest(Role::kControlled, {.max_strangers = 1,
                                      .peers = kNot203,
                                      .max_remote_candidates = 3,
                                      .max_pairs = 3,
                                      .max_pending_responses = 1,
                                      .max_early_checks = 1,
                                      .max_streams = 1}) {}
  // What was counted since the last call.
  std::vector<absl::string_view> Counted() {
    const AgentStats difference = CountersSince(seen_, agent_.stats());
    seen_ = agent_.stats();
    for (const absl::string_view name : NonzeroCounters(difference)) {
      raised_.insert(std::string(name));
    }
    return NonzeroCounters(difference);
  }
  // An authenticated message of the peer without any attribute more.
  static Bytes Bare(stun::MessageClass cls, const stun::TransactionId& id) {
    Bytes buffer(100);
    stun::MessageWriter w(absl::MakeSpan(buffer), cls, stun::Method::kBinding,
                          id);
    w.AddIntegrity(stun::IntegrityKey::ShortTerm(kTheirs.password));
    w.AddFingerprint();
    const absl::Span<const uint8_t> bytes = w.Finish();
    return Bytes(bytes.begin(), bytes.end());
  }

  AgentStats seen_;
  std::set<std::string> raised_;
};

// Each step is in the counters named, and in no other; together they are all
// counters that there are.
TEST_F(SmallAgentTest, EveryCounterIsRaisedByWhatItsNameSays) {
  const Bytes good = Make({.controlling = 1});
  AddLocal("192.0.2.1:1");
  Receive(good);
  EXPECT_THAT(Counted(), ElementsAre("requests_received"));
  EXPECT_EQ(PollAll(), 1);
  EXPECT_THAT(Counted(), ElementsAre("responses_sent"));
  Receive(good, "192.0.2.2:3");
  PollAll();
  EXPECT_THAT(Counted(),
              UnorderedElementsAre("requests_received", "responses_sent",
                                   "early_check_limit"));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  const auto check = Poll();
  ASSERT_TRUE(check);
  EXPECT_THAT(Counted(), ElementsAre("checks_sent"));

  // Packets that change nothing.
  Receive(good, "203.0.113.9:3");
  EXPECT_THAT(Counted(), ElementsAre("drop_forbidden_peer"));
  Receive({});
  EXPECT_THAT(Counted(), ElementsAre("drop_not_stun"));
  Bytes bad = good;
  bad[1] = 3;
  Receive(bad);
  EXPECT_THAT(Counted(), ElementsAre("drop_wrong_method"));
  bad = good;
  bad.back() ^= 1;
  Receive(bad);
  EXPECT_THAT(Counted(), ElementsAre("drop_bad_fingerprint"));
  Receive(Make({.integrity = false, .controlling = 1}));
  EXPECT_THAT(Counted(), ElementsAre("drop_no_integrity"));
  Receive(Make({.username = "somebody:theirs12", .controlling = 1}));
  EXPECT_THAT(Counted(), ElementsAre("drop_wrong_username"));
  Receive(Make({.password = kTheirs.password, .controlling = 1}));
  EXPECT_THAT(Counted(), ElementsAre("drop_wrong_integrity"));
  Receive(good, "192.0.2.2:2", "192.0.2.99:1");
  EXPECT_THAT(Counted(), ElementsAre("drop_unknown_local"));
  Receive(Bare(stun::MessageClass::kIndication, {}));
  EXPECT_THAT(Counted(), ElementsAre("indications_received"));
  Receive(Answer({check->path, good}, kTheirs.password));
  EXPECT_THAT(Counted(), ElementsAre("drop_unknown_transaction"));
  Receive(Answer(*check, kTheirs.password), "192.0.2.7:7");
  EXPECT_THAT(Counted(), ElementsAre("drop_asymmetric"));
  Receive(Bare(stun::MessageClass::kSuccess, check->view().transaction_id()));
  EXPECT_THAT(Counted(), ElementsAre("drop_malformed"));
  Receive(Answer(*check, kTheirs.password));
  EXPECT_THAT(Counted(), ElementsAre("responses_received"));

  // The peer's other requests.
  Receive(Make({.controlled = UINT64_MAX}));
  EXPECT_THAT(Counted(),
              UnorderedElementsAre("requests_received", "role_conflicts"));
  Receive(good);
  EXPECT_THAT(Counted(), UnorderedElementsAre("requests_received",
                                              "drop_response_queue_full"));
  std::array<uint8_t, 40> small;
  EXPECT_FALSE(agent_.PollTransmit(now_, absl::MakeSpan(small)));
  EXPECT_THAT(Counted(), ElementsAre("drop_too_big"));
  Receive(Make({.use_candidate = true, .controlling = 1}));
  PollAll();
  ASSERT_EQ(agent_.state(), AgentState::kCompleted);
  Counted();
  while (agent_.PollEvent()) {
  }
  EXPECT_THAT(Counted(), ElementsAre("path_changes"));

  // Payload that nobody answers, or that comes from elsewhere.
  agent_.Probe(now_);
  PollAll();
  EXPECT_THAT(Counted(),
              UnorderedElementsAre("consent_sent", "probes_started"));
  const Path stranger{At("192.0.2.1:1"), At("192.0.2.2:9"), Transport::kUdp};
  EXPECT_TRUE(agent_.CheckStranger(now_, stranger));
  EXPECT_THAT(Counted(), ElementsAre("strangers_checked"));
  EXPECT_FALSE(agent_.CheckStranger(now_, stranger));
  EXPECT_THAT(Counted(), ElementsAre("stranger_limit"));

  // Candidates.
  AddRemote("1 1 tcp 7 192.0.2.2 9 typ host tcptype active");
  EXPECT_THAT(Counted(), ElementsAre("candidate_ignored_transport"));
  AddRemote("1 1 udp 7 224.0.0.1 9 typ host");
  EXPECT_THAT(Counted(), ElementsAre("candidate_ignored_address"));
  AddRemote("1 1 udp 7 192.0.2.3 9 typ host ufrag another1");
  EXPECT_THAT(Counted(), ElementsAre("candidate_ignored_generation"));
  AddRemote("1 1 udp 7 evil.example 9 typ host");
  EXPECT_THAT(Counted(), ElementsAre("candidate_ignored_name"));
  AddRemote("1 1 udp 7 192.0.2.3 1 typ host");
  EXPECT_THAT(Counted(), ElementsAre());
  AddRemote("1 1 udp 7 192.0.2.3 2 typ host");
  EXPECT_THAT(Counted(), ElementsAre("candidate_evicted"));
  AddRemote("1 1 udp 7 192.0.2.3 3 typ host");
  EXPECT_THAT(Counted(), ElementsAre("candidate_limit"));
  AddLocal("192.0.2.8:8", 1);
  EXPECT_THAT(Counted(), ElementsAre("pair_limit"));

  // Connections.
  Candidate tcp;
  tcp.foundation = "1";
  tcp.priority = 0x7fffffff;
  tcp.transport = Transport::kTcp;
  tcp.tcp_type = TcpType::kPassive;
  tcp.address = At("192.0.2.1:3");
  ASSERT_OK(agent_.AddLocalCandidate(now_, tcp));
  Counted();
  ASSERT_TRUE(agent_.StreamAccepted(
      now_, {tcp.address, At("192.0.2.2:99"), Transport::kTcp}));
  EXPECT_THAT(Counted(), ElementsAre("streams_accepted"));
  EXPECT_FALSE(agent_.StreamAccepted(
      now_, {At("192.0.2.1:4"), At("192.0.2.2:98"), Transport::kTcp}));
  EXPECT_THAT(Counted(), ElementsAre("stream_limit"));

  agent_.Close(now_);
  Receive(good);
  EXPECT_THAT(Counted(), ElementsAre("drop_closed"));
  // By agent_streams_test.cc.
  raised_.insert({"streams_wanted", "streams_failed"});
  // By agent_policy_test.cc.
  raised_.insert("decision_limit");

  for (const Counter<AgentStats>& counter : AgentStats::kCounters) {
    EXPECT_TRUE(raised_.count(std::string(counter.name))) << counter.name;
    EXPECT_EQ(FindCounter(agent_.stats(), counter.name),
              agent_.stats().*counter.field);
  }
}

}  // namespace
}  // namespace kyuu::ice
