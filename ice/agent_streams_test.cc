// ICE over TCP (RFC 6544): two transports between which datagrams may be
// blocked, and connections take a round trip.

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/testing/agent_fixture.h"
#include "ice/transport.h"

namespace kyuu::ice {
namespace {

using testing::AgentTest;
using testing::At;
using testing::Bytes;
using testing::ControllingAgentTest;
using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kDelay = absl::Milliseconds(25);  // One way.

struct Side {
  Side(Role role, uint64_t seed)
      : random(seed), ice(role, Credentials::Generate(random), random) {}

  SeededRandom random;
  IceTransport ice;
  uint16_t next_port = 50'000;
  std::map<StreamId, Path> streams;  // That are connected.
  std::set<StreamId> unwanted;
  std::vector<Bytes> data;
  std::vector<AgentState> states;
};

// What a side offers over TCP.
struct Use {
  bool active;
  uint16_t passive_port;
  uint16_t so_port = 0;
};
constexpr Use kBoth{true, 3000};
constexpr Use kActiveOnly{true, 0};
constexpr Use kPassiveOnly{false, 3000};
constexpr Use kSimultaneous{false, 0, 4000};

// Two sides and what lies between them.
class World : public ::testing::Test {
 protected:
  World() : a_(Role::kControlling, 1), b_(Role::kControlled, 2) {}

  void Begin(Use a, Use b) {
    EXPECT_OK(a_.ice.AddHost(now_, {.address = At("192.0.2.1:1"),
                                    .kind = InterfaceKind::kEthernet,
                                    .tcp_active = a.active,
                                    .tcp_port = a.passive_port,
                                    .tcp_so_port = a.so_port}));
    EXPECT_OK(b_.ice.AddHost(now_, {.address = At("192.0.2.2:2"),
                                    .kind = InterfaceKind::kEthernet,
                                    .tcp_active = b.active,
                                    .tcp_port = b.passive_port,
                                    .tcp_so_port = b.so_port}));
    EXPECT_OK(
        a_.ice.SetRemoteCredentials(now_, b_.ice.agent().local_credentials()));
    EXPECT_OK(
        b_.ice.SetRemoteCredentials(now_, a_.ice.agent().local_credentials()));
    a_.ice.Gather(now_);
    b_.ice.Gather(now_);
    Settle();
  }

  // Everything until `duration` has passed.
  void Run(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    Settle();
    while (true) {
      absl::Time next = std::min(a_.ice.NextTimeout(), b_.ice.NextTimeout());
      if (!queue_.empty()) next = std::min(next, queue_.begin()->first);
      if (next > end) break;
      now_ = std::max(now_, next);
      while (!queue_.empty() && queue_.begin()->first <= now_) {
        const std::function<void()> what = queue_.begin()->second;
        queue_.erase(queue_.begin());
        what();
      }
      a_.ice.HandleTimeout(now_);
      b_.ice.HandleTimeout(now_);
      Settle();
    }
    now_ = end;
  }
  Side& Other(Side& side) { return &side == &a_ ? b_ : a_; }

  // What a side has to say, until both have said it.
  void Settle() {
    for (Side* side : {&a_, &b_}) {
      Drain(*side);
      std::array<uint8_t, 1500> buffer;
      while (auto datagram =
                 side->ice.PollTransmit(now_, absl::MakeSpan(buffer))) {
        Transmit(*side, *datagram);
      }
      Drain(*side);
    }
  }
  void Transmit(Side& from, const Datagram& datagram) {
    const Path& path = datagram.path;
    if (path.transport == Transport::kUdp && udp_blocked_) return;
    if (path.transport == Transport::kTcp && !IsConnected(from, path)) {
      ++sent_to_nobody_;
      return;
    }
    Bytes bytes(datagram.bytes.begin(), datagram.bytes.end());
    Later([this, &from, path, bytes] {
      Side& to = Other(from);
      const Path back{path.remote, path.local, path.transport};
      if (path.transport == Transport::kTcp && !IsConnected(to, back)) return;
      if (auto payload = to.ice.HandlePacket(now_, {back, bytes})) {
        to.data.emplace_back(payload->bytes.begin(), payload->bytes.end());
      }
    });
  }
  static bool IsConnected(const Side& side, const Path& path) {
    return std::any_of(side.streams.begin(), side.streams.end(),
                       [&](const auto& s) { return s.second == path; });
  }
  void Later(std::function<void()> what, absl::Duration delay = kDelay) {
    queue_.emplace(now_ + delay, std::move(what));
  }

