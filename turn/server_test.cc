#include "turn/server.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;

const auto kNothing = [](MessageWriter&) {};
const auto kUdp = [](MessageWriter& w) { w.Add(stun::RequestedTransport{}); };

template <typename E>
size_t Count(ServerHarness& harness) {
  size_t count = 0;
  for (const Server::Event& event : harness.events()) {
    count += std::holds_alternative<E>(event);
  }
  return count;
}

TEST(TurnServer, BindingTellsTheMappedAddress) {
  ServerHarness harness;
  TestClient client(1000);
  const Reply reply = harness.Call(client, Method::kBinding, kNothing);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.Get<stun::XorMappedAddress>()->address, client.path.remote);
}

// RFC 5780: from either address, at either port, as CHANGE-REQUEST says.
TEST(TurnServer, BindingFindsOutWhatNatsDoWhereThereAreTwoAddresses) {
  ServerOptions options = ServerHarness::Options();
  const TransportAddress alternate{IpAddress::V4(192, 0, 2, 9), 3479};
  options.discovery = {kTestServer, alternate};
  ASSERT_OK(options.Validate());
  ServerHarness harness(options);
  TestClient client(1000), crossed(1000), elsewhere(1000), stream(1000);
  crossed.path.local = {alternate.ip, kTestServer.port};
  elsewhere.path.local.port = 5000;
  stream.path.transport = Transport::kTcp;
  std::vector<uint8_t> out(2048);
  const auto ask = [&](const TestClient& from, bool ip, bool port) {
    const auto request =
        harness.Build(from, Method::kBinding, [&](MessageWriter& w) {
          w.Add(stun::ChangeRequest{ip, port});
        });
    harness.server().FromClient(harness.now(), from.path, request,
                                request.size());
    const auto answer =
        harness.server().PollTransmit(harness.now(), absl::MakeSpan(out));
    EXPECT_TRUE(answer.has_value());
    return *answer;
  };
  for (const bool ip : {false, true}) {
    for (const bool port : {false, true}) {
      for (const TestClient& from : {client, crossed}) {
        const bool here = from.path.local.ip == kTestServer.ip;
        const Datagram answer = ask(from, ip, port);
        const TransportAddress origin{
            here != ip ? kTestServer.ip : alternate.ip,
            port ? alternate.port : kTestServer.port};
        EXPECT_EQ(answer.path, (Path{origin, from.path.remote}));
        const auto view = stun::MessageView::Parse(answer.bytes);
        EXPECT_EQ(view->Get<stun::XorMappedAddress>()->address,
                  from.path.remote);
        EXPECT_EQ(view->Get<stun::ResponseOrigin>()->address, origin);
        EXPECT_EQ(view->Get<stun::OtherAddress>()->address,
                  (TransportAddress{here ? alternate.ip : kTestServer.ip,
                                    alternate.port}));
      }
    }
  }
  // Nowhere else.
  for (const TestClient& from : {elsewhere, stream}) {
    EXPECT_EQ(Reply(ask(from, true, true).bytes).error(), 420);
  }
  ServerHarness plain;
  EXPECT_EQ(plain
                .Call(client, Method::kBinding,
                      [](MessageWriter& w) {
                        w.Add(stun::ChangeRequest{true, true});
                      })
                .error(),
            420);
}

