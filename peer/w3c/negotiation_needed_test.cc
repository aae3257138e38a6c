// What W3C's web-platform tests ask of negotiationneeded and restartIce(),
// asked of ours: which of them is where, and what differs, is in
// docs/w3c_tests.md.

#include <optional>
#include <string>

#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

constexpr char kNeeded[] = "negotiationneeded";
// About audio alone: the need for data stays.
constexpr char kAudio[] =
    "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x\r\n";

std::string Ufrag(const std::optional<SessionDescription>& description) {
  EXPECT_NE(description, std::nullopt);
  const size_t at = description->sdp.find("a=ice-ufrag:");
  return description->sdp.substr(at, description->sdp.find('\r', at) - at);
}

class W3cNegotiationNeededTest : public testing::Test {
 protected:
  void SetUp() override {
    a_.Create({}, b_);
    b_.Create({}, a_);
  }
  // Connected, and what was needed for that is told.
  void Connect() {
    pair_.Connect();
    ASSERT_TRUE(a_.board().Wait("open"));
    ASSERT_TRUE(b_.board().Wait("open"));
    before_ = a_.board().Count(kNeeded);
  }
  // A complete exchange in which `from` offers.
  void Exchange(Side& from, Side& to) {
    ASSERT_OK(from->SetLocalDescription());
    Answer(from, to);
  }
  void Answer(Side& from, Side& to) {
    ASSERT_OK(to->SetRemoteDescription(*from->local_description()));
    ASSERT_OK(to->SetLocalDescription());
    ASSERT_OK(from->SetRemoteDescription(*to->local_description()));
  }
  // How often an offer was due since Connect(): events are told in order, so
  // that of an exchange, which this makes, comes after those of before.
  size_t NeededSince() {
    const size_t stable = a_.board().Count("signaling stable");
    Exchange(b_, a_);
    EXPECT_TRUE(a_.board().Wait("signaling stable", stable + 1));
    return a_.board().Count(kNeeded) - before_;
  }

  Pair pair_;
  Side& a_ = pair_.a;
  Side& b_ = pair_.b;
  size_t before_ = 0;
};

TEST_F(W3cNegotiationNeededTest, TheFirstChannelNeedsItAndNoOther) {
  ASSERT_OK(a_->CreateDataChannel({.label = "one"}, a_.ChannelHandlers()));
  ASSERT_TRUE(a_.board().Wait(kNeeded));
  ASSERT_OK(a_->CreateDataChannel({.label = "two"}, a_.ChannelHandlers()));
  Exchange(a_, b_);
  ASSERT_OK(a_->CreateDataChannel({.label = "three"}, a_.ChannelHandlers()));
  ASSERT_TRUE(a_.board().Wait("open", 3));
  EXPECT_EQ(a_.board().Count(kNeeded), 1u);
}

TEST_F(W3cNegotiationNeededTest,
       NotBeforeTheStateIsStableAgainAfterThePeersOffer) {
  ASSERT_OK(a_->SetRemoteDescription({SdpType::kOffer, kAudio}));
  ASSERT_OK(a_->CreateDataChannel({.label = "one"}));
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_TRUE(a_.board().Wait(kNeeded));
  EXPECT_LT(a_.board().At("signaling stable"), a_.board().At(kNeeded));
  EXPECT_EQ(a_.board().Count(kNeeded), 1u);
}

TEST_F(W3cNegotiationNeededTest, NotBeforeTheStateIsStableAgainAfterARestart) {
  Connect();
  ASSERT_OK(a_->SetLocalDescription());
  a_->RestartIce();
  Answer(a_, b_);
  ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 1));
  EXPECT_EQ(a_.board().Count("signaling stable"), 2u);
}

TEST_F(W3cNegotiationNeededTest, WhoNegotiatesWhenItIsToldIsToldOncePerNeed) {
  Pair pair;
  pair.a.Create({}, pair.b, [&](const std::string& name) {
    if (name == kNeeded) pair.Negotiate();
  });
  pair.b.Create({}, pair.a);
  ASSERT_OK(
      pair.a->CreateDataChannel({.label = "x"}, pair.a.ChannelHandlers()));
  ASSERT_TRUE(pair.a.board().Wait("open"));
  pair.a->RestartIce();
  ASSERT_TRUE(pair.a.board().Wait("signaling stable", 2));
  EXPECT_EQ(pair.a.board().Count(kNeeded), 2u);
}

TEST_F(W3cNegotiationNeededTest, ARestartOfAClosedConnectionDoesNothing) {
  Connect();
  a_->Close();
  a_->RestartIce();
  EXPECT_EQ(a_->signaling_state(), SignalingState::kClosed);
  EXPECT_EQ(a_.board().Count(kNeeded), before_);
}

TEST_F(W3cNegotiationNeededTest, ARestartBeforeTheFirstExchangeIsNone) {
  a_->RestartIce();
  ASSERT_OK(a_->CreateDataChannel({.label = "x"}, a_.ChannelHandlers()));
  ASSERT_TRUE(a_.board().Wait(kNeeded));
  a_->RestartIce();
  Exchange(a_, b_);
  ASSERT_TRUE(a_.board().Wait("open"));
  before_ = 0;
  EXPECT_EQ(NeededSince(), 1u);
}

