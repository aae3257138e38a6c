// The relay as programs use it: real sockets and loops, clients on loopback.

#include "relay/cluster.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/algorithm/container.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"
#include "net/udp_socket.h"
#include "relay/options.h"
#include "stun/message.h"
#include "turn/client.h"

namespace kyuu::relay {
namespace {

const IpAddress kLoopback = IpAddress::V4(127, 0, 0, 1);
const IpAddress kPublic = IpAddress::V4(5, 5, 5, 5);

Options TestOptions(int threads) {
  Options options;
  options.listen = {{kLoopback, 0}};
  options.threads = threads;
  options.server.users = {{"u", "p"}};
  options.server.relay_port_low = 51'000;
  options.server.relay_port_high = 51'999;
  options.server.own_relays = turn::ServerOptions::OwnRelays::kAllow;
  return options;
}

// A TURN client with its socket on the loop.
class Client {
 public:
  using Ports = turn::ClientOptions::Ports;

  Client(net::TestLoop& loop, const TransportAddress& server,
         std::function<void()> changed, Ports ports)
      : changed_(std::move(changed)),
        socket_(net::UdpSocket::Open({.bind = {kLoopback, 0}}).value()),
        turn_(random_, {.local = socket_.local(),
                        .server = server,
                        .username = "u",
                        .password = "p",
                        .ports = ports}),
        watch_(*loop, socket_.fd(), net::Interest::kRead,
               [this](net::Readiness) { Read(); }),
        alarm_(*loop, [this] {
          turn_.HandleTimeout(net::Loop::Now());
          Pump();
        }) {
    EXPECT_OK(turn_.Allocate(net::Loop::Now()));
    Pump();
  }

  turn::Client& turn() { return turn_; }
  bool allocated() const { return turn_.allocated(); }
  bool failed() const { return failed_; }
  size_t granted() const { return granted_; }
  const std::vector<std::pair<TransportAddress, std::string>>& received()
      const {
    return received_;
  }
  void Permit(const TransportAddress& peer) {
    EXPECT_OK(turn_.Permit(net::Loop::Now(), peer));
    Pump();
  }
  void Send(const TransportAddress& peer, absl::string_view text) {
    std::vector<uint8_t> out(2048);
    const auto datagram =
        turn_.Wrap(net::Loop::Now(), peer, AsBytes(text), absl::MakeSpan(out));
    ASSERT_OK(datagram);
    socket_.SendOne(datagram->path, datagram->bytes);
    Pump();
  }
  // Sends so many trains, each as long as one may be.
  void SendTrains(const TransportAddress& peer, size_t count) {
    std::vector<uint8_t> out(2048);
    const std::string text(960, 'f');
    const auto datagram =
        turn_.Wrap(net::Loop::Now(), peer, AsBytes(text), absl::MakeSpan(out));
    ASSERT_OK(datagram);
    const std::vector<iovec> pieces(
        net::UdpSocket::kMaxTrainBytes / datagram->bytes.size(),
        net::Piece(datagram->bytes));
    const net::OutTrain train{datagram->path, pieces, datagram->bytes.size()};
    for (size_t i = 0; i < count; ++i) socket_.Send({&train, 1});
  }
  void Close() {
    turn_.Close(net::Loop::Now());
    Pump();
  }

 private:
  void Read() {
    for (const net::Train& train : socket_.Receive(buffer_)) {
      for (size_t i = 0; i < train.segments(); ++i) {
        const Datagram in{train.path, train.segment(i)};
        if (const auto data = turn_.Unwrap(in)) {
          received_.emplace_back(data->peer,
                                 std::string(AsText(data->payload)));
        } else {
          turn_.HandlePacket(net::Loop::Now(), in);
        }
      }
    }
    Pump();
    changed_();
  }
  void Pump() {
    std::vector<uint8_t> out(2048);
    while (auto p = turn_.PollTransmit(net::Loop::Now(), absl::MakeSpan(out))) {
      socket_.SendOne(p->path, p->bytes);
    }
    while (auto event = turn_.PollEvent()) {
      if (std::holds_alternative<turn::Client::PermissionGranted>(*event)) {
        ++granted_;
      }
      if (std::holds_alternative<turn::Client::Closed>(*event)) failed_ = true;
    }
    alarm_.Set(turn_.NextTimeout());
  }

