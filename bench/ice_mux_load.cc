// What thousands of ICE agents on one UDP port cost the process that has them:
// a storm of connects, idle ones, memory. Their peers are another
// process, with a socket each.
//
//   bazel run --config=opt //bench:ice_mux_load -- AGENTS RATE SECONDS [lite]
//
// RATE peers begin in a second; SECONDS is how long idle agents are watched.

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/check.h"
#include "base/random.h"
#include "base/system_random.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/transport.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "peer/shared_port.h"

namespace kyuu {
namespace {

// A transport in the words that a PortSeat uses.
struct Agent {
  using Packet = Datagram;
  using Event = ice::IceTransport::Event;

  Agent(ice::Role role, const ice::Credentials& own, Random& random,
        const ice::IceTransportOptions& options)
      : ice(role, own, random, options) {}

  void HandlePacket(absl::Time now, const Datagram& d) {
    ice.HandlePacket(now, d);
  }
  void HandleTimeout(absl::Time now) { ice.HandleTimeout(now); }
  std::optional<Datagram> PollTransmit(absl::Time now,
                                       absl::Span<uint8_t> out) {
    return ice.PollTransmit(now, out);
  }
  std::optional<Event> PollEvent() { return ice.PollEvent(); }
  absl::Time NextTimeout() const { return ice.NextTimeout(); }
  absl::Status AddLocalAddress(absl::Time now, const ice::HostAddress& host) {
    return ice.AddHost(now, host);
  }
  absl::Status RemoveLocalAddress(absl::Time now, const TransportAddress& a) {
    return ice.RemoveHost(now, a);
  }
  ice::PathProof ProofOf(const Path& path) const { return ice.ProofOf(path); }
  std::string local_ufrag() const { return ice.local_ufrag(); }

