// Counters of data channels: of each, and of all on an association.

#ifndef KYUU_SCTP_DATA_CHANNEL_STATS_H_
#define KYUU_SCTP_DATA_CHANNEL_STATS_H_

#include <cstdint>

#include "base/counters.h"

namespace kyuu::sctp {

// Of one channel; W3C's RTCDataChannelStats has these names. DCEP's messages
// and the byte that stands for an empty message do not count.
struct ChannelStats {
  uint64_t messages_sent = 0;  // Taken by Send.
  uint64_t bytes_sent = 0;
  uint64_t messages_received = 0;  // Given to the application.
  uint64_t bytes_received = 0;

  static constexpr Counter<ChannelStats> kCounters[] = {
      KYUU_COUNTER(ChannelStats, messages_sent),
      KYUU_COUNTER(ChannelStats, bytes_sent),
      KYUU_COUNTER(ChannelStats, messages_received),
      KYUU_COUNTER(ChannelStats, bytes_received)};
  bool operator==(const ChannelStats&) const = default;
};
static_assert(Countable<ChannelStats>);

// Of all channels together, those that are closed included; and counters of
// everything that was dropped or refused.
struct DataChannelStats {
  uint64_t channels_opened = 0;
  uint64_t channels_accepted = 0;
  uint64_t channels_closed = 0;
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
  uint64_t bytes_sent = 0;  // Payload.
  uint64_t bytes_received = 0;

  uint64_t drop_before_start = 0;  // Packets.
  uint64_t drop_malformed_dcep = 0;
  uint64_t drop_unexpected_ack = 0;   // No channel waits for one.
  uint64_t drop_duplicate_open = 0;   // The stream has a channel.
  uint64_t refused_parity = 0;        // OPEN on a stream of our parity.
  uint64_t refused_limit = 0;         // Too many channels, too much text.
  uint64_t postponed_refusals = 0;    // Of refused ones: told of later.
  uint64_t drop_early_data = 0;       // Beyond early_*_max.
  uint64_t drop_after_close = 0;      // On a channel that we closed.
  uint64_t drop_unknown_ppid = 0;     // Neither data nor DCEP.
  uint64_t drop_partial_message = 0;  // Deprecated parts that do not join.
  uint64_t drop_oversized = 0;        // Channels closed because of a message.
  uint64_t ignored_resets = 0;        // Of streams without a channel, too many.

  static constexpr Counter<DataChannelStats> kCounters[] = {
      KYUU_COUNTER(DataChannelStats, channels_opened),
      KYUU_COUNTER(DataChannelStats, channels_accepted),
      KYUU_COUNTER(DataChannelStats, channels_closed),
      KYUU_COUNTER(DataChannelStats, messages_sent),
      KYUU_COUNTER(DataChannelStats, messages_received),
      KYUU_COUNTER(DataChannelStats, bytes_sent),
      KYUU_COUNTER(DataChannelStats, bytes_received),
      KYUU_COUNTER(DataChannelStats, drop_before_start),
      KYUU_COUNTER(DataChannelStats, drop_malformed_dcep),
      KYUU_COUNTER(DataChannelStats, drop_unexpected_ack),
      KYUU_COUNTER(DataChannelStats, drop_duplicate_open),
      KYUU_COUNTER(DataChannelStats, refused_parity),
      KYUU_COUNTER(DataChannelStats, refused_limit),
      KYUU_COUNTER(DataChannelStats, postponed_refusals),
      KYUU_COUNTER(DataChannelStats, drop_early_data),
      KYUU_COUNTER(DataChannelStats, drop_after_close),
      KYUU_COUNTER(DataChannelStats, drop_unknown_ppid),
      KYUU_COUNTER(DataChannelStats, drop_partial_message),
      KYUU_COUNTER(DataChannelStats, drop_oversized),
      KYUU_COUNTER(DataChannelStats, ignored_resets),
  };
};
static_assert(Countable<DataChannelStats>);

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_DATA_CHANNEL_STATS_H_
