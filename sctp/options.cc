#include "sctp/options.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace kyuu::sctp {
namespace {

absl::Status Invalid(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("sctp::Options: ", what));
}

}  // namespace

absl::Status Options::Validate() const {
  // Below 512 an INIT ACK with its cookie has no room; RFC 8261 section 5
  // wants 1200 of the lower layer. A chunk length has 16 bits.
  if (mtu < 512 || mtu > 65535) return Invalid("mtu is not in 512..65535");
  if (max_mtu > 65535) return Invalid("max_mtu is above 65535");
  if (outgoing_streams == 0) return Invalid("outgoing_streams is 0");
  if (incoming_streams == 0) return Invalid("incoming_streams is 0");
  // RFC 9260 section 3.3.2: a_rwnd is at least 1500.
  if (receive_window_bytes < 1500 || receive_window_bytes > 0x7fffffff) {
    return Invalid("receive_window_bytes is not in 1500..2^31-1");
  }
  if (initial_receive_window_bytes < 1500) {
    return Invalid("initial_receive_window_bytes is below 1500");
  }
  if (max_message_in == 0) return Invalid("max_message_in is 0");
  if (max_message_out == 0 || max_message_out > 0xffffffff) {
    return Invalid("max_message_out is not in 1..2^32-1");
  }
  if (stream_send_buffer_bytes == 0 || send_buffer_bytes == 0) {
    return Invalid("a send buffer is 0");
  }
  if (max_tsn_window == 0 || max_tsn_window > 32767) {
    return Invalid("max_tsn_window is not in 1..32767");
  }
  if (max_waiting_resets == 0) return Invalid("max_waiting_resets is 0");
  if (max_gap_intervals == 0) return Invalid("max_gap_intervals is 0");
  if (rto_min <= absl::ZeroDuration() || rto_min > rto_initial ||
      rto_initial > rto_max) {
    return Invalid("not 0 < rto_min <= rto_initial <= rto_max");
  }
  // RFC 9260 section 6.2: "MUST NOT be more than 500 ms".
  if (sack_delay < absl::ZeroDuration() ||
      sack_delay > absl::Milliseconds(500)) {
    return Invalid("sack_delay is not in 0..500 ms");
  }
  if (reset_delay < absl::ZeroDuration()) {
    return Invalid("reset_delay is negative");
  }
  if (heartbeat_interval <= absl::ZeroDuration()) {
    return Invalid("heartbeat_interval is not positive");
  }
  if (cookie_lifetime <= absl::ZeroDuration()) {
    return Invalid("cookie_lifetime is not positive");
  }
  if (max_init_retransmits.value_or(0) < 0 ||
      max_association_retransmits.value_or(0) < 0) {
    return Invalid("a retransmission limit is negative");
  }
  if (initial_cwnd_packets == 0) return Invalid("initial_cwnd_packets is 0");
  return absl::OkStatus();
}

}  // namespace kyuu::sctp
