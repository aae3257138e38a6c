// What an ICE agent costs: an authenticated check answered, a forged one
// refused, candidate lines, and the memory of an agent.
//
//   bazel run --config=opt //bench:ice_agent_bench

#include <malloc.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/check.h"
#include "base/random.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/credentials.h"

namespace kyuu::ice {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const Credentials kA{"aaaaaaaa", "passwordofapasswordofa12"};
const Credentials kB{"bbbbbbbb", "passwordofbpasswordofb12"};

Candidate Host(absl::string_view address) {
  Candidate c;
  c.foundation = std::string("1");
  c.address = TransportAddress::Parse(address).value();
  c.priority = Priority(CandidateType::kHost, 65535);
  return c;
}

// Two agents joined by hand.
struct Two {
  Two()
      : random(1),
        a(Role::kControlling, kA, random),
        b(Role::kControlled, kB, random) {
    KYUU_CHECK(a.AddLocalCandidate(kNow, Host("192.0.2.1:1")).ok());
    KYUU_CHECK(b.AddLocalCandidate(kNow, Host("192.0.2.2:2")).ok());
    KYUU_CHECK(a.SetRemoteCredentials(kNow, kB).ok());
    KYUU_CHECK(b.SetRemoteCredentials(kNow, kA).ok());
    a.AddRemoteCandidate(kNow, Host("192.0.2.2:2"));
    b.AddRemoteCandidate(kNow, Host("192.0.2.1:1"));
  }
  static bool Move(Agent& from, Agent& to) {
    std::array<uint8_t, 1500> buffer;
    bool any = false;
    while (auto d = from.PollTransmit(kNow, absl::MakeSpan(buffer))) {
      const Path path{d->path.remote, d->path.local, Transport::kUdp};
      to.HandlePacket(kNow, {path, d->bytes});
      any = true;
    }
    return any;
  }
  void Connect() {
    bool moved = true;
    while (moved) {
      moved = Move(a, b);
      moved |= Move(b, a);
    }
    KYUU_CHECK(a.state() == AgentState::kCompleted);
    KYUU_CHECK(b.state() == AgentState::kCompleted);
  }
  SeededRandom random;
  Agent a;
  Agent b;
};

// A check of b's, as a receives it.
std::vector<uint8_t> CheckOfB(Path& path) {
  Two two;
  std::array<uint8_t, 1500> buffer;
  const auto d = two.b.PollTransmit(kNow, absl::MakeSpan(buffer));
  KYUU_CHECK(d.has_value());
  path = {d->path.remote, d->path.local, Transport::kUdp};
  return std::vector<uint8_t>(d->bytes.begin(), d->bytes.end());
}

// Authenticates a Binding request and builds the authenticated response.
void AnswerCheck(benchmark::State& state) {
  Two two;
  two.Connect();
  Path path;
  const std::vector<uint8_t> check = CheckOfB(path);
  std::array<uint8_t, 1500> buffer;
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    two.a.HandlePacket(kNow, {path, check});
    auto response = two.a.PollTransmit(kNow, absl::MakeSpan(buffer));
    KYUU_CHECK(response.has_value());
    benchmark::DoNotOptimize(response);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(AnswerCheck);

// Refuses a request whose last integrity byte is wrong.
void RefuseForgedCheck(benchmark::State& state) {
  Two two;
  two.Connect();
  Path path;
  std::vector<uint8_t> check = CheckOfB(path);
  check[check.size() - 9] ^= 1;
  check.resize(check.size() - 8);  // FINGERPRINT, which would tell first.
  check[3] = static_cast<uint8_t>(check[3] - 8);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) two.a.HandlePacket(kNow, {path, check});
  KYUU_CHECK(two.a.stats().drop_wrong_integrity > 0);
}
BENCHMARK(RefuseForgedCheck);

// What each datagram of data asks.
void IsKnownPath(benchmark::State& state) {
  Two two;
  two.Connect();
  const Path path = *two.a.selected_path();
  for (auto _ : state) benchmark::DoNotOptimize(two.a.IsKnownPath(path));
}
BENCHMARK(IsKnownPath);

// From nothing to nominated on both sides, without a network between.
void ConnectTwo(benchmark::State& state) {
  bench::AllocationCounter allocations(state);
  for (auto _ : state) {
    Two two;
    two.Connect();
  }
}
BENCHMARK(ConnectTwo);

constexpr char kLine[] =
    "candidate:842163049 1 udp 1677729535 198.51.100.7 46243 typ srflx raddr "
    "192.168.0.196 rport 46243 generation 0 ufrag Wdcg network-cost 999";

void ParseCandidate(benchmark::State& state) {
  bench::AllocationCounter allocations(state);
  for (auto _ : state) benchmark::DoNotOptimize(Candidate::Parse(kLine));
}
BENCHMARK(ParseCandidate);

void WriteCandidate(benchmark::State& state) {
  const Candidate candidate = *Candidate::Parse(kLine);
  bench::AllocationCounter allocations(state);
  for (auto _ : state) benchmark::DoNotOptimize(candidate.ToString());
}
BENCHMARK(WriteCandidate);

std::unique_ptr<Agent> AgentWithPairs(Random& random, int64_t pairs) {
  auto agent = std::make_unique<Agent>(Role::kControlling, kA, random);
  KYUU_CHECK(agent->AddLocalCandidate(kNow, Host("192.0.2.1:1")).ok());
  KYUU_CHECK(agent->SetRemoteCredentials(kNow, kB).ok());
  for (int64_t i = 0; i < pairs; ++i) {
    agent->AddRemoteCandidate(kNow, Host(absl::StrCat("192.0.2.2:", i + 1)));
  }
  std::array<uint8_t, 1500> buffer;
  absl::Time now = kNow;
  for (int64_t i = 0; i < pairs; ++i) {
    KYUU_CHECK(agent->PollTransmit(now, absl::MakeSpan(buffer)).has_value());
    now += absl::Milliseconds(50);
  }
  return agent;
}

// Bytes on the heap of an agent that checks so many pairs, itself included;
// the mean of a thousand that live at one time.
void AgentMemory(benchmark::State& state) {
  constexpr size_t kAgents = 1000;
  SeededRandom random(1);
  for (auto _ : state) {
    std::vector<std::unique_ptr<Agent>> agents;
    agents.reserve(kAgents);
    const size_t before = mallinfo2().uordblks;
    while (agents.size() < kAgents) {
      agents.push_back(AgentWithPairs(random, state.range(0)));
    }
    state.counters["bytes"] =
        static_cast<double>(mallinfo2().uordblks - before) / kAgents;
  }
}
BENCHMARK(AgentMemory)->Arg(0)->Arg(1)->Arg(10)->Arg(100)->Iterations(1);

}  // namespace
}  // namespace kyuu::ice
