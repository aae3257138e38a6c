// Random lives of two sides that open, use and close channels: nothing is lost,
// misplaced, doubled or left over. For more of them than the test has time for:
//
//   KYUU_SOAK_SEEDS=14000 bazel run --config=opt //sctp:data_channel_soak_test

#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/data_channel.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

// What both sides know of a channel, by its label.
struct Life {
  ChannelConfig config;
  ChannelId id[2] = {};
  bool known[2] = {};
  bool closed_by[2] = {};
  int sent[2] = {};
  std::set<int> received[2];  // By the side that received them.
  std::set<int> settled[2];   // By the side that sent them.
  int last[2] = {-1, -1};
};

bool IsReliable(const ChannelConfig& config) {
  return !config.max_retransmits && !config.max_packet_life_time;
}

sim::LinkOptions RandomLink(Random& random) {
  sim::LinkOptions link{.delay = absl::Milliseconds(1 + random.Below(80))};
  if (random.Below(2) == 0)
    link.loss = 0.001 * static_cast<double>(random.Below(100));
  if (random.Below(2) == 0)
    link.reorder = 0.001 * static_cast<double>(random.Below(200));
  link.reorder_delay = absl::Milliseconds(1 + random.Below(60));
  if (random.Below(2) == 0)
    link.duplicate = 0.001 * static_cast<double>(random.Below(200));
  return link;
}

// Of each side.
struct Sides {
  uint16_t streams = 12;  // So few that ids are used again and again.
  absl::Duration reset_delay_a = absl::ZeroDuration();
  absl::Duration reset_delay_b = absl::ZeroDuration();
};

DataChannels::Options OptionsOf(uint16_t streams, absl::Duration reset_delay) {
  DataChannels::Options options;
  options.association.reset_delay = reset_delay;
  options.association.outgoing_streams = streams;
  options.association.incoming_streams = streams;
  return options;
}

class Soak {
 public:
  Soak(uint64_t seed, const Sides& sides)
      : random_(seed),
        random_a_(seed * 3),
        random_b_(seed * 5),
        a_(OptionsOf(sides.streams, sides.reset_delay_a), random_a_),
        b_(OptionsOf(sides.streams, sides.reset_delay_b), random_b_),
        pair_(a_, b_,
              {.seed = seed,
               .a_to_b = RandomLink(random_),
               .b_to_a = RandomLink(random_)}) {
    pair_.on_a = [this](DataChannels::Event event) { On(0, event); };
    pair_.on_b = [this](DataChannels::Event event) { On(1, event); };
    a_.Start(pair_.now(), StreamParity::kEven);
    b_.Start(pair_.now(), StreamParity::kOdd);
  }

  void Run() {
    ASSERT_TRUE(
        pair_.RunUntil([&] { return a_.is_connected() && b_.is_connected(); },
                       absl::Minutes(1)));
    for (int step = 0; step < 300; ++step) {
      Step();
      pair_.RunFor(absl::Milliseconds(random_.Below(60)));
    }
    for (int side : {0, 1}) {
      while (!open_[side].empty()) Close(side, *open_[side].begin());
    }
    EXPECT_TRUE(pair_.RunUntil(
        [&] { return a_.channel_count() == 0 && b_.channel_count() == 0; },
        absl::Minutes(2)))
        << a_.DebugString() << "\n"
        << b_.DebugString();
    pair_.RunFor(absl::Seconds(10));
    for (const auto& [label, life] : lives_) Judge(label, life);
    for (const DataChannels* side : {&a_, &b_}) {
      EXPECT_EQ(side->association_stats().send_occupied_bytes, 0u);
      EXPECT_EQ(side->association_stats().receive_held_bytes, 0u);
      EXPECT_EQ(side->stats().drop_early_data, 0u);
      EXPECT_EQ(side->stats().drop_duplicate_open, 0u);
    }
  }

 private:
  DataChannels& engine(int side) { return side == 0 ? a_ : b_; }

  void Step() {
    const int side = static_cast<int>(random_.Below(2));
    const uint64_t what = random_.Below(20);
    if (what < 3) {
      Open(side);
    } else if (!open_[side].empty()) {
      auto it = open_[side].begin();
      std::advance(it, random_.Below(open_[side].size()));
      what < 16 ? Send(side, *it) : Close(side, *it);
    }
  }

  void Open(int side) {
    ChannelConfig config{.label = absl::StrCat("c", lives_.size())};
    if (random_.Below(3) == 0) config.ordering = Ordering::kUnordered;
    if (random_.Below(4) == 0) config.max_retransmits = 1;
    const auto id = engine(side).Create(pair_.now(), config);
    if (!id.ok()) return;  // All ids are in use.
    Life& life = lives_[config.label];
    life.config = config;
    life.id[side] = *id;
    life.known[side] = true;
    open_[side].insert(config.label);
  }

