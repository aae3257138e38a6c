#include "signaling/backplane/links.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::signaling {
namespace {

// Nodes over a network that loses, repeats, delays and so reorders packets.
class World {
 public:
  explicit World(uint64_t seed, LinksOptions options = {})
      : random_(seed), options_(options) {}

  void Start(uint64_t id) {
    nodes.erase(id);
    nodes.emplace(id, Links(options_, NodeId{id}));
  }
  void Run(absl::Duration time) {
    const absl::Time end = now + time;
    while (now < end) {
      now += absl::Milliseconds(10);
      for (auto& [id, links] : nodes) links.HandleTimeout(now);
      Pump();
      Deliver();
    }
  }
  void Pump() {
    for (auto& [id, links] : nodes) {
      while (auto packet = links.PollTransmit(now, {})) {
        for (auto& [other, l] : nodes) {
          if (packet->to != NodeId{} && packet->to != NodeId{other}) continue;
          Carry(id, other, packet->bytes);
        }
      }
      while (auto event = links.PollEvent()) Note(id, *std::move(event));
    }
  }
  void Carry(uint64_t from, uint64_t to, const std::string& bytes) {
    ++carried;
    if (is_down || cut == std::make_pair(from, to)) return;
    if (random_.Fraction() < loss) return;
    const int copies = random_.Fraction() < loss ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      on_the_way_.emplace(
          now + absl::Milliseconds(1 + random_.Below(loss > 0 ? 100 : 1)),
          std::make_pair(to, bytes));
    }
  }
  void Deliver() {
    while (!on_the_way_.empty() && on_the_way_.begin()->first <= now) {
      auto [to, bytes] = std::move(on_the_way_.begin()->second);
      on_the_way_.erase(on_the_way_.begin());
      if (nodes.contains(to)) nodes.at(to).HandlePacket(now, {{}, bytes});
      Pump();
    }
  }
  void Note(uint64_t id, Links::Event event) {
    if (const auto* up = std::get_if<NodeUp>(&event)) {
      absl::StrAppend(&log[id], "+", static_cast<uint64_t>(up->node), " ");
    } else if (const auto* lost = std::get_if<NodeLost>(&event)) {
      absl::StrAppend(&log[id], "-", static_cast<uint64_t>(lost->node), " ");
      got[id][static_cast<uint64_t>(lost->node)].push_back("lost");
    } else if (const auto* has = std::get_if<NodeHas>(&event)) {
      arrived[id][static_cast<uint64_t>(has->node)] = has->count;
    } else {
      auto& m = std::get<NodeMessage>(event);
      got[id][static_cast<uint64_t>(m.from)].push_back(std::move(m.message));
    }
  }

  absl::Time now = absl::FromUnixSeconds(1000);
  std::map<uint64_t, Links> nodes;
  std::map<uint64_t, std::string> log;  // "+2 -2 +2 "
  // By receiver and sender.
  std::map<uint64_t, std::map<uint64_t, std::vector<std::string>>> got;
  // By sender and receiver.
  std::map<uint64_t, std::map<uint64_t, uint64_t>> arrived;
  double loss = 0;
  uint64_t carried = 0;  // Packets, one for each receiver.
  bool is_down = false;
  std::optional<std::pair<uint64_t, uint64_t>> cut;  // One way only.

 private:
  SeededRandom random_;
  const LinksOptions options_;
  std::multimap<absl::Time, std::pair<uint64_t, std::string>> on_the_way_;
};

TEST(LinksTest, NodesFindEachOther) {
  World world(1);
  for (uint64_t id : {1, 2, 3}) world.Start(id);
  world.Run(absl::Milliseconds(100));
  EXPECT_EQ(world.log[1], "+2 +3 ");
  EXPECT_EQ(world.log[2], "+1 +3 ");
  EXPECT_EQ(world.log[3], "+1 +2 ");
  EXPECT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, "hello"));
  EXPECT_FALSE(world.nodes.at(1).Send(world.now, NodeId{9}, "hello"));
  world.Run(absl::Milliseconds(50));
  EXPECT_EQ(world.got[2][1], std::vector<std::string>{"hello"});
  EXPECT_TRUE(world.got[3].empty());
  EXPECT_EQ(world.arrived[1][2], 1u);
}