  void Drain(Side& side) {
    while (auto event = side.ice.PollEvent()) {
      if (auto* found = std::get_if<Gatherer::CandidateFound>(&*event)) {
        Side& other = Other(side);
        const std::string line = found->candidate.ToString();
        if (udp_hidden_ && absl::StrContains(line, " udp ")) continue;
        other.ice.AddRemoteCandidate(now_, *Candidate::Parse(line));
      } else if (auto* wanted = std::get_if<PeerStreamWanted>(&*event)) {
        Connect(side, *wanted);
      } else if (auto* gone = std::get_if<StreamUnwanted>(&*event)) {
        side.unwanted.insert(gone->id);
        End(side, gone->id);
      } else if (auto* state = std::get_if<StateChanged>(&*event)) {
        side.states.push_back(state->state);
      }
    }
  }
  // A round trip for the one who connects, and half of it for the other.
  void Connect(Side& side, const PeerStreamWanted& wanted) {
    ++connects_;
    if (wanted.local_port != 0) return ConnectFrom(side, wanted);
    const Path path{
        {wanted.local, side.next_port++}, wanted.remote, Transport::kTcp};
    if (tcp_blocked_) return;
    if (tcp_refused_) {
      return Later(
          [this, &side, wanted] {
            side.ice.StreamEnded(now_, wanted.id,
                                 absl::UnavailableError("refused"));
          },
          2 * kDelay);
    }
    Later([this, &side, path] {
      const Path back{path.remote, path.local, Transport::kTcp};
      if (auto id = Other(side).ice.StreamAccepted(now_, back)) {
        Other(side).streams[*id] = back;
      }
    });
    Later(
        [this, &side, wanted, path] {
          if (side.unwanted.contains(wanted.id)) return;
          side.streams[wanted.id] = path;
          side.ice.StreamConnected(now_, wanted.id, path.local);
        },
        2 * kDelay);
  }
  // Simultaneous opening: who connects waits for what the other does, which is
  // to connect too, or (`so_accepts_early_`) to accept.
  void ConnectFrom(Side& side, const PeerStreamWanted& wanted) {
    if (so_refusals_ > 0) {
      --so_refusals_;
      return Later([this, &side, id = wanted.id] {
        side.ice.StreamEnded(now_, id, absl::UnavailableError("refused"));
      });
    }
    const Path path{
        {wanted.local, wanted.local_port}, wanted.remote, Transport::kTcp};
    connecting_[&side] = {wanted.id, path};
    Later([this, &side, id = wanted.id, path] {
      Side& other = Other(side);
      const Path back{path.remote, path.local, path.transport};
      if (so_accepts_early_ && connecting_.contains(&other)) {
        so_accepts_early_ = false;
        connecting_.erase(&other);
        if (auto theirs = other.ice.StreamAccepted(now_, back)) {
          other.streams[*theirs] = back;
        }
      }
      const auto theirs = connecting_.find(&other);
      if (theirs == connecting_.end() && !IsConnected(other, back)) return;
      Later([this, &side, id, path] {
        if (side.unwanted.contains(id)) return;
        side.streams[id] = path;
        connecting_.erase(&side);
        side.ice.StreamConnected(now_, id, path.local);
      });
    });
  }
  // One side has closed; the other learns of it.
  void End(Side& side, StreamId id) {
    const auto it = side.streams.find(id);
    if (it == side.streams.end()) return;
    const Path path = it->second;
    side.streams.erase(it);
    Later([this, &side, path] {
      Side& other = Other(side);
      for (const auto& [theirs, back] : other.streams) {
        if (back != Path{path.remote, path.local, path.transport}) continue;
        const StreamId ended = theirs;
        other.streams.erase(ended);
        return other.ice.StreamEnded(now_, ended, absl::OkStatus());
      }
    });
  }
  // The network resets every connection.
  void Reset() {
    for (Side* side : {&a_, &b_}) {
      for (const auto& [id, path] : std::exchange(side->streams, {})) {
        side->ice.StreamEnded(now_, id, absl::AbortedError("reset"));
      }
    }
    Settle();
  }
  void Send(Side& side, const Bytes& bytes) {
    std::array<uint8_t, 1500> buffer;
    if (auto d = side.ice.Send(now_, bytes, absl::MakeSpan(buffer))) {
      Transmit(side, *d);
    }
  }
  void ExpectData() {
    Send(a_, {20, 1});
    Send(b_, {20, 2});
    Run(absl::Seconds(1));
    ASSERT_THAT(a_.data, SizeIs(1));
    ASSERT_THAT(b_.data, SizeIs(1));
    EXPECT_EQ(a_.data[0], (Bytes{20, 2}));
    EXPECT_EQ(b_.data[0], (Bytes{20, 1}));
    a_.data.clear();
    b_.data.clear();
  }
  static std::optional<Transport> Uses(const Side& side) {
    const auto path = side.ice.selected_path();
    return path ? std::optional(path->transport) : std::nullopt;
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  bool udp_blocked_ = false;
  bool udp_hidden_ = false;  // UDP candidates are not told.
  bool tcp_blocked_ = false;
  bool tcp_refused_ = false;
  bool so_accepts_early_ = false;
  int so_refusals_ = 0;  // To come.
  // What is being opened from a port that is named, by side.
  std::map<const Side*, std::pair<StreamId, Path>> connecting_;
  int connects_ = 0;
  int sent_to_nobody_ = 0;
  Side a_, b_;
  std::multimap<absl::Time, std::function<void()>> queue_;
};

TEST_F(World, WhereDatagramsDoNotPassAConnectionIsThePath) {
  udp_blocked_ = true;
  Begin(kBoth, kBoth);
  // Ta for two pairs, a round trip to connect, and one for the check.
  Run(absl::Milliseconds(250));
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  EXPECT_EQ(Uses(b_), Transport::kTcp);
  Run(absl::Seconds(1));
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kCompleted);
  EXPECT_EQ(b_.ice.agent().state(), AgentState::kCompleted);
  ExpectData();
  EXPECT_EQ(sent_to_nobody_, 0);
}

// Firewalls let connections out and not in; either side may be behind one.
TEST_F(World, EitherSideMayBeTheOneThatConnects) {
  udp_blocked_ = true;
  Begin(kActiveOnly, kPassiveOnly);
  Run(absl::Seconds(2));
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  ExpectData();
  EXPECT_EQ(connects_, 1);
}

TEST_F(World, TheControlledSideMayConnect) {
  udp_blocked_ = true;
  Begin(kPassiveOnly, kActiveOnly);
  Run(absl::Seconds(2));
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  EXPECT_EQ(Uses(b_), Transport::kTcp);
  ExpectData();
}

// Both connect, from the ports that they have named to each other.
TEST_F(World, BothSidesMayOpenAtOnce) {
  udp_blocked_ = true;
  Begin(kSimultaneous, kSimultaneous);
  Run(absl::Seconds(2));
  ASSERT_EQ(
      a_.ice.selected_path(),
      (Path{At("192.0.2.1:4000"), At("192.0.2.2:4000"), Transport::kTcp}));
  EXPECT_EQ(Uses(b_), Transport::kTcp);
  EXPECT_THAT(a_.streams, SizeIs(1));
  EXPECT_THAT(b_.streams, SizeIs(1));
  ExpectData();
  EXPECT_EQ(connects_, 2);
  EXPECT_EQ(sent_to_nobody_, 0);
  // And do so anew when the network takes it from them.
  Reset();
  EXPECT_EQ(a_.ice.selected_path(), std::nullopt);
  Run(absl::Minutes(1));
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  ExpectData();
}

// The connection of the side that was first is accepted by the other, whose own
// attempt between the same ports is given up.
TEST_F(World, WhoWasLateToOpenAccepts) {
  udp_blocked_ = true;
  so_accepts_early_ = true;
  Begin(kSimultaneous, kSimultaneous);
  Run(absl::Seconds(2));
  EXPECT_FALSE(so_accepts_early_);
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  EXPECT_EQ(Uses(b_), Transport::kTcp);
  EXPECT_EQ(a_.unwanted.size() + b_.unwanted.size(), 1u);
  EXPECT_THAT(a_.streams, SizeIs(1));
  EXPECT_THAT(b_.streams, SizeIs(1));
  ExpectData();
}

// Both seldom begin in the same moment: who is refused tries again.
TEST_F(World, ARefusalOfASimultaneousOpeningIsNotTheEnd) {
  udp_blocked_ = true;
  so_refusals_ = 4;
  Begin(kSimultaneous, kSimultaneous);
  Run(absl::Seconds(3));
  EXPECT_EQ(connects_, 6);
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  EXPECT_EQ(Uses(b_), Transport::kTcp);
  ExpectData();
}

// Half a second after a refusal, then twice as long each time, for the ten
// seconds that one connection may take.
TEST_F(World, ASimultaneousOpeningIsTriedABoundedNumberOfTimes) {
  udp_hidden_ = true;
  so_refusals_ = 1000;
  Begin(kSimultaneous, kSimultaneous);
  Run(absl::Milliseconds(400));
  EXPECT_EQ(connects_, 2);
  Run(absl::Milliseconds(9'500));
  EXPECT_EQ(connects_, 10);
  EXPECT_EQ(a_.ice.agent().stats().streams_wanted, 5u);
  EXPECT_EQ(a_.ice.agent().stats().streams_failed, 5u);
  Run(absl::Minutes(5));
  EXPECT_EQ(connects_, 10);
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kFailed);
}

// RFC 6544 section 6.2: only with each other.
TEST_F(World, SimultaneousOpeningIsPairedWithItselfOnly) {
  udp_hidden_ = true;
  udp_blocked_ = true;
  Begin(kSimultaneous, kBoth);
  Run(absl::Minutes(1));
  EXPECT_EQ(connects_, 0);
  EXPECT_THAT(a_.ice.agent().pairs(), IsEmpty());
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kFailed);
}

// Two active sides have nobody to connect to.
TEST_F(World, TwoActiveSidesMakeNoPair) {
  udp_hidden_ = true;
  udp_blocked_ = true;
  Begin(kActiveOnly, kActiveOnly);
  Run(absl::Minutes(1));
  EXPECT_EQ(connects_, 0);
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kFailed);
  EXPECT_EQ(a_.ice.agent().stats().candidate_ignored_transport, 1u);
}

TEST_F(World, DatagramsArePreferredAndCostNoConnection) {
  Begin(kBoth, kBoth);
  Run(absl::Seconds(2));
  EXPECT_EQ(Uses(a_), Transport::kUdp);
  EXPECT_EQ(Uses(b_), Transport::kUdp);
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kCompleted);
  EXPECT_LE(connects_, 2);
  ExpectData();
  // What was connected all the same ends when nobody keeps it.
  Run(absl::Minutes(2));
  EXPECT_EQ(Uses(a_), Transport::kUdp);
}

