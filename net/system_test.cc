// What the system tells: interfaces and names.

#include <algorithm>
#include <vector>

#include "base/address.h"
#include "base/testing.h"
#include "net/interfaces.h"
#include "net/resolve.h"

namespace kyuu::net {
namespace {

TEST(InterfacesTest, LoopbackIsAmongThem) {
  const auto interfaces = Interfaces();
  ASSERT_OK(interfaces);
  const auto it = std::find_if(
      interfaces->begin(), interfaces->end(), [](const Interface& i) {
        return i.address == IpAddress::V4(127, 0, 0, 1);
      });
  ASSERT_NE(it, interfaces->end());
  EXPECT_EQ(it->kind, InterfaceKind::kLoopback);
  EXPECT_GT(it->index, 0u);
  EXPECT_FALSE(it->name.empty());
  for (const Interface& i : *interfaces) {
    EXPECT_NE(i.address.family(), IpFamily::kUnspecified);
    if (i.address.is_v6() && i.address.IsLinkLocal()) {
      EXPECT_EQ(i.address.scope_id(), i.index);
    }
  }
}

TEST(RouteMtuTest, LoopbackTakesMoreThanEthernet) {
  const auto mtu = RouteMtu({IpAddress::V4(127, 0, 0, 1), 9});
  ASSERT_OK(mtu);
  EXPECT_GT(*mtu, 1500u);
  EXPECT_FALSE(RouteMtu({}).ok());
}

TEST(ResolveTest, NumbersResolveToThemselves) {
  for (const char* text : {"192.0.2.7", "2001:db8::7"}) {
    const auto addresses = Resolve(text, 3478);
    ASSERT_OK(addresses);
    EXPECT_EQ(*addresses, (std::vector<TransportAddress>{
                              {IpAddress::Parse(text).value(), 3478}}));
  }
}

TEST(ResolveTest, LocalhostIsLoopback) {
  const auto addresses = Resolve("localhost", 1);
  ASSERT_OK(addresses);
  ASSERT_FALSE(addresses->empty());
  for (const TransportAddress& address : *addresses) {
    EXPECT_TRUE(address.ip.IsLoopback());
  }
}

TEST(ResolveTest, ANameThatCannotBeIsNotFound) {
  EXPECT_THAT(Resolve("no such host", 1),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace kyuu::net
