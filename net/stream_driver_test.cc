#include "net/stream_driver.h"

#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"

namespace kyuu::net {
namespace {

// Talker says what it is told to say and reports what it hears.
class Talker {
 public:
  using Packet = absl::Span<const uint8_t>;
  struct Heard {
    std::string text;
  };
  struct Ended {
    absl::Status why;
  };
  using Event = std::variant<Heard, Ended>;

  void HandlePacket(absl::Time, Packet in) {
    events_.push_back(Heard{std::string(AsText(in))});
  }
  void HandleTimeout(absl::Time now) {
    if (now >= deadline) {
      deadline = absl::InfiniteFuture();
      say += "late";
    }
  }
  std::optional<Packet> PollTransmit(absl::Time, absl::Span<uint8_t> out) {
    Writer w(out);
    const size_t size = std::min(out.size(), say.size());
    w.Bytes(AsBytes(say).first(size));
    say.erase(0, size);
    polled += size;
    if (size == 0) return std::nullopt;
    return w.written();
  }
  std::optional<Event> PollEvent() {
    if (events_.empty()) return std::nullopt;
    Event event = std::move(events_.front());
    events_.erase(events_.begin());
    return event;
  }
  absl::Time NextTimeout() const { return deadline; }
  void HandleStreamEnd(absl::Time, const absl::Status& why) {
    events_.push_back(Ended{why});
  }
  bool finished() const { return done && say.empty(); }
  bool abandoned() const { return gave_up; }
  bool wants_input() const { return listening; }
  size_t held_bytes() const { return say.size(); }

  std::string say;
  bool done = false, gave_up = false, listening = true;
  size_t polled = 0;
  absl::Time deadline = absl::InfiniteFuture();

 private:
  std::vector<Event> events_;
};

class StreamDriverTest : public testing::Test {
 protected:
  StreamDriverTest()
      : listener_(TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                      .value()) {}

  // Joins a driven talker and a plain client.
  void Start(const StreamDriverOptions& options = {},
             int client_receive_buffer = 0) {
    client_ = std::make_unique<Endpoint<TcpStream>>(
        *loop_, TcpStream::Connect(listener_.local()).value());
    if (client_receive_buffer > 0) {
      setsockopt(client_->stream.fd(), SOL_SOCKET, SO_RCVBUF,
                 &client_receive_buffer, sizeof client_receive_buffer);
    }
    std::optional<TcpStream> accepted;
    Watch watch(*loop_, listener_.fd(), Interest::kRead, [&](Readiness) {
      accepted = listener_.Accept();
      loop_->Stop();
    });
    loop_.RunUntil([&] { return accepted.has_value(); });
    accepted->Unread(AsBytes(unread_));
    driver_ = std::make_unique<StreamDriver<Talker>>(
        *loop_, Stream(*std::move(accepted)), talker_, buffer_,
        [this](Talker::Event event) {
          if (const auto* heard = std::get_if<Talker::Heard>(&event)) {
            heard_ += heard->text;
          } else {
            ended_ = std::get<Talker::Ended>(event).why;
          }
          if (on_event_) on_event_();
          loop_->Stop();
        },
        [this](StreamEnd end, const absl::Status& why) {
          end_ = end;
          why_ = why;
          loop_->Stop();
          driver_.reset();  // Allowed, and what owners do.
        },
        options, &memory_);
    driver_->Flush();
  }
  // The client reads nothing from now on.
  void Stall() {
    client_->reading = false;
    client_->watch.SetInterest(Interest::kNone);
  }
  void Resume() {
    client_->reading = true;
    client_->watch.SetInterest(Interest::kRead);
  }
  void RunUntilEnd() {
    loop_.RunUntil([&] { return end_.has_value(); });
  }

