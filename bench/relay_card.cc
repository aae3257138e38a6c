// Gives a TURN server datagrams as a network card would, and tells what each
// costs the machine. Datagrams that a process sends over a veth cable cost more
// on their way to the server than in it, and are in no receiver's account but
// its own; here frames begin at the server's interface
// (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18 and later), one by one, each of the
// next flow.
//
//   relay_card --server 11.1.1.1:3478 --user u:p --pid PID...
//              --client 11.1.1.2 --peer 11.1.1.2 --program card.bpf.o
//              --host /run/netns/server --interface v1a --idle v2a
//              --server-mac MAC --client-mac MAC
//              [--flows 1] [--bytes 1200] [--direction up|down]
//              [--data channel|binding] [--batch 64] [--packets 200000]
//              [--pps 0]
//
// Run in the namespace of the clients, with root's rights; --host is that of
// the server. A batch is what a driver takes from its card before others get to
// work. 512 frames at most are on their way without --pps. Prints one JSON
// line: CPU time per datagram that arrived, of the server's processes and of
// the thread that is the card, in which the kernel's receiving is; and what the
// card alone takes of that. It is measured with the same frames, which go to an
// interface that takes none: as with those that arrive, each has a page of its
// own that is filled and freed, which a driver's ring would use again. With
// --pps, at which most of it is to wake up for each batch, they come as slowly
// and are dropped at once: pages that are given back before the batch is over,
// as small ones are, cost more than such as are still on their way.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "bench/card.h"
#include "bench/relay_clients.h"
#include "net/fd.h"
#include "net/loop.h"

