// The client's half of a stream of events, with the server's, and with servers
// that mean no good.

#include "signaling/events/event_source.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/server_connection.h"

namespace kyuu::signaling {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const absl::Time kStart = absl::FromUnixSeconds(1000);
constexpr char kHead[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
constexpr char kNamed[] = "event: stream\ndata: name\n\n";

EventSourceOptions Options() {
  EventSourceOptions options;
  options.url = WebSocketUrl::Parse("http://host:9/v1/events").value();
  return options;
}

// A source, and whatever its server pleases to say.
struct Told {
  explicit Told(const EventSourceOptions& options = Options())
      : source(options, kStart) {}

  void Hear(absl::string_view bytes, size_t step = 1 << 20) {
    for (size_t at = 0; at < bytes.size(); at += step) {
      source.HandlePacket(now, AsBytes(bytes.substr(at, step)));
      Drain();
    }
  }
  void Drain() {
    while (auto event = source.PollEvent()) {
      EXPECT_FALSE(closed.has_value()) << "an event behind the last one";
      if (const auto* opened = std::get_if<EventSourceOpened>(&*event)) {
        heard.push_back(absl::StrCat("opened ", opened->name));
      } else if (const auto* m = std::get_if<WebSocketMessage>(&*event)) {
        heard.push_back(m->data);
      } else if (std::holds_alternative<PostWanted>(*event)) {
        heard.push_back("ping");
      } else {
        closed = std::get<WebSocketClosed>(*std::move(event));
      }
    }
  }
  void Wait() {
    now = source.NextTimeout();
    source.HandleTimeout(now);
    Drain();
  }

  absl::Time now = kStart;
  EventSource source;
  std::vector<std::string> heard;
  std::optional<WebSocketClosed> closed;
};

std::string Sent(EventSource& source, size_t step = 7) {
  std::string all;
  std::vector<uint8_t> out(step);
  while (auto piece = source.PollTransmit(kStart, absl::MakeSpan(out))) {
    absl::StrAppend(&all, AsText(*piece));
  }
  return all;
}

TEST(EventSourceTest, AsksForTheStream) {
  EventSource source(Options(), kStart);
  EXPECT_EQ(Sent(source),
            "GET /v1/events HTTP/1.1\r\nHost: host:9\r\n"
            "Accept: text/event-stream\r\nCache-Control: no-store\r\n\r\n");
  EXPECT_FALSE(source.finished());
}

TEST(EventSourceTest, ATargetThatIsNoneIsNotAskedFor) {
  EventSourceOptions options = Options();
  options.url.target = "/a b";
  Told told(options);
  told.Drain();
  ASSERT_TRUE(told.closed.has_value());
  EXPECT_TRUE(told.source.finished());
  EXPECT_EQ(Sent(told.source), "");
}

// What the server's EventStream writes, whatever frames it on the way.
TEST(EventSourceTest, HearsTheServersEvents) {
  EventStream stream({}, "name", kStart);
  ASSERT_OK(stream.Send("{\"a\":\n1}"));
  stream.HandleTimeout(kStart + absl::Seconds(15));
  stream.HandleTimeout(kStart + absl::Seconds(25));
  stream.HandlePosted(kStart + absl::Seconds(25));
  stream.Close(1012, "restart");
  std::string body;
  std::vector<uint8_t> out(1000);
  while (auto piece = stream.PollTransmit(kStart, absl::MakeSpan(out))) {
    absl::StrAppend(&body, AsText(*piece));
  }
  const std::string head =
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"
      "Content-Type: Text/Event-Stream ; charset=utf-8\r\n";
  std::string chunks = "Transfer-Encoding: chunked\r\n\r\n";
  for (size_t at = 0; at < body.size(); at += 10) {
    const std::string piece = body.substr(at, 10);
    absl::StrAppend(&chunks, absl::Hex(piece.size()), "\r\n", piece, "\r\n");
  }
  for (const std::string& framed :
       {absl::StrCat("\r\n", body), chunks,
        absl::StrCat("Content-Length: ", body.size() + 1, "\r\n\r\n", body)}) {
    for (const size_t step : {size_t{1}, size_t{7}, size_t{10'000}}) {
      Told told;
      told.Hear(head, step);
      told.Hear(framed, step);
      EXPECT_THAT(told.heard,
                  ElementsAre("opened name", "{\"a\":\n1}", "ping"));
      ASSERT_TRUE(told.closed.has_value());
      EXPECT_OK(told.closed->status);
      EXPECT_EQ(told.closed->code, 1012);
      EXPECT_EQ(told.closed->reason, "restart");
      EXPECT_TRUE(told.source.finished());
    }
  }
}

TEST(EventSourceTest, TalksToTheServersConnection) {
  SeededRandom random(1);
  const ServerConnectionOptions options;
  ServerConnection server(options, random, kStart);
  Told told;
  server.HandlePacket(kStart, AsBytes(Sent(told.source)));
  ASSERT_TRUE(std::holds_alternative<HttpRequestReceived>(*server.PollEvent()));
  ASSERT_OK(server.AcceptEvents(kStart, "name", {}));
  ASSERT_OK(server.Send(kStart, MessageKind::kText, "{}"));
  std::vector<uint8_t> out(1000);
  while (auto piece = server.PollTransmit(kStart, absl::MakeSpan(out))) {
    told.Hear(AsText(*piece));
  }
  EXPECT_THAT(told.heard, ElementsAre("opened name", "{}"));
  EXPECT_FALSE(told.closed.has_value());
}

TEST(EventSourceTest, WhatIsNoStreamIsRefused) {
  using absl::StatusCode;
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const struct {
    const char* name;
    std::string answer;
    StatusCode code;
    const char* text;
  } rows[] = {
      {"redirect", "HTTP/1.1 302 Found\r\nLocation: http://b/\r\n\r\n",
       StatusCode::kUnavailable, "it points to http://b/"},
      {"refusal", "HTTP/1.1 403 Forbidden\r\n\r\n", StatusCode::kUnavailable,
       "\"403 Forbidden\""},
      {"no content", "HTTP/1.1 204 No Content\r\n\r\n",
       StatusCode::kUnavailable, "204"},
      {"upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
       StatusCode::kUnavailable, "101"},
      {"a page", ok + "Content-Type: text/html\r\n\r\n",
       StatusCode::kInvalidArgument, "no stream of events"},
      {"no type", ok + "\r\n", StatusCode::kInvalidArgument,
       "no stream of events"},
      {"two types",
       ok +
           "Content-Type: text/event-stream\r\nContent-Type: text/html\r\n\r\n",
       StatusCode::kInvalidArgument, "no stream of events"},
      {"packed",
       ok + "Content-Type: text/event-stream\r\nContent-Encoding: br\r\n\r\n",
       StatusCode::kUnimplemented, "packed"},
      {"no HTTP", "SSH-2.0-x\r\n\r\n", StatusCode::kInvalidArgument, "HTTP"},
      {"interim without end",
       absl::StrCat("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 C\r\n\r\n",
                    "HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 100 C\r\n\r\n",
                    "HTTP/1.1 100 C\r\n\r\n"),
       StatusCode::kInvalidArgument, "does not come to an answer"},
      {"header without end",
       absl::StrCat("HTTP/1.1 200 OK\r\nA: ", std::string(20'000, 'a')),
       StatusCode::kOutOfRange, "header above"},
      {"chunk that is none",
       ok + "Content-Type: text/event-stream\r\n"
            "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
       StatusCode::kInvalidArgument, "no chunk"},
      {"empty",
       ok + "Content-Type: text/event-stream\r\nContent-Length: 2\r\n\r\n\n\n",
       StatusCode::kUnavailable, "has ended"},
      {"no name", absl::StrCat(kHead, "data: {}\n\n"),
       StatusCode::kInvalidArgument, "no name"},
      {"a ping first", absl::StrCat(kHead, "event: ping\ndata\n\n"),
       StatusCode::kInvalidArgument, "no name"},
      {"an empty name", absl::StrCat(kHead, "event: stream\ndata\n\n"),
       StatusCode::kInvalidArgument, "name is none"},
      {"a name with a line end",
       absl::StrCat(kHead, "event: stream\ndata: a\ndata: b\n\n"),
       StatusCode::kInvalidArgument, "name is none"},
      {"a long name",
       absl::StrCat(kHead, "event: stream\ndata: ", std::string(257, 'a'),
                    "\n\n"),
       StatusCode::kInvalidArgument, "name is none"},
      {"two names", absl::StrCat(kHead, kNamed, kNamed),
       StatusCode::kInvalidArgument, "name is none"},
      {"not UTF-8", absl::StrCat(kHead, kNamed, "data: \xff\n\n"),
       StatusCode::kInvalidArgument, "UTF-8"},
      {"a long message",
       absl::StrCat(kHead, kNamed, "data: ", std::string(65'537, ' '), "\n\n"),
       StatusCode::kOutOfRange, "too long"},
      {"a line without end",
       absl::StrCat(kHead, kNamed, ":", std::string(70'000, 'x')),
       StatusCode::kOutOfRange, "a line of events above"},
  };
  for (const auto& row : rows) {
    for (const size_t step : {size_t{1}, size_t{100'000}}) {
      SCOPED_TRACE(absl::StrCat(row.name, ", by ", step));
      Told told;
      told.Hear(row.answer, step);
      ASSERT_TRUE(told.closed.has_value());
      EXPECT_EQ(told.closed->status.code(), row.code) << told.closed->status;
      EXPECT_THAT(told.closed->status.message(), HasSubstr(row.text));
      EXPECT_TRUE(told.source.finished());
      EXPECT_EQ(told.source.NextTimeout(), absl::InfiniteFuture());
    }
  }
}

TEST(EventSourceTest, FieldsWithoutEndAreAnEnd) {
  Told told;
  told.Hear(absl::StrCat(kHead, kNamed));
  size_t heard = 0;
  while (!told.closed.has_value() && heard < 1'000'000) {
    told.Hear("id: abcdefghij\n");
    heard += 15;
  }
  ASSERT_TRUE(told.closed.has_value());
  EXPECT_THAT(told.closed->status, StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_LE(heard, EventLimits().max_event_bytes + 15);
}

TEST(EventSourceTest, AMessageAsLongAsItMayBe) {
  Told told;
  const std::string message(64 * 1024, 'x');
  told.Hear(absl::StrCat(kHead, kNamed, "data: ", message, "\n\n"));
  EXPECT_THAT(told.heard, ElementsAre("opened name", message));
  told.Hear("event: news\ndata: x\n\nevent: message\ndata: y\n\n");
  EXPECT_EQ(told.heard.back(), "y");
  EXPECT_EQ(told.source.stats().unknown_events, 1u);
  EXPECT_EQ(told.source.stats().messages, 2u);
}

TEST(EventSourceTest, WhatNobodyReadsIsBounded) {
  for (const char* event : {"data: xxxxxxxxxx\n\n", "event: ping\ndata\n\n"}) {
    EventSourceOptions options = Options();
    options.max_unread_bytes = 1000;
    Told told(options);
    told.Hear(absl::StrCat(kHead, kNamed));
    for (int i = 0; i < 10; ++i) {
      told.source.HandlePacket(kStart, AsBytes(absl::string_view(event)));
    }
    EXPECT_FALSE(told.source.finished());
    told.Drain();
    // Read, they cost nothing.
    for (int i = 0; i < 20; ++i) {
      told.source.HandlePacket(kStart, AsBytes(absl::string_view(event)));
    }
    told.Drain();
    ASSERT_TRUE(told.closed.has_value());
    EXPECT_THAT(told.closed->status,
                StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(told.closed->code, kClosePolicyViolation);
  }
}

TEST(EventSourceTest, AServerThatSaysNothingIsGivenUp) {
  const std::string steps[] = {"", "HTTP/1.1 200 OK\r\n", kHead,
                               absl::StrCat(kHead, ":\n\n")};
  for (const std::string& said : steps) {
    Told told;
    told.now = kStart + absl::Seconds(9);
    told.Hear(said);
    EXPECT_EQ(told.source.NextTimeout(), kStart + absl::Seconds(10));
    told.source.HandleTimeout(told.source.NextTimeout() - absl::Seconds(1));
    told.Drain();
    EXPECT_FALSE(told.closed.has_value());
    told.Wait();
    ASSERT_TRUE(told.closed.has_value());
    EXPECT_THAT(told.closed->status,
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
}

TEST(EventSourceTest, ALineIsASignOfLifeAndADripIsNone) {
  Told told;
  told.Hear(absl::StrCat(kHead, kNamed));
  for (int i = 0; i < 3; ++i) {
    told.now += absl::Seconds(30);
    told.Hear(":\n");
    EXPECT_EQ(told.source.NextTimeout(), told.now + absl::Seconds(35));
  }
  const absl::Time last = told.now;
  for (int i = 0; i < 34; ++i) {
    told.now += absl::Seconds(1);
    told.Hear("x");
  }
  EXPECT_EQ(told.source.NextTimeout(), last + absl::Seconds(35));
  told.Wait();
  ASSERT_TRUE(told.closed.has_value());
  EXPECT_THAT(told.closed->status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  // Whatever still comes is dropped, and counted.
  told.Hear("data: {}\n\n");
  EXPECT_EQ(told.source.stats().bytes_after_end, 10u);
  EXPECT_THAT(told.heard, ElementsAre("opened name"));
}

TEST(EventSourceTest, FarewellsOfEveryKind) {
  const struct {
    const char* data;
    int code;
    const char* reason;
  } rows[] = {
      {R"({"code":4001,"reason":"r\n"})", 4001, "r\n"},
      {R"({"code":999})", 1005, ""},
      {R"({"code":5000,"reason":5})", 1005, ""},
      {R"({"code":"1000"})", 1005, ""},
      {"", 1005, ""},
      {"[", 1005, ""},
  };
  for (const auto& row : rows) {
    Told told;
    told.Hear(absl::StrCat(kHead, kNamed, "event: close\ndata: ", row.data,
                           "\n\ndata: late\n\n"));
    ASSERT_TRUE(told.closed.has_value()) << row.data;
    EXPECT_OK(told.closed->status);
    EXPECT_EQ(told.closed->code, row.code);
    EXPECT_EQ(told.closed->reason, row.reason);
    EXPECT_EQ(told.source.stats().bytes_after_end, 12u);
  }
}

TEST(EventSourceTest, AStreamThatEndsIsLost) {
  for (const absl::Status& why :
       {absl::OkStatus(), absl::AbortedError("reset by peer")}) {
    Told told;
    told.Hear(absl::StrCat(kHead, kNamed));
    told.source.HandleStreamEnd(kStart, why);
    told.Drain();
    ASSERT_TRUE(told.closed.has_value());
    EXPECT_THAT(told.closed->status, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_EQ(told.closed->code, kCloseAbnormal);
    EXPECT_THAT(told.source.DebugString(), StartsWith("event source closed"));
  }
}

}  // namespace
}  // namespace kyuu::signaling
