#include "tools/kyuud/authorizer_exchange.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::tools {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Kind = AuthorizerAddress::Kind;
using Verdict = AuthorizerAnswer::Verdict;

const absl::Time kNow = absl::UnixEpoch();
const AuthorizerQuestion kQuestion{
    "ann", "example.org", {IpAddress::V4(192, 0, 2, 7), 5000}};

class Exchange {
 public:
  explicit Exchange(absl::string_view address,
                    const AuthorizerQuestion& question = kQuestion)
      : exchange_(AuthorizerAddress::Parse(address).value(), question,
                  kNow + absl::Seconds(3)) {}

  std::string Said() {
    std::string text;
    std::array<uint8_t, 50> buffer;
    while (const auto bytes =
               exchange_.PollTransmit(kNow, absl::MakeSpan(buffer))) {
      text.append(bytes->begin(), bytes->end());
    }
    return text;
  }
  // The answer, once it is there; the end comes right behind it.
  std::optional<AuthorizerAnswer> Answer() {
    auto event = exchange_.PollEvent();
    if (!event) return std::nullopt;
    AuthorizerAnswer answer =
        std::get<AuthorizerExchange::Answered>(*event).answer;
    event = exchange_.PollEvent();
    EXPECT_EQ(std::get<AuthorizerExchange::Closed>(*event).status.ok(),
              answer.verdict != Verdict::kFailed);
    EXPECT_TRUE(exchange_.finished());
    EXPECT_EQ(exchange_.NextTimeout(), absl::InfiniteFuture());
    EXPECT_EQ(exchange_.PollEvent(), std::nullopt);
    return answer;
  }
  // What comes of that, cut into pieces, and then the stream's end.
  AuthorizerAnswer Hear(absl::string_view text, size_t step = 1) {
    std::optional<AuthorizerAnswer> answer;
    for (size_t at = 0; at < text.size() && !answer; at += step) {
      exchange_.HandlePacket(kNow, AsBytes(text.substr(at, step)));
      answer = Answer();
    }
    if (!answer) {
      exchange_.HandleStreamEnd(kNow, absl::OkStatus());
      answer = Answer();
    }
    return *answer;
  }

  AuthorizerExchange exchange_;
};

