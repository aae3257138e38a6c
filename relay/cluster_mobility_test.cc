// Clients of a cluster that move (RFC 8016): the kernel, or Cluster::Admit(),
// gives their new address to another loop than the one that has what they mean.

#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "dtls/acceptor.h"
#include "dtls/certificate.h"
#include "dtls/session.h"
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

class Sealed final : public Wire {
 public:
  Sealed(net::TestLoop& loop, const TransportAddress& server,
         const dtls::Certificate& certificate)
      : wire_(loop, server), alarm_(*loop, [this, &loop] {
          session_->HandleTimeout(net::Loop::Now());
          Flush();
          loop->Stop();
        }) {
    BeginAnew(certificate);
  }
  // Says goodbye.
  void Close() {
    session_->Close(net::Loop::Now());
    Flush();
  }
  // A new session from the same address; nothing is said of the one before.
  void BeginAnew(const dtls::Certificate& certificate) {
    session_.emplace(dtls::Role::kClient, certificate, dtls::Options());
    EXPECT_OK(session_->SetRemoteFingerprints(net::Loop::Now(),
                                              {certificate.fingerprint()}));
    session_->Start(net::Loop::Now());
    Flush();
  }
  void Send(absl::Span<const uint8_t> bytes) override {
    waiting_.emplace_back(AsText(bytes));
    Flush();
  }
  void Read() override {
    wire_.Read();
    for (const std::string& datagram : std::exchange(wire_.heard, {})) {
      session_->HandlePacket(net::Loop::Now(), AsBytes(datagram));
      std::vector<uint8_t> out(dtls::kPlaintextMax);
      while (const auto text = session_->ReadPlaintext(absl::MakeSpan(out))) {
        heard.emplace_back(AsText(*text));
      }
    }
    Flush();
  }
  // Two messages in one datagram.
  void SendTogether(absl::Span<const uint8_t> first,
                    absl::Span<const uint8_t> second) {
    std::vector<uint8_t> datagram;
    for (const auto& bytes : {first, second}) {
      const std::vector<uint8_t> record = Seal(bytes);
      datagram.insert(datagram.end(), record.begin(), record.end());
    }
    wire_.Send(datagram);
  }

 private:
  std::vector<uint8_t> Seal(absl::Span<const uint8_t> bytes) {
    std::vector<uint8_t> out(bytes.size() + dtls::kRecordOverheadMax);
    out.resize(session_->Seal(bytes, absl::MakeSpan(out)).value());
    return out;
  }
  void Flush() {
    std::vector<uint8_t> out(2048);
    while (const auto packet =
               session_->PollTransmit(net::Loop::Now(), absl::MakeSpan(out))) {
      wire_.Send(*packet);
    }
    // A loop may hear of the certificate after the first ClientHello.
    alarm_.Set(session_->NextTimeout());
    if (!session_->connected()) return;
    for (const std::string& message : std::exchange(waiting_, {})) {
      wire_.Send(Seal(AsBytes(message)));
    }
  }

  Datagrams wire_;
  std::optional<dtls::Session> session_;
  net::Alarm alarm_;
  std::vector<std::string> waiting_;  // For the end of the handshake.
};

class ClusterMobilityTest : public testing::TestWithParam<Transport> {
 protected:
  explicit ClusterMobilityTest(Options options = {.threads = 4}) {
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
    if (GetParam() != Transport::kDtls) return;
    const std::string file =
        absl::StrCat(testing::TempDir(), "/cluster_mobility.pem");
    std::ofstream(file) << certificate_.ToPem();
    cluster_->SetDtls(dtls::ServerContext::FromFiles(file, file).value());
  }

