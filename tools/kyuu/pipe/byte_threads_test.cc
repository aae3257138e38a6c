#include "tools/kyuu/pipe/byte_threads.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/testing.h"
#include "net/loop.h"

namespace kyuu::tools {
namespace {

class ByteThreadsTest : public testing::Test {
 protected:
  ByteThreadsTest() : loop_(*net::Loop::Create()) {
    std::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0);
  }
  ~ByteThreadsTest() override {
    for (const int end : ends_) close(end);
  }
  int reading() const { return ends_[0]; }
  int writing() const { return ends_[1]; }
  void CloseEnd(int& end) {
    close(end);
    end = -1;
  }

  std::unique_ptr<net::Loop> loop_;
  int ends_[2] = {-1, -1};
};

TEST_F(ByteThreadsTest, ReadsWhatIsAskedForAndTheEnd) {
  std::string heard;
  int calls = 0;
  InputBytes* input = nullptr;
  InputBytes bytes(*loop_, reading(),
                   [&](const absl::Status& status, std::vector<uint8_t> got) {
                     EXPECT_OK(status);
                     ++calls;
                     if (got.empty()) return loop_->Stop();
                     heard.append(got.begin(), got.end());
                     input->Read(3);
                   });
  input = &bytes;
  ASSERT_EQ(write(writing(), "abcdefg", 7), 7);
  CloseEnd(ends_[1]);
  bytes.Read(3);
  loop_->Run();
  EXPECT_EQ(heard, "abcdefg");
  EXPECT_EQ(calls, 4);
}

TEST_F(ByteThreadsTest, WhatCannotBeReadIsSaid) {
  // Of the end for writing.
  InputBytes bytes(*loop_, writing(),
                   [&](const absl::Status& status, std::vector<uint8_t> got) {
                     EXPECT_THAT(status.message(),
                                 testing::HasSubstr("stdin cannot be read"));
                     EXPECT_TRUE(got.empty());
                     loop_->Stop();
                   });
  bytes.Read(3);
  loop_->Run();
}

TEST_F(ByteThreadsTest, WritesInOrderAndClosesBehindIt) {
  // A descriptor that does not block has to be waited for.
  ASSERT_EQ(fcntl(writing(), F_SETFL, O_NONBLOCK), 0);
  std::string sent;
  for (int i = 0; i < 100000; ++i) sent += std::to_string(i);
  size_t told = 0;
  bool closed = false;
  OutputBytes bytes(*loop_, writing(),
                    [&](const absl::Status& status, size_t written) {
                      EXPECT_OK(status);
                      told += written;
                      closed = written == 0;
                      if (closed) loop_->Stop();
                    });
  for (size_t i = 0; i < sent.size(); i += 1000) {
    const std::string piece = sent.substr(i, 1000);
    bytes.Write({reinterpret_cast<const uint8_t*>(piece.data()), piece.size()});
  }
  bytes.Close();
  std::string heard;
  char buffer[4096];
  for (ssize_t n; (n = read(reading(), buffer, sizeof buffer)) > 0;) {
    heard.append(buffer, static_cast<size_t>(n));
  }
  // The reader has the end before anybody closes the descriptor's number.
  loop_->Run();
  EXPECT_EQ(heard, sent);
  EXPECT_EQ(told, sent.size());
  EXPECT_TRUE(closed);
}

TEST_F(ByteThreadsTest, AReaderThatHasGoneIsAnError) {
  CloseEnd(ends_[0]);
  OutputBytes bytes(*loop_, writing(),
                    [&](const absl::Status& status, size_t written) {
                      EXPECT_TRUE(absl::IsFailedPrecondition(status));
                      EXPECT_EQ(written, 0);
                      loop_->Stop();
                    });
  const uint8_t byte = 1;
  bytes.Write({&byte, 1});
  loop_->Run();
}

TEST_F(ByteThreadsTest, NothingIsToldAfterTheObjectHasGone) {
  {
    InputBytes bytes(*loop_, reading(),
                     [](const absl::Status&, std::vector<uint8_t>) {
                       ADD_FAILURE() << "somebody was told";
                     });
    bytes.Read(1);
  }
  ASSERT_EQ(write(writing(), "a", 1), 1);
  loop_->Post([&] { loop_->Stop(); });
  loop_->Run();
  ends_[0] = -1;  // Its thread may still read, as from stdin of a program.
}

}  // namespace
}  // namespace kyuu::tools
