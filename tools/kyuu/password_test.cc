#include "tools/kyuu/password.h"

#include <cstdlib>

#include "base/testing.h"

namespace kyuu::tools {
namespace {

TEST(Password, ComesFromTheEnvironment) {
  ASSERT_EQ(setenv(kPasswordVariable, "p@s:s", 1), 0);
  EXPECT_EQ(*WithPassword("turn:ada@host:1"), "turn:ada:p@s:s@host:1");
  EXPECT_EQ(*WithPassword("ada@host"), "ada:p@s:s@host");
}

TEST(Password, OfTheCommandLineIsLeftAlone) {
  ASSERT_EQ(setenv(kPasswordVariable, "other", 1), 0);
  for (const char* text : {"turn:ada:p@host:1", "host", "turn:host:1"}) {
    EXPECT_EQ(*WithPassword(text), text);
  }
}

}  // namespace
}  // namespace kyuu::tools
