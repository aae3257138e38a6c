// Posts to a server that takes them, loses them, refuses them or says nothing.

#include "signaling/events/poster.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/events/posts.h"
#include "signaling/http.h"

namespace kyuu::signaling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kStart = absl::FromUnixSeconds(1000);
constexpr char kTaken[] = "HTTP/1.1 204 No Content\r\n\r\n";

// A poster, and the server's Posts at the other end of its streams.
struct World {
  explicit World(PosterOptions options = {})
      : posts(random), poster(Of(options, posts.Open(ConnectionId{1}))) {}

  static PosterOptions Of(PosterOptions options, std::string name) {
    options.url = WebSocketUrl::Parse("http://host:9/v1/messages").value();
    options.stream = std::move(name);
    return options;
  }
  // What it wants: "stream", or the last status.
  std::string Wants() {
    std::vector<std::string> all;
    while (auto event = poster.PollEvent()) {
      if (const auto* closed = std::get_if<PosterClosed>(&*event)) {
        EXPECT_TRUE(poster.finished());
        all.push_back(closed->status.ok() ? "over" : closed->status.ToString());
      } else {
        all.push_back("stream");
      }
    }
    return absl::StrJoin(all, ", ");
  }
  void Connect() {
    EXPECT_EQ(Wants(), "stream");
    parser = HttpRequestParser();
    poster.HandleConnected(now);
  }
  // What it has sent, of which the server understands the requests.
  std::vector<HttpRequest> Sent(size_t step = 50'000) {
    std::vector<HttpRequest> requests;
    std::vector<uint8_t> out(step);
    while (auto piece = poster.PollTransmit(now, absl::MakeSpan(out))) {
      while (!piece->empty()) {
        const auto taken = parser.Feed(*piece);
        EXPECT_OK(taken.status());
        if (!taken.ok()) return requests;
        piece->remove_prefix(*taken);
        if (auto request = parser.Take()) {
          requests.push_back(*std::move(request));
        }
      }
    }
    return requests;
  }
  void Answer(absl::string_view text) {
    poster.HandlePacket(now, AsBytes(text));
  }
  // The server takes what has come, and answers.
  void Take() {
    for (const HttpRequest& request : Sent()) {
      auto taken = posts.Take(request);
      auto* posted = std::get_if<Posted>(&taken);
      ASSERT_NE(posted, nullptr) << std::get<PostRefused>(taken).text;
      for (std::string& message : posted->messages) {
        heard.push_back(std::move(message));
      }
      if (posted->close) heard.push_back(absl::StrCat("bye ", *posted->close));
      Answer(kTaken);
    }
  }
  void Wait() {
    now = poster.NextTimeout();
    poster.HandleTimeout(now);
  }

  absl::Time now = kStart;
  SeededRandom random{1};
  Posts posts;
  Poster poster;
  HttpRequestParser parser;
  std::vector<std::string> heard;
};

TEST(PosterTest, PostsOneAfterTheOtherOnOneStream) {
  World w;
  EXPECT_EQ(w.Wants(), "");
  ASSERT_OK(w.poster.Post(kStart, "1"));
  ASSERT_OK(w.poster.Post(kStart, "2"));
  w.Connect();
  const std::vector<HttpRequest> first = w.Sent(5);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].method, "POST");
  EXPECT_EQ(first[0].path, "/v1/messages");
  EXPECT_EQ(first[0].host, "host:9");
  // The rest waits for the answer.
  EXPECT_EQ(first[0].body, "1");
  EXPECT_EQ(first[0].headers.Find(kPostHeader), "1");
  EXPECT_THAT(w.Sent(), IsEmpty());
  w.Answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2");
  w.Answer("04 No Content\r\n\r\n");
  ASSERT_OK(w.poster.Post(kStart, "3"));
  const std::vector<HttpRequest> second = w.Sent();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].body, "2");
  w.Answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(w.Sent().size(), 1u);
  w.Answer(kTaken);
  EXPECT_EQ(w.Wants(), "");
  EXPECT_EQ(w.poster.stats().posts, 3u);
  EXPECT_EQ(w.poster.NextTimeout(), absl::InfiniteFuture());
  EXPECT_FALSE(w.poster.finished());
}

TEST(PosterTest, WhatWaitsGoesTogetherWithinBounds) {
  World w({.max_post_bytes = 10});
  ASSERT_OK(w.poster.Post(kStart, "a"));
  w.Connect();
  for (const char* text : {"12345", "1234", "b", "12345678901", "c"}) {
    ASSERT_OK(w.poster.Post(kStart, text));
  }
  std::vector<std::string> bodies;
  for (int i = 0; i < 5; ++i) {
    for (const HttpRequest& request : w.Sent()) bodies.push_back(request.body);
    w.Answer(kTaken);
  }
  // A message that is too long for company goes alone.
  EXPECT_THAT(bodies, ElementsAre("a", "12345\n1234", "b", "12345678901", "c"));
}