  TestLoop loop_;
  TcpListener listener_;
  Talker talker_;
  StreamBuffer buffer_;
  int overs_ = 0;
  StreamMemory memory_{1 << 20, [this] { ++overs_; }};
  std::string unread_;  // Put back before the driver has the stream.
  std::string heard_;
  std::optional<absl::Status> ended_;
  absl::AnyInvocable<void()> on_event_;
  std::optional<StreamEnd> end_;
  absl::Status why_;
  std::unique_ptr<Endpoint<TcpStream>> client_;
  std::unique_ptr<StreamDriver<Talker>> driver_;
};

TEST_F(StreamDriverTest, BytesTravelBothWaysAndTheEndIsInOrder) {
  talker_.say = "hello";
  Start();
  ASSERT_OK(client_->Write("hi"));
  loop_.RunUntil(
      [&] { return heard_ == "hi" && client_->received == "hello"; });
  talker_.done = true;
  talker_.say = "bye";
  driver_->Flush();
  loop_.RunUntil([&] { return client_->over; });
  EXPECT_EQ(client_->received, "hellobye");
  EXPECT_EQ(client_->last, ReadState::kEnd);
  client_->Shutdown();
  RunUntilEnd();
  EXPECT_EQ(end_, StreamEnd::kClosed);
}

TEST_F(StreamDriverTest, AMessageCostsOneCallOfRecv) {
  Start();
  SyscallFaults faults;
  for (const char* said : {"one", "two", "three"}) {
    const size_t before = faults.calls(Syscall::kRecv);
    heard_.clear();
    ASSERT_OK(client_->Write(said));
    loop_.RunUntil([&] { return heard_ == said; });
    EXPECT_EQ(faults.calls(Syscall::kRecv), before + 1);
  }
}

// Writability is waited for when the kernel has not taken all, and not before.
TEST_F(StreamDriverTest, AnAnswerThatTheKernelTakesAtOnceChangesNoWatch) {
  Start();
  SyscallFaults faults;
  on_event_ = [this] { talker_.say = "answer"; };
  ASSERT_OK(client_->Write("question"));
  loop_.RunUntil([&] { return client_->received == "answer"; });
  EXPECT_EQ(faults.calls(Syscall::kEpollCtl), 0u);
}

// The kernel forgets a descriptor as it is closed, whoever closes it.
TEST_F(StreamDriverTest, NoEndIsToldToEpoll) {
  for (const StreamEnd end :
       {StreamEnd::kClosed, StreamEnd::kCut, StreamEnd::kFailed}) {
    end_.reset();
    talker_ = Talker();
    Start();
    client_->watch.SetInterest(Interest::kNone);
    SyscallFaults faults;
    switch (end) {
      case StreamEnd::kClosed:
        talker_.done = true;
        client_->stream.ShutdownWrite();
        break;
      case StreamEnd::kCut:
        driver_->Cut();
        break;
      default:
        client_->stream.Cut();
    }
    RunUntilEnd();
    EXPECT_EQ(end_, end);
    EXPECT_EQ(faults.calls(Syscall::kEpollCtl), 0u);
  }
}

// As by a port, that has looked at them; the descriptor does not show them.
TEST_F(StreamDriverTest, WhatWasPutBackIsHeardFirst) {
  unread_ = "first ";
  Start();
  loop_.RunUntil([&] { return heard_ == "first "; });
  ASSERT_OK(client_->Write("then"));
  loop_.RunUntil([&] { return heard_ == "first then"; });
}

TEST_F(StreamDriverTest, ItsTimersRun) {
  talker_.deadline = Loop::Now() + absl::Milliseconds(1);
  Start();
  loop_.RunUntil([&] { return client_->received == "late"; });
}

// A client may end its side behind its question.
TEST_F(StreamDriverTest, WhatIsLeftToSayLeavesAfterThePeersEnd) {
  Start();
  on_event_ = [this] {
    if (!ended_) return;
    EXPECT_OK(*ended_);
    talker_.say = std::string(1 << 20, 'x');
    talker_.done = true;
  };
  client_->Shutdown();
  loop_.RunUntil([&] { return client_->over; });
  EXPECT_EQ(client_->received.size(), 1u << 20);
  RunUntilEnd();
  EXPECT_EQ(end_, StreamEnd::kClosed);
}

// P2, P3: an ending never waits for the peer without a deadline.
TEST_F(StreamDriverTest, APeerThatDoesNotReadIsCut) {
  talker_.say = std::string(4 << 20, 'x');
  const absl::Time start = Loop::Now();
  Start({.write_timeout = absl::Milliseconds(50)}, 4096);
  Stall();
  RunUntilEnd();
  EXPECT_EQ(end_, StreamEnd::kStalled);
  EXPECT_THAT(why_, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(*ended_, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_GE(Loop::Now() - start, absl::Milliseconds(50));
  // It learns by a reset, though nothing more fits its window.
  Resume();
  loop_.RunUntil([&] { return client_->over; });
  EXPECT_EQ(client_->last, ReadState::kFailed);
}

TEST_F(StreamDriverTest, APeerThatReadsSlowlyIsNotCut) {
  const size_t size = 1 << 20;
  talker_.say = std::string(size, 'x');
  talker_.done = true;
  Start({.write_timeout = absl::Milliseconds(200),
         .linger = absl::Milliseconds(200)},
        64 * 1024);
  Stall();
  // It takes 32 KiB every 10 ms: longer in all than the timeout.
  Alarm sip(*loop_, [&] {
    std::vector<uint8_t> some(32 * 1024);
    const ReadResult got = client_->stream.Read(absl::MakeSpan(some));
    if (got.state == ReadState::kData) {
      client_->received.append(got.bytes, 'x');
    }
    if (got.state == ReadState::kEnd) client_->over = true;
    sip.Set(Loop::Now() + absl::Milliseconds(10));
    loop_->Stop();
  });
  sip.Set(Loop::Now());
  loop_.RunUntil([&] { return client_->over || end_.has_value(); });
  loop_.RunUntil([&] { return client_->over; });
  EXPECT_EQ(client_->received.size(), size);
}

TEST_F(StreamDriverTest, WhoDoesNotEndItsSideIsNotWaitedFor) {
  talker_.done = true;
  Start({.linger = absl::Milliseconds(100)});
  RunUntilEnd();
  EXPECT_EQ(end_, StreamEnd::kClosed);
}

TEST_F(StreamDriverTest, LastWordsThatNobodyTakesAreCutAtTheLinger) {
  // Little enough for the kernel to take all of it, more than the peer takes.
  talker_.say = std::string(60'000, 'x');
  talker_.done = true;
  Start({.linger = absl::Milliseconds(5)}, 2048);
  Stall();
  RunUntilEnd();
  EXPECT_EQ(end_, StreamEnd::kStalled);
  EXPECT_EQ(ended_, std::nullopt);  // The engine was done with it.
}

TEST_F(StreamDriverTest, AnEngineThatGivesUpCutsAtOnceWhateverWaits) {
  talker_.say = std::string(4 << 20, 'x');
  Start({}, 4096);
  Stall();
  talker_.gave_up = true;
  driver_->Flush();
  EXPECT_EQ(end_, StreamEnd::kCut);
  Resume();
  loop_.RunUntil([&] { return client_->over; });
  EXPECT_EQ(client_->last, ReadState::kFailed);
}

TEST_F(StreamDriverTest, TheCallerMayCutFromWithinAnEvent) {
  Start();
  on_event_ = [this] { driver_->Cut(); };
  ASSERT_OK(client_->Write("x"));
  RunUntilEnd();
  EXPECT_EQ(end_, StreamEnd::kCut);
  EXPECT_EQ(driver_, nullptr);
}

TEST_F(StreamDriverTest, WhoeverIsGivenTheStreamGoesOnWithIt) {
  Start();
  std::optional<Stream> taken;
  on_event_ = [&] {
    if (taken.has_value()) return;
    taken = driver_->Release();
    driver_.reset();
  };
  EXPECT_OK(client_->Write("hello"));
  loop_.RunUntil([&] { return taken.has_value(); });
  EXPECT_EQ(memory_.used_bytes(), 0u);
  Endpoint<Stream> rest(*loop_, *std::move(taken));
  EXPECT_OK(client_->Write("more"));
  EXPECT_OK(rest.Write("answer"));
  loop_.RunUntil(
      [&] { return rest.received == "more" && client_->received == "answer"; });
  EXPECT_EQ(end_, std::nullopt);
}

TEST_F(StreamDriverTest, AResetIsToldToTheEngineFirst) {
  Start();
  client_->watch.SetInterest(Interest::kNone);
  client_->stream.Cut();
  RunUntilEnd();
  EXPECT_EQ(end_, StreamEnd::kFailed);
  EXPECT_THAT(why_, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(*ended_, why_);
}

TEST_F(StreamDriverTest, NothingIsBuiltAheadOfTheStream) {
  talker_.say = std::string(4 << 20, 'x');
  Start({}, 4096);
  Stall();
  // What the kernel takes, and one buffer of ours.
  EXPECT_LT(talker_.polled, 3u << 20);
  const size_t before = talker_.polled;
  driver_->Flush();
  driver_->Flush();
  EXPECT_EQ(talker_.polled, before);
}

TEST_F(StreamDriverTest, AnEngineThatWantsNoInputMakesThePeerWait) {
  talker_.listening = false;
  Start();
  ASSERT_OK(client_->Write("x"));
  Alarm later(*loop_, [&] {
    EXPECT_EQ(heard_, "");
    talker_.listening = true;
    driver_->Flush();
  });
  later.Set(Loop::Now() + absl::Milliseconds(5));
  loop_.RunUntil([&] { return heard_ == "x"; });
}

TEST_F(StreamDriverTest, WhatIsHeldCountsForAllStreamsTogether) {
  talker_.say = std::string(4 << 20, 'x');
  Start({}, 4096);
  Stall();
  EXPECT_GT(driver_->held_bytes(), 1u << 20);
  EXPECT_EQ(memory_.used_bytes(), driver_->held_bytes());
  EXPECT_TRUE(memory_.over());
  EXPECT_GE(overs_, 1);
  driver_->Cut();
  EXPECT_EQ(memory_.used_bytes(), 0u);
}

}  // namespace
}  // namespace kyuu::net