TEST_F(World, ARefusedConnectionFailsItsPairAtOnce) {
  udp_blocked_ = true;
  tcp_refused_ = true;
  Begin(kBoth, kBoth);
  Run(absl::Seconds(2));
  EXPECT_EQ(a_.ice.agent().stats().streams_failed, 1u);
  EXPECT_EQ(a_.ice.agent().stats().streams_wanted, 1u);
  EXPECT_THAT(a_.unwanted, IsEmpty());
}

TEST_F(World, AConnectionThatNobodyAnswersIsGivenUp) {
  udp_blocked_ = true;
  tcp_blocked_ = true;
  Begin(kBoth, kBoth);
  Run(absl::Seconds(12));
  EXPECT_THAT(a_.unwanted, SizeIs(1));
  Run(absl::Minutes(1));
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kFailed);
}

// A reset is no word of the peer's: it is connected to again.
TEST_F(World, ALostConnectionIsMadeAgain) {
  udp_blocked_ = true;
  Begin(kBoth, kBoth);
  Run(absl::Seconds(2));
  ASSERT_EQ(Uses(a_), Transport::kTcp);
  Reset();
  EXPECT_EQ(a_.ice.selected_path(), std::nullopt);
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kDisconnected);
  Run(absl::Seconds(2));
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  EXPECT_EQ(Uses(b_), Transport::kTcp);
  ExpectData();
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kCompleted);
}

