// FileSender and FileReceiver against each other, on files of the test's own.

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"
#include "tools/kyuu/file_receiver.h"
#include "tools/kyuu/file_sender.h"

namespace kyuu::tools {
namespace {

class FileTransfer : public testing::Test {
 protected:
  FileTransfer() {
    folder_ = absl::StrCat(
        testing::TempDir(), "/transfer-", getpid(), "-",
        testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_ + "/in");
  }
  ~FileTransfer() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
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
    return names;
  }
  absl::StatusOr<FileReceiver> Receiver(const std::string& name, uint64_t size,
                                        IfExists how = IfExists::kRename) {
    return FileReceiver::Create(folder_ + "/in", name, size, how);
  }

  std::string folder_;
};

TEST_F(FileTransfer, CarriesFilesOfEverySizeIntact) {
  SeededRandom random(1);
  for (const size_t size : {0, 1, 65535, 65536, 65537, 200000}) {
    std::string content(size, 0);
    random.Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(content.data()),
                               content.size()));
    auto sender = FileSender::Open("f", Write("a.bin", content));
    ASSERT_OK(sender);
    auto receiver = Receiver(absl::StrCat("b", size), sender->size());
    ASSERT_OK(receiver);
    while (!sender->at_end()) {
      ASSERT_OK(sender->Chunk());
      const auto chunk = sender->Chunk();  // Again, as after a full queue.
      ASSERT_OK(chunk);
      ASSERT_OK(receiver->Add(*chunk));
      sender->Advance();
    }
    const auto path = receiver->Finish(sender->End());
    ASSERT_OK(path);
    EXPECT_EQ(Read(*path), content);
    EXPECT_EQ(receiver->received(), size);
  }
}

TEST_F(FileTransfer, KeepsNothingOfADamagedFile) {
  auto sender = FileSender::Open("f", Write("a", "hello"));
  ASSERT_OK(sender);
  ASSERT_OK(sender->Chunk());
  sender->Advance();
  {
    auto receiver = Receiver("a", 5);
    ASSERT_OK(receiver);
    ASSERT_OK(receiver->Add(AsBytes("hellO")));
    EXPECT_THAT(receiver->Finish(sender->End()),
                StatusIs(absl::StatusCode::kDataLoss));
  }
  EXPECT_THAT(Received(), testing::IsEmpty());
}

TEST_F(FileTransfer, KeepsNothingOfAnInterruptedFile) {
  {
    auto receiver = Receiver("a", 5);
    ASSERT_OK(receiver);
    ASSERT_OK(receiver->Add(AsBytes("hel")));
    const auto end = Receiver("b", 5)->Finish("{\"type\":\"end\"");
    EXPECT_THAT(end, StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(Received(), testing::IsEmpty());
}

TEST_F(FileTransfer, RefusesMoreThanWasOffered) {
  auto receiver = Receiver("a", 5);
  ASSERT_OK(receiver);
  EXPECT_THAT(receiver->Add(AsBytes("hello!")),
              StatusIs(absl::StatusCode::kOutOfRange));
  const std::vector<uint8_t> large(FileSender::kChunkBytes + 1);
  auto roomy = Receiver("b", 1 << 20);
  ASSERT_OK(roomy);
  EXPECT_THAT(roomy->Add(large), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(FileTransfer, NeverOverwritesUnasked) {
  const auto receive = [&](IfExists how, const std::string& content) {
    auto sender = FileSender::Open("f", Write("source", content));
    auto receiver = Receiver("a.tar.gz", content.size(), how);
    EXPECT_OK(receiver->Add(*sender->Chunk()));
    sender->Advance();
    return receiver->Finish(sender->End());
  };
  EXPECT_EQ(BaseName(*receive(IfExists::kRename, "one")), "a.tar.gz");
  EXPECT_EQ(BaseName(*receive(IfExists::kRename, "two")), "a (1).tar.gz");
  EXPECT_EQ(Read(folder_ + "/in/a.tar.gz"), "one");
  EXPECT_EQ(BaseName(*receive(IfExists::kOverwrite, "three")), "a.tar.gz");
  EXPECT_EQ(Read(folder_ + "/in/a.tar.gz"), "three");
  EXPECT_EQ(Received().size(), 2u);
}

TEST_F(FileTransfer, RefusesNamesThatLeaveTheFolder) {
  for (const std::string& name : std::vector<std::string>{
           "", ".", "..", "a/b", "../a", "a\\b", "a\nb", std::string("a\0b", 3),
           std::string(256, 'a'), "\x7f"}) {
    EXPECT_FALSE(IsSafeFileName(name)) << name;
    EXPECT_THAT(Receiver(name, 1),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_TRUE(IsSafeFileName("Größe (1).txt"));
  EXPECT_TRUE(IsSafeFileName(std::string(255, 'a')));
  EXPECT_OK(Receiver(std::string(255, 'a'), 0)
                ->Finish("{\"type\":\"end\",\"size\":0,\"sha256\":"
                         "\"e3b0c44298fc1c149afbf4c8996fb9"
                         "2427ae41e4649b934ca495991b7852b855\"}"));
}

TEST_F(FileTransfer, SaysWhatCannotBeSent) {
  EXPECT_THAT(FileSender::Open("f", folder_ + "/absent"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(FileSender::Open("f", folder_),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(FileTransfer, NoticesAFileThatShrinks) {
  const std::string path = Write("a", std::string(100000, 'x'));
  auto sender = FileSender::Open("f", path);
  ASSERT_OK(sender);
  ASSERT_OK(sender->Chunk());
  sender->Advance();
  std::filesystem::resize_file(path, 70000);
  EXPECT_THAT(sender->Chunk(), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace kyuu::tools
