#include "signaling/http.h"

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::signaling {
namespace {

absl::StatusOr<HttpRequest> Parse(absl::string_view text) {
  HttpRequestParser parser;
  absl::StatusOr<size_t> taken = parser.Feed(AsBytes(text));
  if (!taken.ok()) return taken.status();
  std::optional<HttpRequest> request = parser.Take();
  if (!request.has_value()) return absl::UnavailableError("incomplete");
  return *std::move(request);
}

TEST(HttpRequestTest, ParsesARequestOfABrowser) {
  const auto request = Parse(
      "GET /a%20b/../x.js?name=J%C3%BCrgen&relay=1 HTTP/1.1\r\n"
      "Host: localhost:9000\r\nAccept: */*\r\n"
      "Connection: keep-alive, Upgrade\r\n\r\n");
  ASSERT_OK(request);
  EXPECT_EQ(request->method, "GET");
  EXPECT_EQ(request->path, "/x.js");
  EXPECT_EQ(request->query, "name=J%C3%BCrgen&relay=1");
  EXPECT_EQ(request->QueryParameter("name"), "J\xc3\xbcrgen");
  EXPECT_EQ(request->QueryParameter("relay"), "1");
  EXPECT_EQ(request->QueryParameter("none"), std::nullopt);
  EXPECT_EQ(request->headers.Find("hOsT"), "localhost:9000");
  EXPECT_TRUE(request->headers.HasToken("connection", "upgrade"));
  EXPECT_FALSE(request->headers.HasToken("connection", "up"));
  EXPECT_TRUE(request->keep_alive);
}

TEST(HttpRequestTest, PathNeverLeavesTheRoot) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"/", "/"},
      {"/../../etc/passwd", "/etc/passwd"},
      {"/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd"},
      {"/a/./b", "/a/b"},
      {"/a/..", "/"},
      {"/a/b/..", "/a/"},
      {"/a/.", "/a/"},
      {"//x", "//x"},
  };
  for (const auto& [target, path] : rows) {
    const auto request =
        Parse(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: a\r\n\r\n"));
    ASSERT_OK(request) << target;
    EXPECT_EQ(request->path, path) << target;
  }
}

TEST(HttpRequestTest, PipelinedRequestsComeOneByOne) {
  const std::string text =
      "\r\nPOST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "GET /2 HTTP/1.0\r\n\r\n";
  // Whole, and byte by byte.
  for (const size_t step : {text.size(), size_t{1}}) {
    HttpRequestParser parser;
    std::vector<HttpRequest> requests;
    std::string rest = text;
    while (!rest.empty()) {
      const auto taken =
          parser.Feed(AsBytes(rest).first(std::min(step, rest.size())));
      ASSERT_OK(taken);
      rest.erase(0, *taken);
      if (auto request = parser.Take()) requests.push_back(*request);
    }
    ASSERT_EQ(requests.size(), 2u);
    EXPECT_EQ(requests[0].body, "abc");
    EXPECT_TRUE(requests[0].keep_alive);
    EXPECT_EQ(requests[1].path, "/2");
    EXPECT_FALSE(requests[1].keep_alive);
  }
}