  std::function<void()> changed_;
  SystemRandom random_;
  net::UdpSocket socket_;
  turn::Client turn_;
  net::ReceiveBuffer buffer_;
  bool failed_ = false;
  size_t granted_ = 0;
  std::vector<std::pair<TransportAddress, std::string>> received_;
  net::Watch watch_;
  net::Alarm alarm_;
};

class ClusterTest : public testing::Test {
 protected:
  std::unique_ptr<Cluster> Open(Options options) {
    auto cluster =
        Cluster::Open(std::move(options), *loop_, [this](const Event& event) {
          events_.push_back(event);
          loop_->Stop();
        });
    EXPECT_OK(cluster);
    return *std::move(cluster);
  }
  std::unique_ptr<Client> Connect(const Cluster& cluster,
                                  Client::Ports ports = Client::Ports::kAny) {
    return std::make_unique<Client>(
        loop_, cluster.listeners()[0], [this] { loop_->Stop(); }, ports);
  }
  template <typename E>
  size_t Count() const {
    size_t count = 0;
    for (const Event& event : events_) {
      count += std::holds_alternative<E>(event) ? 1 : 0;
    }
    return count;
  }

  net::TestLoop loop_;
  std::vector<Event> events_;
};

// T5: the public address is none of ours, and nothing translates it back. Of
// eight clients on two loops some pairs are of one loop, some of both.
TEST_F(ClusterTest, RelayToRelayBehindANatThatDoesNotHairpin) {
  Options options = TestOptions(2);
  options.relay_addresses = {{kLoopback, kPublic}};
  const auto cluster = Open(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(Connect(*cluster));
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated(); });
    EXPECT_EQ(client->turn().relayed().ip, kPublic);
  }
  for (const auto& client : clients) {
    client->Permit(clients[0]->turn().relayed());
    loop_.RunUntil([&] { return client->granted() > 0; });
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    for (size_t k = 0; k < clients.size(); ++k) {
      const TransportAddress to = clients[k]->turn().relayed();
      clients[i]->Permit(to);
      for (int n = 0; n < 12; ++n) clients[i]->Send(to, "data");
    }
  }
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->received().size() == 8u * 12; });
    for (const auto& [from, text] : client->received()) {
      EXPECT_EQ(text, "data");
      EXPECT_EQ(from.ip, kPublic) << "the source is translated too";
    }
  }
  Stats stats;
  bool collected = false;
  cluster->CollectStats([&](const Stats& sum) {
    stats = sum;
    collected = true;
    loop_->Stop();
  });
  loop_.RunUntil([&] { return collected; });
  EXPECT_EQ(stats.server.to_clients, 8u * 8 * 12);
  EXPECT_EQ(stats.node.handed_over, stats.node.taken_over);
  EXPECT_EQ(stats.node.handover_drops, 0u);
  EXPECT_EQ(stats.relays.sent, 0u) << "nothing of it meets the kernel";
  EXPECT_EQ(stats.relays.received, 0u);
  EXPECT_EQ(
      stats.listeners.sent,
      stats.server.to_clients + stats.server.successes + stats.server.errors);
}

// A loop that is behind is not buried in what the others have for it.
TEST_F(ClusterTest, HandoversThatFindNoRoomAreDroppedAndCounted) {
  Options options = TestOptions(2);
  options.handover_bytes_max = 0;
  const auto cluster = Open(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(Connect(*cluster));
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated(); });
  }
  for (const auto& client : clients) {
    client->Permit(clients[0]->turn().relayed());
    loop_.RunUntil([&] { return client->granted() > 0; });
  }
  for (const auto& client : clients) {
    for (const auto& other : clients) {
      client->Permit(other->turn().relayed());
      client->Send(other->turn().relayed(), "data");
    }
  }
  uint64_t counted = 0;
  bool asking = false;
  loop_.RunUntil([&] {
    if (counted == 64) return true;
    if (!asking) {
      asking = true;
      cluster->CollectStats([&](const Stats& sum) {
        counted = sum.server.to_clients + sum.node.handover_drops;
        asking = false;
        loop_->Stop();
      });
    }
    return counted == 64;
  });
}

