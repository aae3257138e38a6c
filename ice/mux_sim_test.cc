// Many agents behind one address of a simulated server: what reaches whom, and
// what strangers can do about it.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/mux.h"
#include "ice/testing/mux_host.h"
#include "ice/testing/peer.h"
#include "sim/nat.h"
#include "sim/network.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace kyuu::ice {
namespace {

using testing::MuxHost;
using testing::Peer;
using testing::Signal;

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 7000};
const IpAddress kOutside = IpAddress::V4(198, 51, 100, 1);

TransportAddress Client(uint8_t n, uint16_t port = 5000) {
  return {IpAddress::V4(203, 0, 113, n), port};
}

class MuxSimTest : public ::testing::Test {
 protected:
  struct Caller {
    std::unique_ptr<Peer> peer;
    MuxId at{};  // Its agent at the server.
    sim::EndpointId endpoint{};
  };

  MuxSimTest() {
    network_.Attach(server_host_, {kServer}, server_, [this](MuxHost::Event e) {
      const auto* signal = std::get_if<Signal>(&e.event);
      if (signal == nullptr) return;
      for (const auto& caller : callers_) {
        if (caller->at == e.id) {
          caller->peer->HandleSignal(network_.now(), signal->candidate);
        }
      }
    });
  }
  // A peer at `local` that begins to connect to an agent of its own.
  Caller& Call(sim::HostId host, const TransportAddress& local,
               const AgentOptions& options = {}) {
    const uint64_t seed = 10 + 2 * callers_.size();
    Caller& caller = *callers_.emplace_back(std::make_unique<Caller>());
    GathererOptions gatherer;
    gatherer.hosts = {{local}};
    caller.peer = std::make_unique<Peer>(Role::kControlling, seed, gatherer);
    caller.at = server_.Add(Role::kControlled, seed + 1, kServer, options);
    caller.endpoint = network_.Attach(
        host, {local}, *caller.peer, [this, &caller](Peer::Event event) {
          const auto* signal = std::get_if<Signal>(&event);
          if (signal == nullptr) return;
          Server(caller).HandleSignal(network_.now(), signal->candidate);
          server_.Changed(caller.at);
        });
    Exchange(caller);
    caller.peer->ice.Gather(network_.now());
    Server(caller).ice.Gather(network_.now());
    return caller;
  }
  void Exchange(Caller& caller) {
    Peer& server = Server(caller);
    ASSERT_OK(caller.peer->ice.SetRemoteCredentials(
        network_.now(), server.ice.agent().local_credentials(), server.mode));
    ASSERT_OK(server.ice.SetRemoteCredentials(
        network_.now(), caller.peer->ice.agent().local_credentials()));
    server_.Changed(caller.at);
  }
  Peer& Server(const Caller& caller) { return server_[caller.at]; }
  bool Connected(const Caller& caller) {
    return caller.peer->Is(AgentState::kCompleted) &&
           Server(caller).Is(AgentState::kCompleted);
  }
  bool Connect(const Caller& caller) {
    return network_.RunUntil([&] { return Connected(caller); },
                             absl::Seconds(5));
  }
  // What looks like DTLS, sent by `caller` and by its agent to each other.
  void Talk(Caller& caller, const std::string& text) {
    std::array<uint8_t, 1500> out;
    const std::string record = '\x17' + text;
    for (Peer* from : {caller.peer.get(), &Server(caller)}) {
      const auto datagram =
          from->ice.Send(network_.now(), AsBytes(record), absl::MakeSpan(out));
      ASSERT_TRUE(datagram.has_value());
      network_.Send(
          from == caller.peer.get() ? host_of_[&caller] : server_host_,
          *datagram);
    }
    network_.RunFor(absl::Milliseconds(100));
  }
  static absl::Span<const uint8_t> AsBytes(const std::string& text) {
    return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()),
                               text.size());
  }
  // Whoever sends it says that it comes from there.
  void Spoof(const TransportAddress& from, absl::Span<const uint8_t> bytes,
             absl::Duration pause) {
    server_.HandlePacket(network_.now(), {{kServer, from}, bytes});
    network_.RunFor(pause);
  }
  // A caller on a host of its own.
  Caller& CallFrom(uint8_t n, const AgentOptions& options = {}) {
    const sim::HostId host =
        network_.AddHost("client", {sim::kInternet, {Client(n).ip}});
    network_.SetLinks(host, {.delay = absl::Milliseconds(10)});
    Caller& caller = Call(host, Client(n), options);
    host_of_[&caller] = host;
    return caller;
  }
  // A check with everything that an outsider can know.
  std::vector<uint8_t> Forged(const std::string& username,
                              absl::string_view password) {
    std::vector<uint8_t> buffer(600);
    stun::MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                          stun::Method::kBinding,
                          stun::TransactionId::Generate(network_.random()));
    w.Add(stun::Username{username});
    w.Add(stun::Priority{0x7fffffff});
    w.Add(stun::IceControlling{~uint64_t{0}});
    w.Add(stun::UseCandidate{});
    if (!password.empty()) {
      w.AddIntegrity(stun::IntegrityKey::ShortTerm(std::string(password)));
    }
    w.AddFingerprint();
    const absl::Span<const uint8_t> bytes = w.Finish();
    return std::vector<uint8_t>(bytes.begin(), bytes.end());
  }

  sim::Network network_{{.seed = 1}};
  sim::HostId server_host_ =
      network_.AddHost("server", {sim::kInternet, {kServer.ip}});
  MuxHost server_;
  std::vector<std::unique_ptr<Caller>> callers_;
  std::map<const Caller*, sim::HostId> host_of_;
};

