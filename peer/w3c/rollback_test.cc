// What W3C's web-platform tests ask of rollbacks, of descriptions that are made
// where they are set, and of perfect negotiation, asked of ours: which of them
// is where, and what differs, is in docs/w3c_tests.md.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

using enum SignalingState;

const auto kWrongState = StatusIs(absl::StatusCode::kFailedPrecondition);

class W3cRollbackTest : public testing::Test {
 protected:
  void SetUp() override {
    a_.Create({}, b_);
    b_.Create({}, a_);
  }
  std::string Offer(Side& side) {
    const auto offer = side->CreateOffer();
    EXPECT_OK(offer);
    return offer.ok() ? offer->sdp : "";
  }
  // Waits until the events so far are told, and returns the signaling states
  // that were.
  std::vector<std::string> StatesOf(Side& side, size_t count) {
    std::vector<std::string> states;
    for (const char* state : {"stable", "have-local-offer", "have-remote-offer",
                              "have-local-pranswer", "have-remote-pranswer"}) {
      count -= side.board().Count(absl::StrCat("signaling ", state));
    }
    EXPECT_EQ(count, 0u);
    for (const std::string& line : side.board().lines()) {
      if (absl::StartsWith(line, "signaling "))
        states.push_back(line.substr(10));
    }
    return states;
  }
  static SessionDescription As(SdpType type, std::string sdp) {
    return {type, std::move(sdp)};
  }

  Pair pair_;
  Side& a_ = pair_.a;
  Side& b_ = pair_.b;
};

TEST_F(W3cRollbackTest, OurOfferIsTakenBack) {
  ASSERT_OK(a_->SetLocalDescription());
  EXPECT_EQ(a_->signaling_state(), kHaveLocalOffer);
  EXPECT_NE(a_->local_description(), std::nullopt);
  ASSERT_OK(a_->Rollback());
  EXPECT_EQ(a_->signaling_state(), kStable);
  EXPECT_EQ(a_->local_description(), std::nullopt);
  ASSERT_TRUE(a_.board().Wait("signaling stable"));
  EXPECT_EQ(StatesOf(a_, 2),
            (std::vector<std::string>{"have-local-offer", "stable"}));
}

TEST_F(W3cRollbackTest, ThePeersOfferIsTakenBack) {
  ASSERT_OK(a_->SetRemoteDescription(As(SdpType::kOffer, Offer(b_))));
  EXPECT_EQ(a_->signaling_state(), kHaveRemoteOffer);
  ASSERT_OK(a_->Rollback());
  EXPECT_EQ(a_->signaling_state(), kStable);
  EXPECT_EQ(a_->remote_description(), std::nullopt);
  ASSERT_TRUE(a_.board().Wait("signaling stable"));
  EXPECT_EQ(StatesOf(a_, 2),
            (std::vector<std::string>{"have-remote-offer", "stable"}));
}

TEST_F(W3cRollbackTest, WhereNothingIsPendingNothingIsTakenBack) {
  EXPECT_THAT(a_->Rollback(), kWrongState);
  ASSERT_OK(a_->SetRemoteDescription(As(SdpType::kOffer, Offer(b_))));
  ASSERT_OK(a_->SetLocalDescription());
  EXPECT_THAT(a_->Rollback(), kWrongState);
}

TEST_F(W3cRollbackTest, AnOfferIsSetAfterThePeersWasTakenBack) {
  ASSERT_OK(a_->CreateDataChannel({.label = "chat"}, a_.ChannelHandlers()));
  const std::string offer = Offer(a_);
  ASSERT_OK(a_->SetRemoteDescription(As(SdpType::kOffer, Offer(b_))));
  ASSERT_OK(a_->Rollback());
  ASSERT_OK(a_->SetLocalDescription(As(SdpType::kOffer, offer)));
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  ASSERT_OK(b_->SetLocalDescription());
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  EXPECT_TRUE(a_.board().Wait("open"));
}

TEST_F(W3cRollbackTest, AnOfferIsSetAgainAfterItWasTakenBack) {
  ASSERT_OK(a_->CreateDataChannel({.label = "chat"}, a_.ChannelHandlers()));
  const std::string offer = Offer(a_);
  ASSERT_OK(a_->SetLocalDescription(As(SdpType::kOffer, offer)));
  ASSERT_OK(a_->Rollback());
  ASSERT_OK(a_->SetLocalDescription(As(SdpType::kOffer, offer)));
  ASSERT_TRUE(a_.board().Wait("signaling have-local-offer", 2));
  EXPECT_EQ(StatesOf(a_, 3),
            (std::vector<std::string>{"have-local-offer", "stable",
                                      "have-local-offer"}));
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  ASSERT_OK(b_->SetLocalDescription());
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  EXPECT_TRUE(a_.board().Wait("open"));
}