TEST(HttpRequestTest, RefusesWhatCouldBeReadInTwoWays) {
  struct Row {
    const char* name;
    std::string text;
    int status;
  };
  const std::string host = "Host: a\r\n";
  const std::vector<Row> rows = {
      {"both lengths",
       "POST / HTTP/1.1\r\n" + host +
           "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"both lengths, other order",
       "POST / HTTP/1.1\r\n" + host +
           "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
       400},
      {"chunked",
       "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n",
       501},
      {"two lengths",
       "POST / HTTP/1.1\r\n" + host +
           "Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
       400},
      {"two equal lengths",
       "POST / HTTP/1.1\r\n" + host +
           "Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
       400},
      {"negative length",
       "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
      {"huge length",
       "POST / HTTP/1.1\r\n" + host +
           "Content-Length: 99999999999999999999999\r\n\r\n",
       400},
      {"body above the limit",
       "POST / HTTP/1.1\r\n" + host + "Content-Length: 65537\r\n\r\n", 413},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"folded line", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 400},
      {"space before the colon", "GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n",
       400},
      {"bare LF", "GET / HTTP/1.1\n" + host + "\r\n\r\n", 400},
      {"bare CR", "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", 400},
      {"NUL", "GET / HTTP/1.1\r\n" + host + std::string("A: b\0c\r\n\r\n", 10),
       400},
      {"HTTP/2.0", "GET / HTTP/2.0\r\n" + host + "\r\n", 400},
      {"HTTP/1.2", "GET / HTTP/1.2\r\n" + host + "\r\n", 400},
      {"no version", "GET /\r\n\r\n", 400},
      {"user in the absolute form",
       "GET http://u@a/ HTTP/1.1\r\n" + host + "\r\n", 400},
      {"absolute form of another scheme",
       "GET ftp://a/ HTTP/1.1\r\n" + host + "\r\n", 400},
      {"one line of two lengths",
       "POST / HTTP/1.1\r\n" + host + "Content-Length: 3, 3\r\n\r\n", 400},
      {"asterisk", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 400},
      {"bad escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
      {"escaped NUL", "GET /%00 HTTP/1.1\r\n" + host + "\r\n", 400},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01\r\n\r\n", 10), 400},
      {"header above the limit",
       "GET / HTTP/1.1\r\nA: " + std::string(17000, 'x'), 431},
  };
  for (const Row& row : rows) {
    const auto request = Parse(row.text);
    ASSERT_FALSE(request.ok()) << row.name;
    EXPECT_EQ(HttpStatusFor(request.status()), row.status)
        << row.name << ": " << request.status();
  }
}

// RFC 9112 section 3.2.2: a server MUST accept it, and its host wins.
TEST(HttpRequestTest, TheAbsoluteFormNamesTheHost) {
  for (const auto& [target, path] :
       std::vector<std::pair<std::string, std::string>>{
           {"http://b:81/x?y", "/x"},
           {"HTTPS://b:81", "/"},
           {"http://b:81?y", "/"}}) {
    const auto request =
        Parse(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: a\r\n\r\n"));
    ASSERT_OK(request) << target;
    EXPECT_EQ(request->host, "b:81");
    EXPECT_EQ(request->path, path);
  }
  EXPECT_EQ(Parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n")->host, "a");
}

TEST(HttpRequestTest, WhatCannotBecomeARequestIsToldAtOnce) {
  for (const char* text :
       {"\x16", "\x01", "GET / HTTP/1.1\n", "GET /\r\nA\n"}) {
    EXPECT_THAT(Parse(text), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

// RFC 9110 section 10.1.1: the final answer may come without the body.
TEST(HttpRequestTest, WhoExpectsAnAnswerFirstIsNotWaitedFor) {
  const auto request = Parse(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
      "Expect: 100-continue\r\n\r\n");
  ASSERT_OK(request);
  EXPECT_FALSE(request->keep_alive);
}

TEST(HttpRequestTest, EveryTruncationWaitsAndEveryBitFlipIsSafe) {
  const std::string text =
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(Parse(text.substr(0, size)),
                StatusIs(absl::StatusCode::kUnavailable))
        << size;
  }
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    (void)Parse(flipped);
  }
}

TEST(HttpResponseTest, WritesAndReads) {
  HttpResponse response;
  response.status = 404;
  response.headers.Add("Content-Type", "text/plain");
  response.body = "gone\n";
  EXPECT_EQ(WriteResponse(response),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
            "Content-Length: 5\r\n\r\ngone\n");
  EXPECT_EQ(WriteResponse(response, HttpBody::kLeftOut),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
            "Content-Length: 5\r\n\r\n");
  HttpResponseParser parser;
  const std::string text = WriteResponse(response);
  const auto taken = parser.Feed(AsBytes(text));
  ASSERT_OK(taken);
  EXPECT_EQ(*taken, text.size() - 5);
  const auto read = parser.Take();
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->status, 404);
  EXPECT_EQ(read->reason, "Not Found");
  EXPECT_EQ(read->headers.Find("content-type"), "text/plain");
}

TEST(HttpResponseTest, SwitchingProtocolsHasNoLength) {
  HttpResponse response;
  response.status = 101;
  EXPECT_EQ(WriteResponse(response),
            "HTTP/1.1 101 Switching Protocols\r\n\r\n");
}

TEST(HttpRequestTest, WriterRefusesSmuggledLines) {
  HttpHeaders headers;
  headers.Add("Host", "a\r\nX: y");
  EXPECT_THAT(WriteRequest("GET", "/", headers),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(WriteRequest("GET", "/a b", {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(WriteRequest("GET", "x", {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kyuu::signaling
