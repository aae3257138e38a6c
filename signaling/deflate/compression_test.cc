// Compressed messages (RFC 7692) from the handshake to the message: a server's
// end against frames of a client, and two ends against each other.

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/heap_testing.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/deflate/deflate.h"
#include "signaling/server_connection.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const absl::Time kStart = absl::FromUnixSeconds(1000);
constexpr uint8_t kFin = 0x80, kRsv1 = 0x40, kText = 1, kPing = 9;

// All that `engine` has to send.
template <typename Engine>
std::string Sent(Engine& engine, size_t step = 4096) {
  std::string all;
  std::vector<uint8_t> out(step);
  while (auto piece = engine.PollTransmit(kStart, absl::MakeSpan(out))) {
    absl::StrAppend(&all, AsText(*piece));
  }
  return all;
}

// A frame as a client sends it, masked by zeros.
std::string Frame(int first, absl::string_view payload) {
  std::string frame(1, static_cast<char>(first));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else {
    frame.push_back('\xfe');
    frame.push_back(static_cast<char>(payload.size() >> 8));
    frame.push_back(static_cast<char>(payload.size()));
  }
  return absl::StrCat(frame, std::string(4, '\0'), payload);
}

std::string HexText(absl::string_view hex) {
  return std::string(AsText(FromHex(hex)));
}

// RFC 7692 section 7.2.3.1.
const std::string kHello = HexText("f2 48 cd c9 c9 07 00");
const std::string kOffer =
    absl::StrCat("v=0\r\n", std::string(300, 'a'), std::string(300, 'b'));

struct Server {
  explicit Server(const WebSocketOptions& with = {})
      : options(with), socket(options, WebSocketRole::kServer, random, kStart) {
    socket.Compress(deflate, 15);
  }
  void Receive(absl::string_view bytes) {
    socket.HandlePacket(kStart, AsBytes(bytes));
  }
  // The texts that have come, and behind them how it was closed, if it was.
  std::string Heard() {
    std::string heard;
    while (auto event = socket.PollEvent()) {
      if (const auto* message = std::get_if<WebSocketMessage>(&*event)) {
        absl::StrAppend(&heard, message->data, ";");
      } else {
        const auto& closed = std::get<WebSocketClosed>(*event);
        absl::StrAppend(&heard, closed.code, " ", closed.status.message());
      }
    }
    return heard;
  }
  Deflate deflate;
  const WebSocketOptions options;
  SeededRandom random{1};
  WebSocket socket;
};

