#include "net/drive.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/internal/slab_pool.h"
#include "net/loop.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"
#include "net/udp_socket.h"

namespace kyuu::net {
namespace {

// Chatter is a small addressed engine: it sends what it is told to, reports
// what it hears, and counts its timeouts.
class Chatter {
 public:
  struct Heard {
    Path path;
    std::string text;
  };
  struct Ticked {};
  using Packet = Datagram;
  using Event = std::variant<Heard, Ticked>;

  void HandlePacket(absl::Time, Packet in) {
    ++packets;
    events_.push_back(Heard{in.path, std::string(AsText(in.bytes))});
  }
  void HandleTimeout(absl::Time now) {
    if (now < timeout) return;
    timeout = absl::InfiniteFuture();
    events_.push_back(Ticked{});
  }
  std::optional<Packet> PollTransmit(absl::Time, absl::Span<uint8_t> out) {
    if (outbox.empty()) return std::nullopt;
    auto [path, text] = std::move(outbox.front());
    outbox.pop_front();
    Writer writer(out.subspan(4));  // Engines may leave headroom.
    writer.Text(text);
    EXPECT_TRUE(writer.ok());
    return Datagram{path, writer.written()};
  }
  std::optional<Event> PollEvent() {
    if (events_.empty()) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  absl::Time NextTimeout() const { return timeout; }

  std::deque<std::pair<Path, std::string>> outbox;
  absl::Time timeout = absl::InfiniteFuture();
  size_t packets = 0;

 private:
  std::deque<Event> events_;
};
static_assert(Engine<Chatter>);

UdpSocket Open(absl::string_view bind = "127.0.0.1:0",
               int buffer_bytes = 4 << 20) {
  UdpOptions options;
  options.bind = TransportAddress::Parse(bind).value();
  options.buffer_bytes = buffer_bytes;
  return UdpSocket::Open(options).value();
}

class DriveTest : public testing::Test {
 protected:
  auto Recorder(std::vector<Chatter::Heard>& heard, int* ticks = nullptr) {
    return [this, &heard, ticks](Chatter::Event event) {
      if (auto* h = std::get_if<Chatter::Heard>(&event)) {
        heard.push_back(std::move(*h));
      } else if (ticks != nullptr) {
        ++*ticks;
      }
      loop_->Stop();
    };
  }

