// CPU of SCTP alone: two associations in memory, beside libusrsctp on the same
// work in the same run. Both compute and check CRC32c, both fill packets of
// at most 1191 bytes, and both exchange them in trains of up to 64, as a
// batching socket would.
//
//   bazel run --config=opt //bench:sctp_association_bench
//
// `ns/packet` is CPU time of both ends per 1143 bytes of payload; `ratio` is
// libusrsctp's divided by ours.

#include <errno.h>
#include <time.h>
#include <usrsctp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/random.h"
#include "bench/allocations.h"
#include "benchmark/benchmark.h"
#include "sctp/association.h"

namespace kyuu {
namespace {

constexpr size_t kTrain = 64;
constexpr double kPacketPayload = 1143;
// What one iteration transfers.
constexpr size_t kBatchBytes = 1 << 20;

// Results by message size, for the ratio.
std::map<int64_t, double>& KyuuNs() {
  static auto* results = new std::map<int64_t, double>();
  return *results;
}

double CpuNow() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// A train of packets in preallocated memory.
struct Train {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(kTrain * 2048);
  std::vector<size_t> sizes;

  absl::Span<uint8_t> next() {
    return absl::MakeSpan(bytes).subspan(sizes.size() * 2048, 2048);
  }
  absl::Span<const uint8_t> packet(size_t i) const {
    return absl::MakeConstSpan(bytes).subspan(i * 2048, sizes[i]);
  }
};

class KyuuPair {
 public:
  KyuuPair() : random_(1), a_(Big(), random_), b_(Big(), random_) {
    train_.sizes.reserve(kTrain);
    KYUU_CHECK(a_.Connect(now_).ok() && b_.Connect(now_).ok());
    while (!a_.is_connected() || !b_.is_connected()) Step();
    Count();
  }

  // Sends `count` messages and runs until they have arrived.
  void Transfer(size_t size, size_t count) {
    size_t received = 0;
    size_t sent = 0;
    while (received < count) {
      while (sent < count) {
        sctp::Message message{sctp::StreamId{0}, sctp::Ppid{53}, {}};
        message.payload.resize(size);
        if (!a_.Send(now_, std::move(message)).ok()) break;
        ++sent;
      }
      Step();
      received += Count();
    }
  }

 private:
  static sctp::Options Big() {
    sctp::Options options;
    options.send_buffer_bytes = 4 << 20;
    return options;
  }
  void Step() {
    now_ += absl::Microseconds(100);
    Move(a_, b_);
    Move(b_, a_);
    if (a_.NextTimeout() <= now_) a_.HandleTimeout(now_);
    if (b_.NextTimeout() <= now_) b_.HandleTimeout(now_);
  }
  void Move(sctp::Association& from, sctp::Association& to) {
    train_.sizes.clear();
    while (train_.sizes.size() < kTrain) {
      auto packet = from.PollTransmit(now_, train_.next());
      if (!packet) break;
      train_.sizes.push_back(packet->size());
    }
    for (size_t i = 0; i < train_.sizes.size(); ++i) {
      to.HandlePacket(now_, train_.packet(i));
    }
  }
  size_t Count() {
    size_t count = 0;
    while (auto event = b_.PollEvent()) {
      count += std::holds_alternative<sctp::Message>(*event) ? 1 : 0;
    }
    while (a_.PollEvent()) {
    }
    return count;
  }

  absl::Time now_ = absl::FromUnixSeconds(1);
  SeededRandom random_;
  sctp::Association a_;
  sctp::Association b_;
  Train train_;
};

void BM_Kyuu(benchmark::State& state) {
  const size_t size = static_cast<size_t>(state.range(0));
  const size_t count = std::max<size_t>(1, kBatchBytes / size);
  KyuuPair pair;
  pair.Transfer(size, 8 * count);  // Open the window.
  const double start = CpuNow();
  const uint64_t allocations = bench::Allocations();
  for (auto _ : state) pair.Transfer(size, count);
  const double packets = static_cast<double>(state.iterations()) *
                         static_cast<double>(count * size) / kPacketPayload;
  const double ns = (CpuNow() - start) / packets;
  KyuuNs()[state.range(0)] = ns;
  state.counters["ns/packet"] = ns;
  state.counters["ns/message"] =
      ns * static_cast<double>(size) / kPacketPayload;
  state.counters["allocs/packet"] =
      static_cast<double>(bench::Allocations() - allocations) / packets;
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(count * size));
}
BENCHMARK(BM_Kyuu)->Arg(64)->Arg(1143)->Arg(65536);

// libusrsctp in one thread over AF_CONN. Its addresses are two pointers.
class UsrsctpPair {
 public:
  UsrsctpPair() {
    listener_ = Open(&b_address_);
    sockaddr_conn server = Address(&b_address_);
    client_ = Open(&a_address_);
    sockaddr_conn client = Address(&a_address_);
    KYUU_CHECK(usrsctp_bind(listener_, reinterpret_cast<sockaddr*>(&server),
                            sizeof(server)) == 0);
    KYUU_CHECK(usrsctp_listen(listener_, 1) == 0);
    KYUU_CHECK(usrsctp_bind(client_, reinterpret_cast<sockaddr*>(&client),
                            sizeof(client)) == 0);
    // To the client, the other end has the client's pointer: a packet is
    // delivered to the address that it was registered under.
    sockaddr_conn remote = Address(&a_address_);
    const int result = usrsctp_connect(
        client_, reinterpret_cast<sockaddr*>(&remote), sizeof(remote));
    KYUU_CHECK(result == 0 || errno == EINPROGRESS);
    for (int i = 0; i < 1000 && server_ == nullptr; ++i) {
      Step();
      server_ = usrsctp_accept(listener_, nullptr, nullptr);
    }
    KYUU_CHECK(server_ != nullptr);
    KYUU_CHECK(usrsctp_set_non_blocking(server_, 1) == 0);
  }
  ~UsrsctpPair() {
    usrsctp_close(client_);
    usrsctp_close(server_);
    usrsctp_close(listener_);
    for (int i = 0; i < 100; ++i) Step();
  }

