// Messages that are sent, and received, as their parts come.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAreArray;

constexpr StreamId kStream{1};
constexpr Ppid kPpid{51};

std::string Pattern(size_t size) {
  std::string text(size, 0);
  for (size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>('a' + (i * 7 + i / 1000) % 26);
  }
  return text;
}

std::vector<uint8_t> Bytes(absl::string_view text) {
  return {text.begin(), text.end()};
}

sim::PairOptions Lossy(double loss, uint64_t seed = 1) {
  sim::PairOptions link;
  link.a_to_b.loss = link.b_to_a.loss = loss;
  link.a_to_b.delay = link.b_to_a.delay = absl::Milliseconds(5);
  link.a_to_b.reorder = loss;
  link.a_to_b.reorder_delay = absl::Milliseconds(10);
  link.seed = seed;
  return link;
}

// Gives parts of `text` to the association whenever there is room.
class Source {
 public:
  Source(Association& to, std::string text, size_t part)
      : to_(to), text_(std::move(text)), part_(part) {}

  bool done() const { return done_; }
  void Push(absl::Time now, size_t up_to = SIZE_MAX) {
    while (!done_ && next_ < std::min(up_to, text_.size())) {
      const size_t size =
          std::min({part_, text_.size() - next_, up_to - next_});
      const bool last = next_ + size == text_.size();
      std::vector<uint8_t> bytes =
          Bytes(absl::string_view(text_).substr(next_, size));
      const absl::Status status = to_.SendPart(
          now, kStream, std::move(bytes), last ? Part::kLast : Part::kMore);
      if (absl::IsResourceExhausted(status)) return;
      ASSERT_OK(status);
      next_ += size;
      done_ = last;
    }
  }

 private:
  Association& to_;
  std::string text_;
  size_t part_;
  size_t next_ = 0;
  bool done_ = false;
};

TEST(MessageParts, AreOneMessageForThePeerWithinASmallSendBuffer) {
  for (const bool interleaving : {false, true}) {
    for (const bool size_is_known : {false, true}) {
      for (const size_t part : {size_t{1}, size_t{1000}, size_t{30'000}}) {
        SCOPED_TRACE(::testing::Message()
                     << interleaving << size_is_known << " parts of " << part);
        const Options options{.max_message_in = size_t{4} << 20,
                              .interleaving = interleaving,
                              .stream_send_buffer_bytes = 200'000};
        TestPair p(Lossy(0.01, part), options, options);
        p.Connect();
        const std::string text = Pattern(part == 1 ? 5000 : 400'000);
        ASSERT_OK(p.a.BeginMessage(
            p.pair.now(), kStream, kPpid,
            size_is_known ? std::optional(text.size()) : std::nullopt));
        Source source(p.a, text, part);
        size_t most = 0;
        ASSERT_TRUE(p.pair.RunUntil(
            [&] {
              source.Push(p.pair.now());
              most = std::max(most, p.a.stats().send_occupied_bytes);
              return !p.at_b.messages.empty();
            },
            absl::Minutes(1)))
            << p.a.DebugString();
        EXPECT_TRUE(source.done());
        EXPECT_THAT(p.at_b.Texts(1), ElementsAre(text));
        EXPECT_LE(most, 200'000 + part + 128);
        EXPECT_EQ(p.a.stats().messages_sent, 1u);
        ASSERT_OK(p.SendText(p.a, 1, "next"));
        p.pair.RunFor(absl::Seconds(5));
        EXPECT_THAT(p.at_b.Texts(1), ElementsAre(text, "next"));
        EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u);
      }
    }
  }
}

// The end may turn out to be the last byte that was given.
TEST(MessageParts, TheLastPartMayBeEmpty) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt));
  ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes("ab"), Part::kMore));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.a.buffered_amount(kStream), 1u);
  EXPECT_THAT(p.at_b.messages, IsEmpty());
  ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, {}, Part::kLast));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("ab"));
}

