// Reassembly by itself: what it delivers, what it costs, what it holds.

#include "sctp/internal/reassembly.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/held_chunks.h"
#include "sctp/internal/serial.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint8_t kB = DataChunk::kBegin;
constexpr uint8_t kE = DataChunk::kEnd;
constexpr uint8_t kU = DataChunk::kUnordered;
// The numbers wrap within the tests.
constexpr Tsn kFirst{0xfffffff0};

// A reassembly, what it has delivered, and how much it was given.
struct Stage {
  // Adds a chunk while `kFirst` is missing, so that it lies beyond a hole.
  void Hold(uint32_t offset, uint8_t flags, uint16_t ssn,
            const std::string& payload, uint16_t stream = 1) {
    const DataChunk chunk{flags,    kFirst + offset, StreamId{stream},
                          Ssn(ssn), Ppid{51},        AsBytes(payload)};
    EXPECT_EQ(reassembly.Add(chunk, kFirst - 1), Reassembly::Outcome::kOk);
    ++chunks;
  }
  // What was missing comes, and with it all is there up to `last`.
  Reassembly::Outcome Fill(const std::string& payload, uint32_t last) {
    const DataChunk chunk{kB | kE, kFirst,   StreamId{2},
                          Ssn(0),  Ppid{51}, AsBytes(payload)};
    return reassembly.Add(chunk, kFirst + last);
  }
  Reassembly::Outcome Forward(uint32_t to, uint32_t cumulative) {
    ForwardTsnChunk forward;
    forward.new_cumulative_tsn = kFirst + to;
    return reassembly.ForwardTo(forward, kFirst + cumulative);
  }
  std::vector<std::string> Delivered() {
    std::vector<std::string> texts;
    while (auto event = events.Pop()) {
      const auto& payload = std::get<Message>(*event).payload;
      texts.emplace_back(payload.begin(), payload.end());
    }
    return texts;
  }

  Options options;
  Stats stats;
  EventQueue events{options.held_overhead_bytes};
  Reassembly reassembly{options, kFirst, events, stats};
  uint64_t chunks = 0;
};

