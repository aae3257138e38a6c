// TCP connections between relayed addresses and peers (RFC 6062): the client,
// at our server.

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "stun/access_token.h"
#include "turn/client.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using By = ClientPeerConnected::By;

const IpAddress kHost = IpAddress::V4(9, 9, 9, 9);
const TransportAddress kControl{kHost, 1000};
const TransportAddress kData{kHost, 1001};
const TransportAddress kOther{IpAddress::V4(8, 8, 4, 4), 7000};

Client::Options Options() {
  return {.local = kControl,
          .server = kTestServer,
          .transport = Transport::kTcp,
          .username = "u",
          .password = "p",
          .relayed_transport = Transport::kTcp,
          .connections_max = 3};
}

class ClientTcp : public testing::Test {
 protected:
  explicit ClientTcp(ServerOptions server = ServerHarness::Options(),
                     Client::Options client = Options())
      : harness_(std::move(server)), client_(random_, std::move(client)) {}

  // Hands all requests to the server and its answers back, until silence.
  void Run() {
    while (const auto packet =
               client_.PollTransmit(harness_.now(), absl::MakeSpan(out_))) {
      EXPECT_EQ(packet->path.remote, kTestServer);
      EXPECT_EQ(packet->path.transport, Transport::kTcp);
      const TestClient from = At(packet->path.local);
      const std::vector<uint8_t> bytes(packet->bytes.begin(),
                                       packet->bytes.end());
      const auto forwards = harness_.server().FromClient(
          harness_.now(), from.path, bytes, bytes.size());
      for (const Forward& forward : forwards) {
        if (forward.exit == Forward::Exit::kJoin) ++joined_;
      }
      harness_.Drain();
      Hear(packet->path.local);
    }
  }
  // What the server has to say by the stream at `local`, if anything.
  void Hear(const TransportAddress& local) {
    const Reply reply = harness_.Poll(At(local));
    if (reply.empty()) return;
    client_.HandlePacket(
        harness_.now(), {{local, kTestServer, Transport::kTcp}, reply.bytes()});
  }
  static TestClient At(const TransportAddress& local) {
    TestClient client(local.port);
    client.path.transport = Transport::kTcp;
    return client;
  }
  void Advance(absl::Duration duration) {
    harness_.Advance(duration);
    client_.HandleTimeout(harness_.now());
  }
  void Allocate() {
    ASSERT_OK(client_.Allocate(harness_.now()));
    Run();
    Take<Client::Allocated>();
    relay_ = TakeFromServer<Server::AllocationMade>().relay;
  }
  template <typename E>
  E Take() {
    const auto event = client_.PollEvent();
    EXPECT_TRUE(event && std::holds_alternative<E>(*event));
    if (!event || !std::holds_alternative<E>(*event)) return {};
    return std::get<E>(*event);
  }
  template <typename E>
  E TakeFromServer() {
    while (!harness_.events().empty()) {
      const Server::Event event = harness_.events().front();
      harness_.events().pop_front();
      if (const auto* wanted = std::get_if<E>(&event)) return *wanted;
    }
    ADD_FAILURE() << "no such event";
    return {};
  }
  // A connection that the server has made for us.
  Client::PeerConnected Connected(const TransportAddress& peer) {
    EXPECT_OK(connections().Connect(harness_.now(), peer));
    Run();
    const auto wanted = TakeFromServer<Server::ConnectPeer>();
    EXPECT_EQ(wanted.peer, peer);
    harness_.server().connections().Connected(harness_.now(),
                                              wanted.connection);
    Hear(kControl);
    return Take<Client::PeerConnected>();
  }
  ClientConnections& connections() { return client_.connections(); }
  const Client::Stats& stats() { return client_.stats(); }

  SeededRandom random_{1};
  ServerHarness harness_;
  Client client_;
  std::vector<uint8_t> out_ = std::vector<uint8_t>(2048);
  RelayId relay_{};
  int joined_ = 0;
};

