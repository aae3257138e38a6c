// Messages of data channels that are sent, and received, in parts.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/data_channel.h"
#include "sim/pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::IsEmpty;

constexpr size_t kMiB = size_t{1} << 20;

std::vector<uint8_t> Pattern(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<uint8_t>(i * 7 + i / 1000);
  }
  return bytes;
}

// Two sides on a round trip of 20 ms, and what `b` was told.
struct Two {
  explicit Two(const DataChannels::Options& of_b = {}, double loss = 0)
      : a({}, random), b(of_b, random), pair(a, b, Link(loss)) {
    a.Start(pair.now(), StreamParity::kEven);
    b.Start(pair.now(), StreamParity::kOdd);
    pair.on_a = [this](const DataChannels::Event& event) {
      if (const auto* e = std::get_if<ChannelClosed>(&event)) closed_at_a = *e;
    };
    pair.on_b = [this](DataChannels::Event event) { Take(std::move(event)); };
    pair.RunFor(absl::Seconds(1));
  }
  static sim::PairOptions Link(double loss) {
    sim::PairOptions link;
    link.a_to_b.delay = link.b_to_a.delay = absl::Milliseconds(10);
    link.a_to_b.loss = link.b_to_a.loss = loss;
    return link;
  }
  void Take(DataChannels::Event event) {
    if (auto* message = std::get_if<ChannelMessage>(&event)) {
      messages.push_back(std::move(*message));
    } else if (auto* part = std::get_if<ChannelMessagePart>(&event)) {
      std::vector<uint8_t>& whole = parts[part->message];
      EXPECT_EQ(part->offset, whole.size());
      EXPECT_FALSE(ends.contains(part->message));
      whole.insert(whole.end(), part->payload.begin(), part->payload.end());
      if (part->part != Part::kMore) ends[part->message] = part->part;
    } else if (auto* closed = std::get_if<ChannelClosed>(&event)) {
      closed_at_b = *closed;
    }
  }
  ChannelId Open(ChannelConfig config = {}) {
    const ChannelId id = *a.Create(pair.now(), std::move(config));
    pair.RunFor(absl::Seconds(1));
    return id;
  }
  // Sends `bytes` in parts as the buffer lets it, and returns the most that
  // either side held meanwhile.
  size_t Stream(ChannelId id, const std::vector<uint8_t>& bytes, size_t part,
                std::optional<size_t> size) {
    EXPECT_OK(a.BeginMessage(pair.now(), id, PayloadType::kBinary, size));
    size_t next = 0;
    size_t most = 0;
    pair.RunUntil(
        [&] {
          while (next < bytes.size() && a.buffered_amount(id) < kMiB / 4) {
            const size_t n = std::min(part, bytes.size() - next);
            const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(next);
            std::vector<uint8_t> piece(at, at + static_cast<std::ptrdiff_t>(n));
            next += n;
            EXPECT_OK(
                a.SendPart(pair.now(), id, std::move(piece),
                           next == bytes.size() ? Part::kLast : Part::kMore));
          }
          most = std::max({most, a.association_stats().send_occupied_bytes,
                           b.association_stats().receive_held_bytes});
          return !messages.empty() || !ends.empty();
        },
        absl::Minutes(1));
    return most;
  }

  SeededRandom random{7};
  DataChannels a;
  DataChannels b;
  sim::Pair<DataChannels> pair;
  std::vector<ChannelMessage> messages;
  std::map<uint64_t, std::vector<uint8_t>> parts;
  std::map<uint64_t, Part> ends;
  std::optional<ChannelClosed> closed_at_a;
  std::optional<ChannelClosed> closed_at_b;
};

