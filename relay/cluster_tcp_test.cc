// TCP with peers through a cluster (RFC 6062), on real sockets: clients'
// streams come to any loop, and are joined with peers at the one that has them.

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
#include "relay/cluster.h"
#include "relay/options.h"
#include "relay/testing/cluster_bed.h"
#include "stun/message.h"
#include "turn/framing.h"

namespace kyuu::relay {
namespace {

const IpAddress kLoopback = IpAddress::V4(127, 0, 0, 1);

using TcpEndpoint = net::Endpoint<net::TcpStream>;

// A user's stream to the server, by which it asks and hears.
class User {
 public:
  User(net::TestLoop& loop, const TransportAddress& server,
       std::string password = "p")
      : tcp(*loop, net::TcpStream::Connect(server).value()),
        loop_(loop),
        password_(std::move(password)) {}

  // Sends a request, signed if there is a nonce.
  template <typename Fill>
  void Ask(stun::Method method, Fill fill) {
    std::vector<uint8_t> out(2048);
    stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kRequest,
                          method, stun::TransactionId::Generate(random_));
    fill(w);
    if (!nonce_.empty()) {
      w.Add(stun::Username{"u"});
      w.Add(stun::Realm{realm_});
      w.Add(stun::Nonce{nonce_});
      w.AddIntegrity(stun::IntegrityKey::LongTerm("u", realm_, password_));
    }
    EXPECT_OK(tcp.Write(AsText(w.Finish())));
  }
  // The next message from the server.
  stun::MessageView Hear() {
    loop_.RunUntil([&] { return Size() > 0; });
    message_ = tcp.received.substr(0, Size());
    tcp.received.erase(0, message_.size());
    return *stun::MessageView::Parse(AsBytes(message_));
  }
  template <typename Fill>
  stun::MessageView Call(stun::Method method, Fill fill) {
    if (nonce_.empty()) {
      Ask(method, fill);
      const stun::MessageView challenge = Hear();
      nonce_ = std::string(challenge.Get<stun::Nonce>()->value);
      realm_ = std::string(challenge.Get<stun::Realm>()->value);
    }
    Ask(method, fill);
    return Hear();
  }
  void Allocate() {
    const auto answer =
        Call(stun::Method::kAllocate, [](stun::MessageWriter& w) {
          w.Add(stun::RequestedTransport{stun::RequestedTransport::kTcp});
        });
    ASSERT_EQ(answer.cls(), stun::MessageClass::kSuccess);
    relayed = answer.Get<stun::XorRelayedAddress>()->address;
  }
  void Permit() {
    Call(stun::Method::kCreatePermission, [](stun::MessageWriter& w) {
      w.Add(stun::XorPeerAddress{{kLoopback, 0}});
    });
  }
  // The id of the connection, or the error.
  uint32_t Connect(const TransportAddress& peer) {
    return IdOf(Call(stun::Method::kConnect, [&](stun::MessageWriter& w) {
      w.Add(stun::XorPeerAddress{peer});
    }));
  }
  // 0, or the error.
  uint32_t Bind(uint32_t id) {
    return IdOf(
        Call(stun::Method::kConnectionBind,
             [&](stun::MessageWriter& w) { w.Add(stun::ConnectionId{id}); }));
  }
  static uint32_t IdOf(const stun::MessageView& message) {
    if (const auto code = message.Get<stun::ErrorCode>()) {
      return static_cast<uint32_t>(code->code);
    }
    const auto id = message.Get<stun::ConnectionId>();
    return id.has_value() ? id->value : 0;
  }

  TcpEndpoint tcp;
  TransportAddress relayed;

 private:
  size_t Size() const {
    const auto frame = turn::ReadFrame(AsBytes(tcp.received));
    if (!frame.ok() || !frame->has_value()) return 0;
    const size_t size = (*frame)->bytes();
    return tcp.received.size() < size ? 0 : size;
  }