TEST(PosterTest, AsManyAsTheServerTakesAtOnce) {
  World w;
  ASSERT_OK(w.poster.Post(kStart, "first"));
  w.Connect();
  for (size_t i = 0; i < kMaxMessagesPerPost + 1; ++i) {
    ASSERT_OK(w.poster.Post(kStart, absl::StrCat(i)));
  }
  for (int i = 0; i < 3; ++i) w.Take();
  EXPECT_EQ(w.heard.size(), kMaxMessagesPerPost + 2);
  EXPECT_EQ(w.heard.back(), absl::StrCat(kMaxMessagesPerPost));
  EXPECT_EQ(w.poster.stats().posts, 3u);
}

TEST(PosterTest, LineEndsBecomeBlanks) {
  World w;
  ASSERT_OK(w.poster.Post(kStart, "{\"a\":\r\n1}"));
  w.Connect();
  w.Take();
  EXPECT_THAT(w.heard, ElementsAre("{\"a\":  1}"));
}

TEST(PosterTest, ASignOfLifeIsAnEmptyPost) {
  World w;
  w.poster.ShowLife(kStart);
  w.Connect();
  const std::vector<HttpRequest> requests = w.Sent();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].body, "");
  EXPECT_EQ(requests[0].headers.Find("Content-Length"), "0");
}

// Whatever breaks, and whenever, the server hears all of it once and in order.
TEST(PosterTest, APostThatWasNotAnsweredIsSaidAgain) {
  World w;
  ASSERT_OK(w.poster.Post(kStart, "1"));
  w.Connect();
  w.Take();
  ASSERT_OK(w.poster.Post(w.now, "2"));
  // It arrives, and the answer is lost: a stream that has served before is
  // replaced at once.
  for (const HttpRequest& request : w.Sent()) (void)w.posts.Take(request);
  w.heard.push_back("2");
  w.poster.HandleStreamEnd(w.now, absl::OkStatus());
  w.Connect();
  // It does not arrive: after a pause, as nothing has come by this one.
  w.poster.HandleStreamEnd(w.now, absl::AbortedError("reset"));
  EXPECT_EQ(w.Wants(), "");
  EXPECT_EQ(w.poster.NextTimeout(), w.now + absl::Seconds(1));
  ASSERT_OK(w.poster.Post(w.now, "3"));
  w.Wait();
  w.Connect();
  w.Take();
  w.Take();
  EXPECT_THAT(w.heard, ElementsAre("1", "2", "3"));
  EXPECT_EQ(w.poster.stats().retries, 2u);
}

