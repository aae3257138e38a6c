// Congestion control (RFC 9260 section 7.2) and pacing, each by itself.

#include "sctp/internal/congestion_control.h"

#include <cstddef>
#include <limits>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "sctp/internal/bbr_control.h"
#include "sctp/internal/cubic_control.h"
#include "sctp/internal/hystart.h"
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
  void OnLost(const LossSample&) {}
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
          .bytes_proven = acked,
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
  cc.OnLost({.now = kNow});
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
  cc.OnLost({.now = kNow});
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

// RFC 9438 and RFC 9406.
AckSample Arrived(absl::Time now, size_t acked, size_t cwnd,
                  absl::Duration rtt = absl::Milliseconds(100)) {
  AckSample sample = FullAck(acked, cwnd);
  sample.now = now;
  sample.rtt = rtt;
  sample.round_trip = {.min = absl::Milliseconds(100),
                       .smoothed = absl::Milliseconds(100)};
  return sample;
}

// Round trips of 100 ms, a SACK for each tenth of the window.
void Feed(CubicControl& cc, absl::Time& now, int rounds,
          absl::Duration rtt = absl::Milliseconds(100)) {
  for (int round = 0; round < rounds; ++round) {
    const size_t cwnd = cc.cwnd();
    for (int i = 0; i < 10; ++i) {
      now += absl::Milliseconds(10);
      AckSample sample = Arrived(now, cwnd / 10, cc.cwnd(), rtt);
      if (i == 0) sample.round = AckSample::Round::kBegins;
      cc.OnAcked(sample);
    }
  }
}

