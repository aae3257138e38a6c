// turn::Client with relayed addresses of both families (RFC 8656 sections 7.3
// and 8): at our server, and at one that does as it is told.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/client.h"
#include "turn/testing/scripted_server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::Error;
using stun::Method;

const IpAddress kHost = IpAddress::V4(9, 9, 9, 9);
const IpAddress kRelay6 = *IpAddress::Parse("2606:4700::2");
const TransportAddress kPeer6{*IpAddress::Parse("2a00::9"), 7000};
const TransportAddress kRelayed6{kRelay6, 50'002};

Client::Options Both(uint16_t port = 1000) {
  return {.local = {kHost, port},
          .server = kTestServer,
          .username = "u",
          .password = "p",
          .families = ClientOptions::Families::kBoth};
}

ServerOptions BothFamilies() {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses.push_back({kRelay6, {}});
  return options;
}

template <typename E>
E Take(Client& client) {
  const auto event = client.PollEvent();
  EXPECT_TRUE(event && std::holds_alternative<E>(*event));
  if (!event || !std::holds_alternative<E>(*event)) return {};
  return std::get<E>(*event);
}

// At our server.
class ClientFamilies : public testing::Test {
 protected:
  void Run(Client& client) { Run(client, harness_); }
  // Hands all requests to the server and its answers back, until silence.
  void Run(Client& client, ServerHarness& harness) {
    while (const auto packet =
               client.PollTransmit(harness.now(), absl::MakeSpan(out_))) {
      const TestClient from(packet->path.local.port);
      const std::vector<uint8_t> bytes(packet->bytes.begin(),
                                       packet->bytes.end());
      const Reply reply = harness.Exchange(from, bytes);
      if (reply.empty()) continue;
      client.HandlePacket(
          harness.now(),
          {{packet->path.local, kTestServer, Transport::kUdp}, reply.bytes()});
    }
  }
  Client::Allocated Start(Client& client) {
    EXPECT_OK(client.Allocate(harness_.now()));
    Run(client);
    return Take<Client::Allocated>(client);
  }
  void Permit(Client& client, const TransportAddress& peer) {
    ASSERT_OK(client.Permit(harness_.now(), peer));
    Run(client);
    EXPECT_EQ(Take<Client::PermissionGranted>(client).peer, peer.ip);
  }
  // Where the server sends what the client has for the peer; nowhere if the
  // client or the server lets it not pass.
  std::optional<Path> Relayed(Client& client, const TransportAddress& peer) {
    const auto datagram = client.Wrap(harness_.now(), peer, AsBytes("data"),
                                      absl::MakeSpan(out_));
    if (!datagram.ok()) return std::nullopt;
    const auto forwards = harness_.server().FromClient(
        harness_.now(), {kTestServer, datagram->path.local, Transport::kUdp},
        datagram->bytes, datagram->bytes.size());
    if (forwards.size() != 1) return std::nullopt;
    EXPECT_EQ(AsText(forwards[0].payload(0)), "data");
    relay_ = forwards[0].relay;
    return forwards[0].path;
  }
  // Whether what the peer sends to the relay of the last Relayed() arrives.
  bool Arrives(Client& client, const TransportAddress& peer) {
    const auto forwards = harness_.server().FromPeer(harness_.now(), relay_,
                                                     peer, AsBytes("back"), 4);
    if (forwards.size() != 1) return false;
    const std::vector<uint8_t> bytes = ServerHarness::Datagram(forwards[0]);
    const auto in = client.Unwrap(
        {{forwards[0].path.remote, kTestServer, Transport::kUdp}, bytes});
    if (!in) return false;
    EXPECT_EQ(in->peer, peer);
    EXPECT_EQ(AsText(in->payload), "back");
    return true;
  }

  SeededRandom random_{1};
  ServerHarness harness_{BothFamilies()};
  RelayId relay_{};
  std::vector<uint8_t> out_ = std::vector<uint8_t>(2048);
};

TEST_F(ClientFamilies, BothAreOfOneAllocation) {
  Client client(random_, Both());
  const Client::Allocated got = Start(client);
  EXPECT_EQ(got.relayed.ip, kTestRelay);
  ASSERT_TRUE(got.additional.has_value());
  EXPECT_EQ(got.additional->ip, kRelay6);
  EXPECT_FALSE(got.refused.has_value());
  EXPECT_EQ(client.relayed(), got.relayed);
  EXPECT_EQ(*client.relayed(IpFamily::kV4), got.relayed);
  EXPECT_EQ(*client.relayed(IpFamily::kV6), *got.additional);
  EXPECT_EQ(client.relayed(IpFamily::kUnspecified), nullptr);
  EXPECT_NE(client.DebugString().find(got.additional->ToString()),
            std::string::npos);
  EXPECT_EQ(harness_.server().allocations(), 1u);
}

TEST_F(ClientFamilies, PeersOfBothAreReachedByIndicationsAndChannels) {
  Client client(random_, Both());
  const Client::Allocated got = Start(client);
  Permit(client, kTestPeer);
  Permit(client, kPeer6);
  for (const bool channels : {false, true}) {
    SCOPED_TRACE(channels);
    if (channels) {
      ASSERT_OK(client.BindChannel(harness_.now(), kTestPeer));
      ASSERT_OK(client.BindChannel(harness_.now(), kPeer6));
      Run(client);
      EXPECT_EQ(Take<Client::ChannelBound>(client).peer, kTestPeer);
      EXPECT_EQ(Take<Client::ChannelBound>(client).peer, kPeer6);
    }
    EXPECT_EQ(Relayed(client, kTestPeer), (Path{got.relayed, kTestPeer}));
    EXPECT_TRUE(Arrives(client, kTestPeer));
    EXPECT_EQ(Relayed(client, kPeer6), (Path{*got.additional, kPeer6}));
    EXPECT_TRUE(Arrives(client, kPeer6));
  }
}

TEST_F(ClientFamilies, OneThatIsRefusedIsToldWithItsCodeAndTheOtherWorks) {
  const struct {
    std::string name;
    bool v4, v6;
    size_t per_user;
    IpFamily refused;
    Error why;
  } kRows[] = {
      {"no IPv6", true, false, 9, IpFamily::kV6,
       Error::kAddressFamilyNotSupported},
      {"no IPv4", false, true, 9, IpFamily::kV4,
       Error::kAddressFamilyNotSupported},
      {"quota", true, true, 1, IpFamily::kV6, Error::kAllocationQuotaReached},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    ServerOptions options = ServerHarness::Options();
    options.allocations_per_user_max = row.per_user;
    options.relay_addresses.clear();
    if (row.v4) options.relay_addresses.push_back({kTestRelay, {}});
    if (row.v6) options.relay_addresses.push_back({kRelay6, {}});
    ServerHarness harness(options);
    Client client(random_, Both());
    ASSERT_OK(client.Allocate(harness.now()));
    Run(client, harness);
    const auto got = Take<Client::Allocated>(client);
    EXPECT_NE(got.relayed.ip.family(), row.refused);
    EXPECT_FALSE(got.additional.has_value());
    ASSERT_TRUE(got.refused.has_value());
    EXPECT_EQ(got.refused->family, row.refused);
    EXPECT_EQ(got.refused->error, row.why);
    EXPECT_EQ(client.relayed(), got.relayed);
    EXPECT_EQ(client.relayed(row.refused), nullptr);
    const bool v4 = row.refused == IpFamily::kV6;
    EXPECT_OK(client.Permit(harness.now(), v4 ? kTestPeer : kPeer6));
    EXPECT_EQ(client.Permit(harness.now(), v4 ? kPeer6 : kTestPeer).code(),
              absl::StatusCode::kInvalidArgument);
    Run(client, harness);
    Take<Client::PermissionGranted>(client);
  }
}

TEST_F(ClientFamilies, NeitherIsTheEnd) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses.clear();
  ServerHarness harness(options);
  Client client(random_, Both());
  ASSERT_OK(client.Allocate(harness.now()));
  Run(client, harness);
  EXPECT_EQ(Take<Client::Closed>(client).error,
            Error::kAddressFamilyNotSupported);
}