  TestLoop loop_;
  ReceiveBuffer buffer_;
  std::vector<Chatter::Heard> heard_a_, heard_b_;
};

TEST_F(DriveTest, TwoEnginesTalk) {
  UdpSocket sa = Open(), sb = Open();
  Chatter a, b;
  auto da = Drive(*loop_, a, sa, buffer_, Recorder(heard_a_));
  // `b` echoes from within its event handler.
  auto db = Drive(*loop_, b, sb, buffer_, [&](Chatter::Event event) {
    const auto& heard = std::get<Chatter::Heard>(event);
    b.outbox.push_back({heard.path, heard.text + "!"});
  });
  a.outbox.push_back({{sa.local(), sb.local()}, "hello"});
  da->Flush();
  loop_.RunUntil([&] { return !heard_a_.empty(); });
  EXPECT_EQ(heard_a_[0].text, "hello!");
  EXPECT_EQ(heard_a_[0].path, (Path{sa.local(), sb.local()}));
}

TEST_F(DriveTest, TimeoutsAreKept) {
  UdpSocket socket = Open();
  Chatter engine;
  int ticks = 0;
  engine.timeout = Loop::Now() + absl::Milliseconds(1);
  auto driver =
      Drive(*loop_, engine, socket, buffer_, Recorder(heard_a_, &ticks));
  loop_.RunUntil([&] { return ticks == 1; });
  engine.timeout = Loop::Now() + absl::Milliseconds(1);
  driver->Flush();
  loop_.RunUntil([&] { return ticks == 2; });
}

// A stream has no part in trains, nor do they wait for one another.
TEST_F(DriveTest, DatagramsOfStreamsGoTheirOwnWay) {
  UdpSocket sa = Open(), sb = Open();
  Chatter a, b;
  Driver<Chatter> da(*loop_, a, buffer_, Recorder(heard_a_));
  da.AddSocket(sa);
  std::vector<std::string> streamed;
  const Path path{sa.local(), sb.local()};
  const Path stream{sa.local(), sb.local(), Transport::kTcp};
  a.outbox = {{path, "1"}, {stream, "2"}, {path, "3"}, {stream, "4"}};
  auto db = Drive(*loop_, b, sb, buffer_, Recorder(heard_b_));
  da.SendStreamsBy([&](const Datagram& datagram) {
    EXPECT_EQ(datagram.path, stream);
    streamed.emplace_back(AsText(datagram.bytes));
  });
  da.Flush();
  loop_.RunUntil([&] { return heard_b_.size() == 2; });
  EXPECT_EQ(heard_b_[0].text + heard_b_[1].text, "13");
  EXPECT_EQ(streamed, (std::vector<std::string>{"2", "4"}));
  EXPECT_EQ(da.unroutable(), 0);
}

TEST_F(DriveTest, EqualDatagramsLeaveAsOneTrain) {
  UdpSocket sa = Open(), sb = Open();
  Chatter a, b;
  auto da = Drive(*loop_, a, sa, buffer_, Recorder(heard_a_));
  auto db = Drive(*loop_, b, sb, buffer_, Recorder(heard_b_));
  const Path path{sa.local(), sb.local()};
  std::vector<std::string> sent;
  for (size_t i = 0; i < 30; ++i) {
    sent.push_back(std::string(1000, static_cast<char>('A' + i)));
  }
  sent.push_back("short: ends the train");
  sent.push_back("longer than the one before");
  sent.push_back("");
  sent.push_back("");
  for (const std::string& text : sent) a.outbox.push_back({path, text});
  da->Flush();
  loop_.RunUntil([&] { return heard_b_.size() == sent.size(); });
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(heard_b_[i].text, sent[i]) << i;
  }
  EXPECT_EQ(sa.stats().sent_trains, 4u);
  EXPECT_EQ(sb.stats().received_trains, 4u);
}

TEST_F(DriveTest, TheSourceAddressChoosesTheSocket) {
  UdpSocket one = Open(), two = Open(), other = Open();
  UdpSocket any = Open("0.0.0.0:0");
  Chatter a, b;
  Driver<Chatter> driver(*loop_, a, buffer_, Recorder(heard_a_));
  for (UdpSocket* socket : {&one, &two, &any}) driver.AddSocket(*socket);
  auto db = Drive(*loop_, b, other, buffer_, Recorder(heard_b_));
  const TransportAddress on_any{IpAddress::V4(127, 0, 0, 3), any.local().port};
  const TransportAddress nowhere{IpAddress::V4(127, 0, 0, 1), 9};
  for (const TransportAddress& local :
       {one.local(), two.local(), on_any, nowhere, one.local()}) {
    a.outbox.push_back({{local, other.local()}, "from"});
  }
  driver.Flush();
  loop_.RunUntil([&] { return heard_b_.size() == 4; });
  EXPECT_EQ(heard_b_[0].path.remote, one.local());
  EXPECT_EQ(heard_b_[1].path.remote, two.local());
  EXPECT_EQ(heard_b_[2].path.remote, on_any);
  EXPECT_EQ(heard_b_[3].path.remote, one.local());
  EXPECT_EQ(driver.unroutable(), 1u);
  driver.RemoveSocket(one);
  a.outbox.push_back({{one.local(), other.local()}, "gone"});
  driver.Flush();
  EXPECT_EQ(driver.unroutable(), 2u);
}

// The sender's buffer is full at once, so polling stops; nothing is lost and
// the order stays.
TEST_F(DriveTest, ABlockedSocketStopsPollingUntilItIsWritable) {
  UdpSocket sa = Open("127.0.0.1:0", 1), sb = Open();
  Chatter a, b;
  auto da = Drive(*loop_, a, sa, buffer_, Recorder(heard_a_));
  auto db = Drive(*loop_, b, sb, buffer_, Recorder(heard_b_));
  constexpr int kCount = 3000;
  const auto Size = [](int i) { return size_t{500} + i % 3; };
  for (int i = 0; i < kCount; ++i) {
    a.outbox.push_back({{sa.local(), sb.local()},
                        absl::StrCat(i, ":", std::string(Size(i), 'x'))});
  }
  da->Flush();
  loop_.RunUntil([&] { return heard_b_.size() == kCount; });
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(heard_b_[static_cast<size_t>(i)].text,
              absl::StrCat(i, ":", std::string(Size(i), 'x')));
  }
  EXPECT_EQ(sa.stats().sent, uint64_t{kCount});
}

// 69 kB for each idle connection were most of what one cost.
TEST_F(DriveTest, DriversHaveMemoryToSendFromOnlyWhileTheySend) {
  const internal::SlabPool& slabs = loop_->Shared<internal::SlabPool>();
  constexpr size_t kOthers = 20;
  UdpSocket sa = Open(), sb = Open();
  Chatter a, b;
  auto da = Drive(*loop_, a, sa, buffer_, Recorder(heard_a_));
  auto db = Drive(*loop_, b, sb, buffer_, Recorder(heard_b_));
  std::vector<UdpSocket> sockets;
  for (size_t i = 0; i < kOthers; ++i) sockets.push_back(Open());
  std::vector<Chatter> engines(kOthers);
  std::vector<std::unique_ptr<Driver<Chatter>>> drivers;
  for (size_t i = 0; i < kOthers; ++i) {
    drivers.push_back(
        Drive(*loop_, engines[i], sockets[i], buffer_, Recorder(heard_a_)));
  }
  EXPECT_EQ(slabs.lent(), 0u);
  // One whose socket takes no more keeps what it has in hand.
  SyscallFaults faults;
  faults.Fail(Syscall::kSendmmsg, EAGAIN, SyscallFaults::kAlways, sa.fd());
  a.outbox.push_back({{sa.local(), sb.local()}, "kept"});
  da->Flush();
  EXPECT_EQ(slabs.lent(), 1u);
  // The others have one in turns.
  for (size_t i = 0; i < kOthers; ++i) {
    engines[i].outbox.push_back({{sockets[i].local(), sb.local()}, "other"});
    drivers[i]->Flush();
    EXPECT_EQ(slabs.lent(), 1u);
    EXPECT_GT(slabs.kept_bytes(), 0u);
  }
  faults.Heal(Syscall::kSendmmsg);
  loop_.RunUntil([&] { return heard_b_.size() == 1 + kOthers; });
  EXPECT_EQ(slabs.lent(), 0u);
  EXPECT_EQ(
      std::count_if(heard_b_.begin(), heard_b_.end(),
                    [](const auto& heard) { return heard.text == "kept"; }),
      1);
  // With something in hand, it is given back by one who goes.
  faults.Fail(Syscall::kSendmmsg, EAGAIN, SyscallFaults::kAlways, sa.fd());
  a.outbox.push_back({{sa.local(), sb.local()}, "lost"});
  da->Flush();
  EXPECT_EQ(slabs.lent(), 1u);
  da.reset();
  EXPECT_EQ(slabs.lent(), 0u);
}

// Counter answers with the number of packets it has seen; what it has to say
// about every third one is urgent.
class Counter : public Chatter {
 public:
  void HandlePacket(absl::Time now, Packet in) {
    Chatter::HandlePacket(now, in);
    outbox.clear();
    outbox.push_back({in.path, absl::StrCat(packets)});
  }
  bool transmit_urgent() const { return !outbox.empty() && packets % 3 == 0; }
};

TEST_F(DriveTest, UrgentAnswersLeaveBetweenThePacketsOfABatch) {
  UdpSocket sa = Open(), sb = Open();
  Chatter a;
  Counter b;
  // All ten wait in the socket when `b` is driven.
  auto da = Drive(*loop_, a, sa, buffer_, Recorder(heard_a_));
  for (int i = 0; i < 10; ++i) {
    a.outbox.push_back({{sa.local(), sb.local()}, "x"});
  }
  da->Flush();
  auto db = Drive(*loop_, b, sb, buffer_, [](Chatter::Event) {});
  loop_.RunUntil([&] { return heard_a_.size() == 4; });
  std::vector<std::string> texts;
  for (const Chatter::Heard& heard : heard_a_) texts.push_back(heard.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"3", "6", "9", "10"}));
}