TEST(Reassembly, FragmentsBeyondAHoleAreAMessageInWhateverOrder) {
  std::vector<uint32_t> order = {1, 2, 3, 4};
  do {
    Stage stage;
    for (uint32_t i : order) {
      const uint8_t flags = (i == 1 ? kB : 0) | (i == 4 ? kE : 0);
      stage.Hold(i, flags, 0, std::string(1, static_cast<char>('a' + i)));
    }
    EXPECT_THAT(stage.Delivered(), ElementsAre("bcde"));
    EXPECT_EQ(stage.reassembly.held_bytes(), 0u);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Reassembly, NeighboursOfOtherMessagesAreNotJoined) {
  Stage stage;
  stage.Hold(1, kB, 0, "a");
  stage.Hold(2, kE, 0, "b", /*stream=*/7);
  stage.Hold(3, kB, 1, "c");
  stage.Hold(4, kE, 2, "d");
  stage.Hold(5, kB, 3, "e");
  stage.Hold(6, kE | kU, 3, "f");
  EXPECT_THAT(stage.Delivered(), IsEmpty());
  EXPECT_EQ(stage.Fill("hole", 6), Reassembly::Outcome::kBrokenRun);
}

// 58 one-byte fragments a packet made the search for their message go through
// up to 512 neighbours for each: 84 times the cost of an ordinary packet.
TEST(Reassembly, AFragmentCostsTheSameHoweverManyAreThere) {
  struct Row {
    const char* name;
    uint32_t first;
    uint32_t step;
    uint8_t first_flags;
  };
  for (const Row& row : {Row{"a beginning, then the middle", 1, 1, kB},
                         Row{"the middle without a beginning", 1, 1, 0},
                         Row{"from the end to the front", 32'000, ~0u, kE},
                         Row{"every second", 1, 2, 0}}) {
    Stage stage;
    uint32_t offset = row.first;
    for (int i = 0; i < 15'000; ++i, offset += row.step) {
      stage.Hold(offset, i == 0 ? row.first_flags : 0, 0, "x");
    }
    EXPECT_LE(stage.reassembly.held().visited(), 6 * stage.chunks) << row.name;
  }
}

// Each took a page and gave it back, which made a packet of them cost a hundred
// times an ordinary one.
TEST(Reassembly, AWholeMessageBeyondAHoleIsNotHeldByItsTsn) {
  Stage stage;
  for (uint16_t i = 1; i <= 1000; ++i) {
    stage.Hold(i, kB | kE | kU, i, "u");
    stage.Hold(i + 5000u, kB | kE, i, "o", /*stream=*/7);
  }
  EXPECT_EQ(stage.reassembly.held().visited(), 0u);
  EXPECT_EQ(stage.Delivered().size(), 1000u);
  // The others wait for number 0 of their stream, and are accounted for.
  EXPECT_EQ(stage.reassembly.held_bytes(),
            1000 * (1 + stage.options.held_overhead_bytes));
}

// A packet with one byte at the end of the window used to cost 1.5 MB of
// slots, which a FORWARD TSN over them let go again.
TEST(Reassembly, AChunkFarAwayCostsAPageAndNotTheDistance) {
  Stage stage;
  stage.Hold(32'000, 0, 0, "x");
  EXPECT_EQ(stage.reassembly.held().pages(), 1u);
  const uint64_t before = stage.reassembly.held().visited();
  EXPECT_EQ(stage.Forward(32'000, 32'000), Reassembly::Outcome::kOk);
  EXPECT_LE(stage.reassembly.held().visited() - before, 128u);
  EXPECT_EQ(stage.reassembly.held().pages(), 0u);
}

TEST(Reassembly, EverythingIsGivenBackAfterABurst) {
  Stage stage;
  for (uint32_t i = 1; i <= 30'000; ++i) {
    stage.Hold(i, 0, static_cast<uint16_t>(i), "x");
  }
  EXPECT_EQ(stage.reassembly.held().pages(), 470u);
  EXPECT_EQ(stage.Forward(30'000, 30'000), Reassembly::Outcome::kOk);
  EXPECT_EQ(stage.reassembly.held().pages(), 0u);
  EXPECT_EQ(stage.reassembly.held_bytes(), 0u);
}

// A FORWARD TSN that ends within a run takes its beginning away.
TEST(Reassembly, ARunThatWasCutIsNoMessage) {
  Stage stage;
  stage.Hold(2, kB, 0, "a");
  stage.Hold(3, 0, 0, "b");
  stage.Hold(5, 0, 0, "d");
  EXPECT_EQ(stage.Forward(2, 3), Reassembly::Outcome::kOk);
  stage.Hold(6, kE, 0, "e");
  EXPECT_THAT(stage.Delivered(), IsEmpty());
}

TEST(HeldChunks, AgreesWithAMap) {
  SeededRandom random(3);
  HeldChunks held(500);
  std::map<uint32_t, std::string> expected;
  uint32_t low = 0;
  for (int i = 0; i < 20'000; ++i) {
    const uint32_t at = low + static_cast<uint32_t>(random.Below(500));
    const auto it = expected.find(at);
    const HeldChunk* found = held.Find(kFirst + at);
    ASSERT_EQ(found != nullptr, it != expected.end());
    if (found == nullptr) {
      const std::string text = std::to_string(i);
      held.Insert(
          {kB | kE, kFirst + at, StreamId{}, Ssn(), Ppid{}, AsBytes(text)},
          kFirst + low);
      expected[at] = text;
    } else {
      const HeldChunk taken = held.Take(kFirst + at);
      EXPECT_EQ(std::string(taken.payload.begin(), taken.payload.end()),
                it->second);
      expected.erase(it);
    }
    if (random.Below(100) == 0) {
      const uint32_t to = low + static_cast<uint32_t>(random.Below(400));
      held.DropRange(kFirst + low, kFirst + to, [](const HeldChunk& chunk) {
        EXPECT_TRUE(chunk.present);
      });
      expected.erase(expected.begin(), expected.upper_bound(to));
      low = to + 1;
    }
    ASSERT_EQ(held.size(), expected.size());
  }
}

}  // namespace
}  // namespace kyuu::sctp::internal
