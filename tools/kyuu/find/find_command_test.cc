#include "tools/kyuu/find/find_command.h"

#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::tools {
namespace {

TEST(FindCommandTest, ValuesAreOfTheirKinds) {
  EXPECT_EQ(MetaOf({}).value(), "{}");
  EXPECT_EQ(MetaOf({"a=b c", "d=5", "e=true", "f=null", "g=\"5\"",
                    "h=", "i=[1]", "j=x=y"})
                .value(),
            "{\"a\":\"b c\",\"d\":5,\"e\":true,\"f\":null,\"g\":\"5\","
            "\"h\":\"\",\"i\":\"[1]\",\"j\":\"x=y\"}");
}

TEST(FindCommandTest, WhatIsNoMemberIsRefused) {
  for (const char* text : {"", "a", "=b"}) {
    EXPECT_THAT(MetaOf({text}), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(MetaOf({"a=1", "a=2"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kyuu::tools