TEST_F(MuxSimTest, EachOfManyGetsWhatIsItsOwn) {
  for (uint8_t n = 1; n <= 50; ++n) CallFrom(n, {.lite = n % 2 == 0});
  ASSERT_TRUE(network_.RunUntil(
      [&] {
        for (const auto& caller : callers_) {
          if (!Connected(*caller)) return false;
        }
        return true;
      },
      absl::Seconds(5)));
  for (size_t i = 0; i < callers_.size(); ++i) {
    Talk(*callers_[i], std::to_string(i));
  }
  for (size_t i = 0; i < callers_.size(); ++i) {
    const std::vector<std::string> own{'\x17' + std::to_string(i)};
    EXPECT_EQ(callers_[i]->peer->data, own);
    EXPECT_EQ(Server(*callers_[i]).data, own);
  }
  // With consent, which takes no memory here.
  network_.RunFor(absl::Minutes(2));
  for (const auto& caller : callers_) EXPECT_TRUE(Connected(*caller));
  EXPECT_EQ(server_.mux.paths(), 50u);
  EXPECT_LE(server_.mux.transactions(), 50u);
}

// Deadlines are of their agents: who has none is not looked at.
TEST_F(MuxSimTest, ATimeoutIsOfTheAgentsThatAreDue) {
  Caller& alone = CallFrom(1);
  ASSERT_TRUE(Connect(alone));
  network_.RunFor(absl::Minutes(1));
  server_.timeouts = 0;
  network_.RunFor(absl::Minutes(10));
  const uint64_t of_one = server_.timeouts;
  EXPECT_GT(of_one, 0u);
  for (uint64_t seed = 1000; seed < 2000; ++seed) {
    server_.Add(Role::kControlled, seed, kServer);
  }
  network_.RunFor(absl::Minutes(1));
  server_.timeouts = 0;
  network_.RunFor(absl::Minutes(10));
  EXPECT_NEAR(static_cast<double>(server_.timeouts),
              static_cast<double>(of_one), static_cast<double>(of_one) / 10);
}

