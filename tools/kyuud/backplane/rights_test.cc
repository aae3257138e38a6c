#include "tools/kyuud/backplane/rights.h"

#include <string>

#include "gtest/gtest.h"
#include "hiredis/hiredis.h"

namespace kyuu::tools {
namespace {

bool Refuse(RedisRights& rights, absl::string_view command, std::string text) {
  redisReply reply = {};
  reply.type = REDIS_REPLY_ERROR;
  reply.str = text.data();
  reply.len = text.size();
  return rights.NoteRefusal(command, reply);
}

TEST(RedisRightsTest, EachRefusalIsNotedOnceInWordsOfAnAcl) {
  RedisRights rights({.host = "h", .user = "monkey channel", .prefix = "test"});
  EXPECT_TRUE(rights.complete());
  // As Redis 6 and 7 say it.
  EXPECT_TRUE(Refuse(rights, "PUBLISH",
                     "NOPERM User monkey channel has no permissions to run the "
                     "'publish' command"));
  EXPECT_TRUE(Refuse(rights, "EVAL",
                     "NOPERM this user has no permissions to run the 'eval' "
                     "command or its subcommand"));
  EXPECT_TRUE(Refuse(rights, "GET", "NOPERM No permissions to access a key"));
  EXPECT_TRUE(Refuse(rights, "SET",
                     "NOPERM this user has no permissions to access one of the "
                     "keys used as arguments"));
  EXPECT_TRUE(
      Refuse(rights, "PUBLISH", "NOPERM No permissions to access a channel"));
  EXPECT_FALSE(rights.complete());
  EXPECT_EQ(rights.missing(), "+publish +eval ~test:* &test:*");
  EXPECT_EQ(rights.Mend(),
            "ACL SETUSER monkey channel +publish +eval ~test:* &test:*");
}

TEST(RedisRightsTest, OtherErrorsAreNoWantOfRights) {
  RedisRights rights({.host = "h"});
  EXPECT_FALSE(Refuse(rights, "SET",
                      "OOM command not allowed when used memory "
                      "> 'maxmemory'."));
  EXPECT_FALSE(Refuse(rights, "SET",
                      "READONLY You can't write against a read "
                      "only replica."));
  redisReply fine = {};
  fine.type = REDIS_REPLY_STATUS;
  EXPECT_FALSE(rights.NoteRefusal("SET", fine));
  EXPECT_TRUE(rights.complete());
  EXPECT_EQ(rights.missing(), "");
}

TEST(RedisRightsTest, AWordOfItsOwnForEachRight) {
  std::string tried;
  for (const auto& words : RedisRights({.host = "h"}).Probes()) {
    tried.append(words.front()).append(" ");
  }
  EXPECT_EQ(tried, "GET EXISTS DEL SET TIME EVAL PUBLISH ");
}

}  // namespace
}  // namespace kyuu::tools
