// What an ICE agent counts.

#ifndef KYUU_ICE_AGENT_STATS_H_
#define KYUU_ICE_AGENT_STATS_H_

#include <cstdint>

#include "base/counters.h"

namespace kyuu::ice {

// Counters. Each packet that changes nothing is in exactly one of `drop_*`.
struct AgentStats {
  uint64_t requests_received = 0;  // Authenticated ones.
  // Authenticated ones that found their check.
  uint64_t responses_received = 0;
  uint64_t indications_received = 0;
  uint64_t checks_sent = 0;  // Retransmissions included.
  uint64_t consent_sent = 0;
  uint64_t responses_sent = 0;
  uint64_t role_conflicts = 0;
  uint64_t path_changes = 0;    // The first path is one.
  uint64_t decision_limit = 0;  // Not told: AgentOptions::decisions_max.

  uint64_t drop_not_stun = 0;
  uint64_t drop_wrong_method = 0;
  uint64_t drop_bad_fingerprint = 0;
  uint64_t drop_no_integrity = 0;
  uint64_t drop_wrong_username = 0;
  uint64_t drop_wrong_integrity = 0;
  uint64_t drop_unknown_local = 0;   // Came to an address that is not ours.
  uint64_t drop_forbidden_peer = 0;  // AgentOptions::peers.
  uint64_t drop_unknown_transaction = 0;
  uint64_t drop_asymmetric = 0;  // Answer from or to another address.
  uint64_t drop_malformed = 0;   // Authenticated, but senseless.
  uint64_t drop_response_queue_full = 0;
  // A packet of ours that the buffer was too small for.
  uint64_t drop_too_big = 0;
  uint64_t drop_closed = 0;

  // TCP but for passive ones (the others connect to us), or another component.
  uint64_t candidate_ignored_transport = 0;
  // Port 0, multicast, ..., or against AgentOptions::peers.
  uint64_t candidate_ignored_address = 0;
  uint64_t candidate_ignored_generation = 0;
  uint64_t candidate_ignored_name = 0;  // Not .local, or unresolved.
  uint64_t candidate_limit = 0;
  // Peer-reflexive ones that never worked and made room for a signalled one.
  uint64_t candidate_evicted = 0;
  uint64_t pair_limit = 0;
  uint64_t probes_started = 0;     // Payload went unanswered.
  uint64_t strangers_checked = 0;  // Payload came from an unknown address.
  uint64_t stranger_limit = 0;
  uint64_t early_check_limit = 0;
  uint64_t streams_wanted = 0;  // TCP connections to the peer, asked for.
  uint64_t streams_failed = 0;  // Of these, not made.
  uint64_t streams_accepted = 0;
  uint64_t stream_limit = 0;  // Not made, or not accepted.

  static constexpr Counter<AgentStats> kCounters[] = {
      KYUU_COUNTER(AgentStats, requests_received),
      KYUU_COUNTER(AgentStats, responses_received),
      KYUU_COUNTER(AgentStats, indications_received),
      KYUU_COUNTER(AgentStats, checks_sent),
      KYUU_COUNTER(AgentStats, consent_sent),
      KYUU_COUNTER(AgentStats, responses_sent),
      KYUU_COUNTER(AgentStats, role_conflicts),
      KYUU_COUNTER(AgentStats, path_changes),
      KYUU_COUNTER(AgentStats, decision_limit),
      KYUU_COUNTER(AgentStats, drop_not_stun),
      KYUU_COUNTER(AgentStats, drop_wrong_method),
      KYUU_COUNTER(AgentStats, drop_bad_fingerprint),
      KYUU_COUNTER(AgentStats, drop_no_integrity),
      KYUU_COUNTER(AgentStats, drop_wrong_username),
      KYUU_COUNTER(AgentStats, drop_wrong_integrity),
      KYUU_COUNTER(AgentStats, drop_unknown_local),
      KYUU_COUNTER(AgentStats, drop_forbidden_peer),
      KYUU_COUNTER(AgentStats, drop_unknown_transaction),
      KYUU_COUNTER(AgentStats, drop_asymmetric),
      KYUU_COUNTER(AgentStats, drop_malformed),
      KYUU_COUNTER(AgentStats, drop_response_queue_full),
      KYUU_COUNTER(AgentStats, drop_too_big),
      KYUU_COUNTER(AgentStats, drop_closed),
      KYUU_COUNTER(AgentStats, candidate_ignored_transport),
      KYUU_COUNTER(AgentStats, candidate_ignored_address),
      KYUU_COUNTER(AgentStats, candidate_ignored_generation),
      KYUU_COUNTER(AgentStats, candidate_ignored_name),
      KYUU_COUNTER(AgentStats, candidate_limit),
      KYUU_COUNTER(AgentStats, candidate_evicted),
      KYUU_COUNTER(AgentStats, pair_limit),
      KYUU_COUNTER(AgentStats, probes_started),
      KYUU_COUNTER(AgentStats, strangers_checked),
      KYUU_COUNTER(AgentStats, stranger_limit),
      KYUU_COUNTER(AgentStats, early_check_limit),
      KYUU_COUNTER(AgentStats, streams_wanted),
      KYUU_COUNTER(AgentStats, streams_failed),
      KYUU_COUNTER(AgentStats, streams_accepted),
      KYUU_COUNTER(AgentStats, stream_limit)};
};
static_assert(Countable<AgentStats>);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_AGENT_STATS_H_
