// Clients of a cluster that move (RFC 8016): the kernel, or Cluster::Admit(),
// gives their new address to another loop than the one that has what they mean.

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
#include "net/stream_port.h"
#include "net/tcp.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "net/udp_socket.h"
#include "relay/cluster.h"
#include "relay/options.h"
#include "stun/message.h"
#include "turn/channel_data.h"
#include "turn/framing.h"

namespace kyuu::relay {
namespace {

const IpAddress kLoopback = IpAddress::V4(127, 0, 0, 1);
constexpr uint16_t kChannel = 0x4000;

// What a client sends and hears, by whatever socket.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual void Send(absl::Span<const uint8_t> bytes) = 0;
  // Takes what has come into `heard`.
  virtual void Read() = 0;
  // Messages that have come.
  std::vector<std::string> heard;
};

class Datagrams final : public Wire {
 public:
  Datagrams(net::TestLoop& loop, const TransportAddress& server)
      : server_(server),
        socket_(net::UdpSocket::Open({.bind = {kLoopback, 0}}).value()),
        watch_(*loop, socket_.fd(), net::Interest::kRead,
               [this, &loop](net::Readiness) {
                 Read();
                 loop->Stop();
               }) {}
  void Send(absl::Span<const uint8_t> bytes) override {
    socket_.SendOne({.local = socket_.local(), .remote = server_}, bytes);
  }
  void Read() override {
    for (const net::Train& train : socket_.Receive(buffer_)) {
      for (size_t i = 0; i < train.segments(); ++i) {
        heard.emplace_back(AsText(train.segment(i)));
      }
    }
  }

 private:
  const TransportAddress server_;
  net::UdpSocket socket_;
  net::ReceiveBuffer buffer_;
  net::Watch watch_;
};

class Stream final : public Wire {
 public:
  Stream(net::TestLoop& loop, const TransportAddress& server)
      : tcp_(*loop, net::TcpStream::Connect(server).value()) {}
  void Send(absl::Span<const uint8_t> bytes) override {
    EXPECT_OK(tcp_.Write(AsText(bytes)));
  }
  void Read() override {
    while (true) {
      const auto frame = turn::ReadFrame(AsBytes(tcp_.received));
      if (!frame.ok() || !frame->has_value() ||
          tcp_.received.size() < (*frame)->bytes()) {
        return;
      }
      heard.push_back(tcp_.received.substr(0, (*frame)->message_bytes));
      tcp_.received.erase(0, (*frame)->bytes());
    }
  }

 private:
  net::Endpoint<net::TcpStream> tcp_;
};

class ClusterMobilityTest : public testing::TestWithParam<Transport> {
 protected:
  ClusterMobilityTest() {
    Options options;
    options.threads = 4;
    options.listen = {{kLoopback, 0}};
    options.server.users = {{"u", "p"}};
    options.server.relay_port_low = 54'000;
    options.server.relay_port_high = 54'999;
    options.server.allow_peers = {IpPrefix::Parse("127.0.0.0/8").value()};
    cluster_ =
        Cluster::Open(std::move(options), *loop_, [](const Event&) {}).value();
    std::vector<net::TcpListener> listeners;
    listeners.push_back(
        net::TcpListener::Open({.bind = {kLoopback, 0}}).value());
    streams_ = listeners[0].local();
    port_.emplace(
        *loop_, std::move(listeners), net::StreamPortOptions(),
        [this](net::AcceptedStream stream) {
          cluster_->Admit(std::move(stream));
        },
        [](net::StreamRefusal, const TransportAddress&) {});
  }

