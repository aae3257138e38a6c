#include "peer/peer_streams.h"

#include <sys/resource.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "net/connect.h"
#include "net/tcp.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"

namespace kyuu::peer {
namespace {

using ice::StreamId;

// One end of streams, and what it was told.
struct End {
  End(net::Loop& loop, const PeerStreamOptions& options)
      : streams(loop, options,
                {.on_connected =
                     [this](StreamId id, const TransportAddress& local) {
                       connected = id;
                       path.local = local;
                     },
                 .on_accepted =
                     [this](const Path& from) -> std::optional<StreamId> {
                   ++asked;
                   if (!takes) return std::nullopt;
                   path = from;
                   accepted = StreamId{1000 + next++};
                   return accepted;
                 },
                 .on_packet =
                     [this](const Datagram& packet) {
                       EXPECT_EQ(packet.path, path);
                       heard.emplace_back(packet.bytes.begin(),
                                          packet.bytes.end());
                     },
                 .on_ended =
                     [this](StreamId id, const absl::Status& why) {
                       ended = id;
                       reason = why;
                     },
                 .on_turn = [&loop] { loop.Stop(); }}) {}

  bool takes = true;
  int asked = 0;
  uint64_t next = 0;
  Path path{{}, {}, Transport::kTcp};
  std::optional<StreamId> connected, accepted, ended;
  absl::Status reason;
  std::vector<std::vector<uint8_t>> heard;
  PeerStreams streams;
};

class PeerStreamsTest : public testing::Test {
 protected:
  PeerStreamsTest()
      : listener_(
            net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                .value()),
        a_(*loop_, options_),
        b_(*loop_, options_) {
    b_.streams.AddListener(listener_);
  }
  void Connect() {
    a_.path.remote = listener_.local();
    a_.streams.Open(
        {StreamId{7}, IpAddress::V4(127, 0, 0, 1), listener_.local()});
    loop_.RunUntil([&] { return a_.connected && b_.accepted; });
  }