// All clients of a loop wait in one queue of the kernel, whose room is asked of
// a socket like it. A small datagram takes 768 bytes of that.
size_t DatagramsThatFit() {
  const net::UdpSocket socket =
      net::UdpSocket::Open({.bind = {kLoopback, 0}}).value();
  int bytes = 0;
  socklen_t size = sizeof bytes;
  EXPECT_EQ(getsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &bytes, &size), 0);
  return static_cast<size_t>(bytes) / 768;
}

TEST_F(ClusterTest, WhoSendsLittleLosesNothingBesideThoseWhoFlood) {
  const auto cluster = Open(TestOptions(1));  // On the loop of this test.
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(Connect(*cluster));
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated(); });
  }
  Client& peer = *clients[0];
  Client& honest = *clients[1];
  for (const auto& client : clients) {
    client->Permit(peer.turn().relayed());
    loop_.RunUntil([&] { return client->granted() > 0; });
  }
  const size_t each = DatagramsThatFit() * 22 / 25 / 8;
  Stats stats;
  for (size_t round = 1; round <= 3; ++round) {
    // Nobody reads meanwhile.
    for (size_t n = 0; n < each; ++n) {
      for (size_t i = 2; i < clients.size(); ++i) {
        clients[i]->Send(peer.turn().relayed(), "f");
      }
    }
    for (int n = 0; n < 5; ++n) honest.Send(peer.turn().relayed(), "honest");
    bool collected = false;
    loop_.RunUntil([&] {
      const auto heard = absl::c_count_if(
          peer.received(), [](const auto& r) { return r.second == "honest"; });
      return heard == static_cast<ptrdiff_t>(5 * round);
    });
    cluster->CollectStats([&](const Stats& sum) {
      stats = sum;
      collected = true;
      loop_->Stop();
    });
    loop_.RunUntil([&] { return collected; });
  }
  EXPECT_EQ(stats.listeners.kernel_drops, 0u);
  EXPECT_GT(stats.node.crowd_drops, 0u);
  EXPECT_EQ(stats.server.to_clients + stats.node.crowd_drops,
            3 * (8 * each + 5));
}

// What a loop finds in its queue when it gets a processor again is less than
// what it has lost, and may be read at once.
TEST_F(ClusterTest, AFloodIsSeenByWhatWasLostBetweenTwoTurns) {
  const auto cluster = Open(TestOptions(1));  // On the loop of this test.
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(Connect(*cluster));
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated(); });
  }
  const TransportAddress peer = clients[0]->turn().relayed();
  for (const auto& client : clients) {
    client->Permit(peer);
    loop_.RunUntil([&] { return client->granted() > 0; });
  }
  Stats stats;
  // Lost in the first, divided between two of whom nobody knows how many they
  // are in the second, and then between two.
  for (int round = 1; round <= 3; ++round) {
    const uint64_t lost = stats.listeners.kernel_drops;
    for (int n = 0; n < 200; ++n) {
      clients[1]->SendTrains(peer, 1);
      clients[2]->SendTrains(peer, 1);
    }
    loop_.PollUntil([&] {
      cluster->CollectStats([&](const Stats& sum) { stats = sum; });
      return stats.listeners.kernel_drops > lost;
    });
  }
  EXPECT_GT(stats.node.crowd_drops, 0u);
}

// T7 and T6: whichever loops the clients meet.
TEST_F(ClusterTest, QuotasAndPortsAreExactAcrossLoops) {
  Options options = TestOptions(4);
  options.server.relay_port_high = 51'005;
  options.server.allocations_per_user_max = 5;
  const auto cluster = Open(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(Connect(*cluster));
  size_t allocated = 0;
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated() || client->failed(); });
    allocated += client->allocated() ? 1 : 0;
  }
  EXPECT_EQ(allocated, 5u);
  EXPECT_EQ(cluster->allocations(), 5u);
  loop_.RunUntil([&] { return Count<AllocationRefused>() == 15; });
  // What comes back is whose turn it is next.
  for (const auto& client : clients) {
    if (client->allocated()) client->Close();
  }
  loop_.RunUntil([&] { return Count<AllocationEnded>() == 5; });
  const auto again = Connect(*cluster);
  loop_.RunUntil([&] { return again->allocated(); });
}

