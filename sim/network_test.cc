#include "sim/network.h"

#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"

namespace kyuu::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TransportAddress At(const char* text) { return *TransportAddress::Parse(text); }
IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

// Sends a numbered ping every 20 ms, and answers those of others; tells each
// answer as an event.
class Pinger {
 public:
  using Packet = Datagram;
  struct Pong {
    uint32_t number;
    TransportAddress from;
  };
  using Event = std::variant<Pong>;

  Pinger(TransportAddress local, TransportAddress remote, uint32_t count)
      : local_(local), remote_(remote), left_(count) {}

  void Start(absl::Time now) { next_ = now; }
  void HandlePacket(absl::Time, Packet in) {
    Reader r(in.bytes);
    const bool ping = r.U8() == 1;
    const uint32_t number = r.U32();
    if (ping) {
      answers_.push_back({in.path, number});
    } else {
      events_.push_back(Pong{number, in.path.remote});
    }
  }
  void HandleTimeout(absl::Time now) {
    if (now < next_) return;
    due_ = true;
    next_ = left_ > 1 ? next_ + absl::Milliseconds(20) : absl::InfiniteFuture();
  }
  std::optional<Packet> PollTransmit(absl::Time, absl::Span<uint8_t> out) {
    Writer w(out);
    if (!answers_.empty()) {
      w.U8(2);
      w.U32(answers_.front().second);
      const Path path = answers_.front().first;
      answers_.pop_front();
      return Datagram{path, w.written()};
    }
    if (!due_ || left_ == 0) return std::nullopt;
    due_ = false;
    w.U8(1);
    w.U32(left_--);
    return Datagram{{local_, remote_}, w.written()};
  }
  std::optional<Event> PollEvent() {
    if (events_.empty()) return std::nullopt;
    Event event = events_.front();
    events_.pop_front();
    return event;
  }
  absl::Time NextTimeout() const { return next_; }

 private:
  TransportAddress local_;
  TransportAddress remote_;
  uint32_t left_;
  bool due_ = false;
  absl::Time next_ = absl::InfiniteFuture();
  std::deque<std::pair<Path, uint32_t>> answers_;
  std::deque<Event> events_;
};
static_assert(Engine<Pinger>);

// What a handler at one address got: "payload from source".
struct Inbox {
  std::vector<std::string> got;
  std::function<void(const Datagram&)> handler() {
    return [this](const Datagram& d) {
      got.push_back(std::string(AsText(d.bytes)) + " from " +
                    d.path.remote.ToString());
    };
  }
};

void Say(Network& network, HostId host, const TransportAddress& from,
         const TransportAddress& to, const std::string& text) {
  network.Send(host, {{from, to}, AsBytes(text)});
}

TEST(Network, DrivesEnginesAcrossLinksOnSimulatedTime) {
  Network network;
  const LinkOptions ten = {.delay = absl::Milliseconds(10)};
  const HostId a =
      network.AddHost("a", {kInternet, {Ip("192.0.2.1")}, ten, ten});
  const HostId b =
      network.AddHost("b", {kInternet, {Ip("192.0.2.2")}, ten, ten});
  Pinger ping(At("192.0.2.1:1"), At("192.0.2.2:2"), 5);
  Pinger pong(At("192.0.2.2:2"), At("192.0.2.1:1"), 0);
  std::vector<absl::Duration> rtts;
  const absl::Time start = network.now();
  network.Attach(a, {At("192.0.2.1:1")}, ping,
                 [&](Pinger::Event) { rtts.push_back(network.now() - start); });
  network.Attach(b, {At("192.0.2.2:2")}, pong);
  ping.Start(network.now());
  EXPECT_TRUE(network.RunUntilIdle());
  EXPECT_THAT(rtts, ElementsAre(absl::Milliseconds(40), absl::Milliseconds(60),
                                absl::Milliseconds(80), absl::Milliseconds(100),
                                absl::Milliseconds(120)));
  EXPECT_EQ(network.stats().delivered, 10u);
}

