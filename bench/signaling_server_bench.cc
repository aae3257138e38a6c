// Signaling in memory, without sockets: offers relayed by the server engine
// alone and with the WebSocket framing of both ends around it, and a room's
// presence. `bazel run --config=opt //bench:signaling_server_bench`.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "signaling/message.h"
#include "signaling/server.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {
namespace {

constexpr int kPeers = 200;
// An offer as a browser makes it for a data channel is some 1.2 kB.
constexpr size_t kSdpBytes = 1200;

ServerOptions Unlimited() {
  ServerOptions options;
  options.message_rate.burst = 1e18;
  return options;
}

// 200 joined peers in accepted calls, each with the next one.
struct World {
  World() {
    for (int i = 0; i < kPeers; ++i) {
      const ConnectionId id{static_cast<uint64_t>(i)};
      KYUU_CHECK(server.Connect(now, id, IpAddress()).ok());
      Say(id, R"({"type":"hello","version":1})");
      const auto opened = server.PollEvent();
      KYUU_CHECK(
          server
              .SetIceServers(now, std::get<SessionOpened>(*opened).session, {})
              .ok());
      Say(id, absl::StrCat(R"({"type":"join","name":"p)", i, "\"}"));
    }
    std::string sdp = "\"";
    while (sdp.size() < kSdpBytes) sdp += R"(a=ice-options:trickle\r\n)";
    sdp += "\"";
    for (int i = 0; i < kPeers; i += 2) {
      Drain();
      Say(ConnectionId{static_cast<uint64_t>(i)},
          absl::StrCat(R"({"type":"call","to":"p)", i + 1, "\"}"));
      const auto calling = ParseServerMessage(
          server.PollTransmit(now, {})->text, MessageLimits());
      const std::string call = std::get<Calling>(calling->body).call;
      Say(ConnectionId{static_cast<uint64_t>(i) + 1},
          absl::StrCat(R"({"type":"accept","call":")", call, "\"}"));
      offers.push_back(WriteMessage(
          ClientMessage{"", Signal{call, SignalKind::kOffer, sdp}}));
    }
    Drain();
  }
  void Say(ConnectionId id, std::string text) {
    server.HandlePacket(now, {id, std::move(text)});
  }
  void Drain() {
    while (server.PollTransmit(now, {})) continue;
    while (server.PollEvent()) continue;
  }

  absl::Time now = absl::FromUnixSeconds(1000);
  SeededRandom random{1};
  Server server{Unlimited(), random};
  std::vector<std::string> offers;  // Of peer 2i.
};

void BM_RelayOffer(benchmark::State& state) {
  World world;
  size_t i = 0;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    world.Say(ConnectionId(i * 2), world.offers[i]);
    auto relayed = world.server.PollTransmit(world.now, {});
    KYUU_CHECK(relayed.has_value());
    benchmark::DoNotOptimize(relayed);
    i = (i + 1) % world.offers.size();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RelayOffer);

// The server's whole work on one message: unmask, validate, route, frame.
void BM_RelayOfferOverWebSocket(benchmark::State& state) {
  World world;
  const WebSocketOptions options;
  WebSocket from(options, WebSocketRole::kServer, world.random, world.now);
  WebSocket to(options, WebSocketRole::kServer, world.random, world.now);
  // What a client's WebSocket sends, made once.
  std::vector<std::string> frames;
  std::array<uint8_t, 4096> out;
  for (const std::string& offer : world.offers) {
    WebSocket client(options, WebSocketRole::kClient, world.random, world.now);
    KYUU_CHECK(client.Send(world.now, MessageKind::kText, offer).ok());
    frames.emplace_back(
        AsText(*client.PollTransmit(world.now, absl::MakeSpan(out))));
  }
  size_t i = 0;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    from.HandlePacket(world.now, AsBytes(frames[i]));
    auto event = from.PollEvent();
    world.Say(ConnectionId(i * 2),
              std::move(std::get<WebSocketMessage>(*event).data));
    auto relayed = world.server.PollTransmit(world.now, {});
    KYUU_CHECK(
        to.Send(world.now, MessageKind::kText, std::move(relayed->text)).ok());
    auto bytes = to.PollTransmit(world.now, absl::MakeSpan(out));
    benchmark::DoNotOptimize(bytes);
    i = (i + 1) % frames.size();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_RelayOfferOverWebSocket);

// One change of metadata told to the 199 others; items are messages out.
void BM_PresenceToRoom(benchmark::State& state) {
  World world;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    world.Say(ConnectionId(0), R"({"type":"update","meta":{"away":true}})");
    world.Drain();
  }
  state.SetItemsProcessed(state.iterations() * kPeers);
}
BENCHMARK(BM_PresenceToRoom);

void BM_ParseOffer(benchmark::State& state) {
  World world;
  const MessageLimits limits;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    auto message = ParseClientMessage(world.offers[0], limits);
    benchmark::DoNotOptimize(message);
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(world.offers[0].size()));
}
BENCHMARK(BM_ParseOffer);

}  // namespace
}  // namespace kyuu::signaling
