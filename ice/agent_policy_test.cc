// Decisions, their reasons, and policies of an application's own.

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "ice/agent.h"
#include "ice/policy.h"
#include "ice/testing/agent_fixture.h"
#include "ice/testing/peer.h"
#include "sim/network.h"

namespace kyuu::ice {
namespace {

using testing::AgentTest;
using testing::kTheirs;
using testing::Peer;
using testing::Session;
using Kind = Decision::Kind;

TransportAddress Address(const char* text) {
  return TransportAddress::Parse(text).value();
}
const std::vector<TransportAddress> kA = {Address("192.0.2.1:5000"),
                                          Address("198.51.100.1:5000")};
const std::vector<TransportAddress> kB = {Address("203.0.113.2:6000")};

// Two ways from a, which controls, to b, 25 ms long each.
class PolicyTest : public ::testing::Test {
 protected:
  void Connect(const SelectionPolicy& policy, size_t decisions_max = 16) {
    AgentOptions options;
    options.policy = policy;
    options.decisions_max = decisions_max;
    a_ = std::make_unique<Peer>(Role::kControlling, 2, Hosts(kA), options);
    options.policy = {};
    b_ = std::make_unique<Peer>(Role::kControlled, 3, Hosts(kB), options);
    session_ = std::make_unique<Session>(network_, *a_, *b_);
    session_->Start(AddHost("a", kA), kA, AddHost("b", kB), kB);
    network_.RunFor(absl::Seconds(3));
  }
  static GathererOptions Hosts(const std::vector<TransportAddress>& hosts) {
    GathererOptions options;
    for (const TransportAddress& host : hosts) options.hosts.push_back({host});
    return options;
  }
  sim::HostId AddHost(const char* name,
                      const std::vector<TransportAddress>& locals) {
    std::vector<IpAddress> ips;
    ips.reserve(locals.size());
    for (const TransportAddress& local : locals) ips.push_back(local.ip);
    const sim::HostId host = network_.AddHost(name, {sim::kInternet, ips});
    network_.SetLinks(host, {.delay = absl::Microseconds(6250)});
    return host;
  }
  // What was told since the last call, as "use 192.0.2.1: reason".
  std::vector<std::string> Decided(Peer& peer) {
    std::vector<std::string> told;
    for (const Decision& d : std::exchange(peer.decisions, {})) {
      told.push_back(absl::StrCat(ToString(d.kind), " ",
                                  d.path.local.ip.ToString(), ": ", d.reason));
    }
    return told;
  }
  static std::string Is(const char* what, absl::string_view reason) {
    return absl::StrCat(what, ": ", reason);
  }