// An ICE restart that was made before, with the credentials that it says.
TEST_F(W3cRollbackTest, AfterAnExchangeEachSidesOfferIsSetAfterTheOthers) {
  pair_.Connect();
  ASSERT_TRUE(b_.board().Wait("open"));
  ASSERT_OK(a_->SetLocalDescription());
  const auto restart = b_->CreateOffer(IceRestart::kYes);
  ASSERT_OK(restart);
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  ASSERT_OK(b_->Rollback());
  ASSERT_OK(b_->SetLocalDescription(*restart));
  ASSERT_OK(a_->Rollback());
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  ASSERT_OK(b_.channel()->Send("still here"));
  EXPECT_TRUE(a_.board().Wait("message text:still here"));

  ASSERT_OK(b_->SetLocalDescription());
  ASSERT_OK(b_->Rollback());
  ASSERT_OK(a_->SetLocalDescription());
  EXPECT_OK(b_->SetRemoteDescription(*a_->local_description()));
}

TEST_F(W3cRollbackTest, AnImplicitOneVisitsStableAndAsksOnlyAtTheEnd) {
  ASSERT_OK(a_->CreateDataChannel({.label = "chat"}, a_.ChannelHandlers()));
  ASSERT_TRUE(a_.board().Wait("negotiationneeded"));
  ASSERT_OK(a_->SetLocalDescription());
  // The peer's offer is about audio alone, so the need stays.
  ASSERT_OK(a_->SetRemoteDescription(
      As(SdpType::kOffer,
         "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
         "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x\r\n")));
  EXPECT_EQ(a_->signaling_state(), kHaveRemoteOffer);
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_TRUE(a_.board().Wait("negotiationneeded", 2));
  EXPECT_EQ(StatesOf(a_, 4),
            (std::vector<std::string>{"have-local-offer", "stable",
                                      "have-remote-offer", "stable"}));
  const std::vector<std::string> lines = a_.board().lines();
  size_t stable = 0;
  for (const std::string& line : lines) {
    if (line == "signaling stable") ++stable;
    if (line == "negotiationneeded" && stable > 0) {
      EXPECT_EQ(stable, 2u);
    }
  }
  // And the channel waits for the next exchange.
  ASSERT_OK(a_->SetLocalDescription());
  EXPECT_EQ(a_->signaling_state(), kHaveLocalOffer);
}

// W3C would have no event of a restart that is taken back, and "new" where the
// first offer is: ours gathers under the credentials of before.
TEST_F(W3cRollbackTest, AfterTheOriginalOffersGatheringIsNew) {
  // In "complete", and in whatever state it is right after the offer.
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_TRUE(a_.board().Wait("gathering complete"));
  ASSERT_OK(a_->Rollback());
  ASSERT_TRUE(a_.board().Wait("gathering new"));
  EXPECT_EQ(a_->ice_gathering_state(), GatheringState::kNew);
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_OK(a_->Rollback());
  ASSERT_TRUE(a_.board().Wait("gathering new", 2));
  EXPECT_EQ(a_->ice_gathering_state(), GatheringState::kNew);
  // What was found is told again with the next offer.
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  ASSERT_OK(a_.channel()->Send("here"));
  EXPECT_TRUE(b_.board().Wait("message text:here"));
  EXPECT_EQ(a_->ice_gathering_state(), GatheringState::kComplete);
}

TEST_F(W3cRollbackTest, AfterARestartsGatheringStaysComplete) {
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("open"));
  ASSERT_TRUE(a_.board().Wait("gathering complete"));
  const auto restart = a_->CreateOffer(IceRestart::kYes);
  ASSERT_OK(restart);
  ASSERT_OK(a_->SetLocalDescription(*restart));
  ASSERT_TRUE(a_.board().Wait("gathering complete", 2));
  ASSERT_OK(a_->Rollback());
  ASSERT_OK(a_.channel()->Send("still here"));
  EXPECT_TRUE(b_.board().Wait("message text:still here"));
  EXPECT_EQ(a_->ice_gathering_state(), GatheringState::kComplete);
  // Events come in order: there was none of gathering.
  EXPECT_EQ(a_.board().Count("gathering gathering"), 2u);
  EXPECT_EQ(a_.board().Count("gathering complete"), 2u);
  EXPECT_EQ(a_.board().Count("gathering new"), 0u);
}

