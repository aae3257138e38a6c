// The settings of an association, each with its arithmetic.

#ifndef KYUU_SCTP_OPTIONS_H_
#define KYUU_SCTP_OPTIONS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace kyuu::sctp {

// Which stream sends next: by message, or by fragment where RFC 8260 was agreed
// on. Messages of one stream always follow each other.
enum class Scheduler : uint8_t {
  // By bytes, in proportion to SendOptions::priority (RFC 8260 section 3.6).
  kWeightedFair,
  kRoundRobin,  // Section 3.2.
  // In the order of Send (section 3.1).
  kFirstComeFirstServed,
};

// Options is given to an Association once, at its construction.
struct Options {
  // RFC 8841 section 5: 5000 is what WebRTC uses on both sides.
  uint16_t local_port = 5000;
  uint16_t remote_port = 5000;

  // The largest SCTP packet in bytes, common header included. 1280 (smallest
  // IPv6 MTU) - 40 (IPv6) - 8 (UDP) - 24 (DTLS AES-GCM record: 8 nonce + 16
  // tag) - 13 (DTLS record header) - 4 (TURN ChannelData). Packets are filled
  // to this size, rounded down to a multiple of 4, so that trains of equal
  // datagrams form.
  size_t mtu = 1191;
  // The largest packet that is tried on the path, where it is above `mtu`, once
  // there is as much to send (RFC 8899; internal/path_mtu.h). Chunks of data
  // stay within `mtu`. A driver that sets it sends a probe (sent_probe) so that
  // nobody fragments it.
  size_t max_mtu = 0;

  // Streams that we ask for, and that we let the peer use. A stream costs
  // nothing until it is used, so there is no reason to offer fewer than
  // RFC 8831 section 6.2 asks for.
  uint16_t outgoing_streams = 65535;
  uint16_t incoming_streams = 65535;
  // Up to how many in all a peer gets what it asks for later: streams that we
  // send on (RFC 6525 section 5.2.6), and that it does (section 5.2.5). Below
  // the two above: those. Our own AddStreams is not bound by them.
  uint16_t max_outgoing_streams = 0;
  uint16_t max_incoming_streams = 0;

  // Bytes held for the application or for missing neighbours; advertised as
  // a_rwnd. 5 MiB, which is 400 Mbit/s at 100 ms, is the window to begin with.
  // Where more arrives, and the application takes it, the window grows with the
  // path up to receive_window_bytes: four times what arrives in a round trip, 5
  // Gbit/s at 100 ms; it shrinks again where less does. The message that is
  // being put together at the cumulative TSN is not counted: see
  // max_message_in. Against a peer that ignores the window, up to twice this
  // much is held.
  size_t receive_window_bytes = size_t{64} << 20;
  size_t initial_receive_window_bytes = size_t{5} << 20;

  // What a chunk or message that is held costs besides its payload, so that a
  // peer cannot fill the memory with one-byte fragments that "cost" nothing.
  size_t held_overhead_bytes = 96;

  // The largest message accepted from the peer. A larger one is a protocol
  // violation and aborts the association. RFC 8841 section 6 default is
  // 64 KiB; 256 KiB is what browsers send at most. A message may be larger
  // than the receive window: it is put together outside of it.
  size_t max_message_in = size_t{256} << 10;

  // The largest message accepted in parts (MessagePart), which it then comes in
  // once it is above max_message_in, and on a stream of Delivery::kParts from
  // its beginning. What is not taken counts against the receive window, whose
  // size is the bound of memory. Below max_message_in: that.
  size_t max_message_in_parts = 0;

  // RFC 8260: whether to offer I-DATA, with which the fragments of several
  // messages may be mixed, so that a small message does not wait for the whole
  // of a large one. With a peer that does not know it, DATA is used.
  bool interleaving = true;
  // Payload of messages of the peer that are not whole yet, all together, once
  // they may be mixed; more is an abuse and aborts the association. It does not
  // count against the receive window: a window that is closed by the beginnings
  // of messages would never open again. 128 messages of max_message_in, and
  // one more of them, however large that is.
  size_t max_unfinished_bytes = size_t{32} << 20;

  // The largest message that Send takes; the peer's a=max-message-size.
  size_t max_message_out = size_t{1} << 30;

