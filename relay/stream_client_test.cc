#include "relay/stream_client.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/stream_engine.h"
#include "turn/channel_data.h"

namespace kyuu::relay {
namespace {

static_assert(net::StreamEngine<StreamClient>);

const absl::Time kNow = absl::FromUnixSeconds(1000);
// A Binding request, and ChannelData of five bytes with its padding.
constexpr char kBinding[] = "0001 0000 2112a442 0102030405060708090a0b0c";
constexpr char kChannel[] = "4001 0005 68656c6c6f 000000";

// The messages that have come out, as hex, and "!" for the end.
std::string Heard(StreamClient& client) {
  std::string all;
  while (const auto event = client.PollEvent()) {
    const auto* message = std::get_if<StreamClient::Message>(&*event);
    absl::StrAppend(&all, message == nullptr ? "!" : ToHex(message->bytes),
                    " ");
  }
  return all;
}

std::string Sent(StreamClient& client, size_t piece = 100) {
  std::string all;
  std::vector<uint8_t> out(piece);
  while (const auto bytes = client.PollTransmit(kNow, absl::MakeSpan(out))) {
    absl::StrAppend(&all, AsText(*bytes));
  }
  return all;
}

void Feed(StreamClient& client, absl::string_view hex) {
  client.HandlePacket(kNow, FromHex(hex));
}

absl::Status EndOf(StreamClient& client) {
  while (const auto event = client.PollEvent()) {
    if (const auto* closed = std::get_if<StreamClient::Closed>(&*event)) {
      return closed->status;
    }
  }
  return absl::OkStatus();
}

// However the network cuts the stream.
TEST(StreamClientTest, MessagesComeOutWholeAndWithoutPadding) {
  const std::vector<uint8_t> all =
      FromHex(absl::StrCat(kBinding, kChannel, kBinding));
  const std::string binding = "000100002112a4420102030405060708090a0b0c ";
  const std::string expected =
      absl::StrCat(binding, "4001000568656c6c6f ", binding);
  for (size_t first = 0; first <= all.size(); ++first) {
    for (size_t second = first; second <= all.size(); ++second) {
      StreamClient client({}, kNow);
      const auto span = absl::MakeConstSpan(all);
      client.HandlePacket(kNow, span.first(first));
      client.HandlePacket(kNow, span.subspan(first, second - first));
      client.HandlePacket(kNow, span.subspan(second));
      ASSERT_EQ(Heard(client), expected) << first << " " << second;
      EXPECT_EQ(client.held_bytes(), 0u);
    }
  }
}

// As many of one channel and size as are here come as one, as from a socket of
// datagrams; what is cut in the middle waits for its rest.
TEST(StreamClientTest, ChannelDataOfOneSizeComesAsATrain) {
  const std::string other = "4002 0005 776f726c64 000000";
  const std::vector<uint8_t> all =
      FromHex(absl::StrCat(kChannel, kChannel, kChannel, other, kChannel,
                           "4001 0004 68656c6c", kBinding, kBinding));
  for (const size_t first : {all.size(), size_t{30}}) {
    StreamClient client({}, kNow);
    std::vector<std::string> trains;
    for (const auto& part : {absl::MakeConstSpan(all).first(first),
                             absl::MakeConstSpan(all).subspan(first)}) {
      client.HandlePacket(kNow, part);
      while (const auto event = client.PollEvent()) {
        const auto& message = std::get<StreamClient::Message>(*event);
        trains.push_back(
            absl::StrCat(message.bytes.size(), " of ", message.segment_size));
      }
    }
    const std::vector<std::string> behind = {"9 of 12", "9 of 12", "8 of 8",
                                             "20 of 20", "20 of 20"};
    std::vector<std::string> expected = {"33 of 12"};
    if (first == 30) expected = {"21 of 12", "9 of 12"};
    expected.insert(expected.end(), behind.begin(), behind.end());
    EXPECT_EQ(trains, expected);
    EXPECT_EQ(client.held_bytes(), 0u);
  }
}

TEST(StreamClientTest, WhatIsNoTurnEndsIt) {
  StreamClient client({}, kNow);
  Feed(client, absl::StrCat(kBinding, "ffff", kBinding));
  EXPECT_EQ(Heard(client), "000100002112a4420102030405060708090a0b0c ! ");
  EXPECT_TRUE(client.finished());
  Feed(client, kBinding);
  EXPECT_EQ(Heard(client), "");
}

// stranger_message_bytes, to the byte.
TEST(StreamClientTest, StrangersSayLittle) {
  StreamClientOptions options;
  options.stranger_message_bytes = 24;
  for (const size_t size : {4, 8}) {
    StreamClient client(options, kNow);
    Feed(client, absl::StrCat("0001 000", size, " 2112a442"));
    if (size == 4) {
      EXPECT_OK(EndOf(client));
    } else {
      EXPECT_THAT(EndOf(client),
                  StatusIs(absl::StatusCode::kResourceExhausted));
    }
    StreamClient known(options, kNow);
    known.Allocated();
    Feed(known, "4001 ffff");
    known.HandlePacket(kNow, std::vector<uint8_t>(65535 + 1));
    EXPECT_EQ(Heard(known).size(), 2 * (4 + 65535) + 1u);
  }
}

TEST(StreamClientTest, WithoutAnAllocationItEnds) {
  StreamClient client({}, kNow);
  EXPECT_EQ(client.NextTimeout(), kNow + absl::Seconds(30));
  Feed(client, kBinding);  // Changes nothing about it.
  client.Allocated();
  EXPECT_EQ(client.NextTimeout(), absl::InfiniteFuture());
  client.Released(kNow + absl::Hours(1));
  const absl::Time end = kNow + absl::Hours(1) + absl::Seconds(30);
  EXPECT_EQ(client.NextTimeout(), end);
  client.HandleTimeout(end - absl::Seconds(1));
  EXPECT_FALSE(client.finished());
  client.HandleTimeout(end);
  EXPECT_THAT(EndOf(client), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(client.finished());
}

// RFC 6544 section 5.2: he listens at the port that he asks from.
TEST(StreamClientTest, WhoAsksWhereHeComesFromMayStayForAWhile) {
  const StreamClientOptions options;
  StreamClient client(options, kNow);
  const absl::Duration pause = options.idle_timeout / 2;
  absl::Time now = kNow;
  for (; now < kNow + options.binding_timeout; now += pause) {
    client.HandlePacket(now, FromHex(kBinding));
    EXPECT_EQ(Heard(client).size(), 41u);
    EXPECT_EQ(client.NextTimeout(), std::min(now + options.idle_timeout,
                                             kNow + options.binding_timeout));
    client.HandleTimeout(now);
    ASSERT_OK(EndOf(client));
  }
  client.HandleTimeout(now);
  EXPECT_TRUE(absl::IsDeadlineExceeded(EndOf(client)));
  // Nothing else that is said without an allocation.
  StreamClient other(options, kNow);
  other.HandlePacket(kNow + pause, FromHex(kChannel));
  (void)Heard(other);
  EXPECT_EQ(other.NextTimeout(), kNow + options.idle_timeout);
}

// queued_bytes_max and answers_bytes_max, to the byte.
TEST(StreamClientTest, WhoDoesNotReadLosesDataAndInTheEndIsGivenUp) {
  StreamClientOptions options;
  options.queued_bytes_max = 20;
  options.answers_bytes_max = 10;
  StreamClient client(options, kNow);
  std::vector<uint8_t> header(4);
  turn::WriteChannelHeader(0x4000, 5, absl::MakeSpan(header));
  EXPECT_TRUE(client.SendData(header, AsBytes("hello"), 3));
  EXPECT_FALSE(client.SendData(header, AsBytes("hello"), 3));
  EXPECT_TRUE(client.SendData(header, AsBytes("four"), 0));
  client.SendAnswer(AsBytes("0123456789"));
  EXPECT_FALSE(client.abandoned());
  EXPECT_EQ(client.queued_bytes(), 30u);
  // It reads after all: in order, and there is room again.
  EXPECT_EQ(Sent(client, 7),
            std::string("\x40\0\0\5hello\0\0\0\x40\0\0\5four0123456789", 30));
  EXPECT_TRUE(client.SendData(header, AsBytes("hello"), 3));
  client.SendAnswer(std::vector<uint8_t>(18));
  EXPECT_FALSE(client.abandoned());
  client.SendAnswer(AsBytes("x"));
  EXPECT_TRUE(client.abandoned());
  EXPECT_THAT(EndOf(client), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(client.SendData(header, AsBytes("hello"), 3));
}

// One message in each record of TLS, for clients that know it no other way;
// only what is longer than a record is cut.
TEST(StreamClientTest, MessagesMayLeaveOneByOne) {
  StreamClientOptions options;
  options.pieces = StreamClientOptions::Pieces::kMessages;
  StreamClient client(options, kNow);
  client.SendAnswer(AsBytes("answer"));
  EXPECT_TRUE(client.SendData(AsBytes("head"), AsBytes("123456789"), 3));
  EXPECT_TRUE(client.SendData(AsBytes("head"), {}, 0));
  std::vector<std::string> pieces;
  std::vector<uint8_t> out(10);
  while (const auto bytes = client.PollTransmit(kNow, absl::MakeSpan(out))) {
    pieces.emplace_back(AsText(*bytes));
  }
  EXPECT_THAT(pieces,
              testing::ElementsAre("answer", "head123456",
                                   std::string("789\0\0\0", 6), "head"));
}

TEST(StreamClientTest, TheStreamsEndIsTheClients) {
  StreamClient client({}, kNow);
  client.SendAnswer(AsBytes("answer"));
  client.HandleStreamEnd(kNow, absl::OkStatus());
  EXPECT_OK(EndOf(client));
  EXPECT_FALSE(client.finished());  // The answer still leaves.
  EXPECT_EQ(Sent(client), "answer");
  EXPECT_TRUE(client.finished());
  StreamClient failed({}, kNow);
  failed.SendAnswer(AsBytes("answer"));
  failed.HandleStreamEnd(kNow, absl::UnavailableError("reset"));
  EXPECT_TRUE(failed.finished());
  EXPECT_EQ(Heard(failed), "! ");
}

}  // namespace
}  // namespace kyuu::relay
