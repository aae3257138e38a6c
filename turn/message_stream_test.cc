#include "turn/message_stream.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::turn {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);
constexpr char kBinding[] = "0101 0000 2112a442 0102030405060708090a0b0c";
constexpr char kChannel[] = "4001 0005 68656c6c6f 000000";

std::string Heard(MessageStream& stream) {
  std::string all;
  while (const auto event = stream.PollEvent()) {
    const auto* message = std::get_if<MessageStream::Message>(&*event);
    absl::StrAppend(&all, message == nullptr ? "!" : ToHex(message->bytes),
                    " ");
  }
  return all;
}

// The sizes of what PollTransmit gives.
std::vector<size_t> Sent(MessageStream& stream) {
  std::vector<size_t> sizes;
  std::vector<uint8_t> out(100);
  while (const auto bytes = stream.PollTransmit(kNow, absl::MakeSpan(out))) {
    sizes.push_back(bytes->size());
  }
  return sizes;
}

TEST(MessageStreamTest, MessagesComeOutWholeHoweverTheStreamIsCut) {
  const std::vector<uint8_t> all =
      FromHex(absl::StrCat(kBinding, kChannel, kBinding));
  for (size_t piece = 1; piece <= all.size(); ++piece) {
    MessageStream stream({});
    std::string heard;
    for (size_t at = 0; at < all.size(); at += piece) {
      stream.HandlePacket(kNow, absl::MakeConstSpan(all).subspan(at, piece));
      heard += Heard(stream);
    }
    EXPECT_EQ(heard,
              "010100002112a4420102030405060708090a0b0c 4001000568656c6c6f "
              "010100002112a4420102030405060708090a0b0c ");
    EXPECT_EQ(stream.stats().messages_received, 3);
    EXPECT_EQ(stream.held_bytes(), 0);
  }
}

TEST(MessageStreamTest, WhatIsNoStunEndsIt) {
  MessageStream stream({});
  // TLS says "handshake failure".
  stream.HandlePacket(kNow, FromHex("15 0303 0002 0228 0000"));
  const auto event = stream.PollEvent();
  ASSERT_TRUE(event);
  ASSERT_TRUE(std::holds_alternative<MessageStream::Closed>(*event));
  EXPECT_THAT(std::get<MessageStream::Closed>(*event).status,
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(stream.finished());
  stream.HandlePacket(kNow, FromHex(kBinding));
  EXPECT_FALSE(stream.PollEvent());
}

// A TCP that is slow must not hold data for seconds.
TEST(MessageStreamTest, DataBeyondTheBoundIsDroppedAndStunALittleLater) {
  MessageStream stream({.queued_bytes_max = 24, .stun_bytes_max = 40});
  for (int i = 0; i < 3; ++i) stream.Send(FromHex(kChannel));
  EXPECT_EQ(stream.stats().messages_queued, 2);
  EXPECT_EQ(stream.stats().messages_dropped, 1);
  for (int i = 0; i < 3; ++i) stream.Send(FromHex(kBinding));
  EXPECT_EQ(stream.stats().messages_queued, 4);
  EXPECT_EQ(stream.stats().messages_dropped, 2);
  EXPECT_EQ(Sent(stream), std::vector<size_t>{64});
  stream.Send(FromHex(kChannel));
  EXPECT_EQ(Sent(stream), std::vector<size_t>{12});
}

TEST(MessageStreamTest, ARecordHoldsOneMessage) {
  MessageStream stream({.pieces = OutgoingMessages::Pieces::kMessages});
  stream.Send(FromHex(kChannel));
  stream.Send(FromHex(kBinding));
  EXPECT_EQ(Sent(stream), (std::vector<size_t>{12, 20}));
}

TEST(MessageStreamTest, CloseSendsWhatIsQueued) {
  MessageStream stream({});
  stream.Send(FromHex(kBinding));
  stream.Close();
  stream.Send(FromHex(kBinding));
  EXPECT_FALSE(stream.finished());
  EXPECT_EQ(Sent(stream), std::vector<size_t>{20});
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(Heard(stream), "! ");
}

TEST(MessageStreamTest, AStreamThatFailsTellsWhyAndHoldsNothing) {
  MessageStream stream({});
  stream.Send(FromHex(kBinding));
  stream.HandleStreamEnd(kNow, absl::DataLossError("reset"));
  const auto event = stream.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_THAT(std::get<MessageStream::Closed>(*event).status,
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(stream.held_bytes(), 0);
}

// RFC 6062: the server's answer, and a peer's bytes right behind it.
TEST(MessageStreamTest, AStreamThatIsJoinedCarriesBytes) {
  MessageStream stream({});
  std::vector<uint8_t> came = FromHex(kBinding);
  came.insert(came.end(), {0xff, 0x00, 0x01});
  stream.HandlePacket(kNow, came);
  auto event = stream.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<MessageStream::Message>(*event).bytes.size(), 20u);
  stream.Join();
  event = stream.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_EQ(ToHex(std::get<MessageStream::Message>(*event).bytes), "ff0001");
  EXPECT_FALSE(stream.PollEvent());
  stream.HandlePacket(kNow, FromHex("42"));
  event = stream.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_EQ(ToHex(std::get<MessageStream::Message>(*event).bytes), "42");
  EXPECT_EQ(stream.held_bytes(), 0);
  stream.Send(FromHex("010203"));
  EXPECT_EQ(Sent(stream), std::vector<size_t>{3});
  stream.HandleStreamEnd(kNow, absl::OkStatus());
  EXPECT_EQ(Heard(stream), "! ");
}

}  // namespace
}  // namespace kyuu::turn