TEST_F(W3cRollbackTest, WithoutAnArgumentTheDescriptionThatIsDueIsSet) {
  // Stable, and have-local-offer, to which it is an offer again.
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(a_->SetLocalDescription());
    EXPECT_EQ(a_->signaling_state(), kHaveLocalOffer);
    EXPECT_EQ(a_->local_description()->type, SdpType::kOffer);
  }
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  // A provisional answer first: then it is the final one.
  const auto answer = b_->CreateAnswer();
  ASSERT_OK(answer);
  ASSERT_OK(b_->SetLocalDescription(As(SdpType::kPranswer, answer->sdp)));
  EXPECT_EQ(b_->signaling_state(), kHaveLocalPranswer);
  ASSERT_OK(a_->SetRemoteDescription(As(SdpType::kPranswer, answer->sdp)));
  EXPECT_EQ(a_->signaling_state(), kHaveRemotePranswer);
  // None is due where the peer's is.
  EXPECT_THAT(a_->SetLocalDescription(), kWrongState);
  ASSERT_OK(b_->SetLocalDescription());
  EXPECT_EQ(b_->signaling_state(), kStable);
  EXPECT_EQ(b_->local_description()->type, SdpType::kAnswer);
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  EXPECT_EQ(a_->signaling_state(), kStable);
  a_->Close();
  EXPECT_THAT(a_->SetLocalDescription(), kWrongState);
}

TEST_F(W3cRollbackTest, WithoutAnArgumentItIsTheDescriptionThatWasCreated) {
  const std::string offer = Offer(a_);
  ASSERT_OK(a_->SetLocalDescription());
  // Ours begins with it: candidates follow.
  EXPECT_TRUE(absl::StartsWith(a_->local_description()->sdp,
                               offer.substr(0, offer.find("m="))));
  ASSERT_OK(b_->SetRemoteDescription(As(SdpType::kOffer, offer)));
  const auto answer = b_->CreateAnswer();
  ASSERT_OK(answer);
  ASSERT_OK(b_->SetLocalDescription());
  EXPECT_TRUE(absl::StartsWith(b_->local_description()->sdp,
                               answer->sdp.substr(0, answer->sdp.find("m="))));
}

// The pattern of W3C's section 10.7: one side yields, the other does not.
class Perfect {
 public:
  Perfect(bool polite, Side& self) : polite_(polite), self_(self) {}
  // The peer's description, as signaling brings it.
  void Take(const SessionDescription& description, Perfect& other) {
    if (description.type == SdpType::kOffer && !polite_ &&
        self_->signaling_state() != kStable) {
      ignored_ = true;
      return;
    }
    ASSERT_OK(self_->SetRemoteDescription(description));
    if (description.type != SdpType::kOffer) return;
    ASSERT_OK(self_->SetLocalDescription());
    other.Take(*self_->local_description(), *this);
  }
  SessionDescription Offer() {
    EXPECT_OK(self_->SetLocalDescription());
    return *self_->local_description();
  }
  bool ignored() const { return ignored_; }

 private:
  const bool polite_;
  Side& self_;
  bool ignored_ = false;
};

TEST_F(W3cRollbackTest, PerfectNegotiationConnectsWhoeverIsPolite) {
  for (const bool a_is_polite : {true, false}) {
    for (const bool glare : {true, false}) {
      Pair pair;
      pair.a.Create({}, pair.b);
      pair.b.Create({}, pair.a);
      Perfect a(a_is_polite, pair.a), b(!a_is_polite, pair.b);
      ASSERT_OK(pair.a->CreateDataChannel({.label = "of a"},
                                          pair.a.ChannelHandlers()));
      if (glare) {
        ASSERT_OK(pair.b->CreateDataChannel({.label = "of b"},
                                            pair.b.ChannelHandlers()));
      }
      const SessionDescription of_a = a.Offer();
      if (glare) {
        const SessionDescription of_b = b.Offer();
        // Both are on their way: no answer overtakes them.
        if (a_is_polite) {
          b.Take(of_a, a);
          a.Take(of_b, b);
        } else {
          a.Take(of_b, b);
          b.Take(of_a, a);
        }
        EXPECT_EQ(a.ignored(), !a_is_polite);
        EXPECT_EQ(b.ignored(), a_is_polite);
      } else {
        b.Take(of_a, a);
      }
      EXPECT_EQ(pair.a->signaling_state(), kStable);
      EXPECT_EQ(pair.b->signaling_state(), kStable);
      ASSERT_TRUE(pair.b.board().Wait("datachannel of a"));
      if (glare) {
        ASSERT_TRUE(pair.a.board().Wait("datachannel of b"));
      }
    }
  }
}

}  // namespace
}  // namespace kyuu::peer
