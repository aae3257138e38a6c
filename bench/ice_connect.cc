// How long two agents on loopback take to connect, kyuu's and libnice's in
// turn: from nothing, sockets included, to both having a nominated pair.
// Descriptions take no time.
//
//   bazel run --config=opt //bench:ice_connect -- ROUNDS

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/check.h"
#include "base/system_random.h"
#include "bench/libnice.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/transport.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/udp_socket.h"

namespace kyuu {
namespace {

using bench::Libnice;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// --- kyuu ---

struct Side {
  Side(net::Loop& loop, ice::Role role, Random& random, int& completed)
      : own(ice::Credentials::Generate(random)),
        socket(
            *net::UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})),
        ice(role, own, random, {}),
        driver(loop, ice, loop.Shared<net::ReceiveBuffer>(),
               [&loop, &completed](const ice::IceTransport::Event& event) {
                 const auto* state = std::get_if<ice::StateChanged>(&event);
                 if (state != nullptr &&
                     state->state == ice::AgentState::kCompleted &&
                     ++completed == 2) {
                   loop.Stop();
                 }
               }) {
    driver.AddSocket(socket);
    const absl::Time now = net::Loop::Now();
    KYUU_CHECK(ice.AddHost(now, {socket.local()}).ok());
    ice.Gather(now);
  }
  void Meet(const Side& other) {
    const absl::Time now = net::Loop::Now();
    KYUU_CHECK(ice.SetRemoteCredentials(now, other.own).ok());
    for (const ice::Candidate& candidate : other.ice.candidates()) {
      ice.AddRemoteCandidate(now, candidate);
    }
    ice.EndOfRemoteCandidates(now);
    driver.Flush();
  }

  ice::Credentials own;
  net::UdpSocket socket;
  ice::IceTransport ice;
  net::Driver<ice::IceTransport> driver;
};

void ConnectKyuu(net::Loop& loop, Random& random) {
  int completed = 0;
  Side a(loop, ice::Role::kControlling, random, completed);
  Side b(loop, ice::Role::kControlled, random, completed);
  b.Meet(a);
  a.Meet(b);
  loop.Run();
  KYUU_CHECK(completed == 2);
}

// --- libnice ---

struct NiceSide {
  NiceSide(const Libnice& library, void* context, int options, int controls)
      : nice(library),
        agent(nice.agent_new_full(context, /*RFC 5245*/ 0, options)) {
    nice.object_set(agent, "upnp", 0, "ice-tcp", 0, "controlling-mode",
                    controls, nullptr);
    void* address = nice.address_new();
    KYUU_CHECK(nice.address_set_from_string(address, "127.0.0.1"));
    KYUU_CHECK(nice.add_local_address(agent, address));
    nice.address_free(address);
    const unsigned stream = nice.add_stream(agent, 1);
    KYUU_CHECK(nice.set_stream_name(agent, stream, "application"));
    nice.signal_connect_data(
        agent, "component-state-changed",
        [](void*, unsigned, unsigned, unsigned state, void* told) {
          *static_cast<bool*>(told) = state == Libnice::kReady;
        },
        &ready, nullptr, 0);
    KYUU_CHECK(nice.attach_recv(
        agent, stream, 1, context,
        [](void*, unsigned, unsigned, unsigned, char*, void*) {}, nullptr));
    KYUU_CHECK(nice.gather_candidates(agent, stream));
  }
  ~NiceSide() { nice.object_unref(agent); }
  NiceSide(const NiceSide&) = delete;
  NiceSide& operator=(const NiceSide&) = delete;
  void Meet(NiceSide& other) {
    char* sdp = nice.generate_local_sdp(other.agent);
    KYUU_CHECK(nice.parse_remote_sdp(agent, sdp) > 0);
    nice.free(sdp);
  }

  const Libnice& nice;
  void* agent;
  bool ready = false;
};

void ConnectNice(const Libnice& nice, void* context, int options) {
  NiceSide a(nice, context, options, 1), b(nice, context, options, 0);
  b.Meet(a);
  a.Meet(b);
  while (!a.ready || !b.ready) nice.main_context_iteration(context, 1);
}

// --- Both ---

struct Contestant {
  const char* name;
  std::vector<double> ms = {};
  double cpu = 0;

  template <typename Connect>
  void Race(Connect connect) {
    const double cpu_before = CpuSeconds();
    const absl::Time start = absl::Now();
    connect();
    ms.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    cpu += CpuSeconds() - cpu_before;
  }
  double Percentile(double of) {
    std::sort(ms.begin(), ms.end());
    return ms[static_cast<size_t>(of * static_cast<double>(ms.size() - 1))];
  }
};

int Run(uint64_t rounds) {
  SystemRandom random;
  const std::unique_ptr<net::Loop> loop = *net::Loop::Create();
  const Libnice nice;
  void* context = nice.main_context_new();
  std::array<Contestant, 3> all = {{{"kyuu"},
                                    {"libnice, aggressive nomination"},
                                    {"libnice, regular nomination"}}};
  for (uint64_t i = 0; i < rounds; ++i) {
    all[0].Race([&] { ConnectKyuu(*loop, random); });
    all[1].Race([&] { ConnectNice(nice, context, 0); });
    all[2].Race(
        [&] { ConnectNice(nice, context, Libnice::kRegularNomination); });
  }
  for (Contestant& one : all) {
    std::printf("%-32s p50 %8.3f ms (%5.1f x)  p99 %8.3f ms  %6.3f ms of CPU\n",
                one.name, one.Percentile(0.5),
                one.Percentile(0.5) / all[0].Percentile(0.5),
                one.Percentile(0.99),
                one.cpu * 1000 / static_cast<double>(rounds));
  }
  return 0;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) {
  uint64_t rounds = 200;
  if (argc > 2 ||
      (argc > 1 && (!absl::SimpleAtoi(argv[1], &rounds) || rounds == 0))) {
    std::fprintf(stderr, "ice_connect ROUNDS\n");
    return 2;
  }
  return kyuu::Run(rounds);
}
