// What both ends know of each other from the INIT ACK or the COOKIE ECHO on:
// the transmission control block (RFC 9260 section 2.2).

#ifndef KYUU_SCTP_INTERNAL_TCB_H_
#define KYUU_SCTP_INTERNAL_TCB_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "sctp/event.h"
#include "sctp/internal/chosen_control.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/internal/data_tracker.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/inbox.h"
#include "sctp/internal/outstanding_data.h"
#include "sctp/internal/pacer.h"
#include "sctp/internal/path_mtu.h"
#include "sctp/internal/receive_window.h"
#include "sctp/internal/rto.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/internal/states.h"
#include "sctp/internal/stream_count.h"
#include "sctp/internal/stream_reset.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// What references of a control block must outlive it.
struct TcbOwner {
  const Options& options;
  SendQueue& queue;
  EventQueue& events;
  Stats& stats;
  size_t mtu;
  size_t max_mtu;
};

struct Tcb {
  // The HEARTBEAT that waits for its answer.
  struct Heartbeat {
    uint64_t nonce = 0;
    absl::Time sent;
    Duty due = Duty::kDue;
  };
  // An ERROR about what the peer has sent, at most kMaxReport bytes of it. One
  // for each packet that we send: the latest.
  static constexpr size_t kMaxReport = 128;
  struct Report {
    ErrorCause cause;
    std::vector<uint8_t> information;
  };

  // `begun` is what was sent under the same terms of ours already, if anything.
  Tcb(const TcbOwner& owner, absl::Time now, const StateCookie& terms,
      std::optional<OutstandingData> begun, Phase begins_in)
      : phase(std::move(begins_in)),
        peer_tag(terms.peer_tag),
        peer_extensions(terms.peer_extensions),
        data_type(DataType(owner.options, terms.peer_extensions)),
        sends_zero_checksum(owner.options.zero_checksum &&
                            terms.peer_extensions.zero_checksum),
        streams(owner.options, terms.peer_inbound_streams,
                terms.peer_outbound_streams, owner.events, owner.stats),
        tracker(owner.options, terms.peer_initial_tsn),
        reassembly(data_type, owner.options, terms.peer_initial_tsn,
                   owner.events, owner.stats),
        outstanding(
            begun ? *std::move(begun)
                  : OutstandingData(terms.local_initial_tsn, owner.queue)),
        reset(terms.local_initial_tsn, terms.peer_initial_tsn, owner.queue,
              reassembly, streams, owner.events, owner.stats,
              owner.options.max_waiting_resets),
        rto(owner.options),
        congestion(owner.options, owner.mtu),
        path_mtu(owner.mtu, owner.max_mtu),
        pacer(owner.options.initial_cwnd_packets * owner.mtu),
        peer_a_rwnd(terms.peer_a_rwnd),
        window(owner.options),
        advertised_rwnd(window.size()),
        forwarded_to(terms.local_initial_tsn - 1),
        last_heard(now) {
    outstanding.set_data_type(data_type);
  }
  // Its parts refer to each other.
  Tcb(const Tcb&) = delete;
  Tcb& operator=(const Tcb&) = delete;

  template <typename S>
  bool In() const {
    return std::holds_alternative<S>(phase);
  }
  // RFC 8260 section 2.2.1: I-DATA if both ends offer it, and then nothing
  // else. A peer that has agreed on partial reliability must be able to tell of
  // it in that format too.
  static ChunkType DataType(const Options& options, const Extensions& peer) {
    return options.interleaving && peer.i_data &&
                   (peer.i_forward_tsn || !peer.forward_tsn)
               ? ChunkType::kIData
               : ChunkType::kData;
  }
  // What both sides agreed on, and the streams that were added since.
  Connected terms() const {
    return {.outgoing_streams = streams.outgoing(),
            .incoming_streams = streams.incoming(),
            .partial_reliability = partial_reliability(),
            .stream_reset = peer_extensions.re_config,
            .interleaving = data_type == ChunkType::kIData,
            .zero_checksum = sends_zero_checksum};
  }
  bool partial_reliability() const {
    return data_type == ChunkType::kIData ? peer_extensions.i_forward_tsn
                                          : peer_extensions.forward_tsn;
  }
  ChunkType forward_type() const {
    return data_type == ChunkType::kIData ? ChunkType::kIForwardTsn
                                          : ChunkType::kForwardTsn;
  }
  // Whether data goes out (section 6, and section 9.2 for the shutdown).
  bool carries_data() const {
    return In<state::Established>() || In<state::ShutdownPending>() ||
           In<state::ShutdownReceived>();
  }

  // The peer has answered something, so it lives (RFC 9260 section 8.1).
  void PeerAnswered() {
    error_count = 0;
    next_error = absl::InfinitePast();
  }

  // The peer's window is `bytes`; where a packet does not fit into it, it is
  // probed at `later` first.
  void OnWindow(size_t bytes, absl::Time later) {
    peer_a_rwnd = bytes;
    if (bytes >= path_mtu.base()) {
      window_probes = 0;
      window_probe_at = absl::InfinitePast();
    } else if (window_probes == 0) {
      window_probe_at = later;
    }
  }

  Phase phase;

  uint32_t peer_tag;
  Extensions peer_extensions;
  ChunkType data_type;
  bool sends_zero_checksum;  // RFC 9653.

  StreamCount streams;
  DataTracker tracker;
  Inbox reassembly;
  OutstandingData outstanding;
  StreamReset reset;
  Rto rto;
  ChosenControl congestion;
  PathMtu path_mtu;
  Pacer pacer;

  size_t peer_a_rwnd;
  // Towards a window that is closed one chunk goes as a probe, not before then,
  // and later each time (section 6.1 rule A).
  absl::Time window_probe_at = absl::InfinitePast();
  int window_probes = 0;
  ReceiveWindow window;
  size_t advertised_rwnd;          // In the last SACK.
  size_t received_since_sack = 0;  // Payload bytes.
  bool packet_had_data = false;    // The packet at hand, so far.
  // Fast recovery ends when this TSN is acknowledged (section 7.2.4).
  std::optional<Tsn> recovery_exit;
  // What was in flight when T3 expired ends with this TSN.
  std::optional<Tsn> timeout_exit;
  // What a probe for the loss of the last packets has sent again, until it is
  // known whether it was lost (RFC 8985 section 7.4).
  struct TailProbe {
    Tsn first;
    Tsn last;
  };
  std::optional<TailProbe> tail_probe;
  bool sack_asked = false;       // By the last packet with data.
  RateSample rate;               // The last one.
  bool fast_retransmit = false;  // One packet may ignore the window.
  // FORWARD TSN (RFC 3758 section 3.5): when it was sent last and about what.
  bool forward_again = false;
  uint64_t forward_version = 0;
  Tsn forwarded_to;
  absl::Time last_forward = absl::InfinitePast();

  // Whether the peer lives (section 8.1).
  absl::Time last_heard;
  int error_count = 0;
  absl::Time next_error = absl::InfinitePast();  // None counts before it.

  // What is to be sent, whatever the phase.
  Duty cookie_ack = Duty::kDone;
  std::optional<std::vector<uint8_t>> heartbeat_ack;
  std::optional<Heartbeat> heartbeat;
  std::optional<Report> report;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_TCB_H_
