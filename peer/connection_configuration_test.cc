// What SetConfiguration() changes and when (RFC 9429 section 4.1.18), and
// candidates that are found in advance.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sim/clock_override.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::peer {
namespace {

using testing::Call;
using testing::CallOptions;
using ::testing::HasSubstr;
using ::testing::Not;
using Bytes = std::vector<uint8_t>;

const TransportAddress kFirst{IpAddress::V4(203, 0, 113, 1), 3478};
const TransportAddress kSecond{IpAddress::V4(203, 0, 113, 2), 3478};
const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 5001};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 5002};
const auto kRelay = ice::GatherPolicy::kRelay;

ice::TurnServer Turn(const TransportAddress& at) { return {at, "u", "p"}; }

// Two hosts in reach of each other, and two TURN servers.
class ConnectionConfigurationTest : public ::testing::Test {
 protected:
  ConnectionConfigurationTest()
      : clock_(network_.clock()),
        first_(random_, turn::OpenServerOptions(kFirst)),
        second_(random_, turn::OpenServerOptions(kSecond)) {
    first_.Attach(network_,
                  network_.AddHost("first", {sim::kInternet, {kFirst.ip}}),
                  {kFirst});
    second_.Attach(network_,
                   network_.AddHost("second", {sim::kInternet, {kSecond.ip}}),
                   {kSecond});
    host_a_ = network_.AddHost("a", {sim::kInternet, {kA.ip}});
    host_b_ = network_.AddHost("b", {sim::kInternet, {kB.ip}});
    network_.set_filter([this](const Datagram& datagram) {
      direct_ += datagram.path.local == kA && datagram.path.remote == kB;
      return true;
    });
  }
  void Begin(const Options& a) {
    CallOptions options;
    options.a = a;
    call_.emplace(network_, options);
    call_->Attach(host_a_, {kA}, host_b_, {kB});
  }
  Connection& a() { return call_->a.connection; }
  Connection& b() { return call_->b.connection; }
  void Connect() {
    channel_ = *a().CreateDataChannel(network_.now(), {.label = "c"});
    Negotiate();
    ASSERT_TRUE(network_.RunUntil([&] { return !call_->b.incoming.empty(); },
                                  absl::Seconds(10)));
    network_.RunFor(absl::Seconds(2));
  }
  void Negotiate() {
    call_->Negotiate(call_->a);
    ASSERT_TRUE(call_->Connected()) << call_->DebugString();
  }
  // Sends a message each 10 ms from now on.
  void Stream() {
    EXPECT_OK(a().Send(network_.now(), channel_, PayloadType::kBinary,
                       Bytes(100, 1)));
    ++sent_;
    network_.After(absl::Milliseconds(10), [this] { Stream(); });
  }
  // A restart that the configuration has called for; nothing is lost.
  void ExpectRestartWithoutLoss() {
    const std::string ufrag = a().local_ufrag();
    Stream();
    Negotiate();
    network_.RunFor(absl::Seconds(15));  // The old path is given up by then.
    EXPECT_NE(a().local_ufrag(), ufrag);
    EXPECT_GE(call_->b.messages.size() + 3, sent_);
    EXPECT_EQ(std::count(call_->a.states.begin(), call_->a.states.end(),
                         ConnectionState::kConnected),
              1);
  }
  std::vector<std::string> Candidates() {
    std::vector<std::string> types;
    for (const ice::Candidate& c : a().stats().local_candidates) {
      types.emplace_back(ice::ToString(c.type));
    }
    return types;
  }
  ice::CandidateType local_type() { return call_->a.paths.back().local_type; }

  sim::Network network_{{.seed = 7}};
  sim::ScopedClockOverride clock_;
  SeededRandom random_{99};
  turn::SimServer first_;
  turn::SimServer second_;
  sim::HostId host_a_{};
  sim::HostId host_b_{};
  std::optional<Call> call_;
  ChannelId channel_{};
  size_t sent_ = 0;
  size_t direct_ = 0;  // Datagrams from a's host to b's.
};