TEST_F(ClientTcp, AConnectionIsMadeAndBoundToAStream) {
  Allocate();
  const auto connected = Connected(kTestPeer);
  EXPECT_EQ(connected.peer, kTestPeer);
  EXPECT_EQ(connected.by, By::kUs);
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  // The nonce is of the other stream: a challenge goes before.
  Run();
  const auto joined = Take<Client::PeerJoined>();
  EXPECT_EQ(joined.id, connected.id);
  EXPECT_EQ(joined.peer, kTestPeer);
  EXPECT_EQ(joined.local, kData);
  EXPECT_EQ(joined_, 1);
  EXPECT_EQ(connections().size(), 0u);
  EXPECT_EQ(stats().peers_joined, 1u);
  // The allocation is refreshed by its own nonce as before.
  const uint64_t sent = stats().requests_sent;
  ASSERT_OK(client_.Refresh(harness_.now()));
  Run();
  EXPECT_EQ(stats().requests_sent, sent + 1);
}

TEST_F(ClientTcp, APeerThatIsPermittedComesAndIsBound) {
  Allocate();
  ASSERT_OK(client_.Permit(harness_.now(), kTestPeer));
  Run();
  Take<Client::PermissionGranted>();
  ASSERT_TRUE(harness_.server().connections().Accepted(harness_.now(), relay_,
                                                       kTestPeer));
  Hear(kControl);
  const auto connected = Take<Client::PeerConnected>();
  EXPECT_EQ(connected.by, By::kPeer);
  EXPECT_EQ(connected.peer, kTestPeer);
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  Run();
  Take<Client::PeerJoined>();
  EXPECT_EQ(joined_, 1);
}

TEST_F(ClientTcp, APeerThatDoesNotAnswerIsTold) {
  Allocate();
  ASSERT_OK(connections().Connect(harness_.now(), kTestPeer));
  Run();
  harness_.server().connections().Failed(
      TakeFromServer<Server::ConnectPeer>().connection);
  Hear(kControl);
  const auto failed = Take<Client::PeerFailed>();
  EXPECT_EQ(failed.peer, kTestPeer);
  EXPECT_EQ(failed.error, stun::Error::kConnectionTimeout);
  EXPECT_EQ(failed.id, std::nullopt);
  EXPECT_EQ(connections().size(), 0u);
}

TEST_F(ClientTcp, ASecondConnectionToAPeerIsRefusedByTheServer) {
  Allocate();
  Connected(kTestPeer);
  ASSERT_OK(connections().Connect(harness_.now(), kTestPeer));
  Run();
  EXPECT_EQ(Take<Client::PeerFailed>().error,
            stun::Error::kConnectionAlreadyExists);
}