TEST_F(MuxSimTest, ANatThatMovesAPeerIsFollowedByItsUfrag) {
  const sim::ZoneId nat = network_.AddNat(
      sim::kInternet, sim::NatOptions::PortRestrictedCone(kOutside));
  const TransportAddress home{IpAddress::V4(10, 0, 0, 2), 6000};
  const sim::HostId host = network_.AddHost("home", {nat, {home.ip}});
  Caller& caller = Call(host, home);
  host_of_[&caller] = host;
  ASSERT_TRUE(Connect(caller));
  const TransportAddress before = Server(caller).ice.selected_path()->remote;
  network_.nat(nat).Restart();
  ASSERT_TRUE(network_.RunUntil(
      [&] {
        const auto path = Server(caller).ice.selected_path();
        return path && path->remote != before;
      },
      absl::Seconds(30)));
  Talk(caller, "moved");
  EXPECT_EQ(caller.peer->data.size(), 1u);
  EXPECT_EQ(Server(caller).data.size(), 1u);
}

// Its old address is a new peer's: the one that was there loses it at once.
TEST_F(MuxSimTest, AnAddressPassesToWhoProvesIt) {
  Caller& first = CallFrom(1);
  ASSERT_TRUE(Connect(first));
  const sim::HostId host = host_of_[&first];
  network_.Detach(first.endpoint);         // The program has crashed, ...
  Caller& second = Call(host, Client(1));  // ... and begins again.
  host_of_[&second] = host;
  ASSERT_TRUE(Connect(second));
  network_.RunFor(absl::Seconds(1));
  const Path path{kServer, Client(1)};
  EXPECT_EQ(server_.mux.Owner(path), second.at);
  EXPECT_EQ(server_.mux.stats().paths_moved, 1u);
  Talk(second, "again");
  EXPECT_EQ(second.peer->data.size(), 1u);
  EXPECT_EQ(Server(second).data.size(), 1u);
  EXPECT_TRUE(Server(first).data.empty());
  // The first one's consent runs out, and takes nothing with it.
  network_.RunFor(absl::Minutes(1));
  EXPECT_FALSE(Server(first).ice.selected_path().has_value());
  server_.Remove(first.at);
  EXPECT_EQ(server_.mux.Owner(path), second.at);
  EXPECT_TRUE(Connected(second));
}

// pion/ice#400: two agents of one peer at one address, both alive.
TEST_F(MuxSimTest, TwoAgentsWithTheSameTwoAddressesAreBothChecked) {
  MuxHost other;
  const sim::HostId host =
      network_.AddHost("mux", {sim::kInternet, {Client(1).ip}});
  std::vector<std::pair<MuxId, MuxId>> pairs;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    pairs.emplace_back(server_.Add(Role::kControlled, 2 * seed, kServer),
                       other.Add(Role::kControlling, 2 * seed + 1, Client(1)));
  }
  network_.Attach(host, {Client(1)}, other);
  for (const auto& [here, there] : pairs) {
    IceTransport& a = server_[here].ice;
    IceTransport& b = other[there].ice;
    ASSERT_OK(
        a.SetRemoteCredentials(network_.now(), b.agent().local_credentials()));
    ASSERT_OK(
        b.SetRemoteCredentials(network_.now(), a.agent().local_credentials()));
    a.Gather(network_.now());
    b.Gather(network_.now());
    Candidate candidate;
    candidate.foundation = "1";
    candidate.priority = Priority(CandidateType::kHost, 65535);
    candidate.address = kServer;
    b.AddRemoteCandidate(network_.now(), candidate);
    candidate.address = Client(1);
    a.AddRemoteCandidate(network_.now(), candidate);
    server_.Changed(here);
    other.Changed(there);
  }
  network_.RunFor(absl::Minutes(3));
  for (const auto& [here, there] : pairs) {
    EXPECT_TRUE(server_[here].Is(AgentState::kCompleted));
    EXPECT_TRUE(other[there].Is(AgentState::kCompleted));
  }
  // Data is the later one's.
  EXPECT_LE(server_.mux.stats().paths_moved, 1u);
}

