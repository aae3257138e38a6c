// DataChannel: a data channel of a PeerConnection, with the names of W3C's
// RTCDataChannel.

#ifndef KYUU_PEER_DATA_CHANNEL_H_
#define KYUU_PEER_DATA_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "peer/connection_types.h"

namespace kyuu::peer {

namespace internal {
class Core;
}  // namespace internal

class DataChannel;

// RTCDataChannelState.
enum class DataChannelState : uint8_t { kConnecting, kOpen, kClosing, kClosed };
absl::string_view ToString(DataChannelState state);

// A message of the peer. Text is meant to be UTF-8 and is not checked to be.
struct Message {
  PayloadType type = PayloadType::kBinary;
  std::vector<uint8_t> payload;

  absl::string_view text() const {
    return {reinterpret_cast<const char*>(payload.data()), payload.size()};
  }
};

// What has arrived of a message since the part before, on a channel with
// ChannelConfig::delivery kParts.
struct MessagePart {
  PayloadType type = PayloadType::kBinary;
  uint64_t message = 0;     // The same in all its parts, and in no other's.
  uint64_t offset = 0;      // Bytes of the message in the parts before.
  Part part = Part::kMore;  // kGivenUp: the rest never comes.
  std::vector<uint8_t> payload;
};

// Called on the connection's thread, one at a time; see PeerConnection for what
// they may do. They are destroyed once the channel is closed, so they may own
// the channel.
struct DataChannelHandlers {
  absl::AnyInvocable<void(DataChannel&)> on_open;
  absl::AnyInvocable<void(DataChannel&, Message)> on_message;
  // In its place where parts are asked for. What it does not return from, the
  // peer is held back by.
  absl::AnyInvocable<void(DataChannel&, MessagePart)> on_message_part;
  // buffered_amount() fell from above the threshold to it or below.
  absl::AnyInvocable<void(DataChannel&)> on_buffered_amount_low;
  // After Send() returned RESOURCE_EXHAUSTED: there is room again.
  absl::AnyInvocable<void(DataChannel&)> on_writable;
  // What became of a message that was sent with a lifecycle id, once for each:
  // the peer's stack has all of it, or it was given up. on_close tells the end
  // of those that are left.
  absl::AnyInvocable<void(DataChannel&, uint64_t lifecycle, Fate)>
      on_message_settled;
  // The peer has closed the channel: nothing of it follows, what was sent is
  // still delivered, and on_close ends it. Not after Close().
  absl::AnyInvocable<void(DataChannel&)> on_closing;
  // OK if either side closed the channel, else why the connection ended.
  absl::AnyInvocable<void(DataChannel&, absl::Status)> on_close;
};

// DataChannel may be used from any thread and may outlive its connection, which
// keeps it alive as long as it is not closed.
class DataChannel {
 public:
  // Made by PeerConnection only.
  DataChannel(std::shared_ptr<internal::Core> core, ChannelId channel,
              ChannelConfig config, DataChannelHandlers handlers);
  ~DataChannel();
  DataChannel(const DataChannel&) = delete;
  DataChannel& operator=(const DataChannel&) = delete;

  // Replaces all handlers. Called from on_data_channel it misses nothing; later
  // it misses what was delivered before. Once it has returned the old ones are
  // not called any more (on the connection's thread: but the one running).
  void SetHandlers(DataChannelHandlers handlers);

  // Send queues a message; empty ones are messages too. Nothing is queued on an
  // error. A vector is not copied, and moved from only on success.
  // FAILED_PRECONDITION: not open. INVALID_ARGUMENT: larger than the peer takes
  // (`a=max-message-size`). RESOURCE_EXHAUSTED: the connection's send buffer is
  // full (sctp::Options::send_buffer_bytes); on_writable follows. `lifecycle`,
  // if any, is a number of the application's for on_message_settled.
  absl::Status Send(absl::string_view text,
                    std::optional<uint64_t> lifecycle = std::nullopt);
  absl::Status Send(absl::Span<const uint8_t> binary,
                    std::optional<uint64_t> lifecycle = std::nullopt);
  absl::Status Send(std::vector<uint8_t>&& binary,
                    std::optional<uint64_t> lifecycle = std::nullopt);

  // A message that is sent as its parts come, so that all of it is in memory
  // nowhere: sctp::DataChannels::BeginMessage and SendPart say more. While
  // buffered_amount() is low, or from on_buffered_amount_low on, give parts;
  // the last one may be empty. The errors are theirs.
  absl::Status BeginMessage(PayloadType type,
                            std::optional<size_t> size = std::nullopt,
                            std::optional<uint64_t> lifecycle = std::nullopt);
  absl::Status SendPart(std::vector<uint8_t>&& bytes, Part part);

  // Sends what is queued, then closes both directions; on_close follows.
  void Close();

  // Payload bytes given to Send() and not yet transmitted once: exact at any
  // moment, on any thread. Those that never were stay counted after the end.
  size_t buffered_amount() const;
  // What was sent and received on it so far, after its end too.
  ChannelStats stats() const;
  // The initial threshold is 0.
  void SetBufferedAmountLowThreshold(size_t bytes);
  size_t buffered_amount_low_threshold() const;

  // kOpen from on_open on, kClosing from Close(), Shutdown() of the connection
  // or on_closing on, kClosed from on_close on.
  DataChannelState ready_state() const;
  // The stream id, known when the channel is open or was negotiated.
  std::optional<uint16_t> id() const;
  const std::string& label() const { return config_.label; }
  const std::string& protocol() const { return config_.protocol; }
  // All of it as it was created, reliability and ordering for instance.
  const ChannelConfig& config() const { return config_; }

 private:
  friend class internal::Core;

  const std::shared_ptr<internal::Core> core_;
  const ChannelId channel_;
  const ChannelConfig config_;
  // Guarded by the core's mutex.
  std::shared_ptr<DataChannelHandlers> handlers_;
  DataChannelState state_ = DataChannelState::kConnecting;
  std::optional<uint16_t> id_;
  size_t low_threshold_ = 0;
  size_t buffered_at_close_ = 0;
  ChannelStats stats_at_close_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_DATA_CHANNEL_H_
