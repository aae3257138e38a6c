// Messages that give way to more important ones (RFC 7496 section 3.2).

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

// Room for ten messages of a thousand bytes on a stream, and 20 in all.
constexpr size_t kSize = 1000;
Options SmallBuffer() {
  Options options;
  options.stream_send_buffer_bytes = 10 * (kSize + options.send_overhead_bytes);
  options.send_buffer_bytes = 2 * options.stream_send_buffer_bytes;
  return options;
}

struct Stage {
  TestPair p{{}, SmallBuffer(), {}};

  Stage() {
    p.Connect();
    p.pair.a_to_b.options().loss = 1;
  }
  absl::Status Send(int stream, absl::string_view name,
                    std::optional<uint16_t> importance) {
    std::string text(name);
    text.resize(kSize, '.');
    return p.a.Send(p.pair.now(),
                    Message{static_cast<StreamId>(stream), Ppid{51},
                            std::vector<uint8_t>(text.begin(), text.end())},
                    {.importance = importance});
  }
  // Sends `count` messages that are named by their number, from `first` on.
  void Fill(int stream, int first, int count,
            std::optional<uint16_t> importance) {
    for (int i = first; i < first + count; ++i) {
      ASSERT_OK(Send(stream, absl::StrCat(i), importance));
    }
  }
  // Lets what is left arrive; the names, in their order.
  std::vector<std::string> Names(int stream) {
    p.pair.a_to_b.options().loss = 0;
    p.pair.RunFor(absl::Seconds(20));
    std::vector<std::string> names;
    for (const std::string& text : p.at_b.Texts(stream)) {
      names.push_back(text.substr(0, text.find('.')));
    }
    return names;
  }
};

TEST(Importance, TheLeastImportantThatWaitsGivesWay) {
  Stage stage;
  stage.Fill(1, 0, 5, 7);
  stage.Fill(1, 5, 5, 3);
  ASSERT_OK(stage.Send(1, "a", 8));
  ASSERT_OK(stage.Send(1, "b", 4));
  // Neither is below itself.
  EXPECT_EQ(stage.Send(1, "c", 3).code(), absl::StatusCode::kResourceExhausted);
  ASSERT_OK(stage.Send(1, "d", std::nullopt));
  EXPECT_EQ(stage.p.a.stats().messages_displaced, 3u);
  EXPECT_EQ(stage.p.a.stats().messages_abandoned, 3u);
  EXPECT_THAT(stage.Names(1),
              ElementsAre("0", "1", "2", "3", "4", "8", "9", "a", "b", "d"));
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
  EXPECT_EQ(stage.p.at_a.writable, 1);
}

TEST(Importance, WithoutItNothingGivesWay) {
  Stage stage;
  stage.Fill(1, 0, 10, std::nullopt);
  EXPECT_EQ(stage.Send(1, "a", 65535).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stage.Send(1, "b", std::nullopt).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stage.Names(1).size(), 10u);
}