TEST_F(MuxSimTest, ARestartKeepsBothGenerations) {
  for (const bool lite : {false, true}) {
    Caller& caller = CallFrom(lite ? 2 : 1, {.lite = lite});
    ASSERT_TRUE(Connect(caller));
    const Credentials before = Server(caller).ice.agent().local_credentials();
    ASSERT_OK(Server(caller).ice.Restart(
        network_.now(), Credentials::Generate(network_.random())));
    server_.Changed(caller.at);
    // The answer takes 10 s, over which the old path is kept.
    for (int i = 0; i < 10; ++i) {
      network_.RunFor(absl::Seconds(1));
      Talk(caller, "on");
    }
    EXPECT_EQ(Server(caller).data.size(), 10u);
    EXPECT_EQ(caller.peer->data.size(), 10u);
    ASSERT_OK(caller.peer->ice.Restart(
        network_.now(), Credentials::Generate(network_.random())));
    Exchange(caller);
    Candidate candidate;
    candidate.foundation = "1";
    candidate.priority = Priority(CandidateType::kHost, 65535);
    candidate.address = kServer;
    caller.peer->ice.AddRemoteCandidate(network_.now(), candidate);
    network_.RunFor(absl::Seconds(1));
    EXPECT_TRUE(Connected(caller));
    EXPECT_NE(Server(caller).ice.agent().local_credentials(), before);
    Talk(caller, "after");
    EXPECT_EQ(Server(caller).data.size(), 11u);
    network_.RunFor(absl::Minutes(1));
    EXPECT_TRUE(Connected(caller));
  }
}

// S1 for a mux: nothing that is not authenticated succeeds, changes a state or
// takes a path.
TEST_F(MuxSimTest, S1WhatIsNotAuthenticatedChangesNothing) {
  for (const bool lite : {false, true}) {
    Caller& caller = CallFrom(lite ? 2 : 1, {.lite = lite});
    ASSERT_TRUE(Connect(caller));
    network_.RunFor(absl::Seconds(10));
    Peer& server = Server(caller);
    const std::string ours = server.ice.agent().local_credentials().ufrag;
    const std::string theirs =
        caller.peer->ice.agent().local_credentials().ufrag;
    const std::string password =
        server.ice.agent().local_credentials().password;
    const Path path = *server.ice.selected_path();
    const size_t paths = server_.mux.paths();
    const TransportAddress unknown = Client(lite ? 101 : 100);
    const sim::HostId stranger =
        network_.AddHost("stranger", {sim::kInternet, {unknown.ip}});
    int answers = 0;
    network_.Listen(stranger, unknown, [&](const Datagram&) { ++answers; });
    const std::vector<std::vector<uint8_t>> wrong = {
        Forged(absl::StrCat(ours, ":", theirs), ""),
        Forged(absl::StrCat(ours, ":", theirs), "wrongpasswordwrongpassword"),
        Forged(absl::StrCat("strange1:", theirs), password),
        Forged(absl::StrCat(ours, ":strange1"), password),
        Forged(absl::StrCat(theirs, ":", ours), password),
    };
    for (const auto& bytes : wrong) {
      // From a stranger, and as if from the peer.
      for (const TransportAddress& from : {unknown, path.remote}) {
        Spoof(from, bytes, absl::Milliseconds(100));
      }
    }
    EXPECT_EQ(answers, 0);
    EXPECT_EQ(server_.mux.paths(), paths);
    EXPECT_EQ(server.ice.selected_path(), path);
    EXPECT_EQ(server.ice.agent().pairs().size(), 1u);
    EXPECT_TRUE(Connected(caller));
    // Nor does what is no STUN get beyond the mux (S5).
    const uint64_t handed = server_.handed;
    const uint64_t dropped = server_.mux.stats().drop_unknown_path;
    Spoof(unknown, AsBytes("\x16hello"), absl::ZeroDuration());
    EXPECT_EQ(server_.handed, handed);
    EXPECT_EQ(server_.mux.stats().drop_unknown_path, dropped + 1);
  }
}

