#include "net/testing/syscall_faults.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "gtest/gtest.h"

namespace kyuu::net {
namespace {

int OpenNothing() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd;
}

TEST(SyscallFaultsTest, FailsSoManyTimesInTheOrderAsked) {
  SyscallFaults faults;
  faults.Fail(Syscall::kOpen, EMFILE, 1);
  faults.Fail(Syscall::kOpen, ENFILE, 2);
  for (const int error : {EMFILE, ENFILE, ENFILE}) {
    EXPECT_EQ(OpenNothing(), -1);
    EXPECT_EQ(errno, error);
  }
  EXPECT_GE(OpenNothing(), 0);
  EXPECT_EQ(faults.calls(Syscall::kOpen), 4u);
}

TEST(SyscallFaultsTest, OnlyTheDescriptorThatIsMeant) {
  const int a = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const int b = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  {
    SyscallFaults faults;
    faults.Fail(Syscall::kRecv, ENOBUFS, SyscallFaults::kAlways, a);
    char byte;
    EXPECT_EQ(recv(b, &byte, 1, 0), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(recv(a, &byte, 1, 0), -1);
    EXPECT_EQ(errno, ENOBUFS);
    faults.Heal(Syscall::kRecv);
    EXPECT_EQ(recv(a, &byte, 1, 0), -1);
    EXPECT_EQ(errno, EAGAIN);
  }
  close(a);
  close(b);
}

TEST(SyscallFaultsTest, NothingFailsAfterItsEnd) {
  {
    SyscallFaults faults;
    faults.Fail(Syscall::kOpen, EMFILE);
    EXPECT_EQ(OpenNothing(), -1);
  }
  EXPECT_GE(OpenNothing(), 0);
}

TEST(SyscallFaultsDeathTest, ALoopThatDoesNotEndIsFound) {
  EXPECT_DEATH(
      {
        SyscallFaults faults;
        faults.Fail(Syscall::kOpen, EMFILE);
        while (OpenNothing() < 0) {
        }
      },
      "injected");
}

}  // namespace
}  // namespace kyuu::net