// Whoever is up has nothing to repeat, so the other one's repeated first word
// has to be answered again; and two that are up do not answer each other for
// ever.
TEST(LinksTest, TheAnswerToAFirstWordMayBeLost) {
  World world(1);
  for (uint64_t id : {1, 2}) world.Start(id);
  const auto is_up = [&](uint64_t id) {
    return world.nodes.at(id).IsUp(NodeId{3 - id});
  };
  // Their first words are on the way; what the first says to the other's is
  // lost.
  world.Run(absl::Milliseconds(20));
  world.cut = {1, 2};
  world.Run(absl::Seconds(2));
  world.cut.reset();
  ASSERT_TRUE(is_up(1));
  ASSERT_FALSE(is_up(2));
  world.Run(absl::Seconds(3));
  EXPECT_TRUE(is_up(1));
  EXPECT_TRUE(is_up(2));
  EXPECT_EQ(world.log[1], "+2 ");
  EXPECT_EQ(world.log[2], "+1 ");

  const uint64_t before = world.carried;
  world.Run(absl::Seconds(10));
  EXPECT_LE(world.carried - before, 2u * 2u * 11u);  // Signs of life, to all.
}

TEST(LinksTest, WhatIsSentArrivesOnceAndInOrder) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.Start(1);
    world.Start(2);
    world.Run(absl::Milliseconds(100));
    world.loss = 0.2;
    std::vector<std::string> there, back;
    for (int i = 0; i < 300; ++i) {
      there.push_back(absl::StrCat("there ", i));
      back.push_back(absl::StrCat("back ", i));
      ASSERT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, there.back()));
      ASSERT_TRUE(world.nodes.at(2).Send(world.now, NodeId{1}, back.back()));
      if (i % 3 == 0) world.Run(absl::Milliseconds(20));
    }
    world.Run(absl::Seconds(30));
    EXPECT_EQ(world.got[2][1], there);
    EXPECT_EQ(world.got[1][2], back);
    EXPECT_EQ(world.log[1], "+2 ");
    EXPECT_EQ(world.nodes.at(1).kept_bytes(), 0u);
  }
}

TEST(LinksTest, AShortOutageLosesNothing) {
  World world(1);
  world.Start(1);
  world.Start(2);
  world.Run(absl::Milliseconds(100));
  world.is_down = true;
  ASSERT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, "while it is down"));
  world.Run(absl::Seconds(5));
  EXPECT_TRUE(world.got[2].empty());
  world.is_down = false;
  for (auto& [id, links] : world.nodes) links.HandleReconnected(world.now);
  world.Run(absl::Milliseconds(50));
  EXPECT_EQ(world.got[2][1], std::vector<std::string>{"while it is down"});
  EXPECT_EQ(world.log[1], "+2 ");
}

TEST(LinksTest, ALongOneEndsLinksForBothAndTheyBeginAnew) {
  World world(1);
  world.Start(1);
  world.Start(2);
  world.Run(absl::Milliseconds(100));
  world.is_down = true;
  ASSERT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, "too late"));
  world.Run(absl::Seconds(10));
  EXPECT_EQ(world.log[1], "+2 -2 ");
  EXPECT_EQ(world.log[2], "+1 -1 ");
  EXPECT_FALSE(world.nodes.at(1).Send(world.now, NodeId{2}, "nobody"));
  world.is_down = false;
  world.Run(absl::Seconds(3));
  EXPECT_EQ(world.log[1], "+2 -2 +2 ");
  EXPECT_EQ(world.log[2], "+1 -1 +1 ");
  ASSERT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, "anew"));
  world.Run(absl::Milliseconds(50));
  EXPECT_EQ(world.got[2][1], (std::vector<std::string>{"lost", "anew"}));
}

// A node that is stopped and goes on later is one that was lost; it hears so.
TEST(LinksTest, OneThatWasTakenForDeadAndComesBackKnowsIt) {
  for (const bool deaf_only : {false, true}) {
    World world(1);
    world.Start(1);
    world.Start(2);
    world.Run(absl::Milliseconds(100));
    // Nothing of 1 arrives, but it hears.
    world.cut = {1, 2};
    world.Run(absl::Seconds(9));
    EXPECT_NE(world.log[2].find("-1"), std::string::npos);
    if (deaf_only) world.Run(absl::Seconds(30));
    world.cut.reset();
    world.Run(absl::Seconds(5));
    EXPECT_NE(world.log[1].find("-2 +2"), std::string::npos) << world.log[1];
    ASSERT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, "x"));
    ASSERT_TRUE(world.nodes.at(2).Send(world.now, NodeId{1}, "y"));
    world.Run(absl::Seconds(1));
    EXPECT_EQ(world.got[2][1].back(), "x");
    EXPECT_EQ(world.got[1][2].back(), "y");
  }
}

