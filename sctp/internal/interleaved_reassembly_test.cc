// Reassembly of mixed messages by itself: what it delivers and what it holds.

#include "sctp/internal/interleaved_reassembly.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Outcome = InterleavedReassembly::Outcome;

constexpr uint8_t kB = DataChunk::kBegin;
constexpr uint8_t kE = DataChunk::kEnd;
constexpr uint8_t kU = DataChunk::kUnordered;

struct Stage {
  Outcome Add(uint8_t flags, uint32_t mid, uint32_t fsn,
              const std::string& payload, uint16_t stream = 1) {
    DataChunk chunk;
    chunk.type = ChunkType::kIData;
    chunk.flags = flags;
    chunk.stream = StreamId{stream};
    chunk.mid = Mid(mid);
    chunk.fsn = fsn;
    chunk.ppid = Ppid{51};
    chunk.payload = AsBytes(payload);
    return reassembly.Add(chunk);
  }
  void Forward(std::initializer_list<SkippedStream> skipped) {
    ForwardTsnChunk forward;
    forward.type = ChunkType::kIForwardTsn;
    forward.skipped.assign(skipped.begin(), skipped.end());
    reassembly.ForwardTo(forward);
  }
  std::vector<std::string> Delivered() {
    std::vector<std::string> texts;
    while (auto event = events.Pop()) {
      const Message& message = std::get<Message>(*event);
      EXPECT_EQ(message.ppid, Ppid{51});
      texts.emplace_back(message.payload.begin(), message.payload.end());
    }
    return texts;
  }
  // Nothing is left that costs anything.
  void ExpectEmpty() const {
    EXPECT_EQ(reassembly.messages(), 0u);
    EXPECT_EQ(reassembly.held_bytes(), 0u);
    EXPECT_EQ(reassembly.unfinished_bytes(), 0u);
  }

  Options options;
  Stats stats;
  EventQueue events{options.held_overhead_bytes};
  InterleavedReassembly reassembly{options, events, stats};
};

SkippedStream Ordered(uint32_t mid, uint16_t stream = 1) {
  return {StreamId{stream}, Ssn(), Mid(mid), Ordering::kOrdered};
}
SkippedStream Unordered(uint32_t mid, uint16_t stream = 1) {
  return {StreamId{stream}, Ssn(), Mid(mid), Ordering::kUnordered};
}

// RFC 8260 section 2.2.3: two messages of one stream and one of another, their
// fragments in every order.
TEST(InterleavedReassembly, MixedFragmentsAreMessagesInWhateverOrder) {
  struct Fragment {
    uint8_t flags;
    uint16_t stream;
    uint32_t mid;
    uint32_t fsn;
    const char* text;
  };
  const Fragment fragments[] = {{kB, 1, 0, 0, "a"}, {0, 1, 0, 1, "b"},
                                {kE, 1, 0, 2, "c"}, {kB, 2, 0, 0, "d"},
                                {kE, 2, 0, 1, "e"}, {kB | kE, 1, 1, 0, "f"}};
  std::vector<int> order = {0, 1, 2, 3, 4, 5};
  do {
    Stage stage;
    for (int i : order) {
      const Fragment& f = fragments[i];
      ASSERT_EQ(stage.Add(f.flags, f.mid, f.fsn, f.text, f.stream),
                Outcome::kOk);
    }
    std::vector<std::string> delivered = stage.Delivered();
    const auto of_stream_2 =
        std::find(delivered.begin(), delivered.end(), "de");
    ASSERT_NE(of_stream_2, delivered.end());
    delivered.erase(of_stream_2);
    EXPECT_THAT(delivered, ElementsAre("abc", "f"));
    stage.ExpectEmpty();
  } while (std::next_permutation(order.begin(), order.end()));
}

// The identifiers of ordered and unordered messages are two sets.
TEST(InterleavedReassembly, OrderedAndUnorderedDoNotMeet) {
  Stage stage;
  stage.Add(kB, 0, 0, "a");
  stage.Add(kB | kU, 0, 0, "b");
  stage.Add(kE | kU, 0, 1, "b");
  stage.Add(kE, 0, 1, "a");
  EXPECT_THAT(stage.Delivered(), ElementsAre("bb", "aa"));
  stage.ExpectEmpty();
}

TEST(InterleavedReassembly, IdentifiersWrapAround) {
  Stage stage;
  stage.Forward({Ordered(0x7fffffff)});
  stage.Forward({Ordered(0xfffffffd)});
  stage.Add(kB | kE, 1, 0, "4");
  stage.Add(kB | kE, 0, 0, "3");
  stage.Add(kB, 0xffffffff, 0, "2");
  stage.Add(kB | kE, 0xfffffffe, 0, "1");
  EXPECT_THAT(stage.Delivered(), ElementsAre("1"));
  // What is missing in between is given up across the end of the numbers.
  stage.Forward({Ordered(0)});
  EXPECT_THAT(stage.Delivered(), ElementsAre("3", "4"));
  stage.ExpectEmpty();
}

