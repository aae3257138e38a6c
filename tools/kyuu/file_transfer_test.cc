// FileSender and FileReceiver against each other, on files of the test's own.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
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

MATCHER_P(IsStoredAs, name, "is stored as that name") {
  *result_listener << arg.status().ToString();
  return arg.ok() && BaseName(*arg) == name;
}

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
  absl::StatusOr<FileReceiver> Receiver(
      const std::string& name, uint64_t size, IfExists how = IfExists::kRename,
      const FileSystem& system = FileSystem::System()) {
    return FileReceiver::Create(folder_ + "/in", name, size, how, system);
  }
  // The path of `content` received as `name`.
  absl::StatusOr<std::string> Receive(
      const std::string& name, const std::string& content,
      const FileSystem& system = FileSystem::System()) {
    auto receiver = Receiver(name, content.size(), IfExists::kRename, system);
    if (!receiver.ok()) return receiver.status();
    EXPECT_OK(receiver->Add(AsBytes(content)));
    Sha256 hash;
    hash.Add(AsBytes(content));
    return receiver->Finish(
        absl::StrCat(R"({"type":"end","sha256":")", hash.Finish(), R"("})"));
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
  for (const std::string& name :
       std::vector<std::string>{"..", "a/b", "a\\b"}) {
    EXPECT_THAT(Receiver(name, 1),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(FileTransfer, NeverStoresANameThatProgramsObey) {
  EXPECT_THAT(Receive(".bashrc", "x"), IsStoredAs("_bashrc"));
  EXPECT_THAT(Receive(".bashrc", "y"), IsStoredAs("_bashrc (1)"));
  EXPECT_THAT(Receive("a\u202efdp.exe", "x"), IsStoredAs("a_fdp.exe"));
}

TEST_F(FileTransfer, KeepsEveryFileOfALongName) {
  for (size_t size = 250; size <= 255; ++size) {
    const std::string name = std::string(size - 4, 'n') + ".txt";
    ASSERT_OK(Receive(name, "one"));
    const auto second = Receive(name, "two");
    ASSERT_OK(second);
    EXPECT_EQ(Read(*second), "two");
  }
  std::string wide;
  for (int i = 0; i < 127; ++i) wide += "ä";
  ASSERT_OK(Receive(wide, "one"));
  ASSERT_OK(Receive(wide, "two"));
  EXPECT_EQ(Received().size(), 14u);
}

// FAT and exFAT know no links, no RENAME_NOREPLACE, no room taken ahead, and
// not every character.
FileSystem Fat() {
  FileSystem fat = FileSystem::System();
  fat.rename_no_replace = [](const char*, const char*) {
    errno = EINVAL;
    return -1;
  };
  fat.allocate = [](int, uint64_t) {
    errno = EOPNOTSUPP;
    return -1;
  };
  fat.create = [](const char* path) {
    if (BaseName(path).find(':') != std::string::npos) {
      errno = EINVAL;
      return -1;
    }
    return FileSystem::System().create(path);
  };
  return fat;
}

TEST_F(FileTransfer, StoresOnFat) {
  const FileSystem fat = Fat();
  EXPECT_THAT(Receive("a.txt", "one", fat), IsStoredAs("a.txt"));
  EXPECT_THAT(Receive("a.txt", "two", fat), IsStoredAs("a (1).txt"));
  EXPECT_THAT(Receive("10:30.txt", "x", fat), IsStoredAs("10_30.txt"));
  EXPECT_EQ(Read(folder_ + "/in/a.txt"), "one");
  EXPECT_EQ(Read(folder_ + "/in/a (1).txt"), "two");
  EXPECT_EQ(Received().size(), 3u);
}

TEST_F(FileTransfer, SaysAtOnceThatThereIsNoRoom) {
  FileSystem full = FileSystem::System();
  full.allocate = [](int, uint64_t) {
    errno = ENOSPC;
    return -1;
  };
  EXPECT_THAT(Receiver("a", 5, IfExists::kRename, full),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // More than any disk: by what the file system says it has.
  const auto huge =
      Receiver("a", (uint64_t{1} << 53) - 1, IfExists::kRename, Fat());
  EXPECT_THAT(huge, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(Receiver("a", (uint64_t{1} << 53) - 1).ok());
  EXPECT_THAT(Received(), testing::IsEmpty());
}

TEST_F(FileTransfer, SaysAtOnceThatAFolderIsInTheWay) {
  std::filesystem::create_directory(folder_ + "/in/a");
  EXPECT_THAT(Receiver("a", 5, IfExists::kOverwrite),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Receive("a", "x"), IsStoredAs("a (1)"));
}

TEST_F(FileTransfer, SaysAtOnceThatTheFolderCannotBeWritten) {
  EXPECT_OK(FileReceiver::Probe(folder_ + "/in"));
  EXPECT_THAT(Received(), testing::IsEmpty());
  EXPECT_THAT(FileReceiver::Probe("/proc"),
              StatusIs(absl::StatusCode::kNotFound));
  FileSystem read_only = FileSystem::System();
  read_only.create = [](const char*) {
    errno = EROFS;
    return -1;
  };
  const auto refused = Receiver("a", 5, IfExists::kRename, read_only);
  EXPECT_THAT(std::string(refused.status().message()),
              testing::HasSubstr("Read-only file system"));
  EXPECT_THAT(Received(), testing::IsEmpty());
}

TEST_F(FileTransfer, KeepsAnIntactFileThatCannotBeNamed) {
  FileSystem broken = FileSystem::System();
  broken.rename_no_replace = [](const char*, const char*) {
    errno = EPERM;
    return -1;
  };
  const auto path = Receive("a.txt", "precious", broken);
  EXPECT_THAT(path, StatusIs(absl::StatusCode::kPermissionDenied));
  const std::vector<std::string> left = Received();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_THAT(std::string(path.status().message()),
              testing::HasSubstr(left[0]));
  EXPECT_EQ(Read(folder_ + "/in/" + left[0]), "precious");
}

TEST_F(FileTransfer, SaysWhatCannotBeSent) {
  EXPECT_THAT(FileSender::Open("f", folder_ + "/absent"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(FileSender::Open("f", folder_),
              StatusIs(absl::StatusCode::kInvalidArgument));
  // At once: nobody may ever write to it.
  ASSERT_EQ(mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  EXPECT_THAT(FileSender::Open("f", folder_ + "/fifo"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(FileTransfer, OffersANameThatEveryPeerTakes) {
  const auto sender = FileSender::Open("f", Write("a\\b\nc", "x"));
  ASSERT_OK(sender);
  EXPECT_EQ(sender->name(), "a_b_c");
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
