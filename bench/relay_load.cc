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

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "stun/message.h"
#include "turn/client.h"

namespace kyuu {
namespace {

// Packets that are on their way at once, without --pps.
constexpr uint64_t kOutstanding = 512;
// What a sender that was late makes good for with --pps.
constexpr double kCreditMax = 2000;
constexpr int kReady = 64;

struct Options {
  TransportAddress server;
  std::string user, password;
  std::vector<int> pids;
  size_t flows = 1, bytes = 1200, burst = 32, packets = 200000, pps = 0;
  IpAddress client = IpAddress::V4(127, 0, 0, 1), peer = client;
  enum class Direction { kUp, kDown } direction = Direction::kUp;
  enum class Data { kChannel, kIndications, kBinding } data = Data::kChannel;
  enum class Send { kTrains, kSingles } send = Send::kTrains;

  bool up() const { return direction == Direction::kUp; }
  bool binding() const { return data == Data::kBinding; }
};

// User and system time of a process so far, all of its threads together, to the
// nanosecond; /proc counts in ticks of 10 ms.
absl::Duration CpuTime(int pid) {
  clockid_t clock{};
  timespec time{};
  KYUU_CHECK(clock_getcpuclockid(pid, &clock) == 0);
  KYUU_CHECK(clock_gettime(clock, &time) == 0);
  return absl::DurationFromTimespec(time);
}

absl::Duration CpuTime(absl::Span<const int> pids) {
  absl::Duration time;
  for (const int pid : pids) time += CpuTime(pid);
  return time;
}

// One allocation with its socket, a channel to the peer, and its counters.
struct Flow {
  explicit Flow(net::UdpSocket s) : socket(std::move(s)) {}
  net::UdpSocket socket;
  std::optional<turn::Client> client;
  bool ready = false;
  // What is in front of the payload, and behind it.
  std::vector<uint8_t> head, tail;
  uint64_t sent = 0;
  uint64_t received = 0;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        peer_(*net::UdpSocket::Open({.bind = {options.peer, 0}})),
        payload_(options.binding() ? 0 : options.bytes, 0x5a),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    KYUU_CHECK(epoll_ >= 0);
  }
  ~Load() { close(epoll_); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  int Run() {
    for (size_t i = 0; i < options_.flows; ++i) {
      // A port may be that of a client which the server has not forgotten.
      int attempts = 20;
      while (!Allocate(i)) {
        flows_.pop_back();
        if (--attempts == 0) return 1;
      }
    }
    const absl::Duration cpu = CpuTime(options_.pids), own = CpuTime(getpid());
    const absl::Time start = net::Loop::Now();
    absl::Time progress = start;
    uint64_t before = 0;
    const uint64_t target = options_.packets / options_.flows;
    while (received_ < target * options_.flows) {
      if (options_.pps > 0) {
        SendPaced(start, target);
      } else {
        for (auto& flow : flows_) Send(*flow, target);
      }
      Receive();
      const absl::Time now = net::Loop::Now();
      if (received_ != before) progress = now;
      before = received_;
      // What has not come by now was lost: let the window move on.
      if (now - progress > absl::Milliseconds(200)) break;
    }
    const absl::Duration elapsed = progress - start;
    const absl::Duration spent = CpuTime(options_.pids) - cpu;
    const absl::Duration own_spent = CpuTime(getpid()) - own;
    absl::PrintF(
        "{\"direction\":\"%s\",\"flows\":%d,\"bytes\":%d,\"burst\":%d,"
        "\"sent\":%d,\"received\":%d,\"seconds\":%.3f,\"packets_per_s\":%.0f,"
        "\"server_cpu_us_per_packet\":%.3f,"
        "\"load_cpu_us_per_packet\":%.3f}\n",
        options_.up() ? "up" : "down", options_.flows, options_.bytes,
        options_.burst, sent_, received_, absl::ToDoubleSeconds(elapsed),
        static_cast<double>(received_) / absl::ToDoubleSeconds(elapsed),
        absl::ToDoubleMicroseconds(spent) / static_cast<double>(received_),
        absl::ToDoubleMicroseconds(own_spent) / static_cast<double>(received_));
    if (!options_.binding()) {
      for (auto& flow : flows_) Close(*flow);
    }
    return received_ > 0 ? 0 : 1;
  }

 private:
  bool Allocate(size_t index) {
    auto socket = net::UdpSocket::Open({.bind = {options_.client, 0}});
    KYUU_CHECK(socket.ok());
    flows_.push_back(std::make_unique<Flow>(*std::move(socket)));
    Flow& flow = *flows_.back();
    if (options_.binding()) {
      flow.head.resize(stun::kHeaderSize);
      stun::MessageWriter writer(absl::MakeSpan(flow.head),
                                 stun::MessageClass::kRequest,
                                 stun::Method::kBinding, {});
      KYUU_CHECK(!writer.Finish().empty());
      Await(flow);
      return true;
    }
    flow.client.emplace(random_, turn::Client::Options{
                                     .local = flow.socket.local(),
                                     .server = options_.server,
                                     .username = options_.user,
                                     .password = options_.password,
                                     .relayed_family = options_.peer.family()});
    KYUU_CHECK(flow.client->Allocate(net::Loop::Now()).ok());
    const absl::Time deadline = net::Loop::Now() + absl::Seconds(10);
    const bool channel = options_.data == Options::Data::kChannel;
    while (!flow.ready && net::Loop::Now() < deadline) {
      Converse(flow);
      while (auto event = flow.client->PollEvent()) {
        if (std::holds_alternative<turn::Client::Allocated>(*event)) {
          KYUU_CHECK(
              (channel
                   ? flow.client->BindChannel(net::Loop::Now(), peer_.local())
                   : flow.client->Permit(net::Loop::Now(), peer_.local()))
                  .ok());
        } else if (std::holds_alternative<turn::Client::ChannelBound>(*event) ||
                   (!channel &&
                    std::holds_alternative<turn::Client::PermissionGranted>(
                        *event))) {
          Envelop(flow);
        } else if (auto* closed = std::get_if<turn::Client::Closed>(&*event)) {
          std::fprintf(stderr, "flow %zu: %s\n", index,
                       closed->status.ToString().c_str());
          return false;
        }
      }
    }
    return flow.ready;
  }

  // How the client wraps a payload, which is the same for each.
  void Envelop(Flow& flow) {
    const auto datagram = flow.client->Wrap(net::Loop::Now(), peer_.local(),
                                            payload_, absl::MakeSpan(scratch_));
    KYUU_CHECK(datagram.ok());
    const absl::Span<const uint8_t> bytes = datagram->bytes;
    const auto payload = std::search(bytes.begin(), bytes.end(),
                                     payload_.begin(), payload_.end());
    KYUU_CHECK(payload != bytes.end());
    flow.head.assign(bytes.begin(), payload);
    flow.tail.assign(payload + static_cast<ptrdiff_t>(payload_.size()),
                     bytes.end());
    flow.ready = true;
    by_relayed_[flow.client->relayed()] = &flow;
    Await(flow);
  }

  void Await(Flow& flow) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &flow}};
    KYUU_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, flow.socket.fd(), &event) == 0);
  }

  void Converse(Flow& flow) {
    flow.client->HandleTimeout(net::Loop::Now());
    while (auto out = flow.client->PollTransmit(net::Loop::Now(),
                                                absl::MakeSpan(scratch_))) {
      flow.socket.SendOne(out->path, out->bytes);
    }
    for (const net::Train& train : flow.socket.Receive(buffer_)) {
      for (size_t i = 0; i < train.segments(); ++i) {
        flow.client->HandlePacket(net::Loop::Now(),
                                  {train.path, train.segment(i)});
      }
    }
  }

  // Waits for the server's word, since the next run may get the same port and
  // must not meet an allocation of this one.
  void Close(Flow& flow) {
    flow.client->Close(net::Loop::Now());
    const absl::Time deadline = net::Loop::Now() + absl::Seconds(2);
    while (net::Loop::Now() < deadline) {
      Converse(flow);
      while (auto event = flow.client->PollEvent()) {
        if (std::holds_alternative<turn::Client::Closed>(*event)) return;
      }
    }
  }

  void Send(Flow& flow, uint64_t target) {
    if (flow.sent >= target ||
        flow.sent >= flow.received + 2 * options_.burst ||
        sent_ + options_.burst > received_ + kOutstanding) {
      return;
    }
    SendBurst(flow, target);
  }

  void SendBurst(Flow& flow, uint64_t target) {
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
           sent_ < target * options_.flows) {
      Flow& flow = *flows_[next_++ % flows_.size()];
      if (flow.sent < target) SendBurst(flow, target);
    }
  }

  // Sends so many packets at once; returns how many the kernel has taken.
  size_t SendTrain(Flow& flow, size_t count) {
    const bool up = options_.up();
    pieces_.clear();
    for (size_t i = 0; i < count; ++i) {
      if (up) pieces_.push_back(net::Piece(flow.head));
      if (!payload_.empty()) pieces_.push_back(net::Piece(payload_));
      if (up && !flow.tail.empty()) pieces_.push_back(net::Piece(flow.tail));
    }
    const size_t size =
        payload_.size() + (up ? flow.head.size() + flow.tail.size() : 0);
    net::UdpSocket& socket = up ? flow.socket : peer_;
    const net::OutTrain train{
        .path = {.local = socket.local(),
                 .remote = up ? options_.server : flow.client->relayed()},
        .pieces = pieces_,
        .segment_size = count > 1 ? size : 0};
    const net::Sent sent = socket.Send(absl::MakeConstSpan(&train, 1));
    return sent.trains == 1 ? count : sent.segments;
  }

  void Receive() {
    if (options_.up() && !options_.binding()) {
      for (const net::Train& train : peer_.Receive(buffer_)) {
        // The peer sees one relayed address for each flow.
        const auto flow = by_relayed_.find(train.path.remote);
        if (flow != by_relayed_.end()) Count(*flow->second, train);
      }
      return;
    }
    std::array<epoll_event, kReady> ready;
    const int count = epoll_wait(epoll_, ready.data(), kReady, 0);
    for (int i = 0; i < count; ++i) {
      auto& flow = *static_cast<Flow*>(ready[static_cast<size_t>(i)].data.ptr);
      for (const net::Train& train : flow.socket.Receive(buffer_)) {
        Count(flow, train);
      }
    }
  }

  void Count(Flow& flow, const net::Train& train) {
    flow.received += train.segments();
    received_ += train.segments();
  }

  const Options options_;
  SystemRandom random_;
  net::ReceiveBuffer buffer_;
  net::UdpSocket peer_;
  std::vector<uint8_t> payload_;
  std::vector<iovec> pieces_;
  std::array<uint8_t, 2048> scratch_;
  std::vector<std::unique_ptr<Flow>> flows_;
  absl::flat_hash_map<TransportAddress, Flow*> by_relayed_;
  const int epoll_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  double skipped_ = 0;
  size_t next_ = 0;
};

