#include "tools/kyuu/room_secret.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::tools {
namespace {

TEST(RoomSecretTest, ItIsTheFirstLine) {
  const std::string file =
      absl::StrCat(testing::TempDir(), "/room-secret-", getpid());
  const auto read = [&](const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
    return ReadRoomSecret(file);
  };
  EXPECT_EQ(*read("hat"), "hat");
  EXPECT_EQ(*read("a hat \nand more"), "a hat ");
  EXPECT_EQ(*read("hat\r\n"), "hat");
  EXPECT_EQ(*read(std::string(128, 'x') + "\r\n"), std::string(128, 'x'));
  EXPECT_FALSE(read(std::string(129, 'x')).ok());
  EXPECT_FALSE(read("").ok());
  EXPECT_FALSE(read("\nhat").ok());
  std::filesystem::remove(file);
  EXPECT_FALSE(ReadRoomSecret(file).ok());
  EXPECT_EQ(*ReadRoomSecret(""), "");
}

}  // namespace
}  // namespace kyuu::tools
