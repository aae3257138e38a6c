// What the tests of sdp::Session share: transports by letter, and two sessions
// that talk to each other.

#ifndef KYUU_SDP_TESTING_SESSION_FIXTURE_H_
#define KYUU_SDP_TESTING_SESSION_FIXTURE_H_

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/fingerprint.h"
#include "sdp/session.h"

namespace kyuu::sdp {

// FingerprintOf is a SHA-256 fingerprint made of one byte.
inline dtls::Fingerprint FingerprintOf(char letter) {
  std::array<uint8_t, 32> digest;
  digest.fill(static_cast<uint8_t>(letter));
  return *dtls::Fingerprint::FromDigest(dtls::HashAlgorithm::kSha256, digest);
}

// TransportOf has credentials and a certificate made of one letter; another
// `generation` is an ICE restart with the same certificate.
inline LocalTransport TransportOf(char letter, char generation = '1') {
  LocalTransport local;
  local.ice_ufrag = std::string(3, letter) + generation;
  local.ice_pwd = std::string(23, letter) + generation;
  local.fingerprints = {FingerprintOf(letter)};
  return local;
}

// Two sessions in one process. Every helper fails the test on an error.
struct Couple {
  explicit Couple(const Session::Options& options = {})
      : random(1), a(options, random), b(options, random) {}

  // One complete exchange in which `from` offers.
  void Negotiate(Session& from, const LocalTransport& from_local, Session& to,
                 const LocalTransport& to_local) {
    const auto offer = from.CreateOffer(from_local);
    ASSERT_OK(offer);
    ASSERT_OK(from.SetLocal(SdpType::kOffer));
    ASSERT_OK(to.SetRemote(SdpType::kOffer, *offer));
    const auto answer = to.CreateAnswer(to_local);
    ASSERT_OK(answer);
    ASSERT_OK(to.SetLocal(SdpType::kAnswer));
    const auto change = from.SetRemote(SdpType::kAnswer, *answer);
    ASSERT_OK(change);
    EXPECT_TRUE(change->data().answered);
    EXPECT_EQ(from.state(), SignalingState::kStable);
    EXPECT_EQ(to.state(), SignalingState::kStable);
  }
  void Negotiate() { Negotiate(a, TransportOf('a'), b, TransportOf('b')); }

  SeededRandom random;
  Session a;
  Session b;
};

// A foreign data section and its offer, with `attributes` in place of nothing.
inline std::string ForeignOffer(
    absl::string_view attributes = {},
    absl::string_view media =
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n") {
  return absl::StrCat(
      "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n",
      media,
      "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:rem1\r\n"
      "a=ice-pwd:remoteremoteremotermt1\r\na=fingerprint:",
      FingerprintOf('r').ToString(),
      "\r\na=setup:actpass\r\na=sctp-port:5000\r\n", attributes);
}

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_TESTING_SESSION_FIXTURE_H_
