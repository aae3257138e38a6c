// RFC 9429 section 7's examples, as Bob's side meets them: the descriptions
// verbatim, and the candidates that are trickled beside them.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sdp/testing/testdata.h"

namespace kyuu::peer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// |offer-B1-candidate-1| to -3, |answer-B1-candidate-1| to -3, all of index 0
// and mid a1.
constexpr const char* kOfferB1Candidates[] = {
    "candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host",
    "candidate:1 1 udp 1845494015 198.51.100.100 11100 typ srflx raddr "
    "203.0.113.100 rport 10100",
    "candidate:1 1 udp 255 192.0.2.100 12100 typ relay raddr 198.51.100.100 "
    "rport 11100"};
constexpr const char* kAnswerB1Candidates[] = {
    "candidate:1 1 udp 2113929471 203.0.113.200 10200 typ host",
    "candidate:1 1 udp 1845494015 198.51.100.200 11200 typ srflx raddr "
    "203.0.113.200 rport 10200",
    "candidate:1 1 udp 255 192.0.2.200 12200 typ relay raddr 198.51.100.200 "
    "rport 11200"};
constexpr const char* kOfferC1Candidate =
    "candidate:1 1 udp 255 192.0.2.100 12100 typ relay raddr 0.0.0.0 rport 0";

struct Bob {
  explicit Bob(Options options = {})
      : random(7), connection(testing::CertificateOf(0), options, random) {
    EXPECT_OK(connection.AddLocalAddress(
        kNow, {{IpAddress::V4(203, 0, 113, 200), 10200}}));
  }
  // Applies the offer of that name, and returns the answer, applied, too.
  std::string Answer(absl::string_view name) {
    EXPECT_OK(connection.SetRemoteDescription(kNow, SdpType::kOffer,
                                              sdp::ReadTestdata(name)));
    const auto answer = connection.CreateAnswer();
    EXPECT_OK(answer);
    EXPECT_OK(connection.SetLocalDescription(kNow, SdpType::kAnswer));
    return answer.value_or("");
  }
  void Trickle(absl::string_view line, absl::string_view ufrag,
               absl::string_view mid = "a1") {
    EXPECT_OK(connection.AddIceCandidate(kNow, line, mid, 0, ufrag));
  }
  // The peer's addresses that are checked, in order of the pairs' priority.
  std::vector<std::string> Remotes() const {
    std::vector<ice::PairInfo> pairs = connection.stats().pairs;
    std::sort(pairs.begin(), pairs.end(),
              [](const ice::PairInfo& a, const ice::PairInfo& b) {
                return a.priority > b.priority;
              });
    std::vector<std::string> remotes;
    for (const ice::PairInfo& pair : pairs) {
      remotes.push_back(pair.path.remote.ToString());
    }
    return remotes;
  }

  SeededRandom random;
  Connection connection;
};

// 7.1: two bundled sections, and no data: nothing for us, which is said at each
// place. A channel of ours is offered in the first one.
TEST(Rfc9429Examples, Section71) {
  Bob bob;
  const std::string answer = bob.Answer("rfc9429-offer-A1");
  EXPECT_THAT(answer,
              HasSubstr("m=audio 0 UDP/TLS/RTP/SAVPF 96 0 8 97 98\r\n"));
  EXPECT_THAT(answer, HasSubstr("m=video 0 UDP/TLS/RTP/SAVPF 100 101 102"));
  EXPECT_THAT(answer, Not(HasSubstr("a=group")));
  EXPECT_EQ(bob.connection.signaling_state(), SignalingState::kStable);
  EXPECT_THAT(bob.Remotes(), IsEmpty());
  EXPECT_FALSE(bob.connection.stats().counters.ignored_candidates);

  ASSERT_OK(bob.connection.CreateDataChannel(kNow, {}));
  const auto offer = bob.connection.CreateOffer();
  ASSERT_OK(offer);
  const auto described = sdp::Description::Parse(*offer);
  ASSERT_OK(described);
  ASSERT_EQ(described->media_count(), 2u);
  EXPECT_TRUE(described->media(0).is_data_channel());
  EXPECT_TRUE(described->media(1).rejected());
}

// 7.2: candidates before and after the offer, of which data has a share: it is
// bundle-only, and they are told under the audio's mid.
TEST(Rfc9429Examples, Section72) {
  for (const bool before : {false, true}) {
    Bob bob;
    ASSERT_OK(bob.connection.CreateDataChannel(kNow, {}));
    const auto trickle = [&] {
      for (const char* line : kOfferB1Candidates) bob.Trickle(line, "ATEn");
    };
    if (before) trickle();
    const std::string answer = bob.Answer("rfc9429-offer-B1");
    if (!before) trickle();
    EXPECT_THAT(answer, HasSubstr("a=group:BUNDLE a1 d1\r\n"));
    EXPECT_THAT(bob.Remotes(),
                ElementsAre("203.0.113.100:10100", "198.51.100.100:11100",
                            "192.0.2.100:12100"));
    EXPECT_EQ(bob.connection.stats().counters.ignored_candidates, 0u);
    EXPECT_EQ(bob.connection.stats().ice_state, ice::AgentState::kChecking);
    // Another mid of the group means the same; one that is unknown does not.
    bob.Trickle(kAnswerB1Candidates[0], "ATEn", "d1");
    EXPECT_EQ(bob.Remotes().size(), 4u);
    bob.Trickle(kAnswerB1Candidates[1], "ATEn", "v1");
    EXPECT_EQ(bob.connection.stats().counters.ignored_candidates, 1u);
    // Not of this generation: the answer's is Bob's own.
    bob.Trickle(kAnswerB1Candidates[2], "7sFv");
    EXPECT_EQ(bob.Remotes().size(), 4u);
  }
}

// |offer-B2| has its candidates inside, and two sections of video in the group:
// as a first offer, all of them are parked with the data.
TEST(Rfc9429Examples, Section72SecondOffer) {
  Bob bob;
  const std::string answer = bob.Answer("rfc9429-offer-B2");
  EXPECT_THAT(answer, HasSubstr("a=group:BUNDLE a1 d1 v1 v2\r\n"));
  EXPECT_THAT(bob.Remotes(),
              ElementsAre("203.0.113.200:10200", "198.51.100.200:11200",
                          "192.0.2.200:12200"));
}

// 7.3: "relay" policies, and an answer before Bob accepts the call.
TEST(Rfc9429Examples, Section73) {
  Bob bob({.policy = ice::GatherPolicy::kRelay});
  bob.Trickle(kOfferC1Candidate, "4ZcD");
  const std::string early = bob.Answer("rfc9429-offer-C1");
  EXPECT_THAT(early, HasSubstr("m=audio 0 "));
  EXPECT_THAT(early, HasSubstr("m=video 0 "));
  bob.Trickle(kOfferC1Candidate, "4ZcD");
  EXPECT_THAT(bob.Remotes(), IsEmpty());
  const std::string second = bob.Answer("rfc9429-offer-C2");
  EXPECT_EQ(sdp::Description::Parse(second)->media_count(), 2u);
  EXPECT_EQ(bob.connection.signaling_state(), SignalingState::kStable);
}

}  // namespace
}  // namespace kyuu::peer