TEST(TurnServer, AllocatesAfterAChallenge) {
  ServerHarness harness;
  TestClient client(1000);
  const Reply challenge = harness.Call(client, Method::kAllocate, kUdp);
  EXPECT_EQ(challenge.error(), 401);
  EXPECT_EQ(challenge.Get<stun::Realm>()->value, "kyuu");
  EXPECT_TRUE(challenge.Get<stun::Nonce>().has_value());

  const Reply reply = harness.Allocate(client);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.Get<stun::XorMappedAddress>()->address, client.path.remote);
  EXPECT_EQ(client.relayed.ip, kTestRelay);
  EXPECT_GE(client.relayed.port, 50'000);
  EXPECT_LE(client.relayed.port, 50'099);
  EXPECT_EQ(reply.Get<stun::Lifetime>()->seconds, 600u);
  EXPECT_TRUE(reply.view().CheckIntegrity(
      stun::IntegrityKey::LongTerm("u", "kyuu", "p")));
  EXPECT_EQ(Count<Server::AllocationMade>(harness), 1u);
  EXPECT_EQ(harness.server().allocations(), 1u);
}

TEST(TurnServer, AuthenticationErrors) {
  ServerHarness harness;
  TestClient good(1000);
  harness.Challenge(good);

  TestClient wrong = good;
  wrong.password = "x";
  EXPECT_EQ(harness.Call(wrong, Method::kAllocate, kUdp).error(), 401);
  TestClient nobody = good;
  nobody.username = "nobody";
  EXPECT_EQ(harness.Call(nobody, Method::kAllocate, kUdp).error(), 401);
  TestClient elsewhere = good;
  elsewhere.realm = "elsewhere";
  EXPECT_EQ(harness.Call(elsewhere, Method::kAllocate, kUdp).error(), 401);
  TestClient stale = good;
  stale.nonce = std::string(20, 'A');
  const Reply reply = harness.Call(stale, Method::kAllocate, kUdp);
  EXPECT_EQ(reply.error(), 438);
  EXPECT_TRUE(reply.Get<stun::Nonce>().has_value());

  // Integrity, but no user name.
  std::vector<uint8_t> buffer(256);
  MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                  Method::kAllocate, {});
  kUdp(w);
  w.AddIntegrity(stun::IntegrityKey::LongTerm("u", "kyuu", "p"));
  EXPECT_EQ(harness.Exchange(good, w.Finish()).error(), 400);
  EXPECT_EQ(harness.server().allocations(), 0u);
}

// A nonce is bound to the client's address and port, expires, survives a
// rotation of the secret for its lifetime, and counts across a fleet.
TEST(TurnServerSecurity, NonceIsBoundExpiresAndRotates) {
  ServerOptions options = ServerHarness::Options();
  options.nonce_secret = "fleet";
  ServerHarness harness(options), twin(options, /*seed=*/2);
  TestClient client(1000);
  harness.Challenge(client);

  TestClient thief = client;
  thief.path.remote.port = 1001;
  EXPECT_EQ(harness.Call(thief, Method::kAllocate, kUdp).error(), 438);
  thief.path.remote = {IpAddress::V4(9, 9, 9, 8), 1000};
  EXPECT_EQ(harness.Call(thief, Method::kAllocate, kUdp).error(), 438);
  // Another server with the same secret.
  EXPECT_TRUE(twin.Allocate(client).ok());

  ServerOptions next = ServerHarness::Options();
  next.nonce_secret = "next";
  harness.server().SetOptions(harness.now(), next);
  EXPECT_TRUE(harness.Allocate(client).ok());
  harness.Advance(absl::Minutes(59));
  EXPECT_EQ(harness.Refresh(client, 600).error(), 437);  // Accepted nonce.
  harness.Advance(absl::Minutes(2));
  EXPECT_EQ(harness.Refresh(client, 600).error(), 438);
}

TEST(TurnServer, RetransmittedAllocateGetsTheSameAnswer) {
  ServerHarness harness;
  TestClient client(1000);
  harness.Challenge(client);
  const auto request = harness.Build(client, Method::kAllocate, kUdp);
  const Reply first = harness.Exchange(client, request);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(harness.Exchange(client, request).bytes(), first.bytes());
  EXPECT_EQ(harness.server().allocations(), 1u);
  // Another transaction on the same 5-tuple is no retransmission.
  EXPECT_EQ(harness.Call(client, Method::kAllocate, kUdp).error(), 437);
}

