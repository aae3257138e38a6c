// What an association makes of a path: round trip x loss x reordering x
// duplication, each beside its theoretical bound, on simulated time.
//
//   sctp_matrix [bulk|ramp|sparse|blackout|spike|fair|all] [cubic|rfc9260|bbr]
//
// The same seed gives the same figures on every machine.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/random.h"
#include "sctp/association.h"
#include "sim/pair.h"

namespace kyuu {
namespace {

using sctp::Association;

constexpr size_t kMessage = 64 << 10;
constexpr double kPayload = 1143;  // Of a full packet.

double Megabits(size_t bytes, absl::Duration time) {
  return static_cast<double>(bytes) * 8 / 1e6 / absl::ToDoubleSeconds(time);
}

struct Path {
  absl::Duration round_trip = absl::Milliseconds(50);
  double loss = 0;
  double reorder = 0;
  absl::Duration reorder_delay = absl::Milliseconds(10);
  double duplicate = 0;
  double megabits = 0;  // Of the way there; 0 for no limit.
  size_t queue_bytes = 256 << 10;
};

sim::PairOptions Links(const Path& path) {
  sim::PairOptions options;
  options.seed = 5;
  options.transcript = sim::Transcript::Detail::kHash;
  sim::LinkOptions& there = options.a_to_b;
  there.delay = path.round_trip / 2;
  there.loss = path.loss;
  there.reorder = path.reorder;
  there.reorder_delay = path.reorder_delay;
  there.duplicate = path.duplicate;
  options.b_to_a = there;
  there.rate_bits_per_s = static_cast<int64_t>(path.megabits * 1e6);
  there.queue_bytes = path.queue_bytes;
  return options;
}

// `N` associations whose packets share the links: each is led by its number.
template <int N>
class Shared {
 public:
  using Packet = Association::Packet;
  using Event = std::pair<int, Association::Event>;

  Shared(const sctp::Options& options, Random& random) {
    for (int i = 0; i < N; ++i) ends_.emplace_back(options, random);
  }
  Association& operator[](int i) { return ends_[static_cast<size_t>(i)]; }

  void HandlePacket(absl::Time now, Packet packet) {
    ends_[packet[0]].HandlePacket(now, packet.subspan(1));
  }
  void HandleTimeout(absl::Time now) {
    for (Association& end : ends_) end.HandleTimeout(now);
  }
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out) {
    for (int i = 0; i < N; ++i) {
      turn_ = (turn_ + 1) % N;
      auto packet = (*this)[turn_].PollTransmit(now, out.subspan(1));
      if (!packet) continue;
      out[0] = static_cast<uint8_t>(turn_);
      return out.first(packet->size() + 1);
    }
    return std::nullopt;
  }
  std::optional<Event> PollEvent() {
    for (int i = 0; i < N; ++i) {
      if (auto event = (*this)[i].PollEvent()) {
        return Event{i, *std::move(event)};
      }
    }
    return std::nullopt;
  }
  absl::Time NextTimeout() const {
    absl::Time next = absl::InfiniteFuture();
    for (const Association& end : ends_) {
      next = std::min(next, end.NextTimeout());
    }
    return next;
  }

 private:
  std::vector<Association> ends_;
  int turn_ = 0;
};

// `N` flows from `a` to `b`.
template <int N>
struct Flows {
  Flows(const Path& path, const sctp::Options& options)
      : random(77),
        a(options, random),
        b(options, random),
        pair(a, b, Links(path)) {
    pair.on_a = [](typename Shared<N>::Event) {};
    pair.on_b = [this](typename Shared<N>::Event event) {
      if (auto* m = std::get_if<sctp::Message>(&event.second)) {
        received[event.first] += m->payload.size();
        if (on_message) on_message(*m);
      }
    };
    for (int i = 0; i < N; ++i) {
      KYUU_CHECK(a[i].Connect(pair.now()).ok());
      KYUU_CHECK(pair.RunUntil(
          [&] { return a[i].is_connected() && b[i].is_connected(); },
          absl::Minutes(1)));
    }
  }
  void Fill(int flow, size_t size) {
    for (;;) {
      sctp::Message message{sctp::StreamId{1}, sctp::Ppid{53}, {}};
      message.payload.resize(size);
      if (!a[flow].Send(pair.now(), std::move(message)).ok()) return;
    }
  }
  void Run(absl::Duration time, size_t message = kMessage) {
    const absl::Time end = pair.now() + time;
    while (pair.now() < end) {
      for (int i = 0; i < N; ++i) {
        if (started[i]) Fill(i, message);
      }
      pair.RunFor(std::min(absl::Milliseconds(5), end - pair.now()));
    }
  }
  // Megabits per second of a flow in that time.
  double Measure(absl::Duration time, size_t message = kMessage, int flow = 0) {
    const size_t before = received[flow];
    Run(time, message);
    return Megabits(received[flow] - before, time);
  }

