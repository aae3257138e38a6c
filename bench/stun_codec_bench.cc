// What STUN costs: parsing, writing, integrity, the Binding responder, and the
// TURN client's data path.
//
//   bazel run --config=opt //bench:stun_codec_bench

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "base/system_random.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "stun/internal/rfc_vectors.h"
#include "stun/message.h"
#include "stun/server.h"
#include "turn/client.h"
#include "turn/testing/scripted_server.h"

namespace kyuu::stun {
namespace {

std::vector<uint8_t> FromHex(absl::string_view hex) {
  const std::string bytes =
      absl::HexStringToBytes(absl::StrReplaceAll(hex, {{" ", ""}}));
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

const IntegrityKey& Key() {
  static const IntegrityKey key = IntegrityKey::ShortTerm(kRfc5769Password);
  return key;
}

// The bare Binding request of 20 bytes that a STUN server gets.
void BM_ParseBindingRequest(benchmark::State& state) {
  std::array<uint8_t, 20> bytes;
  MessageWriter(absl::MakeSpan(bytes), MessageClass::kRequest, Method::kBinding,
                {})
      .Finish();
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    const auto view = MessageView::Parse(bytes);
    bool ok = view.ok() &&
              view->UnknownComprehensionRequired(kStunAttributes).empty();
    benchmark::DoNotOptimize(ok);
  }
}
BENCHMARK(BM_ParseBindingRequest);

// The connectivity check of RFC 5769 section 2.1: six attributes, 108 bytes.
void BM_ParseConnectivityCheck(benchmark::State& state) {
  const std::vector<uint8_t> bytes = FromHex(kRfc5769Request);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    const auto view = MessageView::Parse(bytes);
    auto username = view->Get<Username>();
    auto priority = view->Get<Priority>();
    benchmark::DoNotOptimize(username);
    benchmark::DoNotOptimize(priority);
  }
}
BENCHMARK(BM_ParseConnectivityCheck);

// Garbage that IsStun() does not sort out: it costs the status its message.
void BM_ParseBrokenAttribute(benchmark::State& state) {
  std::vector<uint8_t> bytes = FromHex(kRfc5769Request);
  bytes[22] = 0xff;  // The length of the first attribute.
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto view = MessageView::Parse(bytes);
    benchmark::DoNotOptimize(view);
  }
}
BENCHMARK(BM_ParseBrokenAttribute);

void BM_CheckFingerprint(benchmark::State& state) {
  const std::vector<uint8_t> bytes = FromHex(kRfc5769Request);
  const MessageView view = *MessageView::Parse(bytes);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    bool ok = view.CheckFingerprint();
    benchmark::DoNotOptimize(ok);
  }
}
BENCHMARK(BM_CheckFingerprint);

void BM_CheckIntegritySha1(benchmark::State& state) {
  const std::vector<uint8_t> bytes = FromHex(kRfc5769Request);
  const MessageView view = *MessageView::Parse(bytes);
  const IntegrityKey key = Key();
  KYUU_CHECK(view.CheckIntegrity(key));
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    bool ok = view.CheckIntegrity(key);
    benchmark::DoNotOptimize(ok);
  }
}
BENCHMARK(BM_CheckIntegritySha1);

void BM_CheckIntegritySha256(benchmark::State& state) {
  const std::vector<uint8_t> bytes = FromHex(kRfc8489Sha256Request);
  const MessageView view = *MessageView::Parse(bytes);
  const IntegrityKey key =
      IntegrityKey::LongTerm(kLongTermUsername, kLongTermRealm,
                             kLongTermPassword, PasswordHash::kSha256);
  KYUU_CHECK(view.CheckIntegritySha256(key));
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    bool ok = view.CheckIntegritySha256(key);
    benchmark::DoNotOptimize(ok);
  }
}
BENCHMARK(BM_CheckIntegritySha256);

void BM_MakeShortTermKey(benchmark::State& state) {
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto key = IntegrityKey::ShortTerm(kRfc5769Password);
    benchmark::DoNotOptimize(key);
  }
}
BENCHMARK(BM_MakeShortTermKey);

