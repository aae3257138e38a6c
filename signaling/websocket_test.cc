#include "signaling/websocket.h"

#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/internal/utf8.h"
#include "signaling/internal/websocket_frame.h"

namespace kyuu::signaling {
namespace {

using ::testing::HasSubstr;

const absl::Time kStart = absl::FromUnixSeconds(1000);

std::vector<WebSocket::Event> Events(WebSocket& socket) {
  std::vector<WebSocket::Event> events;
  while (auto event = socket.PollEvent()) events.push_back(*std::move(event));
  return events;
}

// All that `socket` has to send, polled in pieces of `step` bytes.
std::string Sent(WebSocket& socket, absl::Time now = kStart,
                 size_t step = 4096) {
  std::string all;
  std::vector<uint8_t> out(step);
  while (auto piece = socket.PollTransmit(now, absl::MakeSpan(out))) {
    absl::StrAppend(&all, AsText(*piece));
  }
  return all;
}

// A frame as a client sends it (masked) or a server does.
std::string Frame(uint8_t first, absl::string_view payload, bool masked) {
  std::string frame(1, static_cast<char>(first));
  const uint8_t bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(bit | payload.size()));
  } else if (payload.size() <= 0xffff) {
    frame.push_back(static_cast<char>(bit | 126));
    frame.push_back(static_cast<char>(payload.size() >> 8));
    frame.push_back(static_cast<char>(payload.size()));
  } else {
    frame.push_back(static_cast<char>(bit | 127));
    for (int shift = 56; shift >= 0; shift -= 8) {
      frame.push_back(static_cast<char>(payload.size() >> shift));
    }
  }
  if (masked) frame += "abcd";
  for (size_t i = 0; i < payload.size(); ++i) {
    frame.push_back(
        static_cast<char>(payload[i] ^ (masked ? "abcd"[i % 4] : 0)));
  }
  return frame;
}

struct Fixture {
  explicit Fixture(const WebSocketOptions& with = {},
                   WebSocketRole role = WebSocketRole::kServer)
      : options(with), socket(options, role, random, kStart) {}
  explicit Fixture(WebSocketRole role) : Fixture(WebSocketOptions{}, role) {}
  const WebSocketOptions options;
  SeededRandom random{1};
  WebSocket socket;
};