// Of eight clients of one user on two loops, each relays to its neighbour far
// more than all may.
TEST_F(ClusterTest, BandwidthIsSharedAcrossLoops) {
  for (const bool total : {false, true}) {
    SCOPED_TRACE(total);
    Options options = TestOptions(2);
    turn::BandwidthLimits& limits = options.server.bandwidth;
    (total ? limits.total_bytes_per_s : limits.user_bytes_per_s) = 100'000;
    limits.burst = absl::Milliseconds(200);
    const auto cluster = Open(options);
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(Connect(*cluster));
    for (const auto& client : clients) {
      loop_.RunUntil([&] { return client->allocated(); });
    }
    for (const auto& client : clients) {
      client->Permit({kPublic, 9});
      loop_.RunUntil([&] { return client->granted() == 1; });
    }
    const absl::Time begin = net::Loop::Now();
    const std::string payload(1000, 'x');
    for (int i = 0; i < 100; ++i) {
      for (const auto& client : clients) client->Send({kPublic, 9}, payload);
    }
    // The last datagrams have been judged once each has been counted.
    const auto counted = [&cluster, this] {
      Stats stats;
      bool collected = false;
      cluster->CollectStats([&](const Stats& sum) {
        stats = sum;
        collected = true;
        loop_->Stop();
      });
      loop_.RunUntil([&] { return collected; });
      return stats.server;
    };
    turn::ServerStats stats;
    uint64_t over = 0;
    do {
      stats = counted();
      over = total ? stats.over_total_bandwidth : stats.over_user_bandwidth;
    } while (stats.to_peers + over < 800);
    const double seconds = absl::ToDoubleSeconds(net::Loop::Now() - begin);
    // Each loop, or with a user limit its user, may hold a slice besides, and
    // owe a datagram.
    EXPECT_LE(stats.bytes_to_peers, 100'000 * (seconds + 0.2) + 2 * 1500);
    EXPECT_GE(stats.bytes_to_peers, 100'000 * 0.2 - 3000);
    EXPECT_EQ(stats.to_peers + over, 800u);
  }
}

// Six clients a loop: by the kernel's hash alone one of them has ten, as it
// comes out (the sum of four has been between 32 and 50 of 24 on average, and
// between 25 and 33 with listeners that go where fewer are).
TEST_F(ClusterTest, FewClientsAreSpreadOverManyLoops) {
  constexpr int kLoops = 8, kClients = 48, kRounds = 4;
  size_t busiest = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto cluster = Open(TestOptions(kLoops));
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.push_back(Connect(*cluster));
      loop_.RunUntil([&] { return clients.back()->allocated(); });
    }
    // Whoever has them, has all of what comes for them.
    for (const auto& client : clients) {
      client->Permit({kPublic, 9});
      loop_.RunUntil([&] { return client->granted() == 1; });
    }
    size_t most = 0;
    std::optional<SessionCursor> next = SessionCursor();
    while (next.has_value()) {
      const size_t loop = next->instance;
      size_t sessions = 0;
      while (next.has_value() && next->instance == loop) {
        bool told = false;
        cluster->ListSessions(*next, {}, [&](const SessionPage& page) {
          sessions += page.sessions.size();
          next = page.next;
          told = true;
          loop_->Stop();
        });
        loop_.RunUntil([&] { return told; });
      }
      most = std::max(most, sessions);
    }
    busiest += most;
  }
  EXPECT_LE(busiest, 35u);
}

