// What a response's body is framed by, and the events in it.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/events/body_reader.h"
#include "signaling/events/event_reader.h"

namespace kyuu::signaling {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

HttpResponse With(const std::vector<HttpHeader>& fields) {
  HttpResponse response;
  for (const HttpHeader& field : fields) {
    response.headers.Add(field.name, field.value);
  }
  return response;
}

// --- The body -----------------------------------------------------------

struct Body {
  std::string text;
  bool ended = false;
  absl::Status status;
};

// `input` in pieces of `step` bytes.
Body Read(const HttpResponse& response, absl::string_view input, size_t step) {
  Body body;
  absl::StatusOr<BodyReader> reader = BodyReader::For(response);
  if (!reader.ok()) {
    body.status = reader.status();
    return body;
  }
  for (size_t at = 0; at < input.size(); at += step) {
    absl::Span<const uint8_t> in = AsBytes(input.substr(at, step));
    while (!in.empty() && !reader->ended()) {
      const auto stretch = reader->Next(in);
      if (!stretch.ok()) {
        body.status = stretch.status();
        return body;
      }
      absl::StrAppend(&body.text, AsText(*stretch));
    }
  }
  body.ended = reader->ended();
  return body;
}

const HttpResponse kChunked = With({{"Transfer-Encoding", "Chunked"}});

TEST(BodyReaderTest, FramingsAreTakenOff) {
  const struct {
    const char* name;
    HttpResponse response;
    std::string input, text;
    bool ended;
  } rows[] = {
      {"until the end", With({}), "abc\r\n0\r\n", "abc\r\n0\r\n", false},
      {"length", With({{"content-length", "3"}}), "abcdef", "abc", true},
      {"short of it", With({{"Content-Length", "4"}}), "abc", "abc", false},
      {"chunks", kChunked, "3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\nmore",
       "abc0123456789", true},
      {"extensions", kChunked, "2;a=b\r\nab\r\n1 ; x\r\nc\r\n", "abc", false},
      {"trailer", kChunked, "1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n", "a", true},
      {"cut in a chunk", kChunked, "ff\r\nabc", "abc", false},
      {"identity", With({{"Content-Encoding", "identity"}}), "a", "a", false},
  };
  for (const auto& row : rows) {
    for (size_t step = 1; step <= row.input.size(); ++step) {
      SCOPED_TRACE(absl::StrCat(row.name, ", by ", step));
      const Body body = Read(row.response, row.input, step);
      ASSERT_OK(body.status);
      EXPECT_EQ(body.text, row.text);
      EXPECT_EQ(body.ended, row.ended);
    }
  }
  EXPECT_TRUE(BodyReader::For(With({{"Content-Length", "0"}}))->ended());
}

TEST(BodyReaderTest, WhatHasNoFramingOrTwoIsRefused) {
  using absl::StatusCode;
  const struct {
    StatusCode code;
    std::vector<HttpHeader> fields;
  } rows[] = {
      {StatusCode::kUnimplemented, {{"Content-Encoding", "gzip"}}},
      {StatusCode::kUnimplemented, {{"Transfer-Encoding", "gzip, chunked"}}},
      {StatusCode::kUnimplemented,
       {{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}},
      {StatusCode::kInvalidArgument,
       {{"Transfer-Encoding", "chunked"}, {"Content-Length", "1"}}},
      {StatusCode::kInvalidArgument,
       {{"Content-Length", "1"}, {"Content-Length", "1"}}},
      {StatusCode::kInvalidArgument, {{"Content-Length", "-1"}}},
      {StatusCode::kInvalidArgument, {{"Content-Length", ""}}},
      {StatusCode::kInvalidArgument,
       {{"Content-Length", "99999999999999999999"}}},
  };
  for (const auto& row : rows) {
    EXPECT_THAT(BodyReader::For(With(row.fields)), StatusIs(row.code))
        << row.fields[0].name << row.fields[0].value;
  }
}

TEST(BodyReaderTest, ChunksThatAreNone) {
  for (const std::string& input : std::vector<std::string>{
           "\r\n", "x\r\n", "-1\r\n", "0x1\r\n", " 1\r\n", "123456789\r\n",
           "1\na\r\n", "1\r\nab\r\n", "1\r\na\n", "1 2\r\n",
           absl::StrCat("1;", std::string(BodyReader::kMaxLineBytes, 'x')),
           absl::StrCat("0\r\n", std::string(300, 'x')),
           absl::StrCat(
               "0\r\n",
               absl::StrJoin(std::vector<std::string>(33, "a: b\r\n"), ""))}) {
    for (const size_t step : {size_t{1}, input.size()}) {
      EXPECT_THAT(Read(kChunked, input, step).status,
                  StatusIs(absl::StatusCode::kInvalidArgument))
          << input;
    }
  }
  // As long as they may be, they are lines.
  EXPECT_OK(
      Read(kChunked,
           absl::StrCat("1;", std::string(BodyReader::kMaxLineBytes - 3, 'x'),
                        "\r\na\r\n"),
           1)
          .status);
}

// --- Events -------------------------------------------------------------

struct Events {
  std::vector<std::string> all;  // "TYPE=DATA".
  uint64_t lines = 0;
  absl::Status status;
};

Events Parse(absl::string_view input, size_t step, EventLimits limits = {}) {
  Events events;
  EventReader reader(limits);
  for (size_t at = 0; at < input.size(); at += step) {
    absl::Span<const uint8_t> in = AsBytes(input.substr(at, step));
    while (!in.empty()) {
      const auto taken = reader.Feed(in);
      if (!taken.ok()) {
        events.status = taken.status();
        return events;
      }
      in.remove_prefix(*taken);
      if (const auto event = reader.Take()) {
        events.all.push_back(absl::StrCat(event->type, "=", event->data));
      }
    }
  }
  events.lines = reader.lines();
  return events;
}

TEST(EventReaderTest, AsTheStandardHasThem) {
  const struct {
    const char* name;
    std::string input;
    std::vector<std::string> events;
  } rows[] = {
      {"a message", "data: a\n\n", {"=a"}},
      {"every line end",
       "data:a\r\rdata:b\r\n\r\ndata:c\n\n",
       {"=a", "=b", "=c"}},
      {"one blank only", "data:  a \n\n", {"= a "}},
      {"lines", "data: a\ndata\ndata:b\n\n", {"=a\n\nb"}},
      {"no data", "event: x\n\ndata: a\n\n", {"=a"}},
      {"empty data", "event: x\ndata\n\n", {"x="}},
      {"the last name counts", "event: x\nevent: y\ndata: a\n\n", {"y=a"}},
      {"a name is of one event",
       "event: x\ndata: a\n\ndata: b\n\n",
       {"x=a", "=b"}},
      {"comments", ":\n\n: data: x\ndata: a\n:\n\n", {"=a"}},
      {"other fields", "id: 5\nretry: 10\nnone\ndata: a\n Data: b\n\n", {"=a"}},
      {"a mark at the start",
       "\xef\xbb\xbf"
       "data: a\n\n",
       {"=a"}},
      {"a mark later",
       "\n\xef\xbb\xbf"
       "data: a\n\n",
       {}},
      {"not complete", "data: a\n\ndata: b\n", {"=a"}},
      {"NUL", std::string("data: a\0b\n\n", 11), {std::string("=a\0b", 4)}},
      {"colons", "data: {\"a\":\"b:c\"}\n\n", {"={\"a\":\"b:c\"}"}},
  };
  for (const auto& row : rows) {
    for (size_t step = 1; step <= row.input.size(); ++step) {
      SCOPED_TRACE(absl::StrCat(row.name, ", by ", step));
      const Events events = Parse(row.input, step);
      ASSERT_OK(events.status);
      EXPECT_EQ(events.all, row.events);
    }
  }
}

TEST(EventReaderTest, OneEventIsTakenAtATime) {
  EventReader reader;
  const absl::Span<const uint8_t> two = AsBytes("data: a\n\ndata: b\n\n");
  EXPECT_EQ(reader.Feed(two).value(), 9u);
  EXPECT_EQ(reader.Feed(two.subspan(9)).value(), 0u);
  EXPECT_EQ(reader.Take()->data, "a");
  EXPECT_FALSE(reader.Take().has_value());
  EXPECT_EQ(reader.Feed(two.subspan(9)).value(), 9u);
  EXPECT_EQ(reader.Take()->data, "b");
  EXPECT_EQ(reader.lines(), 4u);
}

TEST(EventReaderTest, LinesHaveAnEnd) {
  const EventLimits limits{.max_line_bytes = 10};
  for (const size_t step : {size_t{1}, size_t{100}}) {
    EXPECT_THAT(Parse("data: 7890\n\n", step, limits).all,
                ElementsAre("=7890"));
    for (const char* line :
         {"data: 78901", ":2345678901", "x2345678901", ":2345678901\n"}) {
      const Events events = Parse(line, step, limits);
      EXPECT_THAT(events.status, StatusIs(absl::StatusCode::kOutOfRange));
      EXPECT_THAT(events.all, IsEmpty());
    }
  }
}

TEST(EventReaderTest, EventsHaveAnEnd) {
  const EventLimits limits{.max_event_bytes = 16};
  for (const size_t step : {size_t{1}, size_t{100}}) {
    EXPECT_THAT(Parse("data: a\ndata: b\n\n", step, limits).all,
                ElementsAre("=a\nb"));
    for (const char* input : {"data: a\ndata: bc\n", "id: 345678\nxxxxxx\n"}) {
      EXPECT_THAT(Parse(input, step, limits).status,
                  StatusIs(absl::StatusCode::kOutOfRange));
    }
    // What is behind it begins anew, and comments are nobody's.
    EXPECT_THAT(
        Parse("id: 345678\n\nid: 345678\n\n:3456789\n:3456789\ndata: a\n\n",
              step, limits)
            .all,
        ElementsAre("=a"));
  }
}

// The longest message that a server may pass on, in its longest form.
TEST(EventReaderTest, AMessageOfLineEndsFits) {
  const std::string data(64 * 1024 - 1, '\n');
  std::string input;
  for (size_t i = 0; i <= data.size(); ++i) absl::StrAppend(&input, "data: \n");
  input += "\n";
  const Events events = Parse(input, 16 * 1024);
  ASSERT_OK(events.status);
  ASSERT_EQ(events.all.size(), 1u);
  EXPECT_EQ(events.all[0], absl::StrCat("=", data));
}

}  // namespace
}  // namespace kyuu::signaling
