// What an application sees of two PeerConnections on real sockets: messages,
// events and their order, errors.

#include "peer/peer_connection.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "net/tcp.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

class PeerConnectionTest : public testing::Test {
 protected:
  void Create(Configuration configuration = {}, Side::Hook at_a = {},
              Side::Hook at_b = {}) {
    a_.Create(configuration, b_, std::move(at_a));
    b_.Create(configuration, a_, std::move(at_b));
  }
  void CreateConnected() {
    Create();
    pair_.Connect();
    ASSERT_TRUE(a_.board().Wait("open"));
    ASSERT_TRUE(b_.board().Wait("open"));
  }

  Pair pair_;
  Side& a_ = pair_.a;
  Side& b_ = pair_.b;
};

TEST_F(PeerConnectionTest, CarriesTextBinaryAndEmptyMessages) {
  CreateConnected();
  const std::vector<uint8_t> binary = {'b', 'i', 'n'};
  EXPECT_OK(a_.channel()->Send("hello"));
  EXPECT_OK(a_.channel()->Send(absl::MakeConstSpan(binary)));
  EXPECT_OK(a_.channel()->Send(""));
  EXPECT_OK(a_.channel()->Send(std::vector<uint8_t>()));
  EXPECT_OK(b_.channel()->Send("back"));
  ASSERT_TRUE(b_.board().Wait("message binary:"));
  std::vector<std::string> messages;
  for (const std::string& line : b_.board().lines()) {
    if (absl::StartsWith(line, "message")) messages.push_back(line);
  }
  EXPECT_EQ(messages, (std::vector<std::string>{
                          "message text:hello", "message binary:bin",
                          "message text:", "message binary:"}));
  EXPECT_TRUE(a_.board().Wait("message text:back"));
}

// Of all ways they know that of opening TCP together only.
TEST_F(PeerConnectionTest, MeetsWhoOpensSimultaneously) {
  a_.TellOnly(" tcptype so");
  b_.TellOnly(" tcptype so");
  Create({.ice_tcp = TcpUse::kSimultaneous});
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  ASSERT_TRUE(b_.board().Wait("open"));
  EXPECT_OK(a_.channel()->Send("hello"));
  EXPECT_TRUE(b_.board().Wait("message text:hello"));
}

TEST_F(PeerConnectionTest, TellsEventsInTheOrderOfW3c) {
  Create();
  EXPECT_EQ(a_->signaling_state(), SignalingState::kStable);
  EXPECT_EQ(a_->ice_gathering_state(), GatheringState::kNew);
  EXPECT_EQ(a_->ice_connection_state(), ice::AgentState::kNew);
  EXPECT_EQ(a_->connection_state(), ConnectionState::kNew);
  EXPECT_EQ(a_->local_description(), std::nullopt);
  EXPECT_EQ(a_->remote_description(), std::nullopt);
  pair_.Connect();
  EXPECT_EQ(a_->signaling_state(), SignalingState::kStable);
  for (Side* side : {&a_, &b_}) {
    ASSERT_TRUE(side->board().Wait("open"));
    ASSERT_TRUE(side->board().Wait("gathering complete"));
  }
  EXPECT_EQ(a_->ice_gathering_state(), GatheringState::kComplete);
  EXPECT_EQ(a_->connection_state(), ConnectionState::kConnected);

  const auto ordered = [](Side& side, std::vector<std::string> names) {
    for (size_t i = 1; i < names.size(); ++i) {
      EXPECT_LT(side.board().At(names[i - 1]), side.board().At(names[i]))
          << names[i - 1] << ", " << names[i];
    }
  };
  ordered(a_, {"signaling have-local-offer", "signaling stable"});
  ordered(b_, {"signaling have-remote-offer", "signaling stable"});
  for (Side* side : {&a_, &b_}) {
    ordered(*side, {"gathering gathering", "candidate", "candidate end",
                    "gathering complete"});
    ordered(*side,
            {"ice checking", "ice connected", "connection connected", "open"});
    ordered(*side, {"connection connecting", "path", "connection connected"});
    EXPECT_EQ(side->board().Count("open"), 1u);
    EXPECT_EQ(side->board().Count("connection connected"), 1u);
  }
  ordered(b_, {"datachannel chat", "open"});
}