TEST(InterleavedReassembly, WhatWasGivenUpIsForgotten) {
  Stage stage;
  stage.Add(kB, 0, 0, "a");
  stage.Add(0, 0, 5, "a");
  stage.Add(kB | kE, 1, 0, "b");
  stage.Add(kB, 2, 0, "c");
  stage.Add(kB | kU, 7, 0, "d");
  stage.Add(kU, 8, 3, "e");
  stage.Add(kB | kU, 9, 0, "f");
  stage.Forward({Ordered(1), Unordered(8)});
  EXPECT_THAT(stage.Delivered(), ElementsAre("b"));
  EXPECT_EQ(stage.reassembly.messages(), 2u);
  stage.Add(kE, 2, 1, "c");
  stage.Add(kE | kU, 9, 1, "f");
  EXPECT_THAT(stage.Delivered(), ElementsAre("cc", "ff"));
  // A fragment that comes after all that.
  EXPECT_EQ(stage.Add(kE, 0, 6, "a"), Outcome::kOk);
  EXPECT_EQ(stage.stats.drop_stale_ssn, 1u);
  stage.ExpectEmpty();
}

TEST(InterleavedReassembly, AResetForgetsAndStartsOver) {
  for (const bool all : {false, true}) {
    Stage stage;
    stage.Add(kB | kE, 0, 0, "a");
    stage.Add(kB | kE, 2, 0, "b");
    stage.Add(kB | kU, 5, 0, "c");
    EXPECT_THAT(stage.Delivered(), ElementsAre("a"));
    stage.reassembly.ResetStreams(all ? std::vector<StreamId>()
                                      : std::vector<StreamId>{StreamId{1}});
    stage.ExpectEmpty();
    stage.Add(kB | kE, 0, 0, "d");
    EXPECT_THAT(stage.Delivered(), ElementsAre("d"));
  }
}

TEST(InterleavedReassembly, FragmentsThatCannotBeAreAViolation) {
  struct Row {
    const char* name;
    uint8_t flags;
    uint32_t fsn;
  };
  for (const Row& row :
       {Row{"a beginning that is not first", kB, 3},
        Row{"the first without a beginning", 0, 0},
        Row{"one that is in the message", 0, 1}, Row{"one that is held", 0, 4},
        Row{"an end before one that is held", kE, 3},
        Row{"an end in place of one that is held", kE, 4}}) {
    Stage stage;
    stage.Add(kB, 0, 0, "a");
    stage.Add(0, 0, 1, "b");
    stage.Add(0, 0, 4, "e");
    EXPECT_EQ(stage.Add(row.flags, 0, row.fsn, "x"), Outcome::kBadFragment)
        << row.name;
  }
  Stage stage;
  stage.Add(kE, 0, 5, "f");
  EXPECT_EQ(stage.Add(kE, 0, 7, "x"), Outcome::kBadFragment);
  EXPECT_EQ(stage.Add(0, 0, 6, "x"), Outcome::kBadFragment);
}

TEST(InterleavedReassembly, AMessageIsBoundedHoweverItComes) {
  Stage stage;
  stage.options.max_message_in = 3;
  EXPECT_EQ(stage.Add(kB, 0, 0, "ab"), Outcome::kOk);
  EXPECT_EQ(stage.Add(0, 0, 9, "c"), Outcome::kOk);
  EXPECT_EQ(stage.Add(0, 0, 1, "d"), Outcome::kMessageTooLarge);
}

TEST(InterleavedReassembly, BeginningsAreBoundedTogether) {
  Stage stage;
  stage.options.max_message_in = 60;
  stage.options.max_unfinished_bytes = 40;
  EXPECT_EQ(stage.Add(kB, 0, 0, std::string(50, 'a')), Outcome::kOk);
  EXPECT_EQ(stage.Add(kB, 1, 0, std::string(50, 'a')), Outcome::kOk);
  EXPECT_EQ(stage.Add(kB, 2, 0, "a"), Outcome::kTooMuchUnfinished);
  // One message may always come, and a whole one is no beginning.
  Stage one;
  one.options.max_message_in = 200;
  one.options.max_unfinished_bytes = 100;
  EXPECT_EQ(one.Add(kB, 0, 0, std::string(190, 'a')), Outcome::kOk);
  EXPECT_EQ(one.Add(kE, 0, 1, std::string(10, 'a')), Outcome::kOk);
  EXPECT_EQ(one.Add(kB | kE, 5, 0, std::string(200, 'a')), Outcome::kOk);
  EXPECT_EQ(one.reassembly.unfinished_bytes(), 0u);
}

// Messages and fragments of a byte cost what they cost (H17).
TEST(InterleavedReassembly, SmallPiecesCostMoreThanTheirPayload) {
  Stage stage;
  for (uint32_t i = 0; i < 1000; ++i) {
    stage.Add(kB, 1 + i, 0, "x");
    stage.Add(0, 1 + i, 5, "x");
  }
  EXPECT_GE(stage.reassembly.held_bytes(),
            3000 * stage.options.held_overhead_bytes);
  EXPECT_THAT(stage.Delivered(), IsEmpty());
  stage.Forward({Ordered(5000)});
  stage.ExpectEmpty();
}

}  // namespace
}  // namespace kyuu::sctp::internal
