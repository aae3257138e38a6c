// The whole stack without sockets: two peer connections in one process, data
// through ICE's path, SCTP and DTLS.
//
//   bazel run --config=opt //bench:peer_connection_bench

#include <malloc.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/check.h"
#include "base/random.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "peer/connection.h"

namespace kyuu::peer {
namespace {

const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 1000};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 2000};

const dtls::Certificate& Identity() {
  static const dtls::Certificate* const certificate =
      new dtls::Certificate(*dtls::Certificate::Generate(absl::UnixEpoch()));
  return *certificate;
}

// Two connections on a perfect path of no delay. Time stands still but for a
// millisecond per turn while they connect.
class Two {
 public:
  Two() {
    KYUU_CHECK(a_.AddLocalAddress(now_, {kA}).ok());
    KYUU_CHECK(b_.AddLocalAddress(now_, {kB}).ok());
    chat_ = *a_.CreateDataChannel(now_, {.label = "bench"});
    const std::string offer = *a_.CreateOffer();
    KYUU_CHECK(a_.SetLocalDescription(now_, SdpType::kOffer).ok());
    KYUU_CHECK(b_.SetRemoteDescription(now_, SdpType::kOffer, offer).ok());
    const std::string answer = *b_.CreateAnswer();
    KYUU_CHECK(b_.SetLocalDescription(now_, SdpType::kAnswer).ok());
    KYUU_CHECK(a_.SetRemoteDescription(now_, SdpType::kAnswer, answer).ok());
  }

  void Connect() {
    for (int i = 0; i < 10'000 && !(opened_ && incoming_); ++i) {
      Turn();
      now_ += absl::Milliseconds(1);
    }
    KYUU_CHECK(opened_ && incoming_);
  }
  // Sends until the buffer is full.
  void Fill(size_t size) {
    for (;;) {
      std::vector<uint8_t> payload(size, 7);
      if (!a_.Send(now_, chat_, PayloadType::kBinary, std::move(payload))
               .ok()) {
        return;
      }
    }
  }
  void Turn() {
    At(a_, b_);
    At(b_, a_);
    now_ += absl::Microseconds(100);
  }
  uint64_t received_bytes() const { return received_bytes_; }
  uint64_t received() const { return received_; }
  uint64_t datagrams() const { return a_.stats().counters.datagrams_sent; }

 private:
  void At(Connection& side, Connection& other) {
    side.HandleTimeout(now_);
    // A driver drains what was sent before it looks at the other side; the
    // limit keeps the turns of both sides interleaved as sockets would.
    for (int n = 0; n < 64; ++n) {
      auto out = side.PollTransmit(now_, absl::MakeSpan(buffer_));
      if (!out) break;
      other.HandlePacket(now_,
                         {{out->path.remote, out->path.local}, out->bytes});
    }
    while (auto event = side.PollEvent()) {
      if (auto* found = std::get_if<CandidateFound>(&*event)) {
        KYUU_CHECK(other
                       .AddIceCandidate(now_, found->candidate, found->mid,
                                        found->mline_index)
                       .ok());
      } else if (auto* message = std::get_if<sctp::ChannelMessage>(&*event)) {
        received_bytes_ += message->payload.size();
        ++received_;
      } else if (std::get_if<sctp::ChannelOpened>(&*event)) {
        opened_ = true;
      } else if (std::get_if<sctp::ChannelIncoming>(&*event)) {
        incoming_ = true;
      }
    }
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  Connection a_{Identity(), {}, random_};
  Connection b_{Identity(), {}, random_};
  ChannelId chat_{};
  bool opened_ = false;
  bool incoming_ = false;
  uint64_t received_bytes_ = 0;
  uint64_t received_ = 0;
  std::array<uint8_t, Connection::kDatagramMax> buffer_;
};

// One way, ordered and reliable. Both ends run in this one thread: CPU per
// datagram is that of sender and receiver together.
void Throughput(benchmark::State& state) {
  Two two;
  two.Connect();
  const size_t size = static_cast<size_t>(state.range(0));
  two.Fill(size);
  for (int i = 0; i < 1000; ++i) {  // Past slow start.
    two.Turn();
    two.Fill(size);
  }
  const uint64_t bytes = two.received_bytes();
  const uint64_t messages = two.received();
  const uint64_t datagrams = two.datagrams();
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    two.Turn();
    two.Fill(size);
  }
  const auto count = [](uint64_t n) { return static_cast<double>(n); };
  state.SetBytesProcessed(static_cast<int64_t>(two.received_bytes() - bytes));
  state.counters["messages/s"] = benchmark::Counter(
      count(two.received() - messages), benchmark::Counter::kIsRate);
  // With kInvert a rate reads as time per datagram.
  state.counters["s/datagram"] = benchmark::Counter(
      count(two.datagrams() - datagrams),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(Throughput)->Arg(64)->Arg(1024)->Arg(65536);

// From two new connections to an open channel: both ends' CPU, with
// certificates that exist already.
void Setup(benchmark::State& state) {
  Identity();
  for (auto _ : state) {
    Two two;
    two.Connect();
  }
}
BENCHMARK(Setup)->Unit(benchmark::kMicrosecond);

// What a connected engine with an open channel has allocated, itself and
// OpenSSL's part included: at once (0), or after a full
// send buffer was delivered in messages of so many bytes.
void Memory(benchmark::State& state) {
  constexpr int kCalls = 100;
  const size_t bytes = static_cast<size_t>(state.range(0));
  const auto allocated = [] {
    const struct mallinfo2 heap = mallinfo2();
    return static_cast<double>(heap.uordblks + heap.hblkhd);
  };
  for (auto _ : state) {
    Two first;  // OpenSSL's beginning.
    first.Connect();
    std::vector<std::unique_ptr<Two>> calls(kCalls);
    const double before = allocated();
    for (std::unique_ptr<Two>& call : calls) {
      call = std::make_unique<Two>();
      call->Connect();
      if (bytes > 0) call->Fill(bytes);
      for (int i = 0; i < 10'000; ++i) call->Turn();  // A second.
      KYUU_CHECK(bytes == 0 || call->received_bytes() > 0);
    }
    constexpr size_t kOurs = sizeof(Two) - 2 * sizeof(Connection);
    state.counters["kB"] = ((allocated() - before) / kCalls - kOurs) / 2 / 1024;
  }
}
BENCHMARK(Memory)->Arg(0)->Arg(16384)->Iterations(1);

// A datagram that nobody asked for.
void DropGarbage(benchmark::State& state) {
  SeededRandom random(1);
  Connection connection(Identity(), {}, random);
  std::vector<uint8_t> bytes(1200, static_cast<uint8_t>(state.range(0)));
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  for (auto _ : state) connection.HandlePacket(now, {{kA, kB}, bytes});
}
BENCHMARK(DropGarbage)->Arg(0)->Arg(23)->Arg(255);

}  // namespace
}  // namespace kyuu::peer