// More of them than there is room for candidates.
TEST_F(World, ThereIsRoomForAConnectionHoweverManyWereLost) {
  udp_blocked_ = true;
  Begin(kActiveOnly, kPassiveOnly);
  for (int i = 0; i < 300; ++i) {
    Run(absl::Seconds(2));
    ASSERT_EQ(Uses(a_), Transport::kTcp) << i;
    ASSERT_EQ(Uses(b_), Transport::kTcp) << i;
    Reset();
  }
  EXPECT_LE(b_.ice.agent().pairs().size(), 4u);
}

// A path that comes and goes is no reason to connect for ever to where nobody
// answers.
TEST_F(World, WhereNobodyListensIsConnectedToABoundedNumberOfTimes) {
  tcp_refused_ = true;
  Begin(kActiveOnly, kPassiveOnly);
  for (int i = 0; i < 60; ++i) {
    udp_blocked_ = true;
    Run(absl::Seconds(15));
    udp_blocked_ = false;
    Run(absl::Seconds(15));
    ASSERT_EQ(Uses(a_), Transport::kUdp) << i;
  }
  EXPECT_GE(a_.ice.agent().stats().streams_wanted, 5u);
  EXPECT_LE(a_.ice.agent().stats().streams_wanted, 14u);
}

TEST_F(World, TheEndIsTheEndOfItsConnections) {
  udp_blocked_ = true;
  Begin(kActiveOnly, kPassiveOnly);
  Run(absl::Seconds(2));
  ASSERT_FALSE(a_.streams.empty());
  a_.ice.Close(now_);
  Settle();
  EXPECT_THAT(a_.streams, IsEmpty());
  Run(absl::Seconds(1));
  EXPECT_THAT(b_.streams, IsEmpty());
}

