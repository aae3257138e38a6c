#include "net/unix_socket.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::net {
namespace {

using testing::HasSubstr;

class UnixSocketTest : public testing::Test {
 protected:
  UnixSocketTest() {
    // Short: a name of a socket has at most 107 characters.
    std::string folder = "/tmp/kyuuXXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = absl::StrCat(folder, "/admin.sock");
  }
  ~UnixSocketTest() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }

  mode_t Mode() const {
    struct stat found = {};
    EXPECT_EQ(stat(path_.c_str(), &found), 0);
    return found.st_mode & 07777;
  }

  std::string folder_, path_;
};

TEST_F(UnixSocketTest, BytesTravelBothWays) {
  absl::StatusOr<UnixListener> listener = UnixListener::Open({.path = path_});
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_FALSE(listener->Accept().has_value());
  EXPECT_FALSE(listener->exhausted());
  absl::StatusOr<TcpStream> client = ConnectUnix(path_);
  ASSERT_TRUE(client.ok()) << client.status();
  std::optional<TcpStream> server = listener->Accept();
  ASSERT_TRUE(server.has_value());
  const std::vector<uint8_t> word = {'h', 'i'};
  for (auto [from, to] :
       {std::pair(&*client, &*server), {&*server, &*client}}) {
    ASSERT_TRUE(from->Write(word).ok());
    std::array<uint8_t, 10> buffer;
    const ReadResult got = to->Read(absl::MakeSpan(buffer));
    ASSERT_EQ(got.state, ReadState::kData);
    EXPECT_EQ(absl::MakeConstSpan(buffer).first(got.bytes), word);
  }
  client->ShutdownWrite();
  std::array<uint8_t, 10> buffer;
  EXPECT_EQ(server->Read(absl::MakeSpan(buffer)).state, ReadState::kEnd);
}

TEST_F(UnixSocketTest, OnlyTheOwnerAndTheGroupMayConnect) {
  const mode_t before = umask(0);
  {
    const auto listener = UnixListener::Open({.path = path_});
    EXPECT_EQ(Mode(), 0600u);
  }
  const struct group* own = getgrgid(getgid());
  ASSERT_NE(own, nullptr);
  {
    const auto listener =
        UnixListener::Open({.path = path_, .group = own->gr_name});
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(Mode(), 0660u);
  }
  umask(before);
  EXPECT_EQ(UnixListener::Open({.path = path_, .group = "no such"}).status(),
            absl::NotFoundError("there is no group no such"));
  // And nothing is left of it.
  EXPECT_EQ(rmdir(folder_.c_str()), 0);
}

TEST_F(UnixSocketTest, TheNameGoesWithTheListener) {
  {
    const auto listener = UnixListener::Open({.path = path_});
    ASSERT_TRUE(listener.ok());
    EXPECT_EQ(access(path_.c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  EXPECT_EQ(ConnectUnix(path_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(UnixSocketTest, OneThatNobodyServesIsReplaced) {
  {
    auto listener = UnixListener::Open({.path = path_});
    ASSERT_TRUE(listener.ok());
    // As a program leaves it that was killed.
    ASSERT_EQ(link(path_.c_str(), absl::StrCat(path_, "2").c_str()), 0);
  }
  ASSERT_EQ(rename(absl::StrCat(path_, "2").c_str(), path_.c_str()), 0);
  EXPECT_EQ(ConnectUnix(path_).status().code(), absl::StatusCode::kUnavailable);
  const auto listener = UnixListener::Open({.path = path_});
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE(ConnectUnix(path_).ok());
}

TEST_F(UnixSocketTest, WhatIsSomebodyElsesIsLeftAlone) {
  const auto first = UnixListener::Open({.path = path_, .backlog = 0});
  ASSERT_TRUE(first.ok());
  // Even one whose queue is full.
  std::vector<absl::StatusOr<TcpStream>> waiting;
  while (waiting.empty() || waiting.back().ok()) {
    waiting.push_back(ConnectUnix(path_));
    ASSERT_LT(waiting.size(), 10u);
  }
  EXPECT_EQ(waiting.back().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(UnixListener::Open({.path = path_}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(UnixSocketTest, AFileIsNoSocket) {
  std::ofstream(path_) << "mine";
  EXPECT_THAT(UnixListener::Open({.path = path_}).status().message(),
              HasSubstr("is no socket"));
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(UnixSocketTest, NamesAreBounded) {
  for (const std::string& path :
       {std::string(), std::string(108, 'x'), std::string("a\0b", 3)}) {
    EXPECT_EQ(UnixListener::Open({.path = path}).status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ConnectUnix(path).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace kyuu::net
