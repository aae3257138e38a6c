// Two agents on a simulated network: they connect, keep the path, lose it, find
// another one, restart.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/testing/peer.h"
#include "sim/network.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace kyuu::ice {
namespace {

using testing::Peer;
using testing::Session;

TransportAddress At(const char* text) {
  return TransportAddress::Parse(text).value();
}

// Two hosts on the internet, 10 ms apart each way.
struct World {
  explicit World(uint64_t seed = 1, AgentOptions options_a = {},
                 AgentOptions options_b = {},
                 std::vector<const char*> addresses_a = {"192.0.2.1:5000"},
                 std::vector<const char*> addresses_b = {"192.0.2.2:6000"},
                 Role role_a = Role::kControlling,
                 Role role_b = Role::kControlled)
      : network({.seed = seed}),
        locals_a(Parse(addresses_a)),
        locals_b(Parse(addresses_b)),
        host_a(AddHost("a", locals_a)),
        host_b(AddHost("b", locals_b)),
        a(role_a, seed * 2 + 1, Hosts(locals_a), options_a),
        b(role_b, seed * 2 + 2, Hosts(locals_b), options_b),
        session(network, a, b) {}

  static std::vector<TransportAddress> Parse(
      const std::vector<const char*>& texts) {
    std::vector<TransportAddress> result;
    for (const char* text : texts) result.push_back(At(text));
    return result;
  }
  static GathererOptions Hosts(const std::vector<TransportAddress>& locals) {
    GathererOptions options;
    for (const TransportAddress& local : locals) {
      options.hosts.push_back({local});
    }
    return options;
  }
  sim::HostId AddHost(const char* name,
                      const std::vector<TransportAddress>& locals) {
    std::vector<IpAddress> ips;
    for (const TransportAddress& local : locals) ips.push_back(local.ip);
    return network.AddHost(name, {sim::kInternet, ips});
  }
  void Start() { session.Start(host_a, locals_a, host_b, locals_b); }
  bool Connect() {
    Start();
    return session.RunUntil(AgentState::kCompleted, absl::Seconds(5));
  }
  void SetLoss(double loss) {
    network.SetLinks(host_a, {.loss = loss});
    network.SetLinks(host_b, {.loss = loss});
  }
  // Counts datagrams on the wire that `match`.
  void Count(int& count, std::function<bool(const Datagram&)> match) {
    network.set_filter([&count, match](const Datagram& d) {
      if (match(d)) ++count;
      return true;
    });
  }

  sim::Network network;
  std::vector<TransportAddress> locals_a;
  std::vector<TransportAddress> locals_b;
  sim::HostId host_a;
  sim::HostId host_b;
  Peer a;
  Peer b;
  Session session;
};

TEST(AgentSim, HostToHostConnectsInTwoRoundTrips) {
  World w;
  ASSERT_TRUE(w.Connect()) << w.a.ice.agent().DebugString();
  // Signaling 40 ms, a check and the nomination 20 ms each, no waiting.
  const absl::Duration taken =
      w.network.now() - (sim::Clock().now() + absl::Milliseconds(40));
  EXPECT_LE(taken, absl::Milliseconds(41));
  for (const Peer* peer : {&w.a, &w.b}) {
    EXPECT_EQ(peer->selected().local_type, CandidateType::kHost);
    EXPECT_EQ(peer->selected().remote_type, CandidateType::kHost);
    EXPECT_TRUE(peer->selected().nominated);
    EXPECT_EQ(peer->states, (std::vector<AgentState>{AgentState::kChecking,
                                                     AgentState::kConnected,
                                                     AgentState::kCompleted}));
  }
  EXPECT_EQ(w.a.ice.agent().selected_path()->remote, w.locals_b[0]);
  EXPECT_EQ(w.b.ice.agent().selected_path()->remote, w.locals_a[0]);
  EXPECT_EQ(w.a.ice.agent().rtt(), absl::Milliseconds(20));
  EXPECT_TRUE(w.b.ice.agent().IsKnownPath(*w.b.ice.agent().selected_path()));
}

TEST(AgentSim, DataMayFlowBeforeNomination) {
  AgentOptions options;
  World w(1, options);
  // Nobody hears of a nomination.
  w.network.set_filter([](const Datagram& d) {
    auto message = stun::MessageView::Parse(d.bytes);
    return !message.ok() || !message->Has<stun::UseCandidate>();
  });
  w.Start();
  ASSERT_TRUE(w.session.RunUntil(AgentState::kConnected, absl::Seconds(1)));
  const std::string hello = "\x80hello";
  w.network.Send(w.host_a, {*w.a.ice.agent().selected_path(), AsBytes(hello)});
  w.network.Send(w.host_b, {*w.b.ice.agent().selected_path(), AsBytes(hello)});
  w.network.RunFor(absl::Milliseconds(50));
  EXPECT_EQ(w.a.data.size(), 1u);
  EXPECT_EQ(w.b.data.size(), 1u);
}

TEST(AgentSim, ConnectsUnderLossReorderingAndDuplication) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed);
    const sim::LinkOptions link{.jitter = absl::Milliseconds(5),
                                .loss = 0.2,
                                .duplicate = 0.1,
                                .reorder = 0.2};
    w.network.SetLinks(w.host_a, link);
    w.network.SetLinks(w.host_b, link);
    w.Start();
    EXPECT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(20)))
        << w.a.ice.agent().DebugString() << w.b.ice.agent().DebugString();
  }
}