TEST(TurnServer, RetransmissionsWhileTheSocketOpensAreAbsorbed) {
  ServerHarness harness;
  harness.open_relays = false;
  TestClient client(1000);
  harness.Challenge(client);
  const auto request = harness.Build(client, Method::kAllocate, kUdp);
  EXPECT_TRUE(harness.Exchange(client, request).empty());
  EXPECT_TRUE(harness.Exchange(client, request).empty());
  ASSERT_EQ(Count<Server::OpenRelay>(harness), 1u);
  // Nothing else works on an allocation that nobody was told of.
  EXPECT_TRUE(harness.Refresh(client, 600).empty());
  harness.server().RelayOpened(
      harness.now(),
      std::get<Server::OpenRelay>(harness.events().front()).relay);
  EXPECT_TRUE(harness.Exchange(client, request).ok());
}

TEST(TurnServer, TriesOtherPortsWhenTheDriverCannotBind) {
  ServerOptions options = ServerHarness::Options();
  options.open_attempts = 3;
  ServerHarness harness(options);
  harness.open_relays = false;
  const size_t ports = harness.server().free_ports();
  TestClient client(1000);
  harness.Challenge(client);
  const auto request =
      harness.Build(client, Method::kAllocate, [](MessageWriter& w) {
        kUdp(w);
        w.Add(stun::EvenPort{true});
      });
  harness.Exchange(client, request);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(harness.events().size(), 1u);
    const auto open = std::get<Server::OpenRelay>(harness.events().front());
    EXPECT_EQ(open.bind.port % 2, 0);
    harness.events().clear();
    harness.server().RelayFailed(harness.now(), open.relay);
    harness.server().RelayFailed(harness.now(), RelayId{12345});
    harness.Drain();
  }
  std::vector<uint8_t> out(2048);
  const auto answer =
      harness.server().PollTransmit(harness.now(), absl::MakeSpan(out));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(Reply(answer->bytes).error(), 508);
  EXPECT_TRUE(harness.events().empty());  // No socket, nothing to close.
  EXPECT_EQ(harness.server().free_ports(), ports);
  EXPECT_EQ(harness.server().stats().relays_failed, 3u);
}

// RFC 8489 section 6.3.1: of all that the codec can read, only what the server
// does something about is understood. The next attribute that the codec learns
// is refused until it is added to one of these lists.
TEST(TurnServer, OnlyAttributesOfItsOwnListAreUnderstood) {
  using stun::AttributeSet;
  const AttributeSet binding =
      AttributeSet::Of<stun::MappedAddress, stun::Username, stun::ErrorCode,
                       stun::UnknownAttributes, stun::Realm, stun::Nonce,
                       stun::PasswordAlgorithm, stun::Userhash,
                       stun::XorMappedAddress>();
  const AttributeSet turn =
      binding |
      AttributeSet::Of<
          stun::ChannelNumber, stun::Lifetime, stun::XorPeerAddress, stun::Data,
          stun::XorRelayedAddress, stun::RequestedAddressFamily, stun::EvenPort,
          stun::DontFragment, stun::RequestedTransport, stun::ReservationToken,
          stun::ConnectionId>();
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  for (const Method method :
       {Method::kBinding, Method::kAllocate, Method::kRefresh,
        Method::kCreatePermission, Method::kChannelBind}) {
    const AttributeSet& understood =
        method == Method::kBinding ? binding : turn;
    for (uint16_t type = 0; type < 0x80; ++type) {
      // These are not looked up, and a second of those is not looked at.
      if (type == stun::MessageIntegrity::kType ||
          type == stun::MessageIntegritySha256::kType ||
          type == stun::Username::kType || type == stun::Realm::kType ||
          type == stun::Nonce::kType) {
        continue;
      }
      SCOPED_TRACE(absl::StrCat(stun::MethodName(method), " with ", type, " ",
                                stun::AttributeName(type)));
      const Reply reply = harness.Call(
          client, method, [&](MessageWriter& w) { w.AddRaw(type, {}); });
      ASSERT_FALSE(reply.empty());
      EXPECT_EQ(reply.error() == 420, !understood.Contains(type));
      const auto unknown = reply.Get<stun::UnknownAttributes>();
      EXPECT_TRUE(!unknown || unknown->types[0] == type);
    }
  }
}

