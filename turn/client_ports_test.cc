// turn::Client and the ports of relayed addresses (EVEN-PORT,
// RESERVATION-TOKEN), and fragments (DONT-FRAGMENT): at our server.

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/client.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using Ports = ClientOptions::Ports;
using Fragments = ClientOptions::Fragments;

const IpAddress kHost = IpAddress::V4(9, 9, 9, 9);

Client::Options At(uint16_t port) {
  return {.local = {kHost, port},
          .server = kTestServer,
          .username = "u",
          .password = "p"};
}

class ClientPorts : public testing::Test {
 protected:
  // Hands all requests to the server and its answers back, until silence.
  void Run(Client& client) {
    while (const auto packet =
               client.PollTransmit(harness_.now(), absl::MakeSpan(out_))) {
      const TestClient from(packet->path.local.port);
      const std::vector<uint8_t> bytes(packet->bytes.begin(),
                                       packet->bytes.end());
      const Reply reply = harness_.Exchange(from, bytes);
      if (reply.empty()) continue;
      client.HandlePacket(
          harness_.now(),
          {{packet->path.local, kTestServer, Transport::kUdp}, reply.bytes()});
    }
  }
  template <typename E>
  E Take(Client& client) {
    const auto event = client.PollEvent();
    EXPECT_TRUE(event && std::holds_alternative<E>(*event));
    if (!event || !std::holds_alternative<E>(*event)) return {};
    return std::get<E>(*event);
  }
  // What comes of that wish.
  template <typename E>
  E Ask(Client& client) {
    EXPECT_OK(client.Allocate(harness_.now()));
    Run(client);
    return Take<E>(client);
  }

  static ServerOptions WithBothFamilies() {
    ServerOptions options = ServerHarness::Options();
    options.relay_addresses.push_back({*IpAddress::Parse("2606:4700::2"), {}});
    return options;
  }

  SeededRandom random_{1};
  ServerHarness harness_{WithBothFamilies()};
  std::vector<uint8_t> out_ = std::vector<uint8_t>(2048);
};

TEST_F(ClientPorts, AnEvenOneIsAskedForAlone) {
  for (uint16_t port = 1000; port < 1010; ++port) {
    Client::Options options = At(port);
    options.ports = Ports::kEven;
    Client client(random_, options);
    const auto got = Ask<Client::Allocated>(client);
    EXPECT_EQ(got.relayed.port % 2, 0);
    EXPECT_FALSE(got.reservation.has_value());
  }
}

TEST_F(ClientPorts, TheNextOneIsKeptForWhoShowsItsToken) {
  Client::Options options = At(1000);
  options.ports = Ports::kEvenAndNext;
  Client first(random_, options);
  const auto got = Ask<Client::Allocated>(first);
  EXPECT_EQ(got.relayed.port % 2, 0);
  ASSERT_TRUE(got.reservation.has_value());
  options = At(1001);
  options.reservation = got.reservation;
  Client second(random_, options);
  TransportAddress above = got.relayed;
  ++above.port;
  EXPECT_EQ(Ask<Client::Allocated>(second).relayed, above);
  // It is kept once, and for 30 s.
  options = At(1002);
  options.reservation = got.reservation;
  Client third(random_, options);
  EXPECT_EQ(Ask<Client::Closed>(third).error,
            stun::Error::kInsufficientCapacity);
  options = At(1003);
  options.ports = Ports::kEvenAndNext;
  Client fourth(random_, options);
  const auto late = Ask<Client::Allocated>(fourth);
  harness_.Advance(absl::Seconds(30));
  options = At(1004);
  options.reservation = late.reservation;
  Client fifth(random_, options);
  EXPECT_EQ(Ask<Client::Closed>(fifth).error,
            stun::Error::kInsufficientCapacity);
}