// Whichever loops the clients have met, and step by step.
TEST_F(ClusterTest, SessionsOfAllLoopsAreListedAndEnded) {
  const auto cluster = Open(TestOptions(3));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(Connect(*cluster));
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated(); });
  }
  const auto walk = [&](const SessionFilter& filter) {
    std::vector<turn::SessionInfo> all;
    std::optional<SessionCursor> next = SessionCursor();
    size_t pages = 0;
    while (next.has_value()) {
      bool answered = false;
      cluster->ListSessions(*next, filter, [&](SessionPage page) {
        for (auto& info : page.sessions) all.push_back(std::move(info));
        next = page.next;
        answered = true;
        loop_->Stop();
      });
      EXPECT_FALSE(answered) << "it has other things to do in between";
      loop_.RunUntil([&] { return answered; });
      ++pages;
    }
    EXPECT_EQ(pages, 3u);
    return all;
  };
  const std::vector<turn::SessionInfo> all = walk({});
  ASSERT_EQ(all.size(), 12u);
  for (const auto& client : clients) {
    const auto same = [&](const turn::SessionInfo& info) {
      return info.relayed == client->turn().relayed();
    };
    EXPECT_EQ(std::count_if(all.begin(), all.end(), same), 1);
  }
  EXPECT_EQ(walk({.user = "u"}).size(), 12u);
  EXPECT_EQ(walk({.user = "v"}).size(), 0u);
  const turn::SessionId chosen = all[7].session;
  const auto ended =
      walk({.session = chosen, .verdict = turn::SessionVerdict::kEnd});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].session, chosen);
  loop_.RunUntil([&] { return Count<AllocationEnded>() == 1; });
  EXPECT_EQ(walk({.session = chosen}).size(), 0u);
  EXPECT_EQ(cluster->allocations(), 11u);
  EXPECT_EQ(walk({.user = "u", .verdict = turn::SessionVerdict::kEnd}).size(),
            11u);
  EXPECT_EQ(walk({}).size(), 0u);
}

// On every loop, and in what they have in common.
TEST_F(ClusterTest, OptionsChangeOnAllLoopsAndAllocationsGoOn) {
  Options options = TestOptions(4);
  const auto cluster = Open(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(Connect(*cluster));
    loop_.RunUntil([&] { return clients.back()->allocated(); });
  }
  // What cannot work changes nothing.
  options.server.users = {{"u", ""}};
  EXPECT_EQ(cluster->SetOptions(options.server).code(),
            absl::StatusCode::kInvalidArgument);
  clients.push_back(Connect(*cluster));
  loop_.RunUntil([&] { return clients.back()->allocated(); });
  options.server.users = {{"u", "p"}};
  options.server.allocations_per_user_max = 12;
  ASSERT_OK(cluster->SetOptions(options.server));
  clients.push_back(Connect(*cluster));
  loop_.RunUntil([&] { return clients.back()->allocated(); });
  for (int i = 0; i < 8; ++i) {
    const auto surplus = Connect(*cluster);
    loop_.RunUntil([&] { return surplus->failed(); });
  }
  // Who is no user any more keeps what he has, on whatever loop it is.
  options.server.users = {{"somebody", "else"}};
  options.server.allocations_per_user_max = 100;
  ASSERT_OK(cluster->SetOptions(options.server));
  for (int i = 0; i < 8; ++i) {
    const auto stranger = Connect(*cluster);
    loop_.RunUntil([&] { return stranger->failed(); });
  }
  for (const auto& client : clients) {
    client->Permit({kPublic, 9});
    loop_.RunUntil([&] { return client->granted() == 1; });
  }
  EXPECT_EQ(cluster->allocations(), clients.size());
}

// A stranger, who asks for an allocation and proves nothing; then for his
// address, so that he knows when all answers are there.
class Stranger {
 public:
  Stranger(net::TestLoop& loop, const TransportAddress& server)
      : socket_(net::UdpSocket::Open({.bind = {kLoopback, 0}}).value()),
        watch_(*loop, socket_.fd(), net::Interest::kRead,
               [this, &loop](net::Readiness) {
                 for (const auto& train : socket_.Receive(buffer_)) {
                   for (size_t i = 0; i < train.segments(); ++i) {
                     Count(train.segment(i));
                   }
                 }
                 loop->Stop();
               }) {
    for (int i = 0; i < 10; ++i) Send(server, stun::Method::kAllocate);
    Send(server, stun::Method::kBinding);
  }

