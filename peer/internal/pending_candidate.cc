#include "peer/internal/pending_candidate.h"

#include <string>
#include <vector>

#include "sdp/description.h"

namespace kyuu::peer::internal {
namespace {

bool Names(const sdp::Description& description, const std::string& ufrag) {
  if (description.session().ice_ufrag() == ufrag) return true;
  for (size_t i = 0; i < description.media_count(); ++i) {
    if (description.media(i).ice_ufrag() == ufrag) return true;
  }
  return false;
}

}  // namespace

size_t RemoteIce::DropRefused(const sdp::Session& session) {
  const sdp::Description* remote = session.current_remote_description();
  if (pending.empty() || remote == nullptr || session.remote() ||
      session.state() != sdp::SignalingState::kStable) {
    return 0;
  }
  return std::erase_if(pending, [remote](const PendingCandidate& candidate) {
    return candidate.ufrag.empty() || Names(*remote, candidate.ufrag);
  });
}

}  // namespace kyuu::peer::internal
