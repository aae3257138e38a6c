// The settings of data channels.

#ifndef KYUU_SCTP_DATA_CHANNEL_OPTIONS_H_
#define KYUU_SCTP_DATA_CHANNEL_OPTIONS_H_

#include <cstddef>

#include "absl/time/time.h"
#include "sctp/message.h"
#include "sctp/options.h"

namespace kyuu::sctp {

// DataChannelsOptions is given to DataChannels at their construction.
struct DataChannelsOptions {
  sctp::Options association;
  // Channels of both sides, closing ones too; a further OPEN is refused.
  size_t channels_max = 16384;
  // Labels and protocols of the peer's channels, in bytes, all together.
  size_t peer_text_bytes_max = size_t{1} << 20;
  // How messages on the peer's channels are handed over; on our own, their
  // configuration says it.
  Delivery incoming_delivery = Delivery::kWhole;
  // Messages that arrived on a stream before its OPEN (unordered data may
  // overtake it) or before Create with its negotiated id, all together. One
  // beyond either limit is dropped and counted.
  size_t early_bytes_max = size_t{1} << 20;
  size_t early_messages_max = 1024;
  // Events that wait to be polled, and the payload in them; beyond either,
  // messages wait in the receive window, which holds the peer back.
  size_t events_max = 256;
  size_t event_bytes_max = size_t{1} << 20;
  // How long Shutdown waits for the peer's side of closing channels, once it
  // has acknowledged everything.
  absl::Duration close_channels_timeout = absl::Seconds(10);
};

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_DATA_CHANNEL_OPTIONS_H_