TEST(AuthorizerAddress, TextAndMeaningAreTheSame) {
  for (const char* text :
       {"unix:/run/auth.sock", "http://127.0.0.1:8080/turn?x=1",
        "http://[::1]:80/"}) {
    const auto address = AuthorizerAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(AuthorizerAddress::Parse("http://127.0.0.1:8080")->path, "/");
  for (const char* text :
       {"", "unix:", "/run/auth.sock", "http://", "http://localhost:80/",
        "http://127.0.0.1/", "http://127.0.0.1:0/", "https://127.0.0.1:1/",
        "http://127.0.0.1:80/a b", "http://127.0.0.1:80/\r\nX: y"}) {
    EXPECT_FALSE(AuthorizerAddress::Parse(text).ok()) << text;
  }
}

TEST(AuthorizerExchange, AsksByALine) {
  Exchange exchange("unix:/a");
  EXPECT_EQ(exchange.Said(),
            "{\"client\":\"192.0.2.7:5000\",\"realm\":\"example.org\","
            "\"user\":\"ann\"}\n");
  // Names come from clients: whatever they are, it is one line of JSON.
  Exchange odd("unix:/a", {"\"\n\x01\xff", "r", {}});
  EXPECT_THAT(odd.Said(),
              HasSubstr("\"user\":\"\\\"\\n\\u0001\xef\xbf\xbd\"}\n"));
}

TEST(AuthorizerExchange, AsksByHttp) {
  Exchange exchange("http://127.0.0.1:8080/turn");
  const std::string said = exchange.Said();
  EXPECT_THAT(said,
              StartsWith("POST /turn HTTP/1.0\r\nHost: 127.0.0.1:8080\r\n"));
  EXPECT_THAT(said, HasSubstr("\r\nContent-Length: 62\r\n"));
  EXPECT_EQ(said.substr(said.find("\r\n\r\n") + 4).size(), 62u);
}

TEST(AuthorizerExchange, AnswersAreRead) {
  const auto answer = AuthorizerAnswer::Parse(
      R"({"ok":true,"password":"secret","lifetime":90,"allocations":5,"x":1})");
  EXPECT_EQ(answer.verdict, Verdict::kGranted);
  EXPECT_EQ(answer.password, "secret");
  EXPECT_EQ(answer.lifetime, absl::Seconds(90));
  EXPECT_EQ(answer.allocations, 5u);
  const auto keyed = AuthorizerAnswer::Parse(
      R"({"ok":true,"key":"0x000102030405060708090a0b0c0d0e0f"})");
  EXPECT_EQ(keyed.verdict, Verdict::kGranted);
  EXPECT_EQ(keyed.key.size(), 16u);
  EXPECT_EQ(keyed.lifetime, std::nullopt);
  EXPECT_EQ(AuthorizerAnswer::Parse(R"({"ok":false})").verdict,
            Verdict::kDenied);
  for (
      const char* text :
      {"", "nonsense", "[]", "true", "{}", R"({"ok":1,"password":"x"})",
       R"({"ok":true})", R"({"ok":true,"password":""})",
       R"({"ok":true,"password":7})", R"({"ok":true,"key":"0x00"})",
       R"({"ok":true,"key":"000102030405060708090a0b0c0d0e0g"})",
       R"({"ok":true,"password":"x","key":"000102030405060708090a0b0c0d0e0f"})",
       R"({"ok":true,"password":"x","lifetime":-1})",
       R"({"ok":true,"password":"x","lifetime":"1h"})",
       R"({"ok":true,"password":"x","lifetime":1e12})",
       R"({"ok":true,"password":"x","allocations":-1})",
       R"({"ok":true,"password":"x","allocations":1.5})",
       R"({"ok":true,"password":"x"} {})"}) {
    const AuthorizerAnswer wrong = AuthorizerAnswer::Parse(text);
    EXPECT_EQ(wrong.verdict, Verdict::kFailed) << text;
    EXPECT_FALSE(wrong.problem.empty()) << text;
  }
}

TEST(AuthorizerExchange, ALineEndsTheAnswerAndSoDoesTheStream) {
  const std::string answer = R"({"ok":true,"password":"x"})";
  for (const size_t step : {size_t{1}, size_t{7}, size_t{1000}}) {
    EXPECT_EQ(Exchange("unix:/a").Hear(answer + "\nmore", step).verdict,
              Verdict::kGranted);
    EXPECT_EQ(Exchange("unix:/a").Hear(answer, step).verdict,
              Verdict::kGranted);
    EXPECT_EQ(Exchange("unix:/a").Hear(answer.substr(1), step).verdict,
              Verdict::kFailed);
  }
  EXPECT_EQ(Exchange("unix:/a").Hear("").verdict, Verdict::kFailed);
}

TEST(AuthorizerExchange, HttpAnswers) {
  const std::string body = R"({"ok":true,"password":"x"})";
  const std::pair<std::string, Verdict> kRows[] = {
      {absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n", body),
       Verdict::kGranted},
      {absl::StrCat("HTTP/1.0 200 OK\r\n\r\n", body), Verdict::kGranted},
      {absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n", body),
       Verdict::kFailed},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Verdict::kDenied},
      {"HTTP/1.1 404 Not Found\r\n\r\n", Verdict::kDenied},
      {"HTTP/1.1 500 Oops\r\n\r\n", Verdict::kFailed},
      {"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", Verdict::kFailed},
      {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Verdict::kFailed},
      {"SSH-2.0-OpenSSH\r\n", Verdict::kFailed},
      {"", Verdict::kFailed}};
  for (const auto& [text, verdict] : kRows) {
    for (const size_t step : {size_t{1}, size_t{7}, size_t{1000}}) {
      EXPECT_EQ(Exchange("http://127.0.0.1:1/").Hear(text, step).verdict,
                verdict)
          << text;
    }
  }
}

TEST(AuthorizerExchange, ItIsBoundedInTimeAndSize) {
  Exchange late("unix:/a");
  EXPECT_EQ(late.exchange_.NextTimeout(), kNow + absl::Seconds(3));
  late.exchange_.HandleTimeout(kNow + absl::Seconds(3));
  EXPECT_EQ(late.Answer()->problem, "it has not answered in time");
  Exchange longer("unix:/a");
  EXPECT_EQ(longer.Hear(std::string(20'000, 'x'), 1000).problem,
            "its answer is too long");
  Exchange broken("unix:/a");
  broken.exchange_.HandleStreamEnd(kNow, absl::DataLossError("reset"));
  EXPECT_EQ(broken.Answer()->problem, "reset");
}

}  // namespace
}  // namespace kyuu::tools