TEST(AgentSim, StaysConnectedUnderLoss) {
  World w(3);
  ASSERT_TRUE(w.Connect());
  w.SetLoss(0.2);
  w.network.RunFor(absl::Minutes(30));
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kCompleted);
  EXPECT_EQ(w.b.ice.agent().state(), AgentState::kCompleted);
}

TEST(AgentSim, BothControlling) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed, {}, {}, {"192.0.2.1:5000"}, {"192.0.2.2:6000"},
            Role::kControlling, Role::kControlling);
    ASSERT_TRUE(w.Connect());
    EXPECT_NE(w.a.ice.agent().role(), w.b.ice.agent().role());
  }
}

TEST(AgentSim, BothControlled) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed, {}, {}, {"192.0.2.1:5000"}, {"192.0.2.2:6000"},
            Role::kControlled, Role::kControlled);
    ASSERT_TRUE(w.Connect());
    EXPECT_NE(w.a.ice.agent().role(), w.b.ice.agent().role());
  }
}

TEST(AgentSim, RoleConflictIsMendedByTheResponseAlone) {
  // Requests of b never arrive, so a learns of the conflict by 487 only, or b
  // by a's requests.
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed, {}, {}, {"192.0.2.1:5000"}, {"192.0.2.2:6000"},
            Role::kControlling, Role::kControlling);
    w.network.set_filter([&](const Datagram& d) {
      auto message = stun::MessageView::Parse(d.bytes);
      return d.path.local != w.locals_b[0] || !message.ok() ||
             message->cls() != stun::MessageClass::kRequest;
    });
    w.Start();
    EXPECT_TRUE(w.network.RunUntil(
        [&] { return w.a.ice.agent().role() != w.b.ice.agent().role(); },
        absl::Seconds(2)));
  }
}

// What so many candidates that do not answer cost who checks them first: the
// time until a pair works, without signaling (40 ms) and the round trip (20
// ms).
absl::Duration CostOfDead(int dead, absl::Duration ta) {
  World w(1, {.ta = ta}, {.ta = ta});
  w.Start();
  // Unreachable, and of higher priority than the live one.
  for (int i = 0; i < dead; ++i) {
    const std::string line =
        absl::StrCat("candidate:d", i, " 1 udp 2147483000 203.0.113.", i + 1,
                     " 9999 typ host");
    w.network.After(absl::Milliseconds(30),
                    [&w, line] { w.a.HandleSignal(w.network.now(), line); });
  }
  // b's checks must not help.
  w.network.set_filter([&](const Datagram& d) {
    auto message = stun::MessageView::Parse(d.bytes);
    return d.path.local != w.locals_b[0] || !message.ok() ||
           message->cls() != stun::MessageClass::kRequest;
  });
  EXPECT_TRUE(w.network.RunUntil([&] { return w.a.Is(AgentState::kConnected); },
                                 absl::Seconds(5)));
  const absl::Duration taken = w.network.now() - sim::Clock().now();
  // The dead ones do not delay the nomination for long.
  EXPECT_TRUE(w.network.RunUntil([&] { return w.a.Is(AgentState::kCompleted); },
                                 absl::Milliseconds(200)));
  return taken - absl::Milliseconds(40 + 20);
}