TEST_F(ConnectionConfigurationTest, RelaysAloneFromTheNextOfferOn) {
  Begin({.turn_servers = {Turn(kFirst)}});
  Connect();
  ASSERT_EQ(local_type(), ice::CandidateType::kHost);
  ASSERT_OK(a().SetConfiguration(
      network_.now(), {.turn_servers = {Turn(kFirst)}, .policy = kRelay}));
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(local_type(), ice::CandidateType::kHost) << "nothing as yet";

  ExpectRestartWithoutLoss();
  EXPECT_EQ(local_type(), ice::CandidateType::kRelayed);
  EXPECT_EQ(Candidates(), std::vector<std::string>{"relay"});
  EXPECT_THAT(*a().LocalDescription(), Not(HasSubstr("typ host")));
  EXPECT_THAT(*a().LocalDescription(), Not(HasSubstr(kA.ip.ToString())));
  // b's checks of our host address get no answer, and no data goes there.
  direct_ = 0;
  network_.RunFor(absl::Seconds(10));
  EXPECT_EQ(direct_, 0u);
}

// A peer that checks our address all the same while the old path is kept.
TEST_F(ConnectionConfigurationTest, AnAddressThatIsHiddenAnswersNoCheck) {
  Begin({.turn_servers = {Turn(kFirst)}});
  Connect();
  ASSERT_OK(a().SetConfiguration(
      network_.now(), {.turn_servers = {Turn(kFirst)}, .policy = kRelay}));
  Negotiate();
  network_.RunFor(absl::Milliseconds(100));
  ASSERT_OK(b().AddIceCandidate(
      network_.now(), "candidate:9 1 udp 2130706431 192.0.2.1 5001 typ host",
      "0", 0));
  network_.RunFor(absl::Milliseconds(500));
  EXPECT_GT(a().stats().ice.drop_unknown_local, 0u);
  for (const ice::PairInfo& pair : b().stats().pairs) {
    if (pair.path.remote != kA) continue;
    EXPECT_GT(pair.checks_sent, 0u);
    EXPECT_EQ(pair.responses_received, 0u);
  }
}

TEST_F(ConnectionConfigurationTest, NotRelaysAloneAnyMore) {
  Begin({.turn_servers = {Turn(kFirst)}, .policy = kRelay});
  Connect();
  ASSERT_EQ(local_type(), ice::CandidateType::kRelayed);
  ASSERT_OK(
      a().SetConfiguration(network_.now(), {.turn_servers = {Turn(kFirst)}}));
  ExpectRestartWithoutLoss();
  EXPECT_EQ(local_type(), ice::CandidateType::kHost);
  EXPECT_EQ(Candidates(), (std::vector<std::string>{"relay", "host"}));
}

TEST_F(ConnectionConfigurationTest, OtherServersFromTheNextOfferOn) {
  Begin({.turn_servers = {Turn(kFirst)}, .policy = kRelay});
  Connect();
  ASSERT_OK(a().SetConfiguration(
      network_.now(), {.turn_servers = {Turn(kSecond)}, .policy = kRelay}));
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(second_.server().allocations(), 0u);
  ExpectRestartWithoutLoss();
  EXPECT_EQ(call_->a.paths.back().path.local.ip, kSecond.ip);
  EXPECT_EQ(second_.server().allocations(), 1u);
  EXPECT_EQ(first_.server().allocations(), 0u) << "it was given back";
}

TEST_F(ConnectionConfigurationTest, TheSameAgainRestartsNothing) {
  Begin({.turn_servers = {Turn(kFirst)}});
  Connect();
  const std::string ufrag = a().local_ufrag();
  ASSERT_OK(
      a().SetConfiguration(network_.now(), {.turn_servers = {Turn(kFirst)}}));
  ASSERT_OK(a().CreateOffer());
  EXPECT_THAT(*a().CreateOffer(), HasSubstr(ufrag));
}

// An offer that is taken back has changed nothing, the next one has to.
TEST_F(ConnectionConfigurationTest, ARollbackLeavesTheRestartDue) {
  Begin({});
  Connect();
  const std::string ufrag = a().local_ufrag();
  ASSERT_OK(
      a().SetConfiguration(network_.now(), {.turn_servers = {Turn(kFirst)}}));
  EXPECT_FALSE(a().TakeNegotiationNeeded()) << "it waits for the next offer";
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(*a().CreateOffer(), Not(HasSubstr(ufrag)));
    ASSERT_OK(a().SetLocalDescription(network_.now(), SdpType::kOffer));
    ASSERT_OK(a().Rollback(network_.now()));
  }
  Negotiate();
  network_.RunFor(absl::Seconds(1));
  const std::string next = a().local_ufrag();
  EXPECT_NE(next, ufrag);
  EXPECT_THAT(*a().CreateOffer(), HasSubstr(next)) << "once";
}

