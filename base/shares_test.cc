#include "base/shares.h"

#include "base/address.h"
#include "gtest/gtest.h"

namespace kyuu {
namespace {

IpAddress Ip(const char* text) { return IpAddress::Parse(text).value(); }

TEST(SharesTest, ASourceIsAnIpv4AddressOrAnIpv6Network) {
  EXPECT_NE(SourceOf(Ip("192.0.2.1")), SourceOf(Ip("192.0.2.2")));
  EXPECT_EQ(SourceOf(Ip("192.0.2.1")), SourceOf(Ip("::ffff:192.0.2.1")));
  EXPECT_EQ(SourceOf(Ip("2001:db8::1")), SourceOf(Ip("2001:db8::9:9:9:9")));
  EXPECT_NE(SourceOf(Ip("2001:db8::1")), SourceOf(Ip("2001:db8:0:1::1")));
}

TEST(SharesTest, ASourceTakesItsShareAndGivesItBack) {
  Shares shares;
  const Source one = Ip("192.0.2.1"), two = Ip("192.0.2.2");
  EXPECT_TRUE(shares.Take(one, 2));
  EXPECT_TRUE(shares.Take(one, 2));
  EXPECT_FALSE(shares.Take(one, 2));
  EXPECT_TRUE(shares.Take(two, 2));
  EXPECT_EQ(shares.held(one), 2u);
  shares.Return(one);
  EXPECT_TRUE(shares.Take(one, 2));
  shares.Return(one);
  shares.Return(one);
  shares.Return(two);
  EXPECT_TRUE(shares.empty());
}

}  // namespace
}  // namespace kyuu