TEST(LinksTest, ADeadNodeIsNoticedInTime) {
  World world(1);
  world.Start(1);
  world.Start(2);
  world.Run(absl::Milliseconds(100));
  world.nodes.erase(2);
  world.Run(absl::Seconds(9));
  EXPECT_EQ(world.log[1], "+2 -2 ");
  EXPECT_EQ(world.nodes.at(1).node_count(), 0u);
}

TEST(LinksTest, OneThatLeavesIsGoneAtOnce) {
  World world(1);
  world.Start(1);
  world.Start(2);
  world.Run(absl::Milliseconds(100));
  world.nodes.at(2).Leave();
  world.Run(absl::Milliseconds(100));
  EXPECT_EQ(world.log[1], "+2 -2 ");
  world.Run(absl::Seconds(20));
  EXPECT_EQ(world.log[1], "+2 -2 ");
}

TEST(LinksTest, ManyNodesManyStarts) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.loss = 0.1;
    SeededRandom random(seed);
    for (uint64_t id = 1; id <= 4; ++id) world.Start(id);
    for (int i = 0; i < 40; ++i) {
      world.is_down = random.Below(8) == 0;
      world.Run(absl::Milliseconds(random.Below(4000)));
      for (auto& [id, links] : world.nodes) {
        for (uint64_t other = 1; other <= 4; ++other) {
          // Not all are up.
          (void)links.Send(world.now, NodeId{other}, absl::StrCat(i));
        }
      }
    }
    world.is_down = false;
    world.Run(absl::Seconds(30));
    for (auto& [id, links] : world.nodes) {
      EXPECT_EQ(links.node_count(), 3u);
      EXPECT_EQ(links.kept_bytes(), 0u);
      // Each link's numbers rise, without a gap, until it is lost.
      for (const auto& [from, messages] : world.got[id]) {
        int last = -1;
        for (const std::string& m : messages) {
          if (m == "lost") {
            last = -1;
            continue;
          }
          EXPECT_GT(std::stoi(m), last);
          last = std::stoi(m);
        }
      }
    }
  }
}

TEST(LinksTest, TooMuchForOneNodeEndsItsLink) {
  LinksOptions options;
  options.max_kept_bytes = 10000;
  World world(1, options);
  world.Start(1);
  world.Start(2);
  world.Run(absl::Milliseconds(100));
  world.is_down = true;
  int sent = 0;
  while (world.nodes.at(1).Send(world.now, NodeId{2}, std::string(936, 'x'))) {
    ++sent;
  }
  EXPECT_EQ(sent, 10);
  EXPECT_EQ(world.nodes.at(1).stats().nodes_overflown, 1u);
  EXPECT_EQ(world.nodes.at(1).kept_bytes(), 0u);
  world.is_down = false;
  world.Run(absl::Seconds(3));
  EXPECT_EQ(world.log[1], "+2 -2 +2 ");
  EXPECT_EQ(world.log[2], "+1 -1 +1 ");
}

TEST(LinksTest, TheWindowIsKept) {
  LinksOptions options;
  options.window_bytes = 500;
  options.packet_bytes = 200;
  World world(1, options);
  world.Start(1);
  world.Start(2);
  world.Run(absl::Milliseconds(100));
  world.is_down = true;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, "x"));
  }
  size_t bytes = 0;
  while (auto packet = world.nodes.at(1).PollTransmit(world.now, {})) {
    bytes += packet->bytes.size();
  }
  EXPECT_LT(bytes, 1000u);
  world.is_down = false;
  world.Run(absl::Seconds(2));
  EXPECT_EQ(world.got[2][1].size(), 100u);
}

TEST(LinksTest, PlacesAreBounded) {
  LinksOptions options;
  options.max_nodes = 1;
  World world(1, options);
  for (uint64_t id : {1, 2, 3}) world.Start(id);
  world.Run(absl::Milliseconds(100));
  EXPECT_GT(world.nodes.at(1).stats().too_many_nodes, 0u);
  EXPECT_EQ(world.nodes.at(1).node_count(), 1u);
}

// What somebody may write who reaches the pub/sub, and is no node.
std::string Forged(uint64_t from, uint64_t to, uint64_t epoch, uint64_t ours,
                   const std::vector<std::string>& messages) {
  std::string bytes(1000, '\0');
  Writer w(
      absl::MakeSpan(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()));
  w.Text(absl::string_view("kl\x01\x03", 4));
  for (const uint64_t field : {from, to, epoch, ours}) w.U64(field);
  w.U64(0);
  w.U64(1);
  w.U16(static_cast<uint16_t>(messages.size()));
  for (const std::string& message : messages) {
    w.U32(static_cast<uint32_t>(message.size()));
    w.Text(message);
  }
  bytes.resize(w.size());
  return bytes;
}