// The path fails over to a connection, and back when datagrams pass again.
TEST_F(World, AFirewallThatComesLaterIsSurvived) {
  Begin(kBoth, kBoth);
  Run(absl::Seconds(2));
  ASSERT_EQ(Uses(a_), Transport::kUdp);
  udp_blocked_ = true;
  Run(absl::Seconds(20));
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  EXPECT_EQ(Uses(b_), Transport::kTcp);
  ExpectData();
}

TEST_F(World, ARestartMakesConnectionsOfItsOwn) {
  udp_blocked_ = true;
  Begin(kBoth, kBoth);
  Run(absl::Seconds(2));
  const size_t before = a_.streams.size();
  ASSERT_EQ(Uses(a_), Transport::kTcp);
  for (Side* side : {&a_, &b_}) {
    EXPECT_OK(side->ice.Restart(now_, Credentials::Generate(side->random)));
  }
  for (Side* side : {&a_, &b_}) {
    EXPECT_OK(side->ice.SetRemoteCredentials(
        now_, Other(*side).ice.agent().local_credentials()));
    for (const Candidate& candidate : Other(*side).ice.candidates()) {
      side->ice.AddRemoteCandidate(now_,
                                   *Candidate::Parse(candidate.ToString()));
    }
  }
  // The old one carries data until the new one does.
  EXPECT_EQ(Uses(a_), Transport::kTcp);
  Run(absl::Minutes(1));
  EXPECT_EQ(a_.ice.agent().state(), AgentState::kCompleted);
  ExpectData();
  EXPECT_LE(a_.streams.size(), before);
}

