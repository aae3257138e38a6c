// Clients of a cluster on TCP: shared among its loops, and what they hold.

#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "net/udp_socket.h"
#include "relay/cluster.h"
#include "relay/options.h"
#include "relay/testing/cluster_bed.h"
#include "turn/client.h"
#include "turn/framing.h"

namespace kyuu::relay {
namespace {

// A TURN client on TCP.
class Client {
 public:
  Client(net::TestLoop& loop, const TransportAddress& server)
      : loop_(loop),
        tcp_(*loop, net::TcpStream::Connect(server).value()),
        turn_(random_, {.local = tcp_.stream.path().local,
                        .server = server,
                        .username = "u",
                        .password = "p"}) {
    EXPECT_OK(turn_.Allocate(net::Loop::Now()));
    Send();
    loop_.RunUntil([&] { return Allocated(); });
  }

  const TransportAddress& relayed() const { return turn_.relayed(); }
  void Bind(const TransportAddress& peer) {
    EXPECT_OK(turn_.BindChannel(net::Loop::Now(), peer));
    Send();
    loop_.RunUntil([&] {
      Read();
      return turn_.ChannelOf(peer).has_value();
    });
  }
  // Reads no more, and lets the kernel take little in its stead.
  void StopReading() {
    tcp_.reading = false;
    const int bytes = 4096;
    ASSERT_EQ(setsockopt(tcp_.stream.fd(), SOL_SOCKET, SO_RCVBUF, &bytes,
                         sizeof(bytes)),
              0);
  }
  // Datagrams that have come.
  size_t Read() {
    while (true) {
      const auto bytes = AsBytes(tcp_.received);
      const auto frame = turn::ReadFrame(bytes);
      EXPECT_OK(frame);
      if (!frame->has_value() || bytes.size() < (*frame)->bytes()) break;
      const Datagram in{{.local = tcp_.stream.path().local,
                         .remote = tcp_.stream.path().remote},
                        bytes.first((*frame)->message_bytes)};
      if (turn_.Unwrap(in)) {
        ++datagrams_;
      } else {
        turn_.HandlePacket(net::Loop::Now(), in);
      }
      tcp_.received.erase(0, (*frame)->bytes());
    }
    Send();
    return datagrams_;
  }

 private:
  bool Allocated() {
    Read();
    return turn_.allocated();
  }
  void Send() {
    std::vector<uint8_t> out(2048);
    while (auto p = turn_.PollTransmit(net::Loop::Now(), absl::MakeSpan(out))) {
      EXPECT_OK(tcp_.Write(AsText(p->bytes)));
    }
    while (turn_.PollEvent()) {
    }
  }

  net::TestLoop& loop_;
  SystemRandom random_;
  net::Endpoint<net::TcpStream> tcp_;
  turn::Client turn_;
  size_t datagrams_ = 0;
};

class ClusterStreamsTest : public testing::Test, protected ClusterBed {
 protected:
  void Open(Options options) {
    options.server.relay_port_low = 52'000;
    options.server.relay_port_high = 52'999;
    ClusterBed::Open(std::move(options));
  }
  NodeStats Stats() {
    NodeStats found;  // At once, of one loop.
    cluster_->CollectStats(
        [&](const relay::Stats& stats) { found = stats.node; });
    return found;
  }
  void Send(net::UdpSocket& peer, const TransportAddress& to, size_t count) {
    const std::string text(1000, 'x');
    for (size_t i = 0; i < count; ++i) {
      peer.SendOne({.local = peer.local(), .remote = to}, AsBytes(text));
    }
  }
};

TEST_F(ClusterStreamsTest, LoopsHaveEquallyManyAndPlacesComeBack) {
  Options options;
  options.threads = 3;
  Open(std::move(options));
  net::UdpSocket peer = net::UdpSocket::Open({.bind = kAnyPort}).value();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<Client>(loop_, server_));
    clients.back()->Bind(peer.local());
    Send(peer, clients.back()->relayed(), 1);
    loop_.RunUntil([&] { return clients.back()->Read() == 1; });
  }
  EXPECT_EQ(cluster_->streams(), std::vector<size_t>({2, 2, 2}));
  EXPECT_EQ(port_->open_streams(), 6u);
  // Those of one loop leave: their places are the next ones to be taken.
  clients[4].reset();
  clients[1].reset();
  loop_.PollUntil([&] { return port_->open_streams() == 4; });
  EXPECT_EQ(cluster_->streams(), std::vector<size_t>({2, 0, 2}));
  clients.push_back(std::make_unique<Client>(loop_, server_));
  EXPECT_EQ(cluster_->streams(), std::vector<size_t>({2, 1, 2}));
  cluster_->Close();
  EXPECT_EQ(port_->open_streams(), 0u);
  EXPECT_EQ(cluster_->streams(), std::vector<size_t>({0, 0, 0}));
}

// StreamSettings::bytes_max, half of which is soon taken by who does not read.
TEST_F(ClusterStreamsTest, WhoReadsLosesNothingByWhoDoesNot) {
  Options options;
  options.streams.bytes_max = 128 * 1024;
  options.streams.client.queued_bytes_max = 1 << 20;
  Open(std::move(options));
  net::UdpSocket peer = net::UdpSocket::Open({.bind = kAnyPort}).value();
  Client stalled(loop_, server_), reading(loop_, server_);
  stalled.Bind(peer.local());
  reading.Bind(peer.local());
  stalled.StopReading();
  loop_.PollUntil([&] {
    Send(peer, stalled.relayed(), 50);
    return Stats().stream_drops > 0;
  });
  for (size_t i = 1; i <= 100; ++i) {
    Send(peer, reading.relayed(), 1);
    loop_.RunUntil([&] { return reading.Read() == i; });
  }
  EXPECT_EQ(Stats().streams_cut, 0u);
}

}  // namespace
}  // namespace kyuu::relay