  // Send takes messages until this much is queued or unacknowledged on the
  // message's stream, and on all streams together: payload and
  // send_overhead_bytes for each message, so one message may overshoot. 16 MiB
  // is what browsers give a channel; four full ones fill the whole.
  size_t stream_send_buffer_bytes = size_t{16} << 20;
  size_t send_buffer_bytes = size_t{64} << 20;
  size_t send_overhead_bytes = 128;

  Scheduler scheduler = Scheduler::kWeightedFair;

  // RFC 9653: whether to agree on packets without checksums, where the peer
  // does too. Only for an association that is carried by DTLS, which finds
  // every change itself.
  bool zero_checksum = false;

  // How far beyond the cumulative TSN data is accepted, and sent. Each TSN may
  // be a message: farther, its 16-bit SSN would look like one of the past (RFC
  // 9260 section 6.5 compares them by RFC 1982).
  uint32_t max_tsn_window = 32767;
  // Holes that the received data may have at one time; data that would open
  // one more is dropped, to be sent again later.
  size_t max_gap_intervals = 1024;
  // Gap blocks and duplicate TSNs reported in one SACK: 4 bytes each.
  size_t max_sack_gap_blocks = 256;
  size_t max_sack_duplicates = 20;
  // StreamsReset and StreamsAdded events that may wait to be polled; a peer's
  // further resets are answered "in progress", so that it asks again (RFC 6525
  // section 4.4), and further additions are denied. A reset names up to 600
  // streams, 2 bytes each.
  size_t max_waiting_resets = 64;

  // Whether a peer may make all streams and TSNs start over (RFC 6525 section
  // 5.2.4). Denied, a channel or whatever else a stream stands for ends by what
  // both sides know of it.
  bool grant_association_reset = false;

  // RFC 9260 section 16 has 1 s, 1 s and 60 s. A round trip over the internet
  // is below 500 ms nearly always, and a handshake that lost its first packet
  // is waited for by a person. The floor of 220 ms lies above the 200 ms for
  // which a peer may delay a SACK. The ceiling keeps recovery prompt after an
  // outage; ICE consent (RFC 7675) has ended the path after 30 s anyway.
  absl::Duration rto_initial = absl::Milliseconds(500);
  absl::Duration rto_min = absl::Milliseconds(220);
  absl::Duration rto_max = absl::Seconds(3);

  // RFC 9260 section 6.2 allows 500 ms at most and names 200 ms; long delays
  // slow the peer's congestion window and its loss recovery down.
  absl::Duration sack_delay = absl::Milliseconds(50);

  // How long the reset of a stream waits after the acknowledgement of what was
  // sent on it, where ResetTiming::kPatient asks for that. RFC 6525 asks for no
  // time at all; but there are stacks that throw away what their application
  // has not taken when the reset comes, and an acknowledgement is the stack's
  // word, not the application's.
  absl::Duration reset_delay = absl::ZeroDuration();

  // RFC 9260 section 15.
  absl::Duration heartbeat_interval = absl::Seconds(30);
  absl::Duration cookie_lifetime = absl::Seconds(60);
  // Repetitions of INIT, and of COOKIE ECHO, after which the peer counts as
  // absent. Unset, as in the next one: never; whoever owns the path judges.
  std::optional<int> max_init_retransmits = 8;
  // Timeouts in a row, of data, heartbeats, resets or shutdown, after which the
  // peer counts as gone (section 8.1). They are counted no faster than one
  // timer alone would expire, and whatever the peer answers begins anew.
  std::optional<int> max_association_retransmits = 10;

  // How much may be in flight, and how fast it leaves: as RFC 9260 section 7.2
  // has it, or CUBIC (RFC 9438) with HyStart++ (RFC 9406), paced, which comes
  // back sooner after a loss where the round trip is long. kBbr models the path
  // (draft-ietf-ccwg-bbr) and does not take single losses for congestion: much
  // faster over a radio link, and less polite to flows that do.
  enum class CongestionControl : uint8_t {
    kRfc9260,
    kCubic,
    kBbr
  } congestion_control = CongestionControl::kCubic;
  // The congestion window to begin with, in packets (RFC 6928 has 10).
  size_t initial_cwnd_packets = 10;

  // INVALID_ARGUMENT with the offending name if values contradict each other.
  // An Association that is constructed with invalid options aborts.
  absl::Status Validate() const;

  // The largest message accepted, in one way or the other.
  size_t largest_message_in() const {
    return std::max(max_message_in, max_message_in_parts);
  }
};

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_OPTIONS_H_