// RFC 6062 section 5.2.
TEST_F(ClientTcp, WhatIsNotBoundIn30SecondsIsGivenUp) {
  Allocate();
  const auto connected = Connected(kTestPeer);
  Advance(absl::Seconds(30) - absl::Milliseconds(1));
  EXPECT_FALSE(client_.PollEvent());
  EXPECT_EQ(client_.NextTimeout(), harness_.now() + absl::Milliseconds(1));
  Advance(absl::Milliseconds(1));
  const auto failed = Take<Client::PeerFailed>();
  EXPECT_EQ(failed.id, connected.id);
  EXPECT_EQ(failed.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(connections().Bind(harness_.now(), connected.id, kData).code(),
            absl::StatusCode::kNotFound);
}

// Nor when its stream is there, but the answer does not come.
TEST_F(ClientTcp, ABindThatIsNotAnsweredIsGivenUpAsWell) {
  Allocate();
  const auto connected = Connected(kTestPeer);
  Advance(absl::Seconds(20));
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  ASSERT_TRUE(client_.PollTransmit(harness_.now(), absl::MakeSpan(out_)));
  Advance(absl::Seconds(10));
  EXPECT_EQ(Take<Client::PeerFailed>().id, connected.id);
}

TEST_F(ClientTcp, AConnectThatIsNotAnsweredIsGivenUp) {
  Allocate();
  ASSERT_OK(connections().Connect(harness_.now(), kTestPeer));
  ASSERT_TRUE(client_.PollTransmit(harness_.now(), absl::MakeSpan(out_)));
  Advance(absl::Seconds(39));
  EXPECT_FALSE(client_.PollEvent());
  Advance(absl::Milliseconds(500));
  EXPECT_EQ(Take<Client::PeerFailed>().status.code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(client_.allocated());
}

TEST_F(ClientTcp, AStreamThatEndsBeforeItIsBoundIsTheEndOfItsConnection) {
  Allocate();
  const auto connected = Connected(kTestPeer);
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  EXPECT_EQ(connections().Bind(harness_.now(), connected.id, kData).code(),
            absl::StatusCode::kFailedPrecondition);
  connections().Drop(connected.id, absl::UnavailableError("reset"));
  const auto failed = Take<Client::PeerFailed>();
  EXPECT_EQ(failed.id, connected.id);
  EXPECT_EQ(failed.status.message(), "reset");
  EXPECT_FALSE(client_.PollTransmit(harness_.now(), absl::MakeSpan(out_)));
  connections().Drop(connected.id, absl::OkStatus());
  EXPECT_FALSE(client_.PollEvent());
}

TEST_F(ClientTcp, ThereAreConnectionsMaxAtOneTime) {
  Allocate();
  ASSERT_OK(client_.Permit(harness_.now(), kTestPeer));
  Run();
  Take<Client::PermissionGranted>();
  for (uint16_t port = 1; port <= 3; ++port) {
    ASSERT_OK(connections().Connect(harness_.now(), {kTestPeer.ip, port}));
  }
  EXPECT_EQ(connections().Connect(harness_.now(), kOther).code(),
            absl::StatusCode::kResourceExhausted);
  Run();
  ASSERT_TRUE(harness_.server().connections().Accepted(harness_.now(), relay_,
                                                       kTestPeer));
  Hear(kControl);
  EXPECT_FALSE(client_.PollEvent());
  EXPECT_EQ(stats().peers_ignored, 1u);
  EXPECT_EQ(connections().size(), 3u);
}

// A server may tell of what it likes.
TEST_F(ClientTcp, PeersThatWereNotLetInAreIgnored) {
  Allocate();
  const auto attempt = [this](std::optional<uint32_t> id,
                              const TransportAddress& peer,
                              const TransportAddress& local = kControl) {
    std::vector<uint8_t> bytes(256);
    stun::MessageWriter w(absl::MakeSpan(bytes),
                          stun::MessageClass::kIndication,
                          stun::Method::kConnectionAttempt,
                          stun::TransactionId::Generate(random_));
    w.Add(stun::XorPeerAddress{peer});
    if (id) w.Add(stun::ConnectionId{*id});
    client_.HandlePacket(harness_.now(),
                         {{local, kTestServer, Transport::kTcp}, w.Finish()});
  };
  attempt(7, kTestPeer);
  EXPECT_EQ(stats().unpermitted, 1u);
  ASSERT_OK(client_.Permit(harness_.now(), kTestPeer));
  Run();
  Take<Client::PermissionGranted>();
  attempt(std::nullopt, kTestPeer);
  EXPECT_EQ(stats().malformed, 1u);
  attempt(7, kTestPeer, kData);
  EXPECT_EQ(stats().wrong_path, 1u);
  EXPECT_FALSE(client_.PollEvent());
  attempt(7, kTestPeer);
  EXPECT_EQ(Take<Client::PeerConnected>().id, ClientConnectionId{7});
  // Of the same id there is no other.
  attempt(7, kTestPeer);
  EXPECT_FALSE(client_.PollEvent());
  EXPECT_EQ(stats().unexpected, 1u);
  // And not from a stream that is bound itself.
  ASSERT_OK(connections().Bind(harness_.now(), ClientConnectionId{7}, kData));
  attempt(8, kTestPeer, kData);
  EXPECT_FALSE(client_.PollEvent());
  EXPECT_EQ(stats().unexpected, 2u);
}

// An answer counts on the stream that asked.
TEST_F(ClientTcp, AnswersByAnotherStreamAreIgnored) {
  Allocate();
  const auto connected = Connected(kTestPeer);
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  const auto asked = client_.PollTransmit(harness_.now(), absl::MakeSpan(out_));
  ASSERT_TRUE(asked);
  const auto request = stun::MessageView::Parse(asked->bytes);
  std::vector<uint8_t> bytes(256);
  stun::MessageWriter w(absl::MakeSpan(bytes), stun::MessageClass::kSuccess,
                        stun::Method::kConnectionBind,
                        request->transaction_id());
  w.AddIntegrity(stun::IntegrityKey::LongTerm("u", "kyuu", "p"));
  const auto answer = w.Finish();
  client_.HandlePacket(harness_.now(),
                       {{kControl, kTestServer, Transport::kTcp}, answer});
  EXPECT_FALSE(client_.PollEvent());
  EXPECT_EQ(stats().unexpected, 1u);
}

TEST_F(ClientTcp, TheEndOfTheAllocationIsTheEndOfAll) {
  Allocate();
  const auto connected = Connected(kTestPeer);
  client_.Close(harness_.now());
  EXPECT_EQ(connections().Connect(harness_.now(), kTestPeer).code(),
            absl::StatusCode::kFailedPrecondition);
  Run();
  EXPECT_OK(Take<Client::Closed>().status);
  EXPECT_EQ(connections().size(), 0u);
  EXPECT_EQ(client_.NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(connections().Bind(harness_.now(), connected.id, kData).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(connections().Connect(harness_.now(), kTestPeer).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ClientTcp, DatagramsAndChannelsAreNotItsBusiness) {
  Allocate();
  EXPECT_EQ(client_.BindChannel(harness_.now(), kTestPeer).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_OK(client_.Permit(harness_.now(), kTestPeer));
  EXPECT_EQ(
      client_
          .Wrap(harness_.now(), kTestPeer, AsBytes("x"), absl::MakeSpan(out_))
          .status()
          .code(),
      absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(connections().Connect(harness_.now(), {kTestPeer.ip, 0}).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientTcp, OnDatagramsThereIsNone) {
  Client::Options options = Options();
  options.transport = Transport::kUdp;
  EXPECT_EQ(Client(random_, options).Allocate(harness_.now()).code(),
            absl::StatusCode::kInvalidArgument);
  options.relayed_transport = Transport::kUdp;
  Client udp(random_, options);
  EXPECT_EQ(udp.connections().Connect(harness_.now(), kTestPeer).code(),
            absl::StatusCode::kFailedPrecondition);
}

// The same with tokens (RFC 7635) of two keys, of which the server may take
// either.
class ClientTcpTokens : public ClientTcp {
 protected:
  static constexpr absl::string_view kName = "turn.example.org";

  static ServerOptions WithKeys(std::vector<std::string> kids) {
    ServerOptions options = ServerHarness::Options();
    options.tokens.server_name = std::string(kName);
    for (const std::string& kid : kids) {
      options.tokens.keys.push_back(
          {kid, stun::TokenKey::Algorithm::kA128Gcm, KeyOf(kid)});
    }
    return options;
  }
  static std::string KeyOf(absl::string_view kid) {
    return std::string(16, kid[0]);
  }
  static Client::Options Asking() {
    Client::Options options = Options();
    options.tokens = Client::Options::Tokens::kAsk;
    return options;
  }
  ClientTcpTokens() : ClientTcp(WithKeys({"north"}), Asking()) {}

  ClientToken Token(const std::string& kid) {
    stun::TokenContent content;
    content.mac_key = absl::StrCat("key of twenty bytes ", kid);
    content.timestamp = harness_.now();
    content.lifetime = absl::Hours(1);
    return {.kid = kid,
            .token = stun::TokenKey::Make(stun::TokenKey::Algorithm::kA128Gcm,
                                          AsBytes(KeyOf(kid)))
                         ->Seal(content, kName, stun::TokenKey::Nonce{1}),
            .mac_key = content.mac_key};
  }
  void AllocateByToken() {
    ASSERT_OK(client_.UseToken(harness_.now(), Token("north")));
    Allocate();
  }
};

// A token may be over by the server's clock, or its key withdrawn.
TEST_F(ClientTcpTokens, AConnectWaitsForATokenThatIsTaken) {
  AllocateByToken();
  harness_.SetOptions(WithKeys({"south"}));
  ASSERT_OK(connections().Connect(harness_.now(), kTestPeer));
  Run();
  EXPECT_EQ(Take<Client::TokenWanted>().why, ClientTokenWanted::Why::kRefused);
  EXPECT_EQ(connections().size(), 1u);
  Advance(absl::Seconds(29));
  EXPECT_FALSE(client_.PollEvent());
  ASSERT_OK(client_.UseToken(harness_.now(), Token("south")));
  Run();
  harness_.server().connections().Connected(
      harness_.now(), TakeFromServer<Server::ConnectPeer>().connection);
  Hear(kControl);
  EXPECT_EQ(Take<Client::PeerConnected>().peer, kTestPeer);
}

TEST_F(ClientTcpTokens, AStreamIsBoundOnceThereIsATokenThatIsTaken) {
  AllocateByToken();
  const auto connected = Connected(kTestPeer);
  harness_.SetOptions(WithKeys({"south"}));
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  Run();
  EXPECT_EQ(Take<Client::TokenWanted>().why, ClientTokenWanted::Why::kRefused);
  ASSERT_OK(client_.UseToken(harness_.now(), Token("south")));
  Run();
  EXPECT_EQ(Take<Client::PeerJoined>().id, connected.id);
  EXPECT_EQ(joined_, 1);
}

TEST_F(ClientTcpTokens, NobodyWaitsForATokenForEver) {
  AllocateByToken();
  const auto connected = Connected(kTestPeer);
  harness_.SetOptions(WithKeys({"south"}));
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  ASSERT_OK(connections().Connect(harness_.now(), kOther));
  Run();
  Take<Client::TokenWanted>();
  Advance(absl::Seconds(30));
  const auto failed = Take<Client::PeerFailed>();
  EXPECT_EQ(failed.id, connected.id);
  EXPECT_EQ(failed.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(failed.error, stun::Error::kUnauthenticated);
  // A Connect has as long as any answer on a stream.
  Advance(absl::Seconds(10));
  EXPECT_EQ(Take<Client::PeerFailed>().peer, kOther);
  EXPECT_EQ(connections().size(), 0u);
  EXPECT_EQ(stats().peers_failed, 2u);
}

// A token that is refused again and again ends it: three challenges.
TEST_F(ClientTcpTokens, ATokenThatIsNeverTakenEndsAConnect) {
  AllocateByToken();
  harness_.SetOptions(WithKeys({"west"}));
  ASSERT_OK(connections().Connect(harness_.now(), kTestPeer));
  for (int i = 0; i < 3; ++i) {
    Run();
    Take<Client::TokenWanted>();
    ASSERT_OK(client_.UseToken(harness_.now(), Token("south")));
  }
  Run();
  // The allocation's own refresh began behind it.
  Take<Client::TokenWanted>();
  EXPECT_EQ(Take<Client::PeerFailed>().error, stun::Error::kUnauthenticated);
}

// The server knows us by the key of before until the refresh has come, which
// goes by another stream.
TEST_F(ClientTcpTokens, AStreamThatOvertakesTheRefreshIsBoundBehindIt) {
  AllocateByToken();
  const auto connected = Connected(kTestPeer);
  harness_.SetOptions(WithKeys({"north", "south"}));
  ASSERT_OK(client_.UseToken(harness_.now(), Token("south")));
  const auto late = client_.PollTransmit(harness_.now(), absl::MakeSpan(out_));
  ASSERT_TRUE(late);
  EXPECT_EQ(late->path.local, kControl);
  const std::vector<uint8_t> refresh(late->bytes.begin(), late->bytes.end());
  ASSERT_OK(connections().Bind(harness_.now(), connected.id, kData));
  Run();
  EXPECT_FALSE(client_.PollEvent());
  EXPECT_EQ(joined_, 0);
  harness_.server().FromClient(harness_.now(), At(kControl).path, refresh,
                               refresh.size());
  Hear(kControl);
  Run();
  EXPECT_EQ(Take<Client::PeerJoined>().id, connected.id);
  EXPECT_EQ(joined_, 1);
}

}  // namespace
}  // namespace kyuu::turn