// The address goes, and with it what was connected from there.
TEST_F(World, AnAddressThatGoesTakesItsConnectionsAlong) {
  udp_blocked_ = true;
  Begin(kBoth, kBoth);
  Run(absl::Seconds(2));
  ASSERT_EQ(Uses(a_), Transport::kTcp);
  ASSERT_THAT(a_.ice.candidates(), SizeIs(3));
  EXPECT_OK(a_.ice.RemoveHost(now_, At("192.0.2.1:1")));
  Settle();
  EXPECT_THAT(a_.ice.candidates(), IsEmpty());
  EXPECT_EQ(a_.ice.selected_path(), std::nullopt);
  EXPECT_THAT(a_.streams, IsEmpty());
}

// --- One agent ---

Candidate Tcp(absl::string_view address, TcpType type) {
  Candidate candidate;
  candidate.foundation = "t";
  candidate.transport = Transport::kTcp;
  candidate.tcp_type = type;
  candidate.priority = TcpPriority(CandidateType::kHost, type, 65535);
  candidate.address = At(address);
  return candidate;
}

// Below those of the web, a port may be that of a service which takes a check
// for a command.
TEST_F(AgentTest, APeerCannotMakeUsConnectToServices) {
  ASSERT_OK(
      agent_.AddLocalCandidate(now_, Tcp("192.0.2.1:9", TcpType::kActive)));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, testing::kTheirs));
  AddRemote("1 1 tcp 1000 192.0.2.2 25 typ host tcptype passive");
  EXPECT_EQ(agent_.stats().candidate_ignored_address, 1u);
  EXPECT_THAT(agent_.pairs(), IsEmpty());
  AddRemote("1 1 tcp 1000 192.0.2.2 443 typ host tcptype passive");
  EXPECT_THAT(agent_.pairs(), SizeIs(1));
}

TEST_F(AgentTest, TcpAndUdpOfOneAddressAreTwo) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(
      agent_.AddLocalCandidate(now_, Tcp("192.0.2.1:1", TcpType::kPassive)));
  ASSERT_OK(
      agent_.AddLocalCandidate(now_, Tcp("192.0.2.1:9", TcpType::kActive)));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, testing::kTheirs));
  AddRemote("1 1 udp 2130706431 192.0.2.2 2000 typ host");
  AddRemote("1 1 tcp 1000 192.0.2.2 2000 typ host tcptype passive");
  ASSERT_THAT(agent_.pairs(), SizeIs(2));
  EXPECT_EQ(agent_.pairs()[0].path.transport, Transport::kUdp);
  EXPECT_EQ(agent_.pairs()[1].path.transport, Transport::kTcp);
}

TEST_F(AgentTest, TwoTypesOfTcpOnOnePortOfThePeerAreTwo) {
  ASSERT_OK(
      agent_.AddLocalCandidate(now_, Tcp("192.0.2.1:9", TcpType::kActive)));
  ASSERT_OK(agent_.AddLocalCandidate(
      now_, Tcp("192.0.2.1:3000", TcpType::kSimultaneousOpen)));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, testing::kTheirs));
  AddRemote("1 1 tcp 1000 192.0.2.2 2000 typ host tcptype passive");
  AddRemote("2 1 tcp 900 192.0.2.2 2000 typ host tcptype so");
  EXPECT_THAT(agent_.pairs(), SizeIs(2));
}

