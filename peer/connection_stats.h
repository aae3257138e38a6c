// What a peer connection counts, and a snapshot of it.

#ifndef KYUU_PEER_CONNECTION_STATS_H_
#define KYUU_PEER_CONNECTION_STATS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/counters.h"
#include "dtls/session.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"
#include "ice/policy.h"
#include "ice/transport.h"
#include "peer/connection_types.h"
#include "sctp/data_channel.h"
#include "sdp/session.h"

namespace kyuu::peer {

// Counters; everything that arrives is in one of them or in a part's.
struct ConnectionCounters {
  uint64_t datagrams_received = 0;
  uint64_t bytes_received = 0;
  uint64_t datagrams_sent = 0;
  uint64_t bytes_sent = 0;
  uint64_t discarded_unknown = 0;     // SRTP, on a path of the peer.
  uint64_t discarded_early_dtls = 0;  // Beyond early_dtls_datagrams_max.
  uint64_t discarded_closed = 0;
  uint64_t ignored_candidates = 0;  // Unknown transports, foreign sections.

  static constexpr Counter<ConnectionCounters> kCounters[] = {
      KYUU_COUNTER(ConnectionCounters, datagrams_received),
      KYUU_COUNTER(ConnectionCounters, bytes_received),
      KYUU_COUNTER(ConnectionCounters, datagrams_sent),
      KYUU_COUNTER(ConnectionCounters, bytes_sent),
      KYUU_COUNTER(ConnectionCounters, discarded_unknown),
      KYUU_COUNTER(ConnectionCounters, discarded_early_dtls),
      KYUU_COUNTER(ConnectionCounters, discarded_closed),
      KYUU_COUNTER(ConnectionCounters, ignored_candidates)};
};
static_assert(Countable<ConnectionCounters>);

// A decision of ICE and the engine's time of it.
struct PathDecision {
  absl::Time at;
  ice::Decision decision;
};

// A snapshot of the whole connection.
struct ConnectionStats {
  ConnectionCounters counters;
  absl::Time taken;                             // The engine's time.
  std::optional<SelectedPathChanged> selected;  // The path in use.
  std::optional<absl::Duration> rtt;            // ICE's, of that path.
  std::vector<ice::PairInfo> pairs;
  // The last ones, Options::ice.decisions_max of them, oldest first.
  std::vector<PathDecision> decisions;
  std::vector<ice::Candidate> local_candidates;
  // Of the servers that told these, in their order; "" of host candidates.
  std::vector<std::string> local_candidate_urls;
  ConnectionState connection_state = ConnectionState::kNew;
  ice::AgentState ice_state = ice::AgentState::kNew;
  ice::Role ice_role = ice::Role::kControlling;
  std::string ice_ufrag;  // Ours.
  std::optional<sdp::Setup> dtls_role;
  dtls::Fingerprint fingerprint;  // Of our certificate.
  ice::AgentStats ice;
  ice::EmbeddedDtlsStats embedded_dtls;
  ice::Gatherer::Stats gatherer;
  ice::IceTransportStats transport;
  std::optional<dtls::Connected> dtls_session;  // Version, cipher, peer.
  dtls::Stats dtls;
  sctp::Stats sctp;
  sctp::DataChannelStats channels;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_CONNECTION_STATS_H_