  bool done() const { return done_; }
  int challenges() const { return challenges_; }

 private:
  void Send(const TransportAddress& server, stun::Method method) {
    std::vector<uint8_t> out(100);
    stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kRequest,
                          method, stun::TransactionId::Generate(random_));
    socket_.SendOne({socket_.local(), server, Transport::kUdp}, w.Finish());
  }
  void Count(absl::Span<const uint8_t> bytes) {
    const auto message = stun::MessageView::Parse(bytes);
    ASSERT_OK(message);
    if (message->method() == stun::Method::kBinding) {
      done_ = true;
    } else {
      challenges_ += message->Has<stun::Nonce>() ? 1 : 0;
    }
  }

  SystemRandom random_;
  net::UdpSocket socket_;
  net::ReceiveBuffer buffer_;
  bool done_ = false;
  int challenges_ = 0;
  net::Watch watch_;
};

// T7: as many as one loop would answer, however many there are.
TEST_F(ClusterTest, StrangersOfOneAddressAreLimitedAcrossLoops) {
  for (const int threads : {1, 4}) {
    SCOPED_TRACE(threads);
    Options options = TestOptions(threads);
    // 401 to the bare request of 20 bytes is 40 longer.
    options.server.unauthenticated_gain_bytes_per_s = 0.001;
    options.server.unauthenticated_gain_bytes_burst = 30 * 40;
    const auto cluster = Open(options);
    std::vector<std::unique_ptr<Stranger>> strangers;
    for (int i = 0; i < 16; ++i) {
      strangers.push_back(
          std::make_unique<Stranger>(loop_, cluster->listeners()[0]));
    }
    int challenges = 0;
    for (const auto& stranger : strangers) {
      loop_.RunUntil([&] { return stranger->done(); });
      challenges += stranger->challenges();
    }
    EXPECT_EQ(challenges, 30);
    cluster->Close();
    EXPECT_EQ(cluster->stats().server.rate_limited, 16u * 10 - 30);
  }
}

TEST_F(ClusterTest, AnEndIsToldWithWhatWasRelayedAlsoWhenAllCloses) {
  const auto cluster = Open(TestOptions(3));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(Connect(*cluster));
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated(); });
  }
  const TransportAddress to = clients[1]->turn().relayed();
  clients[1]->Permit(clients[0]->turn().relayed());
  clients[0]->Permit(to);
  loop_.RunUntil(
      [&] { return clients[0]->granted() > 0 && clients[1]->granted() > 0; });
  clients[0]->Send(to, "12345");
  loop_.RunUntil([&] { return !clients[1]->received().empty(); });
  cluster->Close();
  ASSERT_EQ(Count<AllocationMade>(), 6u);
  ASSERT_EQ(Count<AllocationEnded>(), 6u);
  uint64_t to_peers = 0, to_clients = 0;
  for (const Event& event : events_) {
    const auto* ended = std::get_if<AllocationEnded>(&event);
    if (ended == nullptr) continue;
    EXPECT_EQ(ended->reason, turn::Server::EndReason::kClosed);
    EXPECT_EQ(ended->relayed.ip, kLoopback);
    EXPECT_LE(ended->made, net::Loop::Now());
    EXPECT_GT(ended->made, net::Loop::Now() - absl::Minutes(1));
    to_peers += ended->traffic.bytes_to_peers;
    to_clients += ended->traffic.bytes_to_clients;
  }
  EXPECT_EQ(to_peers, 5u);
  EXPECT_EQ(to_clients, 5u);
}

// T27: no node has a credential that another refused.
TEST_F(ClusterTest, ARefusedGrantIsTold) {
  Options options = TestOptions(2);
  options.server.granted_max = 1;
  const auto cluster = Open(options);
  std::vector<absl::Status> results;
  const auto done = [&](absl::Status status) {
    results.push_back(std::move(status));
    loop_->Stop();
  };
  cluster->Grant("first", "p", done);
  cluster->Grant("second", "p", done);
  loop_.RunUntil([&] { return results.size() == 2; });
  EXPECT_OK(results[0]);
  EXPECT_THAT(results[1], StatusIs(absl::StatusCode::kResourceExhausted));
}