// RFC 8260: with I-DATA a source that stalls holds nobody up. With DATA the
// fragments of a message follow each other (RFC 9260 section 6.9).
TEST(MessageParts, OthersGoBetweenThemWhereFragmentsMayBeMixed) {
  for (const bool interleaving : {false, true}) {
    SCOPED_TRACE(interleaving);
    const Options options{.interleaving = interleaving};
    TestPair p({}, options, options);
    p.Connect();
    ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt));
    ASSERT_OK(
        p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(5000)), Part::kMore));
    p.pair.RunFor(absl::Seconds(1));
    // Of one byte, and of some packets.
    ASSERT_OK(p.SendText(p.a, 2, "x"));
    ASSERT_OK(p.SendText(p.a, 3, Pattern(9000)));
    p.pair.RunFor(absl::Seconds(1));
    EXPECT_EQ(p.at_b.messages.size(), interleaving ? 2u : 0u);
    ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, {}, Part::kLast));
    p.pair.RunFor(absl::Seconds(1));
    EXPECT_EQ(p.at_b.messages.size(), 3u);
    EXPECT_THAT(p.at_b.Texts(1), ElementsAre(Pattern(5000)));
  }
}

// RFC 8260: a peer cannot keep more than its window, so one that takes larger
// messages does not count them there, and others may be begun beside one.
TEST(MessageParts, AMessageAboveTheWindowDoesNotHoldUpThoseOfSomePackets) {
  sim::PairOptions link = Lossy(0);
  link.a_to_b.rate_bits_per_s = 10'000'000;
  const Options options{.receive_window_bytes = 100'000,
                        .max_message_in = size_t{4} << 20};
  for (const bool in_parts : {false, true}) {
    SCOPED_TRACE(in_parts);
    TestPair p(link, options, options);
    p.Connect();
    const std::string large = Pattern(2'000'000);
    if (in_parts) {
      ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt));
      ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes(large), Part::kLast));
    } else {
      ASSERT_OK(p.SendText(p.a, 1, large));
    }
    p.pair.RunFor(absl::Milliseconds(100));
    ASSERT_OK(p.SendText(p.a, 2, Pattern(20'000)));
    p.pair.RunFor(absl::Milliseconds(500));
    EXPECT_THAT(p.at_b.Texts(2), ElementsAre(Pattern(20'000)));
    EXPECT_THAT(p.at_b.Texts(1), IsEmpty());
    p.pair.RunFor(absl::Seconds(5));
    EXPECT_THAT(p.at_b.Texts(1), ElementsAre(large));
  }
}

// What takes all the room waits for the end of the message that is begun, which
// waits for its next part: that one is taken.
TEST(MessageParts, AFullSendBufferDoesNotKeepAMessageFromItsEnd) {
  const Options options{.interleaving = false,
                        .stream_send_buffer_bytes = 10'000,
                        .send_buffer_bytes = 20'000};
  TestPair p({}, options, options);
  p.Connect();
  const auto send = [&](Part part) {
    return p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(500)), part);
  };
  ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt));
  ASSERT_OK(send(Part::kMore));
  size_t others = 0;
  for (int stream = 2; stream < 6; ++stream) {
    while (p.SendText(p.a, stream, Pattern(4000)).ok()) ++others;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(send(Part::kMore)));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.at_a.writable, 1);
  ASSERT_OK(send(Part::kMore));
  // One part at a time; who is refused hears when the next one is taken.
  EXPECT_TRUE(absl::IsResourceExhausted(send(Part::kLast)));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.at_a.writable, 2);
  ASSERT_OK(send(Part::kLast));
  p.pair.RunFor(absl::Seconds(10));
  EXPECT_EQ(p.at_b.messages.size(), others + 1);
  EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u);
}

