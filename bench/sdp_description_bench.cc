// What SDP costs: parsing and writing real offers, and answering them.
//
//   bazel run --config=opt //bench:sdp_description_bench

#include <string>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "sdp/description.h"
#include "sdp/session.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

std::string Offer(benchmark::State& state) {
  const absl::string_view name =
      kBrowserOffers[static_cast<size_t>(state.range(0))];
  state.SetLabel(std::string(name));
  return ReadTestdata(name);
}

void SetBytes(benchmark::State& state, size_t size) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}

// Includes the copy of the text, which a caller may save.
void Parse(benchmark::State& state) {
  const std::string text = Offer(state);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto description = Description::Parse(text);
    KYUU_CHECK(description.ok());
    benchmark::DoNotOptimize(description);
  }
  SetBytes(state, text.size());
}
BENCHMARK(Parse)->DenseRange(0, 3);

void Write(benchmark::State& state) {
  const std::string text = Offer(state);
  const Description description = *Description::Parse(text);
  std::string out;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    out.clear();
    description.AppendTo(out);
    benchmark::DoNotOptimize(out.data());
  }
  SetBytes(state, text.size());
}
BENCHMARK(Write)->DenseRange(0, 3);

// setRemoteDescription, createAnswer, setLocalDescription.
void Answer(benchmark::State& state) {
  const std::string text = Offer(state);
  SeededRandom random(1);
  LocalTransport local;
  local.ice_ufrag = "abcd";
  local.ice_pwd = "abcdefghijklmnopqrstuvwx";
  local.fingerprints = {*dtls::Fingerprint::Parse(
      "sha-256 CD:E7:D1:7C:24:75:00:46:D7:F9:9A:9E:D7:2B:5B:AE:F6:2B:74:C8:B5:"
      "F2:9F:47:B0:0F:7F:51:5B:4A:34:12")};
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    Session session({}, random);
    KYUU_CHECK(session.SetRemote(SdpType::kOffer, text).ok());
    KYUU_CHECK(session.CreateAnswer(local).ok());
    KYUU_CHECK(session.SetLocal(SdpType::kAnswer).ok());
  }
  SetBytes(state, text.size());
}
BENCHMARK(Answer)->DenseRange(0, 3);

// Half a megabyte of the lines that cost most, by the limits of Parse.
void ParseHostile(benchmark::State& state) {
  std::string text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
  const Limits limits;
  while (text.size() + 20 < limits.bytes_max) text += "a=sctp-initx:0123\r\n";
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto description = Description::Parse(text);
    KYUU_CHECK(description.ok());
    benchmark::DoNotOptimize(description);
  }
  SetBytes(state, text.size());
}
BENCHMARK(ParseHostile);

}  // namespace
}  // namespace kyuu::sdp
