#include "tools/kyuu/datagram_size.h"

#include "base/testing.h"
#include "peer/connection_types.h"

namespace kyuu::tools {
namespace {

const TransportAddress kLoopback{IpAddress::V4(127, 0, 0, 1), 9};

TEST(DatagramSizeTest, IsWhatBothAndTheWayTake) {
  const size_t everybody = peer::Options().max_datagram_bytes;
  DatagramSize size;
  size.HandlePath(kLoopback);
  EXPECT_EQ(size.bytes(), everybody);
  size.HandleHello({{"datagram", 4000u}});
  EXPECT_EQ(size.bytes(), 4000u);
  size.HandleHello({{"datagram", 100'000u}});
  EXPECT_EQ(size.bytes(), DatagramSize::kMost);
  size.HandlePath({});  // Nobody knows how to get there.
  EXPECT_EQ(size.bytes(), everybody);
}

TEST(DatagramSizeTest, IsTheDefaultToWhoSaysNothingOrNonsense) {
  const size_t everybody = peer::Options().max_datagram_bytes;
  for (const char* hello :
       {"{}", R"({"datagram":"8192"})", R"({"datagram":-1})",
        R"({"datagram":0})", R"({"datagram":7.5})", R"({"datagram":[8192]})"}) {
    DatagramSize size;
    size.HandlePath(kLoopback);
    size.HandleHello(nlohmann::json::parse(hello));
    EXPECT_EQ(size.bytes(), everybody) << hello;
  }
}

TEST(DatagramSizeTest, IsSaidInHello) {
  nlohmann::json hello;
  DatagramSize::Say(hello);
  EXPECT_EQ(hello["datagram"], 8192);
}

}  // namespace
}  // namespace kyuu::tools
