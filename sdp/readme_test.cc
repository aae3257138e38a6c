// The example of README.md, compiled and run.

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

struct Certificate {
  dtls::Fingerprint fingerprint() const { return FingerprintOf('c'); }
};

absl::Status Example(const std::string& offer_text,
                     const Certificate& certificate) {
  kyuu::SystemRandom random;
  kyuu::sdp::Session session({}, random);
  auto change = session.SetRemote(kyuu::sdp::SdpType::kOffer, offer_text);
  if (!change.ok()) return change.status();
  kyuu::sdp::LocalTransport local;
  local.ice_ufrag = random.IceChars(8);
  local.ice_pwd = random.IceChars(24);
  local.fingerprints = {certificate.fingerprint()};
  auto answer = session.CreateAnswer(local);
  if (!answer.ok()) return answer.status();
  change = session.SetLocal(kyuu::sdp::SdpType::kAnswer);
  return change.status();
}

TEST(ReadmeTest, ExampleWorks) {
  for (const absl::string_view name : kBrowserOffers) {
    EXPECT_OK(Example(ReadTestdata(name), Certificate()));
  }
  EXPECT_FALSE(Example("v=0", Certificate()).ok());
}

}  // namespace
}  // namespace kyuu::sdp
