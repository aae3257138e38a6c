// What packets of a peer that has authenticated itself, and means ill, cost the
// side that takes them in: each kind beside an ordinary packet in the same
// run. The victim is DataChannels, as a peer meets it; it is asked for packets,
// events and timeouts after each packet, as a driver does.
//
//   bazel run --config=opt //bench:sctp_hostile_bench
//
// `ns/packet` is the CPU of the victim's SCTP, the least of several rounds that
// alternate with those of an ordinary packet, which carries a message of 1143
// bytes, and `opening` that of the DTLS record in which it comes; `sctp_ratio`
// is how much more the first is than `ordinary`, `ratio` the same of both
// together. All packets are of 1191 bytes at the most.

#include <time.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "bench/hostile_cases.h"
#include "bench/hostile_rig.h"
#include "benchmark/benchmark.h"
#include "dtls/certificate.h"
#include "dtls/session.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/serial.h"

namespace kyuu::bench {
namespace {

constexpr int kRounds = 5;

double CpuNow() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

Packets Ordinary(HostileRig& rig) {
  using sctp::internal::DataChunk;
  rig.OpenChannels(1);
  uint16_t ssn = 0;
  return rig.Each(2000, [&](Writer& w) {
    ++ssn;
    rig.Data(w, {.flags = DataChunk::kBegin | DataChunk::kEnd,
                 .ssn = sctp::internal::Ssn(ssn),
                 .mid = ssn,
                 .size = rig.format == Format::kData ? 1143u : 1136u});
  });
}

// The DTLS session that packets come through.
class Records {
 public:
  Records()
      : peer_(dtls::Role::kClient, *identity_, {}),
        victim_(dtls::Role::kServer, *identity_, {}) {
    for (dtls::Session* session : {&peer_, &victim_}) {
      KYUU_CHECK(
          session->SetRemoteFingerprints(now_, {identity_->fingerprint()})
              .ok());
    }
    peer_.Start(now_);
    while (!peer_.connected() || !victim_.connected()) {
      Move(peer_, victim_);
      Move(victim_, peer_);
    }
    while (peer_.PollEvent() || victim_.PollEvent()) {
    }
  }

  // The victim's CPU for opening what the packets come in.
  double Open(const Packets& packets) {
    Packets records;
    for (const Packet& packet : packets) {
      Packet record(packet.size() + dtls::kRecordOverheadMax);
      record.resize(*peer_.Seal(packet, absl::MakeSpan(record)));
      records.push_back(std::move(record));
    }
    std::array<uint8_t, HostileRig::kPacketSize + 64> out;
    const double start = CpuNow();
    for (const Packet& record : records) {
      dtls::Session::Packet bytes = record;
      while (victim_.Open(now_, bytes, absl::MakeSpan(out))) {
      }
    }
    return CpuNow() - start;
  }

 private:
  void Move(dtls::Session& from, dtls::Session& to) {
    std::array<uint8_t, 2048> buffer;
    while (auto packet = from.PollTransmit(now_, absl::MakeSpan(buffer))) {
      to.HandlePacket(now_, *packet);
    }
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  absl::StatusOr<dtls::Certificate> identity_ =
      dtls::Certificate::Generate(now_);
  dtls::Session peer_;
  dtls::Session victim_;
};

struct Cost {
  double ns = std::numeric_limits<double>::infinity();  // A packet.
  double opening = std::numeric_limits<double>::infinity();
  double bytes = 0;  // Of one.
  bool ended = false;

  void Measure(Packets (*attack)(HostileRig&), Format format,
               Records& records) {
    HostileRig rig(format);
    const Packets packets = attack(rig);
    const double count = static_cast<double>(packets.size());
    opening = std::min(opening, records.Open(packets) / count);
    const double start = CpuNow();
    for (const Packet& packet : packets) rig.Give(packet);
    ns = std::min(ns, (CpuNow() - start) / count);
    bytes = 0;
    for (const Packet& packet : packets) {
      bytes += static_cast<double>(packet.size()) / count;
    }
    ended = rig.ended;
  }
  double whole() const { return ns + opening; }
};

void Hostile(benchmark::State& state, const HostileCase& kind, Format format) {
  static Records& records = *new Records;
  Cost ordinary;
  Cost hostile;
  for (auto _ : state) {
    for (int i = 0; i < kRounds; ++i) {
      ordinary.Measure(Ordinary, format, records);
      hostile.Measure(kind.attack, format, records);
    }
  }
  state.counters["ns/packet"] = hostile.ns;
  state.counters["ordinary"] = ordinary.ns;
  state.counters["opening"] = hostile.opening;
  state.counters["sctp_ratio"] = hostile.ns / ordinary.ns;
  state.counters["ratio"] = hostile.whole() / ordinary.whole();
  state.counters["bytes"] = hostile.bytes;
  if (hostile.ended) state.SetLabel("ends the association");
}

void Register(const std::vector<HostileCase>& cases, Format format,
              const std::string& as) {
  for (const HostileCase& kind : cases) {
    benchmark::RegisterBenchmark((as + kind.name).c_str(),
                                 [kind, format](benchmark::State& state) {
                                   Hostile(state, kind, format);
                                 })
        ->Iterations(1);
  }
}

[[maybe_unused]] const bool kRegistered = [] {
  Register(DataCases(), Format::kData, "DATA/");
  Register(DataCases(), Format::kIData, "I-DATA/");
  Register(SackCases(), Format::kData, "SACK/");
  Register(ControlCases(), Format::kData, "control/");
  return true;
}();

}  // namespace
}  // namespace kyuu::bench