TEST(TurnServer, AllocateRefusals) {
  const struct {
    std::string name;
    std::function<void(MessageWriter&)> fill;
    int error;
  } kRows[] = {
      {"no transport", [](MessageWriter&) {}, 400},
      {"tcp, asked for by a datagram",
       [](MessageWriter& w) {
         w.Add(stun::RequestedTransport{stun::RequestedTransport::kTcp});
       },
       400},
      {"unknown attribute",
       [](MessageWriter& w) {
         kUdp(w);
         w.AddRaw(0x7777, {});
       },
       420},
      {"ipv6 without an ipv6 relay",
       [](MessageWriter& w) {
         kUdp(w);
         w.Add(stun::RequestedAddressFamily{IpFamily::kV6});
       },
       440},
      {"family that is none",
       [](MessageWriter& w) {
         kUdp(w);
         w.AddRaw(stun::RequestedAddressFamily::kType, {{7, 0, 0, 0}});
       },
       440},
      {"requested and additional family",
       [](MessageWriter& w) {
         kUdp(w);
         w.Add(stun::RequestedAddressFamily{IpFamily::kV4});
         w.Add(stun::AdditionalAddressFamily{IpFamily::kV6});
       },
       400},
      {"additional ipv4",
       [](MessageWriter& w) {
         kUdp(w);
         w.Add(stun::AdditionalAddressFamily{IpFamily::kV4});
       },
       400},
      {"additional family with a reservation",
       [](MessageWriter& w) {
         kUdp(w);
         w.Add(stun::AdditionalAddressFamily{IpFamily::kV6});
         w.Add(stun::EvenPort{true});
       },
       400},
      {"token and even port",
       [](MessageWriter& w) {
         kUdp(w);
         w.Add(stun::ReservationToken{});
         w.Add(stun::EvenPort{});
       },
       400},
      {"token that nobody was given",
       [](MessageWriter& w) {
         kUdp(w);
         w.Add(stun::ReservationToken{});
       },
       508},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    ServerHarness harness;
    TestClient client(1000);
    harness.Challenge(client);
    const Reply reply = harness.Call(client, Method::kAllocate, row.fill);
    EXPECT_EQ(reply.error(), row.error);
    EXPECT_EQ(reply.Get<stun::UnknownAttributes>().has_value(),
              row.error == 420);
    EXPECT_EQ(harness.server().allocations(), 0u);
    EXPECT_EQ(harness.server().free_ports(), 100u);
  }
}

TEST(TurnServer, AdditionalFamilyIsAnsweredWithWhyNot) {
  ServerHarness harness;
  TestClient client(1000);
  const Reply reply = harness.Allocate(client, [](MessageWriter& w) {
    w.Add(stun::AdditionalAddressFamily{IpFamily::kV6});
  });
  ASSERT_TRUE(reply.ok());
  const auto refused = reply.Get<stun::AddressErrorCode>();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->family, IpFamily::kV6);
  EXPECT_EQ(refused->code, stun::Error::kAddressFamilyNotSupported);
}

TEST(TurnServer, AllocatesIpv6WhereThereIsARelay) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses.push_back({*IpAddress::Parse("2001:db8::2"), {}});
  ServerHarness harness(options);
  TestClient client(1000);
  ASSERT_TRUE(harness
                  .Allocate(client,
                            [](MessageWriter& w) {
                              w.Add(
                                  stun::RequestedAddressFamily{IpFamily::kV6});
                            })
                  .ok());
  EXPECT_TRUE(client.relayed.ip.is_v6());
  // Peers must be of the relayed address's family.
  EXPECT_EQ(harness.Permit(client, kTestPeer.ip).error(), 443);
  EXPECT_EQ(harness.Bind(client, 0x4000, kTestPeer).error(), 443);
  EXPECT_TRUE(harness.Permit(client, *IpAddress::Parse("2a00::1")).ok());
  EXPECT_EQ(harness
                .Call(client, Method::kRefresh,
                      [](MessageWriter& w) {
                        w.Add(stun::RequestedAddressFamily{IpFamily::kV4});
                      })
                .error(),
            443);
}

