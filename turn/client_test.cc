#include "turn/client.h"

#include <array>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/testing/scripted_server.h"

namespace kyuu::turn {
namespace {

using stun::Error;
using stun::Method;

const TransportAddress kLocal{IpAddress::V4(10, 0, 0, 1), 5000};
const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 3478};
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
const Path kPath{.local = kLocal, .remote = kServer};
const Client::Options kOptions{
    .local = kLocal, .server = kServer, .username = "user", .password = "pass"};

class ClientTest : public testing::Test {
 protected:
  // Hands every request to the server and its answer back, until silence.
  void Run(Client& client) {
    while (auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      EXPECT_EQ(packet->path.local, kLocal);
      const Path path = packet->path;
      const std::vector<uint8_t> answer = server_.Answer(packet->bytes);
      transcript_.append(ToHex(packet->bytes));
      if (!answer.empty()) client.HandlePacket(now_, {path, answer});
    }
  }

  // Lets time go on to the client's next deadline, and runs.
  void Next(Client& client) {
    now_ = client.NextTimeout();
    client.HandleTimeout(now_);
    client.HandleTimeout(now_);
    Run(client);
  }

  // Starts the client and runs until the server has no more to say.
  void Start(Client& client) {
    ASSERT_OK(client.Allocate(now_));
    Run(client);
  }

  void StartAllocated(Client& client) {
    Start(client);
    ASSERT_TRUE(client.allocated());
    ASSERT_TRUE(client.PollEvent());
  }

  void StartPermitted(Client& client) {
    StartAllocated(client);
    ASSERT_OK(client.Permit(now_, kPeer));
    Run(client);
    ASSERT_TRUE(client.PollEvent());
  }

  // Polls the event that must be there, as an `E`.
  template <typename E>
  E Take(Client& client) {
    auto event = client.PollEvent();
    EXPECT_TRUE(event && std::holds_alternative<E>(*event));
    if (!event || !std::holds_alternative<E>(*event)) return {};
    return std::get<E>(*event);
  }