TEST_F(AgentTest, WhatIsNoCandidateOfTcpIsRefused) {
  Candidate candidate = Tcp("192.0.2.1:9", TcpType::kSimultaneousOpen);
  candidate.tcp_type.reset();
  EXPECT_FALSE(agent_.AddLocalCandidate(now_, candidate).ok());
  candidate.transport = Transport::kUdp;
  candidate.tcp_type = TcpType::kPassive;
  EXPECT_FALSE(agent_.AddLocalCandidate(now_, candidate).ok());
}

class PassiveAgentTest : public AgentTest {
 protected:
  PassiveAgentTest() {
    EXPECT_OK(
        agent_.AddLocalCandidate(now_, Tcp("192.0.2.1:3", TcpType::kPassive)));
    EXPECT_OK(agent_.SetRemoteCredentials(now_, testing::kTheirs));
  }
  static Path From(uint16_t port) {
    return {At("192.0.2.1:3"),
            {IpAddress::V4(198, 51, 100, 1), port},
            Transport::kTcp};
  }
  std::vector<StreamId> Unwanted() {
    std::vector<StreamId> ids;
    while (auto event = agent_.PollEvent()) {
      if (auto* gone = std::get_if<StreamUnwanted>(&*event)) {
        ids.push_back(gone->id);
      }
    }
    return ids;
  }
};

