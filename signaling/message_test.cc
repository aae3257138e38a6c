#include "signaling/message.h"

#include <string>
#include <vector>

#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kyuu::signaling {
namespace {

const MessageLimits kLimits;

ClientMessage Parsed(const std::string& text) {
  auto result = ParseClientMessage(text, kLimits);
  if (const auto* refused = std::get_if<MessageRefused>(&result)) {
    ADD_FAILURE() << text << ": " << refused->error.message;
    return {};
  }
  return std::get<ClientMessage>(std::move(result));
}

// The texts of docs/signaling_protocol.md from the client.
const std::vector<std::string>& ClientTexts() {
  static const auto* const texts = new std::vector<std::string>{
      R"({"type":"hello","version":1,"client":"kyuu-web/1","id":1})",
      R"({"type":"join","name":"ada","room":"lobby","meta":{"app":"kyuu","kind":"web"},"id":2})",
      R"({"type":"join","name":"ada","meta":{}})",
      R"({"type":"update","meta":{"away":true},"id":3})",
      R"({"type":"list","after":"ada","id":"l"})",
      R"({"type":"find","prefix":"ad","meta":{"kind":"cli"},"after":"ada","id":5})",
      R"({"type":"find","meta":{}})",
      R"({"type":"leave","id":5})",
      R"({"type":"call","to":"bob","meta":{},"id":6})",
      R"({"type":"accept","call":"c1"})",
      R"({"type":"reject","call":"c1","reason":"busy"})",
      R"({"type":"hangup","call":"c1","reason":"hangup"})",
      R"({"type":"signal","call":"c1","kind":"offer","sdp":"v=0\r\n"})",
      R"({"type":"signal","call":"c1","kind":"answer","sdp":""})",
      R"({"type":"signal","call":"c1","kind":"candidate","candidate":{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}})",
      R"({"type":"signal","call":"c1","kind":"pranswer","sdp":"v=0\r\n"})",
      R"({"type":"signal","call":"c1","kind":"rollback"})",
      R"({"type":"signal","call":"c1","kind":"end-of-candidates"})",
      R"({"type":"report","call":"c1","outcome":"direct","round_trip_ms":12})",
      R"({"type":"report","call":"c1","outcome":"relayed"})",
      R"({"type":"report","call":"c1","outcome":"failed"})",
      R"({"type":"message","to":"bob","data":{"x":[1,null]},"id":7})",
      R"({"type":"message","all":true,"data":"hello"})",
      R"({"type":"ping","id":7})",
  };
  return *texts;
}

const std::vector<std::string>& ServerTexts() {
  static const auto* const texts = new std::vector<std::string>{
      R"({"type":"welcome","version":1,"server":"kyuud","session":"s","ice_servers":[{"urls":["stun:h:3478"]},{"urls":["turn:h:3478"],"username":"u","credential":"p"}],"limits":{"message_bytes":65536,"name_bytes":64,"meta_bytes":2048,"depth":16,"members":64},"ping_interval_s":25,"id":1})",
      R"({"type":"ice_servers","ice_servers":[]})",
      R"({"type":"joined","room":"lobby","name":"ada","peers":[{"name":"bob","meta":{"kind":"cli"}}],"more":false,"id":2})",
      R"({"type":"peers","room":"lobby","peers":[],"more":true})",
      R"({"type":"found","room":"lobby","peers":[{"name":"bob","meta":{}}],"id":5})",
      R"({"type":"found","room":"lobby","peers":[],"after":"bob"})",
      R"({"type":"presence","change":"joined","peer":{"name":"eve","meta":{}}})",
      R"({"type":"presence","change":"left","peer":{"name":"eve"}})",
      R"({"type":"presence","change":"updated","peer":{"name":"eve","meta":{"away":true}}})",
      R"({"type":"updated","id":3})",
      R"({"type":"left","id":5})",
      R"({"type":"calling","call":"c1","to":"bob","polite":false,"id":6})",
      R"({"type":"incoming","call":"c1","from":"ada","polite":true,"meta":{}})",
      R"({"type":"accepted","call":"c1"})",
      R"({"type":"rejected","call":"c1","reason":"declined"})",
      R"({"type":"hangup","call":"c1","reason":"peer_lost"})",
      R"({"type":"signal","call":"c1","kind":"offer","sdp":"v=0\r\n"})",
      R"({"type":"message","from":"ada","data":0})",
      R"({"type":"message","from":"ada","all":true,"data":[]})",
      R"({"type":"sent","id":7})",
      R"({"type":"pong","id":7})",
      R"({"type":"drain","retry_after_ms":2500})",
      R"({"type":"error","code":"name_taken","message":"m","id":2})",
      R"({"type":"error","code":"bad_state","message":"m","call":"c1","retry_after_ms":20})",
  };
  return *texts;
}

TEST(MessageTest, ClientMessagesAreWrittenAsTheyWereRead) {
  for (const std::string& text : ClientTexts()) {
    EXPECT_EQ(WriteMessage(Parsed(text)), text);
  }
}

TEST(MessageTest, ServerMessagesAreWrittenAsTheyWereRead) {
  for (const std::string& text : ServerTexts()) {
    const auto message = ParseServerMessage(text, kLimits);
    ASSERT_OK(message) << text;
    EXPECT_EQ(WriteMessage(*message), text);
  }
}

TEST(MessageTest, PayloadsAreForwardedByteForByte) {
  const std::string sdp = R"("v=0\r\n\u0041\/  ")";
  const std::string text =
      R"({"sdp":)" + sdp + R"( , "kind":"offer","call":"c","type":"signal"})";
  const auto signal = std::get<Signal>(Parsed(text).body);
  EXPECT_EQ(signal.payload, sdp);
}

TEST(MessageTest, UnknownMembersAreIgnored) {
  const auto join = std::get<Join>(
      Parsed(R"({"type":"join","name":"a","later":[{}],"room":null})").body);
  EXPECT_EQ(join.name, "a");
  EXPECT_EQ(join.room, "");
}

TEST(MessageTest, RefusalsNameTheirCodeAndTheRequest) {
  struct Row {
    const char* name;
    std::string text;
    ErrorCode code;
    std::string id;
  };
  const std::string deep = std::string(20, '[') + std::string(20, ']');
  const Row rows[] = {
      {"empty", "", ErrorCode::kBadMessage, ""},
      {"not JSON", "hello", ErrorCode::kBadMessage, ""},
      {"truncated", R"({"type":"ping","id":1)", ErrorCode::kBadMessage, ""},
      {"array", "[]", ErrorCode::kBadMessage, ""},
      {"not UTF-8", "{\"type\":\"ping\",\"x\":\"\xff\"}",
       ErrorCode::kBadMessage, ""},
      {"no type", R"({"id":"a"})", ErrorCode::kBadMessage, "\"a\""},
      {"type of a wrong type", R"({"type":1,"id":2})", ErrorCode::kBadMessage,
       "2"},
      {"unknown type", R"({"type":"dance","id":3})", ErrorCode::kUnknownType,
       "3"},
      {"name missing", R"({"type":"join","id":4})", ErrorCode::kBadMessage,
       "4"},
      {"name a number", R"({"type":"join","name":1,"id":4})",
       ErrorCode::kBadMessage, "4"},
      {"meta a string", R"({"type":"join","name":"a","meta":"b","id":5})",
       ErrorCode::kBadMessage, "5"},
      {"meta too large",
       R"({"type":"update","id":6,"meta":{"x":")" + std::string(2048, 'x') +
           "\"}}",
       ErrorCode::kTooLarge, "6"},
      {"reason too large",
       R"({"type":"hangup","call":"c","id":7,"reason":")" +
           std::string(65, 'x') + "\"}",
       ErrorCode::kTooLarge, "7"},
      {"unknown kind", R"({"type":"signal","call":"c","kind":"x","id":8})",
       ErrorCode::kBadMessage, "8"},
      {"offer without sdp",
       R"({"type":"signal","call":"c","kind":"offer","id":9})",
       ErrorCode::kBadMessage, "9"},
      {"candidate a string",
       R"({"type":"signal","call":"c","kind":"candidate","candidate":"","id":9})",
       ErrorCode::kBadMessage, "9"},
      {"id an object", R"({"type":"ping","id":{}})", ErrorCode::kBadMessage,
       ""},
      {"id a fraction", R"({"type":"ping","id":1.5})", ErrorCode::kBadMessage,
       ""},
      {"id too long", R"({"type":"ping","id":")" + std::string(65, 'x') + "\"}",
       ErrorCode::kBadMessage, ""},
      {"twice the same name", R"({"type":"ping","type":"leave"})",
       ErrorCode::kBadMessage, ""},
      {"too deep", R"({"type":"ping","x":)" + deep + "}", ErrorCode::kTooLarge,
       ""},
      {"too large",
       R"({"type":"ping","x":")" + std::string(64 * 1024, 'x') + "\"}",
       ErrorCode::kTooLarge, ""},
      {"version a string", R"({"type":"hello","version":"1","id":1})",
       ErrorCode::kBadMessage, "1"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto result = ParseClientMessage(row.text, kLimits);
    const auto* refused = std::get_if<MessageRefused>(&result);
    ASSERT_NE(refused, nullptr);
    EXPECT_EQ(refused->error.code, row.code) << refused->error.message;
    EXPECT_EQ(refused->id, row.id);
    EXPECT_NE(refused->error.message, "");
  }
}

