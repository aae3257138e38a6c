#include "tools/kyuu/tcp_use/tcp_use.h"

#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer/host_sockets.h"

namespace kyuu::tools {
namespace {

using peer::TcpUse;

TEST(TcpUse, EachWordIsTaken) {
  for (const auto& [word, expected] :
       {std::pair("none", TcpUse::kNone), std::pair("active", TcpUse::kActive),
        std::pair("both", TcpUse::kBoth),
        std::pair("simultaneous", TcpUse::kSimultaneous)}) {
    CLI::App app;
    TcpUse use = TcpUse::kBoth;
    AddTcpUse(app, use);
    app.parse(std::string("--tcp ") + word);
    EXPECT_EQ(use, expected) << word;
  }
}

TEST(TcpUse, WithoutItNothingIsSaid) {
  CLI::App app;
  std::optional<TcpUse> use;
  AddTcpUse(app, use);
  app.parse("");
  EXPECT_EQ(use, std::nullopt);
}

// It printed the enumerators, which are bytes that no terminal shows.
TEST(TcpUse, AWrongWordIsToldWithThoseThatThereAre) {
  for (const char* wrong : {"wrong", "1", "BOTH", ""}) {
    CLI::App app;
    TcpUse use = TcpUse::kBoth;
    AddTcpUse(app, use);
    std::ostringstream out, err;
    try {
      app.parse(std::string("--tcp=") + wrong);
      FAIL() << wrong;
    } catch (const CLI::ParseError& error) {
      EXPECT_NE(app.exit(error, out, err), 0);
    }
    EXPECT_THAT(err.str(), testing::HasSubstr("--tcp"));
    EXPECT_THAT(err.str() + app.help(), testing::HasSubstr("simultaneous"));
    for (const char c : err.str() + app.help()) {
      EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << int{c};
    }
  }
}

}  // namespace
}  // namespace kyuu::tools