std::pair<uint64_t, std::string> LossyRun(uint64_t seed) {
  Network network({.seed = seed, .transcript = Transcript::Detail::kText});
  const LinkOptions bad = {.jitter = absl::Milliseconds(9),
                           .loss = 0.2,
                           .duplicate = 0.1,
                           .reorder = 0.2,
                           .rate_bits_per_s = 100'000};
  const HostId a =
      network.AddHost("a", {kInternet, {Ip("192.0.2.1")}, bad, bad});
  const ZoneId home =
      network.AddNat(kInternet, NatOptions::Symmetric(Ip("198.51.100.1")));
  const HostId b = network.AddHost("b", {home, {Ip("10.0.0.2")}, bad, bad});
  Pinger pong(At("192.0.2.1:1"), At("192.0.2.2:2"), 0);
  Pinger ping(At("10.0.0.2:2"), At("192.0.2.1:1"), 50);
  network.Attach(a, {At("192.0.2.1:1")}, pong);
  network.Attach(b, {At("10.0.0.2:2")}, ping);
  ping.Start(network.now());
  network.RunFor(absl::Seconds(5));
  return {network.transcript().hash(), network.transcript().text()};
}

TEST(Network, OneSeedReplaysByteForByteAndAnotherDoesNot) {
  const auto first = LossyRun(7);
  EXPECT_EQ(first, LossyRun(7));
  EXPECT_NE(first.first, LossyRun(8).first);
  EXPECT_THAT(first.second, ::testing::HasSubstr("-> a 192.0.2.1:1 01"));
}

TEST(Network, HostsOfOneZoneReachEachOtherWithoutTheNat) {
  Network network;
  const ZoneId home =
      network.AddNat(kInternet, NatOptions::Symmetric(Ip("198.51.100.1")));
  const HostId a = network.AddHost("a", {home, {Ip("10.0.0.2")}});
  const HostId b = network.AddHost("b", {home, {Ip("10.0.0.3")}});
  Inbox inbox;
  network.Listen(b, At("10.0.0.3:9"), inbox.handler());
  Say(network, a, At("10.0.0.2:1"), At("10.0.0.3:9"), "hi");
  network.RunUntilIdle();
  EXPECT_THAT(inbox.got, ElementsAre("hi from 10.0.0.2:1"));
  EXPECT_EQ(network.nat(home).mappings(), 0u);
}

TEST(Network, DoubleNatTranslatesTwiceAndAnswersFindTheWayBack) {
  Network network;
  const HostId server = network.AddHost("s", {kInternet, {Ip("192.0.2.1")}});
  const ZoneId carrier =
      network.AddNat(kInternet, NatOptions::Symmetric(Ip("198.51.100.1")));
  const ZoneId home =
      network.AddNat(carrier, NatOptions::PortRestrictedCone(Ip("100.64.0.2")));
  const HostId a = network.AddHost("a", {home, {Ip("10.0.0.2")}});
  Inbox inbox;
  network.Listen(a, At("10.0.0.2:1"), inbox.handler());
  std::optional<TransportAddress> seen;
  network.Listen(server, At("192.0.2.1:9"), [&](const Datagram& d) {
    seen = d.path.remote;
    network.Send(server, {d.path, AsBytes("back")});
  });
  Say(network, a, At("10.0.0.2:1"), At("192.0.2.1:9"), "out");
  network.RunUntilIdle();
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->ip, Ip("198.51.100.1"));
  EXPECT_THAT(inbox.got, ElementsAre("back from 192.0.2.1:9"));
  // Nobody else gets in.
  Say(network, server, At("192.0.2.1:10"), *seen, "stranger");
  network.RunUntilIdle();
  EXPECT_EQ(inbox.got.size(), 1u);
  EXPECT_EQ(network.nat(carrier).stats().filtered, 1u);
}

TEST(Network, HairpinShowsTheOutsideSourceAndIsOffByDefault) {
  for (bool hairpin : {true, false}) {
    SCOPED_TRACE(hairpin);
    Network network;
    NatOptions options = NatOptions::FullCone(Ip("198.51.100.1"));
    options.hairpin = hairpin;
    options.preserve_port = true;
    const ZoneId home = network.AddNat(kInternet, options);
    const HostId server = network.AddHost("s", {kInternet, {Ip("192.0.2.1")}});
    const HostId a = network.AddHost("a", {home, {Ip("10.0.0.2")}});
    const HostId b = network.AddHost("b", {home, {Ip("10.0.0.3")}});
    network.Listen(server, At("192.0.2.1:9"), [](const Datagram&) {});
    Inbox inbox;
    network.Listen(b, At("10.0.0.3:3"), inbox.handler());
    Say(network, b, At("10.0.0.3:3"), At("192.0.2.1:9"), "map me");
    network.RunUntilIdle();
    Say(network, a, At("10.0.0.2:2"), At("198.51.100.1:3"), "hi");
    network.RunUntilIdle();
    if (hairpin) {
      EXPECT_THAT(inbox.got, ElementsAre("hi from 198.51.100.1:2"));
    } else {
      EXPECT_THAT(inbox.got, IsEmpty());
      EXPECT_EQ(network.stats().dropped, 1u);
    }
  }
}