// A recorded check, sent again from the address of another peer, costs that
// one nothing.
TEST_F(MuxSimTest, AReplayTakesNoPathOfAnotherPeer) {
  Caller& victim = CallFrom(1);
  ASSERT_TRUE(Connect(victim));
  std::vector<std::vector<uint8_t>> recorded;
  network_.set_filter([&](const Datagram& d) {
    if (d.path.local == Client(2) && d.path.remote == kServer) {
      recorded.emplace_back(d.bytes.begin(), d.bytes.end());
    }
    return true;
  });
  Caller& other = CallFrom(2);
  ASSERT_TRUE(Connect(other));
  ASSERT_FALSE(recorded.empty());
  const Path path{kServer, Client(1)};
  uint64_t replayed = 0;
  for (const auto& bytes : recorded) {
    const uint64_t named = Server(other).ice.agent().stats().requests_received;
    Spoof(Client(1), bytes, absl::Milliseconds(300));
    replayed += Server(other).ice.agent().stats().requests_received - named;
    EXPECT_EQ(server_.mux.Owner(path), victim.at);
  }
  EXPECT_GT(replayed, 0u);
  Talk(victim, "still mine");
  EXPECT_EQ(Server(victim).data.size(), 1u);
  EXPECT_TRUE(Connected(victim));
}

// S9: who tries ufrags sees no difference between one that is there and one
// that is not.
TEST_F(MuxSimTest, S9NobodyLearnsWhichUfragsThereAre) {
  Caller& caller = CallFrom(1);
  ASSERT_TRUE(Connect(caller));
  network_.RunFor(absl::Seconds(10));
  const std::string ours = Server(caller).ice.agent().local_credentials().ufrag;
  const sim::HostId stranger =
      network_.AddHost("stranger", {sim::kInternet, {Client(100).ip}});
  int answers = 0;
  network_.Listen(stranger, Client(100), [&](const Datagram&) { ++answers; });
  const uint64_t named = server_.mux.stats().by_ufrag;
  for (int i = 0; i < 100; ++i) {
    network_.Send(stranger,
                  {{Client(100), kServer},
                   Forged(ours + ":guess", "apasswordapassword12345")});
    network_.Send(stranger, {{Client(100), kServer},
                             Forged("guess123:x", "apasswordapassword12345")});
    network_.RunFor(absl::Milliseconds(1));
  }
  network_.RunFor(absl::Seconds(3));
  EXPECT_EQ(answers, 0);
  // What was sent did come, and the one half of it to an agent.
  EXPECT_GE(server_.mux.stats().by_ufrag, named + 100);
  EXPECT_EQ(server_.mux.stats().drop_unknown_ufrag, 100u);
}

// S10: live agents do not notice.
TEST_F(MuxSimTest, S10AFloodOfUnknownUfragsReachesNoAgent) {
  std::vector<Caller*> callers;
  for (uint8_t n = 1; n <= 20; ++n) callers.push_back(&CallFrom(n));
  network_.RunFor(absl::Seconds(3));
  const sim::HostId stranger =
      network_.AddHost("stranger", {sim::kInternet, {Client(100).ip}});
  const uint64_t timeouts = server_.timeouts;
  const uint64_t handed = server_.handed;
  const auto bytes = Forged("guess123:x", "apasswordapassword12345");
  for (uint16_t i = 0; i < 50'000; ++i) {
    network_.Send(stranger, {{Client(100, i), kServer}, bytes});
  }
  network_.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(server_.mux.stats().drop_unknown_ufrag, 50'000u);
  EXPECT_LE(server_.handed - handed, 20u);  // Consent goes on.
  EXPECT_LE(server_.timeouts - timeouts, 20u);
  EXPECT_EQ(server_.mux.paths(), 20u);
  network_.RunFor(absl::Minutes(1));
  for (const Caller* caller : callers) EXPECT_TRUE(Connected(*caller));
}

}  // namespace
}  // namespace kyuu::ice