TEST_F(PeerConnectionTest, TellsAboutItsChannels) {
  Create();
  auto channel = a_->CreateDataChannel({.label = "l",
                                        .protocol = "p",
                                        .ordering = sctp::Ordering::kUnordered,
                                        .max_retransmits = 3},
                                       a_.ChannelHandlers());
  ASSERT_OK(channel);
  EXPECT_EQ((*channel)->ready_state(), DataChannelState::kConnecting);
  EXPECT_EQ((*channel)->id(), std::nullopt);
  pair_.Connect();
  ASSERT_TRUE(b_.board().Wait("datachannel l"));
  ASSERT_TRUE(b_.board().Wait("datachannel chat"));
  ASSERT_TRUE(a_.board().Wait("open", 2));
  EXPECT_EQ((*channel)->ready_state(), DataChannelState::kOpen);
  EXPECT_TRUE((*channel)->id().has_value());
  EXPECT_EQ((*channel)->label(), "l");
  EXPECT_EQ((*channel)->protocol(), "p");
  EXPECT_EQ((*channel)->config().max_retransmits, 3);
}

TEST_F(PeerConnectionTest, JoinsNegotiatedChannels) {
  Create();
  const ChannelConfig config{.label = "n", .negotiated_id = sctp::StreamId{7}};
  auto at_a = a_->CreateDataChannel(config, a_.ChannelHandlers());
  auto at_b = b_->CreateDataChannel(config, b_.ChannelHandlers());
  ASSERT_OK(at_a);
  ASSERT_OK(at_b);
  EXPECT_EQ((*at_a)->id(), 7);
  pair_.Negotiate();
  ASSERT_TRUE(a_.board().Wait("open"));
  EXPECT_OK((*at_a)->Send("x"));
  EXPECT_TRUE(b_.board().Wait("message text:x"));
  EXPECT_EQ(b_.board().Count("datachannel n"), 0u);
}

TEST_F(PeerConnectionTest, CountsExactlyWhatWaits) {
  std::vector<size_t> amounts;
  Create({}, [&](const std::string& name) {
    if (name != "open") return;
    // The loop's thread is here, so nothing leaves meanwhile.
    DataChannel& channel = *a_.channel();
    channel.SetBufferedAmountLowThreshold(1000);
    EXPECT_EQ(channel.buffered_amount_low_threshold(), 1000u);
    for (const size_t bytes : {0u, 10u, 0u, 5000u, 20000u}) {
      EXPECT_OK(channel.Send(std::string(bytes, 'x')));
      amounts.push_back(channel.buffered_amount());
    }
    a_.board().Note("counted");
  });
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("counted"));
  ASSERT_TRUE(a_.board().Wait("low"));
  EXPECT_LE(a_.channel()->buffered_amount(), 1000u);
  EXPECT_EQ(amounts, (std::vector<size_t>{0, 10, 10, 5010, 25010}));
  ASSERT_TRUE(b_.board().Wait("message 20000 bytes"));
  EXPECT_EQ(a_.channel()->buffered_amount(), 0u);
  EXPECT_EQ(a_.board().Count("low"), 1u);
}

TEST_F(PeerConnectionTest, HoldsTheSenderBackWithoutLosingAnything) {
  Configuration configuration;
  configuration.engine.channels.association.send_buffer_bytes = 64 << 10;
  Create(std::move(configuration));
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  constexpr size_t kPiece = 16 << 10, kPieces = 64;  // 1 MiB.
  size_t refused = 0;
  for (size_t i = 0; i < kPieces;) {
    std::vector<uint8_t> piece(kPiece, static_cast<uint8_t>(i));
    const absl::Status status = a_.channel()->Send(std::move(piece));
    if (status.ok()) {
      ++i;
      continue;
    }
    ASSERT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(piece.size(), kPiece);  // NOLINT: moved from only on success.
    ASSERT_TRUE(a_.board().Wait("writable", ++refused));
  }
  EXPECT_GT(refused, 0u);
  EXPECT_TRUE(b_.board().Wait("message 16384 bytes", kPieces));
  EXPECT_EQ(a_->GetStats().channels.bytes_sent, kPiece * kPieces);
}