TEST(AgentSim, DeadCandidatesAheadCostASlotEach) {
  EXPECT_LE(CostOfDead(8, kPacingDefault), absl::Milliseconds(8 * 50 + 1));
  // As two who agree on the least (a=ice-pacing).
  EXPECT_LE(CostOfDead(8, kPacingMin), absl::Milliseconds(45));
  EXPECT_LE(CostOfDead(20, kPacingMin), absl::Milliseconds(105));
  EXPECT_LE(CostOfDead(60, kPacingMin), absl::Milliseconds(305));
}

TEST(AgentSim, LateTrickledCandidateConnects) {
  World w;
  w.network.Attach(w.host_a, w.locals_a, w.a);
  w.network.Attach(w.host_b, w.locals_b, w.b);
  w.a.ice.Gather(w.network.now());
  w.b.ice.Gather(w.network.now());
  w.session.Exchange();
  w.network.RunFor(absl::Seconds(20));
  while (w.b.PollEvent()) {
  }
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kChecking);
  while (auto event = w.a.PollEvent()) {
    auto* signal = std::get_if<testing::Signal>(&*event);
    if (signal != nullptr && !signal->candidate.empty()) {
      w.b.HandleSignal(w.network.now(), signal->candidate);
    }
  }
  // a knows no candidate of b: it learns a peer-reflexive one.
  ASSERT_TRUE(
      w.session.RunUntil(AgentState::kCompleted, absl::Milliseconds(200)));
  while (w.a.PollEvent()) {
  }
  EXPECT_EQ(w.a.selected().remote_type, CandidateType::kPeerReflexive);
  // Signalled later, it gets its true type.
  w.a.HandleSignal(
      w.network.now(),
      "candidate:1 1 udp 2130706431 192.0.2.2 6000 typ host generation 0");
  while (w.a.PollEvent()) {
  }
  EXPECT_EQ(w.a.selected().remote_type, CandidateType::kHost);
  EXPECT_EQ(w.a.ice.agent().pairs().size(), 1u);
}

TEST(AgentSim, ChecksBeforeTheAnswerAreAnsweredAndRemembered) {
  World w;
  w.network.Attach(w.host_a, w.locals_a, w.a);
  w.network.Attach(w.host_b, w.locals_b, w.b);
  w.a.ice.Gather(w.network.now());
  w.b.ice.Gather(w.network.now());
  w.network.RunFor(absl::Milliseconds(1));
  while (w.b.PollEvent()) {
  }
  while (w.a.PollEvent()) {
  }
  ASSERT_OK(w.b.ice.SetRemoteCredentials(w.network.now(),
                                         w.a.ice.agent().local_credentials()));
  w.b.HandleSignal(w.network.now(),
                   "candidate:1 1 udp 7 192.0.2.1 5000 typ host");
  w.network.RunFor(absl::Milliseconds(100));
  // b has a valid pair though a does not know b yet, and may send on it.
  EXPECT_EQ(w.b.ice.agent().state(), AgentState::kConnected);
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kNew);
  EXPECT_TRUE(w.a.ice.agent().IsKnownPath(
      {w.locals_a[0], w.locals_b[0], Transport::kUdp}));
  ASSERT_OK(w.a.ice.SetRemoteCredentials(w.network.now(),
                                         w.b.ice.agent().local_credentials()));
  EXPECT_TRUE(
      w.session.RunUntil(AgentState::kCompleted, absl::Milliseconds(100)));
}

