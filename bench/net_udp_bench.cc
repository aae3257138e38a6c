// What a datagram costs on loopback, sent and received: alone, in batches
// (sendmmsg, recvmmsg) and in trains (GSO, GRO). `Time` and `per_datagram` are
// CPU time of the half that is measured; `CPU` is that of both halves. On
// loopback a send includes the way through the kernel to the other socket.
//
//   bazel run --config=opt //bench:net_udp_bench

#include <time.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "net/udp_socket.h"

namespace kyuu::net {
namespace {

constexpr size_t kBurst = 32;

UdpSocket Open() {
  return UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}}).value();
}

enum class Way { kOneByOne, kBatch, kTrain, kGatheredTrain };

// A burst of 32 datagrams from one socket to another.
class Burst {
 public:
  Burst(Way way, size_t size) : way_(way), text_(size * kBurst, 'x') {
    const Path path{from_.local(), to_.local()};
    const absl::Span<const uint8_t> bytes = AsBytes(text_);
    pieces_.reserve(2 * kBurst);
    if (way == Way::kTrain) {
      pieces_.push_back(Piece(bytes));
      trains_.push_back({path, pieces_, size});
      return;
    }
    for (size_t i = 0; i < kBurst; ++i) {
      const absl::Span<const uint8_t> one = bytes.subspan(i * size, size);
      pieces_.push_back(Piece(one.first(4)));
      pieces_.push_back(Piece(one.subspan(4)));
      trains_.push_back({path, absl::MakeConstSpan(pieces_).last(2)});
    }
    if (way == Way::kGatheredTrain) trains_ = {{path, pieces_, size}};
  }

  void Send() {
    if (way_ == Way::kOneByOne) {
      for (const OutTrain& train : trains_) {
        KYUU_CHECK(from_.Send({&train, 1}).trains == 1);
      }
    } else {
      KYUU_CHECK(from_.Send(trains_).trains == trains_.size());
    }
  }
  void Receive() {
    for (size_t got = 0; got < kBurst;) {
      for (const Train& train : to_.Receive(buffer_)) got += train.segments();
    }
  }

 private:
  const Way way_;
  const std::string text_;
  UdpSocket from_ = Open(), to_ = Open();
  ReceiveBuffer buffer_;
  std::vector<iovec> pieces_;
  std::vector<OutTrain> trains_;
};

// CPU time of this thread; wall time would tell how busy the machine is.
absl::Duration CpuNow() {
  timespec time{};
  KYUU_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return absl::DurationFromTimespec(time);
}

// Times `work` alone; `rest` makes the burst whole.
template <typename Work, typename Rest>
void Measure(benchmark::State& state, Work work, Rest rest) {
  for (auto _ : state) {
    const absl::Duration start = CpuNow();
    work();
    state.SetIterationTime(absl::ToDoubleSeconds(CpuNow() - start));
    rest();
  }
  state.counters["per_datagram"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kBurst),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void BM_Send(benchmark::State& state, Way way) {
  Burst burst(way, static_cast<size_t>(state.range(0)));
  bench::AllocationCounter allocations(state);
  Measure(
      state, [&] { burst.Send(); }, [&] { burst.Receive(); });
}

void BM_Receive(benchmark::State& state, Way way) {
  Burst burst(way, static_cast<size_t>(state.range(0)));
  bench::AllocationCounter allocations(state);
  burst.Send();
  Measure(
      state, [&] { burst.Receive(); }, [&] { burst.Send(); });
}

BENCHMARK_CAPTURE(BM_Send, one_by_one, Way::kOneByOne)
    ->Arg(200)
    ->Arg(1200)
    ->UseManualTime();
BENCHMARK_CAPTURE(BM_Send, batch, Way::kBatch)
    ->Arg(200)
    ->Arg(1200)
    ->UseManualTime();
BENCHMARK_CAPTURE(BM_Send, train, Way::kTrain)
    ->Arg(200)
    ->Arg(1200)
    ->UseManualTime();
BENCHMARK_CAPTURE(BM_Send, gathered_train, Way::kGatheredTrain)
    ->Arg(200)
    ->Arg(1200)
    ->UseManualTime();
BENCHMARK_CAPTURE(BM_Receive, batch, Way::kBatch)
    ->Arg(200)
    ->Arg(1200)
    ->UseManualTime();
BENCHMARK_CAPTURE(BM_Receive, train, Way::kTrain)
    ->Arg(200)
    ->Arg(1200)
    ->UseManualTime();

}  // namespace
}  // namespace kyuu::net
