// What the TURN server engine itself costs, without sockets: ns and allocations
// per relayed packet, per unproven answer, per allocation made and given back.
//
//   bazel run --config=opt //bench:turn_server_bench

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

constexpr size_t kPayload = 1200;
constexpr uint16_t kChannel = 0x4000;

// `flows` clients with a channel each.
struct Flows {
  explicit Flows(size_t flows) : harness(Options()) {
    for (size_t i = 0; i < flows; ++i) {
      clients.emplace_back(static_cast<uint16_t>(1000 + i));
      KYUU_CHECK(harness.Allocate(clients.back()).ok());
      KYUU_CHECK(harness.Bind(clients.back(), kChannel, kTestPeer).ok());
    }
    harness.events().clear();
  }
  static ServerOptions Options() {
    ServerOptions options = ServerHarness::Options();
    options.relay_port_high = 60'000;
    options.allocations_per_user_max = 10'000;
    options.unauthenticated_gain_bytes_per_s = 0;
    return options;
  }
  ServerHarness harness;
  std::vector<TestClient> clients;
};

// Arguments: flows, datagrams per train.
void BM_ChannelDataToPeer(benchmark::State& state) {
  Flows flows(static_cast<size_t>(state.range(0)));
  std::vector<uint8_t> train;
  for (int64_t i = 0; i < state.range(1); ++i) {
    const auto message =
        ServerHarness::ChannelMessage(kChannel, std::string(kPayload, 'x'));
    train.insert(train.end(), message.begin(), message.end());
  }
  Server& server = flows.harness.server();
  size_t flow = 0;
  {
    bench::AllocationCounter allocations(state);
    for (auto _ : state) {
      const auto forwards =
          server.FromClient(flows.harness.now(), flows.clients[flow].path,
                            train, kPayload + kChannelHeaderSize);
      benchmark::DoNotOptimize(forwards.data());
      flow = flow + 1 == flows.clients.size() ? 0 : flow + 1;
    }
  }
  const int64_t packets = state.iterations() * state.range(1);
  KYUU_CHECK(server.stats().to_peers == static_cast<uint64_t>(packets));
  state.SetItemsProcessed(packets);
}
BENCHMARK(BM_ChannelDataToPeer)
    ->ArgNames({"flows", "train"})
    ->Args({1, 1})
    ->Args({1, 32})
    ->Args({1000, 1})
    ->Args({1000, 16});

void BM_PeerToChannelData(benchmark::State& state) {
  Flows flows(static_cast<size_t>(state.range(0)));
  const std::string train(kPayload * static_cast<size_t>(state.range(1)), 'x');
  Server& server = flows.harness.server();
  size_t flow = 0;
  {
    bench::AllocationCounter allocations(state);
    for (auto _ : state) {
      const auto forwards =
          server.FromPeer(flows.harness.now(), *flows.clients[flow].relay,
                          kTestPeer, AsBytes(train), kPayload);
      benchmark::DoNotOptimize(forwards.data());
      flow = flow + 1 == flows.clients.size() ? 0 : flow + 1;
    }
  }
  const int64_t packets = state.iterations() * state.range(1);
  KYUU_CHECK(server.stats().to_clients == static_cast<uint64_t>(packets));
  state.SetItemsProcessed(packets);
}
BENCHMARK(BM_PeerToChannelData)
    ->ArgNames({"flows", "train"})
    ->Args({1, 1})
    ->Args({1, 32})
    ->Args({1000, 1})
    ->Args({1000, 16});

void BM_SendIndicationToPeer(benchmark::State& state) {
  Flows flows(1);
  const auto indication =
      flows.harness.SendIndication(kTestPeer, std::string(kPayload, 'x'));
  Server& server = flows.harness.server();
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    const auto forwards =
        server.FromClient(flows.harness.now(), flows.clients[0].path,
                          indication, indication.size());
    benchmark::DoNotOptimize(forwards.data());
  }
}
BENCHMARK(BM_SendIndicationToPeer);

void BM_Binding(benchmark::State& state) {
  ServerHarness harness(Flows::Options());
  TestClient client(1000);
  const auto request = harness.Build(client, stun::Method::kBinding,
                                     [](stun::MessageWriter&) {});
  std::vector<uint8_t> out(2048);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    harness.server().FromClient(harness.now(), client.path, request,
                                request.size());
    benchmark::DoNotOptimize(
        harness.server().PollTransmit(harness.now(), absl::MakeSpan(out)));
  }
}
BENCHMARK(BM_Binding);

void BM_UnprovenAllocate(benchmark::State& state) {
  ServerHarness harness(Flows::Options());
  TestClient client(1000);
  const auto request = harness.Build(
      client, stun::Method::kAllocate,
      [](stun::MessageWriter& w) { w.Add(stun::RequestedTransport{}); });
  std::vector<uint8_t> out(2048);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    harness.server().FromClient(harness.now(), client.path, request,
                                request.size());
    benchmark::DoNotOptimize(
        harness.server().PollTransmit(harness.now(), absl::MakeSpan(out)));
  }
}
BENCHMARK(BM_UnprovenAllocate);

// An authenticated Allocate and the Refresh that gives it back: both requests
// are built in advance, so only the server's work is measured.
void BM_AllocateAndRelease(benchmark::State& state) {
  ServerHarness harness(Flows::Options());
  TestClient client(1000);
  harness.Challenge(client);
  const auto allocate = harness.Build(
      client, stun::Method::kAllocate,
      [](stun::MessageWriter& w) { w.Add(stun::RequestedTransport{}); });
  const auto release =
      harness.Build(client, stun::Method::kRefresh,
                    [](stun::MessageWriter& w) { w.Add(stun::Lifetime{0}); });
  Server& server = harness.server();
  std::vector<uint8_t> out(2048);
  const auto run = [&](const std::vector<uint8_t>& request) {
    server.FromClient(harness.now(), client.path, request, request.size());
    while (auto event = server.PollEvent()) {
      if (auto* open = std::get_if<Server::OpenRelay>(&*event)) {
        server.RelayOpened(harness.now(), open->relay);
      }
    }
    benchmark::DoNotOptimize(
        server.PollTransmit(harness.now(), absl::MakeSpan(out)));
  };
  {
    bench::AllocationCounter allocations(state);
    for (auto _ : state) {
      run(allocate);
      run(release);
    }
  }
  KYUU_CHECK(server.allocations() == 0);
  KYUU_CHECK(server.stats().errors == 1);  // The challenge.
}
BENCHMARK(BM_AllocateAndRelease);

}  // namespace
}  // namespace kyuu::turn