// Takes note of refusals, too.
class Refusable : public Chatter {
 public:
  void HandleRefusal(absl::Time, const TransportAddress& remote,
                     const absl::Status& why) {
    refusals.emplace_back(remote, why);
  }
  std::vector<std::pair<TransportAddress, absl::Status>> refusals;
};
static_assert(RefusableEngine<Refusable> && !RefusableEngine<Chatter>);

TEST_F(DriveTest, ThatNobodyListensIsToldOnAConnectedSocketOnly) {
  TransportAddress closed;
  {
    const UdpSocket gone = Open();
    closed = gone.local();
  }
  for (const TransportAddress& remote : {TransportAddress(), closed}) {
    UdpSocket socket = Open();
    if (remote == closed) {
      EXPECT_OK(socket.Connect(remote));
    }
    Refusable engine;
    // Whether it comes up in receiving or in sending.
    for (const char* text : {"one", "two", "three"}) {
      engine.outbox.push_back({{socket.local(), closed}, text});
    }
    engine.timeout = Loop::Now() + absl::Milliseconds(50);
    bool ticked = false;
    auto driver = Drive(*loop_, engine, socket, buffer_, [&](Chatter::Event) {
      ticked = true;
      loop_->Stop();
    });
    loop_.RunUntil([&] { return ticked; });
    if (remote == closed) {
      ASSERT_FALSE(engine.refusals.empty());
      EXPECT_EQ(engine.refusals[0].first, closed);
      EXPECT_THAT(engine.refusals[0].second,
                  StatusIs(absl::StatusCode::kUnavailable));
      EXPECT_OK(socket.TakeRefusal()) << "once";
    } else {
      EXPECT_TRUE(engine.refusals.empty());
    }
  }
}

TEST_F(DriveTest, TheEventHandlerMayDestroyTheDriver) {
  UdpSocket sa = Open(), sb = Open();
  Chatter b;
  std::unique_ptr<Driver<Chatter>> db;
  db = Drive(*loop_, b, sb, buffer_, [&](Chatter::Event) {
    db.reset();
    loop_->Stop();
  });
  ASSERT_TRUE(sa.SendOne({sa.local(), sb.local()}, AsBytes("bye")));
  loop_.RunUntil([&] { return db == nullptr; });
}

}  // namespace
}  // namespace kyuu::net
