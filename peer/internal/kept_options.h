// What a connection asks its Options for once its parts have got theirs.

#ifndef KYUU_PEER_INTERNAL_KEPT_OPTIONS_H_
#define KYUU_PEER_INTERNAL_KEPT_OPTIONS_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/address_filter.h"
#include "dtls/session.h"
#include "ice/gatherer.h"
#include "peer/connection_types.h"

namespace kyuu::peer::internal {

// KeptOptions has a fifth of the size of Options, most of which is the parts',
// who keep it themselves. Its members are those of Options, unless said.
struct KeptOptions {
  explicit KeptOptions(const Options& from)
      : stun_servers(from.stun_servers),
        turn_servers(from.turn_servers),
        policy(from.policy),
        lite(from.lite),
        sped(from.sped),
        candidate_pool_size(from.candidate_pool_size),
        max_datagram_bytes(from.max_datagram_bytes),
        advertise(from.advertise),
        decisions_max(from.ice.decisions_max),
        ice_pacing(from.sdp.ice_pacing),
        dtls(from.dtls),
        pending_candidates_max(from.pending_candidates_max),
        early_dtls_datagrams_max(from.early_dtls_datagrams_max),
        shutdown_timeout(from.shutdown_timeout),
        shutdown_timeout_max(from.shutdown_timeout_max),
        linger(from.linger) {}

  std::vector<TransportAddress> stun_servers;
  std::vector<ice::TurnServer> turn_servers;
  ice::GatherPolicy policy;
  bool lite;
  bool sped;
  size_t candidate_pool_size;
  size_t max_datagram_bytes;
  AddressFilter advertise;
  size_t decisions_max;                      // Of Options::ice.
  std::optional<absl::Duration> ice_pacing;  // Of Options::sdp.
  dtls::Options dtls;
  size_t pending_candidates_max;
  size_t early_dtls_datagrams_max;
  absl::Duration shutdown_timeout;
  absl::Duration shutdown_timeout_max;
  absl::Duration linger;
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_KEPT_OPTIONS_H_