TEST_F(PeerConnectionTest, EitherSideClosesAChannelAfterItsLastMessage) {
  for (const bool by_a : {true, false}) {
    Pair pair;
    pair.a.Create({}, pair.b);
    pair.b.Create({}, pair.a);
    pair.Connect();
    ASSERT_TRUE(pair.a.board().Wait("open"));
    ASSERT_TRUE(pair.b.board().Wait("open"));
    Side& closer = by_a ? pair.a : pair.b;
    Side& other = by_a ? pair.b : pair.a;
    EXPECT_OK(closer.channel()->Send("last"));
    closer.channel()->Close();
    closer.channel()->Close();
    EXPECT_THAT(closer.channel()->Send("too late"),
                StatusIs(absl::StatusCode::kFailedPrecondition));
    ASSERT_TRUE(other.board().Wait("close OK"));
    ASSERT_TRUE(closer.board().Wait("close OK"));
    EXPECT_LT(other.board().At("message text:last"),
              other.board().At("close OK"));
    EXPECT_EQ(closer.channel()->ready_state(), DataChannelState::kClosed);
    EXPECT_EQ(other.channel()->ready_state(), DataChannelState::kClosed);
    EXPECT_EQ(closer.get()->connection_state(), ConnectionState::kConnected);
  }
}

TEST_F(PeerConnectionTest, TheCloserHearsNothingAndItsPeerAll) {
  CreateConnected();
  a_->Close();
  const size_t notes = a_.board().lines().size();
  EXPECT_EQ(a_->connection_state(), ConnectionState::kClosed);
  EXPECT_EQ(a_->ice_connection_state(), ice::AgentState::kClosed);
  EXPECT_EQ(a_->signaling_state(), SignalingState::kClosed);
  EXPECT_EQ(a_.channel()->ready_state(), DataChannelState::kClosed);
  ASSERT_TRUE(b_.board().Wait("closed ABORTED"));
  EXPECT_LT(b_.board().At("close ABORTED"), b_.board().At("closed ABORTED"));
  EXPECT_EQ(b_.board().lines().back(), "closed ABORTED");
  EXPECT_EQ(b_->connection_state(), ConnectionState::kClosed);
  EXPECT_EQ(b_.channel()->ready_state(), DataChannelState::kClosed);
  EXPECT_EQ(a_.board().lines().size(), notes);
}

