// What becomes of a path: delays, rates and recovery, as figures.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

sim::PairOptions Path(absl::Duration round_trip, double loss = 0) {
  sim::PairOptions path;
  path.seed = 9;
  path.a_to_b = {.delay = round_trip / 2, .loss = loss};
  path.b_to_a = path.a_to_b;
  return path;
}

// 200 bytes each `pause`: how many round trips the slowest hundredth took.
double SlowestHundredth(TestPair& p, absl::Duration round_trip,
                        absl::Duration pause) {
  std::vector<double> delays;
  for (int i = 0; i < 500; ++i) {
    const size_t had = p.at_b.messages.size();
    const absl::Time sent = p.pair.now();
    EXPECT_OK(p.SendText(p.a, 0, std::string(200, 'x')));
    EXPECT_TRUE(p.pair.RunUntil([&] { return p.at_b.messages.size() > had; },
                                absl::Seconds(10)));
    delays.push_back(absl::FDivDuration(p.pair.now() - sent, round_trip));
    p.pair.RunFor(std::max(sent + pause - p.pair.now(), absl::ZeroDuration()));
  }
  std::sort(delays.begin(), delays.end());
  return delays[delays.size() * 99 / 100];
}

// RFC 8985 section 7. Without a probe it is the retransmission timeout, 11
// round trips.
TEST(TailLoss, IsRepairedInThreeAndAHalfRoundTrips) {
  const absl::Duration round_trip = absl::Milliseconds(20);
  TestPair p(Path(round_trip, 0.02));
  p.Connect();
  EXPECT_LE(SlowestHundredth(p, round_trip, absl::Milliseconds(500)), 3.5);
  EXPECT_GE(p.a.stats().tail_loss_probes, 10u);
  EXPECT_LE(p.a.stats().t3_timeouts, 5u) << "where both were lost";
}

TEST(TailLoss, AProbeForNothingReducesNothing) {
  TestPair p(Path(absl::Milliseconds(20)));
  p.Connect();
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(p.SendText(p.a, 0, "x"));
    p.pair.RunFor(absl::Milliseconds(100));
  }
  const Stats before = p.a.stats();
  EXPECT_EQ(before.tail_loss_probes, 0u);
  // The SACK comes late, and then one for the second copy.
  p.pair.b_to_a.options().delay = absl::Milliseconds(80);
  ASSERT_OK(p.SendText(p.a, 0, "x"));
  p.pair.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(p.a.stats().tail_loss_probes, 1u);
  EXPECT_EQ(p.b.stats().drop_duplicate_data, 1u);
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(p.SendText(p.a, 0, "x"));
    p.pair.RunFor(absl::Milliseconds(200));
  }
  EXPECT_EQ(p.a.stats().ssthresh_bytes, before.ssthresh_bytes);
}

TEST(TailLoss, WhatAProbeRepairedWasALoss) {
  TestPair p(Path(absl::Milliseconds(20)));
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 0, "x"));
  p.pair.RunFor(absl::Milliseconds(100));
  const Stats before = p.a.stats();
  p.pair.a_to_b.options().loss = 1;
  ASSERT_OK(p.SendText(p.a, 0, "x"));
  p.pair.RunFor(absl::Milliseconds(1));
  p.pair.a_to_b.options().loss = 0;
  p.pair.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(p.a.stats().tail_loss_probes, 1u);
  EXPECT_EQ(p.at_b.messages.size(), 2u);
  ASSERT_OK(p.SendText(p.a, 0, "x"));
  p.pair.RunFor(absl::Milliseconds(100));
  EXPECT_LT(p.a.stats().ssthresh_bytes, before.ssthresh_bytes);
}

// A message that must not be repeated is none to probe with.
TEST(TailLoss, IsNotProbedWithWhatGoesOnlyOnce) {
  TestPair p(Path(absl::Milliseconds(20)));
  p.Connect();
  ASSERT_OK(p.SendText(p.a, 0, "x"));
  p.pair.RunFor(absl::Milliseconds(100));
  p.pair.a_to_b.options().loss = 1;
  ASSERT_OK(p.SendText(p.a, 0, "x", {.max_retransmits = 0}));
  p.pair.RunFor(absl::Milliseconds(150));
  EXPECT_EQ(p.a.stats().tail_loss_probes, 0u);
  EXPECT_EQ(p.a.stats().chunks_retransmitted, 0u);
}

