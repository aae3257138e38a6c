// How large packets get (RFC 8899), on links that carry so much and no more.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/testing/puppet.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using internal::ChunkType;
using internal::Puppet;

constexpr size_t kBase = 1188;  // Options::mtu, rounded down.

sim::PairOptions Link(size_t mtu, double loss = 0) {
  const sim::LinkOptions way = {
      .delay = absl::Milliseconds(10), .loss = loss, .mtu = mtu};
  return {.seed = 5, .a_to_b = way, .b_to_a = way};
}

struct Transfer {
  explicit Transfer(const sim::PairOptions& link, size_t max_mtu = 9000)
      : p(link, {.max_mtu = max_mtu}, {}) {
    p.Connect();
  }
  // Sends `count` messages of 10 kB and waits until they are there.
  void Send(int count) {
    const size_t had = p.at_b.messages.size();
    for (int i = 0; i < count; ++i) {
      ASSERT_OK(p.SendText(p.a, 1, std::string(10'000, 'x')));
    }
    ASSERT_TRUE(p.pair.RunUntil(
        [&] {
          return p.at_b.messages.size() == had + static_cast<size_t>(count);
        },
        absl::Minutes(5)));
  }
  size_t packet_bytes() const { return p.a.stats().packet_bytes; }

  TestPair p;
};

TEST(PathMtu, FindsWhatTheLinkCarries) {
  for (const size_t mtu : {1280, 1400, 1500, 2000, 4000, 9000, 20'000}) {
    SCOPED_TRACE(mtu);
    Transfer transfer(Link(mtu));
    for (int i = 0; i < 60; ++i) {
      transfer.Send(2);
      transfer.p.pair.RunFor(absl::Milliseconds(500));
    }
    const size_t most = std::min<size_t>(mtu, 9000);
    EXPECT_LE(transfer.packet_bytes(), most);
    EXPECT_GT(transfer.packet_bytes() + 64, most);
    const Stats stats = transfer.p.a.stats();
    EXPECT_EQ(stats.black_holes, 0u);
    EXPECT_EQ(stats.fast_recoveries, 0u) << "a lost probe is no congestion";
    EXPECT_EQ(stats.t3_timeouts, 0u);
  }
}

// A window that grew by base packets carried as much over a link of 9000 bytes
// as over one of 1200, where losses and not the link are the limit.
TEST(PathMtu, WindowsGrowByWhatThePathCarries) {
  const auto milliseconds = [](size_t max_mtu) {
    Transfer transfer(Link(9000, 0.01), max_mtu);
    transfer.Send(200);
    const absl::Time begin = transfer.p.pair.now();
    transfer.Send(1000);
    return absl::ToDoubleMilliseconds(transfer.p.pair.now() - begin);
  };
  EXPECT_LT(milliseconds(9000), milliseconds(kBase) / 4);
}

TEST(PathMtu, OneProbeIsEnoughWhereThePathIsWide) {
  Transfer transfer(Link(9000));
  transfer.Send(2);
  transfer.p.pair.RunFor(absl::Milliseconds(50));
  EXPECT_EQ(transfer.packet_bytes(), 9000u);
  EXPECT_EQ(transfer.p.a.stats().mtu_probes_sent, 1u);
  const uint64_t before = transfer.p.a.stats().packets_sent;
  transfer.Send(100);
  EXPECT_LT(transfer.p.a.stats().packets_sent - before, 200u);
}

TEST(PathMtu, NothingIsAskedWithoutNeed) {
  // Nobody wants more than a packet; nobody allows more.
  Transfer little(Link(9000));
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(little.p.SendText(little.p.a, 1, std::string(1000, 'x')));
    little.p.pair.RunFor(absl::Milliseconds(100));
  }
  Transfer narrow(Link(9000), 0);
  narrow.Send(50);
  for (const Transfer* transfer : {&little, &narrow}) {
    EXPECT_EQ(transfer->p.a.stats().mtu_probes_sent, 0u);
    EXPECT_EQ(transfer->packet_bytes(), kBase);
  }
}

// RFC 8899 section 4.3: a black hole. Nobody says that the packets are too
// large; all of them arrive all the same.
TEST(PathMtu, SurvivesALinkThatGetsNarrower) {
  for (const size_t mtu : {1200, 1500, 4000}) {
    SCOPED_TRACE(mtu);
    Transfer transfer(Link(9000));
    transfer.Send(50);
    ASSERT_EQ(transfer.packet_bytes(), 9000u);
    transfer.p.pair.a_to_b.options().mtu = mtu;
    transfer.Send(100);
    for (int i = 0; i < 60; ++i) {
      transfer.Send(2);
      transfer.p.pair.RunFor(absl::Milliseconds(500));
    }
    EXPECT_EQ(transfer.p.a.stats().black_holes, 1u);
    EXPECT_LE(transfer.packet_bytes(), mtu);
    EXPECT_GE(transfer.packet_bytes() + 64, std::max(mtu, kBase));
    // And wider again: the next search finds it.
    transfer.p.pair.a_to_b.options().mtu = 9000;
    transfer.p.pair.RunFor(absl::Minutes(11));
    transfer.Send(50);
    transfer.Send(50);
    EXPECT_EQ(transfer.packet_bytes(), 9000u);
  }
}

// Small messages are acknowledged all the time, so nothing times out.
TEST(PathMtu, SurvivesABlackHoleThatLetsSmallPacketsThrough) {
  Transfer transfer(Link(9000));
  transfer.Send(50);
  transfer.p.pair.a_to_b.options().mtu = 1300;
  const size_t had = transfer.p.at_b.messages.size();
  for (int i = 0; i < 200; ++i) {
    ASSERT_OK(transfer.p.SendText(transfer.p.a, 1, std::string(10'000, 'x')));
    ASSERT_OK(transfer.p.SendText(transfer.p.a, 2, "small"));
    transfer.p.pair.RunFor(absl::Milliseconds(20));
  }
  transfer.p.pair.RunFor(absl::Seconds(5));
  EXPECT_EQ(transfer.p.at_b.messages.size(), had + 400);
  EXPECT_LE(transfer.packet_bytes(), 1300u);
}

TEST(PathMtu, LossAloneDoesNotShrinkIt) {
  Transfer transfer(Link(9000, 0.02));
  for (int i = 0; i < 20; ++i) transfer.Send(50);
  EXPECT_EQ(transfer.packet_bytes(), 9000u);
  EXPECT_EQ(transfer.p.a.stats().black_holes, 0u);
  EXPECT_GT(transfer.p.a.stats().fast_recoveries, 0u);
}

TEST(PathMtu, AnotherPathBeginsAnew) {
  Transfer transfer(Link(9000));
  transfer.Send(50);
  ASSERT_EQ(transfer.packet_bytes(), 9000u);
  // A relay, say: nothing is known of the way behind it.
  transfer.p.a.PathReady(transfer.p.pair.now(), 0);
  EXPECT_EQ(transfer.packet_bytes(), kBase);
  transfer.Send(50);
  EXPECT_EQ(transfer.packet_bytes(), kBase);
  transfer.p.a.PathReady(transfer.p.pair.now(), 1400);
  transfer.Send(50);
  transfer.p.pair.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(transfer.packet_bytes(), 1400u);
}

// RFC 8899 section 6.2.1.2, RFC 4820.
TEST(PathMtu, AProbeIsAHeartbeatWithPaddingAndIsTold) {
  Puppet p(Options{.max_mtu = 1500});
  ASSERT_TRUE(p.Connect());
  ASSERT_OK(p.peer.Send(
      p.now, {StreamId{1}, Ppid{51}, std::vector<uint8_t>(5000, 1)}));
  std::vector<uint8_t> buffer(9000);
  int probes = 0;
  while (const auto packet =
             p.peer.PollTransmit(p.now, absl::MakeSpan(buffer))) {
    if (!p.peer.sent_probe()) continue;
    ++probes;
    EXPECT_EQ(packet->size(), 1500u);
    Reader reader(internal::ParsePacket(*packet).chunks);
    const auto heartbeat = internal::NextChunk(reader);
    const auto pad = internal::NextChunk(reader);
    ASSERT_TRUE(heartbeat && pad);
    EXPECT_EQ(heartbeat->type, ChunkType::kHeartbeat);
    EXPECT_EQ(pad->type, ChunkType::kPad);
    EXPECT_TRUE(reader.empty());
  }
  EXPECT_EQ(probes, 1);
  EXPECT_FALSE(p.peer.sent_probe());
}

// A buffer that takes no more than Options::mtu gets no larger packet.
TEST(PathMtu, TheDriversBufferIsABound) {
  Puppet p(Options{.max_mtu = 9000});
  ASSERT_TRUE(p.Connect());
  ASSERT_OK(p.peer.Send(
      p.now, {StreamId{1}, Ppid{51}, std::vector<uint8_t>(5000, 1)}));
  std::vector<uint8_t> buffer(1191);
  while (p.peer.PollTransmit(p.now, absl::MakeSpan(buffer))) {
    EXPECT_FALSE(p.peer.sent_probe());
  }
  EXPECT_EQ(p.peer.stats().mtu_probes_sent, 0u);
}

}  // namespace
}  // namespace kyuu::sctp