TEST_F(ClientFamilies, OneIsGivenBackAndTheOtherGoesOn) {
  const size_t ports = harness_.server().free_ports();
  uint16_t port = 1000;
  for (const IpFamily gone : {IpFamily::kV4, IpFamily::kV6}) {
    Client client(random_, Both(port++));
    const Client::Allocated got = Start(client);
    Permit(client, kTestPeer);
    Permit(client, kPeer6);
    ASSERT_OK(client.BindChannel(harness_.now(), kTestPeer));
    ASSERT_OK(client.BindChannel(harness_.now(), kPeer6));
    Run(client);
    Take<Client::ChannelBound>(client);
    Take<Client::ChannelBound>(client);
    const bool v4_gone = gone == IpFamily::kV4;
    const TransportAddress& lost = v4_gone ? kTestPeer : kPeer6;
    const TransportAddress& kept = v4_gone ? kPeer6 : kTestPeer;

    ASSERT_OK(client.ReleaseFamily(harness_.now(), gone));
    // For us it is gone at once.
    EXPECT_EQ(client.relayed(gone), nullptr);
    EXPECT_FALSE(client.ChannelOf(lost).has_value());
    EXPECT_EQ(
        client.Wrap(harness_.now(), lost, AsBytes("x"), absl::MakeSpan(out_))
            .status()
            .code(),
        absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(client.Permit(harness_.now(), lost).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(client.PollEvent().has_value());
    Run(client);
    const auto ended = Take<Client::FamilyEnded>(client);
    EXPECT_EQ(ended.relayed, v4_gone ? got.relayed : *got.additional);
    EXPECT_OK(ended.status);
    EXPECT_FALSE(ended.error.has_value());
    EXPECT_EQ(harness_.server().free_ports(), ports - 1);

    EXPECT_EQ(client.relayed(), v4_gone ? *got.additional : got.relayed);
    EXPECT_TRUE(Relayed(client, kept).has_value());
    EXPECT_TRUE(Arrives(client, kept));
    // The last one is the allocation.
    for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
      EXPECT_EQ(client.ReleaseFamily(harness_.now(), family).code(),
                absl::StatusCode::kFailedPrecondition);
    }
    EXPECT_OK(client.Refresh(harness_.now()));
    EXPECT_OK(client.RefreshFamily(harness_.now(), kept.ip.family()));
    Run(client);
    EXPECT_FALSE(client.PollEvent().has_value());
    client.Close(harness_.now());
    Run(client);
    EXPECT_OK(Take<Client::Closed>(client).status);
    EXPECT_EQ(harness_.server().free_ports(), ports);
  }
}

TEST_F(ClientFamilies, PortsOfBothAreEven) {
  Client::Options options = Both();
  options.ports = ClientOptions::Ports::kEven;
  for (uint16_t port = 1000; port < 1008; ++port) {
    options.local.port = port;
    Client client(random_, options);
    const Client::Allocated got = Start(client);
    ASSERT_TRUE(got.additional.has_value());
    EXPECT_EQ(got.relayed.port % 2 + got.additional->port % 2, 0);
  }
}

// RFC 8656 section 7.1.
TEST_F(ClientFamilies, WhatCannotBeIsRefusedBeforeAnythingIsSent) {
  const std::vector<void (*)(Client::Options&)> kMistakes = {
      [](Client::Options& o) { o.relayed_family = IpFamily::kV4; },
      [](Client::Options& o) { o.relayed_family = IpFamily::kV6; },
      [](Client::Options& o) { o.reservation.emplace(); },
      [](Client::Options& o) { o.ports = ClientOptions::Ports::kEvenAndNext; }};
  for (const auto mistake : kMistakes) {
    Client::Options options = Both();
    mistake(options);
    Client client(random_, options);
    const absl::Status status = client.Allocate(harness_.now());
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("ADDITIONAL-ADDRESS-FAMILY"),
              std::string::npos);
    EXPECT_FALSE(client.PollTransmit(harness_.now(), absl::MakeSpan(out_)));
  }
}