TEST(AgentSim, ConsentIsAskedEveryFourToSixSeconds) {
  World w;
  ASSERT_TRUE(w.Connect());
  std::vector<absl::Time> times;
  w.network.set_filter([&](const Datagram& d) {
    auto message = stun::MessageView::Parse(d.bytes);
    if (d.path.local == w.locals_a[0] && message.ok() &&
        message->cls() == stun::MessageClass::kRequest) {
      times.push_back(w.network.now());
    }
    return true;
  });
  w.network.RunFor(absl::Minutes(10));
  ASSERT_GE(times.size(), 100u);
  absl::Duration least = absl::InfiniteDuration(), most;
  for (size_t i = 1; i < times.size(); ++i) {
    least = std::min(least, times[i] - times[i - 1]);
    most = std::max(most, times[i] - times[i - 1]);
  }
  EXPECT_GE(least, absl::Seconds(4));
  EXPECT_LE(most, absl::Seconds(6));
  EXPECT_GT(most - least, absl::Seconds(1));
}

// After 30 s without a valid response nothing is sent to the peer any more.
TEST(AgentSim, ConsentLossEndsSending) {
  World w;
  ASSERT_TRUE(w.Connect());
  bool cut = false;
  w.network.set_filter(
      [&](const Datagram& d) { return !cut || d.path.local != w.locals_b[0]; });
  cut = true;
  const absl::Time start = w.network.now();
  ASSERT_TRUE(w.network.RunUntil(
      [&] { return w.a.Is(AgentState::kDisconnected); }, absl::Seconds(15)));
  EXPECT_TRUE(w.a.ice.agent().selected_path());
  ASSERT_TRUE(w.network.RunUntil([&] { return w.a.Is(AgentState::kFailed); },
                                 absl::Seconds(40)));
  // 30 s after the last response, which was at most a consent interval ago.
  EXPECT_GE(w.network.now() - start, absl::Seconds(24));
  EXPECT_LE(w.network.now() - start, absl::Seconds(30));
  EXPECT_FALSE(w.a.ice.agent().selected_path());
  // b still sends checks, being answered all the time; a only answers.
  int requests = 0;
  w.network.set_filter([&](const Datagram& d) {
    auto message = stun::MessageView::Parse(d.bytes);
    if (d.path.local == w.locals_a[0] && message.ok() &&
        message->cls() == stun::MessageClass::kRequest) {
      ++requests;
    }
    return d.path.local != w.locals_b[0];
  });
  w.network.RunFor(absl::Minutes(5));
  EXPECT_EQ(requests, 0);
}

TEST(AgentSim, ComesBackAfterAShortOutage) {
  World w;
  ASSERT_TRUE(w.Connect());
  w.SetLoss(1);
  ASSERT_TRUE(w.session.RunUntil(AgentState::kDisconnected, absl::Seconds(15)));
  w.SetLoss(0);
  EXPECT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(5)));
}

TEST(AgentSim, FailsOverToAnotherValidPair) {
  World w(1, {}, {}, {"192.0.2.1:5000", "198.51.100.1:5001"});
  ASSERT_TRUE(w.Connect());
  w.network.RunFor(absl::Seconds(1));
  const TransportAddress first = w.a.ice.agent().selected_path()->local;
  w.network.RemoveAddress(w.host_a, first.ip);
  // Noticed by a consent check, at most 6 s later, and a second to suspect.
  ASSERT_TRUE(w.network.RunUntil(
      [&] {
        auto path_a = w.a.ice.agent().selected_path();
        auto path_b = w.b.ice.agent().selected_path();
        return path_a->local != first && path_b->remote != first;
      },
      absl::Seconds(10)));
  ASSERT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(10)));
  w.network.RunFor(absl::Minutes(2));
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kCompleted);
  EXPECT_EQ(w.b.ice.agent().state(), AgentState::kCompleted);
  EXPECT_EQ(
      std::count(w.a.states.begin(), w.a.states.end(), AgentState::kFailed), 0);
}

