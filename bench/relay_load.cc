// Loads a TURN server over UDP and tells what a relayed packet costs it: CPU
// time of the server's process, or of several, per packet that arrived.
//
//   relay_load --server 127.0.0.1:3478 --user u:p --pid PID...
//              [--flows 1] [--bytes 1200] [--burst 32] [--packets 200000]
//              [--direction up|down]
//              [--data channel|indications|binding]
//              [--send trains|singles] [--client 127.0.0.1] [--peer 127.0.0.1]
//              [--pps 0]
//
// "up" is client -> relay -> peer, "down" the way back. Each flow is an
// allocation with one channel, or with a permission for indications; a burst is
// `--burst` packets of one flow, sent as one GSO train or one by one. Senders
// keep at most two bursts a flow and 512 packets in all unacknowledged by the
// receiver (both ends are in this process), so that no queue overflows and what
// is lost was lost by the server; with `--pps`, so many packets a second are
// sent whatever has arrived. Clients and peer are at the addresses given.
// With `--data binding` flows are sockets that ask and are answered.
// Prints one JSON line.

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bench/relay_clients.h"
#include "net/loop.h"
#include "net/udp_socket.h"

namespace kyuu::bench {
namespace {

// Packets that are on their way at once, without --pps.
constexpr uint64_t kOutstanding = 512;
// What a sender that was late makes good for with --pps.
constexpr double kCreditMax = 2000;

struct Options {
  RelayClientsOptions clients;
  std::vector<int> pids;
  size_t burst = 32, packets = 200000, pps = 0;
  enum class Send { kTrains, kSingles } send = Send::kTrains;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), clients_(options.clients) {}

  int Run() {
    if (!clients_.Open()) return 1;
    const int self = getpid();
    const absl::Duration cpu = CpuTime(options_.pids);
    const absl::Duration own = CpuTime(absl::MakeConstSpan(&self, 1));
    const absl::Time start = net::Loop::Now();
    const absl::Duration elapsed = Exchange(start);
    const absl::Duration spent = CpuTime(options_.pids) - cpu;
    const absl::Duration own_spent =
        CpuTime(absl::MakeConstSpan(&self, 1)) - own;
    const auto received = static_cast<double>(clients_.received());
    absl::PrintF(
        "{\"direction\":\"%s\",\"flows\":%d,\"bytes\":%d,\"burst\":%d,"
        "\"sent\":%d,\"received\":%d,\"seconds\":%.3f,\"packets_per_s\":%.0f,"
        "\"server_cpu_us_per_packet\":%.3f,"
        "\"load_cpu_us_per_packet\":%.3f}\n",
        options_.clients.up() ? "up" : "down", options_.clients.flows,
        options_.clients.bytes, options_.burst, sent_, clients_.received(),
        absl::ToDoubleSeconds(elapsed),
        received / absl::ToDoubleSeconds(elapsed),
        absl::ToDoubleMicroseconds(spent) / received,
        absl::ToDoubleMicroseconds(own_spent) / received);
    clients_.Close();
    return clients_.received() > 0 ? 0 : 1;
  }

 private:
  // Returns how long it took for what arrived.
  absl::Duration Exchange(absl::Time start) {
    absl::Time progress = start;
    uint64_t before = 0;
    const uint64_t target = options_.packets / options_.clients.flows;
    while (clients_.received() < target * options_.clients.flows) {
      if (options_.pps > 0) {
        SendPaced(start, target);
      } else {
        for (auto& flow : clients_.flows()) Send(*flow, target);
      }
      clients_.Receive();
      const absl::Time now = net::Loop::Now();
      if (clients_.received() != before) progress = now;
      before = clients_.received();
      // What has not come by now was lost: let the window move on.
      if (now - progress > absl::Milliseconds(200)) break;
    }
    return progress - start;
  }