TEST(Network, Ipv6PassesANat44UntranslatedButFiltered) {
  Network network;
  const ZoneId home = network.AddNat(
      kInternet, NatOptions::PortRestrictedCone(Ip("198.51.100.1")));
  const HostId server = network.AddHost("s", {kInternet, {Ip("2001:db8::1")}});
  const HostId a =
      network.AddHost("a", {home, {Ip("10.0.0.2"), Ip("2001:db8:1::2")}});
  Inbox at_a, at_server;
  network.Listen(a, At("[2001:db8:1::2]:1"), at_a.handler());
  network.Listen(server, At("[2001:db8::1]:9"), at_server.handler());
  Say(network, server, At("[2001:db8::1]:9"), At("[2001:db8:1::2]:1"), "early");
  network.RunUntilIdle();
  EXPECT_THAT(at_a.got, IsEmpty());
  Say(network, a, At("[2001:db8:1::2]:1"), At("[2001:db8::1]:9"), "out");
  network.RunUntilIdle();
  Say(network, server, At("[2001:db8::1]:9"), At("[2001:db8:1::2]:1"), "in");
  network.RunUntilIdle();
  EXPECT_THAT(at_server.got, ElementsAre("out from [2001:db8:1::2]:1"));
  EXPECT_THAT(at_a.got, ElementsAre("in from [2001:db8::1]:9"));
}

TEST(Network, CountsWhatCannotBeSentOrDelivered) {
  Network network;
  const HostId a = network.AddHost("a", {kInternet, {Ip("192.0.2.1")}});
  network.AddHost("b", {kInternet, {Ip("192.0.2.2")}});
  Say(network, a, At("192.0.2.9:1"), At("192.0.2.2:2"), "not mine");
  Say(network, a, At("192.0.2.1:1"), At("[2001:db8::1]:2"), "families");
  EXPECT_EQ(network.stats().bad_source, 2u);
  Say(network, a, At("192.0.2.1:1"), At("192.0.2.77:2"), "nobody");
  Say(network, a, At("192.0.2.1:1"), At("192.0.2.2:2"), "closed port");
  network.RunUntilIdle();
  EXPECT_EQ(network.stats().unroutable, 1u);
  EXPECT_EQ(network.stats().unbound, 1u);
}

TEST(Network, MtuCountsHeadersAndDropsBiggerDatagrams) {
  Network network;
  const HostId a = network.AddHost("a", {kInternet, {Ip("192.0.2.1")}});
  const HostId b = network.AddHost("b", {kInternet, {Ip("192.0.2.2")}});
  Inbox inbox;
  network.Listen(b, At("192.0.2.2:9"), inbox.handler());
  Say(network, a, At("192.0.2.1:1"), At("192.0.2.2:9"), std::string(1472, 'x'));
  Say(network, a, At("192.0.2.1:1"), At("192.0.2.2:9"), std::string(1473, 'x'));
  network.RunUntilIdle();
  EXPECT_EQ(inbox.got.size(), 1u);
  EXPECT_EQ(network.up(a).stats().too_big, 1u);
}

TEST(Network, LoopbackIsTheHostsOwn) {
  Network network;
  const HostId a = network.AddHost("a", {kInternet, {Ip("127.0.0.1")}});
  const HostId b = network.AddHost("b", {kInternet, {Ip("127.0.0.1")}});
  Inbox at_a, at_b;
  network.Listen(a, At("127.0.0.1:9"), at_a.handler());
  network.Listen(b, At("127.0.0.1:9"), at_b.handler());
  Say(network, a, At("127.0.0.1:1"), At("127.0.0.1:9"), "me");
  network.RunUntilIdle();
  EXPECT_THAT(at_a.got, ElementsAre("me from 127.0.0.1:1"));
  EXPECT_THAT(at_b.got, IsEmpty());
}