  sim::Network network_{{.seed = 1}};
  std::unique_ptr<Peer> a_;
  std::unique_ptr<Peer> b_;
  std::unique_ptr<Session> session_;
};

TEST_F(PolicyTest, EveryDecisionIsToldWithItsReason) {
  Connect({});
  EXPECT_THAT(Decided(*a_),
              ::testing::UnorderedElementsAre(
                  Is("use 192.0.2.1", reasons::kFirst),
                  Is("nominate 192.0.2.1", reasons::kNothingBetter)));
  EXPECT_THAT(Decided(*b_),
              ::testing::UnorderedElementsAre(
                  Is("use 203.0.113.2", reasons::kFirst),
                  Is("nominate 203.0.113.2", reasons::kPeerNominated)));
  // The way that is used dies.
  network_.set_filter([](const Datagram& d) { return d.path.local != kA[0]; });
  network_.RunFor(absl::Seconds(20));
  EXPECT_THAT(Decided(*a_),
              ::testing::UnorderedElementsAre(
                  Is("use 198.51.100.1", reasons::kUsedIsSilent),
                  Is("nominate 198.51.100.1", reasons::kNominatedIsSilent)));
  network_.RunFor(absl::Seconds(30));
  EXPECT_THAT(Decided(*a_),
              ::testing::Contains(Is("drop 192.0.2.1", reasons::kNoConsent)));
}

TEST_F(PolicyTest, NothingIsToldUnlessItIsAskedFor) {
  Connect({}, /*decisions_max=*/0);
  EXPECT_TRUE(Decided(*a_).empty() && Decided(*b_).empty());
  EXPECT_EQ(a_->ice.agent().stats().decision_limit, 0u);
}

// An application that has a way of its own to prefer.
struct Wish {
  IpAddress local;
  absl::string_view reason;
};

TEST_F(PolicyTest, AnApplicationNominatesWhatItLikes) {
  const Wish wish{kA[1].ip, "cheap"};
  SelectionPolicy policy{.context = &wish};
  policy.nominate = [](const void* context, const NominationQuestion&) {
    // Never.
    return NominationAnswer{absl::InfiniteFuture(),
                            static_cast<const Wish*>(context)->reason};
  };
  Connect(policy);
  EXPECT_TRUE(a_->Is(AgentState::kConnected));
  EXPECT_FALSE(a_->ice.agent().nominated_path());
  EXPECT_EQ(a_->ice.selected_path()->local, kA[0]) << "the best one";
  EXPECT_EQ(Decided(*a_),
            std::vector<std::string>{Is("use 192.0.2.1", reasons::kFirst)});
}

// Never nominates, and uses the way that is wished for.
SelectionPolicy Using(const Wish& wish) {
  SelectionPolicy policy{.context = &wish};
  policy.nominate = [](const void*, const NominationQuestion&) {
    return NominationAnswer{absl::InfiniteFuture(), "not yet"};
  };
  policy.use = [](const void* context, const UseQuestion& q) {
    const auto* told = static_cast<const Wish*>(context);
    for (size_t i = 0; i < q.pairs.size(); ++i) {
      if (q.pairs[i].path().local.ip == told->local) {
        return UseAnswer{i, told->reason};
      }
    }
    return UseAnswer{q.pairs.size(), "out of range"};
  };
  return policy;
}

TEST_F(PolicyTest, AnApplicationUsesWhatItLikes) {
  const Wish wish{kA[1].ip, "cheap"};
  Connect(Using(wish));
  EXPECT_EQ(a_->ice.selected_path()->local, kA[1]);
  EXPECT_EQ(Decided(*a_).back(), "use 198.51.100.1: cheap");
  // What does not answer is no choice.
  network_.set_filter([](const Datagram& d) { return d.path.local != kA[1]; });
  network_.RunFor(absl::Seconds(20));
  EXPECT_EQ(a_->ice.selected_path()->local, kA[0]);
  EXPECT_EQ(Decided(*a_), std::vector<std::string>{
                              Is("use 192.0.2.1", reasons::kUsedIsSilent)});
}

TEST_F(PolicyTest, AnAnswerThatNamesNothingIsNone) {
  const Wish wish{kB[0].ip, "nowhere"};
  Connect(Using(wish));
  EXPECT_EQ(a_->ice.selected_path()->local, kA[0]);
}

TEST_F(PolicyTest, AnApplicationKeepsNoReserve) {
  SelectionPolicy policy;
  policy.reserve = [](const void*, const ReserveQuestion& q) {
    EXPECT_EQ(q.kept, 0u);
    EXPECT_EQ(q.kept_max, 2u);
    EXPECT_NE(q.pair.path().local, q.in_use.path().local);
    return ReserveAnswer{false, "metered"};
  };
  Connect(policy);
  network_.RunFor(absl::Minutes(1));
  for (const PairInfo& pair : a_->ice.agent().pairs()) {
    EXPECT_EQ(pair.consent_sent > 0, pair.path.local == kA[0]);
  }
}

// What DefaultNomination sees is what others do.
TEST_F(PolicyTest, APolicyMayAskTheDefaultOne) {
  static int asked;
  asked = 0;
  SelectionPolicy policy;
  policy.nominate = [](const void*, const NominationQuestion& q) {
    ++asked;
    EXPECT_TRUE(q.best.answers());
    EXPECT_FALSE(q.best.is_relayed());
    EXPECT_EQ(q.best.remote_type(), CandidateType::kHost);
    EXPECT_EQ(q.best.local_type(), CandidateType::kHost);
    EXPECT_GE(q.best.checks_sent(), 1u);
    EXPECT_LE(q.best.works_since(), q.now);
    EXPECT_LE(q.best.first_sent(), q.best.last_sent());
    EXPECT_EQ(q.best.rtt(), absl::Milliseconds(25));
    for (const PairView& pair : q.pending) {
      EXPECT_GT(pair.priority(), q.best.priority());
    }
    return DefaultNomination(q);
  };
  Connect(policy);
  EXPECT_GT(asked, 0);
  EXPECT_TRUE(a_->Is(AgentState::kCompleted));
}

// A controlled agent whose decisions nobody polls.
class DecisionsTest : public AgentTest {
 protected:
  DecisionsTest() : AgentTest(Role::kControlled, {.decisions_max = 1}) {}
  void Nominate(const char* to) {
    Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.2:2", to);
    while (const auto check = Poll()) {
      if (check->view().cls() != stun::MessageClass::kRequest) continue;
      agent_.HandlePacket(now_,
                          {check->path, Answer(*check, kTheirs.password)});
    }
  }
};

TEST_F(DecisionsTest, AreBoundedAndTheOldestGo) {
  AddLocal("192.0.2.3:1", 5);
  Begin();
  Nominate("192.0.2.1:1");
  EXPECT_EQ(agent_.stats().decision_limit, 0u);
  // One that nominates all that works means the best.
  Nominate("192.0.2.3:1");
  EXPECT_EQ(agent_.stats().decision_limit, 1u);
  std::vector<Decision> told;
  while (const auto event = agent_.PollEvent()) {
    if (const auto* decision = std::get_if<Decision>(&*event)) {
      told.push_back(*decision);
    }
  }
  // The use is noticed by who polls.
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.front().kind, Kind::kIgnore);
  EXPECT_EQ(told.front().reason, reasons::kBestOfPeers);
  EXPECT_EQ(told.front().path.local, Address("192.0.2.3:1"));
}

}  // namespace
}  // namespace kyuu::ice
