#include "tools/kyuu/probe/server_commands.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/udp_socket.h"

namespace kyuu::tools {
namespace {

// RFC 8489 section 6.2.1. Without the word of the host it would take the 39.5 s
// of a transaction.
TEST(ServerCommandsTest, APortWhereNobodyListensIsToldAtOnce) {
  std::string closed;
  {
    const auto gone =
        net::UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}});
    ASSERT_OK(gone);
    closed = gone->local().ToString();
  }
  const auto turn = [](const std::string& url) {
    return RunTurn({.url = url});
  };
  const std::pair<int (*)(const std::string&), std::string> runs[] = {
      {&RunStun, closed}, {turn, "a:1@" + closed}};
  for (const auto& [run, url] : runs) {
    const absl::Time began = net::Loop::Now();
    testing::internal::CaptureStderr();
    EXPECT_EQ(run(url), 1);
    const std::string errors = testing::internal::GetCapturedStderr();
    EXPECT_LT(net::Loop::Now() - began, absl::Seconds(10));
    EXPECT_THAT(errors, testing::HasSubstr(closed));
    EXPECT_THAT(errors, testing::HasSubstr("refused"));
  }
}

}  // namespace
}  // namespace kyuu::tools
