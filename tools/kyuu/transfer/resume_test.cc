// FileSender and FileReceiver when the transfer is broken off and goes on, with
// what may have become of the files in between.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/file_receiver.h"
#include "tools/kyuu/file_sender.h"

namespace kyuu::tools {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kChunk = kJournalChunkBytesMin;
constexpr size_t kSize = 20 * kMiB + 12345;

class Resume : public testing::Test {
 protected:
  // What a run has come to.
  struct Run {
    absl::StatusOr<std::string> path = absl::UnknownError("broken off");
    Resumption from;
    uint64_t sent = 0;
    std::string kept;  // What Suspend said.
  };

  Resume() {
    folder_ = absl::StrCat(
        testing::TempDir(), "/resume-", getpid(), "-",
        testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_ + "/in");
    SeededRandom random(7);
    content_.resize(kSize);
    random.Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(content_.data()),
                               content_.size()));
    Write(content_);
  }
  ~Resume() override { std::filesystem::remove_all(folder_); }

  std::string source() const { return folder_ + "/big.iso"; }
  void Write(const std::string& content) {
    std::ofstream(source(), std::ios::binary) << content;
    content_ = content;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> Received() const {
    std::vector<std::string> names;
    for (const auto& e : std::filesystem::directory_iterator(folder_ + "/in")) {
      names.push_back(e.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // The part, or its journal.
  std::string Part(absl::string_view end = ".part") const {
    for (const std::string& name : Received()) {
      if (absl::EndsWith(name, end)) return folder_ + "/in/" + name;
    }
    return "";
  }
  static FileVersion VersionOf(const FileSender& sender) {
    return *ReadFileVersion(nlohmann::json::parse(sender.Offer()));
  }
  absl::StatusOr<FileReceiver> Accept(
      const FileSender& sender,
      const FileSystem& system = FileSystem::System()) {
    return FileReceiver::Create(folder_ + "/in", sender.name(), sender.size(),
                                IfExists::kRename, system, VersionOf(sender));
  }
  // Has both find out where to go on, as their Calls do.
  static absl::StatusOr<Resumption> Agree(FileSender& sender,
                                          FileReceiver& receiver) {
    while (receiver.checking()) receiver.Check(kMiB);
    const nlohmann::json accept{{"resume", ToJson(receiver.Checkpoints())}};
    sender.Accept(ReadCheckpoints(accept, sender.size()));
    while (sender.checking()) sender.Check(kMiB);
    return receiver.Begin(sender.Start());
  }
  // A transfer that is broken off when `until` bytes are there, or goes to its
  // end.
  Run Transfer(uint64_t until = UINT64_MAX,
               const FileSystem& system = FileSystem::System()) {
    Run run;
    auto sender = FileSender::Open("f", source());
    auto receiver = Accept(*sender, system);
    if (!receiver.ok()) {
      run.path = receiver.status();
      return run;
    }
    const auto from = Agree(*sender, *receiver);
    EXPECT_OK(from);
    run.from = *from;
    absl::Status stored;
    while (!sender->at_end() && sender->offset() < until && stored.ok()) {
      const auto chunk = sender->Chunk();
      EXPECT_OK(chunk);
      const auto bytes = chunk->first(static_cast<size_t>(
          std::min<uint64_t>(chunk->size(), until - sender->offset())));
      stored = receiver->Add(bytes);
      run.sent += bytes.size();
      sender->Advance();
    }
    if (stored.ok() && until == UINT64_MAX) {
      run.path = receiver->Finish(sender->End());
      return run;
    }
    if (!stored.ok()) run.path = stored;
    run.kept = receiver->Suspend();
    return run;
  }
  void ExpectArrived(const Run& run) {
    ASSERT_OK(run.path);
    EXPECT_EQ(BaseName(*run.path), "big.iso");
    EXPECT_TRUE(Read(*run.path) == content_);
    EXPECT_THAT(Received(), testing::ElementsAre("big.iso"));
  }

  static uint64_t RandomStep(Random& random) {
    std::array<uint8_t, 3> bytes;
    random.Fill(absl::MakeSpan(bytes));
    return 1 + bytes[0] + uint64_t{256} * bytes[1] + uint64_t{4096} * bytes[2];
  }

  std::string folder_;
  std::string content_;
};

TEST_F(Resume, GoesOnWhereItWas) {
  const Run first = Transfer(9 * kMiB + 1);
  EXPECT_THAT(first.kept, testing::HasSubstr("9.44 MB of it are kept"));
  EXPECT_EQ(Received().size(), 2u);
  const Run second = Transfer();
  EXPECT_EQ(second.from.begin, 9 * kMiB + 1);
  EXPECT_EQ(first.sent + second.sent, kSize);
  ExpectArrived(second);
}

TEST_F(Resume, SendsNoByteTwiceHoweverOftenItIsBrokenOff) {
  uint64_t sent = 0;
  SeededRandom random(3);
  for (uint64_t at = 5 * kMiB; at < kSize; at += RandomStep(random)) {
    const Run run = Transfer(at);
    EXPECT_EQ(run.from.begin, sent);
    sent += run.sent;
  }
  const Run last = Transfer();
  EXPECT_EQ(sent + last.sent, kSize);
  ExpectArrived(last);
}

// All bytes are there, but not the name.
TEST_F(Resume, OfAWholePartOnlyTheEndIsSent) {
  Transfer(kSize);
  const Run second = Transfer();
  EXPECT_EQ(second.sent, 0u);
  ExpectArrived(second);
}

TEST_F(Resume, KeepsNothingThatIsHardlyWorthIt) {
  const Run first = Transfer(kChunk - 1);
  EXPECT_EQ(first.kept, "");
  EXPECT_THAT(Received(), testing::IsEmpty());
}

TEST_F(Resume, AFileThatHasChangedGoesOnAsFarAsItIsTheSame) {
  Transfer(18 * kMiB);
  std::string changed = content_;
  changed[10 * kMiB] = static_cast<char>(changed[10 * kMiB] + 1);
  Write(changed);
  const Run second = Transfer();
  EXPECT_EQ(second.from.found, 18 * kMiB);
  EXPECT_EQ(second.from.begin, 2 * kChunk);
  EXPECT_TRUE(second.from.changed);
  ExpectArrived(second);
}

TEST_F(Resume, AFileThatIsAnotherStartsFromNothing) {
  Transfer(18 * kMiB);
  Write(std::string(kSize, 'x'));
  const Run second = Transfer();
  EXPECT_EQ(second.from.begin, 0u);
  EXPECT_TRUE(second.from.changed);
  EXPECT_EQ(second.sent, kSize);
  ExpectArrived(second);
}

// Of the same bytes, with another time.
TEST_F(Resume, AFileThatWasOnlyTouchedGoesOn) {
  Transfer(18 * kMiB);
  std::filesystem::last_write_time(
      source(),
      std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
  const Run second = Transfer();
  EXPECT_EQ(second.from.begin, 18 * kMiB);
  EXPECT_TRUE(second.from.changed);
  ExpectArrived(second);
}

TEST_F(Resume, AFileThatHasGrownGoesOn) {
  Transfer(18 * kMiB);
  Write(content_ + "more");
  const Run second = Transfer();
  EXPECT_EQ(second.from.begin, 18 * kMiB);
  ExpectArrived(second);
}

TEST_F(Resume, AFileThatHasShrunkBelowItsPart) {
  Transfer(18 * kMiB);
  Write(content_.substr(0, 10 * kMiB));
  const Run second = Transfer();
  EXPECT_EQ(second.from.found, 18 * kMiB);
  EXPECT_EQ(second.from.begin, 10 * kMiB);
  EXPECT_EQ(second.sent, 0u);
  ExpectArrived(second);
}

TEST_F(Resume, AFileOfTheSameNameElsewhereIsAnother) {
  Transfer(10 * kMiB);
  std::filesystem::create_directory(folder_ + "/else");
  std::ofstream(folder_ + "/else/big.iso") << "other";
  auto sender = FileSender::Open("f", folder_ + "/else/big.iso");
  auto receiver = Accept(*sender);
  ASSERT_OK(receiver);
  EXPECT_EQ(Agree(*sender, *receiver)->found, 0u);
  ASSERT_OK(receiver->Add(*sender->Chunk()));
  sender->Advance();
  EXPECT_EQ(Read(*receiver->Finish(sender->End())), "other");
  // The part of the first is untouched.
  const Run second = Transfer();
  EXPECT_EQ(second.from.begin, 10 * kMiB);
  EXPECT_EQ(BaseName(*second.path), "big (1).iso");
}

// Two programs receive the same file into one folder.
TEST_F(Resume, APartInUseIsLeftAlone) {
  Transfer(10 * kMiB);
  auto sender = FileSender::Open("f", source());
  auto busy = Accept(*sender);
  ASSERT_OK(busy);
  const Run second = Transfer();
  EXPECT_EQ(second.from.found, 0u);
  EXPECT_EQ(second.sent, kSize);
  ASSERT_OK(second.path);
  EXPECT_EQ(Agree(*sender, *busy)->begin, 10 * kMiB);
  while (!sender->at_end()) {
    ASSERT_OK(busy->Add(*sender->Chunk()));
    sender->Advance();
  }
  EXPECT_EQ(BaseName(*busy->Finish(sender->End())), "big (1).iso");
  EXPECT_EQ(Received().size(), 2u);
}

TEST_F(Resume, ADamagedPartGoesOnBeforeTheDamage) {
  Transfer(18 * kMiB);
  {
    std::fstream part(Part(), std::ios::in | std::ios::out | std::ios::binary);
    part.seekp(9 * kMiB);
    part.put(static_cast<char>(content_[9 * kMiB] + 1));
  }
  const Run second = Transfer();
  EXPECT_EQ(second.from.found, 18 * kMiB);
  EXPECT_EQ(second.from.intact, 2 * kChunk);
  EXPECT_EQ(second.from.begin, 2 * kChunk);
  EXPECT_FALSE(second.from.changed);
  ExpectArrived(second);
}

// After a power cut the end may be of zeros, and the journal may lag behind.
TEST_F(Resume, APartWithAnEndOfZerosGoesOnBeforeIt) {
  Transfer(10 * kMiB);
  std::filesystem::resize_file(Part(), 19 * kMiB);
  const Run second = Transfer();
  EXPECT_EQ(second.from.found, 19 * kMiB);
  EXPECT_EQ(second.from.begin, 2 * kChunk);
  ExpectArrived(second);
}

TEST_F(Resume, APartThatIsShorterThanItsJournalGoesOnAtItsEnd) {
  Transfer(18 * kMiB);
  std::filesystem::resize_file(Part(), 5 * kMiB);
  const Run second = Transfer();
  EXPECT_EQ(second.from.begin, 5 * kMiB);
  ExpectArrived(second);
}

TEST_F(Resume, AJournalThatIsDamagedOrHostileIsNoMoreThanAHint) {
  SeededRandom random(11);
  std::string noise(2000, 0);
  random.Fill(
      absl::MakeSpan(reinterpret_cast<uint8_t*>(noise.data()), noise.size()));
  Transfer(10 * kMiB);
  const std::string journal = Read(Part(".journal"));
  std::string other = journal;
  other[journal.size() - 10] ^= 1;
  for (const auto& [text, begin] :
       std::vector<std::pair<std::string, uint64_t>>{
           {"", 10 * kMiB},
           {noise, 10 * kMiB},
           {std::string(kJournalBytesMax + 1, '0'), 10 * kMiB},
           {journal.substr(0, 20), 10 * kMiB},
           {other, kChunk},  // The second hash.
       }) {
    std::ofstream(Part(".journal"), std::ios::binary) << text;
    const Run run = Transfer(10 * kMiB);
    EXPECT_EQ(run.from.begin, begin);
    EXPECT_EQ(Read(Part(".journal")), journal);
  }
  ExpectArrived(Transfer());
}

TEST_F(Resume, FollowsNoLinks) {
  Transfer(10 * kMiB);
  const std::string precious = folder_ + "/precious";
  std::ofstream(precious) << "mine";
  const std::string part = Part(), journal = Part(".journal");
  for (const std::string& path : {part, journal}) {
    std::filesystem::remove(path);
    std::filesystem::create_symlink(precious, path);
  }
  const Run second = Transfer();
  EXPECT_EQ(second.from.found, 0u);
  ASSERT_OK(second.path);
  EXPECT_TRUE(Read(*second.path) == content_);
  EXPECT_EQ(Read(precious), "mine");
  // A link to a file that stands under another name, too.
  std::filesystem::remove(part);
  std::filesystem::create_hard_link(precious, part);
  ASSERT_OK(Transfer().path);
  EXPECT_EQ(Read(precious), "mine");
  // And a link in place of the journal alone.
  std::filesystem::remove(part);
  Transfer(10 * kMiB);
  EXPECT_FALSE(std::filesystem::is_symlink(journal));
  EXPECT_EQ(Read(precious), "mine");
  EXPECT_EQ(Transfer().from.begin, 10 * kMiB);
}

TEST_F(Resume, NothingElseInThePlaceOfThePartKeepsItFromArriving) {
  Transfer(10 * kMiB);
  const std::string part = Part();
  std::filesystem::remove(part);
  ASSERT_EQ(mkfifo(part.c_str(), 0600), 0);
  EXPECT_OK(Transfer().path);
  std::filesystem::remove(part);
  std::filesystem::create_directory(part);
  EXPECT_OK(Transfer().path);
}

// As a file system that fills up, or a limit of the process, says it. Room that
// is taken ahead would tell before.
TEST_F(Resume, GoesOnWhenAFullDiskHasRoomAgain) {
  FileSystem eager = FileSystem::System();
  eager.allocate = [](int, uint64_t) {
    errno = EOPNOTSUPP;
    return -1;
  };
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{10 * kMiB, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Run first = Transfer(UINT64_MAX, eager);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_THAT(first.path, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(first.kept, testing::HasSubstr("are kept"));
  const Run second = Transfer();
  EXPECT_EQ(second.from.begin, 10 * kMiB);
  ExpectArrived(second);
}

TEST_F(Resume, WithoutRoomForTheRestKeepsThePart) {
  Transfer(10 * kMiB);
  FileSystem full = FileSystem::System();
  full.allocate = [](int, uint64_t) {
    errno = ENOSPC;
    return -1;
  };
  EXPECT_THAT(Transfer(UINT64_MAX, full).path,
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(Transfer().from.begin, 10 * kMiB);
}

TEST_F(Resume, KeepsNothingOfWhatArrivesDamaged) {
  Transfer(10 * kMiB);
  auto sender = FileSender::Open("f", source());
  auto receiver = Accept(*sender);
  ASSERT_OK(Agree(*sender, *receiver));
  std::vector<uint8_t> zeros(FileSender::kChunkBytes);
  while (receiver->received() < kSize) {
    ASSERT_OK(receiver->Add(absl::MakeConstSpan(zeros).first(
        std::min<size_t>(zeros.size(), kSize - receiver->received()))));
  }
  while (!sender->at_end()) {
    ASSERT_OK(sender->Chunk());
    sender->Advance();
  }
  EXPECT_THAT(receiver->Finish(sender->End()),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Received(), testing::IsEmpty());
}

TEST_F(Resume, BeginsOnlyWhereBothAre) {
  Transfer(10 * kMiB);
  auto sender = FileSender::Open("f", source());
  for (const std::string& start :
       {StartMessage(10 * kMiB - 1), StartMessage(kSize), std::string("{}"),
        sender->End()}) {
    auto receiver = Accept(*sender);
    while (receiver->checking()) receiver->Check(kMiB);
    EXPECT_THAT(receiver->Begin(start),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  // None of that has cost anything.
  EXPECT_EQ(Transfer().from.begin, 10 * kMiB);
}

TEST_F(Resume, BytesBeforeTheStartAreRefused) {
  auto sender = FileSender::Open("f", source());
  auto receiver = Accept(*sender);
  EXPECT_FALSE(receiver->begun());
  EXPECT_THAT(receiver->Add(*sender->Chunk()),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(Resume, ASenderThatIsToldNonsenseStartsFromNothing) {
  auto sender = FileSender::Open("f", source());
  sender->Accept(std::vector<Checkpoint>{{kMiB, std::string(64, '0')}});
  while (sender->checking()) sender->Check(kMiB);
  EXPECT_EQ(sender->Start(), StartMessage(0));
  EXPECT_EQ(sender->begin(), 0u);
}

TEST_F(Resume, PartsAreListedAndThrownAwayButNotThoseInUse) {
  Transfer(10 * kMiB);
  auto parts = ListParts(folder_ + "/in");
  ASSERT_OK(parts);
  ASSERT_EQ(parts->size(), 1u);
  EXPECT_EQ(PartText(parts->front()), "big.iso (10.5 MB of 21.0 MB)");
  {
    auto sender = FileSender::Open("f", source());
    auto receiver = Accept(*sender);
    parts = ListParts(folder_ + "/in");
    EXPECT_TRUE(parts->front().in_use);
    EXPECT_THAT(RemovePart(parts->front()),
                StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  ASSERT_OK(RemovePart(parts->front()));
  EXPECT_THAT(Received(), testing::IsEmpty());
}

TEST_F(Resume, NoMorePartsAreKeptThanTheLimit) {
  for (size_t i = 0; i < kPartsMax; ++i) {
    std::ofstream(absl::StrCat(folder_, "/in/.n", i, ".0123456789abcdef.part"))
        << "x";
  }
  const Run first = Transfer(10 * kMiB);
  EXPECT_THAT(first.kept, testing::HasSubstr("nothing of it is kept"));
  EXPECT_EQ(Received().size(), kPartsMax);
  EXPECT_EQ(ListParts(folder_ + "/in")->size(), kPartsMax);
  std::filesystem::remove(
      absl::StrCat(folder_, "/in/.n0.0123456789abcdef.part"));
  EXPECT_THAT(Transfer(10 * kMiB).kept, testing::HasSubstr("are kept"));
}

}  // namespace
}  // namespace kyuu::tools
