#include "tools/kyuud/healthcheck/healthcheck.h"

#include <gtest/gtest.h>

#include "net/tcp.h"

namespace kyuu::tools {
namespace {

TEST(HealthcheckTest, AServerThatSaysNothingIsWaitedForNoLonger) {
  // The kernel takes the connection, and nobody takes it from there.
  const auto silent =
      net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}});
  ASSERT_TRUE(silent.ok());
  Config config;
  config.http_listen = {silent->local()};
  EXPECT_EQ(CheckHealth(config, absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(HealthcheckTest, WhereNothingListensNobodyIsAsked) {
  Config config;
  config.http_listen = {{IpAddress::V4(127, 0, 0, 1), 0}};
  EXPECT_EQ(CheckHealth(config, absl::Seconds(1)).code(),
            absl::StatusCode::kFailedPrecondition);
  config.http_listen = {};
  EXPECT_EQ(CheckHealth(config, absl::Seconds(1)).code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace kyuu::tools