TEST(MessageParts, WhatIsNotTakenHasAReason) {
  TestPair p({}, {.max_message_out = 1000});
  p.Connect();
  const absl::Time now = p.pair.now();
  const auto begin = [&](std::optional<size_t> size) {
    return p.a.BeginMessage(now, kStream, kPpid, size).code();
  };
  const auto part = [&](size_t size, Part position) {
    return p.a.SendPart(now, kStream, Bytes(Pattern(size)), position).code();
  };
  EXPECT_EQ(part(1, Part::kMore), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(begin(0), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(begin(1001), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(p.a.BeginMessage(now, StreamId{65535}, kPpid, 1).code(),
            absl::StatusCode::kInvalidArgument);
  // Of a known size.
  EXPECT_EQ(begin(1000), absl::StatusCode::kOk);
  EXPECT_EQ(begin(1000), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(p.SendText(p.a, 1, "x").code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(part(1001, Part::kLast), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(part(999, Part::kLast), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(part(1000, Part::kMore), absl::StatusCode::kOk) << "it is whole";
  // Of an unknown one.
  EXPECT_EQ(begin(std::nullopt), absl::StatusCode::kOk);
  EXPECT_EQ(part(0, Part::kLast), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(part(600, Part::kMore), absl::StatusCode::kOk);
  EXPECT_EQ(part(401, Part::kMore), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(part(400, Part::kLast), absl::StatusCode::kOk);
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_b.Texts(1),
              ElementsAre(Pattern(1000), Pattern(600) + Pattern(400)));
}

// Whatever of it was sent, the peer forgets it (RFC 3758).
TEST(MessageParts, AMessageThatIsGivenUpLeavesNothingBehind) {
  for (const bool interleaving : {false, true}) {
    for (const size_t sent : {size_t{0}, size_t{1}, size_t{3000}}) {
      for (const size_t unsent : {size_t{0}, size_t{3000}}) {
        SCOPED_TRACE(::testing::Message() << sent << " " << unsent);
        const Options options{.interleaving = interleaving};
        TestPair p(Lossy(0.05), options, options);
        p.Connect();
        ASSERT_OK(p.SendText(p.a, 1, "before"));
        ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt));
        ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(sent)),
                               Part::kMore));
        p.pair.RunFor(absl::Seconds(5));
        ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(unsent)),
                               Part::kMore));
        ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(unsent)),
                               Part::kMore));
        ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, {}, Part::kGivenUp));
        EXPECT_EQ(p.a.SendPart(p.pair.now(), kStream, {}, Part::kLast).code(),
                  absl::StatusCode::kFailedPrecondition);
        EXPECT_EQ(p.a.buffered_amount(kStream), 0u);
        ASSERT_OK(p.SendText(p.a, 1, "after"));
        p.pair.RunFor(absl::Seconds(5));
        EXPECT_THAT(p.at_b.Texts(1), ElementsAre("before", "after"));
        EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u);
        EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
        ASSERT_OK(p.a.ResetStreams(p.pair.now(), {kStream}));
        p.pair.RunFor(absl::Seconds(5));
        EXPECT_EQ(p.at_a.resets.size(), 1u);
      }
    }
  }
}

TEST(MessageParts, AMessageWhoseLimitIsReachedTakesNoMoreParts) {
  for (const bool interleaving : {false, true}) {
    SCOPED_TRACE(interleaving);
    const Options options{.interleaving = interleaving};
    TestPair p(Lossy(0.3), options, options);
    p.Connect();
    ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt,
                               {.max_retransmits = 0}));
    absl::Status status;
    for (int i = 0; i < 1000 && status.ok(); ++i) {
      status = p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(3000)),
                            Part::kMore);
      p.pair.RunFor(absl::Milliseconds(10));
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(p.a.stats().messages_abandoned, 1u);
    ASSERT_OK(p.SendText(p.a, 1, "after"));
    p.pair.RunFor(absl::Seconds(10));
    EXPECT_THAT(p.at_b.Texts(1), ElementsAre("after"));
    EXPECT_EQ(p.a.stats().send_occupied_bytes, 0u);
    EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
  }
}

TEST(MessageParts, AShutdownDoesNotWaitForTheRestOfOne) {
  for (const bool interleaving : {false, true}) {
    for (const bool ours : {false, true}) {
      SCOPED_TRACE(::testing::Message() << interleaving << ours);
      const Options options{.interleaving = interleaving};
      TestPair p({}, options, options);
      p.Connect();
      ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, 10'000));
      ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(5000)),
                             Part::kMore));
      p.pair.RunFor(absl::Seconds(1));
      ASSERT_OK(p.SendText(p.a, 2, "behind it"));
      (ours ? p.a : p.b).Shutdown(p.pair.now());
      p.pair.RunFor(absl::Seconds(5));
      EXPECT_TRUE(p.at_a.closed && p.at_a.closed->ok()) << p.a.DebugString();
      EXPECT_TRUE(p.at_b.closed && p.at_b.closed->ok());
      EXPECT_THAT(p.at_b.Texts(2), ElementsAre("behind it"));
    }
  }
}

