#include "tools/kyuud/supervisor/supervisor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The other side: a socket as systemd has it.
class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest()
      : loop_(net::Loop::Create().value()),
        socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {}
  ~SupervisorTest() override { unlink(path_.c_str()); }

  // At a path, or a name that begins with "@"; at most 107 bytes, which folders
  // for tests may exceed.
  void Listen(const std::string& name) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const size_t size = offsetof(sockaddr_un, sun_path) + name.size();
    ASSERT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(size)),
              0);
    path_ = name;
  }

  // All that has been said.
  std::vector<std::string> Heard() {
    std::vector<std::string> heard;
    std::array<char, 500> bytes;
    for (ssize_t n;
         (n = recv(socket_.get(), bytes.data(), bytes.size(), 0)) > 0;)
      heard.emplace_back(bytes.data(), static_cast<size_t>(n));
    return heard;
  }

  std::unique_ptr<Supervisor> Make(Supervisor::Variables variables) {
    auto made = Supervisor::Create(*loop_, variables);
    EXPECT_OK(made.status());
    return *std::move(made);
  }

  std::unique_ptr<net::Loop> loop_;
  net::Fd socket_;
  std::string path_ = absl::StrCat("@kyuu-supervisor-test-", getpid());
};

TEST_F(SupervisorTest, IsToldOfTheLifeOfTheServer) {
  for (const std::string& name :
       {path_, absl::StrCat("/tmp/kyuu-supervisor-test-", getpid())}) {
    socket_ = net::Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    Listen(name);
    const auto supervisor = Make({.notify_socket = name});
    EXPECT_TRUE(supervisor->listens());
    supervisor->Ready([](auto) { FAIL() << "nobody counts our silence"; });
    supervisor->Reloading();
    supervisor->Reloaded();
    supervisor->Stopping();
    EXPECT_THAT(Heard(), ElementsAre("READY=1",
                                     StartsWith("RELOADING=1\nMONOTONIC_USEC="),
                                     "READY=1", "STOPPING=1"));
  }
}

TEST_F(SupervisorTest, NobodyListensUnlessTheEnvironmentSaysSo) {
  const auto supervisor = Make({.watchdog_usec = "1"});
  EXPECT_FALSE(supervisor->listens());
  supervisor->Ready([](auto) { FAIL(); });
  supervisor->Stopping();
}

TEST_F(SupervisorTest, WhoHasGoneIsNotMissed) {
  const auto supervisor = Make({.notify_socket = "/nowhere/notify"});
  supervisor->Ready(nullptr);
  supervisor->Stopping();
}

TEST_F(SupervisorTest, ThePulseIsFeltWithinTheTime) {
  Listen(path_);
  const auto supervisor = Make({.notify_socket = path_,
                                .watchdog_usec = "20000",
                                .watchdog_pid = absl::StrCat(getpid())});
  EXPECT_EQ(supervisor->watchdog(), absl::Milliseconds(20));
  int beats = 0;
  const absl::Time start = net::Loop::Now();
  supervisor->Ready([&](absl::AnyInvocable<void()> alive) {
    if (++beats == 4) loop_->Stop();
    alive();
  });
  loop_->Run();
  EXPECT_GE(net::Loop::Now() - start, absl::Milliseconds(30));
  EXPECT_THAT(Heard(), ElementsAre("READY=1", "WATCHDOG=1", "WATCHDOG=1",
                                   "WATCHDOG=1", "WATCHDOG=1"));
}

TEST_F(SupervisorTest, AServerThatHangsIsSilentAndAskedOnce) {
  Listen(path_);
  const auto supervisor =
      Make({.notify_socket = path_, .watchdog_usec = "2000"});
  std::vector<absl::AnyInvocable<void()>> asked;
  supervisor->Ready([&](absl::AnyInvocable<void()> alive) {
    asked.push_back(std::move(alive));
  });
  net::Alarm later(*loop_, [&] { loop_->Stop(); });
  later.Set(net::Loop::Now() + absl::Milliseconds(20));
  loop_->Run();
  EXPECT_THAT(Heard(), ElementsAre("READY=1"));
  ASSERT_EQ(asked.size(), 1u);
  asked.front()();
  EXPECT_THAT(Heard(), ElementsAre("WATCHDOG=1"));
}

