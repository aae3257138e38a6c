// Negotiation: which descriptions are in force, and whether new ones are due.

#ifndef KYUU_PEER_INTERNAL_PEER_CONNECTION_NEGOTIATION_H_
#define KYUU_PEER_INTERNAL_PEER_CONNECTION_NEGOTIATION_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "peer/connection_types.h"
#include "peer/peer_connection.h"

namespace kyuu::peer::internal {

// Negotiation is told of every description after sdp has accepted it.
class Negotiation {
 public:
  // `after` is the signaling state since then, `local_sdp` the local
  // description in force.
  void OnLocal(SdpType type, SignalingState after, absl::string_view local_sdp);
  void OnRemote(SessionDescription remote, SignalingState after,
                absl::string_view local_sdp);
  void OnRollback();

  // A channel was created; the application asked for an ICE restart.
  void WantChannel() { channel_wanted_ = true; }
  void WantRestart(absl::string_view local_sdp);
  // Whether the next offer is to restart ICE.
  bool restart_wanted() const { return !old_ufrag_.empty(); }
  // Whether on_negotiation_needed is due; true once for each need (W3C
  // webrtc-pc section 4.7.3).
  bool TakeNeeded(SignalingState state);

  // The pending ones if there are any. The texts of ours are sdp::Session's.
  std::optional<SdpType> local_type() const {
    return pending_local_ ? pending_local_ : current_local_;
  }
  const std::optional<SessionDescription>& remote() const {
    return pending_remote_ ? pending_remote_ : current_remote_;
  }

 private:
  void Settle(SignalingState after, absl::string_view local_sdp);

  std::optional<SdpType> current_local_, pending_local_;
  std::optional<SessionDescription> current_remote_, pending_remote_;
  bool channel_wanted_ = false;
  bool negotiated_ = false;  // There has been an answer.
  bool told_ = false;        // Of the present need.
  // What a restart wants replaced; empty if none does.
  std::string old_ufrag_;
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PEER_CONNECTION_NEGOTIATION_H_
