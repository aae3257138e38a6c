// Congestion control (RFC 9260 section 7.2) and pacing, each by itself.

#include "sctp/internal/congestion_control.h"

#include <cstddef>
#include <limits>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "sctp/internal/pacer.h"
#include "sctp/internal/rfc9260_control.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// The concept asks for nothing that a quite different control would lack.
struct ConstantRate {
  ConstantRate(const Options& options, size_t mtu)
      : window(options.initial_cwnd_packets * mtu) {}
  void OnSent(const SentSample&) {}
  void OnAcked(const AckSample& acked) { rate = acked.rate.rate(); }
  void OnLost(absl::Time) {}
  void OnTimeout(absl::Time) {}
  void OnSpurious(absl::Time) {}
  void OnPathReady(absl::Time) {}
  size_t cwnd() const { return window; }
  size_t ssthresh() const { return window; }
  double pacing_rate() const { return rate; }

  size_t window;
  double rate = 0;
};
static_assert(CongestionControl<ConstantRate>);

AckSample FullAck(size_t acked, size_t cwnd) {
  return {.bytes_acked = acked,
          .flight_before = cwnd,
          .flight_after = cwnd - acked,
          .cumulative = AckSample::Cumulative::kAdvanced};
}

// RFC 9260 section 7.2.
TEST(Rfc9260Control, SlowStartThenAvoidance) {
  Rfc9260Control cc(Options{}, 1000);
  EXPECT_EQ(cc.cwnd(), 10'000u);
  cc.OnAcked(FullAck(10'000, 10'000));
  EXPECT_EQ(cc.cwnd(), 20'000u);
  cc.OnLost(kNow);
  EXPECT_EQ(cc.cwnd(), 10'000u);
  EXPECT_EQ(cc.ssthresh(), 10'000u);
  cc.OnAcked(FullAck(1, 10'000));  // At the threshold: still slow start.
  for (int i = 0; i < 10; ++i) cc.OnAcked(FullAck(1000, cc.cwnd()));
  EXPECT_EQ(cc.cwnd(), 10'001u);
  cc.OnAcked(FullAck(1000, cc.cwnd()));
  EXPECT_EQ(cc.cwnd(), 11'001u);  // One packet per window.
  cc.OnTimeout(kNow);
  EXPECT_EQ(cc.cwnd(), 1000u);
  EXPECT_EQ(cc.ssthresh(), 5500u);
  // RFC 5681 section 3.1: the same silence reduces it only once.
  for (int i = 0; i < 5; ++i) cc.OnTimeout(kNow);
  EXPECT_EQ(cc.ssthresh(), 5500u);
  cc.OnPathReady(kNow);
  EXPECT_EQ(cc.cwnd(), 10'000u);
}

// One SACK for all that had arrived before a timeout opened the whole window.
TEST(Rfc9260Control, AfterATimeoutGrowsByOnePacketAnAcknowledgement) {
  Rfc9260Control cc(Options{}, 1000);
  for (int i = 0; i < 5; ++i) cc.OnAcked(FullAck(cc.cwnd(), cc.cwnd()));
  EXPECT_EQ(cc.cwnd(), 320'000u);
  cc.OnTimeout(kNow);
  AckSample report = FullAck(200'000, 200'000);
  report.recovery = AckSample::Recovery::kTimeout;
  cc.OnAcked(report);
  EXPECT_EQ(cc.cwnd(), 2000u);
  // Nor does a large SACK carry it far beyond the threshold.
  cc.OnAcked(FullAck(300'000, 300'000));
  EXPECT_EQ(cc.cwnd(), 161'000u);
}

TEST(Rfc9260Control, AnUnusedWindowSavesNothingUp) {
  Rfc9260Control cc(Options{}, 1000);
  cc.OnLost(kNow);
  cc.OnAcked(FullAck(1, cc.cwnd()));  // Above the threshold.
  const size_t before = cc.cwnd();
  AckSample report = FullAck(1000, 2000);
  for (int i = 0; i < 100; ++i) cc.OnAcked(report);
  EXPECT_EQ(cc.cwnd(), before);
  for (int i = 0; i < 3; ++i) cc.OnAcked(FullAck(1000, cc.cwnd()));
  EXPECT_EQ(cc.cwnd(), before + 1000);
}

TEST(Rfc9260Control, GrowsOnlyWhenItIsUsedAndNotInRecovery) {
  Rfc9260Control cc(Options{}, 1000);
  AckSample report = FullAck(2000, 10'000);
  report.flight_before = 5000;
  cc.OnAcked(report);
  report = FullAck(2000, 10'000);
  report.recovery = AckSample::Recovery::kFast;
  cc.OnAcked(report);
  report = FullAck(2000, 10'000);
  report.cumulative = AckSample::Cumulative::kSame;
  cc.OnAcked(report);
  EXPECT_EQ(cc.cwnd(), 10'000u);
}

TEST(Rfc9260Control, AnIdlePathIsForgotten) {
  Rfc9260Control cc(Options{}, 1000);
  for (int i = 0; i < 3; ++i) cc.OnAcked(FullAck(cc.cwnd(), cc.cwnd()));
  EXPECT_EQ(cc.cwnd(), 80'000u);
  const auto send = [&](absl::Duration at, SentSample::Before before) {
    cc.OnSent({.now = kNow + at,
               .bytes = 1000,
               .before = before,
               .rto = absl::Milliseconds(220)});
  };
  send(absl::ZeroDuration(), SentSample::Before::kBusy);
  send(absl::Milliseconds(250), SentSample::Before::kBusy);
  EXPECT_EQ(cc.cwnd(), 80'000u);
  send(absl::Milliseconds(500), SentSample::Before::kIdle);
  EXPECT_EQ(cc.cwnd(), 40'000u);
  send(absl::Hours(1), SentSample::Before::kIdle);
  EXPECT_EQ(cc.cwnd(), 10'000u);
}

TEST(Rfc9260Control, DoesNotPace) {
  EXPECT_EQ(Rfc9260Control(Options{}, 1000).pacing_rate(),
            std::numeric_limits<double>::infinity());
}

TEST(RateSample, IsWhatArrivedInTheTime) {
  EXPECT_EQ(RateSample{}.rate(), 0);
  EXPECT_EQ((RateSample{5000, absl::Milliseconds(50)}).rate(), 100'000);
}

TEST(Pacer, SpreadsPacketsOverTime) {
  Pacer pacer;
  EXPECT_LE(pacer.release(), kNow);
  // 1 MB/s: a packet of 1000 bytes each millisecond, after a burst of two.
  pacer.OnSent(kNow, 1000, 1e6);
  EXPECT_LE(pacer.release(), kNow);
  pacer.OnSent(kNow, 1000, 1e6);
  EXPECT_EQ(pacer.release(), kNow + absl::Milliseconds(1));
  pacer.OnSent(kNow + absl::Milliseconds(1), 1000, 1e6);
  EXPECT_EQ(pacer.release(), kNow + absl::Milliseconds(2));
  // What was not used for long is gone.
  const absl::Time later = kNow + absl::Seconds(1);
  pacer.OnSent(later, 1000, 1e6);
  EXPECT_EQ(pacer.release(), later);
}

TEST(Pacer, AnInfiniteRateNeverHolds) {
  Pacer pacer;
  for (int i = 0; i < 100; ++i) {
    pacer.OnSent(kNow, 65535, std::numeric_limits<double>::infinity());
  }
  EXPECT_LE(pacer.release(), kNow);
}

}  // namespace
}  // namespace kyuu::sctp::internal