TEST(CompressionTest, WhatAClientMaySay) {
  const std::string first = kHello.substr(0, 4), rest = kHello.substr(4);
  const struct {
    const char* name;
    std::string bytes;
    const char* heard;
  } kRows[] = {
      {"one frame", Frame(kFin | kRsv1 | kText, kHello), "Hello;"},
      {"not compressed", Frame(kFin | kText, "Hello"), "Hello;"},
      {"fragments", Frame(kRsv1 | kText, first) + Frame(kFin, rest), "Hello;"},
      {"a ping between",
       Frame(kRsv1 | kText, first) + Frame(kFin | kPing, "x") +
           Frame(kFin, rest),
       "Hello;"},
      {"fragments of nothing",
       Frame(kRsv1 | kText, "") + Frame(0, kHello) + Frame(0, "") +
           Frame(kFin, ""),
       "Hello;"},
      {"empty", Frame(kFin | kRsv1 | kText, std::string(1, '\0')), ";"},
      {"empty, not compressed", Frame(kFin | kText, ""), ";"},
      {"both kinds",
       Frame(kFin | kRsv1 | kText, kHello) + Frame(kFin | kText, "you") +
           Frame(kText, "a") + Frame(kFin, "b") +
           Frame(kFin | kRsv1 | kText, kHello),
       "Hello;you;ab;Hello;"},
      {"BFINAL",
       Frame(kFin | kRsv1 | kText, HexText("f3 48 cd c9 c9 07 00 00")),
       "Hello;"},
      {"UTF-8 cut in the middle of a fragment",
       Frame(kRsv1 | kText, HexText("00 02 00 fd ff c3")) +
           Frame(kFin, HexText("a4 00")),
       "\xc3\xa4;"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    Server whole, pieces;
    whole.Receive(row.bytes);
    EXPECT_EQ(whole.Heard(), row.heard);
    for (const char& c : row.bytes) pieces.Receive({&c, 1});
    EXPECT_EQ(pieces.Heard(), row.heard);
  }
}

TEST(CompressionTest, WhatItMayNotClosesWithItsCode) {
  const struct {
    const char* name;
    std::string bytes;
    const char* heard;
  } kRows[] = {
      // RFC 7692 sections 6.1 and 6.2, RFC 6455 section 5.2.
      {"RSV1 in a continuation",
       Frame(kRsv1 | kText, kHello) + Frame(kFin | kRsv1, ""), "1002"},
      {"RSV1 in a continuation of what is not compressed",
       Frame(kText, "a") + Frame(kFin | kRsv1, ""), "1002"},
      {"RSV1 in a ping", Frame(kFin | kRsv1 | kPing, ""), "1002"},
      {"RSV1 in a pong", Frame(kFin | kRsv1 | 10, ""), "1002"},
      {"RSV1 in a close", Frame(kFin | kRsv1 | 8, ""), "1002"},
      {"RSV2", Frame(kFin | 0x20 | kText, kHello), "1002"},
      {"RSV1 and RSV3", Frame(kFin | kRsv1 | 0x10 | kText, kHello), "1002"},
      {"no DEFLATE", Frame(kFin | kRsv1 | kText, "{\"type\":\"ping\"}"),
       "1007"},
      {"cut", Frame(kFin | kRsv1 | kText, kHello.substr(0, 3)), "1007"},
      // Stored: FF, and half of a character.
      {"not UTF-8",
       Frame(kFin | kRsv1 | kText, HexText("00 01 00 fe ff ff 00")), "1007"},
      {"half of a character",
       Frame(kFin | kRsv1 | kText, HexText("00 01 00 fe ff c3 00")), "1007"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    Server server;
    server.Receive(row.bytes);
    EXPECT_THAT(server.Heard(), StartsWith(row.heard));
    EXPECT_EQ(Sent(server.socket).substr(0, 1), "\x88");
  }
  // Known at the first byte.
  Server server;
  server.Receive("\xc9");
  EXPECT_THAT(server.Heard(), StartsWith("1002"));
}

TEST(CompressionTest, WithoutItRsv1IsReserved) {
  Server server;
  SeededRandom random{1};
  WebSocket plain(server.options, WebSocketRole::kServer, random, kStart);
  plain.HandlePacket(kStart, AsBytes(Frame(kFin | kRsv1 | kText, kHello)));
  const auto event = plain.PollEvent();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(std::get<WebSocketClosed>(*event).code, 1002);
}

// Of a message that would be longer than it may be no more than that is made.
TEST(CompressionTest, ABombEndsWith1009AndIsCounted) {
  WebSocketOptions options;
  options.max_message_bytes = 10'000;
  Server server(options);
  Deflate theirs;
  const std::string fits(theirs.Compress(std::string(10'000, 'x'), 15).value());
  const std::string bomb(theirs.Compress(std::string(10'001, 'x'), 15).value());
  EXPECT_LT(bomb.size(), 100u);
  server.Receive(Frame(kFin | kRsv1 | kText, fits));
  EXPECT_EQ(server.Heard(), std::string(10'000, 'x') + ";");
  server.Receive(Frame(kRsv1 | kText, bomb.substr(0, 9)) +
                 Frame(kFin, bomb.substr(9)));
  EXPECT_THAT(server.Heard(), StartsWith("1009 "));
  EXPECT_EQ(Sent(server.socket).substr(2, 2), HexText("03 f1"));
  EXPECT_EQ(server.deflate.stats().inflated_too_long, 1u);
  EXPECT_EQ(server.deflate.stats().messages_inflated, 1u);
}

// Nor are bytes collected that cannot become a message.
TEST(CompressionTest, WhatIsCompressedIsBoundedAtItsHeader) {
  WebSocketOptions options;
  options.max_message_bytes = 800;
  const size_t most = Deflate::MaxCompressedBytes(800);
  ASSERT_EQ(most, 964u);
  const std::string noise(most + 1, '\xff');
  Server within(options);
  within.Receive(Frame(kRsv1 | kText, noise.substr(0, most)));
  EXPECT_EQ(within.Heard(), "");
  EXPECT_EQ(within.socket.held_bytes(), most);
  within.Receive(Frame(0, "x").substr(0, 6));
  EXPECT_THAT(within.Heard(), StartsWith("1009 "));
  Server beyond(options);
  beyond.Receive(Frame(kRsv1 | kText, noise).substr(0, 8));
  EXPECT_THAT(beyond.Heard(), StartsWith("1009 "));
  // One that is not compressed keeps its bound behind one that was.
  Server plain(options);
  plain.Receive(Frame(kFin | kRsv1 | kText, kHello));
  plain.Receive(Frame(kFin | kText, std::string(801, 'x')).substr(0, 8));
  EXPECT_THAT(plain.Heard(), HasSubstr("Hello;1009 "));
}

TEST(CompressionTest, WhatOneRoleSendsTheOtherReads) {
  Deflate deflate({.min_bytes = 0});
  SeededRandom random{1};
  const WebSocketOptions options;
  for (const int bits : {8, 9, 15}) {
    for (const size_t size : {0, 1, 125, 126, 1200, 65535, 65536}) {
      for (const char* of : {"abcdefgh", "random"}) {
        std::string data(size, '\0');
        for (char& c : data) {
          c = static_cast<char>(of[0] == 'a' ? of[random.Below(8)]
                                             : random.Below(256));
        }
        WebSocket server(options, WebSocketRole::kServer, random, kStart);
        WebSocket client(options, WebSocketRole::kClient, random, kStart);
        server.Compress(deflate, bits);
        client.Compress(deflate, 15);
        ASSERT_OK(server.Send(kStart, MessageKind::kBinary, data));
        ASSERT_OK(client.Send(kStart, MessageKind::kBinary, data));
        EXPECT_LE(server.queued_bytes(), size + 64);
        const std::string down = Sent(server, 1000), up = Sent(client, 3000);
        client.HandlePacket(kStart, AsBytes(down));
        server.HandlePacket(kStart, AsBytes(up));
        for (WebSocket* socket : {&server, &client}) {
          const auto event = socket->PollEvent();
          ASSERT_TRUE(event.has_value()) << bits << " " << size << " " << of;
          EXPECT_TRUE(std::get<WebSocketMessage>(*event).data == data);
          EXPECT_FALSE(socket->PollEvent().has_value());
        }
      }
    }
  }
  EXPECT_GT(deflate.stats().messages_deflated, 10u);
  EXPECT_EQ(deflate.stats().messages_deflated,
            deflate.stats().messages_inflated);
}

// Behind the loss of its client nobody compresses for it, nor inflates what it
// says while it is being closed.
TEST(CompressionTest, NothingIsInflatedForACallerWhoWantsNoMore) {
  Server server;
  ASSERT_OK(server.socket.Close(kStart, kCloseNormal, ""));
  server.Receive(Frame(kFin | kRsv1 | kText, "no DEFLATE") +
                 Frame(kFin | 8, HexText("03 e8")));
  EXPECT_EQ(server.Heard(), "1000 ");
  EXPECT_EQ(server.deflate.stats().inflated_malformed, 0u);
}

constexpr char kHandshake[] =
    "GET /v1/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n";

// Upgraded, with such fields of extensions, and how it was answered.
std::unique_ptr<ServerConnection> Upgraded(
    const ServerConnectionOptions& options, Random& random,
    absl::string_view fields, std::string& answer) {
  auto connection = std::make_unique<ServerConnection>(options, random, kStart);
  connection->HandlePacket(kStart,
                           AsBytes(absl::StrCat(kHandshake, fields, "\r\n")));
  const auto event = connection->PollEvent();
  if (event && std::holds_alternative<UpgradeRequested>(*event)) {
    EXPECT_OK(connection->AcceptUpgrade(kStart, ""));
  }
  answer = Sent(*connection);
  return connection;
}

TEST(CompressionTest, TheServerGrantsWhatIsOfferedIfItIsTold) {
  Deflate deflate;
  SeededRandom random{1};
  ServerConnectionOptions with, without;
  with.deflate = &deflate;
  constexpr char kPlainOffer[] =
      "Sec-WebSocket-Extensions: permessage-deflate; "
      "client_max_window_bits\r\n";
  std::string answer;
  Upgraded(without, random, kPlainOffer, answer);
  EXPECT_THAT(answer, Not(HasSubstr("Extensions")));
  Upgraded(with, random, "", answer);
  EXPECT_THAT(answer, Not(HasSubstr("Extensions")));
  auto connection = Upgraded(with, random, kPlainOffer, answer);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(answer, HasSubstr("Sec-WebSocket-Extensions: permessage-deflate; "
                                "server_no_context_takeover; "
                                "client_no_context_takeover\r\n"));
  connection->HandlePacket(kStart,
                           AsBytes(Frame(kFin | kRsv1 | kText, kHello)));
  EXPECT_EQ(std::get<WebSocketMessage>(connection->PollEvent().value()).data,
            "Hello");
  ASSERT_OK(connection->SendUtf8(kStart, kOffer));
  EXPECT_LT(Sent(*connection).size(), 100u);
  // Of several fields each is looked at (RFC 6455 section 9.1).
  Upgraded(with, random,
           "Sec-WebSocket-Extensions: foo\r\nSec-WebSocket-Extensions: "
           "permessage-deflate; server_max_window_bits=9\r\n",
           answer);
  EXPECT_THAT(answer, HasSubstr("; server_max_window_bits=9\r\n"));
  Upgraded(with, random, "Sec-WebSocket-Extensions: permessage-deflate;\r\n",
           answer);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("Sec-WebSocket-Extensions"));
  // One that is granted to the client before is not granted to the next.
  auto next = Upgraded(with, random, "", answer);
  next->HandlePacket(kStart, AsBytes(Frame(kFin | kRsv1 | kText, kHello)));
  EXPECT_EQ(std::get<WebSocketClosed>(next->PollEvent().value()).code, 1002);
}

#ifdef KYUU_HEAP_IS_TOLD
TEST(CompressionTest, AnIdleWebSocketHoldsNothingOfIt) {
  constexpr size_t kConnections = 200;
  Deflate deflate;
  SeededRandom random{1};
  ServerConnectionOptions options;
  options.deflate = &deflate;
  // Each has said and heard a message that was compressed.
  const auto used = [&] {
    std::string answer;
    auto connection =
        Upgraded(options, random,
                 "Sec-WebSocket-Extensions: permessage-deflate\r\n", answer);
    EXPECT_THAT(answer, HasSubstr("permessage-deflate"));
    connection->HandlePacket(kStart,
                             AsBytes(Frame(kFin | kRsv1 | kText, kHello)));
    EXPECT_TRUE(connection->PollEvent().has_value());
    EXPECT_OK(connection->SendUtf8(kStart, kOffer));
    EXPECT_LT(Sent(*connection).size(), 100u);
    return connection;
  };
  const auto warm_up = used();
  std::vector<std::unique_ptr<ServerConnection>> connections(kConnections);
  const size_t before = HeapBytes();
  for (auto& connection : connections) connection = used();
  const size_t bytes = (HeapBytes() - before) / kConnections;
  EXPECT_LT(bytes, sizeof(ServerConnection) + 64);
  EXPECT_GE(bytes, sizeof(ServerConnection)) << "nothing was measured";
  EXPECT_EQ(deflate.stats().messages_inflated, kConnections + 1);
}
#endif

}  // namespace
}  // namespace kyuu::signaling