// Neither side ever has all of it: what is under way is bounded by the receive
// window, and by what the application lets wait in the buffer.
TEST(DataChannelParts, AMessageTakesTheWindowAndNotItsSize) {
  for (const std::optional<size_t> size :
       {std::optional<size_t>(6 * kMiB), std::optional<size_t>()}) {
    DataChannels::Options options;
    options.association.max_message_in_parts = 8 * kMiB;
    options.association.receive_window_bytes = kMiB;
    options.incoming_delivery = Delivery::kParts;
    Two two(options, 0.001);
    two.a.SetMaxMessageSize(8 * kMiB);
    const ChannelId id = two.Open();
    const std::vector<uint8_t> bytes = Pattern(6 * kMiB);
    const size_t most = two.Stream(id, bytes, 50'000, size);
    EXPECT_LE(most, kMiB + 2 * kMiB);
    ASSERT_EQ(two.parts.size(), 1u);
    EXPECT_TRUE(two.parts.begin()->second == bytes);
    EXPECT_EQ(two.ends.begin()->second, Part::kLast);
    EXPECT_EQ(two.a.channel_stats(id)->messages_sent, 1u);
    EXPECT_EQ(two.a.channel_stats(id)->bytes_sent, 6 * kMiB);
    EXPECT_EQ(two.b.stats().messages_received, 1u);
    EXPECT_EQ(two.b.stats().bytes_received, 6 * kMiB);
    two.pair.RunFor(absl::Seconds(1));
    EXPECT_EQ(two.a.buffered_amount(id), 0u);
  }
}

TEST(DataChannelParts, AReceiverThatDidNotAskGetsItWhole) {
  Two two;
  const ChannelId id = two.Open();
  const std::vector<uint8_t> bytes = Pattern(65'536);
  two.Stream(id, bytes, 1000, std::nullopt);
  ASSERT_EQ(two.messages.size(), 1u);
  EXPECT_TRUE(two.messages[0].payload == bytes);
  EXPECT_THAT(two.parts, IsEmpty());
}

// What comes at once, empty messages too, is told like all others.
TEST(DataChannelParts, SmallMessagesAreOnePartEach) {
  DataChannels::Options options;
  options.incoming_delivery = Delivery::kParts;
  Two two(options);
  const ChannelId id = two.Open();
  ASSERT_OK(two.a.Send(two.pair.now(), id, PayloadType::kText, {'a'}));
  ASSERT_OK(two.a.Send(two.pair.now(), id, PayloadType::kText, {}));
  // And those that are sent in parts, and turn out to be empty.
  ASSERT_OK(two.a.BeginMessage(two.pair.now(), id, PayloadType::kText));
  ASSERT_OK(two.a.SendPart(two.pair.now(), id, {}, Part::kMore));
  ASSERT_OK(two.a.SendPart(two.pair.now(), id, {}, Part::kLast));
  ASSERT_OK(two.a.BeginMessage(two.pair.now(), id, PayloadType::kText, 0));
  ASSERT_OK(two.a.SendPart(two.pair.now(), id, {}, Part::kLast));
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(two.ends.size(), 4u);
  EXPECT_THAT(two.messages, IsEmpty());
}

// RFC 8841 section 6.1: what the peer takes is known before the first byte, or
// found at the part that goes beyond.
TEST(DataChannelParts, ThePeersLimitHoldsForThem) {
  Two two;
  const ChannelId id = two.Open();
  const absl::Time now = two.pair.now();
  const auto begin = [&](std::optional<size_t> size) {
    return two.a.BeginMessage(now, id, PayloadType::kBinary, size).code();
  };
  const auto part = [&](size_t size, Part position) {
    return two.a.SendPart(now, id, Pattern(size), position).code();
  };
  EXPECT_EQ(part(1, Part::kMore), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(begin(65'537), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(begin(std::nullopt), absl::StatusCode::kOk);
  EXPECT_EQ(begin(std::nullopt), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(two.a.Send(now, id, PayloadType::kText, {'x'}).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(part(65'536, Part::kMore), absl::StatusCode::kOk);
  EXPECT_EQ(part(1, Part::kMore), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(part(0, Part::kLast), absl::StatusCode::kOk);
  two.a.SetMaxMessageSize(0);  // No limit.
  EXPECT_EQ(begin(size_t{1} << 40), absl::StatusCode::kOk);
  EXPECT_EQ(part(0, Part::kLast), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(two.a.SendPart(now, ChannelId{99}, {}, Part::kLast).code(),
            absl::StatusCode::kNotFound);
}

TEST(DataChannelParts, AMessageThatIsGivenUpEndsAReliableChannel) {
  for (const bool reliable : {false, true}) {
    SCOPED_TRACE(reliable);
    DataChannels::Options options;
    options.incoming_delivery = Delivery::kParts;
    Two two(options, 0.01);
    const ChannelId id =
        reliable ? two.Open() : two.Open({.max_retransmits = 10});
    ASSERT_OK(two.a.BeginMessage(two.pair.now(), id, PayloadType::kBinary));
    ASSERT_OK(two.a.SendPart(two.pair.now(), id, Pattern(9000), Part::kMore));
    two.pair.RunFor(absl::Seconds(1));
    ASSERT_OK(two.a.SendPart(two.pair.now(), id, {}, Part::kGivenUp));
    two.pair.RunFor(absl::Seconds(5));
    ASSERT_EQ(two.ends.size(), 1u);
    EXPECT_EQ(two.ends.begin()->second, Part::kGivenUp);
    EXPECT_EQ(two.closed_at_a.has_value(), reliable);
    EXPECT_EQ(two.closed_at_b.has_value(), reliable);
    if (reliable) continue;
    ASSERT_OK(two.a.Send(two.pair.now(), id, PayloadType::kText, {'x'}));
    two.pair.RunFor(absl::Seconds(1));
    EXPECT_EQ(two.ends.size(), 2u);
  }
}

// Whoever closes, and whatever the peer has of it.
TEST(DataChannelParts, AChannelThatIsClosedGivesItsOpenMessageUp) {
  for (const bool by_the_sender : {false, true}) {
    SCOPED_TRACE(by_the_sender);
    Two two({}, 0.01);
    const ChannelId id = two.Open();
    ASSERT_OK(two.a.BeginMessage(two.pair.now(), id, PayloadType::kBinary));
    ASSERT_OK(two.a.SendPart(two.pair.now(), id, Pattern(9000), Part::kMore));
    two.pair.RunFor(absl::Seconds(1));
    DataChannels& closer = by_the_sender ? two.a : two.b;
    ASSERT_OK(closer.CloseChannel(two.pair.now(), ChannelId{1}));
    two.pair.RunFor(absl::Seconds(5));
    EXPECT_TRUE(two.closed_at_a && two.closed_at_a->status.ok());
    EXPECT_TRUE(two.closed_at_b && two.closed_at_b->status.ok());
    EXPECT_THAT(two.messages, IsEmpty());
    EXPECT_EQ(two.a.association_stats().send_occupied_bytes, 0u);
    EXPECT_EQ(two.b.association_stats().receive_held_bytes, 0u);
  }
}

// The limit of messages that come whole is the channel's matter, not that of
// the association, where larger ones may come to others.
TEST(DataChannelParts, AnOversizedMessageEndsItsChannelAndNoOther) {
  DataChannels::Options options;
  options.association.max_message_in = 100'000;
  options.association.max_message_in_parts = kMiB;
  Two two(options);
  two.a.SetMaxMessageSize(kMiB);
  const ChannelId id = two.Open();
  const ChannelId other = two.Open();
  ASSERT_OK(
      two.a.Send(two.pair.now(), id, PayloadType::kBinary, Pattern(500'000)));
  two.pair.RunFor(absl::Seconds(5));
  ASSERT_TRUE(two.closed_at_b.has_value());
  EXPECT_EQ(two.closed_at_b->status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(two.b.stats().drop_oversized, 1u);
  ASSERT_OK(two.a.Send(two.pair.now(), other, PayloadType::kBinary,
                       Pattern(100'000)));
  two.pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(two.messages.size(), 1u);
  EXPECT_TRUE(two.b.is_connected());
}

// One whose beginning had no channel is no message of the next one.
TEST(DataChannelParts, WhatBeganBeforeItsChannelIsDroppedWhole) {
  DataChannels::Options options;
  options.association.max_message_in = 10'000;
  options.association.max_message_in_parts = kMiB;
  Two two(options);
  two.a.SetMaxMessageSize(kMiB);
  const ChannelConfig config{.negotiated_id = StreamId{6},
                             .delivery = Delivery::kParts};
  const ChannelId id = two.Open(config);
  ASSERT_OK(two.a.BeginMessage(two.pair.now(), id, PayloadType::kBinary));
  ASSERT_OK(two.a.SendPart(two.pair.now(), id, Pattern(50'000), Part::kMore));
  two.pair.RunFor(absl::Seconds(1));
  ASSERT_OK(two.b.Create(two.pair.now(), config).status());
  ASSERT_OK(two.a.SendPart(two.pair.now(), id, Pattern(50'000), Part::kLast));
  ASSERT_OK(
      two.a.Send(two.pair.now(), id, PayloadType::kBinary, Pattern(50'000)));
  two.pair.RunFor(absl::Seconds(1));
  EXPECT_GE(two.b.stats().drop_early_data, 1u);
  ASSERT_EQ(two.parts.size(), 1u);
  EXPECT_TRUE(two.parts.begin()->second == Pattern(50'000));
}

}  // namespace
}  // namespace kyuu::sctp
