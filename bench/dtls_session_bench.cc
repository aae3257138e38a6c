// What DTLS costs: sealing and opening a record, and a handshake.
//
//   bazel run --config=opt //bench:dtls_session_bench

#include <array>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "base/check.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "dtls/session.h"

namespace kyuu::dtls {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

const Certificate& Identity() {
  static const Certificate* const certificate =
      new Certificate(*Certificate::Generate(kNow));
  return *certificate;
}

struct Two {
  Two() : a(Role::kClient, Identity(), {}), b(Role::kServer, Identity(), {}) {
    KYUU_CHECK(a.SetRemoteFingerprints(kNow, {Identity().fingerprint()}).ok());
    KYUU_CHECK(b.SetRemoteFingerprints(kNow, {Identity().fingerprint()}).ok());
  }
  void Connect() {
    a.Start(kNow);
    std::array<uint8_t, 2048> buffer;
    for (bool busy = true; busy;) {
      busy = false;
      while (auto p = a.PollTransmit(kNow, absl::MakeSpan(buffer))) {
        b.HandlePacket(kNow, *p);
        busy = true;
      }
      while (auto p = b.PollTransmit(kNow, absl::MakeSpan(buffer))) {
        a.HandlePacket(kNow, *p);
        busy = true;
      }
    }
    KYUU_CHECK(a.connected() && b.connected());
  }
  Session a;
  Session b;
};

void Seal(benchmark::State& state) {
  Two two;
  two.Connect();
  const std::vector<uint8_t> plaintext(static_cast<size_t>(state.range(0)), 7);
  std::vector<uint8_t> out(plaintext.size() + kRecordOverheadMax);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    KYUU_CHECK(two.a.Seal(plaintext, absl::MakeSpan(out)).ok());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(Seal)->Arg(64)->Arg(1200);

// One record sealed and opened; Seal alone is above.
void SealAndOpen(benchmark::State& state) {
  Two two;
  two.Connect();
  const std::vector<uint8_t> plaintext(static_cast<size_t>(state.range(0)), 7);
  std::vector<uint8_t> record(plaintext.size() + kRecordOverheadMax);
  std::vector<uint8_t> out(kPlaintextMax);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    const size_t size = *two.a.Seal(plaintext, absl::MakeSpan(record));
    two.b.HandlePacket(kNow, absl::MakeConstSpan(record).first(size));
    KYUU_CHECK(two.b.ReadPlaintext(absl::MakeSpan(out)).has_value());
    KYUU_CHECK(!two.b.ReadPlaintext(absl::MakeSpan(out)).has_value());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(SealAndOpen)->Arg(64)->Arg(1200);

// Garbage that a connected session drops.
void DropForgery(benchmark::State& state) {
  Two two;
  two.Connect();
  std::vector<uint8_t> record(1200 + kRecordOverheadMax);
  KYUU_CHECK(
      two.a.Seal(std::vector<uint8_t>(1200, 7), absl::MakeSpan(record)).ok());
  record.back() ^= 1;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) two.b.HandlePacket(kNow, record);
}
BENCHMARK(DropForgery);

// Both sides of a handshake, P-256 certificates that exist already.
void Handshake(benchmark::State& state) {
  Identity();
  for (auto _ : state) {
    Two two;
    two.Connect();
  }
}
BENCHMARK(Handshake);

void GenerateCertificate(benchmark::State& state) {
  for (auto _ : state) KYUU_CHECK(Certificate::Generate(kNow).ok());
}
BENCHMARK(GenerateCertificate);

}  // namespace
}  // namespace kyuu::dtls
