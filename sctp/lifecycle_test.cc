// What an application is told of its messages: delivered, or given up.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/data_channel.h"
#include "sctp/testing/test_pair.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(Lifecycle, AMessageIsDeliveredWhenAllOfItIsAcknowledged) {
  for (const bool interleaving : {false, true}) {
    SCOPED_TRACE(interleaving);
    sim::PairOptions link;
    link.a_to_b.delay = link.b_to_a.delay = absl::Milliseconds(10);
    const Options options{.interleaving = interleaving};
    TestPair p(link, options, options);
    p.Connect();
    ASSERT_OK(p.SendText(p.a, 1, std::string(50'000, 'x'), {.lifecycle = 7}));
    ASSERT_OK(p.SendText(p.a, 1, "y", {.lifecycle = 8}));
    ASSERT_OK(p.SendText(p.a, 1, "nobody asks"));
    ASSERT_TRUE(p.pair.RunUntil([&] { return p.at_b.messages.size() == 3; },
                                absl::Seconds(10)));
    EXPECT_THAT(p.at_a.fates, IsEmpty());  // Its SACK is on its way.
    p.pair.RunFor(absl::Seconds(1));
    EXPECT_THAT(p.at_a.fates, ElementsAre(Pair(7, Fate::kDelivered),
                                          Pair(8, Fate::kDelivered)));
    EXPECT_THAT(p.at_b.fates, IsEmpty());
  }
}

TEST(Lifecycle, AMessageIsGivenUpByEachOfItsLimits) {
  TestPair p;
  p.Connect();
  p.pair.a_to_b.options().loss = 1;
  ASSERT_OK(p.SendText(p.a, 1, "x", {.max_retransmits = 0, .lifecycle = 1}));
  ASSERT_OK(p.SendText(p.a, 1, "y",
                       {.lifetime = absl::Milliseconds(500), .lifecycle = 2}));
  // More than the window takes, so that it still waits.
  ASSERT_OK(p.SendText(p.a, 1, std::string(200'000, 'z')));
  ASSERT_OK(p.SendText(p.a, 1, "z",
                       {.lifetime = absl::Milliseconds(500), .lifecycle = 3}));
  p.pair.RunFor(absl::Seconds(5));
  p.pair.a_to_b.options().loss = 0;
  p.pair.RunFor(absl::Seconds(30));
  EXPECT_THAT(p.at_a.fates,
              ElementsAre(Pair(1, Fate::kGivenUp), Pair(2, Fate::kGivenUp),
                          Pair(3, Fate::kGivenUp)));
}

TEST(Lifecycle, AMessageInPartsHasOneFate) {
  TestPair p;
  p.Connect();
  const auto send = [&](uint16_t stream, uint64_t number, Part last) {
    ASSERT_OK(p.a.BeginMessage(p.pair.now(), StreamId{stream}, Ppid{51},
                               std::nullopt, {.lifecycle = number}));
    for (int i = 0; i < 5; ++i) {
      ASSERT_OK(p.a.SendPart(p.pair.now(), StreamId{stream},
                             std::vector<uint8_t>(3000), Part::kMore));
      if (i < 3) p.pair.RunFor(absl::Seconds(1));
    }
    EXPECT_EQ(p.at_a.fates.count(number), 0u);
    ASSERT_OK(p.a.SendPart(p.pair.now(), StreamId{stream}, {}, last));
  };
  send(1, 1, Part::kLast);
  send(2, 2, Part::kGivenUp);
  // Before anything of it was sent.
  ASSERT_OK(p.a.BeginMessage(p.pair.now(), StreamId{3}, Ppid{51}, std::nullopt,
                             {.lifecycle = 3}));
  ASSERT_OK(p.a.SendPart(p.pair.now(), StreamId{3}, {1}, Part::kMore));
  ASSERT_OK(p.a.SendPart(p.pair.now(), StreamId{3}, {}, Part::kGivenUp));
  p.pair.RunFor(absl::Seconds(10));
  EXPECT_THAT(p.at_a.fates,
              ElementsAre(Pair(1, Fate::kDelivered), Pair(2, Fate::kGivenUp),
                          Pair(3, Fate::kGivenUp)));
}

TEST(Lifecycle, AMessageForAStreamThatIsNotGrantedIsGivenUp) {
  TestPair p({}, {}, {.incoming_streams = 2});
  ASSERT_OK(p.SendText(p.a, 1, "x", {.lifecycle = 1}));
  ASSERT_OK(p.SendText(p.a, 2, "y", {.lifecycle = 2}));
  ASSERT_OK(p.a.BeginMessage(p.pair.now(), StreamId{3}, Ppid{51}, std::nullopt,
                             {.lifecycle = 3}));
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(p.a.SendPart(p.pair.now(), StreamId{3}, {1, 2}, Part::kMore));
  }
  p.Connect();
  p.pair.RunFor(absl::Seconds(5));
  EXPECT_THAT(p.at_a.fates,
              ElementsAre(Pair(1, Fate::kDelivered), Pair(2, Fate::kGivenUp),
                          Pair(3, Fate::kGivenUp)));
}

TEST(Lifecycle, ChannelsTellOfTheirMessages) {
  SeededRandom random(1);
  DataChannels a({}, random);
  DataChannels b({}, random);
  sim::Pair<DataChannels> pair(a, b, {});
  std::vector<ChannelMessageSettled> settled;
  pair.on_a = [&](DataChannels::Event event) {
    if (auto* s = std::get_if<ChannelMessageSettled>(&event)) {
      settled.push_back(*s);
    }
  };
  pair.on_b = [](DataChannels::Event) {};
  a.Start(pair.now(), StreamParity::kEven);
  b.Start(pair.now(), StreamParity::kOdd);
  const ChannelId reliable = *a.Create(pair.now(), {.label = "r"});
  const ChannelId once =
      *a.Create(pair.now(), {.label = "o", .max_retransmits = 0});
  pair.RunFor(absl::Seconds(1));
  const auto binary = PayloadType::kBinary;
  // An empty message is one, whole or in parts.
  ASSERT_OK(a.Send(pair.now(), reliable, binary, {}, 1));
  ASSERT_OK(a.BeginMessage(pair.now(), reliable, binary, std::nullopt, 2));
  ASSERT_OK(a.SendPart(pair.now(), reliable, {}, Part::kLast));
  ASSERT_OK(a.BeginMessage(pair.now(), reliable, binary, std::nullopt, 3));
  ASSERT_OK(a.SendPart(pair.now(), reliable, {1, 2, 3}, Part::kLast));
  pair.RunFor(absl::Seconds(1));
  pair.a_to_b.options().loss = 1;
  ASSERT_OK(a.Send(pair.now(), once, binary, {1}, 4));
  pair.RunFor(absl::Seconds(5));
  ASSERT_EQ(settled.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(settled[i].channel, i < 3 ? reliable : once);
    EXPECT_EQ(settled[i].lifecycle, i + 1);
    EXPECT_EQ(settled[i].fate, i < 3 ? Fate::kDelivered : Fate::kGivenUp);
  }
  // Given up before its first part, once.
  settled.clear();
  ASSERT_OK(a.BeginMessage(pair.now(), reliable, binary, std::nullopt, 5));
  ASSERT_OK(a.SendPart(pair.now(), reliable, {}, Part::kGivenUp));
  ASSERT_OK(a.BeginMessage(pair.now(), reliable, binary, std::nullopt, 6));
  ASSERT_OK(a.CloseChannel(pair.now(), reliable));
  pair.RunFor(absl::Seconds(5));
  ASSERT_EQ(settled.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(settled[i].channel, reliable);
    EXPECT_EQ(settled[i].lifecycle, i + 5);
    EXPECT_EQ(settled[i].fate, Fate::kGivenUp);
  }
}

}  // namespace
}  // namespace kyuu::sctp
