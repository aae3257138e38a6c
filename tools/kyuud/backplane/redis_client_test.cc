#include "tools/kyuud/backplane/redis_client.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "hiredis/hiredis.h"

namespace kyuu::tools {
namespace {

const absl::Time kNow = absl::UnixEpoch();

std::string Sent(RedisClient& client, size_t at_once) {
  std::string all, buffer(at_once, '\0');
  while (const auto packet = client.PollTransmit(
             kNow, absl::MakeSpan(reinterpret_cast<uint8_t*>(buffer.data()),
                                  buffer.size()))) {
    all.append(std::string(AsText(*packet)));
  }
  return all;
}

// The status of the end, which is the only event that is left.
absl::Status EndOf(RedisClient& client) {
  const auto event = client.PollEvent();
  EXPECT_TRUE(client.finished());
  EXPECT_FALSE(client.PollEvent().has_value());
  if (!event.has_value()) return absl::OkStatus();
  return std::get<RedisClient::Closed>(*event).status;
}

TEST(RedisClientTest, CommandsLeaveInAnyPiecesAndKeepTheirBytes) {
  const std::string expected =
      "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$4\r\na\r\n\xff\r\n"
      "*2\r\n$3\r\nGET\r\n$0\r\n\r\n";
  for (size_t at_once = 1; at_once <= expected.size(); ++at_once) {
    RedisClient client;
    client.Send({"PUBLISH", "c", "a\r\n\xff"});
    client.Send({"GET", ""});
    EXPECT_EQ(client.unsent_bytes(), expected.size());
    EXPECT_EQ(Sent(client, at_once), expected);
    EXPECT_EQ(client.unsent_bytes(), 0u);
  }
}

TEST(RedisClientTest, RepliesAreTakenInOrderHoweverTheyArrive) {
  const std::string replies =
      "+OK\r\n-NOPERM no\r\n:7\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n"
      "$3\r\na\r\n\r\n$-1\r\n";
  for (size_t cut = 0; cut <= replies.size(); ++cut) {
    RedisClient client;
    std::string seen;
    const auto take = [&](absl::string_view part) {
      client.HandlePacket(kNow, AsBytes(part));
      while (const auto event = client.PollEvent()) {
        const redisReply& reply = *std::get<RedisClient::Replied>(*event).reply;
        seen.append(std::to_string(reply.type)).append(" ");
        if (reply.type == REDIS_REPLY_ARRAY) {
          EXPECT_EQ(TextOf(*reply.element[2]), "a\r\n");
        }
      }
    };
    take(absl::string_view(replies).substr(0, cut));
    take(absl::string_view(replies).substr(cut));
    EXPECT_EQ(seen, "5 6 3 2 4 ") << cut;
    EXPECT_FALSE(client.finished());
  }
}

TEST(RedisClientTest, WhatIsNoReplyEndsIt) {
  RedisClient client;
  client.HandlePacket(kNow, AsBytes("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(EndOf(client), StatusIs(absl::StatusCode::kDataLoss));
  client.Send({"PING"});
  EXPECT_EQ(Sent(client, 100), "");
}

TEST(RedisClientTest, AReplyThatDoesNotEndIsBounded) {
  // One long text, and an array of many short ones.
  for (const std::string begin : {"$1000000000\r\n", "*100000\r\n"}) {
    RedisClient client;
    client.HandlePacket(kNow, AsBytes(begin));
    std::string part;
    while (part.size() < 10'000)
      part.append("$93\r\n").append(93, 'x').append("\r\n");
    size_t taken = 0;
    while (!client.PollEvent().has_value()) {
      client.HandlePacket(kNow, AsBytes(part));
      taken += part.size();
      ASSERT_LT(taken, 2 * kMaxRedisReplyBytes) << begin;
    }
    EXPECT_TRUE(client.abandoned());
    EXPECT_GE(taken, kMaxRedisReplyBytes);
  }
}

TEST(RedisClientTest, TheEndOfTheStreamIsToldOnce) {
  RedisClient orderly;
  orderly.HandleStreamEnd(kNow, absl::OkStatus());
  orderly.HandleStreamEnd(kNow, absl::DataLossError("late"));
  EXPECT_THAT(EndOf(orderly), StatusIs(absl::StatusCode::kUnavailable));
  RedisClient cut;
  cut.HandleStreamEnd(kNow, absl::DataLossError("cut"));
  EXPECT_EQ(EndOf(cut).message(), "cut");
}

}  // namespace
}  // namespace kyuu::tools