TEST_F(W3cNegotiationNeededTest, ARestartHasFreshCredentialsOnBothSides) {
  Connect();
  const std::string a = Ufrag(a_->local_description());
  const std::string b = Ufrag(b_->local_description());
  Exchange(a_, b_);
  EXPECT_EQ(Ufrag(a_->local_description()), a);
  EXPECT_EQ(Ufrag(b_->local_description()), b);
  a_->RestartIce();
  ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 1));
  // Whether or not the offer asks for it.
  const auto offer = a_->CreateOffer(IceRestart::kNo);
  ASSERT_OK(offer);
  ASSERT_OK(a_->SetLocalDescription(*offer));
  Answer(a_, b_);
  const std::string new_a = Ufrag(a_->local_description());
  const std::string new_b = Ufrag(b_->local_description());
  EXPECT_NE(new_a, a);
  EXPECT_NE(new_b, b);
  Exchange(a_, b_);
  EXPECT_EQ(Ufrag(a_->local_description()), new_a);
  EXPECT_EQ(Ufrag(b_->local_description()), new_b);
  EXPECT_EQ(NeededSince(), 1u);
  // The association is the one of before.
  ASSERT_OK(a_.channel()->Send("still here"));
  EXPECT_TRUE(b_.board().Wait("message text:still here"));
}

// In have-local-offer, of the first exchange and of a later one.
TEST_F(W3cNegotiationNeededTest, ARestartDuringOurOfferComesAfterIt) {
  for (const bool later : {false, true}) {
    pair_.Drop();
    SetUp();
    if (later) {
      Connect();
    } else {
      ASSERT_OK(a_->CreateDataChannel({.label = "x"}));
      ASSERT_TRUE(a_.board().Wait(kNeeded));
      before_ = a_.board().Count(kNeeded);
    }
    ASSERT_OK(a_->SetLocalDescription());
    const std::string a = Ufrag(a_->local_description());
    a_->RestartIce();
    Answer(a_, b_);
    EXPECT_EQ(Ufrag(a_->local_description()), a);
    ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 1));
    Exchange(a_, b_);
    EXPECT_NE(Ufrag(a_->local_description()), a);
    EXPECT_EQ(NeededSince(), 1u);
  }
}

TEST_F(W3cNegotiationNeededTest, ARestartDuringThePeersOfferComesAfterIt) {
  Connect();
  const std::string a = Ufrag(a_->local_description());
  ASSERT_OK(b_->SetLocalDescription());
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  a_->RestartIce();
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  EXPECT_EQ(Ufrag(a_->local_description()), a);
  ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 1));
  Exchange(a_, b_);
  EXPECT_NE(Ufrag(a_->local_description()), a);
  EXPECT_EQ(NeededSince(), 1u);
}

TEST_F(W3cNegotiationNeededTest, ARestartDuringThePeersFirstOfferIsNone) {
  ASSERT_OK(b_->CreateDataChannel({.label = "x"}, b_.ChannelHandlers()));
  ASSERT_OK(b_->SetLocalDescription());
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  a_->RestartIce();
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  ASSERT_TRUE(b_.board().Wait("open"));
  EXPECT_EQ(NeededSince(), 0u);
}

TEST_F(W3cNegotiationNeededTest, AWishToRestartOutlivesThePeersOffer) {
  Connect();
  const std::string a = Ufrag(a_->local_description());
  a_->RestartIce();
  ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 1));
  Exchange(b_, a_);
  EXPECT_EQ(Ufrag(a_->local_description()), a);
  ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 2));
  Exchange(a_, b_);
  EXPECT_NE(Ufrag(a_->local_description()), a);
  EXPECT_EQ(NeededSince(), 2u);
}

TEST_F(W3cNegotiationNeededTest, ThePeersRestartIsEnough) {
  Connect();
  const std::string a = Ufrag(a_->local_description());
  a_->RestartIce();
  b_->RestartIce();
  ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 1));
  Exchange(b_, a_);
  EXPECT_NE(Ufrag(a_->local_description()), a);
  EXPECT_EQ(NeededSince(), 1u);
}

TEST_F(W3cNegotiationNeededTest, AWishToRestartOutlivesARollback) {
  for (const bool again : {false, true}) {
    pair_.Drop();
    SetUp();
    Connect();
    const std::string a = Ufrag(a_->local_description());
    a_->RestartIce();
    ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 1));
    ASSERT_OK(a_->SetLocalDescription());
    if (again) a_->RestartIce();  // Of the offer that is pending, too.
    ASSERT_OK(a_->Rollback());
    ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 2));
    Exchange(b_, a_);  // Under the credentials that shall go.
    EXPECT_EQ(Ufrag(a_->local_description()), a);
    ASSERT_TRUE(a_.board().Wait(kNeeded, before_ + 3));
    Exchange(a_, b_);
    EXPECT_NE(Ufrag(a_->local_description()), a);
    EXPECT_EQ(NeededSince(), 3u);
  }
}

}  // namespace
}  // namespace kyuu::peer