TEST(TurnServer, AdvertisesTheAddressOfTheNatInFront) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses = {
      {IpAddress::V4(10, 0, 0, 5), IpAddress::V4(5, 6, 7, 8)}};
  ServerHarness harness(options);
  harness.open_relays = false;
  TestClient client(1000);
  EXPECT_TRUE(harness.Allocate(client).empty());
  const auto open = std::get<Server::OpenRelay>(harness.events().front());
  EXPECT_EQ(open.bind.ip, IpAddress::V4(10, 0, 0, 5));
  harness.server().RelayOpened(harness.now(), open.relay);
  std::vector<uint8_t> out(2048);
  const Reply reply(
      harness.server().PollTransmit(harness.now(), absl::MakeSpan(out))->bytes);
  EXPECT_EQ(reply.Get<stun::XorRelayedAddress>()->address,
            (TransportAddress{IpAddress::V4(5, 6, 7, 8), open.bind.port}));
}

TEST(TurnServer, EvenPortReservesTheNextForTheToken) {
  ServerHarness harness;
  TestClient rtp(1000), rtcp(1001);
  const Reply reply = harness.Allocate(
      rtp, [](MessageWriter& w) { w.Add(stun::EvenPort{true}); });
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(rtp.relayed.port % 2, 0);
  const auto token = reply.Get<stun::ReservationToken>();
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(harness.server().free_ports(), 98u);
  ASSERT_TRUE(
      harness.Allocate(rtcp, [&](MessageWriter& w) { w.Add(*token); }).ok());
  EXPECT_EQ(rtcp.relayed.port, rtp.relayed.port + 1);
  // Used up.
  TestClient third(1002);
  EXPECT_EQ(
      harness.Allocate(third, [&](MessageWriter& w) { w.Add(*token); }).error(),
      508);
}

TEST(TurnServer, ReservationExpiresAfterThirtySeconds) {
  ServerHarness harness;
  TestClient rtp(1000), rtcp(1001);
  const Reply reply = harness.Allocate(
      rtp, [](MessageWriter& w) { w.Add(stun::EvenPort{true}); });
  const auto token = reply.Get<stun::ReservationToken>();
  harness.Advance(absl::Seconds(29));
  EXPECT_EQ(harness.server().free_ports(), 98u);
  harness.Advance(absl::Seconds(1));
  EXPECT_EQ(harness.server().free_ports(), 99u);
  EXPECT_EQ(
      harness.Allocate(rtcp, [&](MessageWriter& w) { w.Add(*token); }).error(),
      508);
}

TEST(TurnServer, LifetimesAreClampedRefreshedAndEnd) {
  ServerHarness harness;
  TestClient client(1000);
  const Reply reply = harness.Allocate(
      client, [](MessageWriter& w) { w.Add(stun::Lifetime{1'000'000}); });
  EXPECT_EQ(reply.Get<stun::Lifetime>()->seconds, 3600u);
  EXPECT_EQ(harness.Refresh(client, 5).Get<stun::Lifetime>()->seconds, 600u);
  EXPECT_EQ(harness.server().NextTimeout(), harness.now() + absl::Minutes(10));
  harness.server().HandleTimeout(harness.now());  // Early: nothing.
  EXPECT_EQ(harness.server().allocations(), 1u);
  harness.Advance(absl::Minutes(10));
  EXPECT_EQ(harness.server().allocations(), 0u);
  EXPECT_EQ(Count<Server::CloseRelay>(harness), 1u);
  EXPECT_EQ(Count<Server::AllocationEnded>(harness), 1u);
  EXPECT_EQ(harness.Refresh(client, 600).error(), 437);
  EXPECT_EQ(harness.server().NextTimeout(), absl::InfiniteFuture());
}

TEST(TurnServer, RefreshToZeroReleasesAndThe5TupleIsFreeAgain) {
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const Reply reply = harness.Refresh(client, 0);
  EXPECT_EQ(reply.Get<stun::Lifetime>()->seconds, 0u);
  EXPECT_EQ(harness.Refresh(client, 0).error(), 437);
  EXPECT_TRUE(harness.Allocate(client).ok());
}

