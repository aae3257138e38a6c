// What W3C's web-platform tests ask of addIceCandidate(), asked of ours: which
// of them is where, and what differs, is in docs/w3c_tests.md.

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

constexpr char kLine[] = "candidate:1 1 udp 2113929471 127.0.0.9 7000 typ host";

// A connection to which its peer, who does not trickle by itself, has offered
// data in the section "0".
class W3cAddIceCandidateTest : public testing::Test {
 protected:
  void SetUp() override {
    a_.TellOnly("no candidate has this");
    b_.TellOnly("no candidate has this");
    a_.Create({}, b_);
    b_.Create({}, a_);
  }
  void Offered() {
    ASSERT_OK(b_->CreateDataChannel({.label = "x"}));
    ASSERT_OK(b_->SetLocalDescription());
    const SessionDescription offer = b_.Told(*b_.get());
    const size_t at = offer.sdp.find("a=ice-ufrag:") + 12;
    ufrag_ = offer.sdp.substr(at, offer.sdp.find('\r', at) - at);
    ASSERT_OK(a_->SetRemoteDescription(offer));
    ASSERT_OK(a_->SetLocalDescription());
    // Candidates are paired with ours, which are found by then.
    ASSERT_TRUE(a_.board().Wait("gathering complete"));
  }
  bool Checked() {
    for (const ice::PairInfo& pair : a_->GetStats().pairs) {
      if (pair.path.remote.port == 7000) return true;
    }
    return false;
  }
  uint64_t Ignored() { return a_->GetStats().counters.ignored_candidates; }

  Pair pair_;
  Side& a_ = pair_.a;
  Side& b_ = pair_.b;
  std::string ufrag_;
};

// W3C refuses it; ours waits, so that signaling may be in any order.
TEST_F(W3cAddIceCandidateTest, BeforeTheDescriptionItWaits) {
  EXPECT_OK(a_->AddIceCandidate({.candidate = kLine, .sdp_mid = "0"}));
  Offered();
  EXPECT_TRUE(Checked());
}

TEST_F(W3cAddIceCandidateTest, OnceClosedItIsRefused) {
  Offered();
  a_->Close();
  EXPECT_THAT(a_->AddIceCandidate({.candidate = kLine, .sdp_mid = "0"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(W3cAddIceCandidateTest, BelongsByMidOrByIndexAndTheMidCounts) {
  const std::vector<IceCandidate> all = {
      {.candidate = kLine, .sdp_mid = "0"},
      {.candidate = kLine, .sdp_mid = "", .sdp_mline_index = 0},
      {.candidate = kLine, .sdp_mid = "0", .sdp_mline_index = 2},
      {.candidate = absl::StrCat("a=", kLine), .sdp_mid = "0"},
  };
  for (const IceCandidate& candidate : all) {
    pair_.Drop();
    SetUp();
    Offered();
    EXPECT_OK(a_->AddIceCandidate(candidate));
    EXPECT_TRUE(Checked());
    EXPECT_EQ(Ignored(), 0u);
  }
}

TEST_F(W3cAddIceCandidateTest, ItsGenerationIsThatOfTheDescription) {
  Offered();
  EXPECT_OK(a_->AddIceCandidate(
      {.candidate = kLine, .sdp_mid = "0", .username_fragment = ufrag_}));
  EXPECT_TRUE(Checked());
}

// W3C refuses them; ours may be of a description that is still to come, or of
// media that we do not know.
TEST_F(W3cAddIceCandidateTest, AnothersIsNotChecked) {
  Offered();
  EXPECT_OK(a_->AddIceCandidate(
      {.candidate = kLine, .sdp_mid = "0", .username_fragment = "nobody"}));
  EXPECT_OK(a_->AddIceCandidate(
      {.candidate = "", .sdp_mid = "0", .username_fragment = "nobody"}));
  EXPECT_EQ(Ignored(), 0u);
  EXPECT_OK(a_->AddIceCandidate({.candidate = kLine, .sdp_mid = "invalid"}));
  EXPECT_EQ(Ignored(), 1u);
  EXPECT_OK(a_->AddIceCandidate(
      {.candidate = kLine, .sdp_mid = "", .sdp_mline_index = 2}));
  EXPECT_EQ(Ignored(), 2u);
  EXPECT_FALSE(Checked());
}

TEST_F(W3cAddIceCandidateTest, WhatIsNoCandidateIsRefused) {
  Offered();
  for (const char* line : {"(Invalid) candidate \r\n string", "candidate:",
                           "candidate:1 1 udp 2113929471 127.0.0.9 x typ host",
                           "candidate:1 1 udp 1 127.0.0.9 7000 typ"}) {
    EXPECT_THAT(a_->AddIceCandidate({.candidate = line, .sdp_mid = "0"}),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << line;
  }
  EXPECT_FALSE(Checked());
}

TEST_F(W3cAddIceCandidateTest, AnEmptyOneIsTheEndOfThem) {
  Offered();
  EXPECT_OK(a_->AddIceCandidate({.candidate = kLine, .sdp_mid = "0"}));
  EXPECT_OK(a_->AddIceCandidate({}));
  EXPECT_OK(a_->AddIceCandidate({.candidate = "", .sdp_mid = "0"}));
  EXPECT_OK(a_->AddIceCandidate({.candidate = "",
                                 .sdp_mid = "0",
                                 .sdp_mline_index = 0,
                                 .username_fragment = ufrag_}));
  EXPECT_EQ(Ignored(), 0u);
}

// What the peer said, and what it said since.
TEST_F(W3cAddIceCandidateTest, TheRemoteDescriptionStaysAsItWasSaid) {
  Offered();
  const std::string before = a_->remote_description()->sdp;
  EXPECT_OK(a_->AddIceCandidate({.candidate = kLine, .sdp_mid = "0"}));
  EXPECT_TRUE(Checked());
  EXPECT_EQ(a_->remote_description()->sdp, before);
}

// Candidates of one side are enough, whichever it is.
TEST_F(W3cAddIceCandidateTest, OneSidesCandidatesConnect) {
  for (const bool of_a : {true, false}) {
    Pair pair;
    (of_a ? pair.b : pair.a).TellOnly("no candidate has this");
    pair.a.Create({}, pair.b);
    pair.b.Create({}, pair.a);
    pair.Connect();
    ASSERT_TRUE(pair.a.board().Wait("open"));
    ASSERT_TRUE(pair.b.board().Wait("open"));
  }
}

// A call has done its work when it returns, and what it caused is told after.
TEST_F(W3cAddIceCandidateTest, CandidatesAreToldAfterTheDescriptionIsSet) {
  ASSERT_OK(a_->CreateDataChannel({.label = "x"}));
  ASSERT_OK(a_->SetLocalDescription());
  ASSERT_TRUE(a_.board().Wait("candidate end"));
  EXPECT_LT(a_.board().At("signaling have-local-offer"),
            a_.board().At("candidate"));
}

}  // namespace
}  // namespace kyuu::peer