TEST(CubicControl, ComesBackByTheTimeSinceTheLoss) {
  CubicControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 6);
  EXPECT_EQ(cc.cwnd(), 640'000u);
  cc.OnLost({.now = now, .bytes = 1000, .flight_before = 640'000});
  EXPECT_EQ(cc.ssthresh(), 448'000u);  // Section 4.6.
  // One recovery, one reduction.
  cc.OnLost({.now = now,
             .bytes = 1000,
             .flight_before = 600'000,
             .recovery = LossSample::Recovery::kGoesOn});
  EXPECT_EQ(cc.ssthresh(), 448'000u);
  // Section 4.2: K is the cube root of (640 - 448) / 0.4, 7.8 s.
  Feed(cc, now, 39);
  EXPECT_NEAR(static_cast<double>(cc.cwnd()), 618'000, 8000);
  Feed(cc, now, 39);
  EXPECT_NEAR(static_cast<double>(cc.cwnd()), 640'000, 4000);
  Feed(cc, now, 39);
  EXPECT_GT(cc.cwnd(), 660'000u) << "and looks for more";
}

// RFC 9937: what arrives is replaced by less, until the target is reached.
TEST(CubicControl, ReducesByWhatArrives) {
  CubicControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 6);
  size_t flight = 640'000;
  cc.OnLost({.now = now, .bytes = 100'000, .flight_before = flight});
  flight -= 100'000;
  EXPECT_EQ(cc.cwnd(), flight + 1000) << "the fast retransmission";
  for (size_t arrived = 0; arrived < 500'000; arrived += 1000) {
    flight -= 1000;
    AckSample sample = Arrived(now, 1000, flight + 1000);
    sample.flight_after = flight;
    sample.recovery = AckSample::Recovery::kFast;
    cc.OnAcked(sample);
    EXPECT_LE(cc.cwnd(), flight + 3000);
    for (; flight < cc.cwnd(); flight += 1000) {
      cc.OnSent({.now = now, .bytes = 1000, .rto = absl::Seconds(1)});
    }
  }
  EXPECT_NEAR(static_cast<double>(cc.cwnd()), 448'000, 2000);
  // However little is left, something may leave.
  AckSample last = Arrived(now, flight, flight);
  last.recovery = AckSample::Recovery::kFast;
  cc.OnAcked(last);
  EXPECT_GE(cc.cwnd(), 1000u);
}

TEST(CubicControl, TakesAReductionBack) {
  CubicControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 6);
  cc.OnLost({.now = now, .bytes = 1000, .flight_before = 640'000});
  cc.OnSpurious(now);
  EXPECT_EQ(cc.cwnd(), 640'000u);
  Feed(cc, now, 1);
  EXPECT_EQ(cc.cwnd(), 1'280'000u) << "slow start as before";
}

// D8.
TEST(CubicControl, GrowsByNothingThatProvesNothing) {
  CubicControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 5);
  cc.OnTimeout(now);
  EXPECT_EQ(cc.cwnd(), 1000u);
  AckSample old = Arrived(now, 300'000, 1000);
  old.recovery = AckSample::Recovery::kTimeout;
  old.bytes_proven = 1000;  // The one that was sent again.
  cc.OnAcked(old);
  EXPECT_EQ(cc.cwnd(), 2000u);
  // Nor where little of the window is used.
  CubicControl idle(Options{}, 1000);
  AckSample small = Arrived(now, 2000, 2000);
  for (int i = 0; i < 100; ++i) idle.OnAcked(small);
  EXPECT_EQ(idle.cwnd(), 10'000u);
}

TEST(CubicControl, AnOutageIsNoCongestion) {
  CubicControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 5);
  cc.OnTimeout(now);
  EXPECT_EQ(cc.ssthresh(), 224'000u);
  cc.OnTimeout(now);  // Nothing passes at all.
  EXPECT_EQ(cc.ssthresh(), 320'000u);
  EXPECT_EQ(cc.cwnd(), 1000u);
  cc.OnPathReady(now);
  EXPECT_EQ(cc.cwnd(), 10'000u);
  EXPECT_EQ(cc.ssthresh(), 320'000u);
}

TEST(CubicControl, PacesFasterThanTheWindow) {
  CubicControl cc(Options{}, 1000);
  EXPECT_EQ(cc.pacing_rate(), std::numeric_limits<double>::infinity());
  absl::Time now = kNow;
  Feed(cc, now, 1);
  EXPECT_DOUBLE_EQ(cc.pacing_rate(), 2 * 20'000 / 0.1);
  cc.OnLost({.now = now, .bytes = 1000, .flight_before = 20'000});
  Feed(cc, now, 1);
  EXPECT_DOUBLE_EQ(cc.pacing_rate(),
                   1.25 * static_cast<double>(cc.cwnd()) / 0.1);
}

TEST(CubicControl, SlowStartEndsWhereAQueueBuildsUp) {
  CubicControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 4);
  EXPECT_EQ(cc.cwnd(), 160'000u);
  // An eighth longer (RFC 9406 section 4.2).
  Feed(cc, now, 1, absl::Milliseconds(113));
  const size_t conservative = cc.cwnd();
  Feed(cc, now, 1, absl::Milliseconds(113));
  EXPECT_NEAR(static_cast<double>(cc.cwnd()),
              1.25 * static_cast<double>(conservative), 3000);
  Feed(cc, now, 5, absl::Milliseconds(113));
  EXPECT_LT(cc.ssthresh(), 1'000'000u);
  EXPECT_GE(cc.cwnd(), cc.ssthresh());
}

// Round trips of 50 ms over a path of 10 MB/s, of which a part is lost.
void Feed(BbrControl& cc, absl::Time& now, int rounds, double loss) {
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 10; ++i) {
      now += absl::Milliseconds(5);
      cc.OnSent({.now = now, .bytes = 50'000});
      if (loss > 0) {
        cc.OnLost({.now = now, .bytes = static_cast<size_t>(50'000 * loss)});
      }
      AckSample sample =
          Arrived(now, 50'000, std::min<size_t>(cc.cwnd(), 750'000),
                  absl::Milliseconds(50));
      sample.flight_after = 450'000;
      sample.rate = {.delivered = 500'000, .interval = absl::Milliseconds(50)};
      if (i == 0) sample.round = AckSample::Round::kBegins;
      cc.OnAcked(sample);
    }
  }
}

TEST(BbrControl, FindsWhatThePathCarriesAndStaysThere) {
  BbrControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 10, 0);
  EXPECT_NE(cc.state(), BbrControl::State::kStartup);
  for (int i = 0; i < 100; ++i) {
    Feed(cc, now, 1, 0.01);
    // Twice what fits between the ends, and the trains.
    EXPECT_LE(cc.cwnd(), 1'200'000u);
    EXPECT_GE(cc.cwnd(), 900'000u) << "a hundredth is no congestion";
    EXPECT_NEAR(cc.pacing_rate(), 10e6, 2.6e6);
  }
}

TEST(BbrControl, ManyLossesBoundWhatIsInFlight) {
  BbrControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 2, 0);
  Feed(cc, now, 10, 0.2);
  EXPECT_LE(cc.cwnd(), 600'000u);
}

TEST(BbrControl, AfterATimeoutItIsWhereItWas) {
  BbrControl cc(Options{}, 1000);
  absl::Time now = kNow;
  Feed(cc, now, 10, 0);
  const size_t before = cc.cwnd();
  cc.OnTimeout(now);
  cc.OnTimeout(now);
  EXPECT_EQ(cc.cwnd(), 1000u);
  Feed(cc, now, 1, 0);
  EXPECT_NEAR(static_cast<double>(cc.cwnd()), static_cast<double>(before),
              100'000);
  cc.OnPathReady(now);
  EXPECT_EQ(cc.cwnd(), 10'000u);
  EXPECT_EQ(cc.state(), BbrControl::State::kStartup);
}

TEST(HyStart, GoesOnIfItWasNoQueue) {
  HyStart hystart;
  const auto round = [&](int milliseconds) {
    for (int i = 0; i < 8; ++i) {
      hystart.OnRoundTrip(absl::Milliseconds(milliseconds));
    }
  };
  round(50);
  hystart.OnRoundBegins();
  round(57);
  EXPECT_EQ(hystart.verdict(), HyStart::Verdict::kConservative);
  hystart.OnRoundBegins();
  round(50);
  EXPECT_EQ(hystart.verdict(), HyStart::Verdict::kFast);
}

TEST(Pacer, SpreadsTrainsOverTime) {
  Pacer pacer(25'000);
  EXPECT_LE(pacer.release(), kNow);
  // 10 MB/s: ten packets of 1000 bytes each millisecond, after a burst of 25.
  int at_once = 0;
  for (; pacer.release() <= kNow; ++at_once) pacer.OnSent(kNow, 1000, 1e7);
  EXPECT_EQ(at_once, 35);
  EXPECT_EQ(pacer.release(), kNow + absl::Milliseconds(1));
  absl::Time now = pacer.release();
  at_once = 0;
  for (; pacer.release() <= now; ++at_once) pacer.OnSent(now, 1000, 1e7);
  EXPECT_EQ(at_once, 10);
  // A timer that is late costs nothing.
  now = pacer.release() + absl::Microseconds(500);
  at_once = 0;
  for (; pacer.release() <= now; ++at_once) pacer.OnSent(now, 1000, 1e7);
  EXPECT_EQ(at_once, 15);
  // What was not used for long is one burst.
  now += absl::Seconds(1);
  at_once = 0;
  for (; pacer.release() <= now; ++at_once) pacer.OnSent(now, 1000, 1e7);
  EXPECT_EQ(at_once, 35);
}

TEST(Pacer, AnInfiniteRateNeverHolds) {
  Pacer pacer(10'000);
  for (int i = 0; i < 100; ++i) {
    pacer.OnSent(kNow, 65535, std::numeric_limits<double>::infinity());
  }
  EXPECT_LE(pacer.release(), kNow);
}

template <typename Control>
class AnyControl : public ::testing::Test {};
using Controls = ::testing::Types<Rfc9260Control, CubicControl, BbrControl>;
TYPED_TEST_SUITE(AnyControl, Controls);

// What was on its way over the old path may turn out to have arrived.
TYPED_TEST(AnyControl, TheWindowOfAnotherPathIsNotRestored) {
  TypeParam cc(Options{}, 1000);
  for (int i = 0; i < 5; ++i) cc.OnAcked(FullAck(cc.cwnd(), cc.cwnd()));
  cc.OnTimeout(kNow);
  cc.OnPathReady(kNow);
  EXPECT_EQ(cc.cwnd(), 10'000u);
  cc.OnSpurious(kNow);
  EXPECT_EQ(cc.cwnd(), 10'000u);
}

}  // namespace
}  // namespace kyuu::sctp::internal
