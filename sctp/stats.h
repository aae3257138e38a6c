// Counters and gauges of an association.

#ifndef KYUU_SCTP_STATS_H_
#define KYUU_SCTP_STATS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "base/counters.h"
#include "sctp/event.h"

namespace kyuu::sctp {

// Counters only grow. Each is named in a test that shows what raises it
// (counters_test.cc).
struct Counters {
  // Sent and received.
  uint64_t packets_sent = 0;
  uint64_t packets_received = 0;
  uint64_t bytes_sent = 0;  // SCTP packets, common header included.
  uint64_t bytes_received = 0;
  uint64_t messages_sent = 0;  // Completely transmitted once.
  uint64_t messages_received = 0;
  uint64_t data_chunks_sent = 0;
  uint64_t data_chunks_received = 0;

  // Loss and its repair.
  uint64_t chunks_retransmitted = 0;
  uint64_t fast_recoveries = 0;
  uint64_t t3_timeouts = 0;
  uint64_t spurious_timeouts = 0;    // Of these: RFC 5682.
  uint64_t tail_loss_probes = 0;     // RFC 8985 section 7.
  uint64_t spurious_reductions = 0;  // Undone: nothing was lost.
  uint64_t messages_abandoned = 0;   // RFC 3758, by us.
  uint64_t messages_displaced = 0;   // Of these: by SendOptions::importance.
  uint64_t messages_skipped = 0;     // Partly received, given up by the peer.
  // Of path MTU discovery (RFC 8899): probes, those that stayed unanswered, and
  // sizes that had worked and did not any more.
  uint64_t mtu_probes_sent = 0;
  uint64_t mtu_probes_lost = 0;
  uint64_t black_holes = 0;
  uint64_t heartbeats_sent = 0;

  // Packets and chunks that were dropped, by reason.
  uint64_t drop_malformed_packet = 0;
  uint64_t drop_bad_checksum = 0;
  uint64_t drop_bad_port = 0;
  uint64_t drop_bad_verification_tag = 0;
  uint64_t drop_malformed_chunk = 0;
  uint64_t drop_unknown_chunk = 0;
  uint64_t drop_unexpected_chunk = 0;  // Well-formed, wrong state.
  uint64_t drop_excess_chunks = 0;     // Rests of packets, too many in them.
  uint64_t drop_bad_cookie = 0;        // Forged, expired or stale.
  uint64_t drop_invalid_init = 0;
  uint64_t drop_duplicate_data = 0;
  uint64_t drop_data_outside_window = 0;  // TSN window or too many holes.
  uint64_t drop_data_no_buffer = 0;
  uint64_t drop_data_invalid_stream = 0;
  uint64_t drop_stale_ssn = 0;
  uint64_t drop_invalid_sack = 0;
  uint64_t drop_stale_sack = 0;
  uint64_t drop_invalid_forward_tsn = 0;
  uint64_t drop_bad_heartbeat_ack = 0;
  uint64_t drop_invalid_reconfig = 0;
  uint64_t drop_oversized_reply = 0;     // A reply that would exceed the MTU.
  uint64_t drop_outgoing_no_stream = 0;  // Sent before the peer named fewer.
  uint64_t deferred_resets = 0;          // Beyond max_waiting_resets.
  uint64_t denied_additions = 0;         // Of streams, asked for by the peer.
  uint64_t drop_outgoing_restart = 0;    // Queued for the peer of before.
  uint64_t restarts = 0;                 // RFC 9260 section 5.2, by the peer.

  static constexpr Counter<Counters> kCounters[] = {
      KYUU_COUNTER(Counters, packets_sent),
      KYUU_COUNTER(Counters, packets_received),
      KYUU_COUNTER(Counters, bytes_sent),
      KYUU_COUNTER(Counters, bytes_received),
      KYUU_COUNTER(Counters, messages_sent),
      KYUU_COUNTER(Counters, messages_received),
      KYUU_COUNTER(Counters, data_chunks_sent),
      KYUU_COUNTER(Counters, data_chunks_received),
      KYUU_COUNTER(Counters, chunks_retransmitted),
      KYUU_COUNTER(Counters, fast_recoveries),
      KYUU_COUNTER(Counters, t3_timeouts),
      KYUU_COUNTER(Counters, spurious_timeouts),
      KYUU_COUNTER(Counters, tail_loss_probes),
      KYUU_COUNTER(Counters, spurious_reductions),
      KYUU_COUNTER(Counters, messages_abandoned),
      KYUU_COUNTER(Counters, messages_displaced),
      KYUU_COUNTER(Counters, messages_skipped),
      KYUU_COUNTER(Counters, mtu_probes_sent),
      KYUU_COUNTER(Counters, mtu_probes_lost),
      KYUU_COUNTER(Counters, black_holes),
      KYUU_COUNTER(Counters, heartbeats_sent),
      KYUU_COUNTER(Counters, drop_malformed_packet),
      KYUU_COUNTER(Counters, drop_bad_checksum),
      KYUU_COUNTER(Counters, drop_bad_port),
      KYUU_COUNTER(Counters, drop_bad_verification_tag),
      KYUU_COUNTER(Counters, drop_malformed_chunk),
      KYUU_COUNTER(Counters, drop_unknown_chunk),
      KYUU_COUNTER(Counters, drop_unexpected_chunk),
      KYUU_COUNTER(Counters, drop_excess_chunks),
      KYUU_COUNTER(Counters, drop_bad_cookie),
      KYUU_COUNTER(Counters, drop_invalid_init),
      KYUU_COUNTER(Counters, drop_duplicate_data),
      KYUU_COUNTER(Counters, drop_data_outside_window),
      KYUU_COUNTER(Counters, drop_data_no_buffer),
      KYUU_COUNTER(Counters, drop_data_invalid_stream),
      KYUU_COUNTER(Counters, drop_stale_ssn),
      KYUU_COUNTER(Counters, drop_invalid_sack),
      KYUU_COUNTER(Counters, drop_stale_sack),
      KYUU_COUNTER(Counters, drop_invalid_forward_tsn),
      KYUU_COUNTER(Counters, drop_bad_heartbeat_ack),
      KYUU_COUNTER(Counters, drop_invalid_reconfig),
      KYUU_COUNTER(Counters, drop_oversized_reply),
      KYUU_COUNTER(Counters, drop_outgoing_no_stream),
      KYUU_COUNTER(Counters, deferred_resets),
      KYUU_COUNTER(Counters, denied_additions),
      KYUU_COUNTER(Counters, drop_outgoing_restart),
      KYUU_COUNTER(Counters, restarts),
  };
};
static_assert(Countable<Counters>);

// Stats is a snapshot: the counters, and gauges that say how things are now.
struct Stats : Counters {
  size_t cwnd_bytes = 0;
  size_t ssthresh_bytes = 0;
  size_t flight_bytes = 0;
  size_t packet_bytes = 0;  // The largest that the path is known to carry.
  size_t peer_rwnd_bytes = 0;
  size_t receive_held_bytes = 0;   // Counted against our window.
  size_t send_buffered_bytes = 0;  // Payload not yet transmitted once.
  size_t send_occupied_bytes = 0;  // Counted against send_buffer_bytes.
  double delivery_rate = 0;        // Bytes per second, by the last SACK.
  absl::Duration srtt = absl::ZeroDuration();
  absl::Duration rttvar = absl::ZeroDuration();
  absl::Duration rto = absl::ZeroDuration();
  // What was agreed on; nullopt without an association.
  std::optional<Connected> terms;
};

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_STATS_H_