TEST(AgentSim, NominatesAnotherPairWhenTheFirstDiesMeanwhile) {
  World w(1, {}, {}, {"192.0.2.1:5000", "198.51.100.1:5001"});
  // The better pair works until it is nominated.
  bool dead = false;
  w.network.set_filter([&](const Datagram& d) {
    auto message = stun::MessageView::Parse(d.bytes);
    if (message.ok() && message->Has<stun::UseCandidate>() &&
        d.path.local == w.locals_a[0]) {
      dead = true;
    }
    return !dead ||
           (d.path.local != w.locals_a[0] && d.path.remote != w.locals_a[0]);
  });
  w.Start();
  ASSERT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(15)))
      << w.a.ice.agent().DebugString();
  EXPECT_EQ(w.a.ice.agent().selected_path()->local, w.locals_a[1]);
}

TEST(AgentSim, RestartKeepsTheOldPathUntilTheNewOneWorks) {
  World w;
  ASSERT_TRUE(w.Connect());
  const Path old_path = *w.a.ice.agent().selected_path();
  ASSERT_OK(
      w.a.ice.Restart(w.network.now(), Credentials::Generate(*w.a.random)));
  ASSERT_OK(
      w.b.ice.Restart(w.network.now(), Credentials::Generate(*w.b.random)));
  // Data keeps flowing although nothing of the new generation is known.
  EXPECT_EQ(w.a.ice.agent().selected_path(), old_path);
  EXPECT_TRUE(w.a.ice.agent().IsKnownPath(old_path));
  w.network.RunFor(absl::Minutes(2));
  EXPECT_EQ(w.a.ice.agent().selected_path(), old_path) << "consent was kept";
  w.session.Exchange();
  w.network.After(absl::Milliseconds(50), [&] {
    w.a.HandleSignal(w.network.now(),
                     "candidate:1 1 udp 7 192.0.2.2 6000 typ host");
    w.b.HandleSignal(w.network.now(),
                     "candidate:1 1 udp 7 192.0.2.1 5000 typ host");
  });
  ASSERT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(2)));
  EXPECT_EQ(w.a.ice.agent().selected_path(), old_path);
  w.network.RunFor(absl::Minutes(2));
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kCompleted);
  EXPECT_EQ(
      std::count(w.a.states.begin(), w.a.states.end(), AgentState::kFailed), 0);
}

TEST(AgentSim, RestartMendsAFailedAgent) {
  World w;
  ASSERT_TRUE(w.Connect());
  w.SetLoss(1);
  ASSERT_TRUE(w.session.RunUntil(AgentState::kFailed, absl::Minutes(1)));
  w.SetLoss(0);
  ASSERT_OK(
      w.a.ice.Restart(w.network.now(), Credentials::Generate(*w.a.random)));
  ASSERT_OK(
      w.b.ice.Restart(w.network.now(), Credentials::Generate(*w.b.random)));
  w.session.Exchange();
  w.network.After(absl::Milliseconds(50), [&] {
    w.a.HandleSignal(w.network.now(),
                     "candidate:1 1 udp 7 192.0.2.2 6000 typ host");
  });
  EXPECT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(2)));
}

