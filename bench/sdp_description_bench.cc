// What SDP costs: parsing and writing real offers, and answering them.
//
//   bazel run --config=opt //bench:sdp_description_bench

#include <array>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "ice/candidate.h"
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

// Includes the copy of the text that a description keeps.
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

// Every line that has a type is read as one.
template <typename... Ts>
size_t CountTyped(const Block& block) {
  size_t count = 0;
  const auto add = [&](const auto& lines) {
    for (const auto& value : lines) {
      benchmark::DoNotOptimize(value);
      ++count;
    }
  };
  (add(block.All<Ts>()), ...);
  return count;
}

size_t ReadAll(const Description& description) {
  size_t count = description.BundleGroups().size();
  for (size_t i = 0; i < description.media_count(); ++i) {
    const MediaSection media = description.media(i);
    count +=
        CountTyped<Bandwidth, Connection, Extmap, FingerprintText, Fmtp, Msid,
                   Rid, Rtcp, RtcpFeedback, Rtpmap, Ssrc, SsrcGroup>(media);
    benchmark::DoNotOptimize(media.mid());
    benchmark::DoNotOptimize(media.ice_ufrag());
    benchmark::DoNotOptimize(media.ice_pwd());
    benchmark::DoNotOptimize(media.setup());
    benchmark::DoNotOptimize(media.direction());
    benchmark::DoNotOptimize(media.Get<Simulcast>());
  }
  return count;
}

void ParseAndReadAll(benchmark::State& state) {
  const std::string text = Offer(state);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto description = Description::Parse(text);
    KYUU_CHECK(description.ok());
    KYUU_CHECK(ReadAll(*description) > 0);
  }
  SetBytes(state, text.size());
}
BENCHMARK(ParseAndReadAll)->DenseRange(0, 3);

// Every rule of docs/sdp_verdicts.md, without the parse.
void Judge(benchmark::State& state) {
  const std::string text = Offer(state);
  const Description description = *Description::Parse(text);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    KYUU_CHECK(description.Judge().empty());
  }
  SetBytes(state, text.size());
}
BENCHMARK(Judge)->DenseRange(0, 3);

// One candidate line, as browsers trickle them.
void ParseCandidate(benchmark::State& state) {
  constexpr std::array<absl::string_view, 4> kLines = {
      "candidate:1467250027 1 udp 2122260223 192.0.2.196 46243 typ host "
      "generation 0 ufrag Wdcg network-id 1 network-cost 10",
      "candidate:842163049 1 udp 1677729535 198.51.100.7 46243 typ srflx raddr "
      "192.0.2.196 rport 46243 generation 0 ufrag Wdcg network-cost 999",
      "candidate:1 1 udp 2113937151 ae7f1dd1-5a94-4a03-8f8d-2f0b2c8d2f6b.local "
      "54111 typ host",
      "candidate:4 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active "
      "generation 0",
  };
  const absl::string_view line = kLines[static_cast<size_t>(state.range(0))];
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto candidate = ice::Candidate::Parse(line);
    KYUU_CHECK(candidate.ok());
    benchmark::DoNotOptimize(candidate);
  }
  SetBytes(state, line.size());
}
BENCHMARK(ParseCandidate)->DenseRange(0, 3);

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

// Lines that cost most: as many as the limits of Parse allow.
void ParseHostile(benchmark::State& state, absl::string_view line) {
  std::string text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
  const Limits limits;
  for (size_t i = 4;
       i < limits.lines_max && text.size() + line.size() < limits.bytes_max;
       ++i) {
    text.append(line.data(), line.size());
  }
  state.counters["bytes"] = static_cast<double>(text.size());
  state.counters["kept/bytes"] =
      static_cast<double>(Description::Parse(text)->memory_bytes()) /
      static_cast<double>(text.size());
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto description = Description::Parse(text);
    KYUU_CHECK(description.ok());
    benchmark::DoNotOptimize(description);
  }
  SetBytes(state, text.size());
}
BENCHMARK_CAPTURE(ParseHostile, a_x, "a=x\r\n");
BENCHMARK_CAPTURE(ParseHostile, a_x_lf, "a=x\n");
BENCHMARK_CAPTURE(ParseHostile, nearly, "a=sctp-initx:0123\r\n");
BENCHMARK_CAPTURE(ParseHostile, ufrag, "a=ice-ufrag:abcd\r\n");

// All that is found in as many lines, each one wrong.
void JudgeHostile(benchmark::State& state) {
  std::string text =
      "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
      "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
  while (text.size() + 20 < Limits().bytes_max) text += "a=rid:1 send\r\n";
  const Description description =
      *Description::Parse(text, {.lines_max = 64 * 1024});
  for (auto _ : state) {
    benchmark::DoNotOptimize(description.Judge());
  }
  SetBytes(state, text.size());
}
BENCHMARK(JudgeHostile);

}  // namespace
}  // namespace kyuu::sdp