TEST_F(ConnectionConfigurationTest, BeforeTheFirstDescriptionItJustCounts) {
  Begin({.turn_servers = {Turn(kFirst)}});
  ASSERT_OK(a().SetConfiguration(
      network_.now(), {.turn_servers = {Turn(kSecond)}, .policy = kRelay}));
  Connect();
  EXPECT_EQ(call_->a.paths.back().path.local.ip, kSecond.ip);
  EXPECT_EQ(first_.server().allocations(), 0u);
}

TEST_F(ConnectionConfigurationTest, ClosedItIsRefused) {
  Begin({});
  a().Close(network_.now());
  EXPECT_THAT(a().SetConfiguration(network_.now(), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ConnectionConfigurationTest, DecisionsAreToldAndTheLastOnesKept) {
  Options options;
  options.ice.decisions_max = 2;
  Begin(options);
  Connect();
  ASSERT_GE(call_->a.decisions.size(), 2u);
  EXPECT_EQ(a().stats().decisions.size(), 2u);
  const PathDecision last = a().stats().decisions.back();
  EXPECT_EQ(last.decision.reason, call_->a.decisions.back().reason);
  EXPECT_EQ(last.decision.path.local, kA);
  EXPECT_LT(last.at, network_.now());
  EXPECT_TRUE(call_->b.decisions.empty()) << "who has not asked for them";
  EXPECT_TRUE(b().stats().decisions.empty());
}

// webrtc-stats section 8.8: `url` of what servers have told.
TEST_F(ConnectionConfigurationTest, EachCandidateIsToldWithItsServer) {
  ice::TurnServer named = Turn(kFirst);
  named.host = "turn.example.org";
  CallOptions options;
  options.a.turn_servers = {named};
  call_.emplace(network_, options);
  const sim::ZoneId home = network_.AddNat(
      sim::kInternet,
      sim::NatOptions::FullCone(IpAddress::V4(198, 51, 100, 1)));
  const TransportAddress inside{IpAddress::V4(10, 0, 0, 2), 5001};
  call_->Attach(network_.AddHost("inside", {home, {inside.ip}}), {inside},
                host_b_, {kB});
  const auto urls = [&] {
    const ConnectionStats stats = a().stats();
    std::vector<std::string> lines;
    for (size_t i = 0; i < stats.local_candidates.size(); ++i) {
      lines.push_back(
          absl::StrCat(ice::ToString(stats.local_candidates[i].type), " ",
                       stats.local_candidate_urls[i]));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  Connect();
  EXPECT_EQ(urls(),
            (std::vector<std::string>{
                "host ", "relay turn:turn.example.org:3478?transport=udp",
                "srflx turn:turn.example.org:3478?transport=udp"}));
  // A STUN server whose name was resolved meanwhile.
  ASSERT_OK(a().SetConfiguration(network_.now(), {.names = 1}));
  a().UpdateServers({kSecond}, {}, "stun.example.org");
  Negotiate();
  network_.RunFor(absl::Seconds(15));
  EXPECT_EQ(urls(), (std::vector<std::string>{
                        "host ", "srflx stun:stun.example.org:3478"}));
}

TEST_F(ConnectionConfigurationTest, ThePoolIsFoundInAdvanceAndToldInTime) {
  Begin({.turn_servers = {Turn(kFirst)}, .candidate_pool_size = 1});
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(first_.server().allocations(), 1u);
  EXPECT_EQ(a().gathering_state(), GatheringState::kNew);
  EXPECT_TRUE(Candidates().empty());
  ASSERT_OK(a().CreateDataChannel(network_.now(), {}));
  EXPECT_THAT(*a().CreateOffer(), Not(HasSubstr("a=candidate")));
  ASSERT_OK(a().SetLocalDescription(network_.now(), SdpType::kOffer));
  EXPECT_EQ(a().gathering_state(), GatheringState::kComplete);
  EXPECT_EQ(Candidates(), (std::vector<std::string>{"host", "relay"}));
  std::vector<std::string> told;
  while (auto event = a().PollEvent()) {
    if (auto* found = std::get_if<CandidateFound>(&*event)) {
      told.push_back(found->candidate);
      EXPECT_TRUE(found->candidate.empty() ||
                  absl::StrContains(found->candidate, a().local_ufrag()));
    }
  }
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told.back(), "");
}

// A path may begin there all the same, and the server's answer tells nothing.
TEST_F(ConnectionConfigurationTest, AddressesThatAreNotAdvertisedAreNotTold) {
  AddressFilter nobody;
  nobody.except = {IpPrefix::Parse("0.0.0.0/0").value()};
  Begin({.turn_servers = {Turn(kFirst)}, .advertise = nobody});
  ASSERT_OK(a().CreateDataChannel(network_.now(), {}));
  ASSERT_OK(a().CreateOffer());
  ASSERT_OK(a().SetLocalDescription(network_.now(), SdpType::kOffer));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Candidates(), (std::vector<std::string>{"host", "relay"}));
  const std::string description = *a().LocalDescription();
  EXPECT_THAT(description, Not(HasSubstr("typ host")));
  EXPECT_THAT(description, HasSubstr("typ relay raddr 0.0.0.0 rport 0"));
  while (auto event = a().PollEvent()) {
    if (auto* found = std::get_if<CandidateFound>(&*event)) {
      EXPECT_THAT(found->candidate, Not(HasSubstr("typ host")));
    }
  }
}

// Who is called has said nothing before the answer.
TEST_F(ConnectionConfigurationTest, NothingIsCheckedBeforeTheAnswer) {
  Begin({.candidate_pool_size = 1});
  network_.RunFor(absl::Seconds(1));
  ASSERT_OK(b().CreateDataChannel(network_.now(), {}));
  const std::string offer = *b().CreateOffer();
  ASSERT_OK(b().SetLocalDescription(network_.now(), SdpType::kOffer));
  network_.RunFor(absl::Milliseconds(1));
  ASSERT_OK(a().SetRemoteDescription(network_.now(), SdpType::kOffer, offer));
  network_.RunFor(absl::Seconds(5));
  EXPECT_EQ(direct_, 0u);
  const std::string answer = *a().CreateAnswer();
  ASSERT_OK(a().SetLocalDescription(network_.now(), SdpType::kAnswer));
  ASSERT_OK(b().SetRemoteDescription(network_.now(), SdpType::kAnswer, answer));
  EXPECT_TRUE(call_->Connected());
}

TEST_F(ConnectionConfigurationTest, ThePoolFollowsItsConfiguration) {
  Begin({.turn_servers = {Turn(kFirst)}, .candidate_pool_size = 1});
  network_.RunFor(absl::Seconds(1));
  // Other servers.
  ConnectionConfiguration wanted{.turn_servers = {Turn(kSecond)},
                                 .candidate_pool_size = 1};
  ASSERT_OK(a().SetConfiguration(network_.now(), wanted));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(first_.server().allocations(), 0u);
  EXPECT_EQ(second_.server().allocations(), 1u);
  // None.
  wanted.candidate_pool_size = 0;
  ASSERT_OK(a().SetConfiguration(network_.now(), wanted));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(second_.server().allocations(), 0u);
  // Some again, relays alone.
  wanted.candidate_pool_size = 2;
  wanted.policy = kRelay;
  ASSERT_OK(a().SetConfiguration(network_.now(), wanted));
  network_.RunFor(absl::Seconds(1));
  EXPECT_EQ(second_.server().allocations(), 1u);

  Connect();
  EXPECT_EQ(Candidates(), std::vector<std::string>{"relay"});
  EXPECT_EQ(second_.server().allocations(), 1u) << "the same";
  wanted.candidate_pool_size = 1;
  EXPECT_THAT(a().SetConfiguration(network_.now(), wanted),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(a().SetConfiguration(network_.now(), wanted).message(),
              HasSubstr("pool"));
}

TEST_F(ConnectionConfigurationTest, APoolWithoutADescriptionIsGivenBack) {
  Begin({.turn_servers = {Turn(kFirst)}, .candidate_pool_size = 1});
  network_.RunFor(absl::Seconds(1));
  a().Close(network_.now());
  network_.RunFor(absl::Seconds(2));
  EXPECT_EQ(first_.server().allocations(), 0u);
  EXPECT_TRUE(call_->a.closed);
}

}  // namespace
}  // namespace kyuu::peer