  std::vector<uint8_t> Wrap(Client& client, const TransportAddress& peer,
                            absl::string_view payload) {
    const auto datagram =
        client.Wrap(now_, peer, AsBytes(payload), absl::MakeSpan(buffer_));
    EXPECT_OK(datagram);
    if (!datagram.ok()) return {};
    EXPECT_EQ(datagram->path, kPath);
    return ScriptedServer::Copy(datagram->bytes);
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::UnixEpoch();
  ScriptedServer server_;
  std::array<uint8_t, 2000> buffer_;
  std::string transcript_;
};

TEST_F(ClientTest, AllocatesWithLongTermCredentials) {
  Client client(random_, kOptions);
  Start(client);
  const auto allocated = Take<Client::Allocated>(client);
  EXPECT_EQ(allocated.relayed, server_.relayed);
  EXPECT_EQ(allocated.mapped, server_.mapped);
  EXPECT_EQ(allocated.lifetime, absl::Minutes(10));
  EXPECT_EQ(client.relayed(), server_.relayed);
  // The first without a credential, as nothing is known of the realm yet.
  EXPECT_EQ(server_.methods,
            (std::vector<Method>{Method::kAllocate, Method::kAllocate}));
  EXPECT_EQ(server_.last_lifetime, 600);
  EXPECT_EQ(server_.last_family, std::nullopt);
  EXPECT_FALSE(client.PollEvent());
}

TEST_F(ClientTest, AllocatesWithSha256AndUserhash) {
  server_.sha256 = true;
  Client client(random_, kOptions);
  StartPermitted(client);
  EXPECT_TRUE(client.allocated());
}

TEST_F(ClientTest, AllocatesIpv6RelayedAddresses) {
  server_.relayed.ip = *IpAddress::Parse("2001:db8::5");
  Client::Options options = kOptions;
  options.relayed_family = IpFamily::kV6;
  Client client(random_, options);
  StartAllocated(client);
  EXPECT_EQ(server_.last_family, IpFamily::kV6);
  EXPECT_THAT(client.Permit(now_, kPeer),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const TransportAddress peer{*IpAddress::Parse("2001:db8::9"), 9};
  ASSERT_OK(client.Permit(now_, peer));
  Run(client);
  EXPECT_EQ(server_.last_peer->ip, peer.ip);
  EXPECT_EQ(Take<Client::PermissionGranted>(client).peer, peer.ip);
  const auto in = client.Unwrap({kPath, server_.Data(peer, AsBytes("hello"))});
  ASSERT_TRUE(in);
  EXPECT_EQ(in->peer, peer);
}

TEST_F(ClientTest, AnAddressOfAnotherFamilyThanAskedForIsUseless) {
  Client::Options options = kOptions;
  options.relayed_family = IpFamily::kV6;
  Client client(random_, options);
  Start(client);
  EXPECT_THAT(Take<Client::Closed>(client).status,
              StatusIs(absl::StatusCode::kInternal));
}

// RFC 8489 section 6.2.1, but only before anything has proven that somebody is
// there: ICMP is easily forged (RFC 5927).
TEST_F(ClientTest, ARefusalEndsAnAllocateButNoAllocation) {
  Client asking(random_, kOptions);
  ASSERT_OK(asking.Allocate(now_));
  asking.HandleRefusal(now_, kPath.local, absl::UnavailableError("refused"));
  EXPECT_FALSE(asking.PollEvent()) << "about somebody else";
  asking.HandleRefusal(now_, kPath.remote, absl::UnavailableError("refused"));
  EXPECT_THAT(Take<Client::Closed>(asking).status,
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(asking.stats().refusals, 1);

  Client client(random_, kOptions);
  Start(client);
  ASSERT_TRUE(client.allocated());
  client.HandleRefusal(now_, kPath.remote, absl::UnavailableError("refused"));
  EXPECT_TRUE(client.allocated());
  EXPECT_EQ(client.stats().refusals, 1);
  // What is given back to nobody is given back.
  client.Close(now_);
  client.HandleRefusal(now_, kPath.remote, absl::UnavailableError("refused"));
  while (auto event = client.PollEvent()) {
    if (const auto* closed = std::get_if<Client::Closed>(&*event)) {
      EXPECT_OK(closed->status);
      return;
    }
  }
  FAIL() << "not closed";
}

TEST_F(ClientTest, AWrongPasswordIsNotTriedTwice) {
  Client::Options options = kOptions;
  options.password = "wrong";
  Client client(random_, options);
  Start(client);
  const auto closed = Take<Client::Closed>(client);
  EXPECT_THAT(closed.status, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(closed.error, Error::kUnauthenticated);
  EXPECT_EQ(server_.methods.size(), 2);
}

TEST_F(ClientTest, AnotherRealmThanExpectedGetsNoProofOfThePassword) {
  Client::Options options = kOptions;
  options.realm = "elsewhere";
  Client client(random_, options);
  Start(client);
  EXPECT_THAT(Take<Client::Closed>(client).status,
              StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(server_.methods.size(), 1);
}

TEST_F(ClientTest, ErrorsOfAllocateEndTheClient) {
  const struct {
    Error error;
    absl::StatusCode code;
  } kRows[] = {
      {Error::kForbidden, absl::StatusCode::kPermissionDenied},
      {Error::kAllocationMismatch, absl::StatusCode::kAborted},
      {Error::kAddressFamilyNotSupported, absl::StatusCode::kUnimplemented},
      {Error::kUnsupportedTransport, absl::StatusCode::kUnimplemented},
      {Error::kAllocationQuotaReached, absl::StatusCode::kResourceExhausted},
      {Error::kInsufficientCapacity, absl::StatusCode::kResourceExhausted},
      {Error::kServerError, absl::StatusCode::kUnavailable},
  };
  for (const auto& row : kRows) {
    server_ = {};
    server_.errors[Method::kAllocate] = row.error;
    Client client(random_, kOptions);
    Start(client);
    const auto closed = Take<Client::Closed>(client);
    EXPECT_EQ(closed.error, row.error);
    EXPECT_THAT(closed.status, StatusIs(row.code));
    EXPECT_EQ(client.NextTimeout(), absl::InfiniteFuture());
  }
}

TEST_F(ClientTest, SilenceEndsTheClientAfterAllRetransmissions) {
  Client client(random_, kOptions);
  ASSERT_OK(client.Allocate(now_));
  const absl::Time start = now_;
  int sends = 0;
  while (!client.PollEvent()) {
    while (client.PollTransmit(now_, absl::MakeSpan(buffer_))) ++sends;
    now_ = client.NextTimeout();
    client.HandleTimeout(now_);
  }
  EXPECT_EQ(sends, 7);
  EXPECT_EQ(now_ - start, absl::Milliseconds(39500));
}

// RFC 8489 section 9.2.5: as if it had never been received.
TEST_F(ClientTest, UnsignedResponsesAreDropped) {
  server_.sign = false;
  Client client(random_, kOptions);
  Start(client);
  EXPECT_FALSE(client.allocated());
  EXPECT_EQ(client.stats().unauthenticated, 1);
  // An error that cannot be believed is the hint in the end.
  server_.errors[Method::kAllocate] = Error::kAllocationQuotaReached;
  std::optional<Client::Event> event;
  while (!(event = client.PollEvent())) Next(client);
  const auto& closed = std::get<Client::Closed>(*event);
  EXPECT_THAT(closed.status, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(closed.error, Error::kAllocationQuotaReached);
}

TEST_F(ClientTest, StaleNoncesAreReplaced) {
  Client client(random_, kOptions);
  StartAllocated(client);
  server_.nonce = "nonce2";
  ASSERT_OK(client.Permit(now_, kPeer));
  Run(client);
  Take<Client::PermissionGranted>(client);
  server_.nonce = "nonce3";
  Next(client);  // Permission refresh.
  server_.nonce = "nonce4";
  Next(client);
  EXPECT_TRUE(client.allocated());
  EXPECT_FALSE(client.PollEvent());
}

TEST_F(ClientTest, ChallengesAreBounded) {
  Client client(random_, kOptions);
  ASSERT_OK(client.Allocate(now_));
  int requests = 0;
  while (const auto packet =
             client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
    server_.nonce += "x";  // Stale as soon as it was made.
    ++requests;
    client.HandlePacket(now_, {kPath, server_.Answer(packet->bytes)});
  }
  EXPECT_EQ(requests, 1 + kOptions.challenges_max);
  EXPECT_EQ(Take<Client::Closed>(client).error, Error::kStaleNonce);
}

TEST_F(ClientTest, AnAlternateServerIsFollowedOnce) {
  const TransportAddress other{IpAddress::V4(192, 0, 2, 2), 3479};
  server_.errors[Method::kAllocate] = Error::kTryAlternate;
  server_.alternate = other;
  Client client(random_, kOptions);
  ASSERT_OK(client.Allocate(now_));
  auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  ASSERT_TRUE(packet);
  client.HandlePacket(now_, {kPath, server_.Answer(packet->bytes)});
  EXPECT_EQ(client.server(), other);
  packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->path.remote, other);
  EXPECT_FALSE(stun::MessageView::Parse(packet->bytes)->HasIntegrity());
  // Sent on again: that is a loop, or worse.
  server_.alternate = kServer;
  client.HandlePacket(now_, {packet->path, server_.Answer(packet->bytes)});
  EXPECT_EQ(Take<Client::Closed>(client).error, Error::kTryAlternate);
}

TEST_F(ClientTest, AnAlternateServerOnOurOwnMachineIsRefused) {
  for (const TransportAddress& other :
       {TransportAddress{IpAddress::V4(127, 0, 0, 1), 3478},
        TransportAddress{IpAddress::V4(0, 0, 0, 0), 3478},
        TransportAddress{IpAddress::V4(224, 0, 0, 1), 3478},
        TransportAddress{IpAddress::V4(192, 0, 2, 2), 0},
        TransportAddress{*IpAddress::Parse("2001:db8::1"), 3478}, kServer}) {
    server_ = {};
    server_.errors[Method::kAllocate] = Error::kTryAlternate;
    server_.alternate = other;
    Client client(random_, kOptions);
    Start(client);
    EXPECT_EQ(Take<Client::Closed>(client).error, Error::kTryAlternate)
        << other.ToString();
  }
}

TEST_F(ClientTest, AServerOnLoopbackMaySendUsToLoopback) {
  Client::Options options = kOptions;
  options.server.ip = IpAddress::V4(127, 0, 0, 1);
  server_.errors[Method::kAllocate] = Error::kTryAlternate;
  server_.alternate = TransportAddress{IpAddress::V4(127, 0, 0, 1), 3479};
  Client client(random_, options);
  ASSERT_OK(client.Allocate(now_));
  const auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  client.HandlePacket(now_, {packet->path, server_.Answer(packet->bytes)});
  EXPECT_EQ(client.server().port, 3479);
}

TEST_F(ClientTest, TheAllocationIsRefreshedAMinuteBeforeItsEnd) {
  Client client(random_, kOptions);
  StartAllocated(client);
  const absl::Time start = now_;
  Next(client);
  EXPECT_EQ(now_ - start, absl::Minutes(9));
  EXPECT_EQ(server_.methods.back(), Method::kRefresh);
  EXPECT_EQ(server_.last_lifetime, 600);
  server_.lifetime = 40;
  Next(client);
  EXPECT_EQ(now_ - start, absl::Minutes(18));
  Next(client);  // Half of a short lifetime.
  EXPECT_EQ(now_ - start, absl::Minutes(18) + absl::Seconds(20));
  server_.errors[Method::kRefresh] = Error::kAllocationMismatch;
  Next(client);
  EXPECT_EQ(Take<Client::Closed>(client).error, Error::kAllocationMismatch);
}

TEST_F(ClientTest, PermissionsAreRefreshedEveryFourMinutes) {
  Client client(random_, kOptions);
  StartPermitted(client);
  EXPECT_EQ(server_.last_peer->ip, kPeer.ip);
  const absl::Time start = now_;
  Next(client);
  EXPECT_EQ(now_ - start, absl::Minutes(4));
  EXPECT_EQ(server_.methods.back(), Method::kCreatePermission);
  EXPECT_FALSE(client.PollEvent());
}

TEST_F(ClientTest, TwoPortsOfOneAddressShareAPermission) {
  Client client(random_, kOptions);
  StartPermitted(client);
  const size_t requests = server_.methods.size();
  ASSERT_OK(client.Permit(now_, {kPeer.ip, 7001}));
  Run(client);
  EXPECT_EQ(server_.methods.size(), requests);
  EXPECT_FALSE(Wrap(client, {kPeer.ip, 7001}, "x").empty());
}

TEST_F(ClientTest, ARefusedPermissionIsToldAndCanBeAskedForAgain) {
  Client client(random_, kOptions);
  StartAllocated(client);
  server_.errors[Method::kCreatePermission] = Error::kForbidden;
  ASSERT_OK(client.Permit(now_, kPeer));
  Run(client);
  const auto failed = Take<Client::PermissionFailed>(client);
  EXPECT_EQ(failed.peer, kPeer.ip);
  EXPECT_EQ(failed.error, Error::kForbidden);
  EXPECT_THAT(client.Wrap(now_, kPeer, {}, absl::MakeSpan(buffer_)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE(client.Unwrap({kPath, server_.Data(kPeer, AsBytes("x"))}));
  EXPECT_EQ(client.stats().unpermitted, 1);
  server_.errors.clear();
  ASSERT_OK(client.Permit(now_, kPeer));
  Run(client);
  Take<Client::PermissionGranted>(client);
  EXPECT_TRUE(client.Unwrap({kPath, server_.Data(kPeer, AsBytes("x"))}));
}

TEST_F(ClientTest, PermissionsAndPeersAreBounded) {
  Client::Options options = kOptions;
  options.permissions_max = 2;
  options.peers_max = 3;
  Client client(random_, options);
  StartAllocated(client);
  ASSERT_OK(client.Permit(now_, {IpAddress::V4(203, 0, 113, 1), 1}));
  ASSERT_OK(client.Permit(now_, {IpAddress::V4(203, 0, 113, 2), 1}));
  EXPECT_THAT(client.Permit(now_, {IpAddress::V4(203, 0, 113, 3), 1}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_OK(client.Permit(now_, {IpAddress::V4(203, 0, 113, 2), 2}));
  EXPECT_THAT(client.Permit(now_, {IpAddress::V4(203, 0, 113, 2), 3}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ClientTest, DataTravelsInSendAndDataIndications) {
  Client client(random_, kOptions);
  StartPermitted(client);
  for (const std::string payload : {"", "a", "abcd", "abcdefghijk"}) {
    const std::vector<uint8_t> bytes = Wrap(client, kPeer, payload);
    const auto view = stun::MessageView::Parse(bytes);
    ASSERT_OK(view);
    EXPECT_TRUE(view->Is(stun::MessageClass::kIndication, Method::kSend));
    EXPECT_EQ(view->Get<stun::XorPeerAddress>()->address, kPeer);
    EXPECT_EQ(AsText(view->Get<stun::Data>()->value), payload);
    const std::vector<uint8_t> data = server_.Data(kPeer, AsBytes(payload));
    const auto in = client.Unwrap({kPath, data});
    ASSERT_TRUE(in);
    EXPECT_EQ(in->peer, kPeer);
    EXPECT_EQ(AsText(in->payload), payload);
  }
}

TEST_F(ClientTest, AfterAFewDatagramsAChannelIsBound) {
  Client client(random_, kOptions);
  StartPermitted(client);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(client.ChannelOf(kPeer), std::nullopt);
    Wrap(client, kPeer, "x");
    Run(client);
  }
  const auto bound = Take<Client::ChannelBound>(client);
  EXPECT_EQ(bound.peer, kPeer);
  EXPECT_EQ(bound.channel, 0x4000);
  EXPECT_EQ(server_.last_channel, 0x4000);
  EXPECT_EQ(client.ChannelOf(kPeer), 0x4000);
  EXPECT_EQ(ToHex(Wrap(client, kPeer, "abc")), "40000003616263");
  const std::vector<uint8_t> data = FromHex("4000 0003 616263 00");
  const auto in = client.Unwrap({kPath, data});
  ASSERT_TRUE(in);
  EXPECT_EQ(in->peer, kPeer);
  EXPECT_EQ(AsText(in->payload), "abc");
  // Another number is bound to nobody.
  EXPECT_FALSE(client.Unwrap({kPath, FromHex("4001 0000")}));
  EXPECT_FALSE(client.Unwrap({kPath, FromHex("7fff 0000")}));
  EXPECT_EQ(client.stats().unbound, 2);
  EXPECT_FALSE(client.Unwrap({kPath, FromHex("4000 0001")}));
  EXPECT_EQ(client.stats().malformed, 1);
}

// Where the path reorders, the server's first ChannelData comes before its word
// that the channel is bound.
TEST_F(ClientTest, ChannelDataMayOvertakeTheAnswerThatBindsItsChannel) {
  Client client(random_, kOptions);
  StartPermitted(client);
  const std::vector<uint8_t> data = FromHex("4000 0003 616263 00");
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(client.Unwrap({kPath, data})) << "nobody asked for it yet";
    Wrap(client, kPeer, "x");
  }
  ASSERT_TRUE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));
  const auto in = client.Unwrap({kPath, data});
  ASSERT_TRUE(in);
  EXPECT_EQ(in->peer, kPeer);
  EXPECT_EQ(AsText(in->payload), "abc");
  EXPECT_EQ(client.ChannelOf(kPeer), std::nullopt) << "we do not use it yet";
}

TEST_F(ClientTest, ChannelsAreRefreshedEveryNineMinutes) {
  Client client(random_, kOptions);
  StartAllocated(client);
  ASSERT_OK(client.BindChannel(now_, kPeer));
  Run(client);
  const absl::Time start = now_;
  server_.methods.clear();
  while (now_ - start < absl::Minutes(9)) Next(client);
  EXPECT_EQ(now_ - start, absl::Minutes(9));
  EXPECT_NE(std::find(server_.methods.begin(), server_.methods.end(),
                      Method::kChannelBind),
            server_.methods.end());
  EXPECT_EQ(server_.last_channel, 0x4000);
}

TEST_F(ClientTest, ARefusedChannelLeavesSendIndications) {
  server_.errors[Method::kChannelBind] = Error::kInsufficientCapacity;
  Client client(random_, kOptions);
  StartPermitted(client);
  for (int i = 0; i < 20; ++i) {
    Wrap(client, kPeer, "x");
    Run(client);
  }
  EXPECT_EQ(client.stats().channels_refused, 1);
  EXPECT_EQ(Wrap(client, kPeer, "x")[0], 0);
}

// An unanswered refresh says nothing about the binding, which lives until its
// end at the server: the peer's data goes on coming that way.
TEST_F(ClientTest, AnUnansweredChannelRefreshKeepsTheBindingTillItsEnd) {
  Client client(random_, kOptions);
  StartAllocated(client);
  ASSERT_OK(client.BindChannel(now_, kPeer));
  Run(client);
  const absl::Time bound = now_;
  const std::vector<uint8_t> data = FromHex("4000 0001 78 000000");
  // ChannelBind falls on deaf ears from now on; all else is answered.
  const auto run = [&](absl::Time until) {
    while (client.NextTimeout() <= until) {
      now_ = client.NextTimeout();
      client.HandleTimeout(now_);
      while (auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
        const auto request = stun::MessageView::Parse(packet->bytes);
        if (request->method() == Method::kChannelBind) continue;
        client.HandlePacket(now_,
                            {packet->path, server_.Answer(packet->bytes)});
      }
    }
    now_ = until;
  };
  run(bound + absl::Minutes(10) - absl::Milliseconds(1));
  EXPECT_TRUE(client.Unwrap({kPath, data}));
  EXPECT_EQ(Wrap(client, kPeer, "x")[0], 0x40);
  run(bound + absl::Minutes(10));
  EXPECT_FALSE(client.Unwrap({kPath, data}));
  EXPECT_EQ(Wrap(client, kPeer, "x")[0], 0);
  EXPECT_EQ(client.stats().channels_expired, 1);
  // It is asked for again when there is something to send.
  for (int i = 0; i < 8; ++i) {
    Wrap(client, kPeer, "x");
    Run(client);
  }
  EXPECT_EQ(Wrap(client, kPeer, "x")[0], 0x40);
}

// The same of a permission.
TEST_F(ClientTest, AnUnansweredPermissionRefreshKeepsItTillItsEnd) {
  Client client(random_, kOptions);
  StartPermitted(client);
  const absl::Time granted = now_;
  const std::vector<uint8_t> data = server_.Data(kPeer, AsBytes("x"));
  const auto run = [&](absl::Time until) {
    while (client.NextTimeout() <= until) {
      now_ = client.NextTimeout();
      client.HandleTimeout(now_);
      while (client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      }
    }
    now_ = until;
  };
  run(granted + absl::Minutes(5) - absl::Milliseconds(1));
  EXPECT_FALSE(client.PollEvent());
  EXPECT_TRUE(client.Unwrap({kPath, data}));
  EXPECT_FALSE(Wrap(client, kPeer, "x").empty());
  run(granted + absl::Minutes(5));
  EXPECT_EQ(Take<Client::PermissionFailed>(client).peer, kPeer.ip);
  EXPECT_FALSE(client.Unwrap({kPath, data}));
}

// And of the allocation: a path that is down for half a minute at the wrong
// time does not end a call.
TEST_F(ClientTest, TheAllocationIsRefreshedUntilItsEnd) {
  Client client(random_, kOptions);
  StartAllocated(client);
  const absl::Time made = now_;
  bool answered = false;
  while (client.NextTimeout() <= made + absl::Minutes(10)) {
    now_ = client.NextTimeout();
    client.HandleTimeout(now_);
    // Down from 8:50 to 9:45; the refresh begins at 9:00.
    if (now_ < made + absl::Minutes(9) + absl::Seconds(45)) {
      while (client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      }
    } else {
      Run(client);
      answered = true;
      break;
    }
  }
  EXPECT_TRUE(answered);
  EXPECT_TRUE(client.allocated());
  while (client.NextTimeout() != absl::InfiniteFuture()) {
    now_ = client.NextTimeout();
    client.HandleTimeout(now_);
    while (client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
    }
  }
  EXPECT_EQ(Take<Client::Closed>(client).status.code(),
            absl::StatusCode::kDeadlineExceeded);
}

// Data that depends on a request does not leave before it, in whatever order
// the caller asks (here: data first).
TEST_F(ClientTest, DataNeverLeavesBeforeItsPermissionIsAskedFor) {
  Client client(random_, kOptions);
  StartAllocated(client);
  ASSERT_OK(client.Permit(now_, kPeer));
  const auto method = [](absl::Span<const uint8_t> bytes) {
    return stun::MessageView::Parse(bytes)->method();
  };
  const auto payload = [](absl::Span<const uint8_t> bytes) {
    return std::string(
        AsText(stun::MessageView::Parse(bytes)->Get<stun::Data>()->value));
  };
  EXPECT_EQ(method(Wrap(client, kPeer, "one")), Method::kCreatePermission);
  // The next ones queue behind the first.
  EXPECT_EQ(payload(Wrap(client, kPeer, "two")), "one");
  EXPECT_EQ(payload(Wrap(client, kPeer, "three")), "two");
  const auto last = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  ASSERT_TRUE(last);
  EXPECT_EQ(payload(last->bytes), "three");
  EXPECT_FALSE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));
  // The request has left, though it is not answered: no more detours.
  EXPECT_EQ(payload(Wrap(client, kPeer, "four")), "four");
  EXPECT_EQ(client.stats().datagrams_held, 3);
  EXPECT_EQ(client.stats().held_dropped, 0);
}

TEST_F(ClientTest, ChannelDataNeverLeavesBeforeTheChannelIsBound) {
  Client client(random_, kOptions);
  StartAllocated(client);
  ASSERT_OK(client.BindChannel(now_, kPeer));
  std::vector<Method> methods;
  for (int i = 0; i < 4; ++i) {
    const std::vector<uint8_t> bytes = Wrap(client, kPeer, "x");
    ASSERT_FALSE(IsChannelData(bytes));
    methods.push_back(stun::MessageView::Parse(bytes)->method());
  }
  while (auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
    methods.push_back(stun::MessageView::Parse(packet->bytes)->method());
  }
  EXPECT_EQ(methods,
            (std::vector<Method>{Method::kCreatePermission, Method::kSend,
                                 Method::kSend, Method::kSend,
                                 Method::kChannelBind, Method::kSend}));
}

// The request needs more room than the datagram: nothing leaves, nothing is
// taken, and the request leaves when there is room.
TEST_F(ClientTest, DataWaitsForABufferThatHoldsItsRequest) {
  Client client(random_, kOptions);
  StartAllocated(client);
  ASSERT_OK(client.Permit(now_, kPeer));
  EXPECT_THAT(client.Wrap(now_, kPeer, AsBytes("x"),
                          absl::MakeSpan(buffer_).first(1 + 48 + 3)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(client.stats().datagrams_held, 0);
  EXPECT_EQ(client.stats().datagrams_wrapped, 0);
  const std::vector<uint8_t> bytes = Wrap(client, kPeer, "x");
  EXPECT_EQ(stun::MessageView::Parse(bytes)->method(),
            Method::kCreatePermission);
}

TEST_F(ClientTest, EachStepIsCountedOnceAndNothingElse) {
  Client client(random_, kOptions);
  StartPermitted(client);
  Client::Stats before = client.stats();
  const auto counted = [&] {
    const Client::Stats now = client.stats();
    return CountersToString(CountersSince(std::exchange(before, now), now));
  };
  // Allocate twice (401), CreatePermission.
  EXPECT_EQ(CountersToString(before), "requests_sent=3");
  Wrap(client, kPeer, "x");
  EXPECT_EQ(counted(), "datagrams_wrapped=1");
  client.Unwrap({kPath, server_.Data(kPeer, AsBytes("x"))});
  EXPECT_EQ(counted(), "datagrams_unwrapped=1");
  client.HandlePacket(now_, {kPath, server_.Data(kPeer, AsBytes("x"))});
  EXPECT_EQ(counted(), "");
  client.HandlePacket(now_, {kPath, FromHex("0101 0000 2112a442"
                                            "000000000000000000000000")});
  EXPECT_EQ(counted(), "unexpected=1");
  client.HandlePacket(now_, {kPath, FromHex("00")});
  EXPECT_EQ(counted(), "malformed=1");
  client.HandlePacket(now_, {{kServer, kLocal}, FromHex("00")});
  EXPECT_EQ(counted(), "wrong_path=1");
  // A refresh and its first retransmission.
  for (int i = 0; i < 2; ++i) {
    now_ = client.NextTimeout();
    client.HandleTimeout(now_);
    EXPECT_TRUE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));
  }
  EXPECT_EQ(counted(), "requests_sent=2 retransmissions=1");
}

TEST_F(ClientTest, WhatIsHeldIsBounded) {
  Client::Options options = kOptions;
  options.held_bytes_max = 10;
  Client client(random_, options);
  StartAllocated(client);
  ASSERT_OK(client.Permit(now_, kPeer));
  EXPECT_THAT(client.Wrap(now_, kPeer, AsBytes("more than ten"),
                          absl::MakeSpan(buffer_)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  const std::vector<uint8_t> request = Wrap(client, kPeer, "nine byte");
  EXPECT_THAT(client.Wrap(now_, kPeer, AsBytes("xx"), absl::MakeSpan(buffer_)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // Refused before it could leave.
  server_.errors[Method::kCreatePermission] = Error::kForbidden;
  client.HandlePacket(now_, {kPath, server_.Answer(request)});
  EXPECT_FALSE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));
  EXPECT_EQ(client.stats().datagrams_held, 1);
  EXPECT_EQ(client.stats().held_dropped, 1);
}

TEST_F(ClientTest, APayloadInPlaceIsNotMoved) {
  Client client(random_, kOptions);
  StartAllocated(client);
  ASSERT_OK(client.BindChannel(now_, kPeer));
  Run(client);
  const absl::Span<uint8_t> payload =
      absl::MakeSpan(buffer_).subspan(kChannelHeaderSize, 3);
  Writer(payload).Text("abc");
  const auto datagram =
      client.Wrap(now_, kPeer, payload, absl::MakeSpan(buffer_));
  ASSERT_OK(datagram);
  EXPECT_EQ(ToHex(datagram->bytes), "40000003616263");
}

TEST_F(ClientTest, APayloadInTheWayOfTheHeaderIsMovedFirst) {
  Client client(random_, kOptions);
  StartPermitted(client);
  const absl::Span<uint8_t> payload = absl::MakeSpan(buffer_).subspan(4, 100);
  random_.Fill(payload);
  const std::string expected = ToHex(payload);
  const auto datagram =
      client.Wrap(now_, kPeer, payload, absl::MakeSpan(buffer_));
  ASSERT_OK(datagram);
  const auto view = stun::MessageView::Parse(datagram->bytes);
  ASSERT_OK(view);
  EXPECT_EQ(ToHex(view->Get<stun::Data>()->value), expected);
}

TEST_F(ClientTest, CallersMistakesAreStatuses) {
  Client client(random_, kOptions);
  EXPECT_THAT(client.Permit(now_, kPeer),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(client.Wrap(now_, kPeer, {}, absl::MakeSpan(buffer_)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  StartPermitted(client);
  EXPECT_THAT(client.Allocate(now_),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(
      client.Wrap(now_, kPeer, AsBytes("12345"),
                  absl::MakeSpan(buffer_).first(5 + Client::kOverheadMax + 2)),
      StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(client.Wrap(now_, {kPeer.ip, 1}, {}, absl::MakeSpan(buffer_)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  Client::Options options = kOptions;
  options.server.ip = *IpAddress::Parse("2001:db8::1");
  Client other(random_, options);
  EXPECT_THAT(other.Allocate(now_),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ClientTest, OnlyTheServerIsListenedTo) {
  Client client(random_, kOptions);
  StartPermitted(client);
  const std::vector<uint8_t> data = server_.Data(kPeer, AsBytes("x"));
  Path path = kPath;
  path.remote.port = 1;
  EXPECT_FALSE(client.Unwrap({path, data}));
  client.HandlePacket(now_, {path, data});
  path = kPath;
  path.local.port = 1;
  EXPECT_FALSE(client.Unwrap({path, data}));
  client.HandlePacket(now_, {path, data});
  EXPECT_EQ(client.stats().wrong_path, 2);
}

TEST_F(ClientTest, IcmpReportsAreCounted) {
  Client client(random_, kOptions);
  StartPermitted(client);
  std::array<uint8_t, 100> out;
  stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kIndication,
                        Method::kData, {});
  w.Add(stun::XorPeerAddress{kPeer});
  w.Add(stun::Icmp{.type = 3, .code = 3});
  EXPECT_FALSE(client.Unwrap({kPath, w.Finish()}));
  EXPECT_EQ(client.stats().icmp, 1);
}

TEST_F(ClientTest, CloseGivesTheAllocationBack) {
  Client client(random_, kOptions);
  StartPermitted(client);
  client.Close(now_);
  client.Close(now_);
  EXPECT_FALSE(client.allocated());
  Run(client);
  EXPECT_EQ(server_.methods.back(), Method::kRefresh);
  EXPECT_EQ(server_.last_lifetime, 0);
  EXPECT_OK(Take<Client::Closed>(client).status);
  EXPECT_FALSE(client.PollEvent());
  EXPECT_EQ(client.NextTimeout(), absl::InfiniteFuture());
}

TEST_F(ClientTest, CloseSurvivesAStaleNonce) {
  Client client(random_, kOptions);
  StartAllocated(client);
  server_.nonce = "nonce2";
  client.Close(now_);
  Run(client);
  EXPECT_EQ(server_.last_lifetime, 0);
  EXPECT_OK(Take<Client::Closed>(client).status);
}

TEST_F(ClientTest, CloseDoesNotWaitLongForASilentServer) {
  Client client(random_, kOptions);
  StartAllocated(client);
  const absl::Time start = now_;
  client.Close(now_);
  std::optional<Client::Event> event;
  while (!(event = client.PollEvent())) {
    while (client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
    }
    now_ = client.NextTimeout();
    client.HandleTimeout(now_);
  }
  EXPECT_OK(std::get<Client::Closed>(*event).status);
  EXPECT_EQ(now_ - start, absl::Milliseconds(3500));
}

TEST_F(ClientTest, CloseBeforeAnyAllocationIsImmediate) {
  Client idle(random_, kOptions);
  idle.Close(now_);
  EXPECT_OK(Take<Client::Closed>(idle).status);
  Client asking(random_, kOptions);
  ASSERT_OK(asking.Allocate(now_));
  ASSERT_TRUE(asking.PollTransmit(now_, absl::MakeSpan(buffer_)));
  asking.Close(now_);
  EXPECT_OK(Take<Client::Closed>(asking).status);
}

// An Allocate that is on its way when Close() comes must not be left behind.
TEST_F(ClientTest, CloseWhileAllocatingGivesBackWhatMayBeThere) {
  Client client(random_, kOptions);
  ASSERT_OK(client.Allocate(now_));
  auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  client.HandlePacket(now_, {kPath, server_.Answer(packet->bytes)});
  ASSERT_TRUE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));
  client.Close(now_);
  Run(client);
  EXPECT_EQ(server_.methods.back(), Method::kRefresh);
  EXPECT_EQ(server_.last_lifetime, 0);
  EXPECT_OK(Take<Client::Closed>(client).status);
}

TEST_F(ClientTest, NoFlippedBitOfAResponseIsBelieved) {
  Client client(random_, kOptions);
  ASSERT_OK(client.Allocate(now_));
  auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  client.HandlePacket(now_, {kPath, server_.Answer(packet->bytes)});
  packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  const std::vector<uint8_t> response = server_.Answer(packet->bytes);
  for (size_t bit = 0; bit < response.size() * 8; ++bit) {
    std::vector<uint8_t> flipped = response;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    client.HandlePacket(now_, {kPath, flipped});
    ASSERT_FALSE(client.PollEvent()) << bit;
  }
  client.HandlePacket(now_, {kPath, response});
  Take<Client::Allocated>(client);
}

TEST_F(ClientTest, TheSameSeedGivesTheSameBytes) {
  const auto run = [this] {
    SeededRandom random(3);
    server_ = {};
    now_ = absl::UnixEpoch();
    transcript_.clear();
    Client client(random, kOptions);
    Start(client);
    for (uint16_t port = 1; port < 20; ++port) {
      EXPECT_OK(client.BindChannel(now_, {kPeer.ip, port}));
    }
    Run(client);
    Next(client);
    return transcript_;
  };
  const std::string first = run();
  EXPECT_EQ(run(), first);
}

}  // namespace
}  // namespace kyuu::turn
