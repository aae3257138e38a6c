// Signaling without WebSockets: the stream of events, alone and as a response
// of ServerConnection, and who may post to it.

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/events/event_stream.h"
#include "signaling/events/posts.h"
#include "signaling/server_connection.h"

namespace kyuu::signaling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

const absl::Time kStart = absl::FromUnixSeconds(1000);

template <typename Engine>
std::string Sent(Engine& engine, absl::Time now = kStart, size_t step = 7) {
  std::string all;
  std::vector<uint8_t> out(step);
  while (auto piece = engine.PollTransmit(now, absl::MakeSpan(out))) {
    absl::StrAppend(&all, AsText(*piece));
  }
  return all;
}

EventStream Opened(EventStreamOptions options = {}) {
  EventStream stream(options, "name", kStart);
  EXPECT_EQ(Sent(stream), "event: stream\ndata: name\n\n");
  return stream;
}

// --- The stream -------------------------------------------------------------

TEST(EventStreamTest, MessagesAreEventsWhateverEndsTheirLines) {
  EventStream stream = Opened();
  ASSERT_OK(stream.Send("{}"));
  ASSERT_OK(stream.Send("{\n\"a\":\r1,\r\n\"b\":2}"));
  EXPECT_EQ(Sent(stream),
            "data: {}\n\n"
            "data: {\ndata: \"a\":\ndata: 1,\ndata: \"b\":2}\n\n");
  EXPECT_EQ(stream.queued_bytes(), 0);
}

TEST(EventStreamTest, TheTimeToComeBackIsAFieldOfItsOwn) {
  EventStream stream = Opened();
  stream.SetRetry(absl::Milliseconds(2500));
  stream.Close(1001, "bye");
  stream.SetRetry(absl::Seconds(1));
  EXPECT_EQ(Sent(stream),
            "retry: 2500\n\nevent: close\n"
            "data: {\"code\":1001,\"reason\":\"bye\"}\n\n");
}