  void Transfer(size_t size, size_t count) {
    payload_.resize(size);
    const size_t total = size * count;
    size_t sent = 0;
    size_t received = 0;
    while (received < total) {
      while (sent < count) {
        sctp_sndinfo info{};
        info.snd_ppid = htonl(53);
        const ssize_t n =
            usrsctp_sendv(client_, payload_.data(), payload_.size(), nullptr, 0,
                          &info, sizeof(info), SCTP_SENDV_SNDINFO, 0);
        if (n < 0) break;
        ++sent;
      }
      Step();
      received += Receive();
    }
  }

  static int Output(void* address, void* buffer, size_t length, uint8_t,
                    uint8_t) {
    // The sender's own pointer is given: a's packets go to b, and back.
    auto* bytes = static_cast<uint8_t*>(buffer);
    auto& queue = address == &a_address_ ? to_b_ : to_a_;
    queue.emplace_back(bytes, bytes + length);
    return 0;
  }

 private:
  static sockaddr_conn Address(void* pointer) {
    sockaddr_conn address{};
    address.sconn_family = AF_CONN;
    address.sconn_port = htons(5000);
    address.sconn_addr = pointer;
    return address;
  }
  static struct socket* Open(void* address) {
    usrsctp_register_address(address);
    struct socket* socket = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP,
                                           nullptr, nullptr, 0, nullptr);
    KYUU_CHECK(socket != nullptr);
    KYUU_CHECK(usrsctp_set_non_blocking(socket, 1) == 0);
    int bytes = 4 << 20;
    for (int option : {SO_SNDBUF, SO_RCVBUF}) {
      KYUU_CHECK(usrsctp_setsockopt(socket, SOL_SOCKET, option, &bytes,
                                    sizeof(bytes)) == 0);
    }
    int on = 1;
    KYUU_CHECK(usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_NODELAY, &on,
                                  sizeof(on)) == 0);
    sctp_paddrparams params{};
    params.spp_flags = SPP_PMTUD_DISABLE;
    params.spp_pathmtu = 1191;
    KYUU_CHECK(usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS,
                                  &params, sizeof(params)) == 0);
    return socket;
  }
  void Step() {
    for (size_t i = 0; i < kTrain && next_b_ < to_b_.size(); ++i, ++next_b_) {
      usrsctp_conninput(&b_address_, to_b_[next_b_].data(),
                        to_b_[next_b_].size(), 0);
    }
    if (next_b_ == to_b_.size()) to_b_.clear(), next_b_ = 0;
    for (size_t i = 0; i < kTrain && next_a_ < to_a_.size(); ++i, ++next_a_) {
      usrsctp_conninput(&a_address_, to_a_[next_a_].data(),
                        to_a_[next_a_].size(), 0);
    }
    if (next_a_ == to_a_.size()) to_a_.clear(), next_a_ = 0;
    if (++steps_ % 16 == 0) usrsctp_handle_timers(2);
  }
  size_t Receive() {
    size_t total = 0;
    for (;;) {
      sctp_rcvinfo info{};
      socklen_t info_size = sizeof(info);
      unsigned int type = 0;
      int flags = 0;
      socklen_t from_size = 0;
      const ssize_t n =
          usrsctp_recvv(server_, buffer_.data(), buffer_.size(), nullptr,
                        &from_size, &info, &info_size, &type, &flags);
      if (n <= 0) return total;
      total += static_cast<size_t>(n);
    }
  }

  static inline char a_address_ = 0;
  static inline char b_address_ = 0;
  static inline std::vector<std::vector<uint8_t>> to_a_;
  static inline std::vector<std::vector<uint8_t>> to_b_;
  size_t next_a_ = 0;
  size_t next_b_ = 0;
  int steps_ = 0;
  struct socket* listener_ = nullptr;
  struct socket* client_ = nullptr;
  struct socket* server_ = nullptr;
  std::vector<uint8_t> payload_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(1 << 17);
};

void BM_Usrsctp(benchmark::State& state) {
  static const bool initialised = [] {
    usrsctp_init_nothreads(0, UsrsctpPair::Output, nullptr);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    return true;
  }();
  KYUU_CHECK(initialised);
  const size_t size = static_cast<size_t>(state.range(0));
  const size_t count = std::max<size_t>(1, kBatchBytes / size);
  UsrsctpPair pair;
  pair.Transfer(size, 8 * count);
  const double start = CpuNow();
  for (auto _ : state) pair.Transfer(size, count);
  const double packets = static_cast<double>(state.iterations()) *
                         static_cast<double>(count * size) / kPacketPayload;
  const double ns = (CpuNow() - start) / packets;
  state.counters["ns/packet"] = ns;
  state.counters["ns/message"] =
      ns * static_cast<double>(size) / kPacketPayload;
  if (KyuuNs().contains(state.range(0))) {
    state.counters["ratio"] = ns / KyuuNs()[state.range(0)];
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(count * size));
}
BENCHMARK(BM_Usrsctp)->Arg(64)->Arg(1143)->Arg(65536);

}  // namespace
}  // namespace kyuu
