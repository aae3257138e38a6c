#include "base/address.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "base/testing.h"

namespace kyuu {
namespace {

TEST(IpAddress, ParsesAndPrintsCanonically) {
  const std::vector<std::pair<std::string, std::string>> kRows = {
      {"0.0.0.0", "0.0.0.0"},
      {"192.0.2.255", "192.0.2.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"fe80::1%7", "fe80::1%7"},
      {"2001:db8::1%7", "2001:db8::1"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"::ffff:127.0.0.1", "127.0.0.1"},
      {"::ffff:7f00:1", "127.0.0.1"},
  };
  for (const auto& [text, canonical] : kRows) {
    const absl::StatusOr<IpAddress> address = IpAddress::Parse(text);
    ASSERT_OK(address) << text;
    EXPECT_EQ(address->ToString(), canonical);
    IpAddress read;
    EXPECT_TRUE(IpAddress::Read(text, read)) << text;
    EXPECT_EQ(read, *address);
  }
}

TEST(IpAddress, RefusesEverythingElse) {
  for (const char* text : {"",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "256.0.0.1",
                           "01.2.3.4",
                           "1.2.3.+4",
                           " 1.2.3.4",
                           "1.2.3.4 ",
                           "example.org",
                           ":",
                           ":::",
                           "1::2::3",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7::8",
                           "12345::",
                           "g::",
                           "::1.2.3",
                           "fe80::1%",
                           "fe80::1%eth0",
                           "[::1]",
                           "::1%99999999999",
                           "+1::"}) {
    EXPECT_THAT(IpAddress::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(IpAddress, MappedFormEqualsIPv4) {
  std::array<uint8_t, 16> bytes{};
  bytes[10] = bytes[11] = 0xff;
  bytes[12] = 10;
  bytes[15] = 1;
  EXPECT_EQ(IpAddress::V6(bytes), IpAddress::V4(10, 0, 0, 1));
  EXPECT_EQ(IpAddress::FromBytes(bytes).v4(), 0x0a000001u);
}

TEST(IpAddress, KnowsItsKind) {
  const auto ip = [](const char* text) { return *IpAddress::Parse(text); };
  EXPECT_TRUE(ip("127.9.9.9").IsLoopback());
  EXPECT_TRUE(ip("::1").IsLoopback());
  EXPECT_FALSE(ip("::2").IsLoopback());
  EXPECT_TRUE(ip("0.0.0.0").IsAny());
  EXPECT_TRUE(ip("::").IsAny());
  EXPECT_TRUE(ip("169.254.1.1").IsLinkLocal());
  EXPECT_TRUE(ip("febf::1").IsLinkLocal());
  EXPECT_TRUE(ip("224.0.0.1").IsMulticast());
  EXPECT_TRUE(ip("ff02::1").IsMulticast());
  EXPECT_TRUE(ip("172.31.0.1").IsPrivate());
  EXPECT_FALSE(ip("172.32.0.1").IsPrivate());
  EXPECT_TRUE(ip("fd00::1").IsPrivate());
  EXPECT_FALSE(IpAddress().IsAny());
  EXPECT_EQ(IpAddress().ToString(), "");
}

TEST(IpPrefix, ContainsByBits) {
  const absl::StatusOr<IpPrefix> prefix = IpPrefix::Parse("172.16.99.1/12");
  ASSERT_OK(prefix);
  EXPECT_EQ(prefix->ToString(), "172.16.0.0/12");
  EXPECT_TRUE(prefix->Contains(IpAddress::V4(172, 31, 255, 255)));
  EXPECT_FALSE(prefix->Contains(IpAddress::V4(172, 32, 0, 0)));
  EXPECT_FALSE(prefix->Contains(*IpAddress::Parse("::")));
  EXPECT_TRUE(IpPrefix::Parse("::/0")->Contains(*IpAddress::Parse("1::1")));
  EXPECT_TRUE(
      IpPrefix::Parse("10.0.0.1")->Contains(IpAddress::V4(10, 0, 0, 1)));
  for (const char* text : {"10.0.0.0/33", "::/129", "10.0.0.0/", "x/8"}) {
    EXPECT_FALSE(IpPrefix::Parse(text).ok()) << text;
  }
}

TEST(TransportAddress, ParsesAndPrints) {
  for (const char* text : {"127.0.0.1:80", "[::1]:65535", "[fe80::1%3]:0"}) {
    const absl::StatusOr<TransportAddress> a = TransportAddress::Parse(text);
    ASSERT_OK(a) << text;
    EXPECT_EQ(a->ToString(), text);
  }
  for (const char* text : {"127.0.0.1", "::1:80", "[127.0.0.1]:80",
                           "1.2.3.4:65536", "1.2.3.4:", ":80", "[::1]", ""}) {
    EXPECT_FALSE(TransportAddress::Parse(text).ok()) << text;
  }
}

TEST(TransportAddress, HashesByValue) {
  const TransportAddress a{IpAddress::V4(1, 2, 3, 4), 5};
  const TransportAddress b{IpAddress::V4(1, 2, 3, 4), 6};
  EXPECT_EQ(absl::HashOf(a), absl::HashOf(TransportAddress(a)));
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace kyuu