TEST(EventStreamTest, AFarewellIsTheLastEvent) {
  EventStream stream = Opened();
  ASSERT_OK(stream.Send("{}"));
  stream.Close(1001, "bye");
  stream.Close(1000, "again");
  EXPECT_THAT(stream.Send("{}"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE(stream.finished());
  EXPECT_EQ(Sent(stream),
            "data: {}\n\nevent: close\n"
            "data: {\"code\":1001,\"reason\":\"bye\"}\n\n");
  EXPECT_TRUE(stream.finished());
  EXPECT_FALSE(stream.abandoned());
  EXPECT_OK(stream.PollEvent()->status);
  EXPECT_FALSE(stream.PollEvent().has_value());
  EXPECT_EQ(stream.NextTimeout(), absl::InfiniteFuture());
}

TEST(EventStreamTest, SilenceOfTheServerIsFilledWithComments) {
  EventStream stream = Opened();
  const absl::Time first = kStart + absl::Seconds(15);
  EXPECT_EQ(stream.NextTimeout(), first);
  stream.HandleTimeout(first - absl::Milliseconds(1));
  EXPECT_EQ(Sent(stream, first), "");
  stream.HandleTimeout(first);
  stream.HandleTimeout(first);
  EXPECT_EQ(Sent(stream, first), ":\n\n");
  // A message is as good as a comment.
  const absl::Time later = first + absl::Seconds(9);
  stream.HandlePosted(later);
  ASSERT_OK(stream.Send("{}"));
  EXPECT_EQ(Sent(stream, later), "data: {}\n\n");
  EXPECT_EQ(stream.NextTimeout(), later + absl::Seconds(15));
}

TEST(EventStreamTest, AClientThatSaysNothingIsAskedAndGivenUp) {
  EventStream stream = Opened({.heartbeat = absl::InfiniteDuration()});
  absl::Time now = kStart + absl::Seconds(20);
  stream.HandlePosted(now);
  EXPECT_EQ(stream.NextTimeout(), now + absl::Seconds(25));
  now += absl::Seconds(25);
  stream.HandleTimeout(now);
  EXPECT_EQ(Sent(stream, now), "event: ping\ndata:\n\n");
  now += absl::Seconds(9);
  stream.HandlePosted(now);
  now += absl::Seconds(25);
  stream.HandleTimeout(now);
  now += absl::Seconds(10);
  stream.HandleTimeout(now - absl::Milliseconds(1));
  EXPECT_FALSE(stream.PollEvent().has_value());
  stream.HandleTimeout(now);
  EXPECT_THAT(stream.PollEvent()->status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(stream.abandoned());
  EXPECT_TRUE(stream.finished());
  stream.HandlePosted(now);
  EXPECT_EQ(stream.NextTimeout(), absl::InfiniteFuture());
}

TEST(EventStreamTest, ASlowReaderIsCut) {
  EventStream stream = Opened({.max_queued_bytes = 200});
  // "data: {}\n\n" and 64.
  ASSERT_OK(stream.Send("{}"));
  ASSERT_OK(stream.Send("{}"));
  EXPECT_EQ(stream.queued_bytes(), 2 * (10 + 64));
  EXPECT_THAT(stream.Send("{}"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(stream.abandoned());
  EXPECT_EQ(stream.queued_bytes(), 0);
  EXPECT_EQ(Sent(stream), "");
  EXPECT_THAT(stream.PollEvent()->status,
              StatusIs(absl::StatusCode::kResourceExhausted));
}

// --- As a response ----------------------------------------------------------

struct ServerEnd {
  ServerEnd() : connection(options, random, kStart) {
    connection.HandlePacket(
        kStart, AsBytes("GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\nGET /"));
    const auto event = connection.PollEvent();
    EXPECT_TRUE(std::holds_alternative<HttpRequestReceived>(*event));
    HttpHeaders headers;
    headers.Add("Vary", "Origin");
    EXPECT_OK(connection.AcceptEvents(kStart, "name", headers));
  }
  absl::Status End() {
    const auto event = connection.PollEvent();
    if (!event || !std::holds_alternative<EventStreamClosed>(*event)) {
      return absl::InternalError("another event or none");
    }
    return std::get<EventStreamClosed>(*event).status;
  }
  const ServerConnectionOptions options;
  SeededRandom random{1};
  ServerConnection connection;
};

TEST(ServerConnectionTest, AnswersWithAStreamOfEvents) {
  ServerEnd server;
  EXPECT_TRUE(server.connection.upgraded());
  // What is behind the request has no answer.
  server.connection.HandlePacket(kStart, AsBytes("x HTTP/1.1\r\n\r\n"));
  EXPECT_THAT(server.connection.DebugString(), HasSubstr(" 19 ignored"));
  EXPECT_EQ(Sent(server.connection),
            "HTTP/1.1 200 OK\r\nVary: Origin\r\n"
            "Content-Type: text/event-stream\r\n"
            "Cache-Control: no-store, no-transform\r\n"
            "X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\nevent: stream\ndata: name\n\n");
  ASSERT_OK(server.connection.Send(kStart, MessageKind::kText, "{}"));
  EXPECT_EQ(server.connection.queued_bytes(), 10 + 64);
  EXPECT_EQ(server.connection.held_bytes(), 10 + 64);
  EXPECT_EQ(Sent(server.connection), "data: {}\n\n");
  EXPECT_THAT(server.connection.AcceptEvents(kStart, "x", {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(server.connection.Respond(kStart, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(server.connection.Close(kStart, 4001, "elsewhere"));
  EXPECT_FALSE(server.connection.finished());
  EXPECT_THAT(Sent(server.connection), HasSubstr("\"code\":4001"));
  EXPECT_TRUE(server.connection.finished());
  EXPECT_OK(server.End());
}

TEST(ServerConnectionTest, AStreamOfEventsEndsWithItsReader) {
  for (const absl::Status& why :
       {absl::OkStatus(), absl::UnavailableError("reset")}) {
    ServerEnd server;
    ASSERT_OK(server.connection.Send(kStart, MessageKind::kText, "{}"));
    server.connection.HandleStreamEnd(kStart, why);
    EXPECT_TRUE(server.connection.finished());
    EXPECT_EQ(Sent(server.connection), "");
    EXPECT_THAT(server.End(), StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST(ServerConnectionTest, AStreamOfEventsHasItsTimers) {
  ServerEnd server;
  (void)Sent(server.connection);  // What comes of time is looked at.
  EXPECT_EQ(server.connection.NextTimeout(), kStart + absl::Seconds(15));
  server.connection.HandleTimeout(kStart + absl::Seconds(15));
  EXPECT_EQ(Sent(server.connection, kStart + absl::Seconds(15)), ":\n\n");
  server.connection.HandlePosted(kStart + absl::Seconds(24));
  server.connection.HandleTimeout(kStart + absl::Seconds(49));
  EXPECT_FALSE(server.connection.abandoned());
  server.connection.HandleTimeout(kStart + absl::Seconds(59));
  EXPECT_TRUE(server.connection.abandoned());
  EXPECT_THAT(server.End(), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

// --- Posts ------------------------------------------------------------------

struct Fields {
  std::string stream;
  std::string number = "1";
  std::string close;
  std::string expect;
};

HttpRequest Post(const Fields& fields, std::string body) {
  HttpRequest request;
  request.method = "POST";
  const auto add = [&](absl::string_view name, const std::string& value) {
    if (!value.empty()) request.headers.Add(name, value);
  };
  add("kyuu-stream", fields.stream);
  add(kPostHeader, fields.number);
  add(kCloseHeader, fields.close);
  add("Expect", fields.expect);
  request.body = std::move(body);
  return request;
}

class PostsTest : public ::testing::Test {
 protected:
  Posted Take(const Fields& fields, std::string body) {
    auto taken = posts_.Take(Post(fields, std::move(body)));
    if (auto* posted = std::get_if<Posted>(&taken)) return std::move(*posted);
    ADD_FAILURE() << std::get<PostRefused>(taken).text;
    return {};
  }
  int Refused(const Fields& fields, std::string body = "{}") {
    return RefusedRequest(Post(fields, std::move(body)));
  }
  int RefusedRequest(const HttpRequest& request) {
    const auto taken = posts_.Take(request);
    const auto* refused = std::get_if<PostRefused>(&taken);
    if (refused == nullptr) return 0;
    EXPECT_FALSE(refused->text.empty());
    // What proves something is not repeated.
    EXPECT_EQ(refused->text.find(name_.substr(32)), std::string::npos);
    return refused->status;
  }

  SeededRandom random_{1};
  Posts posts_{random_};
  const std::string name_ = posts_.Open(ConnectionId{7});
};

TEST_F(PostsTest, BringMessagesInOrder) {
  EXPECT_THAT(name_, MatchesRegex("[0-9a-f]{64}"));
  const Posted one = Take({name_}, "{\"a\":1}");
  EXPECT_EQ(one.connection, ConnectionId{7});
  EXPECT_THAT(one.messages, ElementsAre("{\"a\":1}"));
  EXPECT_FALSE(one.close.has_value());
  EXPECT_THAT(Take({name_, "2"}, "a\r\nb\nc\n").messages,
              ElementsAre("a", "b", "c"));
  EXPECT_THAT(Take({name_, "3"}, "").messages, IsEmpty());
}

TEST_F(PostsTest, ARepeatedOneBringsNothing) {
  EXPECT_THAT(Take({name_}, "a").messages, ElementsAre("a"));
  EXPECT_THAT(Take({name_, "2"}, "b").messages, ElementsAre("b"));
  for (const char* number : {"1", "2"}) {
    const Posted again = Take({name_, number, "1000"}, "c");
    EXPECT_EQ(again.connection, ConnectionId{7});
    EXPECT_THAT(again.messages, IsEmpty());
    EXPECT_FALSE(again.close.has_value());
  }
  EXPECT_EQ(Refused({name_, "4"}), 409);
  EXPECT_THAT(Take({name_, "3"}, "d").messages, ElementsAre("d"));
}

TEST_F(PostsTest, AreForThoseWhoKnowTheStream) {
  const std::string other = posts_.Open(ConnectionId{8});
  EXPECT_EQ(Refused({""}), 400);
  EXPECT_EQ(Refused({"x"}), 404);
  EXPECT_EQ(Refused({name_.substr(0, 32)}), 404);
  EXPECT_EQ(Refused({name_.substr(0, 63)}), 404);
  EXPECT_EQ(Refused({name_ + "0"}), 404);
  EXPECT_EQ(Refused({name_.substr(0, 32) + other.substr(32)}), 404);
  HttpRequest twice = Post({name_}, "{}");
  twice.headers.Add(kStreamHeader, name_);
  EXPECT_EQ(RefusedRequest(twice), 400);
  EXPECT_EQ(posts_.size(), 2);
  posts_.Close(ConnectionId{7});
  posts_.Close(ConnectionId{7});
  EXPECT_EQ(Refused({name_}), 404);
  EXPECT_THAT(Take({other}, "a").messages, ElementsAre("a"));
  posts_.Close(ConnectionId{8});
  EXPECT_EQ(posts_.size(), 0);
}

TEST_F(PostsTest, WhatIsWrongWithOneChangesNothing) {
  for (const char* number :
       {"", "0", "-1", "+1", " 1", "1x", "1,2", "18446744073709551616"}) {
    EXPECT_EQ(Refused({name_, number}), 400) << number;
  }
  for (const char* close : {"999", "5000", "x", "-1", "66536"}) {
    EXPECT_EQ(Refused({name_, "1", close}), 400) << close;
  }
  EXPECT_EQ(Refused({name_, "1", "", "100-continue"}), 417);
  EXPECT_EQ(Refused({name_}, "\xff"), 400);
  EXPECT_EQ(Refused({name_}, "a\n\nb"), 400);
  EXPECT_EQ(Refused({name_}, "\n\n"), 400);
  std::string many;
  for (size_t i = 0; i < kMaxMessagesPerPost; ++i) many += "a\n";
  EXPECT_EQ(Refused({name_}, many + "a"), 413);
  EXPECT_EQ(Take({name_}, many).messages.size(), kMaxMessagesPerPost);
}

TEST_F(PostsTest, AClientMayCloseItsStream) {
  const Posted last = Take({name_, "1", "4000"}, "a");
  EXPECT_THAT(last.messages, ElementsAre("a"));
  EXPECT_EQ(last.close, 4000);
}

TEST_F(PostsTest, AGoodbyeIsHeardBehindTheEndOfItsStream) {
  EXPECT_EQ(posts_.NextTimeout(), absl::InfiniteFuture());
  posts_.Linger(kStart, ConnectionId{7});
  posts_.Linger(kStart + absl::Seconds(1), ConnectionId{7});
  const absl::Time over = kStart + kPostLinger;
  EXPECT_EQ(posts_.NextTimeout(), over);
  EXPECT_EQ(posts_.PopGone(over - absl::Milliseconds(1)), std::nullopt);
  const Posted last = Take({name_, "1", "1001"}, "a");
  EXPECT_EQ(last.connection, ConnectionId{7});
  EXPECT_THAT(last.messages, ElementsAre("a"));
  EXPECT_EQ(last.close, 1001);
  posts_.Close(ConnectionId{7});
  EXPECT_EQ(posts_.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(Refused({name_, "2"}), 404);
}

TEST_F(PostsTest, AStreamThatHasEndedIsForgottenInTime) {
  posts_.Linger(kStart, ConnectionId{8});  // Has none.
  posts_.Linger(kStart, ConnectionId{7});
  const absl::Time over = kStart + kPostLinger;
  EXPECT_EQ(posts_.PopGone(over), ConnectionId{7});
  EXPECT_EQ(posts_.PopGone(over), std::nullopt);
  EXPECT_EQ(posts_.size(), 0);
  EXPECT_EQ(posts_.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(Refused({name_}), 404);
}

}  // namespace
}  // namespace kyuu::signaling
