// What both ends know of each other from the INIT ACK or the COOKIE ECHO on:
// the transmission control block (RFC 9260 section 2.2).

#ifndef KYUU_SCTP_INTERNAL_TCB_H_
#define KYUU_SCTP_INTERNAL_TCB_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/internal/data_tracker.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/outstanding_data.h"
#include "sctp/internal/reassembly.h"
#include "sctp/internal/rto.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/internal/stream_reset.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

struct Tcb {
  // All references must outlive this.
  Tcb(const Options& options, size_t mtu, const StateCookie& terms,
      SendQueue& queue, EventQueue& events, Stats& stats)
      : peer_tag(terms.peer_tag),
        peer_extensions(terms.peer_extensions),
        outgoing_streams(
            std::min(options.outgoing_streams, terms.peer_inbound_streams)),
        incoming_streams(
            std::min(options.incoming_streams, terms.peer_outbound_streams)),
        tracker(options, terms.peer_initial_tsn),
        reassembly(options, terms.peer_initial_tsn, events, stats),
        outstanding(terms.local_initial_tsn, queue),
        reset(terms.local_initial_tsn, terms.peer_initial_tsn, queue,
              reassembly, events, stats, options.max_waiting_resets),
        rto(options),
        congestion(options, mtu),
        peer_a_rwnd(terms.peer_a_rwnd),
        advertised_rwnd(options.receive_window_bytes),
        forwarded_to(terms.local_initial_tsn - 1) {}

  uint32_t peer_tag;
  Extensions peer_extensions;
  uint16_t outgoing_streams;
  uint16_t incoming_streams;

  DataTracker tracker;
  Reassembly reassembly;
  OutstandingData outstanding;
  StreamReset reset;
  Rto rto;
  CongestionControl congestion;

  size_t peer_a_rwnd;
  size_t advertised_rwnd;          // In the last SACK.
  size_t received_since_sack = 0;  // Payload bytes.
  // Fast recovery ends when this TSN is acknowledged (section 7.2.4).
  std::optional<Tsn> recovery_exit;
  // What was in flight when T3 expired ends with this TSN.
  std::optional<Tsn> timeout_exit;
  bool fast_retransmit = false;  // One packet may ignore the window.
  absl::Time last_data_sent = absl::InfinitePast();
  // FORWARD TSN (RFC 3758 section 3.5): when it was sent last and about what.
  bool forward_again = false;
  uint64_t forward_version = 0;
  Tsn forwarded_to;
  absl::Time last_forward = absl::InfinitePast();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_TCB_H_