  void Send(RelayFlow& flow, uint64_t target) {
    if (flow.sent >= target ||
        flow.sent >= flow.received + 2 * options_.burst ||
        sent_ + options_.burst > clients_.received() + kOutstanding) {
      return;
    }
    SendBurst(flow, target);
  }

  void SendBurst(RelayFlow& flow, uint64_t target) {
    const size_t count = static_cast<size_t>(
        std::min<uint64_t>(options_.burst, target - flow.sent));
    const uint64_t before = flow.sent;
    if (options_.send == Options::Send::kTrains) {
      flow.sent += SendTrain(flow, count);
    } else {
      for (size_t i = 0; i < count; ++i) flow.sent += SendTrain(flow, 1);
    }
    sent_ += flow.sent - before;
  }

  // Sends what is due by now, of one flow after another.
  void SendPaced(absl::Time start, uint64_t target) {
    const double due = absl::ToDoubleSeconds(net::Loop::Now() - start) *
                       static_cast<double>(options_.pps);
    // What it could not keep up with is not made good for.
    skipped_ =
        std::max(skipped_, due - static_cast<double>(sent_) - kCreditMax);
    while (static_cast<double>(sent_ + options_.burst) + skipped_ <= due &&
           sent_ < target * options_.clients.flows) {
      RelayFlow& flow = *clients_.flows()[next_++ % options_.clients.flows];
      if (flow.sent < target) SendBurst(flow, target);
    }
  }

  // Sends so many packets at once; returns how many the kernel has taken.
  size_t SendTrain(RelayFlow& flow, size_t count) {
    const bool up = options_.clients.up();
    pieces_.clear();
    for (size_t i = 0; i < count; ++i) {
      if (up) pieces_.push_back(net::Piece(flow.head));
      if (!clients_.payload().empty())
        pieces_.push_back(net::Piece(clients_.payload()));
      if (up && !flow.tail.empty()) pieces_.push_back(net::Piece(flow.tail));
    }
    const size_t size = clients_.payload().size() +
                        (up ? flow.head.size() + flow.tail.size() : 0);
    net::UdpSocket& socket = up ? flow.socket : clients_.peer();
    const net::OutTrain train{.path = {.local = socket.local(),
                                       .remote = up ? options_.clients.server
                                                    : flow.client->relayed()},
                              .pieces = pieces_,
                              .segment_size = count > 1 ? size : 0};
    const net::Sent sent = socket.Send(absl::MakeConstSpan(&train, 1));
    return sent.trains == 1 ? count : sent.segments;
  }

  const Options options_;
  RelayClients clients_;
  std::vector<iovec> pieces_;
  uint64_t sent_ = 0;
  double skipped_ = 0;
  size_t next_ = 0;
};

std::optional<Options> Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (ParseRelayClientsOption(name, value, options.clients)) continue;
    if (name == "--send") {
      options.send =
          value == "trains" ? Options::Send::kTrains : Options::Send::kSingles;
      continue;
    }
    uint32_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number == 0) return std::nullopt;
    if (name == "--pid") options.pids.push_back(static_cast<int>(number));
    if (name == "--burst") options.burst = number;
    if (name == "--packets") options.packets = number;
    if (name == "--pps") options.pps = number;
  }
  if (options.pids.empty() || options.clients.server.port == 0) {
    return std::nullopt;
  }
  // One train is at most what a UdpSocket takes.
  options.burst =
      std::min({options.burst, net::UdpSocket::kMaxTrainSegments,
                net::UdpSocket::kMaxTrainBytes / (options.clients.bytes + 48)});
  return options;
}

}  // namespace
}  // namespace kyuu::bench

int main(int argc, char** argv) {
  const auto options = kyuu::bench::Parse(argc, argv);
  if (!options) {
    std::fprintf(
        stderr,
        "usage: relay_load --server IP:PORT --user U:P --pid PID ...\n");
    return 2;
  }
  return kyuu::bench::Load(*options).Run();
}