// Else the client that hears it may be refused the port that it has returned.
TEST(TurnServer, RefreshToZeroIsAnsweredWhenThePortIsFree) {
  ServerHarness harness;
  Server& server = harness.server();
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const auto request =
      harness.Build(client, Method::kRefresh,
                    [](MessageWriter& w) { w.Add(stun::Lifetime{0}); });
  server.FromClient(harness.now(), client.path, request, request.size());
  std::vector<uint8_t> out(2048);
  size_t events = 0;
  while (server.free_ports() == 99) {
    EXPECT_FALSE(server.PollTransmit(harness.now(), absl::MakeSpan(out)));
    ASSERT_TRUE(server.PollEvent().has_value() || server.free_ports() == 100);
    ++events;
  }
  while (server.PollEvent()) {
  }
  EXPECT_GE(events, 2u);  // CloseRelay, and the one after it.
  EXPECT_TRUE(server.PollTransmit(harness.now(), absl::MakeSpan(out)));
}

TEST(TurnServer, ExpiredAllocationsAreGoneEvenIfTimersAreLate) {
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const auto request = harness.Build(client, Method::kRefresh, kNothing);
  const absl::Time late = harness.now() + absl::Minutes(11);
  harness.server().FromClient(late, client.path, request, request.size());
  std::vector<uint8_t> out(2048);
  EXPECT_EQ(
      Reply(harness.server().PollTransmit(late, absl::MakeSpan(out))->bytes)
          .error(),
      437);
  const auto again = harness.Build(client, Method::kAllocate, kUdp);
  harness.server().FromClient(late, client.path, again, again.size());
  EXPECT_EQ(harness.server().allocations(), 1u);
}

TEST(TurnServer, ChannelBindRules) {
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const TransportAddress other{kTestPeer.ip, 7001};
  EXPECT_EQ(harness.Bind(client, 0x3fff, kTestPeer).error(), 400);
  EXPECT_EQ(harness.Bind(client, 0x8000, kTestPeer).error(), 400);
  EXPECT_TRUE(harness.Bind(client, 0x4000, kTestPeer).ok());
  EXPECT_TRUE(harness.Bind(client, 0x4000, kTestPeer).ok());  // Refresh.
  EXPECT_EQ(harness.Bind(client, 0x4000, other).error(), 400);
  EXPECT_EQ(harness.Bind(client, 0x4001, kTestPeer).error(), 400);
  // The range of RFC 5766, which turnutils_uclient uses.
  EXPECT_TRUE(harness.Bind(client, 0x7fff, other).ok());
  EXPECT_EQ(harness.Call(client, Method::kChannelBind, kNothing).error(), 400);
  EXPECT_EQ(harness.Call(client, Method::kCreatePermission, kNothing).error(),
            400);
  // Once expired, the number may have another peer.
  harness.Advance(absl::Minutes(6));
  EXPECT_TRUE(harness.Refresh(client, 600).ok());
  harness.Advance(absl::Minutes(5));
  EXPECT_TRUE(harness.Bind(client, 0x4000, other).ok());
}

// RFC 8656 section 12 has 0x4000 to 0x4fff; RFC 5766 had more.
TEST(TurnServer, TheRangeOfChannelsIsAnOption) {
  for (const uint16_t max : {uint16_t{0x4fff}, uint16_t{0x7fff}}) {
    ServerOptions options = ServerHarness::Options();
    options.channel_max = max;
    ServerHarness harness(options);
    TestClient client(1000);
    ASSERT_TRUE(harness.Allocate(client).ok());
    EXPECT_TRUE(harness.Bind(client, max, kTestPeer).ok());
    EXPECT_EQ(
        harness.Bind(client, static_cast<uint16_t>(max + 1), {kTestPeer.ip, 1})
            .error(),
        400);
  }
}

