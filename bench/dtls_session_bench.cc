// What DTLS costs: sealing and opening a record, beside OpenSSL's record layer;
// a handshake, and the memory of a session.
//
//   bazel run --config=opt //bench:dtls_session_bench

#include <malloc.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/check.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "dtls/session.h"
#include "dtls/testing/openssl_peer.h"

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
    while (a.PollEvent() || b.PollEvent()) {
    }
  }
  Session a;
  Session b;
};

// OpenSSL with its own record layer and the suite that we agree on.
struct TwoOpenssl {
  TwoOpenssl()
      : a(Role::kClient, Identity(), kSuite),
        b(Role::kServer, Identity(), kSuite) {
    a.Handle();
    for (int i = 0; i < 4; ++i) {
      b.Handle(a.Take());
      a.Handle(b.Take());
    }
    KYUU_CHECK(a.connected() && b.connected());
  }
  static constexpr char kSuite[] = "ECDHE-ECDSA-AES128-GCM-SHA256";
  OpensslPeer a;
  OpensslPeer b;
};

void SealInPlace(benchmark::State& state) {
  Two two;
  two.Connect();
  const size_t size = static_cast<size_t>(state.range(0));
  std::vector<uint8_t> place(size + kRecordOverheadMax, 7);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    KYUU_CHECK(two.a.SealInPlace(absl::MakeSpan(place), size).ok());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(SealInPlace)->Arg(64)->Arg(1200);

void OpensslSeal(benchmark::State& state) {
  TwoOpenssl two;
  const std::string text(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) KYUU_CHECK(!two.a.Seal(text).empty());
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(OpensslSeal)->Arg(64)->Arg(1200);

// One record sealed and opened; sealing alone is above.
void SealInPlaceAndOpen(benchmark::State& state) {
  Two two;
  two.Connect();
  const size_t size = static_cast<size_t>(state.range(0));
  std::vector<uint8_t> place(size + kRecordOverheadMax, 7);
  std::vector<uint8_t> out(place.size());
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    Session::Packet record = *two.a.SealInPlace(absl::MakeSpan(place), size);
    KYUU_CHECK(two.b.Open(kNow, record, absl::MakeSpan(out)).has_value());
    KYUU_CHECK(!two.b.Open(kNow, record, absl::MakeSpan(out)).has_value());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(SealInPlaceAndOpen)->Arg(64)->Arg(1200);

void OpensslSealAndOpen(benchmark::State& state) {
  TwoOpenssl two;
  const std::string text(static_cast<size_t>(state.range(0)), 'x');
  std::vector<uint8_t> out(kPlaintextMax);
  for (auto _ : state) {
    KYUU_CHECK(two.b.Open(two.a.Seal(text), absl::MakeSpan(out)) > 0);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(OpensslSealAndOpen)->Arg(64)->Arg(1200);

// By the calls that copy.
void SealAndRead(benchmark::State& state) {
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
BENCHMARK(SealAndRead)->Arg(1200);

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

// Datagrams of a peer that means ill, beside one of a record of 1191 bytes.
struct Datagrams {
  const char* name;
  // The next one, of up to 1220 bytes.
  std::vector<uint8_t> (*make)(Two& two);
};

std::vector<uint8_t> Record(Two& two, size_t size) {
  std::vector<uint8_t> record(size + kRecordOverheadMax);
  record.resize(
      *two.a.Seal(std::vector<uint8_t>(size, 7), absl::MakeSpan(record)));
  return record;
}

// As many copies of what `make` returns as fit.
template <typename Make>
std::vector<uint8_t> Full(Make make) {
  std::vector<uint8_t> datagram;
  for (std::vector<uint8_t> record = make();
       datagram.size() + record.size() <= 1220; record = make()) {
    datagram.insert(datagram.end(), record.begin(), record.end());
  }
  return datagram;
}

void OpenHostile(benchmark::State& state) {
  static constexpr Datagrams kKinds[] = {
      {"ordinary", [](Two& two) { return Record(two, 1191); }},
      {"records of a byte",
       [](Two& two) { return Full([&] { return Record(two, 1); }); }},
      {"forged",
       [](Two& two) {
         std::vector<uint8_t> record = Record(two, 1191);
         record.back() ^= 1;
         return record;
       }},
      {"forged, of a byte",
       [](Two& two) {
         return Full([&] {
           std::vector<uint8_t> record = Record(two, 1);
           record.back() ^= 1;
           return record;
         });
       }},
      {"replayed",
       [](Two& two) {
         static const std::vector<uint8_t> record = Record(two, 1);
         return Full([] { return record; });
       }},
      {"alerts in the clear",
       [](Two&) {
         return Full([] {
           return std::vector<uint8_t>{21, 254, 253, 0, 0, 0, 0, 0,
                                       0,  0,   9,   0, 2, 2, 40};
         });
       }},
      {"ChangeCipherSpec",
       [](Two&) {
         return Full([] {
           return std::vector<uint8_t>{20, 254, 253, 0, 0, 0, 0,
                                       0,  0,   0,   9, 0, 1, 1};
         });
       }},
      {"cut short",
       [](Two&) {
         return std::vector<uint8_t>{23, 254, 253, 0, 1};
       }},
  };
  const Datagrams& kind = kKinds[state.range(0)];
  state.SetLabel(kind.name);
  Two two;
  two.Connect();
  std::vector<std::vector<uint8_t>> datagrams;
  for (benchmark::IterationCount i = 0; i < state.max_iterations; ++i) {
    datagrams.push_back(kind.make(two));
  }
  std::vector<uint8_t> out(1500);
  auto next = datagrams.begin();
  for (auto _ : state) {
    Session::Packet datagram = *next++;
    while (two.b.Open(kNow, datagram, absl::MakeSpan(out))) {
    }
  }
}
BENCHMARK(OpenHostile)->DenseRange(0, 7)->Iterations(10'000);

// Both sides of a handshake, P-256 certificates that exist already.
void Handshake(benchmark::State& state) {
  Identity();
  for (auto _ : state) {
    Two two;
    two.Connect();
  }
}
BENCHMARK(Handshake);

// Bytes of a connected session, itself included; the mean of a hundred pairs
// that live at one time.
void SessionMemory(benchmark::State& state) {
  constexpr size_t kPairs = 100;
  Two warm_up;
  warm_up.Connect();
  for (auto _ : state) {
    std::vector<std::unique_ptr<Two>> pairs;
    pairs.reserve(kPairs);
    const size_t before = mallinfo2().uordblks;
    while (pairs.size() < kPairs) {
      pairs.push_back(std::make_unique<Two>());
      pairs.back()->Connect();
    }
    state.counters["bytes"] =
        static_cast<double>(mallinfo2().uordblks - before) / (2 * kPairs);
  }
}
BENCHMARK(SessionMemory)->Iterations(1);

void GenerateCertificate(benchmark::State& state) {
  for (auto _ : state) KYUU_CHECK(Certificate::Generate(kNow).ok());
}
BENCHMARK(GenerateCertificate);

}  // namespace
}  // namespace kyuu::dtls
