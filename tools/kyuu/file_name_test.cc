#include "tools/kyuu/file_name.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

TEST(FileName, RefusesWhatLeavesTheFolder) {
  for (const std::string& name : std::vector<std::string>{
           "", ".", "..", "a/b", "../a", "a\\b", "a\nb", std::string("a\0b", 3),
           std::string(256, 'a'), "\x7f"}) {
    EXPECT_FALSE(IsSafeFileName(name)) << name;
  }
  EXPECT_TRUE(IsSafeFileName("Größe (1).txt"));
  EXPECT_TRUE(IsSafeFileName(std::string(255, 'a')));
}

TEST(FileName, OfOurOwnFilesIsMadeOneThatPeersTake) {
  EXPECT_EQ(CleanFileName("a\\b\nc"), "a_b_c");
  EXPECT_EQ(CleanFileName(".vimrc"), ".vimrc");
}

TEST(FileName, StoredOnesAreSeenAndNotObeyed) {
  EXPECT_EQ(StoredFileName("a.pdf"), "a.pdf");
  EXPECT_EQ(StoredFileName(".bashrc"), "_bashrc");
  EXPECT_EQ(StoredFileName("..a"), "_.a");
  EXPECT_EQ(StoredFileName("\u200b.bashrc"), "_.bashrc");
  EXPECT_EQ(StoredFileName("holiday\u202egpj.exe"), "holiday_gpj.exe");
  EXPECT_EQ(StoredFileName("\u009b31m\u2028\xff"), "_31m__");
  EXPECT_EQ(StoredFileName("größer 長 🎈.txt"), "größer 長 🎈.txt");
}

TEST(FileName, PortableOnesFitFat) {
  EXPECT_EQ(PortableFileName("10:30 \"a\"?.txt"), "10_30 _a__.txt");
  EXPECT_EQ(PortableFileName("end."), "end_");
}

TEST(FileName, NumbersStandBeforeTheExtension) {
  EXPECT_EQ(NumberedFileName("a.tar.gz", 0), "a.tar.gz");
  EXPECT_EQ(NumberedFileName("a.tar.gz", 2), "a (2).tar.gz");
  EXPECT_EQ(NumberedFileName("a", 1), "a (1)");
  EXPECT_EQ(NumberedFileName("v1.2 of a rather long sentence, and more.pdf", 1),
            "v1.2 of a rather long sentence, and more (1).pdf");
}

// Every name that a file system takes can be numbered.
TEST(FileName, LongOnesLoseTheirStemsEndBetweenCharacters) {
  for (size_t size = 240; size <= kFileNameBytesMax; ++size) {
    const std::string plain =
        NumberedFileName(std::string(size - 4, 'a') + ".txt", 1);
    EXPECT_LE(plain.size(), kFileNameBytesMax);
    EXPECT_THAT(plain, testing::EndsWith(" (1).txt"));
    std::string wide;
    while (wide.size() + 2 <= size) wide += "ä";
    const std::string numbered = NumberedFileName(wide, 999);
    EXPECT_LE(numbered.size(), kFileNameBytesMax);
    EXPECT_EQ(StoredFileName(numbered), numbered) << "cut in a character";
  }
}

}  // namespace
}  // namespace kyuu::tools