// RFC 8863: not before 39.5 s, however hopeless it looks.
TEST(AgentSim, FailsAfterPatienceOnly) {
  World w;
  w.SetLoss(1);
  w.Start();
  const absl::Time start = w.network.now();
  ASSERT_TRUE(w.session.RunUntil(AgentState::kFailed, absl::Minutes(2)));
  EXPECT_GE(w.network.now() - start, absl::Milliseconds(39'500));
  EXPECT_LE(w.network.now() - start, absl::Seconds(41));
  EXPECT_EQ(w.a.ice.agent().stats().checks_sent, 7u);
}

TEST(AgentSim, FailsAfterPatienceWithoutAnyCandidate) {
  World w(1, {}, {}, {}, {});
  w.network.Attach(w.host_a, {}, w.a);
  ASSERT_OK(w.a.ice.SetRemoteCredentials(w.network.now(),
                                         w.b.ice.agent().local_credentials()));
  w.a.ice.EndOfRemoteCandidates(w.network.now());
  w.network.RunFor(absl::Seconds(39));
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kChecking);
  w.network.RunFor(absl::Seconds(1));
  EXPECT_EQ(w.a.ice.agent().state(), AgentState::kFailed);
}

TEST(AgentSim, Ipv6AndIpv4PreferTheFirstAndFallBack) {
  World w(1, {}, {}, {"[2001:db8::1]:5000", "192.0.2.1:5000"},
          {"[2001:db8::2]:6000", "192.0.2.2:6000"});
  w.network.set_filter(
      [](const Datagram& d) { return d.path.local.ip.is_v4(); });
  ASSERT_TRUE(w.Connect());
  EXPECT_TRUE(w.a.ice.agent().selected_path()->local.ip.is_v4());

  World six(1, {}, {}, {"[2001:db8::1]:5000", "192.0.2.1:5000"},
            {"[2001:db8::2]:6000", "192.0.2.2:6000"});
  ASSERT_TRUE(six.Connect());
  EXPECT_TRUE(six.a.ice.agent().selected_path()->local.ip.is_v6());
}

TEST(AgentSim, LinkLocalAddressesMeetWithTheirScopes) {
  World w(1, {}, {}, {"[fe80::1%1]:5000"}, {"[fe80::2%1]:6000"});
  ASSERT_TRUE(w.Connect()) << w.a.ice.agent().DebugString();
  EXPECT_EQ(w.a.ice.agent().selected_path()->remote.ip.scope_id(), 1u);
}

TEST(AgentSim, MdnsNameIsAskedForAndUsed) {
  World w;
  w.network.Attach(w.host_a, w.locals_a, w.a);
  w.network.Attach(w.host_b, w.locals_b, w.b);
  w.a.ice.Gather(w.network.now());
  w.b.ice.Gather(w.network.now());
  w.session.Exchange();
  w.network.RunFor(absl::Milliseconds(100));
  while (w.b.PollEvent()) {
  }
  w.a.HandleSignal(w.network.now(),
                   "candidate:1 1 udp 7 0123-4567.local 6000 typ host");
  std::optional<ResolveName> asked;
  while (auto event = w.a.PollEvent()) {
    auto* of_agent = std::get_if<IceTransport::Event>(&*event);
    if (of_agent == nullptr) continue;
    if (auto* resolve = std::get_if<ResolveName>(of_agent)) asked = *resolve;
  }
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->name, "0123-4567.local");
  w.a.ice.NameResolved(w.network.now(), asked->id, w.locals_b[0].ip);
  EXPECT_TRUE(w.session.RunUntil(AgentState::kCompleted, absl::Seconds(1)));
}

TEST(AgentSim, SameSeedSameTranscript) {
  const auto run = [](uint64_t seed) {
    World w(seed, {}, {}, {"192.0.2.1:5000", "198.51.100.1:5001"});
    w.SetLoss(0.2);
    w.Start();
    w.network.RunFor(absl::Minutes(5));
    return w.network.transcript().hash();
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

TEST(AgentSim, ClosedIsTheLastEvent) {
  World w;
  ASSERT_TRUE(w.Connect());
  w.a.ice.Close(w.network.now());
  const auto event = w.a.ice.PollEvent();
  ASSERT_TRUE(event && std::holds_alternative<Closed>(*event));
  EXPECT_FALSE(w.a.ice.PollEvent());
  EXPECT_EQ(w.a.ice.agent().NextTimeout(), absl::InfiniteFuture());
  EXPECT_FALSE(w.a.ice.agent().selected_path());
  w.network.RunFor(absl::Seconds(20));
  EXPECT_FALSE(w.a.ice.PollEvent());
  EXPECT_GT(w.a.ice.agent().stats().drop_closed, 0u);
}

}  // namespace
}  // namespace kyuu::ice