// T25: the host's limit of watches is reached by others, or there is no
// descriptor left: a client is refused, and served when there is room again.
TEST_F(ClusterTest, ARelayThatCannotBeOpenedOrWatchedIsRefused) {
  const auto cluster = Open(TestOptions(1));
  const auto first = Connect(*cluster);
  loop_.RunUntil([&] { return first->allocated(); });
  for (const auto& [call, error] :
       {std::pair(net::Syscall::kEpollCtl, ENOSPC),
        std::pair(net::Syscall::kSocket, EMFILE),
        std::pair(net::Syscall::kBind, EADDRINUSE)}) {
    const auto refused = Connect(*cluster);
    {
      net::SyscallFaults faults;
      faults.Fail(call, error);
      loop_.RunUntil([&] { return refused->failed(); });
    }
    const auto again = Connect(*cluster);
    loop_.RunUntil([&] { return again->allocated(); });
  }
  EXPECT_GE(Count<OpenFailed>(), 3u);
  EXPECT_TRUE(first->allocated());
  cluster->Close();
  EXPECT_EQ(cluster->stats().node.open_failures, Count<OpenFailed>());
}

// Of a pair whose even port another program has, the odd one does not stay in
// nobody's hands for as long as a reservation is valid.
TEST_F(ClusterTest, NothingStaysOfAReservationThatCouldNotBeMade) {
  Options options = TestOptions(1);
  options.server.relay_port_low = 51'100;
  options.server.relay_port_high = 51'115;
  const auto cluster = Open(options);
  std::vector<net::UdpSocket> others;
  for (uint16_t port = 51'100; port < 51'114; port += 2) {
    others.push_back(net::UdpSocket::Open({.bind = {kLoopback, port}}).value());
  }
  const auto client = Connect(*cluster, Client::Ports::kEvenAndNext);
  loop_.RunUntil([&] { return client->allocated(); });
  EXPECT_EQ(client->turn().relayed().port, 51'114);
  for (uint16_t port = 51'101; port < 51'115; port += 2) {
    EXPECT_OK(net::UdpSocket::Open({.bind = {kLoopback, port}})) << port;
  }
  EXPECT_FALSE(net::UdpSocket::Open({.bind = {kLoopback, 51'115}}).ok());
}

// HTTP and signaling are on the main loop: while it is at work on them, or
// hangs, everybody is relayed for.
TEST_F(ClusterTest, AMainLoopThatIsKeptFreeDelaysNobody) {
  Options options = TestOptions(2);
  options.main_loop = Options::MainLoop::kKeptFree;
  const auto busy = net::Loop::Create().value();  // And never runs.
  const auto cluster =
      Cluster::Open(std::move(options), *busy, [](const Event&) {});
  ASSERT_OK(cluster);
  // Of two loops the kernel would give some of these to the main one.
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(Connect(**cluster));
  for (const auto& client : clients) {
    loop_.RunUntil([&] { return client->allocated(); });
    client->Permit(clients[0]->turn().relayed());
    loop_.RunUntil([&] { return client->granted() > 0; });
  }
  for (const auto& client : clients) {
    clients[0]->Permit(client->turn().relayed());
  }
  for (const auto& client : clients) {
    client->Send(clients[0]->turn().relayed(), "data");
  }
  loop_.RunUntil(
      [&] { return clients[0]->received().size() == clients.size(); });
  (*cluster)->Close();
  EXPECT_EQ((*cluster)->stats().server.to_clients, clients.size());
}

TEST_F(ClusterTest, ATakenAddressIsAlreadyExists) {
  const auto cluster = Open(TestOptions(2));
  Options options = TestOptions(1);
  options.listen = cluster->listeners();
  EXPECT_THAT(Cluster::Open(options, *loop_, [](const Event&) {}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  options.threads = 0;
  EXPECT_THAT(Cluster::Open(options, *loop_, [](const Event&) {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kyuu::relay