// At a server that does as it is told.
class ClientFamiliesScripted : public testing::Test {
 protected:
  ClientFamiliesScripted() { server_.additional = kRelayed6; }

  static Client::Options Options() {
    Client::Options options = Both();
    options.username = "user";
    options.password = "pass";
    return options;
  }
  void Run(Client& client) {
    while (const auto packet =
               client.PollTransmit(now_, absl::MakeSpan(out_))) {
      const Path path = packet->path;
      const std::vector<uint8_t> answer = server_.Answer(packet->bytes);
      if (!answer.empty()) client.HandlePacket(now_, {path, answer});
    }
  }
  Client::Allocated Start(Client& client) {
    EXPECT_OK(client.Allocate(now_));
    Run(client);
    return Take<Client::Allocated>(client);
  }
  void Permit(Client& client, const TransportAddress& peer) {
    ASSERT_OK(client.Permit(now_, peer));
    Run(client);
    Take<Client::PermissionGranted>(client);
  }
  // As long as a request is tried.
  void RunUnanswered(Client& client) {
    const absl::Time until = now_ + absl::Seconds(40);
    while (now_ < until) {
      while (client.PollTransmit(now_, absl::MakeSpan(out_))) {
      }
      now_ = std::min(until, client.NextTimeout());
      client.HandleTimeout(now_);
    }
  }
  // The request that leaves next.
  std::vector<uint8_t> Next(Client& client) {
    const auto packet = client.PollTransmit(now_, absl::MakeSpan(out_));
    EXPECT_TRUE(packet.has_value());
    if (!packet) return {};
    return {packet->bytes.begin(), packet->bytes.end()};
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::UnixEpoch();
  ScriptedServer server_;
  std::vector<uint8_t> out_ = std::vector<uint8_t>(2048);
};

TEST_F(ClientFamiliesScripted, OneAnswerIsAskedForByBothAttributes) {
  Client client(random_, Options());
  ASSERT_OK(client.Allocate(now_));
  const std::vector<uint8_t> bytes = Next(client);
  const auto request = stun::MessageView::Parse(bytes);
  ASSERT_OK(request);
  EXPECT_EQ(request->Get<stun::AdditionalAddressFamily>()->family,
            IpFamily::kV6);
  EXPECT_EQ(request->Get<stun::SsodaAddressFamily>()->family, IpFamily::kV6);
  EXPECT_FALSE(request->Has<stun::RequestedAddressFamily>());
  // And by none where one family will do.
  Client::Options options = Options();
  options.families = ClientOptions::Families::kOne;
  Client one(random_, options);
  ASSERT_OK(one.Allocate(now_));
  const std::vector<uint8_t> other = Next(one);
  const auto plain = stun::MessageView::Parse(other);
  ASSERT_OK(plain);
  EXPECT_FALSE(plain->Has<stun::AdditionalAddressFamily>());
  EXPECT_FALSE(plain->Has<stun::SsodaAddressFamily>());
}

// Of no family it is of both; a family's own says which.
TEST_F(ClientFamiliesScripted, RefreshesAreOfBothUnlessTheySayElse) {
  Client client(random_, Options());
  Start(client);
  ASSERT_OK(client.Refresh(now_));
  Run(client);
  EXPECT_EQ(server_.last_family, std::nullopt);
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    ASSERT_OK(client.RefreshFamily(now_, family));
    // Once is enough.
    ASSERT_OK(client.RefreshFamily(now_, family));
    server_.methods.clear();
    Run(client);
    EXPECT_EQ(server_.methods, std::vector<Method>{Method::kRefresh});
    EXPECT_EQ(server_.last_family, family);
    EXPECT_EQ(server_.last_lifetime, 600u);
  }
  ASSERT_OK(client.ReleaseFamily(now_, IpFamily::kV4));
  Run(client);
  EXPECT_EQ(server_.last_family, IpFamily::kV4);
  EXPECT_EQ(server_.last_lifetime, 0u);
}

