// Many connections on one port, on real sockets.

#include "peer/shared_port.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "dtls/certificate.h"
#include "net/tcp.h"
#include "net/testing/loop.h"
#include "net/udp_socket.h"
#include "peer/loop_connection.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace kyuu::peer {
namespace {

class SharedPortTest : public ::testing::Test {
 protected:
  // A connection on the port, a caller with sockets of its own, and what they
  // were sent.
  struct Call {
    std::unique_ptr<LoopConnection> at_port, caller;
    std::optional<ChannelId> channel_at_port, channel_of_caller;
    std::vector<std::string> heard_at_port, heard_by_caller;
    std::optional<SelectedPathChanged> path;  // At the port.
    std::vector<std::string> candidates;      // Of the port.
    bool closed = false;                      // At the port.
  };

  SharedPortTest() : certificate_(*dtls::Certificate::Generate(absl::Now())) {}

  void Open(SharedPortOptions options = {.tcp_port = 0}) {
    options.loopback = LoopbackUse::kAlways;
    auto port = SharedPort::Open(*loop_, options);
    ASSERT_OK(port);
    port_ = *std::move(port);
  }
  static bool IsOf(const std::string& candidate, Transport transport) {
    return absl::StrContains(candidate, " udp ") ==
           (transport == Transport::kUdp);
  }
  void Pass(LoopConnection* to, const CandidateFound& found) {
    if (to == nullptr || found.candidate.empty() ||
        !IsOf(found.candidate, transport_)) {
      return;
    }
    EXPECT_OK(to->engine().AddIceCandidate(net::Loop::Now(), found.candidate,
                                           found.mid, found.mline_index));
    to->Flush();
  }
  static std::string Text(const sctp::ChannelMessage& message) {
    return std::string(message.payload.begin(), message.payload.end());
  }
  void OnPortEvent(Call& call, ConnectionEvent& event) {
    if (auto* found = std::get_if<CandidateFound>(&event)) {
      if (!found->candidate.empty()) {
        call.candidates.push_back(found->candidate);
      }
      Pass(call.caller.get(), *found);
    } else if (auto* incoming = std::get_if<sctp::ChannelIncoming>(&event)) {
      call.channel_at_port = incoming->channel;
    } else if (auto* message = std::get_if<sctp::ChannelMessage>(&event)) {
      call.heard_at_port.push_back(Text(*message));
      EXPECT_OK(call.at_port->engine().Send(
          net::Loop::Now(), message->channel, message->type,
          std::vector<uint8_t>(message->payload)));
    } else if (auto* path = std::get_if<SelectedPathChanged>(&event)) {
      call.path = *path;
    } else if (std::holds_alternative<Closed>(event)) {
      call.closed = true;
    }
    loop_->Stop();
  }
  void OnCallerEvent(Call& call, ConnectionEvent& event) {
    if (auto* found = std::get_if<CandidateFound>(&event)) {
      Pass(call.at_port.get(), *found);
    } else if (auto* opened = std::get_if<sctp::ChannelOpened>(&event)) {
      call.channel_of_caller = opened->channel;
    } else if (auto* message = std::get_if<sctp::ChannelMessage>(&event)) {
      call.heard_by_caller.push_back(Text(*message));
    }
    loop_->Stop();
  }
  Call& Begin(bool lite = false) {
    Call& call = *calls_.emplace_back(std::make_unique<Call>());
    LoopConnectionOptions at_port{.port = port_.get()};
    at_port.connection.lite = lite;
    call.at_port = *LoopConnection::Create(
        *loop_, certificate_, at_port, random_,
        [this, &call](ConnectionEvent event) { OnPortEvent(call, event); });
    call.caller = *LoopConnection::Create(
        *loop_, certificate_,
        {.loopback = LoopbackUse::kAlways,
         .tcp =
             transport_ == Transport::kTcp ? TcpUse::kActive : TcpUse::kNone},
        random_,
        [this, &call](ConnectionEvent event) { OnCallerEvent(call, event); });
    EXPECT_OK(call.caller->engine().CreateDataChannel(net::Loop::Now(),
                                                      {.label = "x"}));
    Negotiate(call, IceRestart::kNo);
    return call;
  }
  void Negotiate(Call& call, IceRestart restart) {
    const absl::Time now = net::Loop::Now();
    Connection& a = call.caller->engine();
    Connection& b = call.at_port->engine();
    const auto offer = a.CreateOffer(restart);
    ASSERT_OK(offer);
    ASSERT_OK(a.SetLocalDescription(now, SdpType::kOffer));
    ASSERT_OK(b.SetRemoteDescription(now, SdpType::kOffer, *offer));
    const auto answer = b.CreateAnswer();
    ASSERT_OK(answer);
    ASSERT_OK(b.SetLocalDescription(now, SdpType::kAnswer));
    ASSERT_OK(a.SetRemoteDescription(now, SdpType::kAnswer, *answer));
    call.at_port->Flush();
    call.caller->Flush();
  }
  template <typename Condition>
  void AwaitAll(Condition condition) {
    loop_.RunUntil([&] {
      for (const auto& call : calls_) {
        if (!condition(*call)) return false;
      }
      return true;
    });
  }
  static bool IsOpen(const Call& call) {
    return call.channel_at_port && call.channel_of_caller;
  }
  static void Say(Call& call, const std::string& text) {
    EXPECT_OK(call.caller->engine().Send(
        net::Loop::Now(), *call.channel_of_caller, PayloadType::kText,
        std::vector<uint8_t>(text.begin(), text.end())));
    call.caller->Flush();
  }
  uint16_t udp_port() const { return port_->addresses()[0].address.port; }
  uint16_t tcp_port() const { return port_->addresses()[0].tcp_port; }

