// Data channels over one SCTP association (RFC 8831, RFC 8832).
//
//   DataChannels channels(DataChannels::Options{}, random);
//   ChannelId chat = *channels.Create(now, {.label = "chat"});
//   channels.Start(now, StreamParity::kEven);  // When DTLS is connected.
//   ... drive it as base/engine.h describes until ChannelOpened ...
//   channels.Send(now, chat, PayloadType::kText, bytes);

#ifndef KYUU_SCTP_DATA_CHANNEL_H_
#define KYUU_SCTP_DATA_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "sctp/association.h"
#include "sctp/data_channel_options.h"
#include "sctp/data_channel_state.h"
#include "sctp/dcep.h"
#include "sctp/internal/lifecycles.h"

namespace kyuu::sctp {

// DataChannels owns the association and the channels on it, and is driven in
// the association's place. Not thread-safe. `random` must outlive it.
class DataChannels {
 public:
  using Options = DataChannelsOptions;
  using Packet = absl::Span<const uint8_t>;  // As Association's.
  using Event =
      std::variant<Connected, ChannelOpened, ChannelIncoming, ChannelMessage,
                   ChannelMessagePart, ChannelBufferedAmountLow, ChannelClosing,
                   ChannelMessageSettled, ChannelClosed, WritableAgain, Closed>;

  DataChannels(const Options& options, Random& random);
  // Start connects the association; the transport below must be ready.
  // `parity` is that of the stream ids of our channels, `remote_port` the
  // peer's `a=sctp-port` (RFC 8841 section 5). Once; later calls do nothing.
  // With `inits`, of MakeInit(Options::association), it is connected at once,
  // unless one of the two is unusable.
  void Start(absl::Time now, StreamParity parity, uint16_t remote_port = 5000,
             const std::optional<OutOfBandInits>& inits = std::nullopt);

  // Create makes a channel, before Start too. ChannelOpened follows when it can
  // carry messages: at once when connected, without waiting for the peer.
  // INVALID_ARGUMENT: label or protocol above 65535 bytes, both limits of
  //   reliability, or the negotiated id 65535 (RFC 8831 section 6.2).
  // ALREADY_EXISTS: the negotiated id is in use.
  // RESOURCE_EXHAUSTED: channels_max, or no stream id is free.
  // FAILED_PRECONDITION: the association has ended.
  absl::StatusOr<ChannelId> Create(absl::Time now, ChannelConfig config);

  // Send queues one message; `payload` is moved from only on success.
  // NOT_FOUND: no such channel. FAILED_PRECONDITION: not open (yet).
  // INVALID_ARGUMENT: larger than what the peer takes.
  // RESOURCE_EXHAUSTED: the send buffer of the channel, or of all together, is
  //   full; WritableAgain with its stream will follow.
  // With a `lifecycle` ChannelMessageSettled tells what becomes of it.
  absl::Status Send(absl::Time now, ChannelId channel, PayloadType type,
                    std::vector<uint8_t>&& payload,
                    std::optional<uint64_t> lifecycle = std::nullopt);

  // BeginMessage opens a message that is sent as its parts come; `size` is that
  // of the whole, if it is known. Nothing else can be sent on the channel until
  // its end, and what others send waits for that where Connected::interleaving
  // is false. Fails as Send does; FAILED_PRECONDITION if one is open.
  absl::Status BeginMessage(absl::Time now, ChannelId channel, PayloadType type,
                            std::optional<size_t> size = std::nullopt,
                            std::optional<uint64_t> lifecycle = std::nullopt);
  // SendPart adds to it; `bytes` is moved from only on success. The part that
  // completes a known size is the last. kGivenUp takes no bytes: the peer
  // forgets what it has, and a reliable channel, of which something is lost
  // then, is closed as if by CloseChannel, which gives it up as well.
  // INVALID_ARGUMENT: more than `size`, or than the peer takes; or the last
  //   part, and it is less. The message stays open, as for RESOURCE_EXHAUSTED.
  // FAILED_PRECONDITION: none is open. ABORTED: not any more, by the channel's
  //   limits.
  absl::Status SendPart(absl::Time now, ChannelId channel,
                        std::vector<uint8_t>&& bytes, Part part);