// Who connects and does not say who he is has ten seconds.
TEST_F(PassiveAgentTest, AStrangersConnectionIsClosed) {
  const auto id = agent_.StreamAccepted(now_, From(1));
  ASSERT_TRUE(id);
  agent_.HandlePacket(
      now_, {From(1), Make({.username = "oursours:other", .controlling = 1})});
  Pass(absl::Milliseconds(9'900));
  EXPECT_THAT(Unwanted(), IsEmpty());
  Pass(absl::Milliseconds(200));
  EXPECT_EQ(Unwanted(), std::vector<StreamId>{*id});
  EXPECT_THAT(agent_.pairs(), IsEmpty());
}

TEST_F(PassiveAgentTest, StrangersMakeRoomForEachOtherAndForThePeer) {
  const auto peers = agent_.StreamAccepted(now_, From(1));
  agent_.HandlePacket(now_, {From(1), Make({.controlling = 1})});
  std::vector<StreamId> ids;
  for (uint16_t i = 0; i < 15; ++i) {
    ids.push_back(*agent_.StreamAccepted(now_, From(10 + i)));
  }
  EXPECT_THAT(Unwanted(), IsEmpty());
  const auto last = agent_.StreamAccepted(now_, From(99));
  ASSERT_TRUE(last);
  EXPECT_EQ(Unwanted(), std::vector<StreamId>{ids[0]});
  EXPECT_TRUE(agent_.IsKnownPath(From(1)));
  EXPECT_NE(*last, *peers);
}

TEST_F(PassiveAgentTest, AlwaysSixteenProvenOnesAtMost) {
  for (uint16_t i = 0; i < 16; ++i) {
    ASSERT_TRUE(agent_.StreamAccepted(now_, From(10 + i)));
    agent_.HandlePacket(now_, {From(10 + i), Make({.controlling = 1})});
  }
  EXPECT_EQ(agent_.StreamAccepted(now_, From(9)), std::nullopt);
  EXPECT_EQ(agent_.stats().stream_limit, 1u);
}

TEST_F(PassiveAgentTest, OnlyAPassiveAddressIsConnectedTo) {
  EXPECT_EQ(agent_.StreamAccepted(
                now_, {At("192.0.2.1:4"), At("192.0.2.2:1"), Transport::kTcp}),
            std::nullopt);
}

// A check on a stream is sent once, whatever becomes of it.
TEST_F(PassiveAgentTest, NothingIsSentAgainOnAStream) {
  ASSERT_TRUE(agent_.StreamAccepted(now_, From(1)));
  agent_.HandlePacket(now_, {From(1), Make({.controlling = 1})});
  // An answer, and a triggered check.
  EXPECT_EQ(Pass(absl::Seconds(39)), 2);
  EXPECT_THAT(Unwanted(), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(Unwanted(), SizeIs(1));
}

// The peer opened simultaneously, and we have accepted.
class SimultaneousAgentTest : public AgentTest {
 protected:
  SimultaneousAgentTest() {
    EXPECT_OK(agent_.AddLocalCandidate(
        now_, Tcp("192.0.2.1:3000", TcpType::kSimultaneousOpen)));
    EXPECT_OK(agent_.SetRemoteCredentials(now_, testing::kTheirs));
  }
  StreamId Accept(uint16_t port) {
    const Path path{At("192.0.2.1:3000"),
                    {IpAddress::V4(198, 51, 100, 1), port},
                    Transport::kTcp};
    const std::optional<StreamId> id = agent_.StreamAccepted(now_, path);
    EXPECT_TRUE(id);
    agent_.HandlePacket(now_, {path, Make({.controlling = 1})});
    return *id;
  }
  std::vector<PeerStreamWanted> Wanted() {
    std::vector<PeerStreamWanted> all;
    while (auto event = agent_.PollEvent()) {
      if (auto* wanted = std::get_if<PeerStreamWanted>(&*event)) {
        all.push_back(*wanted);
      }
    }
    return all;
  }
};

TEST_F(SimultaneousAgentTest, ACheckMayComeBeforeTheCandidateItIsFrom) {
  const StreamId id = Accept(4000);
  AddRemote("1 1 tcp 1000 198.51.100.1 4000 typ host tcptype so");
  ASSERT_THAT(agent_.pairs(), SizeIs(1));
  // The pair of what was told outlives its connection.
  agent_.StreamEnded(now_, id);
  EXPECT_THAT(agent_.pairs(), SizeIs(1));
}

// The connection of a port that nobody told is the whole of its pair, and what
// is lost leaves room, however often.
TEST_F(SimultaneousAgentTest, WhatNobodyToldIsNotConnectedTo) {
  for (uint16_t i = 0; i < 300; ++i) {
    agent_.StreamEnded(now_, Accept(4000 + i));
    ASSERT_THAT(agent_.pairs(), IsEmpty()) << i;
    Pass(absl::Seconds(1));
  }
  EXPECT_EQ(agent_.stats().candidate_limit, 0u);
  EXPECT_THAT(Wanted(), IsEmpty());
}

// While a further attempt of ours waits for its time, the peer's is taken.
TEST_F(SimultaneousAgentTest, WhoIsConnectedToTriesNoMore) {
  AddRemote("1 1 tcp 1000 198.51.100.1 4000 typ host tcptype so");
  Pass(absl::Milliseconds(100));
  const std::vector<PeerStreamWanted> wanted = Wanted();
  ASSERT_THAT(wanted, SizeIs(1));
  EXPECT_EQ(wanted[0].local_port, 3000);
  EXPECT_EQ(wanted[0].remote, At("198.51.100.1:4000"));
  agent_.StreamEnded(now_, wanted[0].id);
  Accept(4000);
  // An answer, and a check of our own.
  EXPECT_EQ(Pass(absl::Seconds(9)), 2);
  EXPECT_THAT(Wanted(), IsEmpty());
}

TEST_F(ControllingAgentTest, NoMoreThanSixteenConnectionsAreMade) {
  ASSERT_OK(
      agent_.AddLocalCandidate(now_, Tcp("192.0.2.1:9", TcpType::kActive)));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, testing::kTheirs));
  for (int i = 0; i < 20; ++i) {
    AddRemote(absl::StrCat(i, " 1 tcp 1000 198.51.100.", i,
                           " 3000 typ host tcptype passive"));
  }
  Pass(absl::Seconds(5));
  EXPECT_EQ(agent_.stats().streams_wanted, 16u);
  EXPECT_EQ(agent_.stats().stream_limit, 4u);
}

}  // namespace
}  // namespace kyuu::ice