// --- Windows that follow the path. ---

// Keeps `p.a` full for `time`; returns the bytes that arrived.
size_t Fill(TestPair& p, absl::Duration time) {
  size_t received = 0;
  const absl::Time end = p.pair.now() + time;
  while (p.pair.now() < end) {
    while (p.SendText(p.a, 0, std::string(60'000, 'x')).ok()) {
    }
    p.pair.RunFor(std::min(absl::Milliseconds(5), end - p.pair.now()));
    for (const Message& m : p.at_b.messages) received += m.payload.size();
    p.at_b.messages.clear();
  }
  return received;
}

// A window that stands at 5 MiB takes 0.73 s, and 400 Mbit/s at 100 ms.
TEST(ReceiveWindow, GrowsWithThePath) {
  TestPair p(Path(absl::Milliseconds(50)));
  p.Connect();
  EXPECT_GE(Fill(p, absl::Milliseconds(600)), size_t{32} << 20);
  // Of what is in flight now, in a second: a gigabit.
  EXPECT_GE(p.a.stats().cwnd_bytes * 20, 125'000'000u);
  EXPECT_GE(p.a.stats().peer_rwnd_bytes, size_t{16} << 20);
  EXPECT_EQ(p.a.stats().chunks_retransmitted, 0u);
}

// --- After an outage. ---

using Control = Options::CongestionControl;

// Keeps `p.a` full while there is no path for as long as `gone`. Both ends are
// told of its end after a second, and of the new one at once.
void FillThroughAnOutage(TestPair& p, absl::Duration gone) {
  p.pair.a_to_b.options().loss = p.pair.b_to_a.options().loss = 1;
  Fill(p, absl::Seconds(1));
  p.a.PathLost(p.pair.now());
  p.b.PathLost(p.pair.now());
  Fill(p, gone - absl::Seconds(1));
  p.pair.a_to_b.options().loss = p.pair.b_to_a.options().loss = 0;
  p.a.PathReady(p.pair.now());
  p.b.PathReady(p.pair.now());
}

// Whatever is in control, although what is sent again measures no round trip.
TEST(Outage, IsOverInARoundTripAndForgottenInTen) {
  const absl::Duration round_trip = absl::Milliseconds(50);
  for (Control control : {Control::kRfc9260, Control::kCubic, Control::kBbr}) {
    for (absl::Duration gone : {absl::Seconds(3), absl::Seconds(10)}) {
      SCOPED_TRACE(absl::StrCat("control ", static_cast<int>(control), ", ",
                                absl::FormatDuration(gone)));
      sim::PairOptions path = Path(round_trip);
      path.a_to_b.rate_bits_per_s = 20'000'000;
      Options options;
      options.congestion_control = control;
      TestPair p(path, options);
      p.Connect();
      Fill(p, absl::Seconds(3));
      const double before = static_cast<double>(Fill(p, absl::Seconds(1)));
      FillThroughAnOutage(p, gone);
      const uint64_t had = p.b.stats().data_chunks_received;
      Fill(p, round_trip + absl::Milliseconds(50));
      EXPECT_GT(p.b.stats().data_chunks_received, had);
      Fill(p, 8 * round_trip);
      EXPECT_GT(static_cast<double>(Fill(p, absl::Seconds(1))), 0.9 * before);
    }
  }
}

// --- Losses that are no congestion. ---

TEST(Bbr, IsNotSlowedDownBySingleLossesAndFillsNoQueue) {
  sim::PairOptions path = Path(absl::Milliseconds(50), 0.01);
  path.a_to_b.rate_bits_per_s = 20'000'000;
  Options options;
  options.congestion_control = Control::kBbr;
  TestPair p(path, options);
  p.Connect();
  Fill(p, absl::Seconds(2));
  const double rate = static_cast<double>(Fill(p, absl::Seconds(6))) * 8 / 6;
  EXPECT_GE(rate, 0.6 * 20e6);
  // A queue of one and a half times what fits between the ends at most.
  EXPECT_LE(p.a.stats().srtt, absl::Milliseconds(125));
}

}  // namespace
}  // namespace kyuu::sctp