  ice::IceTransport ice;
};

// Of agent and peer number `n`: the same in both processes.
struct Secrets {
  explicit Secrets(uint64_t n) : random(n) {}
  SeededRandom random;
  ice::Credentials ours = ice::Credentials::Generate(random);
  ice::Credentials theirs = ice::Credentials::Generate(random);
};

bool IsConnected(const Agent::Event& event) {
  const auto* state = std::get_if<ice::StateChanged>(&event);
  return state != nullptr && state->state == ice::AgentState::kCompleted;
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

struct Server {
  struct Member {
    Member(Server& server, const Secrets& secrets, bool lite)
        : agent(ice::Role::kControlled, secrets.ours, server.random,
                {.agent = {.lite = lite}}),
          driver(*server.loop, agent, server.loop->Shared<net::ReceiveBuffer>(),
                 [&server](const Agent::Event& event) {
                   if (!IsConnected(event)) return;
                   if (++server.connected == server.members.capacity()) {
                     server.loop->Stop();
                   }
                 }) {
      KYUU_CHECK(server.port->Reserve().ok());
      seat.emplace(*server.port, agent, driver, nullptr);
      const absl::Time now = net::Loop::Now();
      KYUU_CHECK(agent.ice.SetRemoteCredentials(now, secrets.theirs).ok());
      agent.ice.Gather(now);
      driver.Flush();
    }
    Agent agent;
    net::Driver<Agent> driver;
    std::optional<peer::PortSeat<Agent>> seat;
  };

  SystemRandom random;
  std::unique_ptr<net::Loop> loop = *net::Loop::Create();
  std::unique_ptr<peer::SharedPort> port =
      *peer::SharedPort::Open(*loop, {.addresses_max = 1});
  std::vector<std::unique_ptr<Member>> members;
  size_t connected = 0;
};

// The other process: begins `rate` peers a second at `server`, and has them
// live until it is killed.
struct Peers {
  struct Peer {
    Peer(Peers& peers, uint64_t n, const TransportAddress& server, bool lite)
        : secrets(n),
          socket(*net::UdpSocket::Open(
              {.bind = {server.ip, 0}, .buffer_bytes = 1 << 16})),
          agent(ice::Role::kControlling, secrets.theirs, peers.random, {}),
          driver(*peers.loop, agent, peers.loop->Shared<net::ReceiveBuffer>(),
                 [](const Agent::Event&) {}) {
      driver.AddSocket(socket);
      const absl::Time now = net::Loop::Now();
      KYUU_CHECK(agent.ice.AddHost(now, {socket.local()}).ok());
      agent.ice.Gather(now);
      KYUU_CHECK(agent.ice
                     .SetRemoteCredentials(
                         now, secrets.ours,
                         lite ? ice::RemoteMode::kLite : ice::RemoteMode::kFull)
                     .ok());
      ice::Candidate candidate;
      candidate.foundation = "1";
      candidate.priority = ice::Priority(ice::CandidateType::kHost, 65535);
      candidate.address = server;
      agent.ice.AddRemoteCandidate(now, candidate);
      driver.Flush();
    }
    Secrets secrets;
    net::UdpSocket socket;
    Agent agent;
    net::Driver<Agent> driver;
  };

  void Run(uint64_t agents, double rate, const TransportAddress& server,
           bool lite) {
    const absl::Time start = net::Loop::Now();
    net::Alarm more(*loop, [&] {
      const double due = rate * absl::ToDoubleSeconds(net::Loop::Now() - start);
      while (peers.size() < agents && static_cast<double>(peers.size()) < due) {
        peers.push_back(
            std::make_unique<Peer>(*this, peers.size(), server, lite));
      }
      if (peers.size() < agents) {
        more.Set(net::Loop::Now() + absl::Milliseconds(1));
      }
    });
    more.Set(start);
    loop->Run();
  }

  SystemRandom random;
  std::unique_ptr<net::Loop> loop = *net::Loop::Create();
  std::vector<std::unique_ptr<Peer>> peers;
};

int Run(uint64_t agents, double rate, double seconds, bool lite) {
  Server server;
  const TransportAddress address = server.port->addresses()[0].address;
  const double resident = ResidentBytes();
  const size_t heap = mallinfo2().uordblks;
  const double begin = CpuSeconds();
  const absl::Time start = net::Loop::Now();
  server.members.reserve(agents);
  for (uint64_t n = 0; n < agents; ++n) {
    server.members.push_back(
        std::make_unique<Server::Member>(server, Secrets(n), lite));
  }
  const pid_t child = fork();
  KYUU_CHECK(child >= 0);
  if (child == 0) {
    Peers().Run(agents, rate, address, lite);
    _exit(0);
  }
  server.loop->Run();
  const absl::Duration storm = net::Loop::Now() - start;
  const double cpu = CpuSeconds() - begin;
  const auto per_agent = [&](double bytes) {
    return bytes / static_cast<double>(agents);
  };
  std::printf("%llu agents%s connected in %.2f s, %.2f s of CPU: %.0f /s\n",
              static_cast<unsigned long long>(agents), lite ? " (lite)" : "",
              absl::ToDoubleSeconds(storm), cpu,
              static_cast<double>(agents) / cpu);
  net::Alarm over(*server.loop, [&] { server.loop->Stop(); });
  // What the storm has left is over.
  over.Set(net::Loop::Now() + absl::Seconds(10));
  server.loop->Run();
  const double idle = CpuSeconds();
  const net::UdpStats before = server.port->udp_stats();
  over.Set(net::Loop::Now() + absl::Seconds(seconds));
  server.loop->Run();
  const net::UdpStats after = server.port->udp_stats();
  std::printf("idle: %.1f %% of a core, %.0f datagrams/s in, %.0f out\n",
              (CpuSeconds() - idle) / seconds * 100,
              static_cast<double>(after.received - before.received) / seconds,
              static_cast<double>(after.sent - before.sent) / seconds);
  std::printf("memory of an agent: %.0f bytes of heap, %.0f resident\n",
              per_agent(static_cast<double>(mallinfo2().uordblks - heap)),
              per_agent(ResidentBytes() - resident));
  std::printf("%s\n", server.port->mux().DebugString().c_str());
  size_t alive = 0;
  for (const auto& member : server.members) {
    alive += member->agent.ice.agent().state() == ice::AgentState::kCompleted;
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  if (alive != agents) {
    std::printf("%zu agents have lost their peer\n", agents - alive);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) {
  uint64_t agents = 10'000;
  double rate = 2500, seconds = 20;
  if ((argc > 1 && !absl::SimpleAtoi(argv[1], &agents)) ||
      (argc > 2 && !absl::SimpleAtod(argv[2], &rate)) ||
      (argc > 3 && !absl::SimpleAtod(argv[3], &seconds))) {
    std::fprintf(stderr, "ice_mux_load AGENTS RATE SECONDS [lite]\n");
    return 2;
  }
  return kyuu::Run(agents, rate, seconds,
                   argc > 4 && std::string(argv[4]) == "lite");
}