  std::unique_ptr<Wire> Open() {
    if (GetParam() == Transport::kUdp) {
      return std::make_unique<Datagrams>(loop_, cluster_->listeners()[0]);
    }
    return std::make_unique<Stream>(loop_, streams_);
  }
  std::string Hear(Wire& wire) {
    loop_.RunUntil([&] {
      wire.Read();
      return !wire.heard.empty();
    });
    std::string message = wire.heard.front();
    wire.heard.erase(wire.heard.begin());
    return message;
  }
  template <typename Fill>
  void Ask(Wire& wire, stun::Method method, absl::string_view nonce,
           Fill fill) {
    std::vector<uint8_t> out(2048);
    stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kRequest,
                          method, stun::TransactionId::Generate(random_));
    fill(w);
    if (!nonce.empty()) {
      w.Add(stun::Username{"u"});
      w.Add(stun::Realm{"kyuu"});
      w.Add(stun::Nonce{nonce});
      w.AddIntegrity(stun::IntegrityKey::LongTerm("u", "kyuu", "p"));
    }
    wire.Send(w.Finish());
  }
  template <typename Fill>
  stun::MessageView Call(Wire& wire, stun::Method method, Fill fill) {
    Ask(wire, method, "", fill);
    message_ = Hear(wire);
    const std::string nonce(
        stun::MessageView::Parse(AsBytes(message_))->Get<stun::Nonce>()->value);
    Ask(wire, method, nonce, fill);
    message_ = Hear(wire);
    const auto answer = *stun::MessageView::Parse(AsBytes(message_));
    EXPECT_EQ(answer.cls(), stun::MessageClass::kSuccess);
    if (const auto ticket = answer.Get<stun::MobilityTicket>()) {
      ticket_.assign(ticket->value.begin(), ticket->value.end());
    }
    return answer;
  }

  net::TestLoop loop_;
  SystemRandom random_;
  TransportAddress streams_;
  std::optional<net::StreamPort> port_;  // Outlives the cluster's streams.
  std::unique_ptr<Cluster> cluster_;
  std::string message_;
  std::vector<uint8_t> ticket_;
};

INSTANTIATE_TEST_SUITE_P(Transports, ClusterMobilityTest,
                         testing::Values(Transport::kUdp, Transport::kTcp));

TEST_P(ClusterMobilityTest, WhicheverLoopAClientMovesToItGoesOn) {
  net::UdpSocket peer = net::UdpSocket::Open({.bind = {kLoopback, 0}}).value();
  net::ReceiveBuffer buffer;
  net::Watch echo(*loop_, peer.fd(), net::Interest::kRead, [&](net::Readiness) {
    for (const net::Train& train : peer.Receive(buffer)) {
      peer.SendOne(train.path, train.segment(0));
    }
  });
  std::vector<std::unique_ptr<Wire>> wires;
  wires.push_back(Open());
  Call(*wires[0], stun::Method::kAllocate, [](stun::MessageWriter& w) {
    w.Add(stun::RequestedTransport{});
    w.Add(stun::MobilityTicket{});
  });
  Call(*wires[0], stun::Method::kChannelBind, [&](stun::MessageWriter& w) {
    w.Add(stun::ChannelNumber{kChannel});
    w.Add(stun::XorPeerAddress{peer.local()});
  });
  constexpr size_t kMoves = 12;
  for (size_t i = 1; i <= kMoves; ++i) {
    // Streams are given to the loop that has the fewest: all have some.
    wires.push_back(Open());
    Call(*wires[i], stun::Method::kRefresh, [&](stun::MessageWriter& w) {
      w.Add(stun::Lifetime{600});
      w.Add(stun::MobilityTicket{ticket_});
    });
    std::vector<uint8_t> data(turn::kChannelHeaderSize);
    const std::string text = i % 2 == 0 ? "even" : "odd.";
    turn::WriteChannelHeader(kChannel, text.size(), absl::MakeSpan(data));
    data.insert(data.end(), text.begin(), text.end());
    wires[i]->Send(data);
    EXPECT_EQ(Hear(*wires[i]), AsText(data));
  }
  Stats sum;
  bool told = false;
  cluster_->CollectStats([&](const Stats& stats) {
    sum = stats;
    told = true;
    loop_->Stop();
  });
  loop_.RunUntil([&] { return told; });
  EXPECT_EQ(sum.server.moves, kMoves);
  EXPECT_GT(sum.server.handed_on, 0u);
  EXPECT_EQ(sum.node.handover_drops, 0u);
  EXPECT_EQ(sum.node.streams_moved > 0, GetParam() == Transport::kTcp);
  EXPECT_EQ(cluster_->allocations(), 1u);
}

}  // namespace
}  // namespace kyuu::relay