TEST(WebSocketFrameTest, AcceptKeyOfRfc6455Section1_3) {
  EXPECT_EQ(internal::AcceptKey("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

// RFC 6455 section 5.7, "Examples".
TEST(WebSocketTest, ExamplesOfRfc6455Section5_7) {
  Fixture client(WebSocketRole::kClient);
  // A single-frame unmasked text message; then the same in two fragments.
  client.socket.HandlePacket(kStart, FromHex("81 05 48 65 6c 6c 6f"));
  client.socket.HandlePacket(kStart, FromHex("01 03 48 65 6c 80 02 6c 6f"));
  // Unmasked ping; 256 bytes in a frame with 16 bits of length.
  client.socket.HandlePacket(kStart, FromHex("89 05 48 65 6c 6c 6f"));
  std::vector<uint8_t> binary = FromHex("82 7E 01 00");
  binary.resize(4 + 256, 7);
  client.socket.HandlePacket(kStart, binary);
  const auto events = Events(client.socket);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(std::get<WebSocketMessage>(events[0]).data, "Hello");
  EXPECT_EQ(std::get<WebSocketMessage>(events[1]).data, "Hello");
  EXPECT_EQ(std::get<WebSocketMessage>(events[2]).kind, MessageKind::kBinary);
  EXPECT_EQ(std::get<WebSocketMessage>(events[2]).data, std::string(256, 7));
  const std::string pong = Sent(client.socket);
  ASSERT_EQ(pong.size(), 11u);
  EXPECT_EQ(pong.substr(0, 2), "\x8a\x85");

  Fixture server;
  // A single-frame masked text message, and a masked pong.
  server.socket.HandlePacket(kStart,
                             FromHex("81 85 37 fa 21 3d 7f 9f 4d 51 58"
                                     "8a 85 37 fa 21 3d 7f 9f 4d 51 58"));
  const auto at_server = Events(server.socket);
  ASSERT_EQ(at_server.size(), 1u);
  EXPECT_EQ(std::get<WebSocketMessage>(at_server[0]).data, "Hello");
  EXPECT_EQ(server.socket.stats().pongs_received, 1u);
}

TEST(WebSocketTest, WhatOneRoleSendsTheOtherReads) {
  for (const size_t size : {0, 1, 125, 126, 127, 65535, 65536}) {
    for (const size_t step : {1, 3, 4096, 100000}) {
      if (size > 1000 && step < 4096) continue;
      Fixture server;
      Fixture client(WebSocketRole::kClient);
      const std::string data(size, 'x');
      ASSERT_OK(server.socket.Send(kStart, MessageKind::kText, data));
      ASSERT_OK(client.socket.Send(kStart, MessageKind::kBinary, data));
      const std::string down = Sent(server.socket, kStart, step);
      const std::string up = Sent(client.socket, kStart, step);
      client.socket.HandlePacket(kStart, AsBytes(down));
      server.socket.HandlePacket(kStart, AsBytes(up));
      const auto at_client = Events(client.socket);
      const auto at_server = Events(server.socket);
      ASSERT_EQ(at_client.size(), 1u) << size;
      ASSERT_EQ(at_server.size(), 1u) << size;
      EXPECT_EQ(std::get<WebSocketMessage>(at_client[0]).data, data);
      EXPECT_EQ(std::get<WebSocketMessage>(at_server[0]).data, data);
      EXPECT_EQ(server.socket.queued_bytes(), 0u);
    }
  }
}

TEST(WebSocketTest, OneByteAtATimeGivesTheSame) {
  Fixture server;
  const std::string bytes = Frame(0x01, "Gr\xc3", true) +
                            Frame(0x89, "ping", true) +
                            Frame(0x80, "\xbc\xc3\x9f", true);
  for (const char c : bytes) {
    server.socket.HandlePacket(kStart, AsBytes(absl::string_view(&c, 1)));
  }
  const auto events = Events(server.socket);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(std::get<WebSocketMessage>(events[0]).data, "Gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(Sent(server.socket), Frame(0x8a, "ping", false));
}

// The rules of RFC 6455 sections 5.1 to 5.5, 7.4 and 8.1, one row for each way
// to break them.
struct Violation {
  const char* name;
  WebSocketRole role;
  std::string bytes;
  uint16_t code;
};

std::vector<Violation> Violations() {
  const auto server = WebSocketRole::kServer;
  const auto client = WebSocketRole::kClient;
  const auto close = [](std::string payload) {
    return Frame(0x88, payload, true);
  };
  return {
      {"unmasked to a server", server, Frame(0x81, "x", false), 1002},
      {"masked to a client", client, Frame(0x81, "x", true), 1002},
      {"RSV1", server, Frame(0xc1, "x", true), 1002},
      {"RSV2", server, Frame(0xa1, "x", true), 1002},
      {"RSV3", server, Frame(0x91, "x", true), 1002},
      {"opcode 3", server, Frame(0x83, "x", true), 1002},
      {"opcode 7", server, Frame(0x87, "x", true), 1002},
      {"opcode 11", server, Frame(0x8b, "x", true), 1002},
      {"opcode 15", server, Frame(0x8f, "x", true), 1002},
      {"fragmented ping", server, Frame(0x09, "x", true), 1002},
      {"long ping", server, Frame(0x89, std::string(126, 'x'), true), 1002},
      {"continuation of nothing", server, Frame(0x80, "x", true), 1002},
      {"text inside a message", server,
       Frame(0x01, "x", true) + Frame(0x81, "y", true), 1002},
      {"binary inside a message", server,
       Frame(0x01, "x", true) + Frame(0x82, "y", true), 1002},
      {"16-bit length below 126", client, std::string("\x81\x7e\x00\x7d", 4),
       1002},
      {"64-bit length below 65536", client,
       std::string("\x81\x7f\0\0\0\0\0\0\xff\xff", 10), 1002},
      {"length above 2^63", client, "\x81\x7f\x80", 1002},
      {"close of one byte", server, close("x"), 1002},
      {"close code 999", server, close("\x03\xe7"), 1002},
      {"close code 1004", server, close("\x03\xec"), 1002},
      {"close code 1005", server, close("\x03\xed"), 1002},
      {"close code 1006", server, close("\x03\xee"), 1002},
      {"close code 1015", server, close("\x03\xf7"), 1002},
      {"close code 2999", server, close("\x0b\xb7"), 1002},
      {"close code 5000", server, close("\x13\x88"), 1002},
      {"close reason not UTF-8", server, close("\x03\xe8\xff"), 1007},
      {"text not UTF-8", server, Frame(0x81, "a\xff", true), 1007},
      {"surrogate", server, Frame(0x81, "\xed\xa0\x80", true), 1007},
      {"overlong", server, Frame(0x81, "\xc0\xaf", true), 1007},
      {"above U+10FFFF", server, Frame(0x81, "\xf4\x90\x80\x80", true), 1007},
      {"text ends inside a character", server, Frame(0x81, "\xe2\x82", true),
       1007},
      {"message above the limit", server,
       Frame(0x82, std::string(65537, 'x'), true), 1009},
      {"fragments above the limit", server,
       Frame(0x02, std::string(60000, 'x'), true) +
           Frame(0x80, std::string(6000, 'x'), true),
       1009},
  };
}

TEST(WebSocketTest, EachViolationClosesWithItsCode) {
  for (const Violation& v : Violations()) {
    SCOPED_TRACE(v.name);
    Fixture f(v.role);
    f.socket.HandlePacket(kStart, AsBytes(v.bytes));
    const auto events = Events(f.socket);
    ASSERT_EQ(events.size(), 1u);
    const auto& closed = std::get<WebSocketClosed>(events[0]);
    EXPECT_THAT(closed.status, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(closed.code, v.code);
    // The peer is told, with a valid Close frame.
    Fixture peer(v.role == WebSocketRole::kServer ? WebSocketRole::kClient
                                                  : WebSocketRole::kServer);
    peer.socket.HandlePacket(kStart, AsBytes(Sent(f.socket)));
    const auto told = Events(peer.socket);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(std::get<WebSocketClosed>(told[0]).code, v.code);
    EXPECT_TRUE(f.socket.finished());
    // What follows is dropped and counted.
    f.socket.HandlePacket(kStart, AsBytes("more"));
    EXPECT_GE(f.socket.stats().bytes_after_close, 4u);
    EXPECT_TRUE(Events(f.socket).empty());
  }
}

TEST(WebSocketTest, InvalidTextFailsAtTheOffendingByte) {
  Fixture f;
  std::string bytes = Frame(0x01, std::string("ok \xff more", 9), true);
  bytes.resize(2 + 4 + 4);  // Up to the wrong byte; the frame goes on.
  f.socket.HandlePacket(kStart, AsBytes(bytes));
  ASSERT_EQ(Events(f.socket).size(), 1u);
}

TEST(WebSocketTest, MessageAboveTheLimitFailsAtItsHeader) {
  Fixture f;
  const std::string frame = Frame(0x82, std::string(65537, 'x'), true);
  f.socket.HandlePacket(kStart, AsBytes(frame.substr(0, 14)));
  ASSERT_EQ(Events(f.socket).size(), 1u);
}

TEST(WebSocketTest, PeersCloseIsEchoed) {
  Fixture f;
  f.socket.HandlePacket(kStart, AsBytes(Frame(0x88, "\x0f\xa1 bye", true)));
  const auto events = Events(f.socket);
  ASSERT_EQ(events.size(), 1u);
  const auto& closed = std::get<WebSocketClosed>(events[0]);
  EXPECT_OK(closed.status);
  EXPECT_EQ(closed.code, 4001);
  EXPECT_EQ(closed.reason, " bye");
  EXPECT_EQ(Sent(f.socket), Frame(0x88, "\x0f\xa1", false));
  EXPECT_FALSE(f.socket.open());
  EXPECT_THAT(f.socket.Send(kStart, MessageKind::kText, "late"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(WebSocketTest, CloseWithoutCodeIs1005) {
  Fixture f;
  f.socket.HandlePacket(kStart, AsBytes(Frame(0x88, "", true)));
  const auto events = Events(f.socket);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(std::get<WebSocketClosed>(events[0]).code, kCloseNoStatus);
  EXPECT_EQ(Sent(f.socket), Frame(0x88, "", false));
}

TEST(WebSocketTest, OurCloseFollowsWhatIsQueuedAndWaitsForTheAnswer) {
  Fixture f;
  ASSERT_OK(f.socket.Send(kStart, MessageKind::kText, "last"));
  ASSERT_OK(f.socket.Close(kStart, kCloseGoingAway, "restart"));
  ASSERT_OK(f.socket.Close(kStart, kCloseNormal, ""));
  EXPECT_EQ(Sent(f.socket),
            Frame(0x81, "last", false) + Frame(0x88, "\x03\xe9restart", false));
  // A message that crosses is not reported, the answer ends it.
  f.socket.HandlePacket(kStart, AsBytes(Frame(0x81, "crossing", true)));
  EXPECT_TRUE(Events(f.socket).empty());
  f.socket.HandlePacket(kStart, AsBytes(Frame(0x88, "\x03\xe9", true)));
  const auto events = Events(f.socket);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_OK(std::get<WebSocketClosed>(events[0]).status);
  EXPECT_EQ(std::get<WebSocketClosed>(events[0]).code, kCloseGoingAway);
}

TEST(WebSocketTest, UnansweredCloseEndsInTime) {
  Fixture f;
  ASSERT_OK(f.socket.Close(kStart, kCloseNormal, ""));
  EXPECT_EQ(f.socket.NextTimeout(), kStart + absl::Seconds(5));
  f.socket.HandleTimeout(kStart + absl::Seconds(5));
  const auto events = Events(f.socket);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_THAT(std::get<WebSocketClosed>(events[0]).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(WebSocketTest, CloseRefusesWhatMayNotBeSent) {
  Fixture f;
  for (const int code : {999, 1004, 1005, 1006, 1015, 2000, 5000}) {
    EXPECT_THAT(f.socket.Close(kStart, static_cast<uint16_t>(code), ""),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << code;
  }
  EXPECT_THAT(f.socket.Close(kStart, 1000, std::string(124, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(f.socket.Send(kStart, MessageKind::kText, "\xff"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(f.socket.open());
}

TEST(WebSocketTest, DeadPeerIsNoticedIn35Seconds) {
  Fixture f;
  EXPECT_EQ(f.socket.NextTimeout(), kStart + absl::Seconds(25));
  f.socket.HandleTimeout(kStart + absl::Seconds(24));
  EXPECT_EQ(Sent(f.socket), "");
  f.socket.HandleTimeout(kStart + absl::Seconds(25));
  f.socket.HandleTimeout(kStart + absl::Seconds(25));
  EXPECT_EQ(Sent(f.socket), Frame(0x89, "", false));
  EXPECT_EQ(f.socket.NextTimeout(), kStart + absl::Seconds(35));
  f.socket.HandleTimeout(kStart + absl::Seconds(35));
  const auto events = Events(f.socket);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_THAT(std::get<WebSocketClosed>(events[0]).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(f.socket.NextTimeout(), absl::InfiniteFuture());
}

TEST(WebSocketTest, PongKeepsThePeerAlive) {
  Fixture f;
  f.socket.HandleTimeout(kStart + absl::Seconds(25));
  f.socket.HandlePacket(kStart + absl::Seconds(30),
                        AsBytes(Frame(0x8a, "", true)));
  EXPECT_EQ(f.socket.NextTimeout(), kStart + absl::Seconds(55));
  EXPECT_TRUE(f.socket.open());
}

TEST(WebSocketTest, ControlFramesPassWaitingMessagesButNeverCutAFrame) {
  Fixture f;
  ASSERT_OK(f.socket.Send(kStart, MessageKind::kText, "first"));
  ASSERT_OK(f.socket.Send(kStart, MessageKind::kText, "second"));
  std::vector<uint8_t> out(3);
  std::string all(AsText(*f.socket.PollTransmit(kStart, absl::MakeSpan(out))));
  f.socket.HandlePacket(kStart, AsBytes(Frame(0x89, "?", true)));
  all += Sent(f.socket);
  EXPECT_EQ(all, Frame(0x81, "first", false) + Frame(0x8a, "?", false) +
                     Frame(0x81, "second", false));
}

TEST(WebSocketTest, FloodOfPingsToASlowReaderQueuesOnePong) {
  Fixture f;
  for (int i = 0; i < 10000; ++i) {
    f.socket.HandlePacket(kStart, AsBytes(Frame(0x89, absl::StrCat(i), true)));
  }
  EXPECT_EQ(Sent(f.socket), Frame(0x8a, "9999", false));
}

TEST(WebSocketTest, SlowReaderIsCutAtTheQueueLimit) {
  WebSocketOptions options;
  options.max_queued_bytes = 10000;
  Fixture f(options);
  const std::string data(1000, 'x');
  absl::Status status;
  int sent = 0;
  while ((status = f.socket.Send(kStart, MessageKind::kText, data)).ok()) {
    ASSERT_LT(++sent, 10);
  }
  EXPECT_EQ(sent, 9);  // 1064 each.
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
  const auto events = Events(f.socket);
  ASSERT_EQ(events.size(), 1u);
  const auto& closed = std::get<WebSocketClosed>(events[0]);
  EXPECT_THAT(closed.status, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(std::string(closed.status.message()), HasSubstr("slow reader"));
  EXPECT_EQ(f.socket.queued_bytes(), 0u);
}

TEST(WebSocketTest, UnreadMessagesAreBounded) {
  Fixture f;
  const std::string one = Frame(0x81, std::string(1000, 'x'), true);
  for (int i = 0; i < 2000; ++i) f.socket.HandlePacket(kStart, AsBytes(one));
  const auto events = Events(f.socket);
  EXPECT_LE(events.size(), 1024u * 1024 / 1064 + 1);
  EXPECT_THAT(std::get<WebSocketClosed>(events.back()).status,
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(WebSocketTest, LostStreamIsAbnormalClosure) {
  Fixture f;
  f.socket.HandleStreamEnd(kStart);
  f.socket.HandleStreamEnd(kStart);
  const auto events = Events(f.socket);
  ASSERT_EQ(events.size(), 1u);
  const auto& closed = std::get<WebSocketClosed>(events[0]);
  EXPECT_THAT(closed.status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(closed.code, kCloseAbnormal);
  EXPECT_TRUE(f.socket.finished());
}

TEST(WebSocketTest, BitFlipsAndTruncationNeverHang) {
  const std::string bytes =
      Frame(0x01, "one", true) + Frame(0x89, "two", true) +
      Frame(0x80, std::string(200, 'x'), true) + Frame(0x88, "\x03\xe8", true);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    Fixture f;
    f.socket.HandlePacket(kStart, AsBytes(flipped));
    f.socket.HandleStreamEnd(kStart);
    const auto events = Events(f.socket);
    ASSERT_FALSE(events.empty());
    EXPECT_TRUE(std::holds_alternative<WebSocketClosed>(events.back()));
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    Fixture f;
    f.socket.HandlePacket(kStart, AsBytes(bytes).first(size));
    EXPECT_TRUE(f.socket.open());
  }
}

TEST(Utf8Test, AllCharactersPassAndNothingElse) {
  // Every code point, encoded by hand, in all four lengths.
  for (uint32_t c = 0; c <= 0x10ffff; ++c) {
    std::string text;
    const auto put = [&](uint32_t b) { text.push_back(static_cast<char>(b)); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xc0 | c >> 6), put(0x80 | (c & 63));
    } else if (c < 0x10000) {
      put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    } else {
      put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63));
      put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    }
    const bool surrogate = c >= 0xd800 && c <= 0xdfff;
    ASSERT_EQ(internal::IsUtf8(text), !surrogate) << c;
    if (text.size() > 1) {
      ASSERT_FALSE(internal::IsUtf8(text.substr(0, text.size() - 1)));
      ASSERT_FALSE(internal::IsUtf8(text.substr(1)));
    }
  }
  EXPECT_FALSE(internal::IsUtf8("\xf5\x80\x80\x80"));
  EXPECT_FALSE(internal::IsUtf8("\xe0\x9f\xbf"));
  EXPECT_FALSE(internal::IsUtf8("\xf0\x8f\xbf\xbf"));
  EXPECT_TRUE(internal::IsUtf8("sixteen bytes.. and more \xe2\x82\xac"));
}

// Empty messages cost memory, too, until they are taken.
TEST(WebSocketTest, WhatIsNotTakenIsBounded) {
  Fixture f(WebSocketOptions{.max_unread_bytes = 3 * 64});
  const std::string frame = Frame(0x81, "", true);
  for (int i = 0; i < 3; ++i) f.socket.HandlePacket(kStart, AsBytes(frame));
  EXPECT_EQ(Events(f.socket).size(), 3u);
  for (int i = 0; i < 4; ++i) f.socket.HandlePacket(kStart, AsBytes(frame));
  const std::vector<WebSocket::Event> events = Events(f.socket);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_THAT(std::get<WebSocketClosed>(events[3]).status,
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Sent(f.socket), HasSubstr("too many messages at once"));
}

}  // namespace
}  // namespace kyuu::signaling
