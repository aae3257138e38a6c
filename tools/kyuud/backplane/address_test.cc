#include "tools/kyuud/backplane/address.h"

#include <string>

#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::tools {
namespace {

TEST(BackplaneAddressTest, EachPartIsRead) {
  const auto address = BackplaneAddress::Parse(
      "redis://kyuu:p%40ss%3aword@[::1]:7000/3?prefix=staging:1");
  ASSERT_OK(address);
  EXPECT_EQ(address->host, "::1");
  EXPECT_EQ(address->port, 7000);
  EXPECT_EQ(address->user, "kyuu");
  EXPECT_EQ(address->password, "p@ss:word");
  EXPECT_EQ(address->database, 3);
  EXPECT_EQ(address->prefix, "staging:1");
  EXPECT_EQ(address->ToString(),
            "redis://kyuu:p%40ss%3aword@[::1]:7000/3?prefix=staging:1");
  EXPECT_EQ(address->Place(), "[::1]:7000");
}

TEST(BackplaneAddressTest, OverTlsIsOneMoreLetter) {
  const auto address =
      BackplaneAddress::Parse("rediss://kyuu:word@redis.test:6380/1");
  ASSERT_OK(address);
  EXPECT_TRUE(address->tls);
  EXPECT_EQ(address->host, "redis.test");
  EXPECT_EQ(address->ToString(), "rediss://kyuu:word@redis.test:6380/1");
  EXPECT_FALSE(BackplaneAddress::Parse("redis://h")->tls);
}

TEST(BackplaneAddressTest, MostPartsMayBeLeftOut) {
  for (const std::string text :
       {"redis://redis", "redis://redis:6379", "redis://redis/",
        "redis://redis:6379/0", "redis://redis?prefix=kyuu"}) {
    const auto address = BackplaneAddress::Parse(text);
    ASSERT_OK(address) << text;
    EXPECT_EQ(address->ToString(), "redis://redis:6379");
  }
  EXPECT_EQ(BackplaneAddress::Parse("redis://:secret@h")->password, "secret");
}

TEST(BackplaneAddressTest, EverythingElseIsRefusedWithoutThePassword) {
  for (const std::string text : {"",
                                 "redis",
                                 "http://h:1",
                                 "redis://",
                                 "redis://h:0",
                                 "redis://h:65536",
                                 "redis://h:x",
                                 "redis://h:1/x",
                                 "redis://h:1/-1",
                                 "redis://h:1?x=y",
                                 "redis://h:1?prefix=",
                                 "redis://h:1?prefix=a/b",
                                 "redis://[::1",
                                 "redis://[h]:1",
                                 "redis://a b:1",
                                 "redis://h:1:2",
                                 "redis://sesame@h:1",
                                 "redis://user:@h:1",
                                 "redis://u:sesame%zz@h:1",
                                 "redisss://u:sesame@h:1",
                                 "redis://u:sesame@h:+1"}) {
    const auto address = BackplaneAddress::Parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(std::string(address.status().message()).find("sesame"),
              std::string::npos)
        << address.status();
  }
}

}  // namespace
}  // namespace kyuu::tools