// RFC 6525 section 5.1.2: what was begun before the request is before it.
TEST(MessageParts, AResetWaitsForTheEndOfOne) {
  TestPair p;
  p.Connect();
  ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt));
  ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes("be"), Part::kMore));
  ASSERT_OK(p.a.ResetStreams(p.pair.now(), {kStream}));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_THAT(p.at_a.resets, IsEmpty());
  ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes("fore"), Part::kLast));
  // And one that is begun meanwhile is behind it.
  ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt));
  ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes("af"), Part::kMore));
  ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes("ter"), Part::kLast));
  p.pair.RunFor(absl::Seconds(1));
  EXPECT_EQ(p.at_a.resets.size(), 1u);
  EXPECT_THAT(p.at_b.Texts(1), ElementsAre("before", "after"));
}

// What has come of each message in parts, and how it ended.
struct Sink {
  struct Message {
    std::string text;
    std::optional<Part> end;
  };
  std::map<uint32_t, Message> messages;

  void Take(const std::vector<MessagePart>& parts) {
    for (const MessagePart& part : parts) {
      Message& message = messages[part.message];
      EXPECT_FALSE(message.end) << "a part behind the end";
      EXPECT_EQ(part.offset, message.text.size());
      EXPECT_TRUE(!part.payload.empty() || part.part == Part::kGivenUp);
      message.text.append(part.payload.begin(), part.payload.end());
      if (part.part != Part::kMore) message.end = part.part;
    }
  }
};

TEST(MessageParts, ArriveAsTheyComeOnAStreamThatAsksForThem) {
  for (const bool interleaving : {false, true}) {
    for (const Ordering ordering : {Ordering::kOrdered, Ordering::kUnordered}) {
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        SCOPED_TRACE(seed);
        const Options options{.receive_window_bytes = 300'000,
                              .max_message_in_parts = size_t{8} << 20,
                              .interleaving = interleaving};
        TestPair p(Lossy(0.02, seed), options, options);
        p.Connect();
        p.b.SetDelivery(kStream, Delivery::kParts);
        const std::string texts[] = {Pattern(100'000), Pattern(600'000), "x",
                                     Pattern(5000)};
        for (const std::string& text : texts) {
          ASSERT_OK(p.SendText(p.a, 1, text, {.ordering = ordering}));
          ASSERT_OK(p.SendText(p.a, 2, "beside"));
        }
        size_t most = 0;
        p.pair.RunUntil(
            [&] {
              most = std::max(most, p.b.stats().receive_held_bytes);
              return false;
            },
            absl::Seconds(30));
        Sink sink;
        sink.Take(p.at_b.parts);
        // What is here at once comes whole.
        std::vector<std::string> all = p.at_b.Texts(1);
        EXPECT_THAT(all, Not(Contains(texts[1])));
        for (const auto& [number, message] : sink.messages) {
          EXPECT_EQ(message.end, Part::kLast);
          all.push_back(message.text);
        }
        EXPECT_THAT(all, UnorderedElementsAreArray(texts));
        EXPECT_EQ(p.at_b.Texts(2).size(), 4u);
        EXPECT_LE(most, 2 * options.receive_window_bytes);
        EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
        EXPECT_EQ(p.b.stats().messages_received, 8u);
      }
    }
  }
}