TEST(Network, FilterActionsAddressesAndDetachTakeEffectAtOnce) {
  Network network;
  const HostId a = network.AddHost("a", {kInternet, {Ip("192.0.2.1")}});
  const HostId b = network.AddHost("b", {kInternet, {Ip("192.0.2.2")}});
  Inbox inbox;
  const EndpointId end = network.Listen(b, At("192.0.2.2:9"), inbox.handler());
  network.Bind(end, At("192.0.2.2:10"));
  network.set_filter(
      [](const Datagram& d) { return AsText(d.bytes) != "secret"; });
  const auto say = [&](const char* text, uint16_t port) {
    Say(network, a, At("192.0.2.1:1"), {Ip("192.0.2.2"), port}, text);
  };
  say("secret", 9);
  say("one", 9);
  say("two", 10);
  network.After(absl::Seconds(1), [&] { say("three", 9); });
  network.After(absl::Seconds(2),
                [&] { network.Unbind(end, At("192.0.2.2:10")); });
  network.After(absl::Seconds(3), [&] { say("lost", 10); });
  network.After(absl::Seconds(4), [&] { network.Detach(end); });
  network.After(absl::Seconds(5), [&] { say("lost", 9); });
  network.After(absl::Seconds(6),
                [&] { network.RemoveAddress(b, Ip("192.0.2.2")); });
  network.After(absl::Seconds(7), [&] { say("unroutable", 9); });
  EXPECT_TRUE(network.RunUntil([&] { return inbox.got.size() == 3; },
                               absl::Seconds(10)));
  EXPECT_FALSE(network.RunUntil([&] { return inbox.got.size() == 4; },
                                absl::Seconds(10)));
  EXPECT_THAT(inbox.got,
              ElementsAre("one from 192.0.2.1:1", "two from 192.0.2.1:1",
                          "three from 192.0.2.1:1"));
  EXPECT_EQ(network.stats().dropped, 1u);
  EXPECT_EQ(network.stats().unbound, 2u);
  EXPECT_EQ(network.stats().unroutable, 1u);
}

// Over TCP a NAT lets out whatever it lets out, and in what somebody inside
// asked for.
TEST(NetworkTest, ConnectionsAreMadeThroughNats) {
  Network network;
  const IpAddress server = Ip("192.0.2.1");
  const IpAddress inside = Ip("10.0.0.2");
  const HostId open = network.AddHost("open", {kInternet, {server}});
  const HostId hidden = network.AddHost(
      "hidden",
      {network.AddNat(kInternet, NatOptions::Symmetric(Ip("203.0.113.1"))),
       {inside}});
  std::vector<Path> accepted;
  network.ListenStreams(open, {server, 80},
                        [&](const Path& path) { accepted.push_back(path); });
  network.ListenStreams(hidden, {inside, 80},
                        [&](const Path& path) { accepted.push_back(path); });
  std::vector<std::pair<uint16_t, absl::Status>> told;
  const auto connect = [&](HostId host, TransportAddress local,
                           TransportAddress remote) {
    network.ConnectStream(host, {local, remote, Transport::kTcp},
                          [&told, remote](const absl::Status& status) {
                            told.emplace_back(remote.port, status);
                          });
  };
  const absl::Time start = network.now();
  connect(hidden, {inside, 1000}, {server, 80});
  EXPECT_TRUE(
      network.RunUntil([&] { return !told.empty(); }, absl::Seconds(1)));
  EXPECT_EQ(network.now() - start, absl::Milliseconds(30));
  EXPECT_OK(told[0].second);
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_EQ(accepted[0].local, (TransportAddress{server, 80}));
  EXPECT_EQ(accepted[0].remote.ip, Ip("203.0.113.1"));
  EXPECT_EQ(accepted[0].transport, Transport::kTcp);

  connect(hidden, {inside, 1001}, {server, 81});
  network.RunFor(absl::Seconds(1));
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[1].second, StatusIs(absl::StatusCode::kUnavailable));

  // Silence: nobody inside has sent anything to there.
  connect(open, {server, 1002}, {Ip("203.0.113.1"), 80});
  network.RunFor(absl::Seconds(1));
  EXPECT_EQ(told.size(), 2u);
  EXPECT_EQ(accepted.size(), 1u);
}

}  // namespace
}  // namespace kyuu::sim
