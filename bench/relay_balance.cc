// How evenly a few clients are spread over many loops: the busiest loop's part
// of the work over the mean, of allocations and of relayed datagrams. Work is
// counted, not timed, so that it means the same on a machine of two cores.
//
//   relay_balance [LOOPS [CLIENTS [ROUNDS]]]
//
// Each round has a cluster and clients of its own; told are the median and the
// worst of all rounds.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "relay/cluster.h"
#include "relay/options.h"
#include "relay/sessions.h"
#include "turn/client.h"

namespace kyuu {
namespace {

const IpAddress kLoopback = IpAddress::V4(127, 0, 0, 1);
constexpr int kDatagrams = 20;  // Of each client.

class Client {
 public:
  Client(net::Loop& loop, const TransportAddress& server)
      : loop_(loop),
        socket_(net::UdpSocket::Open({.bind = {kLoopback, 0}}).value()),
        turn_(random_, {.local = socket_.local(),
                        .server = server,
                        .username = "a",
                        .password = "b"}),
        watch_(loop, socket_.fd(), net::Interest::kRead,
               [this](net::Readiness) { Read(); }),
        alarm_(loop, [this] {
          turn_.HandleTimeout(net::Loop::Now());
          Pump();
        }) {
    KYUU_CHECK(turn_.Allocate(net::Loop::Now()).ok());
    Pump();
    while (!turn_.allocated()) loop_.Run();
  }

  void Speak(const TransportAddress& peer) {
    KYUU_CHECK(turn_.Permit(net::Loop::Now(), peer).ok());
    Pump();
    while (!granted_) loop_.Run();
    std::vector<uint8_t> out(2048);
    for (int i = 0; i < kDatagrams; ++i) {
      const auto datagram = turn_.Wrap(net::Loop::Now(), peer, AsBytes("data"),
                                       absl::MakeSpan(out));
      KYUU_CHECK(datagram.ok());
      socket_.SendOne(datagram->path, datagram->bytes);
    }
  }

 private:
  void Read() {
    for (const net::Train& train : socket_.Receive(buffer_)) {
      for (size_t i = 0; i < train.segments(); ++i) {
        turn_.HandlePacket(net::Loop::Now(), {train.path, train.segment(i)});
      }
    }
    Pump();
    loop_.Stop();
  }
  void Pump() {
    std::vector<uint8_t> out(2048);
    while (auto p = turn_.PollTransmit(net::Loop::Now(), absl::MakeSpan(out))) {
      socket_.SendOne(p->path, p->bytes);
    }
    while (auto event = turn_.PollEvent()) {
      granted_ |=
          std::holds_alternative<turn::Client::PermissionGranted>(*event);
      KYUU_CHECK(!std::holds_alternative<turn::Client::Closed>(*event));
    }
    alarm_.Set(turn_.NextTimeout());
  }

  net::Loop& loop_;
  SystemRandom random_;
  net::UdpSocket socket_;
  turn::Client turn_;
  net::ReceiveBuffer buffer_;
  bool granted_ = false;
  net::Watch watch_;
  net::Alarm alarm_;
};

struct Work {
  size_t allocations = 0;
  uint64_t datagrams = 0;
};

std::vector<Work> WorkOf(net::Loop& loop, relay::Cluster& cluster,
                         size_t loops) {
  std::vector<Work> work(loops);
  std::optional<relay::SessionCursor> next = relay::SessionCursor();
  while (next.has_value()) {
    Work& of = work[next->instance];
    bool told = false;
    cluster.ListSessions(*next, {}, [&](const relay::SessionPage& page) {
      for (const turn::SessionInfo& session : page.sessions) {
        ++of.allocations;
        of.datagrams += session.traffic.to_peers;
      }
      next = page.next;
      told = true;
      loop.Stop();
    });
    while (!told) loop.Run();
  }
  return work;
}

// Over the mean.
template <typename Part>
double Busiest(const std::vector<Work>& work, Part part) {
  double most = 0;
  double sum = 0;
  for (const Work& of : work) {
    most = std::max(most, static_cast<double>(part(of)));
    sum += static_cast<double>(part(of));
  }
  return most / sum * static_cast<double>(work.size());
}

void Tell(const char* what, std::vector<double> rounds) {
  std::sort(rounds.begin(), rounds.end());
  std::printf("%s: busiest loop over mean %.2f, worst of %zu rounds %.2f\n",
              what, rounds[rounds.size() / 2], rounds.size(), rounds.back());
}

int Main(int loops, int clients, int rounds) {
  const std::unique_ptr<net::Loop> loop = net::Loop::Create().value();
  const net::UdpSocket peer =
      net::UdpSocket::Open({.bind = {kLoopback, 0}}).value();
  std::vector<double> allocations, datagrams;
  for (int round = 0; round < rounds; ++round) {
    relay::Options options;
    options.listen = {{kLoopback, 0}};
    options.threads = loops;
    options.server.users = {{"a", "b"}};
    options.server.allow_peers = {IpPrefix::Parse("127.0.0.0/8").value()};
    options.server.allocations_per_user_max = 10'000;
    options.server.unauthenticated_gain_bytes_per_s = 0;
    const auto cluster =
        relay::Cluster::Open(options, *loop, [](const relay::Event&) {
        }).value();
    std::vector<std::unique_ptr<Client>> all;
    for (int i = 0; i < clients; ++i) {
      all.push_back(std::make_unique<Client>(*loop, cluster->listeners()[0]));
    }
    for (const auto& client : all) client->Speak(peer.local());
    const uint64_t expected = static_cast<uint64_t>(clients) * kDatagrams;
    std::vector<Work> work;
    uint64_t relayed = 0;
    while (relayed < expected) {
      work = WorkOf(*loop, *cluster, static_cast<size_t>(loops));
      relayed = 0;
      for (const Work& of : work) relayed += of.datagrams;
    }
    allocations.push_back(
        Busiest(work, [](const Work& of) { return of.allocations; }));
    datagrams.push_back(
        Busiest(work, [](const Work& of) { return of.datagrams; }));
  }
  std::printf("%d clients on %d loops\n", clients, loops);
  Tell("allocations", allocations);
  Tell("relayed datagrams", datagrams);
  return 0;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  return kyuu::Main(number(1, 16), number(2, 100), number(3, 11));
}