  // A connection of a stranger, who says `bytes`.
  net::TcpStream Stranger(absl::Span<const uint8_t> bytes) {
    net::TcpStream tcp = *net::TcpStream::Connect(
        {port_->addresses()[0].address.ip, tcp_port()});
    if (!bytes.empty()) {
      EXPECT_OK(tcp.Write(bytes));
    }
    return tcp;
  }
  // Whether the port has ended it.
  static bool IsOver(net::TcpStream& tcp) {
    std::array<uint8_t, 100> buffer;
    const net::ReadState state = tcp.Read(absl::MakeSpan(buffer)).state;
    EXPECT_NE(state, net::ReadState::kData);
    return state != net::ReadState::kWouldBlock;
  }
  // Runs until `done`, looking every now and then.
  template <typename Condition>
  void Await(Condition done) {
    net::Alarm look(*loop_, [this] { loop_->Stop(); });
    loop_.RunUntil([&] {
      look.Set(net::Loop::Now() + absl::Milliseconds(2));
      return done();
    });
  }
  static std::vector<uint8_t> Framed(absl::string_view username) {
    std::vector<uint8_t> bytes(300);
    stun::MessageWriter w(absl::MakeSpan(bytes).subspan(2),
                          stun::MessageClass::kRequest, stun::Method::kBinding,
                          {});
    w.Add(stun::Username{std::string(username)});
    const size_t size = w.Finish().size();
    bytes.resize(2 + size);
    bytes[0] = static_cast<uint8_t>(size >> 8);
    bytes[1] = static_cast<uint8_t>(size);
    return bytes;
  }

