#include "tools/kyuu/transfer/journal.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

Journal Sample() {
  Journal journal;
  journal.name = "grüße.iso";
  journal.size = 9 * kMiB;
  journal.file = {"source", "version"};
  journal.prefixes = {std::string(64, '1'), std::string(64, '2')};
  return journal;
}

// As some run of ours has written it.
constexpr absl::string_view kCaptured =
    "{\"chunk\":4194304,\"kyuu\":\"part 1\",\"name\":\"grüße.iso\","
    "\"size\":9437184,\"source\":\"source\",\"version\":\"version\"}\n"
    "1111111111111111111111111111111111111111111111111111111111111111\n"
    "2222222222222222222222222222222222222222222222222222222222222222\n";

void ExpectSample(const absl::StatusOr<Journal>& journal, size_t prefixes) {
  ASSERT_OK(journal);
  EXPECT_EQ(journal->name, "grüße.iso");
  EXPECT_EQ(journal->size, 9 * kMiB);
  EXPECT_EQ(journal->file, (FileVersion{"source", "version"}));
  EXPECT_EQ(journal->prefixes.size(), prefixes);
}

TEST(JournalTest, IsReadAsItWasWritten) {
  EXPECT_EQ(WriteJournal(Sample()), kCaptured);
  ExpectSample(ParseJournal(kCaptured), 2);
  Journal one = Sample();
  one.prefixes.pop_back();
  EXPECT_EQ(WriteJournal(one) + JournalLine(std::string(64, '2')), kCaptured);
}

// A run may be killed at any byte.
TEST(JournalTest, TornAnywhereItSaysLessOrNothing) {
  const size_t first = kCaptured.find('\n') + 1;
  for (size_t size = 0; size < kCaptured.size(); ++size) {
    const auto journal = ParseJournal(kCaptured.substr(0, size));
    if (size < first) {
      EXPECT_FALSE(journal.ok()) << size;
    } else {
      ExpectSample(journal, (size - first) / 65);
    }
  }
}

TEST(JournalTest, FlippedAnywhereItIsNoTrap) {
  for (size_t i = 0; i < kCaptured.size(); ++i) {
    std::string text(kCaptured);
    for (int bit = 0; bit < 8; ++bit) {
      text[i] = static_cast<char>(kCaptured[i] ^ (1 << bit));
      const auto journal = ParseJournal(text);
      if (!journal.ok()) continue;
      EXPECT_LE(journal->prefixes.size(), 2u);
      EXPECT_OK(ParseJournal(WriteJournal(*journal)));
    }
  }
}

TEST(JournalTest, RefusesWhatIsNoJournal) {
  const std::string hash = absl::StrCat(std::string(64, '1'), "\n");
  const auto refused = [](absl::string_view text) {
    EXPECT_THAT(ParseJournal(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text.substr(0, 200);
  };
  refused(hash);
  refused("{}\n");
  refused("\n");
  // Two chunks are all that it has.
  refused(absl::StrCat(kCaptured, hash));
  const auto with = [](absl::string_view key, nlohmann::json value) {
    auto header =
        nlohmann::json::parse(kCaptured.substr(0, kCaptured.find('\n')));
    header[std::string(key)] = std::move(value);
    return header.dump() + "\n";
  };
  EXPECT_OK(ParseJournal(with("more", "of a later version")));
  refused(with("kyuu", "part 2"));
  refused(with("name", "../a"));
  refused(with("name", ""));
  refused(with("name", 1));
  refused(with("size", -1));
  refused(with("size", uint64_t{1} << 53));
  refused(with("size", "1"));
  refused(with("chunk", 1));
  refused(with("source", "a b"));
  refused(with("version", nullptr));
  refused(with("more", std::string(kJournalHeaderBytesMax, 'x')));
  refused(std::string(kJournalBytesMax + 1, '1'));
}

// What stands behind a line that is no hash is not trusted.
TEST(JournalTest, EndsAtTheFirstLineThatIsNoHash) {
  std::string text(kCaptured);
  text[kCaptured.find("1111")] = 'x';
  ExpectSample(ParseJournal(text), 0);
}

TEST(JournalTest, StaysBelowItsLimitHoweverLargeTheFile) {
  EXPECT_EQ(JournalChunkBytes(0), 4 * kMiB);
  EXPECT_EQ(JournalChunkBytes(uint64_t{64} << 30), 4 * kMiB);
  EXPECT_EQ(JournalChunkBytes((uint64_t{64} << 30) + 4 * kMiB), 8 * kMiB);
  for (const uint64_t size : {uint64_t{64} << 30, kFileBytesMax}) {
    Journal journal = Sample();
    journal.size = size;
    journal.prefixes.assign(size / JournalChunkBytes(size),
                            std::string(64, '0'));
    const std::string text = WriteJournal(journal);
    EXPECT_LE(text.size(), kJournalBytesMax);
    const auto parsed = ParseJournal(text);
    ASSERT_OK(parsed);
    EXPECT_EQ(parsed->prefixes.size(), journal.prefixes.size());
  }
}

}  // namespace
}  // namespace kyuu::tools