// A refresh says nothing of it.
TEST_F(ClientPorts, RefreshesAskForNoPorts) {
  Client::Options options = At(1000);
  options.ports = Ports::kEvenAndNext;
  options.fragments = Fragments::kForbid;
  Client client(random_, options);
  Ask<Client::Allocated>(client);
  ASSERT_OK(client.Refresh(harness_.now()));
  const auto packet = client.PollTransmit(harness_.now(), absl::MakeSpan(out_));
  ASSERT_TRUE(packet);
  const auto request = stun::MessageView::Parse(packet->bytes);
  ASSERT_OK(request);
  EXPECT_EQ(request->method(), stun::Method::kRefresh);
  EXPECT_FALSE(request->Has<stun::EvenPort>());
  EXPECT_FALSE(request->Has<stun::ReservationToken>());
  EXPECT_FALSE(request->Has<stun::DontFragment>());
}

TEST_F(ClientPorts, NoDatagramIsCut) {
  Client::Options options = At(1000);
  options.fragments = Fragments::kForbid;
  Client client(random_, options);
  Ask<Client::Allocated>(client);
  const std::string payload(1000, 'x');
  ASSERT_OK(client.Permit(harness_.now(), kTestPeer));
  Run(client);
  Take<Client::PermissionGranted>(client);
  const auto forwards = [&] {
    const auto datagram = client.Wrap(harness_.now(), kTestPeer,
                                      AsBytes(payload), absl::MakeSpan(out_));
    EXPECT_OK(datagram);
    const auto decided =
        harness_.server().FromClient(harness_.now(), TestClient(1000).path,
                                     datagram->bytes, datagram->bytes.size());
    EXPECT_EQ(decided.size(), 1u);
    EXPECT_EQ(AsText(decided[0].payload(0)), payload);
    return decided[0].dont_fragment;
  };
  // However many there are: a channel could not say so.
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(forwards());
  EXPECT_FALSE(client.PollTransmit(harness_.now(), absl::MakeSpan(out_)));
  // Unless it is wanted.
  ASSERT_OK(client.BindChannel(harness_.now(), kTestPeer));
  Run(client);
  EXPECT_TRUE(client.ChannelOf(kTestPeer).has_value());
  EXPECT_FALSE(forwards());
}

TEST_F(ClientPorts, TheLongestPrefixIsOfOneThatIsNotToBeCut) {
  const TransportAddress peer{*IpAddress::Parse("2606:4700::9"), 7000};
  Client::Options options = At(1000);
  options.relayed_family = IpFamily::kV6;
  options.fragments = Fragments::kForbid;
  Client client(random_, options);
  Ask<Client::Allocated>(client);
  ASSERT_OK(client.Permit(harness_.now(), peer));
  Run(client);
  const std::string payload = "0123456789";
  std::vector<uint8_t> tight(payload.size() + Client::kOverheadMax + 3);
  const auto datagram = client.Wrap(harness_.now(), peer, AsBytes(payload),
                                    absl::MakeSpan(tight));
  ASSERT_OK(datagram);
  // And two of padding.
  EXPECT_EQ(datagram->bytes.size(), Client::kOverheadMax + payload.size() + 2);
}

TEST_F(ClientPorts, WhatCannotBeIsTheCallersMistake) {
  const auto allowed = [&](void (*change)(Client::Options&)) {
    Client::Options options = At(1000);
    change(options);
    return Client(random_, options).Allocate(harness_.now()).ok();
  };
  const auto with_token = [](Client::Options& o) { o.reservation.emplace(); };
  EXPECT_TRUE(allowed(with_token));
  EXPECT_FALSE(allowed([](Client::Options& o) {
    o.reservation.emplace();
    o.ports = Ports::kEven;
  }));
  EXPECT_FALSE(allowed([](Client::Options& o) {
    o.reservation.emplace();
    o.relayed_family = IpFamily::kV4;
  }));
  // RFC 6062 section 4.1.
  for (const auto change :
       {+[](Client::Options& o) { o.ports = Ports::kEven; },
        +[](Client::Options& o) { o.reservation.emplace(); },
        +[](Client::Options& o) { o.fragments = Fragments::kForbid; }}) {
    Client::Options options = At(1000);
    options.transport = Transport::kTcp;
    options.relayed_transport = Transport::kTcp;
    EXPECT_OK(Client(random_, options).Allocate(harness_.now()));
    change(options);
    EXPECT_EQ(Client(random_, options).Allocate(harness_.now()).code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace kyuu::turn