  net::TestLoop loop_;
  PeerStreamOptions options_{.queue = {.queued_bytes_max = 100'000},
                             .accept_pause = absl::Milliseconds(1)};
  net::TcpListener listener_;
  End a_, b_;
};

TEST_F(PeerStreamsTest, PacketsGoBothWays) {
  Connect();
  EXPECT_EQ(a_.connected, StreamId{7});
  const std::vector<uint8_t> large(20'000, 5);
  EXPECT_TRUE(a_.streams.Send({a_.path, large}));
  EXPECT_TRUE(a_.streams.Send({a_.path, FromHex("0102")}));
  EXPECT_TRUE(b_.streams.Send({b_.path, FromHex("03")}));
  loop_.RunUntil([&] { return b_.heard.size() == 2 && a_.heard.size() == 1; });
  EXPECT_EQ(b_.heard[0], large);
  EXPECT_EQ(b_.heard[1], FromHex("0102"));
  EXPECT_EQ(a_.heard[0], FromHex("03"));
  EXPECT_EQ(a_.streams.stats().packets_queued, 2u);
  EXPECT_EQ(a_.streams.stats().packets_received, 1u);
}

// As it is done for a simultaneous opening, where somebody listens, too.
TEST_F(PeerStreamsTest, AConnectionMayBeFromAPortThatIsNamed) {
  auto beside = net::TcpListener::Open(
      {.bind = {IpAddress::V4(127, 0, 0, 1), 0}, .lend_address = true});
  ASSERT_OK(beside);
  a_.streams.AddListener(*beside);
  a_.path.remote = listener_.local();
  a_.streams.Open({StreamId{7}, beside->local().ip, listener_.local(),
                   beside->local().port});
  loop_.RunUntil([&] { return a_.connected && b_.accepted; });
  EXPECT_EQ(a_.path.local, beside->local());
  EXPECT_EQ(b_.path.remote, beside->local());
  EXPECT_TRUE(a_.streams.Send({a_.path, FromHex("0102")}));
  loop_.RunUntil([&] { return b_.heard.size() == 1; });
  a_.streams.RemoveListener(*beside);
}

TEST_F(PeerStreamsTest, WhatHasNoStreamIsSomebodyElses) {
  Connect();
  Path other = a_.path;
  ++other.remote.port;
  EXPECT_FALSE(a_.streams.Send({other, FromHex("01")}));
}

// What was queued before it still arrives.
TEST_F(PeerStreamsTest, ADroppedStreamEndsForTheOtherSide) {
  Connect();
  EXPECT_TRUE(a_.streams.Send({a_.path, FromHex("0102")}));
  a_.streams.Drop(StreamId{7});
  loop_.RunUntil([&] { return b_.ended.has_value(); });
  EXPECT_EQ(b_.ended, b_.accepted);
  EXPECT_OK(b_.reason);
  EXPECT_EQ(b_.heard.size(), 1u);
  EXPECT_FALSE(a_.ended) << "whoever drops it knows";
  loop_.RunUntil([&] { return !a_.streams.Send({a_.path, FromHex("01")}); });
  EXPECT_FALSE(b_.streams.Send({b_.path, FromHex("01")}));
}

TEST_F(PeerStreamsTest, AnAcceptedOneMayBeDroppedToo) {
  Connect();
  b_.streams.Drop(*b_.accepted);
  loop_.RunUntil([&] { return a_.ended.has_value(); });
  EXPECT_EQ(a_.ended, StreamId{7});
}

// Whoever keeps his end open holds no descriptor of ours.
TEST_F(PeerStreamsTest, AStrangerThatIsDroppedDoesNotLinger) {
  auto stranger = net::TcpStream::Connect(listener_.local());
  ASSERT_OK(stranger);
  loop_.RunUntil([&] { return b_.accepted.has_value(); });
  b_.streams.Drop(*b_.accepted);
  std::array<uint8_t, 16> buffer;
  net::ReadState state = net::ReadState::kWouldBlock;
  net::Watch watch(*loop_, stranger->fd(), net::Interest::kRead,
                   [&](net::Readiness) {
                     state = stranger->Read(absl::MakeSpan(buffer)).state;
                     loop_->Stop();
                   });
  loop_.RunUntil([&] { return state != net::ReadState::kWouldBlock; });
  EXPECT_EQ(state, net::ReadState::kFailed) << "not a reset";
  EXPECT_FALSE(b_.ended);
}

TEST_F(PeerStreamsTest, WhatIsNotTakenIsClosed) {
  b_.takes = false;
  a_.path.remote = listener_.local();
  a_.streams.Open(
      {StreamId{7}, IpAddress::V4(127, 0, 0, 1), listener_.local()});
  loop_.RunUntil([&] { return a_.ended.has_value(); });
  EXPECT_EQ(b_.asked, 1);
}

TEST_F(PeerStreamsTest, ARefusedConnectionIsToldWithItsReason) {
  TransportAddress nobody;
  {
    nobody = net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                 ->local();
  }
  a_.streams.Open({StreamId{7}, IpAddress::V4(127, 0, 0, 1), nobody});
  loop_.RunUntil([&] { return a_.ended.has_value(); });
  EXPECT_EQ(a_.ended, StreamId{7});
  EXPECT_FALSE(a_.reason.ok());
}

TEST_F(PeerStreamsTest, NobodyIsAcceptedWithoutAListener) {
  b_.streams.RemoveListener(listener_);
  a_.streams.Open(
      {StreamId{7}, IpAddress::V4(127, 0, 0, 1), listener_.local()});
  // The kernel connects; nobody takes it.
  loop_.RunUntil([&] { return a_.connected.has_value(); });
  EXPECT_EQ(b_.asked, 0);
  b_.streams.AddListener(listener_);
  loop_.RunUntil([&] { return b_.accepted.has_value(); });
}

// Whoever talks no packets is told off by his first length.
TEST_F(PeerStreamsTest, AStrangersBytesEndHisStream) {
  auto stranger = net::TcpStream::Connect(listener_.local());
  ASSERT_OK(stranger);
  loop_.RunUntil([&] { return b_.accepted.has_value(); });
  ASSERT_OK(stranger->Write(FromHex("ffff0000")));
  loop_.RunUntil([&] { return b_.ended.has_value(); });
  EXPECT_EQ(b_.reason.code(), absl::StatusCode::kResourceExhausted);
}

// A slow reader costs what the queue may hold, and then packets.
TEST_F(PeerStreamsTest, WhoDoesNotReadLosesPackets) {
  auto stranger = net::TcpStream::Connect(listener_.local());
  ASSERT_OK(stranger);
  loop_.RunUntil([&] { return b_.accepted.has_value(); });
  const std::vector<uint8_t> packet(1200, 20);
  int turns = 0;
  loop_.RunUntil([&] {
    for (int i = 0; i < 50; ++i) b_.streams.Send({b_.path, packet});
    return ++turns == 400 || b_.streams.stats().packets_dropped > 0;
  });
  EXPECT_GT(b_.streams.stats().packets_dropped, 0u);
}

// Without descriptors accepting pauses, and goes on.
TEST_F(PeerStreamsTest, AcceptingOutlastsALackOfDescriptors) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  auto stranger = net::TcpStream::Connect(listener_.local());
  ASSERT_OK(stranger);
  const rlimit none{static_cast<rlim_t>(stranger->fd() + 1), limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  loop_.RunUntil([&] { return listener_.stats().exhausted > 0; });
  setrlimit(RLIMIT_NOFILE, &limit);
  auto another = net::TcpStream::Connect(listener_.local());
  ASSERT_OK(another);
  loop_.RunUntil([&] { return b_.accepted.has_value(); });
}

TEST_F(PeerStreamsTest, MayBeDestroyedInItsTurn) {
  std::unique_ptr<PeerStreams> streams;
  streams = std::make_unique<PeerStreams>(
      *loop_, options_,
      PeerStreamHandlers{
          .on_connected = [](StreamId, const TransportAddress&) {},
          .on_accepted = [](const Path&) { return std::nullopt; },
          .on_packet = [](const Datagram&) {},
          .on_ended = [](StreamId, const absl::Status&) {},
          .on_turn =
              [&] {
                loop_->Stop();
                streams.reset();  // And with it what is captured here.
              }});
  streams->Open({StreamId{7}, IpAddress::V4(127, 0, 0, 1), listener_.local()});
  loop_.RunUntil([&] { return streams == nullptr; });
}

}  // namespace
}  // namespace kyuu::peer