void BM_WriteBindingSuccess(benchmark::State& state) {
  const XorMappedAddress mapped{{IpAddress::V4(203, 0, 113, 7), 41000}};
  std::array<uint8_t, 100> buffer;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    MessageWriter w(absl::MakeSpan(buffer), MessageClass::kSuccess,
                    Method::kBinding, {});
    w.Add(mapped);
    auto bytes = w.Finish();
    benchmark::DoNotOptimize(bytes.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_WriteBindingSuccess);

void BM_WriteConnectivityCheck(benchmark::State& state) {
  const IntegrityKey key = Key();
  std::array<uint8_t, 200> buffer;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                    Method::kBinding, {});
    w.Add(Username{"evtj:h6vY"});
    w.Add(Priority{0x6e0001ff});
    w.Add(IceControlling{1});
    w.Add(UseCandidate{});
    w.AddIntegrity(key);
    w.AddFingerprint();
    auto bytes = w.Finish();
    benchmark::DoNotOptimize(bytes.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_WriteConnectivityCheck);

void BM_ServerAnswersBinding(benchmark::State& state) {
  Server server({});
  std::array<uint8_t, 20> request;
  MessageWriter(absl::MakeSpan(request), MessageClass::kRequest,
                Method::kBinding, {})
      .Finish();
  const Datagram in{{.local = {IpAddress::V4(192, 0, 2, 1), 3478},
                     .remote = {IpAddress::V4(203, 0, 113, 7), 41000}},
                    request};
  std::array<uint8_t, 600> out;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto answer = server.Answer(in, absl::MakeSpan(out));
    benchmark::DoNotOptimize(answer);
  }
}
BENCHMARK(BM_ServerAnswersBinding);

// A turn::Client that has its allocation and, if asked, a channel.
struct Relayed {
  explicit Relayed(bool channel)
      : client(random, {.local = {IpAddress::V4(10, 0, 0, 1), 5000},
                        .server = {IpAddress::V4(192, 0, 2, 1), 3478},
                        .username = "user",
                        .password = "pass",
                        .channel_after_datagrams = 0}) {
    KYUU_CHECK(client.Allocate(now).ok());
    Run();
    KYUU_CHECK(
        (channel ? client.BindChannel(now, peer) : client.Permit(now, peer))
            .ok());
    Run();
    while (client.PollEvent()) {
    }
  }
  void Run() {
    while (auto p = client.PollTransmit(now, absl::MakeSpan(out))) {
      path = p->path;
      client.HandlePacket(now, {path, server.Answer(p->bytes)});
    }
  }
  SystemRandom random;
  absl::Time now = absl::UnixEpoch();
  TransportAddress peer{IpAddress::V4(203, 0, 113, 9), 7000};
  Path path;
  turn::ScriptedServer server;
  std::array<uint8_t, 2000> out;
  turn::Client client;
};

void BM_TurnClientWrap(benchmark::State& state) {
  Relayed relayed(state.range(0) != 0);
  // In place, as a sender with headroom does it.
  const auto payload = absl::MakeSpan(relayed.out).subspan(4, 1200);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto datagram = relayed.client.Wrap(relayed.now, relayed.peer, payload,
                                        absl::MakeSpan(relayed.out));
    KYUU_CHECK(datagram.ok());
    benchmark::DoNotOptimize(datagram->bytes.data());
  }
  state.SetLabel(state.range(0) != 0 ? "channel, in place" : "Send indication");
}
BENCHMARK(BM_TurnClientWrap)->Arg(1)->Arg(0);

void BM_TurnClientUnwrap(benchmark::State& state) {
  Relayed relayed(state.range(0) != 0);
  const std::vector<uint8_t> payload(1200);
  std::vector<uint8_t> bytes = relayed.server.Data(relayed.peer, payload);
  if (state.range(0) != 0) {
    bytes.assign(4, 0);
    turn::WriteChannelHeader(0x4000, payload.size(), absl::MakeSpan(bytes));
    bytes.insert(bytes.end(), payload.begin(), payload.end());
  }
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto in = relayed.client.Unwrap({relayed.path, bytes});
    KYUU_CHECK(in.has_value());
    benchmark::DoNotOptimize(in);
  }
  state.SetLabel(state.range(0) != 0 ? "channel" : "Data indication");
}
BENCHMARK(BM_TurnClientUnwrap)->Arg(1)->Arg(0);

}  // namespace
}  // namespace kyuu::stun
