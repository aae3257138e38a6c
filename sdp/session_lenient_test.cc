// An odd line that nobody needs never refuses a description: variants of a
// browser's offer that Chromium 156 and Firefox 153 both take.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"

namespace kyuu::sdp {
namespace {

using Edits = std::vector<std::pair<std::string, std::string>>;

// A video section that was stopped stands in front of the data section.
std::string Offer() {
  return absl::StrReplaceAll(
      ForeignOffer("a=max-message-size:262144\r\n"
                   "a=candidate:1 1 udp 2122260223 192.0.2.1 9 typ host\r\n"),
      {{"m=application",
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\n"
        "a=inactive\r\na=rtpmap:96 VP8/90000\r\nm=application"}});
}

struct Row {
  const char* name;
  Edits edits;
  size_t candidates = 1;  // That are used.
  size_t findings = 1;
};

// The candidate line, with one of its words changed.
Edits Candidate(absl::string_view line) {
  return {{"1 1 udp 2122260223 192.0.2.1 9 typ host", std::string(line)}};
}

TEST(SessionLenientTest, OddCandidatesAreUsedOrIgnored) {
  const std::string long_word(300, 'f');
  const Row rows[] = {
      {"foundation of 33",
       Candidate(std::string(33, '1') + " 1 udp 1 192.0.2.1 9 typ host"), 1, 0},
      {"component 0", Candidate("1 0 udp 1 192.0.2.1 9 typ host"), 0},
      {"component 257", Candidate("1 257 udp 1 192.0.2.1 9 typ host"), 0},
      {"component 2", Candidate("1 2 udp 1 192.0.2.1 9 typ host"), 0, 0},
      {"priority 0", Candidate("1 1 udp 0 192.0.2.1 9 typ host"), 1, 0},
      {"priority 2^31", Candidate("1 1 udp 2147483648 192.0.2.1 9 typ host"), 1,
       0},
      {"priority 2^32", Candidate("1 1 udp 4294967296 192.0.2.1 9 typ host"),
       0},
      {"double blank", Candidate("1  1 udp 1 192.0.2.1 9 typ host"), 1, 0},
      {"port 65536", Candidate("1 1 udp 1 192.0.2.1 65536 typ host"), 0},
      {"address of no kind", Candidate("1 1 udp 1 !! 9 typ host"), 0},
      {"no type", Candidate("1 1 udp 1 192.0.2.1 9 typ"), 0},
      {"cut short", Candidate("1 1 udp"), 0},
      {"empty", Candidate(""), 0},
      {"TCP without tcptype", Candidate("1 1 tcp 1 192.0.2.1 9 typ host"), 0,
       0},
      {"UDP with tcptype",
       Candidate("1 1 udp 1 192.0.2.1 9 typ host tcptype so"), 1, 0},
      {"odd last word", Candidate("1 1 udp 1 192.0.2.1 9 typ host generation"),
       1, 0},
      {"rport 65536",
       Candidate("1 1 udp 1 192.0.2.1 9 typ srflx raddr 10.0.0.1 rport 65536"),
       1, 0},
      {"long extension",
       Candidate("1 1 udp 1 192.0.2.1 9 typ host x " + long_word), 1, 0},
      {"unknown type", Candidate("1 1 udp 1 192.0.2.1 9 typ future"), 0, 0},
  };
  for (const Row& row : rows) {
    SeededRandom random(1);
    Session session({}, random);
    ASSERT_OK(session.SetRemote(SdpType::kOffer,
                                absl::StrReplaceAll(Offer(), row.edits)))
        << row.name;
    ASSERT_TRUE(session.remote()) << row.name;
    EXPECT_EQ(session.remote()->candidates.size(), row.candidates) << row.name;
    EXPECT_EQ(session.stats().candidates_ignored, 1 - row.candidates)
        << row.name;
    EXPECT_EQ(session.findings().size(), row.findings) << row.name;
  }
}

TEST(SessionLenientTest, OddLinesRefuseNothing) {
  const std::string data = "c=IN IP4 0.0.0.0\r\na=mid:0";
  const std::string stopped = "a=rtpmap:96 VP8/90000";
  const auto with = [](const std::string& line, const std::string& more) {
    return Edits{{line, absl::StrCat(line, "\r\n", more)}};
  };
  const Row rows[] = {
      {"session id above 2^64", {{"o=- 7", "o=- 99999999999999999999"}}},
      {"negative session version", {{"o=- 7 1", "o=- 7 -1"}}},
      {"session id in letters", {{"o=- 7", "o=- abc"}}},
      {"times in letters", {{"t=0 0", "t=now later"}}},
      {"bandwidth above 2^64", with(data, "b=AS:99999999999999999999")},
      {"negative bandwidth", with(data, "b=AS:-1")},
      {"port count 0", {{"m=video 0", "m=video 0/0"}}},
      {"time within a section", with(data, "t=0 0")},
      {"ice-pacing in letters", with(data, "a=ice-pacing:fast")},
      {"empty ice-options", with(data, "a=ice-options:")},
      {"message size above 2^64",
       {{"size:262144", "size:99999999999999999999"}}},
      {"message size in letters", {{"size:262144", "size:big"}}},
      {"short tls-id", with(data, "a=tls-id:short")},
      {"sctp-init of no base64", with(data, "a=sctp-init:!")},
      {"rtcp-mux with a value", with(data, "a=rtcp-mux:yes")},
      {"end-of-candidates with a value", with(data, "a=end-of-candidates:1")},
      {"group of two blanks", {{"BUNDLE 0", "BUNDLE  0"}}},
      {"attribute without a name", with(data, "a=:x")},
      {"SETUP in capitals", {{"setup:actpass", "setup:ACTPASS"}}, 1, 0},
      {"no sctp-port", {{"a=sctp-port:5000\r\n", ""}}},
      {"sctp-port 0", {{"sctp-port:5000", "sctp-port:0"}}},
      {"short ufrag of a stopped section", with(stopped, "a=ice-ufrag:x")},
      {"short password of a stopped section", with(stopped, "a=ice-pwd:x")},
      {"odd digest of a stopped section",
       with(stopped, "a=fingerprint:sha-256 A")},
      {"unknown setup of a stopped section", with(stopped, "a=setup:both")},
      {"odd mid of a stopped section", {{"a=mid:v", "a=mid:v;v"}}},
      {"line of 20 000 bytes",
       with(data, "a=x-long:" + std::string(20'000, 'x')), 1, 0},
  };
  for (const Row& row : rows) {
    SeededRandom random(1);
    Session session({}, random);
    ASSERT_OK(session.SetRemote(SdpType::kOffer,
                                absl::StrReplaceAll(Offer(), row.edits)))
        << row.name;
    ASSERT_TRUE(session.remote()) << row.name;
    EXPECT_EQ(session.remote()->sctp_port, 5000) << row.name;
    EXPECT_EQ(session.remote()->remote_setup, Setup::kActpass) << row.name;
    EXPECT_EQ(session.findings().size(), row.findings) << row.name;
    EXPECT_OK(session.CreateAnswer(TransportOf('a'))) << row.name;
    EXPECT_OK(session.SetLocal(SdpType::kAnswer)) << row.name;
  }
}

// The peer's candidates come under the mid of our offer.
TEST(SessionLenientTest, AnAnswerWithoutMidStandsForTheSectionOfTheOffer) {
  SeededRandom random(5);
  Session session({}, random);
  ASSERT_OK(session.CreateOffer(TransportOf('a')));
  ASSERT_OK(session.SetLocal(SdpType::kOffer));
  ASSERT_OK(session.SetRemote(
      SdpType::kAnswer,
      absl::StrReplaceAll(ForeignOffer(), {{"a=group:BUNDLE 0\r\n", ""},
                                           {"a=mid:0\r\n", ""},
                                           {"actpass", "active"}})));
  EXPECT_TRUE(session.Shares(session.tag_mid(), 0));
  EXPECT_TRUE(session.Shares("", 0));
  EXPECT_FALSE(session.Shares("1", 0));
  EXPECT_FALSE(session.Shares("", 1));
}

}  // namespace
}  // namespace kyuu::sdp