// The bound of the stream is the stream's own affair, that of all everybody's.
TEST(Importance, OnAFullStreamOnlyItsOwnMessagesGiveWay) {
  Stage stage;
  stage.Fill(1, 0, 10, 1);
  stage.Fill(2, 0, 9, 5);
  ASSERT_OK(stage.Send(2, "own", 5));
  EXPECT_EQ(stage.Send(2, "no", 5).code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_OK(stage.Send(3, "other", 5));
  EXPECT_EQ(stage.p.a.stats().messages_displaced, 1u);
  EXPECT_THAT(stage.Names(1), Not(Contains("0")));
  EXPECT_THAT(stage.Names(2), Contains("own"));
  EXPECT_THAT(stage.Names(3), ElementsAre("other"));
}

// The peer is told to go on without what is in flight.
TEST(Importance, WhatIsInFlightGivesWayLast) {
  Stage stage;
  stage.Fill(1, 0, 10, 1);
  stage.p.pair.RunFor(absl::Milliseconds(1));
  ASSERT_GT(stage.p.a.stats().flight_bytes, 0u);
  // Their places are taken until the peer has moved past them.
  for (int i = 0; i < 9; ++i) {
    ASSERT_OK(stage.Send(1, absl::StrCat("new", i), 2)) << i;
  }
  EXPECT_EQ(stage.Send(1, "c", 2).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stage.p.a.stats().messages_displaced, 10u);
  EXPECT_THAT(stage.Names(1),
              ElementsAre("new0", "new1", "new2", "new3", "new4", "new5",
                          "new6", "new7", "new8"));
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
}

// Small messages whose places are all that is left of them, by the thousands.
TEST(Importance, WhatGaveWayLeavesNoRoomTaken) {
  Stage stage;
  int sent = 0;
  for (int i = 0; i < 60'000; ++i) {
    const absl::Status status =
        stage.p.a.Send(stage.p.pair.now(), Message{StreamId{1}, Ppid{51}, {1}},
                       {.importance = static_cast<uint16_t>(i)});
    if (status.ok()) ++sent;
  }
  EXPECT_EQ(sent, 60'000);
  const size_t room = SmallBuffer().stream_send_buffer_bytes /
                      (SmallBuffer().send_overhead_bytes + 1);
  EXPECT_LE(stage.p.a.stats().send_occupied_bytes,
            2 * SmallBuffer().stream_send_buffer_bytes);
  stage.p.pair.a_to_b.options().loss = 0;
  stage.p.pair.RunFor(absl::Seconds(20));
  EXPECT_GE(stage.p.at_b.messages.size(), room - 1);
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
}

// A reset waits for what was sent before it, and for nothing that gave way.
TEST(Importance, AResetPassesWhatGaveWay) {
  Stage stage;
  stage.Fill(1, 0, 10, 1);
  const StreamId stream{1};
  ASSERT_OK(stage.p.a.ResetStreams(stage.p.pair.now(), {&stream, 1}));
  for (int i = 0; i < 40; ++i) {
    ASSERT_OK(
        stage.Send(1, absl::StrCat("new", i), static_cast<uint16_t>(i + 2)));
  }
  EXPECT_THAT(stage.Names(1), Contains("new39"));
  ASSERT_EQ(stage.p.at_a.resets.size(), 1u);
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
}

// Parts of a thousand bytes, on stream 1, so many of them; the message is open.
void FillWithParts(Stage& stage, int count,
                   std::optional<uint16_t> importance) {
  ASSERT_OK(stage.p.a.BeginMessage(stage.p.pair.now(), StreamId{1}, Ppid{51},
                                   std::nullopt, {.importance = importance}));
  for (int i = 0; i < count; ++i) {
    ASSERT_OK(stage.p.a.SendPart(stage.p.pair.now(), StreamId{1},
                                 std::vector<uint8_t>(kSize, 'p'), Part::kMore))
        << i;
  }
}

absl::StatusCode SendLastPart(Stage& stage) {
  return stage.p.a.SendPart(stage.p.pair.now(), StreamId{1}, {'z'}, Part::kLast)
      .code();
}

TEST(Importance, AMessageInPartsThatWaitsGivesWayAsAWhole) {
  Stage stage;
  FillWithParts(stage, 10, 1);
  stage.Fill(2, 0, 10, std::nullopt);
  ASSERT_OK(stage.Send(3, "a", 2));
  ASSERT_OK(stage.Send(3, "b", 2));
  EXPECT_EQ(stage.p.a.stats().messages_displaced, 1u);
  EXPECT_EQ(stage.p.a.stats().messages_abandoned, 1u);
  EXPECT_EQ(SendLastPart(stage), absl::StatusCode::kFailedPrecondition);
  // Its stream goes on.
  ASSERT_OK(stage.Send(1, "after", std::nullopt));
  EXPECT_THAT(stage.Names(1), ElementsAre("after"));
  EXPECT_THAT(stage.Names(3), ElementsAre("a", "b"));
  EXPECT_EQ(stage.Names(2).size(), 10u);
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
}

TEST(Importance, OneByteThatWaitsForItsMessagesEndGivesWay) {
  Stage stage;
  ASSERT_OK(stage.p.a.BeginMessage(stage.p.pair.now(), StreamId{1}, Ppid{51},
                                   std::nullopt, {.importance = 1}));
  ASSERT_OK(
      stage.p.a.SendPart(stage.p.pair.now(), StreamId{1}, {'p'}, Part::kMore));
  stage.Fill(2, 0, 10, std::nullopt);
  stage.Fill(3, 0, 9, std::nullopt);
  ASSERT_OK(stage.p.SendText(
      stage.p.a, 3,
      std::string(kSize - 1 - SmallBuffer().send_overhead_bytes, '.')));
  ASSERT_OK(stage.Send(4, "one too many", std::nullopt));
  EXPECT_EQ(stage.p.a.stats().messages_displaced, 1u);
  EXPECT_EQ(stage.Names(4).size(), 1u);
  ASSERT_OK(stage.Send(1, "after", std::nullopt));
  EXPECT_THAT(stage.Names(1), ElementsAre("after"));
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
}

// The peer is told to go on without it.
TEST(Importance, AMessageInPartsGivesWayInTheMiddle) {
  Stage stage;
  FillWithParts(stage, 10, 1);
  stage.p.pair.RunFor(absl::Milliseconds(1));
  ASSERT_GT(stage.p.a.stats().flight_bytes, kSize);
  stage.Fill(2, 0, 10, std::nullopt);
  ASSERT_OK(stage.Send(3, "a", std::nullopt));
  EXPECT_EQ(stage.p.a.stats().messages_displaced, 1u);
  EXPECT_EQ(SendLastPart(stage), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(stage.Names(3), ElementsAre("a"));
  ASSERT_OK(stage.Send(1, "after", std::nullopt));
  EXPECT_THAT(stage.Names(1), ElementsAre("after"));
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
}

// What was given up by hand, or is more important, gives way to nothing.
TEST(Importance, OnlyWhatIsThereGivesWay) {
  Stage stage;
  FillWithParts(stage, 5, 1);
  ASSERT_OK(
      stage.p.a.SendPart(stage.p.pair.now(), StreamId{1}, {}, Part::kGivenUp));
  FillWithParts(stage, 4, 9);
  stage.Fill(2, 0, 10, std::nullopt);
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    status = stage.p.SendText(stage.p.a, 3, "small", {.importance = 5});
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stage.p.a.stats().messages_displaced, 0u);
  EXPECT_EQ(SendLastPart(stage), absl::StatusCode::kOk);
  EXPECT_EQ(stage.Names(1).size(), 1u);
  EXPECT_EQ(stage.p.a.stats().send_occupied_bytes, 0u);
}

// Messages of all kinds on few streams, some loss: what arrives is whole, what
// does not was displaced, and nothing is left.
TEST(Importance, PartsAndMessagesGiveWayToEachOtherAtRandom) {
  for (const bool interleaving : {false, true}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE(absl::StrCat(interleaving, " seed ", seed));
      Options options = SmallBuffer();
      options.interleaving = interleaving;
      sim::PairOptions link;
      link.seed = seed;
      link.a_to_b.loss = link.b_to_a.loss = 0.05;
      link.a_to_b.delay = link.b_to_a.delay = absl::Milliseconds(20);
      TestPair p(link, options, options);
      p.Connect();
      SeededRandom random(seed);
      uint64_t begun = 0;
      std::array<size_t, 4> open{};  // Parts so far, of the open message.
      for (int i = 0; i < 3000; ++i) {
        const size_t at = random.Below(4);
        const StreamId stream{static_cast<uint16_t>(at)};
        const std::optional<uint16_t> importance =
            random.Below(5) == 0
                ? std::nullopt
                : std::optional(static_cast<uint16_t>(random.Below(6)));
        const char letter = static_cast<char>('a' + at);
        if (open[at] > 0) {
          const bool last = random.Below(6) == 0;
          const absl::Status status =
              p.a.SendPart(p.pair.now(), stream,
                           std::vector<uint8_t>(1 + random.Below(2000), letter),
                           last ? Part::kLast : Part::kMore);
          if (status.ok()) ++open[at];
          if (last ? status.ok() : absl::IsFailedPrecondition(status)) {
            open[at] = 0;
          }
        } else if (random.Below(2) == 0) {
          open[at] =
              p.a.BeginMessage(p.pair.now(), stream, Ppid{51}, std::nullopt,
                               {.importance = importance, .lifecycle = begun})
                  .ok();
          begun += open[at];
        } else {
          begun += p.SendText(p.a, static_cast<int>(at),
                              std::string(1 + random.Below(3000), letter),
                              {.importance = importance, .lifecycle = begun})
                       .ok();
        }
        if (random.Below(4) == 0) p.pair.RunFor(absl::Milliseconds(5));
      }
      // One of them may be in the way of the others, and any may be that one.
      for (int tries = 0; open != std::array<size_t, 4>{}; ++tries) {
        ASSERT_LT(tries, 1000) << p.a.DebugString();
        for (size_t at = 0; at < open.size(); ++at) {
          if (open[at] == 0) continue;
          const absl::Status status =
              p.a.SendPart(p.pair.now(), StreamId{static_cast<uint16_t>(at)},
                           {1}, Part::kLast);
          if (!absl::IsResourceExhausted(status)) open[at] = 0;
        }
        p.pair.RunFor(absl::Milliseconds(100));
      }
      p.pair.RunFor(absl::Minutes(1));
      const Stats& stats = p.a.stats();
      EXPECT_GT(stats.messages_displaced, 20u);
      EXPECT_EQ(stats.messages_displaced, stats.messages_abandoned);
      // What was in flight may have arrived all the same.
      EXPECT_GE(p.at_b.messages.size() + stats.messages_displaced, begun);
      EXPECT_LE(p.at_b.messages.size(), begun);
      EXPECT_EQ(p.at_a.fates.size(), begun);
      EXPECT_EQ(std::count_if(p.at_a.fates.begin(), p.at_a.fates.end(),
                              [](const auto& settled) {
                                return settled.second == Fate::kGivenUp;
                              }),
                stats.messages_displaced);
      EXPECT_EQ(stats.send_occupied_bytes, 0u);
      EXPECT_EQ(stats.flight_bytes, 0u);
    }
  }
}

}  // namespace
}  // namespace kyuu::sctp
