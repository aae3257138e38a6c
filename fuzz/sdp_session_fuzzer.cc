// Session: steps separated by 0x01, each a letter and, for what the peer says,
// an SDP. o, p, a: remote offer, pranswer, answer; O, P, A: the local ones,
// with new ICE credentials if the letter is followed by anything; R: rollback.

#include <cstdint>
#include <string>

#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "sdp/session.h"

namespace {

using namespace kyuu::sdp;  // NOLINT: a fuzz target.

void Step(Session& session, absl::string_view step, LocalTransport& local) {
  if (step.empty()) return;
  const std::string rest(step.substr(1));
  const bool renew = !rest.empty();
  if (renew && absl::string_view("OPA").find(step[0]) != step.npos) {
    ++local.ice_ufrag[0];
    ++local.ice_pwd[0];
    if (local.ice_ufrag[0] > 'y') local.ice_ufrag[0] = local.ice_pwd[0] = 'a';
  }
  switch (step[0]) {
    case 'o':
      return session.SetRemote(SdpType::kOffer, rest).status().IgnoreError();
    case 'p':
      return session.SetRemote(SdpType::kPranswer, rest).status().IgnoreError();
    case 'a':
      return session.SetRemote(SdpType::kAnswer, rest).status().IgnoreError();
    case 'O':
      session.CreateOffer(local).status().IgnoreError();
      return session.SetLocal(SdpType::kOffer).status().IgnoreError();
    case 'P':
      session.CreateAnswer(local).status().IgnoreError();
      return session.SetLocal(SdpType::kPranswer).status().IgnoreError();
    case 'A':
      session.CreateAnswer(local).status().IgnoreError();
      return session.SetLocal(SdpType::kAnswer).status().IgnoreError();
    case 'R':
      return session.Rollback().status().IgnoreError();
    default:
      return;
  }
}

void Check(const Session& session) {
  const bool stable = session.state() == SignalingState::kStable;
  KYUU_CHECK(!stable || (session.pending_local_description() == nullptr &&
                         session.pending_remote_description() == nullptr));
  const Description* local = session.current_local_description();
  const Description* remote = session.current_remote_description();
  KYUU_CHECK((local == nullptr) == (remote == nullptr));
  KYUU_CHECK(!local || local->media_count() == remote->media_count());
  if (!session.remote()) return;
  const TransportParameters& peer = *session.remote();
  KYUU_CHECK(peer.ice_ufrag.size() >= 4 && peer.ice_pwd.size() >= 22);
  KYUU_CHECK(!peer.fingerprints.empty() && peer.sctp_port != 0);
  KYUU_CHECK(!stable || peer.local_setup == Setup::kActive ||
             peer.local_setup == Setup::kPassive);
  KYUU_CHECK(session.Shares(session.tag_mid(), session.tag_mline_index()) ||
             !stable);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::SeededRandom random(1);
  Session session({.candidates_max = 4}, random);
  LocalTransport local;
  local.ice_ufrag = "auto";
  local.ice_pwd = "a123456789012345678901";
  local.fingerprints = {*kyuu::dtls::Fingerprint::FromDigest(
      kyuu::dtls::HashAlgorithm::kSha256,
      kyuu::AsBytes("0123456789abcdef0123456789abcdef"))};
  const absl::string_view text = kyuu::AsText(absl::MakeConstSpan(data, size));
  for (const absl::string_view step : absl::StrSplit(text, '\1')) {
    Step(session, step, local);
    Check(session);
  }
  session.LocalDescriptionWith({}, true).status().IgnoreError();
  return 0;
}
