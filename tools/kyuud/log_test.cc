#include "tools/kyuud/log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "base/testing.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

struct Pipe {
  Pipe() {
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    std::signal(SIGPIPE, SIG_IGN);
  }
  ~Pipe() {
    CloseReader();
    close(ends[1]);
  }
  void CloseReader() {
    if (ends[0] >= 0) close(std::exchange(ends[0], -1));
  }
  // Reads until `text` has come.
  std::string ReadUntil(const std::string& text) {
    std::string all;
    std::array<char, 4096> some;
    while (all.find(text) == std::string::npos) {
      const ssize_t n = read(ends[0], some.data(), some.size());
      if (n <= 0) break;
      all.append(some.data(), static_cast<size_t>(n));
    }
    return all;
  }
  std::array<int, 2> ends;
};

TEST(LogSinkTest, LinesArriveInOrder) {
  Pipe pipe;
  const auto sink = std::make_shared<LogSink>(pipe.ends[1], LogSink::Options{});
  spdlog::logger logger("test", sink);
  logger.set_pattern("%v");
  for (int i = 0; i < 100; ++i) logger.info("line {}", i);
  const std::string all = pipe.ReadUntil("line 99\n");
  EXPECT_LT(all.find("line 1\n"), all.find("line 98\n"));
  EXPECT_EQ(sink->dropped(), 0u);
}

TEST(LogSinkTest, JsonIsAnObjectInEachLine) {
  Pipe pipe;
  const auto sink = std::make_shared<LogSink>(pipe.ends[1], LogSink::Options{});
  spdlog::logger logger("test", sink);
  FormatAsJson(logger);
  logger.warn("a \"b\" \\ \x01 \xff {}", "\xc3\xa9");
  logger.info("last");
  const std::string all = pipe.ReadUntil("last\"}\n");
  EXPECT_THAT(all, testing::MatchesRegex(
                       "\\{\"time\":\"....-..-..T..:..:......Z\",\"level\":"
                       "\"warning\",\"message\":\"a .*\"\\}\n.*\n"));
  EXPECT_THAT(all, testing::HasSubstr(R"("a \"b\" \\ \u0001 )"
                                      "\xef\xbf\xbd \xc3\xa9\"}\n"));
}

// T10: a synchronous sink on the loop's thread stops the server.
TEST(LogSinkTest, AReaderThatStandsStillCostsLinesNotTime) {
  Pipe pipe;
  auto sink = std::make_shared<LogSink>(
      pipe.ends[1], LogSink::Options{.max_queued_bytes = 10'000,
                                     .farewell = absl::Milliseconds(1)});
  {
    spdlog::logger logger("test", sink);
    logger.set_pattern("%v");
    for (int i = 0; i < 10'000; ++i) logger.info("line {}", i);
    EXPECT_GT(sink->dropped(), 5'000u);
    // Once somebody reads, the loss is told behind what was kept.
    const std::string all = pipe.ReadUntil("were dropped");
    EXPECT_NE(all.find("were dropped"), std::string::npos);
    for (int i = 0; i < 10'000; ++i) logger.info("more {}", i);
  }
  sink.reset();  // Ends although nobody reads.
}

TEST(LogSinkTest, AReaderThatIsGoneEndsNothing) {
  Pipe pipe;
  auto sink = std::make_shared<LogSink>(pipe.ends[1], LogSink::Options{});
  pipe.CloseReader();
  {
    spdlog::logger logger("test", sink);
    for (int i = 0; i < 100; ++i) logger.info("line {}", i);
  }
  sink.reset();
}

TEST(LogLimiterTest, SomePassAndTheRestIsCounted) {
  LogLimiter limiter(2, absl::Seconds(10));
  const absl::Time start = absl::FromUnixSeconds(1000);
  EXPECT_EQ(limiter.Pass(start), 0u);
  EXPECT_EQ(limiter.Pass(start), 0u);
  EXPECT_EQ(limiter.Pass(start), std::nullopt);
  EXPECT_EQ(limiter.Pass(start + absl::Seconds(9)), std::nullopt);
  EXPECT_EQ(limiter.Pass(start + absl::Seconds(10)), 2u);
  EXPECT_EQ(limiter.Pass(start + absl::Seconds(10)), 0u);
}

}  // namespace
}  // namespace kyuu::tools