  SeededRandom random;
  Shared<N> a;
  Shared<N> b;
  sim::Pair<Shared<N>> pair;
  size_t received[N] = {};
  bool started[N] = {true};
  std::function<void(const sctp::Message&)> on_message;
};

// Megabits per second: what loss leaves to Reno (Mathis et al.), and what the
// path carries.
double Bound(const Path& path, const sctp::Options& options) {
  const double round_trip = absl::ToDoubleSeconds(path.round_trip);
  double bound = path.megabits > 0
                     ? path.megabits * kPayload / 1191
                     : static_cast<double>(options.receive_window_bytes) * 8 /
                           1e6 / round_trip;
  if (path.loss > 0) {
    bound = std::min(
        bound, 1.22 * kPayload * 8 / 1e6 / (round_trip * std::sqrt(path.loss)));
  }
  return bound;
}

void Bulk(const sctp::Options& options, const Path& path, absl::Duration time,
          size_t message = kMessage) {
  Flows<1> flows(path, options);
  const double first = flows.Measure(time / 2, message);
  const double second = flows.Measure(time / 2, message);
  const sctp::Stats stats = flows.a[0].stats();
  std::printf(
      "%4.0f ms %5.2f %% %4.0f %% %4.0f %% %5.0f Mb %6zu B | %8.2f %8.2f  of "
      "%8.2f | sent %7llu again %5llu T3 %3llu cut %3llu undone %3llu twice "
      "%5llu queue "
      "full %5llu srtt %3.0f ms\n",
      absl::ToDoubleMilliseconds(path.round_trip), path.loss * 100,
      path.reorder * 100, path.duplicate * 100, path.megabits, message, first,
      second, Bound(path, options),
      static_cast<unsigned long long>(stats.data_chunks_sent),
      static_cast<unsigned long long>(stats.chunks_retransmitted),
      static_cast<unsigned long long>(stats.t3_timeouts),
      static_cast<unsigned long long>(stats.fast_recoveries),
      static_cast<unsigned long long>(stats.spurious_reductions),
      static_cast<unsigned long long>(flows.b[0].stats().drop_duplicate_data),
      static_cast<unsigned long long>(flows.pair.a_to_b.stats().queue_full),
      absl::ToDoubleMilliseconds(stats.srtt));
  std::fflush(stdout);
}

void BulkRows(const sctp::Options& options) {
  std::printf(
      "round trip, loss, late, doubled, bottleneck, messages | Mbit/s of the "
      "first and second half, bound\n");
  const std::vector<absl::Duration> round_trips = {
      absl::Milliseconds(50), absl::Milliseconds(100), absl::Milliseconds(200)};
  for (absl::Duration rtt : round_trips) {
    for (double loss : {0., 0.001, 0.01, 0.05}) {
      Bulk(options, {.round_trip = rtt, .loss = loss},
           absl::Seconds(loss == 0 ? 6 : 40));
    }
  }
  for (absl::Duration rtt : round_trips) {
    Bulk(options, {.round_trip = rtt, .reorder = 0.05}, absl::Seconds(6));
    Bulk(options, {.round_trip = rtt, .reorder = 0.05, .megabits = 100},
         absl::Seconds(10));
    Bulk(options, {.round_trip = rtt, .duplicate = 0.05}, absl::Seconds(6));
    Bulk(options, {.round_trip = rtt, .megabits = 100}, absl::Seconds(30));
    Bulk(options, {.round_trip = rtt, .loss = 0.01, .megabits = 100},
         absl::Seconds(30));
    Bulk(options,
         {.round_trip = rtt, .loss = 0.01, .reorder = 0.05, .megabits = 100},
         absl::Seconds(30));
  }
  Bulk(options, {.round_trip = absl::Milliseconds(20), .megabits = 1000},
       absl::Seconds(6));
  Bulk(options, {.loss = 0.01}, absl::Seconds(30), 64);
}

// From the first byte on.
void RampRows(const sctp::Options& options) {
  std::printf("ramp: until 32 MiB have arrived; Mbit/s in the fourth second\n");
  for (double megabits : {0., 1000.}) {
    for (int rtt : {20, 50, 100}) {
      Flows<1> flows(
          {.round_trip = absl::Milliseconds(rtt), .megabits = megabits},
          options);
      const absl::Time start = flows.pair.now();
      std::optional<absl::Duration> whole;
      flows.on_message = [&](const sctp::Message&) {
        if (!whole && flows.received[0] >= size_t{32} << 20) {
          whole = flows.pair.now() - start;
        }
      };
      flows.Run(absl::Seconds(3));
      const double rate = flows.Measure(absl::Seconds(1));
      std::printf("%4d ms %5.0f Mb | %5.0f ms  %7.1f Mbit/s, window %zu kB\n",
                  rtt, megabits,
                  whole ? absl::ToDoubleMilliseconds(*whole) : -1., rate,
                  flows.a[0].stats().peer_rwnd_bytes >> 10);
      std::fflush(stdout);
    }
  }
}

void Sparse(const sctp::Options& options, const Path& path, size_t size,
            absl::Duration pause, int count) {
  Flows<1> flows(path, options);
  std::vector<absl::Time> sent;
  std::vector<double> delays;  // In round trips.
  flows.on_message = [&](const sctp::Message& message) {
    uint32_t number = 0;
    std::memcpy(&number, message.payload.data(), sizeof(number));
    delays.push_back(
        absl::FDivDuration(flows.pair.now() - sent[number], path.round_trip));
  };
  for (int i = 0; i < count; ++i) {
    sctp::Message message{sctp::StreamId{1}, sctp::Ppid{53}, {}};
    message.payload.resize(size);
    const uint32_t number = static_cast<uint32_t>(sent.size());
    std::memcpy(message.payload.data(), &number, sizeof(number));
    sent.push_back(flows.pair.now());
    KYUU_CHECK(flows.a[0].Send(flows.pair.now(), std::move(message)).ok());
    flows.pair.RunFor(pause);
  }
  flows.pair.RunFor(absl::Seconds(20));
  KYUU_CHECK(delays.size() == sent.size());
  std::sort(delays.begin(), delays.end());
  const auto part = [&](double p) {
    return delays[static_cast<size_t>(p * (static_cast<double>(count) - 1))];
  };
  const sctp::Stats stats = flows.a[0].stats();
  std::printf(
      "%4.0f ms %4.0f %% %5zu B each %4.0f ms | p50 %5.2f p99 %5.2f p99.9 "
      "%5.2f round trips | again %llu T3 %llu\n",
      absl::ToDoubleMilliseconds(path.round_trip), path.loss * 100, size,
      absl::ToDoubleMilliseconds(pause), part(.5), part(.99), part(.999),
      static_cast<unsigned long long>(stats.chunks_retransmitted),
      static_cast<unsigned long long>(stats.t3_timeouts));
  std::fflush(stdout);
}

void SparseRows(const sctp::Options& options) {
  std::printf("sparse: delay of single messages; bound 0.5, 1.5 if lost\n");
  for (int rtt : {20, 100}) {
    const Path path{.round_trip = absl::Milliseconds(rtt), .loss = 0.02};
    Sparse(options, path, 200, absl::Milliseconds(20), 10'000);
    Sparse(options, path, 200, absl::Milliseconds(500), 3000);
  }
  Sparse(options, {.loss = 0.02}, 3000, absl::Milliseconds(100), 6000);
}

// The path is gone for `gone`; `told`: both ends hear of it, as from ICE.
void Blackout(const sctp::Options& options, absl::Duration rtt,
              absl::Duration gone, bool told) {
  Flows<1> flows({.round_trip = rtt, .megabits = 100}, options);
  flows.Run(absl::Seconds(5));
  const double before = flows.Measure(absl::Seconds(1));
  const auto both = [&](auto&& what) { what(flows.a[0]), what(flows.b[0]); };
  auto& pair = flows.pair;
  pair.a_to_b.options().loss = pair.b_to_a.options().loss = 1;
  flows.Run(std::min(gone, absl::Seconds(2)));
  if (told) both([&](Association& end) { end.PathLost(pair.now()); });
  flows.Run(gone - std::min(gone, absl::Seconds(2)));
  pair.a_to_b.options().loss = pair.b_to_a.options().loss = 0;
  if (told) both([&](Association& end) { end.PathReady(pair.now()); });
  const absl::Time up = pair.now();
  const size_t had = flows.received[0];
  const uint64_t chunks = flows.b[0].stats().data_chunks_received;
  pair.RunUntil(
      [&] { return flows.b[0].stats().data_chunks_received > chunks; },
      absl::Seconds(30));
  std::printf("%4.0f ms %3.0f s %s | before %5.1f Mbit/s, first byte %4.0f ms",
              absl::ToDoubleMilliseconds(rtt), absl::ToDoubleSeconds(gone),
              told ? "told" : "    ", before,
              absl::ToDoubleMilliseconds(pair.now() - up));
  // Ten round trips later.
  flows.Run(std::max(up + 10 * rtt - pair.now(), absl::ZeroDuration()));
  std::printf(", after 10 round trips, Mbit/s: %5.1f, then",
              flows.Measure(2 * rtt));
  for (int i = 0; i < 4; ++i)
    std::printf(" %5.1f", flows.Measure(absl::Seconds(2)));
  std::printf(" (%zu MB)\n", (flows.received[0] - had) >> 20);
  std::fflush(stdout);
}

void BlackoutRows(const sctp::Options& options) {
  std::printf("blackout: over 100 Mbit/s\n");
  for (int rtt : {50, 100}) {
    for (int gone : {3, 10}) {
      for (bool told : {true, false}) {
        Blackout(options, absl::Milliseconds(rtt), absl::Seconds(gone), told);
      }
    }
  }
}

// SACKs come later for a second, and nothing is lost.
void SpikeRows(const sctp::Options& options) {
  std::printf("spike: the way back is longer for a second\n");
  for (int spike : {200, 500}) {
    Flows<1> flows({.megabits = 100}, options);
    flows.Run(absl::Seconds(5));
    const sctp::Stats before = flows.a[0].stats();
    flows.pair.b_to_a.options().delay += absl::Milliseconds(spike);
    flows.Run(absl::Seconds(1));
    flows.pair.b_to_a.options().delay -= absl::Milliseconds(spike);
    const double rate = flows.Measure(absl::Seconds(5));
    const sctp::Stats after = flows.a[0].stats();
    std::printf(
        "  50 ms + %3d ms | next 5 s %5.1f of 96 Mbit/s; T3 %llu again %llu "
        "undone %llu\n",
        spike, rate,
        static_cast<unsigned long long>(after.t3_timeouts - before.t3_timeouts),
        static_cast<unsigned long long>(after.chunks_retransmitted -
                                        before.chunks_retransmitted),
        static_cast<unsigned long long>(after.spurious_reductions -
                                        before.spurious_reductions));
    std::fflush(stdout);
  }
}

// Two flows over one bottleneck, the second from 5 s on: how they share it,
// soon and in the long run.
void FairRows(const sctp::Options& options) {
  std::printf("fair: two flows over 100 Mbit/s, the second 5 s later\n");
  for (int rtt : {20, 50}) {
    Flows<2> flows({.round_trip = absl::Milliseconds(rtt), .megabits = 100},
                   options);
    flows.Run(absl::Seconds(5));
    flows.started[1] = true;
    for (int after : {10, 70}) {
      flows.Run(absl::Seconds(after == 10 ? 10 : 30));
      const size_t before[] = {flows.received[0], flows.received[1]};
      flows.Run(absl::Seconds(30));
      const double x = static_cast<double>(flows.received[0] - before[0]);
      const double y = static_cast<double>(flows.received[1] - before[1]);
      std::printf(
          "%4d ms, %3d s later | %5.1f and %5.1f Mbit/s, Jain %.3f, srtt %3.0f "
          "ms\n",
          rtt, after, x * 8 / 30e6, y * 8 / 30e6,
          (x + y) * (x + y) / (2 * (x * x + y * y)),
          absl::ToDoubleMilliseconds(flows.a[0].stats().srtt));
      std::fflush(stdout);
    }
  }
}

int Main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "all";
  sctp::Options options;
  if (argc > 2 && std::string(argv[2]) == "rfc9260") {
    options.congestion_control = sctp::Options::CongestionControl::kRfc9260;
  }
  if (argc > 2 && std::string(argv[2]) == "bbr") {
    options.congestion_control = sctp::Options::CongestionControl::kBbr;
  }
  const auto on = [&](const char* name) {
    return what == name || what == "all";
  };
  if (on("bulk")) BulkRows(options);
  if (on("ramp")) RampRows(options);
  if (on("sparse")) SparseRows(options);
  if (on("blackout")) BlackoutRows(options);
  if (on("spike")) SpikeRows(options);
  if (on("fair")) FairRows(options);
  return 0;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) { return kyuu::Main(argc, argv); }
