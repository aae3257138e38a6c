#include "peer/connection_stats.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "peer/connection.h"

namespace kyuu::peer {

ConnectionStats Connection::stats() const {
  ConnectionStats stats{.counters = counters_,
                        .taken = last_now_,
                        .rtt = ice_.agent().rtt(),
                        .pairs = ice_.agent().pairs(),
                        .decisions = decisions_.all(),
                        .local_candidates = ice_.candidates(),
                        .connection_state = connection_state_,
                        .ice_state = ice_.agent().state(),
                        .ice_role = ice_.agent().role(),
                        .ice_ufrag = ice_.agent().local_credentials().ufrag,
                        .fingerprint = certificate_.fingerprint(),
                        .ice = ice_.agent().stats(),
                        .embedded_dtls = ice_.agent().embedded_dtls().stats(),
                        .gatherer = ice_.gatherer().stats(),
                        .transport = ice_.stats(),
                        .dtls_session = dtls_session_,
                        .sctp = channels_.association_stats(),
                        .channels = channels_.stats()};
  for (const ice::Candidate& candidate : ice_.candidates()) {
    stats.local_candidate_urls.push_back(server_names_.UrlOf(candidate));
  }
  if (ice_.selected_path()) stats.selected = selected_;
  if (dtls_) stats.dtls = dtls_->stats();
  if (session_.remote()) stats.dtls_role = session_.remote()->local_setup;
  return stats;
}

std::string Connection::DebugString() const {
  return absl::StrCat(
      "connection ", ToString(connection_state_), ", signaling ",
      sdp::SignalingStateName(session_.state()), ", gathering ",
      ToString(gathering_state()), "\n", ice_.DebugString(), "\n",
      dtls_ ? dtls_->DebugString() : "no dtls", "\n", channels_.DebugString());
}

}  // namespace kyuu::peer