TEST(MessageTest, DamagedMessagesAreReadOrRefused) {
  std::vector<std::string> texts = ClientTexts();
  texts.insert(texts.end(), ServerTexts().begin(), ServerTexts().end());
  for (const std::string& text : texts) {
    for (size_t size = 0; size < text.size(); ++size) {
      EXPECT_TRUE(std::holds_alternative<MessageRefused>(
          ParseClientMessage(text.substr(0, size), kLimits)));
      EXPECT_FALSE(ParseServerMessage(text.substr(0, size), kLimits).ok());
    }
    for (size_t bit = 0; bit < text.size() * 8; ++bit) {
      std::string flipped = text;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      const auto result = ParseClientMessage(flipped, kLimits);
      if (const auto* message = std::get_if<ClientMessage>(&result)) {
        EXPECT_TRUE(nlohmann::json::accept(WriteMessage(*message)));
      }
      (void)ParseServerMessage(flipped, kLimits);
    }
  }
}

TEST(MessageTest, NewerServerMessagesAreTold) {
  EXPECT_THAT(ParseServerMessage(R"({"type":"novelty"})", kLimits),
              StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(ParseServerMessage(R"({"type":"joined"})", kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const auto error = ParseServerMessage(
      R"({"type":"error","code":"novelty","message":""})", kLimits);
  ASSERT_OK(error);
  EXPECT_EQ(std::get<Error>(error->body).code, ErrorCode::kUnknown);
}

TEST(MessageTest, Metadata) {
  EXPECT_TRUE(IsValidMeta("{}", kLimits));
  EXPECT_FALSE(IsValidMeta("[]", kLimits));
  EXPECT_FALSE(IsValidMeta(" {}", kLimits));
  EXPECT_FALSE(IsValidMeta("{", kLimits));
}

}  // namespace
}  // namespace kyuu::signaling