TEST(PosterTest, TriesHaveAnEnd) {
  const struct {
    const char* name;
    void (*fail)(World&);
    const char* text;
  } rows[] = {
      {"no way",
       [](World& w) {
         EXPECT_EQ(w.Wants(), "stream");
         w.poster.HandleStreamEnd(w.now, absl::UnavailableError("no way"));
       },
       "no way"},
      {"no answer of the network",
       [](World& w) {
         EXPECT_EQ(w.Wants(), "stream");
         w.Wait();
         EXPECT_TRUE(w.poster.finished());
       },
       "does not answer"},
      {"no answer",
       [](World& w) {
         w.Connect();
         EXPECT_EQ(w.Sent().size(), 1u);
         w.Wait();
         EXPECT_TRUE(w.poster.finished());
       },
       "does not answer"},
      {"an answer that drips",
       [](World& w) {
         w.Connect();
         EXPECT_EQ(w.Sent().size(), 1u);
         const absl::Time end = w.poster.NextTimeout();
         for (const char* byte : {"H", "T", "T", "P", "/", "1", ".", "1"}) {
           w.now += absl::Seconds(1);
           w.Answer(byte);
         }
         EXPECT_EQ(w.poster.NextTimeout(), end);
         w.Wait();
       },
       "does not answer"},
      {"trouble behind the proxy",
       [](World& w) {
         w.Connect();
         EXPECT_EQ(w.Sent().size(), 1u);
         w.Answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad");
         EXPECT_TRUE(w.poster.finished());
       },
       "502 Bad Gateway"},
      {"closed",
       [](World& w) {
         w.Connect();
         EXPECT_EQ(w.Sent().size(), 1u);
         w.poster.HandleStreamEnd(w.now, absl::OkStatus());
       },
       "closes without an answer"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    World w;
    ASSERT_OK(w.poster.Post(kStart, "1"));
    for (const int pause : {500, 1000, 2000}) {
      row.fail(w);
      if (HasFailure()) return;
      EXPECT_EQ(w.Wants(), "");
      EXPECT_EQ(w.poster.NextTimeout(), w.now + absl::Milliseconds(pause));
      w.Wait();
    }
    row.fail(w);
    EXPECT_THAT(w.Wants(), HasSubstr(row.text));
    EXPECT_EQ(w.poster.NextTimeout(), absl::InfiniteFuture());
    EXPECT_THAT(w.poster.Post(w.now, "2"),
                StatusIs(absl::StatusCode::kFailedPrecondition));
  }
}

TEST(PosterTest, RefusalsAreTheEnd) {
  const struct {
    const char* answer;
    const char* text;
  } rows[] = {
      {"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"},
      {"HTTP/1.1 409 Conflict\r\n\r\n", "409 Conflict"},
      {"HTTP/1.1 301 Moved\r\nLocation: http://b/\r\n\r\n", "301 Moved"},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "does not come to"},
      {"SSH-2.0\r\n\r\n", "INVALID_ARGUMENT"},
      {"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
       "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n",
       "does not come to"},
  };
  for (const auto& row : rows) {
    World w;
    ASSERT_OK(w.poster.Post(kStart, "1"));
    w.Connect();
    EXPECT_EQ(w.Sent().size(), 1u);
    w.Answer(row.answer);
    EXPECT_THAT(w.Wants(), HasSubstr(row.text));
    EXPECT_TRUE(w.poster.finished());
  }
  World w;
  ASSERT_OK(w.poster.Post(kStart, "1"));
  w.Connect();
  EXPECT_EQ(w.Sent().size(), 1u);
  w.Answer(absl::StrCat("HTTP/1.1 204 ", std::string(20'000, 'x')));
  EXPECT_THAT(w.Wants(), HasSubstr("header above"));
}

// Nothing of one answer may be taken for the next.
TEST(PosterTest, AStreamWithMoreThanTheAnswerIsLeft) {
  for (const char* answer :
       {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes",
        "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"}) {
    World w;
    ASSERT_OK(w.poster.Post(kStart, "1"));
    w.Connect();
    EXPECT_EQ(w.Sent().size(), 1u);
    w.Answer(answer);
    EXPECT_TRUE(w.poster.finished()) << answer;
    EXPECT_EQ(w.poster.stats().posts, 1u);
    w.poster.HandleStreamEnd(w.now, absl::OkStatus());
    ASSERT_OK(w.poster.Post(kStart, "2"));
    w.Connect();
    ASSERT_EQ(w.Sent().size(), 1u);
    w.Answer(kTaken);
    EXPECT_EQ(w.poster.stats().posts, 2u);
  }
}

// A proxy that ends an idle connection says 408 as the next post begins.
TEST(PosterTest, AnAnswerBeforeThePostIsNone) {
  World w;
  ASSERT_OK(w.poster.Post(kStart, "1"));
  w.Connect();
  w.Take();
  ASSERT_OK(w.poster.Post(kStart, "2"));
  w.Answer("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
  w.Connect();
  w.Take();
  EXPECT_THAT(w.heard, ElementsAre("1", "2"));
  EXPECT_GT(w.poster.stats().bytes_unasked, 0u);
}

TEST(PosterTest, TheGoodbyeIsBehindAllThatWasSaid) {
  World w({.max_post_bytes = 3});
  ASSERT_OK(w.poster.Post(kStart, "12"));
  ASSERT_OK(w.poster.Post(kStart, "34"));
  w.poster.Close(kStart, 1000);
  w.poster.Close(kStart, 1001);
  EXPECT_THAT(w.poster.Post(kStart, "5"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  w.Connect();
  w.Take();
  w.Take();
  w.Take();
  EXPECT_THAT(w.heard, ElementsAre("12", "34", "bye 1000"));
  EXPECT_EQ(w.Wants(), "over");
}

TEST(PosterTest, WhatTheServerDoesNotTakeIsBounded) {
  World w({.max_queued_bytes = 1000});
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(w.poster.Post(kStart, std::string(36, 'x')));
  }
  EXPECT_THAT(w.poster.Post(kStart, ""),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(w.Wants(), HasSubstr("RESOURCE_EXHAUSTED"));
  // What was taken makes room.
  World v({.max_queued_bytes = 1000});
  ASSERT_OK(v.poster.Post(kStart, "first"));
  v.Connect();
  for (int i = 0; i < 30; ++i) {
    ASSERT_OK(v.poster.Post(kStart, std::string(36, 'x')));
    v.Take();
  }
  v.Take();
  EXPECT_EQ(v.heard.size(), 31u);
}

}  // namespace
}  // namespace kyuu::signaling