// RFC 8489 section 9.2.4.
TEST(TurnServer, PasswordAlgorithmsMustAgree) {
  using stun::PasswordAlgorithm;
  using stun::PasswordAlgorithms;
  using stun::PasswordHash;
  const std::vector<uint8_t> sha256_only = FromHex("0002 0000");
  const struct {
    std::string name;
    std::function<void(MessageWriter&)> fill;
    int error;
  } kRows[] = {
      {"neither", kNothing, 0},
      {"one of those offered",
       [](MessageWriter& w) {
         w.Add(PasswordAlgorithm{PasswordHash::kMd5, {}});
         w.Add(PasswordAlgorithms::Sha256ThenMd5());
       },
       0},
      {"without those offered",
       [](MessageWriter& w) {
         w.Add(PasswordAlgorithm{PasswordHash::kMd5, {}});
       },
       400},
      {"offered and none chosen",
       [](MessageWriter& w) { w.Add(PasswordAlgorithms::Sha256ThenMd5()); },
       400},
      {"none of those offered",
       [&](MessageWriter& w) {
         w.Add(PasswordAlgorithm{PasswordHash::kMd5, {}});
         w.Add(PasswordAlgorithms{sha256_only});
       },
       400},
      {"one that we do not do",
       [](MessageWriter& w) {
         w.Add(PasswordAlgorithm{PasswordHash::kSha256, {}});
         w.Add(PasswordAlgorithms::Sha256ThenMd5());
       },
       400},
      {"malformed",
       [](MessageWriter& w) {
         w.AddRaw(PasswordAlgorithm::kType, {});
         w.Add(PasswordAlgorithms::Sha256ThenMd5());
       },
       400},
  };
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(harness.Call(client, Method::kRefresh, row.fill).error(),
              row.error);
  }
}

// RFC 8489 section 9.2.4: the SHA-256 form is looked at where it is there.
TEST(TurnServer, EachIntegrityThatIsThereMustBeRight) {
  ServerHarness harness;
  TestClient client(1000);
  ASSERT_TRUE(harness.Allocate(client).ok());
  const auto right = stun::IntegrityKey::LongTerm("u", client.realm, "p");
  const auto wrong = stun::IntegrityKey::LongTerm("u", client.realm, "x");
  for (const bool sha1_right : {false, true}) {
    for (const bool sha256_right : {false, true}) {
      std::vector<uint8_t> buffer(400);
      MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                      Method::kRefresh, {});
      w.Add(stun::Username{"u"});
      w.Add(stun::Realm{client.realm});
      w.Add(stun::Nonce{client.nonce});
      w.AddIntegrity(sha1_right ? right : wrong);
      w.AddIntegritySha256(sha256_right ? right : wrong);
      EXPECT_EQ(harness.Exchange(client, w.Finish()).error(),
                sha1_right && sha256_right ? 0 : 401);
    }
  }
}

TEST(TurnServer, UnknownMethodsAndResponsesAreDiscarded) {
  ServerHarness harness;
  TestClient client(1000);
  harness.Challenge(client);
  EXPECT_TRUE(harness.Call(client, Method{0x00d}, kNothing).empty());
  EXPECT_TRUE(harness.Call(client, Method{0x123}, kNothing).empty());
  std::vector<uint8_t> buffer(64);
  MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kSuccess,
                  Method::kBinding, {});
  EXPECT_TRUE(harness.Exchange(client, w.Finish()).empty());
  EXPECT_EQ(harness.server().stats().unexpected, 3u);
}

TEST(TurnServer, WrongFingerprintIsNoise) {
  ServerHarness harness;
  TestClient client(1000);
  std::vector<uint8_t> request = harness.Build(
      client, Method::kBinding, [](MessageWriter& w) { w.AddFingerprint(); });
  const Reply reply = harness.Exchange(client, request);
  EXPECT_TRUE(reply.view().CheckFingerprint());  // Mirrored.
  request.back() ^= 1;
  EXPECT_TRUE(harness.Exchange(client, request).empty());
  EXPECT_EQ(harness.server().stats().malformed, 1u);
}

