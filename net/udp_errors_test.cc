// Every errno of recvmmsg and sendmmsg has an outcome, and no loop around them
// depends on what the kernel says next.

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/counters.h"
#include "base/testing.h"
#include "net/interface_watch.h"
#include "net/loop.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"
#include "net/udp_socket.h"

namespace kyuu::net {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

UdpSocket Open(const UdpOptions& more = {}, const char* ip = "127.0.0.1") {
  UdpOptions options = more;
  options.bind = {IpAddress::Parse(ip).value(), 0};
  return UdpSocket::Open(options).value();
}

class UdpErrorsTest : public testing::Test {
 protected:
  OutTrain TrainTo(const UdpSocket& to, size_t segment = 100) {
    return {{a_.local(), to.local()}, {&piece_, 1}, segment};
  }
  // Datagrams and trains that are waiting at `socket`.
  std::pair<size_t, size_t> Arrived(UdpSocket& socket) {
    const UdpStats before = socket.stats();
    while (!socket.Receive(buffer_).empty()) {
    }
    const UdpStats more = CountersSince(before, socket.stats());
    return {more.received, more.received_trains};
  }

  UdpSocket a_ = Open(), b_ = Open();
  // An address of its own, as another client has.
  UdpSocket c_ = Open({}, "127.0.0.2");
  const std::string bytes_ = std::string(1000, 'x');
  const iovec piece_ = Piece(AsBytes(bytes_));
  ReceiveBuffer buffer_;
};

constexpr int kAllErrors[] = {
    EACCES,       EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN,       EBADF,
    ECONNREFUSED, ECONNRESET,    EDESTADDRREQ, EFAULT,       EHOSTUNREACH,
    EINTR,        EINVAL,        EIO,          EISCONN,      EMSGSIZE,
    ENETDOWN,     ENETUNREACH,   ENOBUFS,      ENODEV,       ENOMEM,
    ENOTCONN,     EOPNOTSUPP,    EPERM,        EPIPE,        EPROTO,
    EHOSTDOWN,    ENOPROTOOPT,   ENETRESET,    ECONNABORTED, ENOSYS};

TEST_F(UdpErrorsTest, SendingEndsWhateverTheKernelRepeats) {
  for (const int error : kAllErrors) {
    for (const size_t segment : {0, 100}) {
      SCOPED_TRACE(strerrorname_np(error));
      SyscallFaults faults;
      faults.Fail(Syscall::kSendmmsg, error);
      faults.Fail(Syscall::kSendmsg, error);
      UdpSocket socket = Open();
      const std::vector<OutTrain> trains(3, TrainTo(b_, segment));
      const Sent sent = socket.Send(trains);
      EXPECT_LE(faults.calls(Syscall::kSendmmsg), 3u * 16);
      EXPECT_LE(faults.calls(Syscall::kSendmsg), 3u * 10 * 16);
      EXPECT_EQ(sent.trains, error == EAGAIN ? 0u : 3u);
      const size_t datagrams = segment == 0 ? 3 : 30;
      EXPECT_EQ(socket.stats().send_errors, error == EAGAIN ? 0 : datagrams);
      EXPECT_EQ(socket.stats().would_block, error == EAGAIN ? 1u : 0u);
      EXPECT_EQ(socket.stats().sent, 0u);
    }
  }
  EXPECT_EQ(Arrived(b_).first, 0u);
}

// Once, and all is well: nothing of it is kept.
TEST_F(UdpErrorsTest, ErrorsThatPassCostNoMoreThanTheirDatagrams) {
  for (const int error : kAllErrors) {
    SCOPED_TRACE(strerrorname_np(error));
    SyscallFaults faults;
    faults.Fail(Syscall::kSendmmsg, error, 1);
    const std::vector<OutTrain> trains(3, TrainTo(b_, 0));
    UdpSocket socket = Open();
    const Sent sent = socket.Send(trains);
    const size_t rest = trains.size() - sent.trains;
    if (rest > 0) {
      EXPECT_EQ(error, EAGAIN);
      EXPECT_EQ(socket.Send(trains).trains, 3u);
    }
    const bool again =
        error == EINTR || error == ECONNREFUSED || error == EAGAIN;
    EXPECT_EQ(Arrived(b_).first, again ? 3u : 2u);
    EXPECT_EQ(socket.Send({&trains[0], 1}).trains, 1u);
    EXPECT_EQ(Arrived(b_).first, 1u);
  }
}

TEST_F(UdpErrorsTest, ReceivingEndsWhateverTheKernelRepeats) {
  for (const int error : kAllErrors) {
    SCOPED_TRACE(strerrorname_np(error));
    ASSERT_TRUE(b_.SendOne({b_.local(), a_.local()}, AsBytes("x")));
    {
      SyscallFaults faults;
      faults.Fail(Syscall::kRecvmmsg, error);
      EXPECT_TRUE(a_.Receive(buffer_).empty());
      EXPECT_LE(faults.calls(Syscall::kRecvmmsg), 16u);
    }
    EXPECT_EQ(a_.Receive(buffer_).size(), 1u) << "and goes on afterwards";
  }
}

TEST_F(UdpErrorsTest, AnErrorOfAnEarlierDatagramIsSteppedOver) {
  ASSERT_TRUE(b_.SendOne({b_.local(), a_.local()}, AsBytes("x")));
  SyscallFaults faults;
  faults.Fail(Syscall::kRecvmmsg, ECONNREFUSED, 3);
  EXPECT_EQ(a_.Receive(buffer_).size(), 1u);
  EXPECT_EQ(a_.stats().receive_errors, 3u);
}

// T4: what is learnt of one destination is not kept for the others.
TEST_F(UdpErrorsTest, ARefusedTrainSaysNothingAboutOtherDestinations) {
  for (const int error : {EINVAL, EMSGSIZE, EIO}) {
    SCOPED_TRACE(strerrorname_np(error));
    UdpSocket socket = Open();
    SyscallFaults faults;
    for (int i = 0; i < 20; ++i) {
      faults.Fail(Syscall::kSendmmsg, error, 1);
      const OutTrain to_b = TrainTo(b_), to_c = TrainTo(c_);
      EXPECT_EQ(socket.Send({&to_b, 1}).trains, 1u);
      faults.Heal(Syscall::kSendmmsg);
      EXPECT_EQ(socket.Send({&to_c, 1}).trains, 1u);
      EXPECT_EQ(Arrived(b_), (std::pair<size_t, size_t>(10, 10)));
      EXPECT_EQ(Arrived(c_), (std::pair<size_t, size_t>(10, 1)));
    }
    // Known by then: only the first try cost a system call.
    EXPECT_EQ(socket.stats().gso_refused, 1u);
    EXPECT_EQ(socket.stats().send_errors, 0u);
  }
}

TEST_F(UdpErrorsTest, SmallerSegmentsStillTravelAsTrainsThere) {
  SyscallFaults faults;
  faults.Fail(Syscall::kSendmmsg, EINVAL, 1);
  UdpSocket socket = Open();
  const OutTrain large = TrainTo(b_, 500), small = TrainTo(b_, 100);
  EXPECT_EQ(socket.Send({&large, 1}).trains, 1u);
  EXPECT_EQ(Arrived(b_).second, 2u);
  EXPECT_EQ(socket.Send({&small, 1}).trains, 1u);
  EXPECT_EQ(Arrived(b_).second, 1u);
}

TEST_F(UdpErrorsTest, AVerdictEndsAndTrainsAreTriedAgain) {
  UdpOptions options;
  options.train_retry = absl::ZeroDuration();
  UdpSocket socket = Open(options);
  SyscallFaults faults;
  faults.Fail(Syscall::kSendmmsg, EIO, 1);
  const OutTrain train = TrainTo(b_);
  EXPECT_EQ(socket.Send({&train, 1}).trains, 1u);
  EXPECT_EQ(Arrived(b_).second, 10u);
  EXPECT_EQ(socket.Send({&train, 1}).trains, 1u);
  EXPECT_EQ(Arrived(b_).second, 1u);
}

// So many destinations that refuse: memory stays, the newest are known.
TEST_F(UdpErrorsTest, VerdictsAreBounded) {
  UdpSocket socket = Open();
  std::vector<UdpSocket> peers;
  for (int i = 1; i <= 20; ++i) {
    peers.push_back(Open({}, ("127.0.1." + std::to_string(i)).c_str()));
  }
  SyscallFaults faults;
  for (UdpSocket& peer : peers) {
    faults.Fail(Syscall::kSendmmsg, EIO, 1);
    const OutTrain train = TrainTo(peer);
    EXPECT_EQ(socket.Send({&train, 1}).trains, 1u);
    EXPECT_EQ(Arrived(peer).second, 10u);
  }
  const OutTrain oldest = TrainTo(peers.front());
  const OutTrain newest = TrainTo(peers.back());
  EXPECT_EQ(socket.Send({&oldest, 1}).trains, 1u);
  EXPECT_EQ(socket.Send({&newest, 1}).trains, 1u);
  EXPECT_EQ(Arrived(peers.front()).second, 1u);
  EXPECT_EQ(Arrived(peers.back()).second, 10u);
}

// A kernel without trains is known from the beginning.
TEST_F(UdpErrorsTest, AKernelWithoutTrainsIsNotAskedForThem) {
  SyscallFaults faults;
  faults.Fail(Syscall::kSetsockopt, ENOPROTOOPT);
  UdpSocket socket = Open();
  faults.Heal(Syscall::kSetsockopt);
  const OutTrain train = TrainTo(b_);
  EXPECT_EQ(socket.Send({&train, 1}).trains, 1u);
  EXPECT_EQ(Arrived(b_).second, 10u);
  EXPECT_EQ(socket.stats().gso_refused, 0u);
}

// A relay opens thousands, of which many are never sent to.
TEST_F(UdpErrorsTest, ASocketThatIsNotUsedCostsNoOptions) {
  SyscallFaults faults;
  UdpSocket socket = Open({.errors = UdpOptions::Errors::kKeep,
                           .setup = UdpOptions::Setup::kAtFirstUse});
  EXPECT_EQ(faults.calls(Syscall::kSetsockopt), 0u);
  const OutTrain train = TrainTo(b_);
  EXPECT_EQ(socket.Send({&train, 1}).trains, 1u);
  EXPECT_GE(faults.calls(Syscall::kSetsockopt), 5u);
  faults.Forget();
  EXPECT_EQ(socket.Send({&train, 1}).trains, 1u);
  EXPECT_TRUE(socket.Receive(buffer_).empty());
  EXPECT_EQ(faults.calls(Syscall::kSetsockopt), 0u);
  EXPECT_EQ(Arrived(b_), std::make_pair(size_t{20}, size_t{2}));
}

TEST_F(UdpErrorsTest, OpeningFailsWithItsReason) {
  SyscallFaults faults;
  faults.Fail(Syscall::kSocket, EMFILE, 1);
  UdpOptions options;
  options.bind = {IpAddress::V4(127, 0, 0, 1), 0};
  EXPECT_THAT(UdpSocket::Open(options),
              StatusIs(absl::StatusCode::kResourceExhausted));
  faults.Fail(Syscall::kBind, EADDRNOTAVAIL, 1);
  EXPECT_THAT(UdpSocket::Open(options), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(UdpSocket::Open(options));
}

TEST_F(UdpErrorsTest, ReadingChangesOfInterfacesEnds) {
  TestLoop loop;
  SyscallFaults faults;
  faults.Fail(Syscall::kSocket, EMFILE, 1);
  EXPECT_THAT(InterfaceWatch::Create(*loop, [] {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  faults.Fail(Syscall::kBind, EPERM, 1);
  EXPECT_FALSE(InterfaceWatch::Create(*loop, [] {}).ok());
  EXPECT_OK(InterfaceWatch::Create(*loop, [] {}));
}

TEST_F(UdpErrorsTest, EveryCounterCanBeRead) {
  EXPECT_TRUE(a_.SendOne({a_.local(), b_.local()}, AsBytes("x")));
  EXPECT_THAT(NonzeroCounters(a_.stats()), ElementsAre("sent", "sent_trains"));
  Arrived(b_);
  EXPECT_THAT(NonzeroCounters(b_.stats()),
              UnorderedElementsAre("received", "received_trains"));
}

// Of sockets that keep what hosts say: any errno may be that of an earlier
// datagram, and none of a later one, however often it comes.
TEST_F(UdpErrorsTest, WhatIsSaidOfOneDatagramCostsNoOtherOne) {
  UdpSocket kept = Open({.errors = UdpOptions::Errors::kKeep});
  const Path path{kept.local(), b_.local()};
  SyscallFaults faults;
  for (const int error : {EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EPROTO}) {
    SCOPED_TRACE(error);
    for (int i = 0; i < 3; ++i) {
      faults.Fail(Syscall::kSendmmsg, error, 1);
      EXPECT_TRUE(kept.SendOne(path, AsBytes("x")));
    }
  }
  EXPECT_EQ(kept.stats().send_errors, 0u);
  EXPECT_EQ(Arrived(b_).first, 12u);
}

// Two errors in turns are taken for each other's successors.
TEST_F(UdpErrorsTest, ErrorsInTurnsEndTheSendingOfALongTrain) {
  UdpSocket kept = Open({.errors = UdpOptions::Errors::kKeep});
  const OutTrain train{{kept.local(), b_.local()}, {&piece_, 1}, 10};
  SyscallFaults faults;
  constexpr size_t kInTurns = 1000;
  for (size_t i = 0; i < kInTurns; ++i) {
    faults.Fail(Syscall::kSendmsg, EHOSTUNREACH, 1);
    faults.Fail(Syscall::kSendmsg, EPROTO, 1);
  }
  EXPECT_EQ(kept.Send({&train, 1}).trains, 1u);
  EXPECT_LT(faults.calls(Syscall::kSendmsg), kInTurns);
  EXPECT_GT(kept.stats().send_errors, 0u);
}

}  // namespace
}  // namespace kyuu::net
