#include "peer/internal/peer_connection_negotiation.h"

#include <utility>

namespace kyuu::peer::internal {
namespace {

std::string IceUfrag(absl::string_view sdp) {
  constexpr absl::string_view kName = "\na=ice-ufrag:";
  const size_t at = sdp.find(kName);
  if (at == absl::string_view::npos) return "";
  sdp.remove_prefix(at + kName.size());
  return std::string(sdp.substr(0, sdp.find_first_of("\r\n")));
}

}  // namespace

void Negotiation::OnLocal(SdpType type, SignalingState after,
                          absl::string_view local_sdp) {
  if (type == SdpType::kOffer) pending_remote_.reset();
  pending_local_ = type;
  Settle(after, local_sdp);
}

void Negotiation::OnRemote(SessionDescription remote, SignalingState after,
                           absl::string_view local_sdp) {
  // An offer that met ours has rolled it back.
  if (remote.type == SdpType::kOffer) pending_local_.reset();
  pending_remote_ = std::move(remote);
  Settle(after, local_sdp);
}

void Negotiation::OnRollback() {
  pending_local_.reset();
  pending_remote_.reset();
  told_ = false;
}

void Negotiation::Settle(SignalingState after, absl::string_view local_sdp) {
  if (after != SignalingState::kStable) return;
  current_local_ = std::exchange(pending_local_, std::nullopt);
  current_remote_ = std::exchange(pending_remote_, std::nullopt);
  negotiated_ = true;
  told_ = false;
  if (restart_wanted() && IceUfrag(local_sdp) != old_ufrag_) old_ufrag_.clear();
}

void Negotiation::WantRestart(absl::string_view local_sdp) {
  old_ufrag_ = IceUfrag(local_sdp);
}

bool Negotiation::TakeNeeded(SignalingState state) {
  if (state != SignalingState::kStable) return false;
  const bool needed = restart_wanted() || (channel_wanted_ && !negotiated_);
  return needed && !std::exchange(told_, needed);
}

}  // namespace kyuu::peer::internal
