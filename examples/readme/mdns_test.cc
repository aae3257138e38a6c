// mdns/README.md.

#include <array>
#include <string>

#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "mdns/endpoint.h"
#include "mdns/message.h"

namespace kyuu {
namespace {

TEST(MdnsReadme, ANameIsAskedForAndAnotherOnePublished) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  const IpAddress our_address = IpAddress::V4(10, 0, 0, 1);
  const uint32_t interface_index = 2;
  SeededRandom random(1);

  mdns::Endpoint endpoint;
  endpoint.AddLink(now, {our_address, interface_index}).IgnoreError();
  auto id = endpoint.Resolve(now, "5f0c6a1e-2b7d-4c3f-9a8b-7c6d5e4f3a2b.local");
  const std::string name = mdns::MakeName(random);
  endpoint.Publish(name, our_address, interface_index).IgnoreError();

  ASSERT_OK(id);
  std::array<uint8_t, 600> buffer;
  const auto question = endpoint.PollTransmit(now, absl::MakeSpan(buffer));
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(question->path.remote.ToString(), "224.0.0.251:5353");
}

}  // namespace
}  // namespace kyuu