  // CloseChannel delivers what is queued, gives the peer's application time to
  // take it (Options::association.reset_delay, unless the peer closes too),
  // then closes both directions by stream reset (RFC 8831 section 6.7);
  // ChannelClosed follows. Messages of the peer that arrive meanwhile are
  // dropped. NOT_FOUND: no such channel.
  absl::Status CloseChannel(absl::Time now, ChannelId channel);

  // Shutdown is the graceful end: it closes all channels as CloseChannel does,
  // and then, another reset_delay later, the association (RFC 9260 section
  // 9.2), which some stacks drop more at. ChannelClosed for each
  // channel and Closed{OK} follow; nothing can be created meanwhile. A peer
  // that does not answer the resets is not waited for beyond
  // close_channels_timeout, nor beyond five minutes for the rest: call Close
  // if that is too long.
  void Shutdown(absl::Time now);
  // Close ends the association at once by an ABORT. ChannelClosed for each
  // channel and Closed{OK} follow.
  void Close(absl::Time now);

  // As Association's; before Start too.
  void PathLost(absl::Time now);
  void PathReady(absl::Time now, std::optional<size_t> max_mtu = std::nullopt);

  // What the peer takes at most, from `a=max-message-size` (RFC 8841 section
  // 6.1: 0 is no limit). 65536, its default, until set.
  void SetMaxMessageSize(size_t bytes);

  // Payload bytes given to Send that wait for their first transmission;
  // neither DCEP nor the byte of an empty message counts. 0 for no channel;
  // until ChannelClosed was polled, what that tells.
  size_t buffered_amount(ChannelId channel) const;
  // nullopt for no channel; until ChannelClosed was polled, what that tells.
  std::optional<ChannelStats> channel_stats(ChannelId channel) const;
  // ChannelBufferedAmountLow comes when buffered_amount falls from above
  // `bytes` (0 until set) to it or below. NOT_FOUND: no such channel.
  absl::Status SetBufferedAmountLowThreshold(ChannelId channel, size_t bytes);
  // The configuration of a channel that is not closed yet, else nullptr; valid
  // until the next call of a command or verb.
  const ChannelConfig* Find(ChannelId channel) const;

  // The verbs of kyuu::Engine.
  void HandlePacket(absl::Time now, Packet packet);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;
  bool transmit_urgent() const {
    return association_ && association_->transmit_urgent();
  }
  bool sent_probe() const { return association_ && association_->sent_probe(); }
  bool is_connected() const { return connected_.has_value() && !ended_; }
  // Why the association has ended, if it has: known before Closed is polled.
  const std::optional<absl::Status>& ended() const { return ended_; }
  size_t channel_count() const { return channels_.size(); }
  const DataChannelStats& stats() const { return stats_; }
  Stats association_stats() const;
  std::string DebugString() const;