  net::TestLoop loop_;
  SystemRandom random_;
  dtls::Certificate certificate_;
  Transport transport_ = Transport::kUdp;
  std::unique_ptr<SharedPort> port_;
  std::vector<std::unique_ptr<Call>> calls_;
};

class SharedPortCarries : public SharedPortTest,
                          public ::testing::WithParamInterface<Transport> {};
INSTANTIATE_TEST_SUITE_P(Transports, SharedPortCarries,
                         ::testing::Values(Transport::kUdp, Transport::kTcp));

TEST_P(SharedPortCarries, ManyConnectionsAtOnce) {
  transport_ = GetParam();
  Open();
  constexpr size_t kCalls = 40;
  for (size_t i = 0; i < kCalls; ++i) Begin(/*lite=*/i % 2 == 1);
  AwaitAll(IsOpen);
  for (size_t i = 0; i < kCalls; ++i) {
    for (int k = 0; k < 5; ++k) Say(*calls_[i], absl::StrCat(i, ".", k));
  }
  AwaitAll([](const Call& call) { return call.heard_by_caller.size() == 5; });
  for (size_t i = 0; i < kCalls; ++i) {
    std::vector<std::string> own;
    own.reserve(5);
    for (int k = 0; k < 5; ++k) own.push_back(absl::StrCat(i, ".", k));
    EXPECT_EQ(calls_[i]->heard_at_port, own);
    EXPECT_EQ(calls_[i]->heard_by_caller, own);
    ASSERT_TRUE(calls_[i]->path.has_value());
    EXPECT_EQ(calls_[i]->path->path.transport, transport_);
    EXPECT_EQ(calls_[i]->path->path.local.port,
              transport_ == Transport::kUdp ? udp_port() : tcp_port());
    // All that it tells lies on the two ports; an active candidate has none.
    for (const std::string& candidate : calls_[i]->candidates) {
      EXPECT_TRUE(
          absl::StrContains(candidate, absl::StrCat(" ", udp_port(), " typ")) ||
          absl::StrContains(candidate, absl::StrCat(" ", tcp_port(), " typ")) ||
          absl::StrContains(candidate, " 9 typ"))
          << candidate;
    }
  }
  EXPECT_EQ(port_->mux().agents(), kCalls);
  if (transport_ == Transport::kTcp) {
    EXPECT_GE(port_->stranger_stats().introduced, kCalls);
    EXPECT_EQ(port_->drop_unknown_stream(), 0u);
  }
  // Whoever ends leaves nothing.
  calls_.clear();
  EXPECT_EQ(port_->mux().agents(), 0u);
  EXPECT_EQ(port_->mux().paths(), 0u);
}

// A long message is more than a train, and more than the socket takes at once.
TEST_P(SharedPortCarries, MuchDataOfSeveral) {
  transport_ = GetParam();
  Open();
  for (int i = 0; i < 4; ++i) Begin();
  AwaitAll(IsOpen);
  for (size_t i = 0; i < calls_.size(); ++i) {
    for (int k = 0; k < 20; ++k) {
      Say(*calls_[i], std::string(200'000, static_cast<char>('a' + i)));
    }
  }
  AwaitAll([](const Call& call) { return call.heard_by_caller.size() == 20; });
  for (size_t i = 0; i < calls_.size(); ++i) {
    for (const std::string& text : calls_[i]->heard_by_caller) {
      EXPECT_EQ(text, std::string(200'000, static_cast<char>('a' + i)));
    }
  }
}

TEST_P(SharedPortCarries, RestartsAndEnds) {
  transport_ = GetParam();
  Open();
  for (int i = 0; i < 3; ++i) Begin();
  AwaitAll(IsOpen);
  for (const auto& call : calls_) {
    const std::string before = call->at_port->engine().local_ufrag();
    Negotiate(*call, IceRestart::kYes);
    EXPECT_NE(call->at_port->engine().local_ufrag(), before);
    Say(*call, "after");
  }
  AwaitAll([](const Call& call) { return call.heard_by_caller.size() == 1; });
  AwaitAll([](const Call& call) {
    return call.at_port->engine().stats().ice_state ==
           ice::AgentState::kCompleted;
  });
  EXPECT_EQ(port_->mux().stats().ufrag_collisions, 0u);
  for (const auto& call : calls_) {
    call->caller->engine().Close(net::Loop::Now());
    call->caller->Flush();
  }
  AwaitAll([](const Call& call) { return call.closed; });
}

TEST_F(SharedPortTest, AHandlerMayDestroyItsConnectionAndOthers) {
  Open();
  for (int i = 0; i < 6; ++i) Begin();
  AwaitAll(IsOpen);
  // Whoever hears something first ends all.
  std::unique_ptr<LoopConnection> victim = std::move(calls_[5]->at_port);
  LoopConnectionOptions options{.port = port_.get()};
  std::unique_ptr<LoopConnection> killer;
  killer = *LoopConnection::Create(*loop_, certificate_, options, random_,
                                   [&](ConnectionEvent) {
                                     victim.reset();
                                     for (const auto& call : calls_)
                                       call->at_port.reset();
                                     killer.reset();
                                     loop_->Stop();
                                   });
  ASSERT_OK(killer->engine().CreateDataChannel(net::Loop::Now(), {}));
  for (int i = 0; i < 5; ++i) Say(*calls_[i], "on its way");
  ASSERT_OK(killer->engine().CreateOffer());
  ASSERT_OK(
      killer->engine().SetLocalDescription(net::Loop::Now(), SdpType::kOffer));
  killer->Flush();
  EXPECT_EQ(killer, nullptr);
  Await([&] { return port_->mux().stats().drop_unknown_path > 0; });
  EXPECT_EQ(port_->mux().agents(), 0u);
}

TEST_F(SharedPortTest, SaysWhyItCannotBeOpened) {
  Open();
  const SharedPortOptions udp{.port = udp_port(),
                              .loopback = LoopbackUse::kAlways};
  EXPECT_THAT(SharedPort::Open(*loop_, udp),
              StatusIs(absl::StatusCode::kAlreadyExists));
  const SharedPortOptions tcp{.tcp_port = tcp_port(),
                              .loopback = LoopbackUse::kAlways};
  EXPECT_THAT(SharedPort::Open(*loop_, tcp),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(SharedPort::Open(*loop_, {.addresses_max = 0}),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(
      LoopConnection::Create(*loop_, certificate_,
                             {.hide_addresses = true, .port = port_.get()},
                             random_, [](ConnectionEvent) {}),
      StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SharedPortTest, HasRoomForSoManyAndNoMore) {
  Open({.mux = {.agents_max = 2}});
  Begin();
  Begin();
  const auto create = [&] {
    return LoopConnection::Create(*loop_, certificate_, {.port = port_.get()},
                                  random_, [](ConnectionEvent) {});
  };
  EXPECT_THAT(create(), StatusIs(absl::StatusCode::kResourceExhausted));
  calls_.pop_back();
  EXPECT_OK(create());
}

// S10 for TCP: strangers are cut without a word.
TEST_F(SharedPortTest, CutsStreamsThatNameNobody) {
  Open();
  Call& call = Begin();
  const std::string ufrag = call.at_port->engine().local_ufrag();
  const std::vector<uint8_t> http{'G', 'E', 'T', ' ', '/', ' ', 'H', 'T'};
  const std::vector<uint8_t> tiny{0, 1, 0};
  std::vector<uint8_t> no_stun(30, 0x16);
  no_stun[0] = 0;
  no_stun[1] = 28;
  std::vector<net::TcpStream> strangers;
  strangers.push_back(Stranger(Framed("nobody12:x")));
  strangers.push_back(Stranger(Framed("")));
  strangers.push_back(Stranger(http));
  strangers.push_back(Stranger(tiny));
  strangers.push_back(Stranger(no_stun));
  for (net::TcpStream& tcp : strangers) Await([&] { return IsOver(tcp); });
  EXPECT_EQ(port_->drop_unknown_stream(), 2u);
  EXPECT_EQ(port_->stranger_stats().drop_malformed, 3u);
  // One that names a ufrag that is there gets to its agent, which lets it wait
  // for a check that is authentic.
  net::TcpStream known = Stranger(Framed(ufrag + ":x"));
  Await([&] { return port_->stranger_stats().introduced == 3; });
  Await(
      [&] { return call.at_port->engine().stats().ice.streams_accepted == 1; });
  EXPECT_FALSE(IsOver(known));
  EXPECT_EQ(call.at_port->engine().stats().ice.drop_no_integrity, 1u);
}

TEST_F(SharedPortTest, ReadsTheFirstPacketInPieces) {
  Open();
  const std::vector<uint8_t> check = Framed("nobody12:x");
  net::TcpStream tcp = Stranger({});
  for (const uint8_t byte : check) {
    EXPECT_OK(tcp.Write(absl::MakeConstSpan(&byte, 1)));
    EXPECT_EQ(port_->drop_unknown_stream(), 0u);
    net::Alarm turn(*loop_, [this] { loop_->Stop(); });
    turn.Set(absl::InfinitePast());
    loop_->Run();
  }
  Await([&] { return IsOver(tcp); });
  EXPECT_EQ(port_->drop_unknown_stream(), 1u);
}

TEST_F(SharedPortTest, BoundsStreamsThatSayNothing) {
  Open({.tcp_port = 0,
        .strangers = {.streams_max = 3,
                      .streams_of_source_max = 5,
                      .deadline = absl::Milliseconds(300)}});
  std::vector<net::TcpStream> strangers;
  for (uint64_t i = 1; i <= 4; ++i) {
    strangers.push_back(Stranger({}));
    Await([&] { return port_->stranger_stats().accepted == i; });
  }
  Await([&] { return IsOver(strangers[0]); });
  EXPECT_EQ(port_->stranger_stats().drop_for_newer, 1u);
  Await([&] { return port_->stranger_stats().drop_silent == 3; });
  for (net::TcpStream& tcp : strangers) Await([&] { return IsOver(tcp); });
  strangers.clear();
  strangers.push_back(Stranger({}));
  strangers[0].ShutdownWrite();
  Await([&] { return port_->stranger_stats().drop_ended == 1; });
}

TEST_F(SharedPortTest, BoundsStreamsOfOneSource) {
  Open({.tcp_port = 0, .strangers = {.streams_of_source_max = 2}});
  std::vector<net::TcpStream> strangers;
  strangers.reserve(3);
  for (int i = 0; i < 3; ++i) strangers.push_back(Stranger({}));
  Await([&] { return port_->stranger_stats().drop_of_source == 1; });
  strangers[0].Cut();
  Await([&] { return port_->stranger_stats().drop_ended == 1; });
  net::TcpStream again = Stranger({});
  Await([&] { return port_->stranger_stats().accepted == 4; });
  EXPECT_EQ(port_->stranger_stats().drop_of_source, 1u);
}

// The same by the facade, with the thread that owns the port.
TEST(SharedPortOfAThread, IsUsedByAllItsConnections) {
  const auto thread = Thread::Start(
      SharedPortOptions{.tcp_port = 0, .loopback = LoopbackUse::kAlways});
  ASSERT_OK(thread);
  const std::vector<ice::HostAddress> addresses = (*thread)->port_addresses();
  ASSERT_FALSE(addresses.empty());
  std::vector<std::unique_ptr<Pair>> pairs;
  for (int i = 0; i < 10; ++i) {
    Pair& pair = *pairs.emplace_back(std::make_unique<Pair>());
    pair.a.Create({}, pair.b);
    pair.b.Create({.thread = *thread}, pair.a);
    pair.Connect();
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    ASSERT_TRUE(pairs[i]->a.board().Wait("open"));
    ASSERT_TRUE(pairs[i]->b.board().Wait("datachannel chat"));
    EXPECT_OK(pairs[i]->b.channel()->Send(absl::StrCat("hello ", i)));
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_TRUE(
        pairs[i]->a.board().Wait(absl::StrCat("message text:hello ", i)));
    EXPECT_EQ(pairs[i]->b->GetStats().selected->path.local.port,
              addresses[0].address.port);
    EXPECT_THAT(
        PeerConnection::Create({.hide_addresses = true, .thread = *thread}, {}),
        StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(
      Thread::Start(SharedPortOptions{.port = addresses[0].address.port,
                                      .loopback = LoopbackUse::kAlways}),
      StatusIs(absl::StatusCode::kAlreadyExists));
}

}  // namespace
}  // namespace kyuu::peer