TEST(TurnServer, CloseEndsEverythingAndIsTheLastEvent) {
  ServerHarness harness;
  TestClient client(1000), other(1001);
  ASSERT_TRUE(
      harness
          .Allocate(client,
                    [](MessageWriter& w) { w.Add(stun::EvenPort{true}); })
          .ok());
  ASSERT_TRUE(harness.Allocate(other).ok());
  harness.server().Close();
  harness.server().Close();
  harness.Drain();
  EXPECT_EQ(Count<Server::CloseRelay>(harness), 2u);
  EXPECT_EQ(Count<Server::Closed>(harness), 1u);
  EXPECT_TRUE(std::holds_alternative<Server::Closed>(harness.events().back()));
  EXPECT_EQ(harness.server().free_ports(), 100u);
  EXPECT_TRUE(harness.Call(client, Method::kBinding, kNothing).empty());
  EXPECT_EQ(harness.server().NextTimeout(), absl::InfiniteFuture());
}

TEST(TurnServer, OptionsAreChecked) {
  EXPECT_OK(ServerHarness::Options().Validate());
  const struct {
    std::string name;
    std::function<void(ServerOptions&)> spoil;
  } kRows[] = {
      {"empty realm", [](auto& o) { o.realm = ""; }},
      {"long realm", [](auto& o) { o.realm = std::string(128, 'r'); }},
      {"empty password",
       [](auto& o) {
         o.users = {{"u", ""}};
       }},
      {"empty name",
       [](auto& o) {
         o.users = {{"", "p"}};
       }},
      {"ports reversed", [](auto& o) { o.relay_port_low = 60'000; }},
      {"relay on any",
       [](auto& o) {
         o.relay_addresses = {{IpAddress::V4(0), {}}};
       }},
      {"families mixed",
       [](auto& o) {
         o.relay_addresses = {{kTestRelay, *IpAddress::Parse("2a00::1")}};
       }},
      {"two relays told as one",
       [](auto& o) {
         o.relay_addresses = {{kTestRelay, *IpAddress::Parse("5.5.5.5")},
                              {*IpAddress::Parse("5.5.5.5"), {}}};
       }},
      {"no share", [](auto& o) { o.source_share = 0; }},
      {"no lifetime", [](auto& o) { o.lifetime_default = {}; }},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    ServerOptions options = ServerHarness::Options();
    row.spoil(options);
    EXPECT_THAT(options.Validate(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

// RFC 8656 section 5: the 5-tuple of a stream that has ended is no more. What
// the client is sent over one is padded (section 12.5).
TEST(TurnServer, AClientOnAStreamHasItsAllocationAsLongAsTheStream) {
  ServerHarness harness;
  const size_t ports = harness.server().free_ports();
  TestClient client(1000), other(1000);
  client.path.transport = Transport::kTcp;
  ASSERT_TRUE(harness.Allocate(client).ok());
  ASSERT_TRUE(harness.Allocate(other).ok());  // The same ports, by UDP.
  ASSERT_TRUE(harness.Bind(client, 0x4000, kTestPeer).ok());
  const auto forwards = harness.server().FromPeer(
      harness.now(), *client.relay, kTestPeer, AsBytes("hello"), 5);
  ASSERT_EQ(forwards.size(), 1u);
  EXPECT_EQ(forwards[0].path, client.path);
  EXPECT_EQ(forwards[0].padding(0), 3u);
  harness.server().ClientGone(client.path);
  harness.server().ClientGone(client.path);
  EXPECT_EQ(harness.server().allocations(), 1u);
  harness.Drain();
  EXPECT_EQ(harness.server().free_ports(), ports - 1);
  bool told = false;
  for (const Server::Event& event : harness.events()) {
    const auto* ended = std::get_if<Server::AllocationEnded>(&event);
    if (ended == nullptr) continue;
    told = true;
    EXPECT_EQ(ended->reason, Server::EndReason::kDisconnected);
    EXPECT_EQ(ended->client, client.path);
  }
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace kyuu::turn