 private:
  using Channel = internal::Channel;
  using StreamUse = internal::StreamUse;
  // Takes events of the association until there are enough of our own.
  void Process(absl::Time now);
  void On(absl::Time now, Message& message);
  void On(absl::Time now, MessagePart& part);
  void On(absl::Time now, const Connected& connected);
  void On(absl::Time now, const Restarted& restarted);
  void On(absl::Time now, const StreamsReset& reset);
  void On(absl::Time, const StreamsAdded& added);
  void OnIncomingReset(absl::Time now, StreamId stream);
  void OnOutgoingReset(absl::Time now, StreamId stream,
                       const absl::Status& status);
  void On(absl::Time now, const WritableAgain&);
  void On(absl::Time now, const MessageSettled& settled);
  void On(absl::Time now, const BufferedAmountLow& low);
  void On(absl::Time now, const Closed& closed);
  void OnDcep(absl::Time now, StreamId stream, const Message& message);
  void OnOpen(absl::Time now, StreamId stream, DcepOpen open);
  void Refuse(absl::Time now, StreamId stream);
  void Deliver(Channel& channel, Message& message);
  void DeliverPart(Channel& channel, PayloadType type, MessagePart& part);
  absl::Status MaySend(const Channel* channel, size_t size) const;
  SendOptions HowToSend(const Channel& channel) const;
  void CountSent(Channel& channel, size_t size, size_t counted);
  void GiveUpMessage(absl::Time now, Channel& channel);
  bool Join(internal::ChannelActivity& parts, PayloadType type, Part part,
            Message& message);
  void KeepEarly(Message& message);
  void DeliverEarly(Channel& channel);
  void ForgetEarly(StreamId stream);
  // Puts `channel` on a stream, and announces it unless it is negotiated.
  void Open(absl::Time now, Channel& channel, StreamId stream);
  void OpenWaiting(absl::Time now);
  void SendDcep(absl::Time now, Channel& channel);
  // For nullopt if one was refused. FAILED_PRECONDITION: the peer knows none.
  absl::Status ResetOutgoing(absl::Time now, StreamId stream,
                             std::optional<ChannelId> channel);
  absl::Status ResetFront(absl::Time now, StreamId stream, StreamUse& use);
  absl::Time shutdown_at() const {
    return patient_end_ + options_.association.reset_delay;
  }
  void FinishParting(StreamId stream);
  void AdvanceShutdown(absl::Time now);
  // Whether the peer is the one that our channels were opened with.
  bool is_current() const {
    return connected_ && association_->restarts() == restarts_;
  }
  std::optional<StreamId> FreeStream();
  void BeginClosing(absl::Time now, Channel& channel);
  // The same because of the peer, which is told if it comes first.
  void FollowClosing(absl::Time now, Channel& channel);
  void FinishClosing(Channel& channel, absl::Status status);
  void CloseAll(const absl::Status& status);
  Channel* FindByStream(StreamId stream);  // That takes what arrives.
  void Tidy(StreamId stream);
  Channel* FindById(ChannelId id);
  std::vector<ChannelId> Ids() const;  // Of all channels.
  Options options_;
  Random& random_;
  std::optional<Association> association_;  // From Start on.
  enum class Path : uint8_t { kLost, kReady };
  Path path_ = Path::kReady;
  absl::Time last_now_ = absl::InfinitePast();
  StreamParity parity_ = StreamParity::kEven;  // Set by Start.
  std::optional<Connected> connected_;
  std::optional<absl::Status> ended_;
  size_t max_message_size_ = 65536;
  absl::btree_map<ChannelId, std::unique_ptr<Channel>> channels_;
  absl::btree_map<StreamId, Channel*> incoming_;  // Takes what arrives.
  absl::flat_hash_map<StreamId, StreamUse> streams_;
  size_t refused_ = 0;                // Of `streams_`.
  absl::btree_set<StreamId> untold_;  // Refused as well: the peer will hear.
  uint64_t restarts_ = 0;             // Those that Restarted told of.
  // From Shutdown on, until when the channels' end is waited for.
  std::optional<absl::Time> shutdown_by_;
  // When a channel was closed last whose peer was given time.
  absl::Time patient_end_ = absl::InfinitePast();
  uint32_t next_channel_ = 1;
  std::pair<uint32_t, uint32_t> next_stream_;  // Low ones, and those above.
  size_t peer_text_bytes_ = 0;
  absl::btree_map<StreamId, std::vector<Message>> early_;
  size_t early_bytes_ = 0, early_messages_ = 0;
  absl::flat_hash_set<uint32_t> missed_;  // Parts of what had no channel.
  uint32_t next_whole_ = 0;  // Of those that come whole where parts are told.
  Queue<Event> events_;
  size_t event_bytes_ = 0;
  internal::Lifecycles lifecycles_;
  DataChannelStats stats_;
};
static_assert(Engine<DataChannels>);

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_DATA_CHANNEL_H_
