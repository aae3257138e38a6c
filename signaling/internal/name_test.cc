#include "signaling/internal/name.h"

#include <string>

#include "gtest/gtest.h"

namespace kyuu::signaling::internal {
namespace {

TEST(NameTest, Names) {
  for (const char* name : {"a", "Ada Lovelace", "J\xc3\xbcrgen", "a\"b\\c"}) {
    EXPECT_TRUE(IsValidName(name, 64)) << name;
  }
  for (const char* name : {"", " a", "a ", "a\nb", "a\x7f", "a\xff"}) {
    EXPECT_FALSE(IsValidName(name, 64)) << name;
  }
  EXPECT_TRUE(IsValidName(std::string(64, 'x'), 64));
  EXPECT_FALSE(IsValidName(std::string(65, 'x'), 64));
}

}  // namespace
}  // namespace kyuu::signaling::internal