TEST(LinksTest, AStrangerWhoKnowsNoEpochIsNotHeard) {
  World world(1);
  for (uint64_t id : {1, 2}) world.Start(id);
  world.Run(absl::Seconds(1));
  ASSERT_TRUE(world.nodes.at(1).IsUp(NodeId{2}));
  Links& victim = world.nodes.at(1);
  for (const uint64_t ours : {0, 7}) {
    victim.HandlePacket(world.now, {{}, Forged(2, 1, 1, ours, {"forged"})});
  }
  // Of a node that there is not.
  victim.HandlePacket(world.now, {{}, Forged(9, 1, 1, 1, {"forged"})});
  world.Run(absl::Seconds(1));
  EXPECT_TRUE(world.got[1].empty());
  EXPECT_EQ(world.log[1], "+2 ");
  // And who says that a node leaves ends a link, but it begins anew.
  victim.HandlePacket(world.now,
                      {{}, std::string("kl\x01\x02\0\0\0\0\0\0\0\x02", 12)});
  world.Run(absl::Seconds(3));
  EXPECT_EQ(world.log[1], "+2 -2 +2 ");
  EXPECT_EQ(world.log[2], "+1 -1 +1 ");
}

TEST(LinksTest, AForgedEpochCutsNobodyOffForEver) {
  // Of one who knows nothing, and of one who reads along: `ours` is then right.
  for (const uint64_t ours : {0, 1}) {
    World world(1);
    for (uint64_t id : {1, 2}) world.Start(id);
    world.Run(absl::Seconds(1));
    ASSERT_TRUE(world.nodes.at(1).IsUp(NodeId{2}));
    const uint64_t last = uint64_t{1} << 63;
    // The second one is of the link that the first one has begun.
    for (const uint64_t own : {ours, ours + 1}) {
      world.nodes.at(1).HandlePacket(world.now,
                                     {{}, Forged(2, 1, last, own, {})});
    }
    world.Run(absl::Seconds(20));
    ASSERT_TRUE(world.nodes.at(1).IsUp(NodeId{2})) << ours;
    ASSERT_TRUE(world.nodes.at(2).IsUp(NodeId{1})) << ours;
    EXPECT_TRUE(world.nodes.at(1).Send(world.now, NodeId{2}, "hello"));
    EXPECT_TRUE(world.nodes.at(2).Send(world.now, NodeId{1}, "and back"));
    world.Run(absl::Seconds(1));
    EXPECT_EQ(world.got[2][1].back(), "hello");
    EXPECT_EQ(world.got[1][2].back(), "and back");
  }
}

TEST(LinksTest, NodesThatAreMadeUpKeepARealOneOutForATimeOnly) {
  LinksOptions options;
  options.max_nodes = 4;
  World world(1, options);
  world.Start(1);
  for (uint64_t id = 100; id < 1100; ++id) {
    world.nodes.at(1).HandlePacket(world.now, {{}, Forged(id, 1, 1, 0, {})});
  }
  EXPECT_EQ(world.nodes.at(1).stats().too_many_nodes, 996u);
  world.Start(2);
  world.Run(absl::Seconds(5));
  EXPECT_FALSE(world.nodes.at(1).IsUp(NodeId{2}));
  world.Run(absl::Seconds(5));
  EXPECT_TRUE(world.nodes.at(1).IsUp(NodeId{2}));
  EXPECT_TRUE(world.nodes.at(2).IsUp(NodeId{1}));
}

TEST(LinksTest, WhatIsNoPacketIsCounted) {
  Links links({}, NodeId{1});
  const absl::Time now = absl::FromUnixSeconds(1000);
  Links other({}, NodeId{2});
  const std::string alive = other.PollTransmit(now, {})->bytes;
  for (size_t size = 0; size < alive.size(); ++size) {
    links.HandlePacket(now, {{}, alive.substr(0, size)});
  }
  links.HandlePacket(now, {{}, alive + "x"});
  std::string unknown = alive;
  unknown[3] = 9;
  links.HandlePacket(now, {{}, unknown});
  EXPECT_EQ(links.stats().malformed, alive.size() + 2);
  EXPECT_FALSE(links.PollEvent().has_value());
}

}  // namespace
}  // namespace kyuu::signaling