  void Send(int side, const std::string& label) {
    Life& life = lives_[label];
    std::string text = absl::StrCat(label, "/", life.sent[side], "/");
    text.resize(text.size() + random_.Below(random_.Below(4) == 0 ? 9000 : 99));
    if (engine(side)
            .Send(pair_.now(), life.id[side], PayloadType::kBinary,
                  std::vector<uint8_t>(text.begin(), text.end()),
                  static_cast<uint64_t>(life.sent[side]))
            .ok()) {
      ++life.sent[side];
    }
  }

  void Close(int side, std::string label) {
    Life& life = lives_[label];
    life.closed_by[side] = true;
    open_[side].erase(label);
    EXPECT_OK(engine(side).CloseChannel(pair_.now(), life.id[side]));
  }

  void On(int side, DataChannels::Event& event) {
    if (auto* incoming = std::get_if<ChannelIncoming>(&event)) {
      Life& life = lives_[incoming->config.label];
      EXPECT_FALSE(life.known[side]) << incoming->config.label;
      life.id[side] = incoming->channel;
      life.known[side] = true;
      open_[side].insert(incoming->config.label);
    } else if (auto* message = std::get_if<ChannelMessage>(&event)) {
      const std::string text(message->payload.begin(), message->payload.end());
      const std::vector<std::string> parts = absl::StrSplit(text, '/');
      Life& life = lives_[parts[0]];
      EXPECT_EQ(life.id[side], message->channel) << parts[0];
      int number = -1;
      EXPECT_TRUE(absl::SimpleAtoi(parts[1], &number));
      EXPECT_TRUE(life.received[side].insert(number).second) << text;
      if (life.config.ordering == Ordering::kOrdered) {
        EXPECT_GT(number, life.last[side]) << parts[0];
      }
      life.last[side] = number;
    } else if (auto* settled = std::get_if<ChannelMessageSettled>(&event)) {
      Settled(side, *settled);
    } else if (auto* closed = std::get_if<ChannelClosed>(&event)) {
      EXPECT_OK(closed->status);
      for (const auto& [label, life] : lives_) {
        if (life.known[side] && life.id[side] == closed->channel) {
          open_[side].erase(label);
        }
      }
    } else {
      EXPECT_FALSE(std::get_if<Closed>(&event));
    }
  }

  void Settled(int side, const ChannelMessageSettled& settled) {
    const int number = static_cast<int>(settled.lifecycle);
    for (auto& [label, life] : lives_) {
      if (!life.known[side] || life.id[side] != settled.channel) continue;
      EXPECT_TRUE(life.settled[side].insert(number).second) << label;
      EXPECT_LT(number, life.sent[side]) << label;
      EXPECT_TRUE(settled.fate == Fate::kDelivered || !IsReliable(life.config));
      if (settled.fate == Fate::kDelivered && !life.closed_by[1 - side]) {
        EXPECT_TRUE(life.received[1 - side].contains(number)) << label;
      }
    }
  }

  void Judge(const std::string& label, const Life& life) const {
    for (int side : {0, 1}) {
      EXPECT_EQ(life.settled[side].size(), life.sent[side]) << label;
      // A side that closed has dropped what came afterwards.
      if (!IsReliable(life.config) || life.closed_by[side]) continue;
      EXPECT_EQ(life.received[side].size(), life.sent[1 - side])
          << label << " at " << side;
    }
  }

  SeededRandom random_;
  SeededRandom random_a_;
  SeededRandom random_b_;
  DataChannels a_;
  DataChannels b_;
  sim::Pair<DataChannels> pair_;
  std::map<std::string, Life> lives_;
  std::set<std::string> open_[2];
};

// Runs `seeds` of them, or as many as the environment says.
template <typename SidesOf>
void RunSeeds(uint64_t seeds, SidesOf sides_of) {
  if (const char* wanted = std::getenv("KYUU_SOAK_SEEDS")) {
    ASSERT_TRUE(absl::SimpleAtoi(wanted, &seeds)) << wanted;
  }
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Soak(seed, sides_of(seed)).Run();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(DataChannelSoak, FewStreamIdsUsedAgainAndAgain) {
  RunSeeds(200, [](uint64_t) { return Sides{}; });
}

TEST(DataChannelSoak, FewStreamIdsWithPatienceOnOneSideOrBoth) {
  RunSeeds(100, [](uint64_t seed) {
    return Sides{.reset_delay_a = absl::Milliseconds(100),
                 .reset_delay_b = absl::Milliseconds(seed % 2 == 0 ? 0 : 300)};
  });
}

TEST(DataChannelSoak, EachStreamIdOnce) {
  RunSeeds(100, [](uint64_t) { return Sides{.streams = 1000}; });
}

}  // namespace
}  // namespace kyuu::sctp