namespace kyuu::bench {
namespace {

// A veth has room for 256.
constexpr uint64_t kOutstanding = 192;
// What a sender that was late makes good for with --pps.
constexpr double kCredit = 64;
constexpr size_t kEthernet = 14;
constexpr size_t kMac = 6;
// What has not come by then was lost.
constexpr absl::Duration kPatience = absl::Seconds(1);

struct Options {
  RelayClientsOptions clients;
  std::string program, host, interface, idle, server_mac, client_mac;
  std::vector<int> pids;
  size_t batch = 64, packets = 200000, pps = 0;
};

// The sum of a checksum (RFC 1071).
uint16_t Sum(absl::Span<const uint8_t> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

void PutU16(absl::Span<uint8_t> at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

// A datagram of UDP in its frame.
std::vector<uint8_t> FrameOf(const Options& options,
                             const TransportAddress& from,
                             const TransportAddress& to,
                             absl::Span<const uint8_t> data) {
  const bool v4 = from.ip.is_v4();
  const size_t network = v4 ? 20 : 40;
  const size_t udp = 8 + data.size();
  std::vector<uint8_t> frame(kEthernet + network + udp);
  Writer w(absl::MakeSpan(frame));
  for (const std::string& mac : {options.server_mac, options.client_mac}) {
    w.Bytes({reinterpret_cast<const uint8_t*>(mac.data()), mac.size()});
  }
  w.U16(v4 ? 0x0800 : 0x86dd);
  if (v4) {
    w.U16(0x4500);
    w.U16(static_cast<uint16_t>(network + udp));
    w.U32(0);
    w.U16(64 << 8 | IPPROTO_UDP);
    w.U16(0);
  } else {
    w.U32(0x60000000);
    w.U16(static_cast<uint16_t>(udp));
    w.U16(IPPROTO_UDP << 8 | 64);
  }
  w.Bytes(from.ip.bytes());
  w.Bytes(to.ip.bytes());
  w.U16(from.port);
  w.U16(to.port);
  w.U16(static_cast<uint16_t>(udp));
  w.U16(0);
  w.Bytes(data);
  const absl::Span<uint8_t> all = absl::MakeSpan(frame);
  if (v4) {
    const auto header = all.subspan(kEthernet, network);
    PutU16(header.subspan(10), static_cast<uint16_t>(~Sum(header)));
  }
  const size_t addresses = 2 * from.ip.bytes().size();
  const auto sum =
      static_cast<uint16_t>(~Sum(all.subspan(kEthernet + network - addresses),
                                 static_cast<uint32_t>(IPPROTO_UDP + udp)));
  PutU16(all.subspan(kEthernet + network + 6), sum == 0 ? 0xffff : sum);
  // Short frames are padded.
  frame.resize(std::max<size_t>(frame.size(), KYUU_CARD_HEAD));
  return frame;
}

// What the flow's sender sends, as it is on the cable.
std::vector<uint8_t> FrameOf(const Options& options, RelayClients& clients,
                             const RelayFlow& flow) {
  std::vector<uint8_t> data(clients.payload().begin(), clients.payload().end());
  if (!options.clients.up()) {
    return FrameOf(options, clients.peer().local(), flow.client->relayed(),
                   data);
  }
  data.insert(data.begin(), flow.head.begin(), flow.head.end());
  data.insert(data.end(), flow.tail.begin(), flow.tail.end());
  return FrameOf(options, flow.socket.local(), options.clients.server, data);
}

// The program of a card, loaded, in front of whatever is at the interface.
class Card {
 public:
  Card(const Options& options, std::vector<std::vector<uint8_t>> frames,
       uint32_t ifindex, const kyuu_card_config& config)
      : frame_(frames.front()),
        object_(bpf_object__open(options.program.c_str())) {
    KYUU_CHECK(object_ != nullptr);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_) {
      if (strstr(bpf_map__name(map), ".rodata") == nullptr) continue;
      KYUU_CHECK(bpf_map__set_initial_value(map, &config, sizeof config) == 0);
    }
    KYUU_CHECK(bpf_object__load(object_) == 0);
    program_ =
        bpf_program__fd(bpf_object__find_program_by_name(object_, "kyuu_card"));
    const int heads = MapOf("heads");
    for (uint32_t i = 0; i < frames.size(); ++i) {
      KYUU_CHECK(bpf_map_update_elem(heads, &i, frames[i].data(), BPF_ANY) ==
                 0);
    }
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    KYUU_CHECK(bpf_xdp_query(static_cast<int>(ifindex), 0, &query) == 0);
    if (query.prog_id != 0) {
      const net::Fd behind(bpf_prog_get_fd_by_id(query.prog_id));
      const uint32_t first = 0;
      const int fd = behind.get();
      KYUU_CHECK(bpf_map_update_elem(MapOf("behind"), &first, &fd, BPF_ANY) ==
                 0);
    }
    // The kernel makes its way to a program that is at an interface once, and
    // to any other anew each time, which takes it milliseconds.
    LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
    idle_ = net::Fd(bpf_link_create(
        program_, static_cast<int>(if_nametoindex(options.idle.c_str())),
        BPF_XDP, &native));
    KYUU_CHECK(idle_.valid());
    place_.ingress_ifindex = ifindex;
    place_.data_end = static_cast<uint32_t>(frame_.size());
  }
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;
  ~Card() { bpf_object__close(object_); }

  void Take(size_t count) {
    LIBBPF_OPTS(bpf_test_run_opts, run);
    run.data_in = frame_.data();
    run.data_size_in = static_cast<uint32_t>(frame_.size());
    run.ctx_in = &place_;
    run.ctx_size_in = sizeof place_;
    run.repeat = static_cast<int>(count);
    run.batch_size = static_cast<uint32_t>(count);
    run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    KYUU_CHECK(bpf_prog_test_run_opts(program_, &run) == 0);
  }

 private:
  int MapOf(const char* name) const {
    return bpf_map__fd(bpf_object__find_map_by_name(object_, name));
  }

  const std::vector<uint8_t> frame_;
  bpf_object* const object_;
  int program_ = -1;
  net::Fd idle_;
  xdp_md place_{};
};

absl::Duration ThreadTime() {
  timespec time{};
  KYUU_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return absl::DurationFromTimespec(time);
}

// The thread that is the card, on the server's core.
class Source {
 public:
  Source(const Options& options, RelayClients& clients) : options_(options) {
    for (const auto& flow : clients.flows()) {
      frames_.push_back(FrameOf(options, clients, *flow));
    }
    thread_ = std::thread([this] { Run(); });
    ready_.acquire();
  }
  ~Source() { Stop(); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // One batch more, whenever it gets to it.
  void Take() { batches_.release(); }
  // After the last batch: CPU time that it had.
  absl::Duration Stop() {
    if (thread_.joinable()) {
      stop_ = true;
      batches_.release();
      thread_.join();
    }
    return spent_;
  }
  // Of so many batches that get nowhere.
  absl::Duration Alone() const { return alone_; }

 private:
  void Run() {
    const net::Fd host(open(options_.host.c_str(), O_RDONLY | O_CLOEXEC));
    KYUU_CHECK(setns(host.get(), CLONE_NEWNET) == 0);
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    KYUU_CHECK(sched_setaffinity(0, sizeof first, &first) == 0);
    const uint32_t ifindex = if_nametoindex(options_.interface.c_str());
    KYUU_CHECK(ifindex != 0);
    alone_ = MeasureAlone(ifindex);
    Card card(options_, frames_, ifindex, {Flows(), 0, 0});
    ready_.release();
    const absl::Duration before = ThreadTime();
    while (true) {
      batches_.acquire();
      if (stop_) break;
      card.Take(options_.batch);
    }
    spent_ = ThreadTime() - before;
  }

  absl::Duration MeasureAlone(uint32_t ifindex) const {
    const kyuu_card_config paced = {Flows(), 1, 0};
    const kyuu_card_config full = {Flows(), 0,
                                   if_nametoindex(options_.idle.c_str())};
    Card card(options_, frames_, ifindex, options_.pps > 0 ? paced : full);
    const absl::Duration before = ThreadTime();
    const absl::Time start = net::Loop::Now();
    for (size_t i = 0; i < options_.packets / options_.batch; ++i) {
      if (options_.pps > 0) {
        const auto due = static_cast<double>(i * options_.batch) /
                         static_cast<double>(options_.pps);
        absl::SleepFor(start + absl::Seconds(due) - net::Loop::Now());
      }
      card.Take(options_.batch);
    }
    return ThreadTime() - before;
  }

  uint32_t Flows() const { return static_cast<uint32_t>(frames_.size()); }

  const Options& options_;
  std::vector<std::vector<uint8_t>> frames_;
  std::binary_semaphore ready_{0};
  std::counting_semaphore<> batches_{0};
  std::atomic<bool> stop_ = false;
  absl::Duration alone_, spent_;
  std::thread thread_;
};

// Keeps so many batches coming, and counts what arrives.
uint64_t Exchange(const Options& options, RelayClients& clients,
                  Source& source) {
  const absl::Time start = net::Loop::Now();
  const uint64_t target = options.packets / options.batch * options.batch;
  uint64_t sent = 0, before = 0;
  double skipped = 0;
  absl::Time progress = start;
  while (clients.received() < target) {
    const double due =
        options.pps == 0
            ? static_cast<double>(clients.received() + kOutstanding)
            : absl::ToDoubleSeconds(net::Loop::Now() - start) *
                  static_cast<double>(options.pps);
    // What it could not keep up with is not made good for.
    if (options.pps > 0) {
      skipped = std::max(skipped, due - static_cast<double>(sent) - kCredit);
    }
    while (sent < target &&
           static_cast<double>(sent + options.batch) + skipped <= due) {
      source.Take();
      sent += options.batch;
    }
    clients.Receive();
    const absl::Time now = net::Loop::Now();
    if (clients.received() != before) progress = now;
    before = clients.received();
    if (now - progress > kPatience) break;
  }
  return sent;
}

int Run(const Options& options) {
  RelayClients clients(options.clients);
  if (!clients.Open()) return 1;
  Source source(options, clients);
  const absl::Duration before = CpuTime(options.pids);
  const uint64_t sent = Exchange(options, clients, source);
  const absl::Duration card = source.Stop();
  const absl::Duration server = CpuTime(options.pids) - before;
  const auto received = static_cast<double>(clients.received());
  absl::PrintF(
      "{\"sent\":%d,\"received\":%d,\"server_us\":%.3f,\"card_us\":%.3f,"
      "\"card_alone_us\":%.3f}\n",
      sent, clients.received(), absl::ToDoubleMicroseconds(server) / received,
      absl::ToDoubleMicroseconds(card) / received,
      absl::ToDoubleMicroseconds(source.Alone()) / static_cast<double>(sent));
  clients.Close();
  return clients.received() > 0 ? 0 : 1;
}

std::optional<Options> Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (ParseRelayClientsOption(name, value, options.clients)) continue;
    if (name == "--program") options.program = value;
    if (name == "--host") options.host = value;
    if (name == "--interface") options.interface = value;
    if (name == "--idle") options.idle = value;
    if (name == "--server-mac" || name == "--client-mac") {
      const std::string mac =
          absl::HexStringToBytes(absl::StrReplaceAll(value, {{":", ""}}));
      if (mac.size() != kMac) return std::nullopt;
      (name == "--server-mac" ? options.server_mac : options.client_mac) = mac;
    }
    uint32_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number == 0) continue;
    if (name == "--pid") options.pids.push_back(static_cast<int>(number));
    if (name == "--batch") options.batch = number;
    if (name == "--packets") options.packets = number;
    if (name == "--pps") options.pps = number;
  }
  if (options.pids.empty() || options.clients.server.port == 0 ||
      options.program.empty() || options.host.empty() ||
      options.interface.empty() || options.idle.empty() ||
      options.server_mac.empty() || options.client_mac.empty() ||
      options.clients.flows > KYUU_CARD_FLOWS_MAX ||
      options.clients.data == Data::kIndications) {
    return std::nullopt;
  }
  return options;
}

}  // namespace
}  // namespace kyuu::bench

int main(int argc, char** argv) {
  const auto options = kyuu::bench::Parse(argc, argv);
  if (!options) {
    std::fprintf(stderr, "usage: see the head of bench/relay_card.cc\n");
    return 2;
  }
  return kyuu::bench::Run(*options);
}