  std::unique_ptr<Wire> Open() {
    if (GetParam() == Transport::kUdp) {
      return std::make_unique<Datagrams>(loop_, cluster_->listeners()[0]);
    }
    if (GetParam() == Transport::kDtls) {
      return std::make_unique<Sealed>(loop_, cluster_->listeners()[0],
                                      certificate_);
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
  std::vector<uint8_t> Build(stun::Method method, absl::string_view nonce,
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
    const absl::Span<const uint8_t> message = w.Finish();
    return {message.begin(), message.end()};
  }
  template <typename Fill>
  std::string NonceFor(Wire& wire, stun::Method method, Fill fill) {
    wire.Send(Build(method, "", fill));
    message_ = Hear(wire);
    return std::string(
        stun::MessageView::Parse(AsBytes(message_))->Get<stun::Nonce>()->value);
  }
  template <typename Fill>
  stun::MessageView Call(Wire& wire, stun::Method method, Fill fill) {
    wire.Send(Build(method, NonceFor(wire, method, fill), fill));
    return Succeed(wire);
  }
  stun::MessageView Succeed(Wire& wire) {
    message_ = Hear(wire);
    const auto answer = *stun::MessageView::Parse(AsBytes(message_));
    EXPECT_EQ(answer.cls(), stun::MessageClass::kSuccess);
    if (const auto ticket = answer.Get<stun::MobilityTicket>()) {
      ticket_.assign(ticket->value.begin(), ticket->value.end());
    }
    return answer;
  }

  // Allocates, with a ticket and a channel to `peer`.
  void AllocateTo(Wire& wire, const TransportAddress& peer) {
    Call(wire, stun::Method::kAllocate, [](stun::MessageWriter& w) {
      w.Add(stun::RequestedTransport{});
      w.Add(stun::MobilityTicket{});
    });
    Call(wire, stun::Method::kChannelBind, [&](stun::MessageWriter& w) {
      w.Add(stun::ChannelNumber{kChannel});
      w.Add(stun::XorPeerAddress{peer});
    });
  }
  static std::vector<uint8_t> InChannel(absl::string_view text) {
    std::vector<uint8_t> data(turn::kChannelHeaderSize);
    turn::WriteChannelHeader(kChannel, text.size(), absl::MakeSpan(data));
    data.insert(data.end(), text.begin(), text.end());
    return data;
  }
  Stats Collected() {
    Stats sum;
    bool told = false;
    cluster_->CollectStats([&](const Stats& stats) {
      sum = stats;
      told = true;
      loop_->Stop();
    });
    loop_.RunUntil([&] { return told; });
    return sum;
  }

  net::TestLoop loop_;
  SystemRandom random_;
  const dtls::Certificate certificate_ =
      dtls::Certificate::Generate(absl::FromUnixSeconds(1'700'000'000)).value();
  TransportAddress streams_;
  std::optional<net::StreamPort> port_;  // Outlives the cluster's streams.
  std::unique_ptr<Cluster> cluster_;
  std::string message_;
  std::vector<uint8_t> ticket_;
};

INSTANTIATE_TEST_SUITE_P(Transports, ClusterMobilityTest,
                         testing::Values(Transport::kUdp, Transport::kTcp,
                                         Transport::kDtls));

// Sends everything back.
class Echo {
 public:
  explicit Echo(net::TestLoop& loop)
      : watch_(*loop, socket_.fd(), net::Interest::kRead,
               [this](net::Readiness) {
                 for (const net::Train& train : socket_.Receive(buffer_)) {
                   socket_.SendOne(train.path, train.segment(0));
                 }
               }) {}
  const TransportAddress& address() const { return socket_.local(); }

 private:
  net::UdpSocket socket_ =
      net::UdpSocket::Open({.bind = {kLoopback, 0}}).value();
  net::ReceiveBuffer buffer_;
  net::Watch watch_;
};

TEST_P(ClusterMobilityTest, WhicheverLoopAClientMovesToItGoesOn) {
  Echo peer(loop_);
  std::vector<std::unique_ptr<Wire>> wires;
  wires.push_back(Open());
  AllocateTo(*wires[0], peer.address());
  constexpr size_t kMoves = 12;
  for (size_t i = 1; i <= kMoves; ++i) {
    // Streams are given to the loop that has the fewest: all have some.
    wires.push_back(Open());
    Call(*wires[i], stun::Method::kRefresh, [&](stun::MessageWriter& w) {
      w.Add(stun::Lifetime{600});
      w.Add(stun::MobilityTicket{ticket_});
    });
    const std::vector<uint8_t> data = InChannel(i % 2 == 0 ? "even" : "odd.");
    wires[i]->Send(data);
    EXPECT_EQ(Hear(*wires[i]), AsText(data));
  }
  const Stats sum = Collected();
  EXPECT_EQ(sum.server.moves, kMoves);
  EXPECT_GT(sum.server.handed_on, 0u);
  EXPECT_EQ(sum.node.handover_drops, 0u);
  EXPECT_EQ(sum.node.streams_moved > 0, GetParam() == Transport::kTcp);
  EXPECT_EQ(sum.dtls.moved > 0, GetParam() == Transport::kDtls);
  EXPECT_EQ(cluster_->allocations(), 1u);
}

// One address after another is the address of allocations all over the cluster.
TEST_P(ClusterMobilityTest, AnAddressMayHaveOneAllocationAfterAnother) {
  Echo peer(loop_);
  std::vector<std::unique_ptr<Wire>> wires;
  std::vector<std::vector<uint8_t>> tickets;
  for (size_t i = 0; i < 12; ++i) {
    wires.push_back(Open());
    AllocateTo(*wires.back(), peer.address());
    tickets.push_back(ticket_);
  }
  wires.push_back(Open());
  Wire& wire = *wires.back();
  for (const std::vector<uint8_t>& ticket : tickets) {
    Call(wire, stun::Method::kRefresh, [&](stun::MessageWriter& w) {
      w.Add(stun::Lifetime{600});
      w.Add(stun::MobilityTicket{ticket});
    });
    const std::vector<uint8_t> data = InChannel("here");
    wire.Send(data);
    EXPECT_EQ(Hear(wire), AsText(data));
    Call(wire, stun::Method::kRefresh,
         [](stun::MessageWriter& w) { w.Add(stun::Lifetime{0}); });
  }
  const Stats sum = Collected();
  EXPECT_EQ(sum.server.moves, tickets.size());
  EXPECT_EQ(sum.node.handover_drops, 0u);
}

class ClusterDtlsMobilityTest : public ClusterMobilityTest {
 protected:
  using ClusterMobilityTest::ClusterMobilityTest;

  Sealed& OpenSealed() {
    wires_.push_back(std::make_unique<Sealed>(loop_, cluster_->listeners()[0],
                                              certificate_));
    return *wires_.back();
  }
  const std::function<void(stun::MessageWriter&)> moves_ =
      [this](stun::MessageWriter& w) {
        w.Add(stun::Lifetime{600});
        w.Add(stun::MobilityTicket{ticket_});
      };

  std::vector<std::unique_ptr<Sealed>> wires_;
};

INSTANTIATE_TEST_SUITE_P(Dtls, ClusterDtlsMobilityTest,
                         testing::Values(Transport::kDtls));

TEST_P(ClusterDtlsMobilityTest, WhatIsBehindTheTicketInTheSameDatagramIsHeard) {
  Echo peer(loop_);
  AllocateTo(OpenSealed(), peer.address());
  for (int i = 0; i < 12; ++i) {
    Sealed& wire = OpenSealed();
    const std::string nonce = NonceFor(wire, stun::Method::kRefresh, moves_);
    const std::vector<uint8_t> data = InChannel("behind");
    wire.SendTogether(Build(stun::Method::kRefresh, nonce, moves_), data);
    Succeed(wire);
    EXPECT_EQ(Hear(wire), AsText(data));
  }
  EXPECT_GT(Collected().dtls.moved, 0u);
}

// A moved client may begin anew from its address, as an application that was
// started again at the same port.
TEST_P(ClusterDtlsMobilityTest, WhoBeginsAnewHasNothingLeftElsewhere) {
  Echo peer(loop_);
  AllocateTo(OpenSealed(), peer.address());
  for (int i = 0; i < 12; ++i) {
    Sealed& wire = OpenSealed();
    Call(wire, stun::Method::kRefresh, moves_);
    const std::vector<uint8_t> data = InChannel("here");
    wire.Send(data);
    EXPECT_EQ(Hear(wire), AsText(data));
    wire.BeginAnew(certificate_);
    AllocateTo(wire, peer.address());
  }
  EXPECT_GT(Collected().dtls.moved, 0u);
  loop_.RunUntil([&] { return cluster_->allocations() == 1; });
}

class ClusterDtlsVisitsTest : public ClusterDtlsMobilityTest {
 protected:
  ClusterDtlsVisitsTest()
      : ClusterDtlsMobilityTest({.threads = 2, .server = {.visitors_max = 4}}) {
  }
};

INSTANTIATE_TEST_SUITE_P(Dtls, ClusterDtlsVisitsTest,
                         testing::Values(Transport::kDtls));

// What is kept of clients on DTLS that have moved and ended would fill the
// table, for a lifetime of an hour.
TEST_P(ClusterDtlsVisitsTest, WhoHasMovedAndEndedLeavesItsPlace) {
  Echo peer(loop_);
  for (int i = 0; i < 32; ++i) {
    Sealed& first = OpenSealed();
    AllocateTo(first, peer.address());
    Sealed& second = OpenSealed();
    Call(second, stun::Method::kRefresh, moves_);
    Call(second, stun::Method::kRefresh,
         [](stun::MessageWriter& w) { w.Add(stun::Lifetime{0}); });
    first.Close();
    second.Close();
  }
  const Stats sum = Collected();
  EXPECT_GT(sum.dtls.moved, 0u);
  EXPECT_EQ(sum.server.visitors_refused, 0u);
}

}  // namespace
}  // namespace kyuu::relay