// And none of them is lost.
TEST(MessageParts, WhatIsNotTakenHoldsThePeerBack) {
  for (const bool interleaving : {false, true}) {
    SCOPED_TRACE(interleaving);
    const Options options{.receive_window_bytes = 300'000,
                          .max_message_in_parts = size_t{8} << 20,
                          .interleaving = interleaving};
    TestPair p(Lossy(0.01), options, options);
    p.Connect();
    p.b.SetDelivery(kStream, Delivery::kParts);
    p.at_b.reading = false;
    ASSERT_OK(p.SendText(p.a, 1, Pattern(3'000'000)));
    p.pair.RunFor(absl::Seconds(20));
    EXPECT_GE(p.b.stats().receive_held_bytes, 290'000u);
    // A chunk now and then probes the closed window (RFC 9260 section 6.1).
    EXPECT_LE(p.b.stats().receive_held_bytes,
              options.receive_window_bytes + 30'000);
    p.at_b.reading = true;
    p.pair.RunFor(absl::Seconds(60));
    Sink sink;
    sink.Take(p.at_b.parts);
    ASSERT_EQ(sink.messages.size(), 1u);
    EXPECT_EQ(sink.messages.begin()->second.text, Pattern(3'000'000));
    EXPECT_EQ(sink.messages.begin()->second.end, Part::kLast);
  }
}

TEST(MessageParts, AMessageAboveTheWholeOnesLimitComesInParts) {
  for (const bool interleaving : {false, true}) {
    SCOPED_TRACE(interleaving);
    const Options options{.max_message_in = 50'000,
                          .max_message_in_parts = 100'000,
                          .interleaving = interleaving};
    TestPair p(Lossy(0.02), options, options);
    p.Connect();
    ASSERT_OK(p.SendText(p.a, 1, Pattern(50'000)));
    ASSERT_OK(p.SendText(p.a, 1, Pattern(100'000)));
    p.pair.RunFor(absl::Seconds(5));
    EXPECT_THAT(p.at_b.Texts(1), ElementsAre(Pattern(50'000)));
    Sink sink;
    sink.Take(p.at_b.parts);
    ASSERT_EQ(sink.messages.size(), 1u);
    EXPECT_EQ(sink.messages.begin()->second.text, Pattern(100'000));
    EXPECT_FALSE(p.at_b.closed);
    // Beyond that one it is a violation, as ever.
    ASSERT_OK(p.SendText(p.a, 1, Pattern(100'001)));
    p.pair.RunFor(absl::Seconds(5));
    EXPECT_EQ(p.at_b.closed->code(), absl::StatusCode::kAborted);
  }
}

// RFC 3758, and RFC 6525 where the reset comes instead of the rest.
TEST(MessageParts, AMessageThatThePeerGivesUpEndsWithoutItsRest) {
  for (const bool interleaving : {false, true}) {
    for (const Ordering ordering : {Ordering::kOrdered, Ordering::kUnordered}) {
      SCOPED_TRACE(interleaving);
      const Options options{.interleaving = interleaving};
      TestPair p(Lossy(0.05), options, options);
      p.Connect();
      p.b.SetDelivery(kStream, Delivery::kParts);
      ASSERT_OK(p.a.BeginMessage(p.pair.now(), kStream, kPpid, std::nullopt,
                                 {.ordering = ordering}));
      ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, Bytes(Pattern(5000)),
                             Part::kMore));
      p.pair.RunFor(absl::Seconds(5));
      ASSERT_OK(p.a.SendPart(p.pair.now(), kStream, {}, Part::kGivenUp));
      ASSERT_OK(p.SendText(p.a, 1, Pattern(4000)));
      p.pair.RunFor(absl::Seconds(5));
      Sink sink;
      sink.Take(p.at_b.parts);
      ASSERT_EQ(sink.messages.size(), 2u);
      const Sink::Message& first = sink.messages.begin()->second;
      EXPECT_EQ(first.end, Part::kGivenUp);
      EXPECT_EQ(first.text, Pattern(5000).substr(0, first.text.size()));
      EXPECT_GE(first.text.size(), 4000u);
      EXPECT_EQ(sink.messages.rbegin()->second.end, Part::kLast);
      EXPECT_EQ(sink.messages.rbegin()->second.text, Pattern(4000));
      EXPECT_EQ(p.b.stats().receive_held_bytes, 0u);
      // How the next owner of the stream wants it is not known.
      ASSERT_OK(p.a.ResetStreams(p.pair.now(), {kStream}));
      ASSERT_OK(p.SendText(p.a, 1, Pattern(4000)));
      p.pair.RunFor(absl::Seconds(5));
      EXPECT_THAT(p.at_b.Texts(1), ElementsAre(Pattern(4000)));
    }
  }
}

}  // namespace
}  // namespace kyuu::sctp