  net::TestLoop& loop_;
  SystemRandom random_;
  std::string password_, nonce_, realm_, message_;
};

class ClusterTcpTest : public testing::TestWithParam<int>,
                       protected ClusterBed {
 protected:
  void Open(Options options = {}) {
    options.threads = GetParam();
    options.server.relay_port_low = 53'000;
    options.server.relay_port_high = 53'999;
    ClusterBed::Open(std::move(options));
    peer_.emplace(net::TcpListener::Open({.bind = kAnyPort}).value());
  }
  relay::Stats Stats() {
    std::optional<relay::Stats> found;
    cluster_->CollectStats([&](const relay::Stats& stats) {
      found = stats;
      loop_->Stop();
    });
    loop_.RunUntil([&] { return found.has_value(); });
    return *found;
  }
  std::unique_ptr<User> Stream(std::string password = "p") {
    return std::make_unique<User>(loop_, server_, std::move(password));
  }
  // The peer's end of a connection that has come to it.
  std::unique_ptr<TcpEndpoint> Accept() {
    std::optional<net::TcpStream> stream;
    loop_.PollUntil([&] {
      stream = peer_->Accept();
      return stream.has_value();
    });
    return std::make_unique<TcpEndpoint>(*loop_, *std::move(stream));
  }
  // A client's and a peer's end of a joined connection.
  using Pair = std::pair<std::unique_ptr<User>, std::unique_ptr<TcpEndpoint>>;
  Pair Join(User& control) {
    const uint32_t id = control.Connect(peer_->local());
    auto far = Accept();
    auto near = Stream();
    EXPECT_EQ(near->Bind(id), 0u);
    return {std::move(near), std::move(far)};
  }
  // All that was lent has come back.
  void ExpectNothingLeft() {
    loop_.PollUntil([&] {
      return cluster_->allocations() == 0 && port_->open_streams() == 0;
    });
  }

  std::optional<net::TcpListener> peer_;
};

// With several loops the control stream is at one, and the data's, of which
// there are several, at the others.
INSTANTIATE_TEST_SUITE_P(Threads, ClusterTcpTest, testing::Values(1, 4));

TEST_P(ClusterTcpTest, AClientConnectsAndBytesPassBothWays) {
  Open();
  auto control = Stream();
  control->Allocate();
  std::vector<Pair> pairs;
  for (int i = 0; i < 5; ++i) {
    pairs.push_back(Join(*control));
    User* const near = pairs.back().first.get();
    TcpEndpoint* const far = pairs.back().second.get();
    EXPECT_EQ(far->stream.path().remote.ip, kLoopback);
    EXPECT_EQ(far->stream.path().remote, control->relayed);
    EXPECT_EQ(control->Connect(peer_->local()), 446u);
    EXPECT_OK(near->tcp.Write("ping"));
    loop_.RunUntil([&] { return far->received == "ping"; });
    EXPECT_OK(far->Write("pong"));
    loop_.RunUntil([&] { return near->tcp.received == "pong"; });
    peer_.emplace(net::TcpListener::Open({.bind = kAnyPort}).value());
  }
  EXPECT_GE(Stats().node.streams_moved, GetParam() == 1 ? 0u : 3u);
  EXPECT_EQ(Stats().server.bytes_to_peers, 20u);
  size_t streams = 0;
  for (const size_t count : cluster_->streams()) streams += count;
  EXPECT_EQ(streams, 6u);
  // The end of the allocation is that of all its connections.
  control.reset();
  for (const Pair& pair : pairs) {
    loop_.RunUntil([&] { return pair.first->tcp.over && pair.second->over; });
  }
  ExpectNothingLeft();
}

TEST_P(ClusterTcpTest, APeerConnectsIfItMayAndItsFirstBytesAreKept) {
  Open();
  auto control = Stream();
  control->Allocate();
  TcpEndpoint stranger(*loop_,
                       net::TcpStream::Connect(control->relayed).value());
  loop_.RunUntil([&] { return stranger.over; });
  control->Permit();
  TcpEndpoint peer(*loop_, net::TcpStream::Connect(control->relayed).value());
  EXPECT_OK(peer.Write("before"));
  const stun::MessageView attempt = control->Hear();
  EXPECT_TRUE(attempt.Is(stun::MessageClass::kIndication,
                         stun::Method::kConnectionAttempt));
  EXPECT_EQ(attempt.Get<stun::XorPeerAddress>()->address,
            peer.stream.path().local);
  auto data = Stream();
  EXPECT_EQ(data->Bind(User::IdOf(attempt)), 0u);
  loop_.RunUntil([&] { return data->tcp.received == "before"; });
  EXPECT_OK(data->tcp.Write("after"));
  loop_.RunUntil([&] { return peer.received == "after"; });
  EXPECT_EQ(Stats().server.peers_unpermitted, 1u);
}

// What a client sends without waiting for the answer is the peer's.
TEST_P(ClusterTcpTest, WhatComesBehindTheBindIsForThePeer) {
  Open();
  auto control = Stream();
  control->Allocate();
  const uint32_t id = control->Connect(peer_->local());
  auto far = Accept();
  for (int i = 0; i < 4; ++i) Stream();
  auto near = Stream();
  near->Call(stun::Method::kConnectionBind,  // For the nonce.
             [](stun::MessageWriter&) {});
  near->Ask(stun::Method::kConnectionBind,
            [&](stun::MessageWriter& w) { w.Add(stun::ConnectionId{id}); });
  EXPECT_OK(near->tcp.Write("\x01\x02 no message of ours"));
  loop_.RunUntil(
      [&] { return far->received == "\x01\x02 no message of ours"; });
  EXPECT_EQ(near->Hear().cls(), stun::MessageClass::kSuccess);
}

TEST_P(ClusterTcpTest, TheEndOfOneDirectionLeavesTheOther) {
  Open();
  auto control = Stream();
  control->Allocate();
  const Pair pair = Join(*control);
  User* const near = pair.first.get();
  TcpEndpoint* const far = pair.second.get();
  EXPECT_OK(near->tcp.Write("last words"));
  near->tcp.Shutdown();
  loop_.RunUntil([&] { return far->over; });
  EXPECT_EQ(far->received, "last words");
  EXPECT_EQ(far->last, net::ReadState::kEnd);
  EXPECT_OK(far->Write("an answer"));
  loop_.RunUntil([&] { return near->tcp.received == "an answer"; });
  far->Shutdown();
  loop_.RunUntil([&] { return near->tcp.over; });
  EXPECT_EQ(near->tcp.last, net::ReadState::kEnd);
  // The peer may be called again, once the control stream knows.
  loop_.PollUntil([&] { return port_->open_streams() == 1; });
}

TEST_P(ClusterTcpTest, AnErrorOfOneIsAResetOfTheOther) {
  Open();
  auto control = Stream();
  control->Allocate();
  const Pair pair = Join(*control);
  User* const near = pair.first.get();
  TcpEndpoint* const far = pair.second.get();
  far->watch.SetInterest(net::Interest::kNone);
  far->stream.Cut();
  loop_.RunUntil([&] { return near->tcp.over; });
  EXPECT_EQ(near->tcp.last, net::ReadState::kFailed);
}

TEST_P(ClusterTcpTest, WhoDoesNotReadMakesTheOtherWait) {
  Options options;
  options.streams.joined.held_bytes_max = 32 * 1024;
  Open(std::move(options));
  auto control = Stream();
  control->Allocate();
  const Pair pair = Join(*control);
  User* const near = pair.first.get();
  TcpEndpoint* const far = pair.second.get();
  far->reading = false;
  const std::string block(64 * 1024, 'x');
  size_t sent = 0;
  // Until nothing goes for a while: the kernel's buffers are all that there is.
  absl::Time last = net::Loop::Now();
  loop_.PollUntil([&] {
    near->tcp.stream.Flush();
    if (near->tcp.stream.buffered() == 0) {
      sent += block.size();
      EXPECT_OK(near->tcp.Write(block));
      last = net::Loop::Now();
    }
    return net::Loop::Now() - last > absl::Milliseconds(300);
  });
  EXPECT_LT(sent, 16u << 20);
  far->reading = true;
  far->Read();
  loop_.RunUntil([&] {
    near->tcp.stream.Flush();
    far->Read();
    return far->received.size() == sent;
  });
  EXPECT_EQ(Stats().server.bytes_to_peers, sent);
}

TEST_P(ClusterTcpTest, ErrorsAreToldWhereverTheyAreFound) {
  Open();
  auto control = Stream();
  control->Allocate();
  TransportAddress nobody;
  { nobody = net::TcpListener::Open({.bind = kAnyPort}).value().local(); }
  EXPECT_EQ(control->Connect(nobody), 447u);
  EXPECT_EQ(control->Connect(cluster_->listeners()[0]), 403u);
  // One that is no more is not there at any loop; those of servers that there
  // are not, neither.
  for (uint32_t instance : {0u, 1u, 2u, 3u, 200u}) {
    auto data = Stream();
    EXPECT_EQ(data->Bind(instance << 24 | 5), 400u) << instance;
    EXPECT_EQ(data->Bind(5), 400u) << "a stream moves once";
  }
  const uint32_t id = control->Connect(peer_->local());
  auto stranger = Stream("wrong");
  EXPECT_EQ(stranger->Bind(id), 401u);
}

TEST_P(ClusterTcpTest, CyclesGiveEverythingBack) {
  Options options;
  options.server.peer_connections_max = 3;
  Open(std::move(options));
  const size_t ports = cluster_->free_ports();
  for (int i = 0; i < 20; ++i) {
    auto control = Stream();
    control->Allocate();
    control->Permit();
    auto pair = Join(*control);
    TcpEndpoint waiting(*loop_,
                        net::TcpStream::Connect(control->relayed).value());
    control->Hear();
    if (i % 2 == 0) pair.first.reset();
    control.reset();
    loop_.RunUntil([&] { return pair.second->over && waiting.over; });
    loop_.PollUntil([&] { return cluster_->allocations() == 0; });
  }
  ExpectNothingLeft();
  EXPECT_EQ(cluster_->free_ports(), ports);
  cluster_->Close();
}

// While a stream is on its way from one loop to another, too.
TEST_P(ClusterTcpTest, ClosingLeavesNoStreamBehind) {
  Open();
  auto control = Stream();
  control->Allocate();
  auto joined = Join(*control);
  std::vector<std::unique_ptr<User>> streams;
  const uint32_t id = control->Connect(joined.second->stream.path().local);
  EXPECT_EQ(id, 446u);
  peer_.emplace(net::TcpListener::Open({.bind = kAnyPort}).value());
  const uint32_t second = control->Connect(peer_->local());
  for (int i = 0; i < 8; ++i) {
    streams.push_back(Stream());
    streams.back()->Call(stun::Method::kConnectionBind,
                         [](stun::MessageWriter&) {});
  }
  for (auto& stream : streams) {
    stream->Ask(stun::Method::kConnectionBind, [&](stun::MessageWriter& w) {
      w.Add(stun::ConnectionId{second});
    });
  }
  cluster_->Close();
  EXPECT_EQ(port_->open_streams(), 0u);
}

}  // namespace
}  // namespace kyuu::relay