std::optional<Options> Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--server") {
      const auto server = TransportAddress::Parse(value);
      if (!server.ok()) return std::nullopt;
      options.server = *server;
    } else if (name == "--user") {
      const size_t colon = value.find(':');
      options.user = value.substr(0, colon);
      options.password = value.substr(colon + 1);
    } else if (name == "--direction") {
      options.direction =
          value == "up" ? Options::Direction::kUp : Options::Direction::kDown;
    } else if (name == "--data") {
      options.data = value == "channel"   ? Options::Data::kChannel
                     : value == "binding" ? Options::Data::kBinding
                                          : Options::Data::kIndications;
    } else if (name == "--send") {
      options.send =
          value == "trains" ? Options::Send::kTrains : Options::Send::kSingles;
    } else if (name == "--client" || name == "--peer") {
      const auto ip = IpAddress::Parse(value);
      if (!ip.ok()) return std::nullopt;
      (name == "--client" ? options.client : options.peer) = *ip;
    } else {
      uint32_t number = 0;
      if (!absl::SimpleAtoi(value, &number) || number == 0) return std::nullopt;
      if (name == "--pid") options.pids.push_back(static_cast<int>(number));
      if (name == "--flows") options.flows = number;
      if (name == "--bytes") options.bytes = number;
      if (name == "--burst") options.burst = number;
      if (name == "--packets") options.packets = number;
      if (name == "--pps") options.pps = number;
    }
  }
  if (options.pids.empty() || options.server.port == 0) return std::nullopt;
  // One train is at most what a UdpSocket takes.
  options.burst =
      std::min({options.burst, net::UdpSocket::kMaxTrainSegments,
                net::UdpSocket::kMaxTrainBytes / (options.bytes + 48)});
  return options;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) {
  const auto options = kyuu::Parse(argc, argv);
  if (!options) {
    std::fprintf(
        stderr,
        "usage: relay_load --server IP:PORT --user U:P --pid PID ...\n");
    return 2;
  }
  return kyuu::Load(*options).Run();
}