TEST_F(SupervisorTest, TheWatchdogOfAnotherIsNotOurs) {
  EXPECT_EQ(Make({.notify_socket = path_,
                  .watchdog_usec = "1000000",
                  .watchdog_pid = absl::StrCat(getpid() + 1)})
                ->watchdog(),
            absl::ZeroDuration());
}

// What systemd does with them: it keeps a copy until it is told not to, and
// gives it to the next one from a certain number on.
TEST_F(SupervisorTest, WhatIsKeptTheNextOneHas) {
  Listen(path_);
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  net::Fd read_end(ends[0]), write_end(ends[1]);
  Make({.notify_socket = path_})->Keep("a-pipe", write_end);
  write_end.Close();

  std::array<char, 500> bytes;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
  iovec text = {bytes.data(), bytes.size()};
  msghdr header = {};
  header.msg_iov = &text;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t size = recvmsg(socket_.get(), &header, 0);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(bytes.data(), static_cast<size_t>(size)),
            "FDSTORE=1\nFDPOLL=0\nFDNAME=a-pipe");
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  ASSERT_NE(rights, nullptr);
  int stored = -1;
  std::memcpy(&stored, CMSG_DATA(rights), sizeof stored);

  constexpr int kFrom = 500;
  ASSERT_EQ(dup2(stored, kFrom), kFrom);
  ASSERT_EQ(dup2(stored, kFrom + 1), kFrom + 1);
  close(stored);
  {
    const auto supervisor = Make({.notify_socket = path_,
                                  .listen_fds = "2",
                                  .listen_pid = absl::StrCat(getpid()),
                                  .listen_names = "a-pipe",
                                  .listen_from = kFrom});
    const std::vector<Supervisor::Kept> kept = supervisor->TakeKept();
    ASSERT_EQ(kept.size(), 2u);
    EXPECT_EQ(kept[0].name, "a-pipe");
    EXPECT_EQ(kept[1].name, "");
    EXPECT_EQ(fcntl(kept[0].fd.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(write(kept[0].fd.get(), "x", 1), 1);
    EXPECT_THAT(Heard(), ElementsAre("FDSTOREREMOVE=1\nFDNAME=a-pipe",
                                     "FDSTOREREMOVE=1\nFDNAME="));
    EXPECT_THAT(supervisor->TakeKept(), testing::IsEmpty());
  }
  // One byte, and then nobody is left who could write.
  EXPECT_EQ(read(read_end.get(), bytes.data(), bytes.size()), 1);
  EXPECT_EQ(read(read_end.get(), bytes.data(), bytes.size()), 0);
}

TEST_F(SupervisorTest, WhatIsKeptForAnotherIsNotOurs) {
  const auto supervisor =
      Make({.listen_fds = "1", .listen_pid = absl::StrCat(getpid() + 1)});
  EXPECT_THAT(supervisor->TakeKept(), testing::IsEmpty());
}

TEST_F(SupervisorTest, VariablesThatMeanNothingAreRefused) {
  const struct {
    Supervisor::Variables variables;
    const char* what;
  } rows[] = {
      {{.notify_socket = "notify"}, "neither a path nor a name"},
      {{.notify_socket = "/" + std::string(107, 'n')}, "too long"},
      {{.notify_socket = "@n", .watchdog_usec = "soon"}, "WATCHDOG_USEC"},
      {{.notify_socket = "@n", .watchdog_usec = "0"}, "WATCHDOG_USEC"},
      {{.notify_socket = "@n", .watchdog_usec = "1", .watchdog_pid = "me"},
       "WATCHDOG_PID"},
      {{.listen_fds = "1", .listen_pid = "me"}, "LISTEN_PID"},
      {{.listen_fds = "-1", .listen_pid = absl::StrCat(getpid())},
       "LISTEN_FDS"},
      {{.listen_fds = absl::StrCat(Supervisor::kKeptMax + 1),
        .listen_pid = absl::StrCat(getpid())},
       "LISTEN_FDS"},
      {{.listen_fds = "1",
        .listen_pid = absl::StrCat(getpid()),
        .listen_from = 999},
       "999 is no descriptor"},
  };
  for (const auto& row : rows) {
    const auto made = Supervisor::Create(*loop_, row.variables);
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(made.status().message()), HasSubstr(row.what));
  }
  EXPECT_OK(
      Supervisor::Create(*loop_, {.notify_socket = "/" + std::string(106, 'n')})
          .status());
}

}  // namespace
}  // namespace kyuu::tools
