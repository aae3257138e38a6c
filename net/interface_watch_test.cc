// In a network namespace of its own, where the test may change addresses.

#include "net/interface_watch.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/testing.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/testing/loop.h"

namespace kyuu::net {
namespace {

class InterfaceWatchTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const int flags =
        geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
    ASSERT_EQ(unshare(flags), 0);
  }
  static void Run(const std::string& command) {
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  static bool Has(absl::string_view ip) {
    const auto interfaces = Interfaces();
    return interfaces.ok() &&
           std::any_of(interfaces->begin(), interfaces->end(),
                       [&](const Interface& i) {
                         return i.address == IpAddress::Parse(ip).value();
                       });
  }
};

TEST_F(InterfaceWatchTest, AddressesThatComeAndGoAreTold) {
  TestLoop loop;
  int told = 0;
  const auto watch = InterfaceWatch::Create(*loop, [&] {
    ++told;
    loop->Stop();
  });
  ASSERT_OK(watch);
  EXPECT_FALSE(Has("127.0.0.1"));
  Run("ip link set lo up");
  loop.RunUntil([&] { return told > 0 && Has("127.0.0.1"); });
  told = 0;
  Run("ip addr add 11.1.1.1/32 dev lo");
  loop.RunUntil([&] { return told > 0 && Has("11.1.1.1"); });
  told = 0;
  Run("ip addr del 11.1.1.1/32 dev lo");
  loop.RunUntil([&] { return told > 0 && !Has("11.1.1.1"); });
  told = 0;
  Run("ip -6 addr add 2a00:1::1/128 dev lo nodad");
  loop.RunUntil([&] { return told > 0 && Has("2a00:1::1"); });
}

// More changes than the socket holds: that some were lost is a change too.
TEST_F(InterfaceWatchTest, ManyChangesAtOnceAreTold) {
  TestLoop loop;
  int told = 0;
  const auto watch = InterfaceWatch::Create(*loop, [&] {
    ++told;
    loop->Stop();
  });
  ASSERT_OK(watch);
  Run("ip link set lo up");
  Run("for i in $(seq 1 200); do echo addr add 12.0.0.$i/32 dev lo; done | "
      "ip -batch -");
  loop.RunUntil([&] { return told > 0 && Has("12.0.0.200"); });
}

// The kernel makes temporary addresses beside one that it is told to manage.
TEST_F(InterfaceWatchTest, WhatAnIpv6AddressIsGoodForIsTold) {
  const auto find = [](auto predicate) -> std::optional<Interface> {
    const std::vector<Interface> interfaces = Interfaces().value();
    for (const Interface& i : interfaces) {
      if (predicate(i)) return i;
    }
    return std::nullopt;
  };
  const auto is = [](const char* ip) {
    return [address = IpAddress::Parse(ip).value()](const Interface& i) {
      return i.address == address;
    };
  };
  Run("ip link add cable type veth peer name end");
  Run("echo 2 > /proc/sys/net/ipv6/conf/cable/use_tempaddr");
  TestLoop loop;
  const auto watch = InterfaceWatch::Create(*loop, [&] { loop->Stop(); });
  ASSERT_OK(watch);
  Run("ip link set end up");
  Run("ip link set cable up");
  Run("ip -6 addr add 2001:db8:1::1/64 dev cable nodad preferred_lft 0");
  Run("ip -6 addr add 2001:db8::1/64 dev cable nodad mngtmpaddr");
  const auto temporary = [](const Interface& i) { return i.temporary; };
  loop.RunUntil([&] { return find(temporary).has_value(); });
  EXPECT_FALSE(find(temporary)->deprecated);
  ASSERT_TRUE(find(is("2001:db8:1::1")));
  EXPECT_TRUE(find(is("2001:db8:1::1"))->deprecated);
  EXPECT_FALSE(find(is("2001:db8:1::1"))->temporary);
  ASSERT_TRUE(find(is("2001:db8::1")));
  EXPECT_FALSE(find(is("2001:db8::1"))->deprecated);
  EXPECT_FALSE(find(is("2001:db8::1"))->temporary);
}

}  // namespace
}  // namespace kyuu::net