TEST_F(PeerConnectionTest, RefusesWhatIsWrongAndGoesOn) {
  Create();
  EXPECT_THAT(a_->CreateAnswer(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(a_->SetLocalDescription({SdpType::kAnswer, "v=0\r\n"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(a_->SetRemoteDescription({SdpType::kOffer, "nonsense"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(a_->Rollback(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(a_->AddIceCandidate({.candidate = "candidate:nonsense"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(a_->CreateDataChannel({.max_retransmits = 1,
                                     .max_packet_life_time = absl::Seconds(1)}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  auto early = a_->CreateDataChannel({.label = "early"});
  ASSERT_OK(early);
  EXPECT_THAT((*early)->Send("x"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  EXPECT_THAT(a_.channel()->Send(std::string(300 << 10, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(a_.channel()->Send("fine"));
  EXPECT_TRUE(b_.board().Wait("message text:fine"));
}

TEST_F(PeerConnectionTest, RefusesEverythingOnceClosed) {
  CreateConnected();
  for (int i = 0; i < 2; ++i) {
    a_->Close();
    constexpr auto kClosed = absl::StatusCode::kFailedPrecondition;
    EXPECT_THAT(a_->CreateOffer(), StatusIs(kClosed));
    EXPECT_THAT(a_->CreateAnswer(), StatusIs(kClosed));
    EXPECT_THAT(a_->SetLocalDescription(), StatusIs(kClosed));
    EXPECT_THAT(a_->SetRemoteDescription({SdpType::kOffer, ""}),
                StatusIs(kClosed));
    EXPECT_THAT(a_->AddIceCandidate({}), StatusIs(kClosed));
    EXPECT_THAT(a_->CreateDataChannel({}), StatusIs(kClosed));
    EXPECT_THAT(a_.channel()->Send("x"), StatusIs(kClosed));
    a_->RestartIce();
    a_.channel()->Close();
    a_.channel()->SetHandlers({});
    a_.channel()->SetBufferedAmountLowThreshold(5);
  }
}

TEST_F(PeerConnectionTest, ChannelsMayOutliveTheirConnection) {
  CreateConnected();
  const std::shared_ptr<DataChannel> channel = a_.channel();
  a_.Drop();
  EXPECT_EQ(channel->ready_state(), DataChannelState::kClosed);
  EXPECT_EQ(channel->label(), "chat");
  EXPECT_EQ(channel->buffered_amount(), 0u);
  EXPECT_THAT(channel->Send("x"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  channel->SetHandlers({});
  channel->Close();
}

TEST_F(PeerConnectionTest, SaysWhenTheMachineHasNoAddress) {
  EXPECT_THAT(PeerConnection::Create({.sockets_max = 0}, {}),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(PeerConnectionTest, SaysWhenAServerGivesNothing) {
  // Nobody is at the discard port.
  Configuration configuration{
      .stun_servers = {{IpAddress::V4(127, 0, 0, 1), 9}}};
  configuration.engine.gatherer.server_deadline = absl::Milliseconds(50);
  Create(std::move(configuration));
  pair_.Connect();
  EXPECT_TRUE(a_.board().Wait("candidateerror"));
  EXPECT_TRUE(a_.board().Wait("gathering complete"));
  EXPECT_TRUE(a_.board().Wait("open"));
}

TEST_F(PeerConnectionTest, AsksForNegotiationOnceForEachNeed) {
  Side::Hook negotiate = [&](const std::string& name) {
    if (name == "negotiationneeded") pair_.Negotiate();
  };
  Create({}, negotiate);
  for (const char* label : {"one", "two"}) {
    ASSERT_OK(a_->CreateDataChannel({.label = label}, a_.ChannelHandlers()));
  }
  ASSERT_TRUE(a_.board().Wait("open", 2));
  ASSERT_OK(a_->CreateDataChannel({.label = "three"}, a_.ChannelHandlers()));
  ASSERT_TRUE(a_.board().Wait("open", 3));
  EXPECT_EQ(a_.board().Count("negotiationneeded"), 1u);
  EXPECT_EQ(b_.board().Count("negotiationneeded"), 0u);
}

// An exchange without data leaves the need for it.
TEST_F(PeerConnectionTest, AsksAgainAfterAnExchangeWithoutData) {
  Create();
  ASSERT_OK(a_->CreateDataChannel({.label = "one"}));
  ASSERT_TRUE(a_.board().Wait("negotiationneeded", 1));
  ASSERT_OK(a_->SetRemoteDescription(
      {SdpType::kOffer,
       "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
       "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x\r\n"}));
  ASSERT_OK(a_->SetLocalDescription());
  EXPECT_TRUE(a_.board().Wait("negotiationneeded", 2));
  ASSERT_OK(a_->SetLocalDescription());
  const std::string offer = a_->local_description()->sdp;
  EXPECT_NE(offer.find("m=application"), std::string::npos);
  EXPECT_EQ(offer.find("m=application 0"), std::string::npos);
}

std::string Fingerprint(const SessionDescription& description) {
  const size_t at = description.sdp.find("a=fingerprint:");
  return description.sdp.substr(at, description.sdp.find('\r', at) - at);
}

TEST_F(PeerConnectionTest, SharesOneCertificateUnlessGivenAnother) {
  Create();
  ASSERT_OK(a_->CreateDataChannel({}));
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_OK(b_->CreateDataChannel({}));
  ASSERT_OK(b_->SetLocalDescription());
  EXPECT_EQ(Fingerprint(*a_->local_description()),
            Fingerprint(*b_->local_description()));
}

// As in W3C: what could not be sent any more is still told.
TEST_F(PeerConnectionTest, BufferedAmountOutlivesTheConnection) {
  Create();
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(a_.channel()->Send(std::vector<uint8_t>(100'000)));
  }
  const size_t before = a_.channel()->buffered_amount();
  a_->Close();
  EXPECT_GT(a_.channel()->buffered_amount(), 0u);
  EXPECT_LE(a_.channel()->buffered_amount(), before);
}

TEST_F(PeerConnectionTest, AChannelsStatisticsOutliveIt) {
  Create();
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  EXPECT_OK(a_.channel()->Send("12345"));
  ASSERT_TRUE(b_.board().Wait("message text:12345"));
  const ChannelStats sent{.messages_sent = 1, .bytes_sent = 5};
  const ChannelStats received{.messages_received = 1, .bytes_received = 5};
  EXPECT_EQ(a_.channel()->stats(), sent);
  EXPECT_EQ(b_.channel()->stats(), received);
  a_->Close();
  EXPECT_EQ(a_.channel()->stats(), sent);
  ASSERT_TRUE(b_.board().Wait("close ABORTED"));
  EXPECT_EQ(b_.channel()->stats(), received);
}

TEST_F(PeerConnectionTest, BufferedAmountOutlivesThePeersHangup) {
  Create();
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(a_.channel()->Send(std::vector<uint8_t>(100'000)));
  }
  b_->Close();
  ASSERT_TRUE(a_.board().Wait("closed ABORTED"));
  EXPECT_EQ(a_.channel()->ready_state(), DataChannelState::kClosed);
  EXPECT_GT(a_.channel()->buffered_amount(), 0u);
}

// W3C's order where the other side closes: closing, then close.
TEST_F(PeerConnectionTest, TheOtherSidesCloseIsClosingAndThenClose) {
  std::optional<DataChannelState> state;
  Create({}, {}, [&](const std::string& name) {
    if (name == "closing") state = b_.channel()->ready_state();
  });
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  ASSERT_TRUE(b_.board().Wait("open"));
  ASSERT_OK(a_.channel()->Send("last"));
  a_.channel()->Close();
  EXPECT_EQ(a_.channel()->ready_state(), DataChannelState::kClosing);
  ASSERT_TRUE(b_.board().Wait("close OK"));
  ASSERT_TRUE(a_.board().Wait("close OK"));
  EXPECT_LT(b_.board().At("message text:last"), b_.board().At("closing"));
  EXPECT_LT(b_.board().At("closing"), b_.board().At("close OK"));
  EXPECT_EQ(state, DataChannelState::kClosing);
  EXPECT_EQ(a_.board().Count("closing"), 0u) << "it closed the channel itself";
}

TEST_F(PeerConnectionTest, ShutdownDeliversEverythingAndEndsBothSides) {
  Create();
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  ASSERT_TRUE(b_.board().Wait("open"));
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(a_.channel()->Send(std::vector<uint8_t>(100'000)));
  }
  a_->Shutdown();
  EXPECT_EQ(a_.channel()->ready_state(), DataChannelState::kClosing);
  EXPECT_THAT(a_.channel()->Send("late"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  a_->Shutdown();  // Again does nothing.
  for (Side* side : {&a_, &b_}) {
    ASSERT_TRUE(side->board().Wait("closed OK"));
    EXPECT_EQ(side->board().Count("close OK"), 1u);
  }
  EXPECT_EQ(b_.board().Count("message 100000 bytes"), 100u);
  EXPECT_EQ(a_.channel()->buffered_amount(), 0u);
  a_->Shutdown();  // Nor after the end.
}

std::string Ufrag(const SessionDescription& description) {
  const size_t at = description.sdp.find("a=ice-ufrag:");
  return description.sdp.substr(at, description.sdp.find('\r', at) - at);
}

TEST_F(PeerConnectionTest, RestartsIceUnderAnOpenChannel) {
  Create({}, [&](const std::string& name) {
    if (name == "negotiationneeded") pair_.Negotiate();
  });
  auto channel = a_->CreateDataChannel({.label = "c"}, a_.ChannelHandlers());
  ASSERT_OK(channel);
  ASSERT_TRUE(b_.board().Wait("open"));
  const std::string before_a = Ufrag(*a_->local_description());
  const std::string before_b = Ufrag(*b_->local_description());
  a_->RestartIce();
  ASSERT_TRUE(a_.board().Wait("negotiationneeded", 2));
  ASSERT_TRUE(a_.board().Wait("signaling stable", 2));
  EXPECT_NE(Ufrag(*a_->local_description()), before_a);
  EXPECT_NE(Ufrag(*b_->local_description()), before_b);
  EXPECT_EQ(Ufrag(*a_->local_description()), Ufrag(*b_->remote_description()));
  EXPECT_OK((*channel)->Send("still here"));
  EXPECT_TRUE(b_.board().Wait("message text:still here"));
  EXPECT_EQ(a_.board().Count("negotiationneeded"), 2u);
}

TEST_F(PeerConnectionTest, TakesAnOfferBack) {
  Create();
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  const SessionDescription stable = *a_->local_description();
  EXPECT_EQ(stable.type, SdpType::kOffer);
  ASSERT_OK(b_->SetLocalDescription());
  EXPECT_EQ(b_->signaling_state(), SignalingState::kHaveLocalOffer);
  EXPECT_EQ(b_->local_description()->type, SdpType::kOffer);
  ASSERT_OK(b_->Rollback());
  EXPECT_EQ(b_->signaling_state(), SignalingState::kStable);
  EXPECT_EQ(b_->local_description()->type, SdpType::kAnswer);
  EXPECT_EQ(b_->remote_description()->type, SdpType::kOffer);
  // Glare: the polite side's offer gives way.
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_OK(b_->SetLocalDescription());
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  ASSERT_OK(b_->SetLocalDescription());
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  EXPECT_EQ(b_->local_description()->type, SdpType::kAnswer);
  EXPECT_OK(a_.channel()->Send("x"));
  EXPECT_TRUE(b_.board().Wait("message text:x"));
}

TEST_F(PeerConnectionTest, AWholeDescriptionNeedsNoCandidates) {
  Create();
  ASSERT_OK(a_->CreateDataChannel({.label = "chat"}, a_.ChannelHandlers()));
  const auto offer = a_->CreateOffer();
  ASSERT_OK(offer);
  ASSERT_OK(a_->SetLocalDescription(*offer));
  ASSERT_TRUE(a_.board().Wait("gathering complete"));
  const std::string whole = a_->local_description()->sdp;
  EXPECT_NE(whole.find("a=candidate:"), std::string::npos);
  EXPECT_NE(whole.find("a=end-of-candidates"), std::string::npos);
  ASSERT_OK(b_->SetRemoteDescription({SdpType::kOffer, whole}));
  const auto answer = b_->CreateAnswer();
  ASSERT_OK(answer);
  ASSERT_OK(b_->SetLocalDescription(*answer));
  ASSERT_OK(a_->SetRemoteDescription(*answer));
  EXPECT_TRUE(a_.board().Wait("open"));
}

// As where UDP is blocked. What the server would answer is ice's affair.
TEST_F(PeerConnectionTest, ATurnServerOverTcpIsAskedOnItsStream) {
  auto listener =
      net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}});
  ASSERT_OK(listener);
  auto connection =
      PeerConnection::Create({.turn_servers = {{listener->local(), "u", "p",
                                                ice::RelayProtocol::kTcp}}},
                             {});
  ASSERT_OK(connection);
  ASSERT_OK((*connection)->CreateDataChannel({.label = "x"}));
  ASSERT_OK((*connection)->SetLocalDescription());
  net::TestLoop loop;
  std::optional<net::TcpStream> accepted;
  net::Watch watch(*loop, listener->fd(), net::Interest::kRead,
                   [&](net::Readiness) {
                     accepted = listener->Accept();
                     loop->Stop();
                   });
  loop.RunUntil([&] { return accepted.has_value(); });
  net::Endpoint<net::TcpStream> server(*loop, *std::move(accepted));
  loop.RunUntil([&] { return server.received.size() >= 28; });
  // An Allocate request (RFC 8656 section 18), for UDP.
  EXPECT_EQ(server.received.substr(0, 2), std::string("\0\3", 2));
  (*connection)->Close();
  loop.RunUntil([&] { return server.over; });
}

}  // namespace
}  // namespace kyuu::peer