TEST_F(ClientFamiliesScripted, AServerThatKnowsOneOnlyGivesOne) {
  server_.additional.reset();
  Client client(random_, Options());
  const Client::Allocated got = Start(client);
  EXPECT_EQ(got.relayed, server_.relayed);
  EXPECT_FALSE(got.additional.has_value());
  EXPECT_FALSE(got.refused.has_value());
  Permit(client, kTestPeer);
  EXPECT_EQ(client.Permit(now_, kPeer6).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientFamiliesScripted, TheDraftsErrorCodeIsUnderstood) {
  server_.additional.reset();
  server_.refused = {IpFamily::kV6, Error::kInsufficientCapacity, "full"};
  for (const bool draft : {false, true}) {
    SCOPED_TRACE(draft);
    server_.draft = draft;
    Client client(random_, Options());
    const Client::Allocated got = Start(client);
    ASSERT_TRUE(got.refused.has_value());
    EXPECT_EQ(got.refused->family, IpFamily::kV6);
    EXPECT_EQ(got.refused->error, Error::kInsufficientCapacity);
  }
  // Nothing is said of a family that is there, nor to who has asked for one.
  server_.refused->family = IpFamily::kV4;
  Client given(random_, Options());
  EXPECT_FALSE(Start(given).refused.has_value());
  server_.refused->family = IpFamily::kV6;
  Client::Options options = Options();
  options.families = ClientOptions::Families::kOne;
  Client one(random_, options);
  EXPECT_FALSE(Start(one).refused.has_value());
}

TEST_F(ClientFamiliesScripted, TheFirstAddressOfEachFamilyCounts) {
  server_.additional = {IpAddress::V4(198, 51, 100, 2), 50'002};
  Client client(random_, Options());
  const Client::Allocated got = Start(client);
  EXPECT_EQ(got.relayed, server_.relayed);
  EXPECT_FALSE(got.additional.has_value());
  // Who has asked for one gets the first.
  server_.additional = kRelayed6;
  Client::Options options = Options();
  options.families = ClientOptions::Families::kOne;
  Client one(random_, options);
  EXPECT_FALSE(Start(one).additional.has_value());
  EXPECT_EQ(one.relayed(IpFamily::kV6), nullptr);
}

TEST_F(ClientFamiliesScripted, AnAddressThatCannotBeUsedEndsIt) {
  const struct {
    std::string name;
    uint16_t v4, v6;
    ClientOptions::Ports ports;
  } kRows[] = {
      {"no port of IPv4", 0, 50'002, ClientOptions::Ports::kAny},
      {"no port of IPv6", 50'000, 0, ClientOptions::Ports::kAny},
      {"an odd one of IPv4", 50'001, 50'002, ClientOptions::Ports::kEven},
      {"an odd one of IPv6", 50'000, 50'003, ClientOptions::Ports::kEven},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    server_.relayed.port = row.v4;
    server_.additional->port = row.v6;
    Client::Options options = Options();
    options.ports = row.ports;
    Client client(random_, options);
    ASSERT_OK(client.Allocate(now_));
    Run(client);
    EXPECT_EQ(Take<Client::Closed>(client).status.code(),
              absl::StatusCode::kInternal);
    EXPECT_EQ(client.relayed().port, 0);
  }
}

TEST_F(ClientFamiliesScripted, OneThatTheServerHasEndedIsTold) {
  Client client(random_, Options());
  Start(client);
  Permit(client, kTestPeer);
  Permit(client, kPeer6);
  server_.gone = IpFamily::kV6;
  ASSERT_OK(client.RefreshFamily(now_, IpFamily::kV6));
  Run(client);
  const auto ended = Take<Client::FamilyEnded>(client);
  EXPECT_EQ(ended.relayed, kRelayed6);
  EXPECT_EQ(ended.error, Error::kPeerAddressFamilyMismatch);
  EXPECT_FALSE(ended.status.ok());
  EXPECT_TRUE(client.allocated());
  const std::vector<uint8_t> data = server_.Data(kPeer6, AsBytes("late"));
  const Path path{Options().local, kTestServer};
  EXPECT_FALSE(client.Unwrap({path, data}).has_value());
  EXPECT_EQ(client.stats().unpermitted, 1u);
  // Nothing of it is refreshed any more.
  server_.methods.clear();
  server_.last_peer.reset();
  now_ += absl::Minutes(4);
  client.HandleTimeout(now_);
  Run(client);
  EXPECT_EQ(server_.methods, std::vector<Method>{Method::kCreatePermission});
  EXPECT_EQ(server_.last_peer->ip, kTestPeer.ip);
  EXPECT_FALSE(client.PollEvent().has_value());
  // And without the other there is nothing left.
  server_.gone = IpFamily::kV4;
  ASSERT_OK(client.RefreshFamily(now_, IpFamily::kV4));
  Run(client);
  EXPECT_EQ(Take<Client::Closed>(client).error,
            Error::kPeerAddressFamilyMismatch);
  EXPECT_EQ(client.NextTimeout(), absl::InfiniteFuture());
}

// A permission that cannot be refreshed for its family (443) makes the client
// ask for that, and for nothing if it never asked for two.
TEST_F(ClientFamiliesScripted, APermissionTellsThatItsFamilyHasEnded) {
  Client client(random_, Options());
  Start(client);
  Permit(client, kPeer6);
  server_.gone = IpFamily::kV6;
  now_ += absl::Minutes(4);
  client.HandleTimeout(now_);
  Run(client);
  EXPECT_EQ(Take<Client::PermissionFailed>(client).error,
            Error::kPeerAddressFamilyMismatch);
  EXPECT_EQ(Take<Client::FamilyEnded>(client).relayed, kRelayed6);

  Client::Options options = Options();
  options.families = ClientOptions::Families::kOne;
  Client one(random_, options);
  Start(one);
  server_.gone = IpFamily::kV4;
  ASSERT_OK(one.Permit(now_, kTestPeer));
  Run(one);
  Take<Client::PermissionFailed>(one);
  EXPECT_FALSE(one.PollEvent().has_value());
  EXPECT_EQ(server_.methods.back(), Method::kCreatePermission);
}

// Whatever else is wrong with a family's refresh is so with the allocation.
TEST_F(ClientFamiliesScripted, AnotherErrorMakesItAskForAll) {
  Client client(random_, Options());
  Start(client);
  server_.errors[Method::kRefresh] = Error::kAllocationMismatch;
  ASSERT_OK(client.RefreshFamily(now_, IpFamily::kV6));
  server_.methods.clear();
  Run(client);
  EXPECT_EQ(server_.methods, (std::vector{Method::kRefresh, Method::kRefresh}));
  EXPECT_EQ(Take<Client::Closed>(client).error, Error::kAllocationMismatch);
}

TEST_F(ClientFamiliesScripted, ReleasingEndsInEachCase) {
  // An error, and no answer at all.
  for (const bool silent : {false, true}) {
    SCOPED_TRACE(silent);
    server_.errors.clear();
    Client client(random_, Options());
    Start(client);
    server_.errors[Method::kRefresh] = Error::kServerError;
    ASSERT_OK(client.ReleaseFamily(now_, IpFamily::kV6));
    if (silent) {
      RunUnanswered(client);
    } else {
      Run(client);
    }
    const auto ended = Take<Client::FamilyEnded>(client);
    EXPECT_OK(ended.status);
    EXPECT_EQ(ended.relayed, kRelayed6);
    EXPECT_TRUE(client.allocated());
    EXPECT_FALSE(client.PollEvent().has_value());
  }
}

TEST_F(ClientFamiliesScripted, AnUnansweredQuestionOfOneFamilyEndsNothing) {
  Client client(random_, Options());
  Start(client);
  ASSERT_OK(client.RefreshFamily(now_, IpFamily::kV6));
  RunUnanswered(client);
  EXPECT_FALSE(client.PollEvent().has_value());
  EXPECT_NE(client.relayed(IpFamily::kV6), nullptr);
}

TEST_F(ClientFamiliesScripted, AStaleNonceIsAnswered) {
  Client client(random_, Options());
  Start(client);
  server_.nonce = "another";
  ASSERT_OK(client.ReleaseFamily(now_, IpFamily::kV6));
  Run(client);
  EXPECT_OK(Take<Client::FamilyEnded>(client).status);
  EXPECT_EQ(server_.last_lifetime, 0u);
}

// What waited for the permission of a family that is given back is dropped.
TEST_F(ClientFamiliesScripted, HeldDataOfAFamilyGoesWithIt) {
  Client client(random_, Options());
  Start(client);
  ASSERT_OK(client.Permit(now_, kPeer6));
  ASSERT_OK(client.Wrap(now_, kPeer6, AsBytes("held"), absl::MakeSpan(out_)));
  EXPECT_EQ(client.stats().datagrams_held, 1u);
  ASSERT_OK(client.ReleaseFamily(now_, IpFamily::kV6));
  Run(client);
  EXPECT_EQ(client.stats().held_dropped, 1u);
  Take<Client::FamilyEnded>(client);
}

TEST_F(ClientFamiliesScripted, BothMoveTogether) {
  const TransportAddress kNew{IpAddress::V4(9, 9, 9, 10), 2000};
  server_.tickets = {"one", "two", "three"};
  Client::Options options = Options();
  options.mobility = ClientOptions::Mobility::kAsk;
  Client client(random_, options);
  Start(client);
  // What is asked of a family meanwhile waits, and is asked from there.
  ASSERT_OK(client.RefreshFamily(now_, IpFamily::kV6));
  Next(client);
  ASSERT_OK(client.Move(now_, kNew));
  server_.methods.clear();
  Run(client);
  EXPECT_EQ(Take<Client::Moved>(client).local, kNew);
  EXPECT_EQ(server_.methods, (std::vector{Method::kRefresh, Method::kRefresh}));
  EXPECT_EQ(server_.last_family, IpFamily::kV6);
  EXPECT_EQ(client.relayed(), server_.relayed);
  EXPECT_EQ(*client.relayed(IpFamily::kV6), kRelayed6);
  // A move that is refused: both are asked for again.
  server_.errors[Method::kRefresh] = Error::kAllocationMismatch;
  ASSERT_OK(client.Move(now_, Options().local));
  Run(client);
  Take<Client::MoveRefused>(client);
  EXPECT_EQ(Take<Client::Allocated>(client).additional, kRelayed6);
}

// RFC 6062.
TEST_F(ClientFamiliesScripted, TcpConnectsToPeersOfBoth) {
  Client::Options options = Options();
  options.transport = Transport::kTcp;
  options.relayed_transport = Transport::kTcp;
  Client client(random_, options);
  Start(client);
  for (const TransportAddress& peer : {kTestPeer, kPeer6}) {
    ASSERT_OK(client.connections().Connect(now_, peer));
    Run(client);
    EXPECT_EQ(Take<Client::PeerConnected>(client).peer, peer);
  }
  ASSERT_OK(client.ReleaseFamily(now_, IpFamily::kV6));
  EXPECT_EQ(client.connections().Connect(now_, kPeer6).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kyuu::turn
