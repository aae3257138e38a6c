// What DataChannels makes of the association's events: the peer's channels,
// messages and resets.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "sctp/data_channel.h"

namespace kyuu::sctp {
namespace {

constexpr uint32_t kStreams = 65535;
// Ids that all take, whatever they grant: libwebrtc has had 1024, Firefox 2048.
constexpr uint32_t kLowStreams = 1024;
// Refused channels of which the peer is told at one time, by resets that it
// answers, and of how many more whenever it does. One that opens more at once
// than it may has not heard yet, or does not listen.
constexpr size_t kRefusedMax = 64;
constexpr int kToldPerAnswer = 8;

}  // namespace

void DataChannels::Process(absl::Time now) {
  if (!association_) return;
  while (events_.size() < options_.events_max &&
         event_bytes_ < options_.event_bytes_max) {
    std::optional<sctp::Event> event = association_->PollEvent();
    if (!event) break;
    std::visit(
        [&]<typename E>(E& e) {
          // A channel ends by its own reset: all at once is not granted.
          if constexpr (!std::is_same_v<E, AssociationReset>) On(now, e);
        },
        *event);
  }
  AdvanceShutdown(now);
}

void DataChannels::On(absl::Time now, const Connected& connected) {
  connected_ = connected;
  events_.push_back(connected);
  OpenWaiting(now);
}

void DataChannels::On(absl::Time, const StreamsAdded& added) {
  if (!connected_) return;
  connected_->outgoing_streams = added.outgoing_streams;
  connected_->incoming_streams = added.incoming_streams;
}

std::optional<StreamId> DataChannels::FreeStream() {
  const uint32_t limit = std::min<uint32_t>(
      {kStreams, connected_->outgoing_streams, connected_->incoming_streams});
  // A peer with so many channels has more streams than that.
  const bool many = channels_.size() >= kLowStreams;
  const uint32_t low = many ? 0 : std::min(limit, kLowStreams);
  // Goes round, so that an id rests for long before it is used again.
  const auto find = [&](uint32_t begin, uint32_t end, uint32_t& next) {
    const uint32_t first = begin + (parity_ == StreamParity::kEven ? 0 : 1);
    for (uint32_t tries = first; tries < end; tries += 2) {
      if (next < first || next >= end) next = first;
      const auto stream = static_cast<StreamId>(next);
      next += 2;
      if (!incoming_.contains(stream) && !streams_.contains(stream) &&
          !untold_.contains(stream)) {
        return std::optional(stream);
      }
    }
    return std::optional<StreamId>();
  };
  const std::optional<StreamId> stream = find(0, low, next_stream_.first);
  return stream ? stream : find(low, limit, next_stream_.second);
}

void DataChannels::OpenWaiting(absl::Time now) {
  // Opening may fail, and takes the channel away.
  for (const ChannelId id : Ids()) {
    Channel& channel = *FindById(id);
    if (channel.state != Channel::State::kWaiting) continue;
    const std::optional<StreamId> stream =
        channel.stream ? channel.stream : FreeStream();
    if (!stream ||
        static_cast<uint16_t>(*stream) >= connected_->outgoing_streams) {
      FinishClosing(channel, absl::ResourceExhaustedError(
                                 "the peer grants fewer streams"));
      continue;
    }
    Open(now, channel, *stream);
  }
}

void DataChannels::On(absl::Time now, const Restarted& restarted) {
  // The peer knows none of our channels any more, and has never heard of those
  // that wait.
  early_.clear();
  missed_ = {};
  early_bytes_ = early_messages_ = 0;
  const absl::Status status =
      absl::AbortedError("the peer restarted the association");
  for (const ChannelId id : Ids()) {
    Channel& channel = *FindById(id);
    if (channel.state != Channel::State::kWaiting) {
      FinishClosing(channel, status);
    }
  }
  streams_.clear();
  refused_ = 0;
  untold_.clear();
  incoming_.clear();
  for (const auto& [id, channel] : channels_) {
    if (channel->stream) incoming_[*channel->stream] = channel.get();
  }
  lifecycles_.Clear();
  connected_ = restarted.terms;
  ++restarts_;
  if (is_current()) OpenWaiting(now);
}

void DataChannels::On(absl::Time, const Closed& closed) {
  ended_ = closed.status;
  early_.clear();
  missed_ = {};
  early_bytes_ = early_messages_ = 0;
  CloseAll(closed.status);
  lifecycles_.Clear();
  events_.push_back(closed);
}

void DataChannels::On(absl::Time, const WritableAgain& writable) {
  events_.push_back(writable);
}

void DataChannels::On(absl::Time, const MessageSettled& settled) {
  if (const auto told = lifecycles_.Settle(settled)) {
    if (FindById(told->channel) != nullptr) events_.push_back(*told);
  }
}

void DataChannels::On(absl::Time, const BufferedAmountLow& low) {
  Channel* channel = FindByStream(low.stream);
  if (const auto it = streams_.find(low.stream);
      channel == nullptr && it != streams_.end() && it->second.parting) {
    channel = FindById(*it->second.parting);
  }
  if (channel == nullptr) return;
  const size_t amount = buffered_amount(channel->id);
  if (channel->activity != nullptr && channel->activity->idle()) {
    channel->activity.reset();
  }
  // DCEP alone in the buffer was no amount, and its leaving is no event.
  if (!channel->above_threshold || amount > channel->low_threshold) return;
  channel->above_threshold = false;
  events_.push_back(ChannelBufferedAmountLow{channel->id});
}

void DataChannels::On(absl::Time now, Message& message) {
  if (message.ppid == kPpidDcep) {
    OnDcep(now, message.stream, message);
    return;
  }
  if (!TypeOf(message.ppid)) {
    ++stats_.drop_unknown_ppid;
    return;
  }
  Channel* channel = FindByStream(message.stream);
  if (channel != nullptr && channel->state != Channel::State::kWaiting) {
    Deliver(*channel, message);
    return;
  }
  FinishParting(message.stream);
  KeepEarly(message);
}

void DataChannels::Deliver(Channel& channel, Message& message) {
  if (channel.closed_here) {
    ++stats_.drop_after_close;
    return;
  }
  const PayloadType type = *TypeOf(message.ppid);
  const Part part =
      message.ppid == kPpidStringPartial || message.ppid == kPpidBinaryPartial
          ? Part::kMore
          : Part::kLast;
  const bool empty =
      message.ppid == kPpidStringEmpty || message.ppid == kPpidBinaryEmpty;
  if (empty) message.payload.clear();
  const bool begun = channel.activity && channel.activity->partial_type;
  if ((begun || part == Part::kMore) &&
      !Join(channel.MakeActivity(), type, part, message)) {
    return;
  }
  if (channel.config.delivery == Delivery::kParts) {
    MessagePart whole{.part = Part::kLast,
                      .payload = std::move(message.payload)};
    DeliverPart(channel, type, whole);
    return;
  }
  ++channel.stats.messages_received;
  channel.stats.bytes_received += message.payload.size();
  ++stats_.messages_received;
  stats_.bytes_received += message.payload.size();
  event_bytes_ += message.payload.size();
  events_.push_back(ChannelMessage{.channel = channel.id,
                                   .type = type,
                                   .payload = std::move(message.payload)});
}

// Joins a part of a message in the deprecated way with those before; false if
// that is not all of the message.
bool DataChannels::Join(internal::ChannelActivity& parts, PayloadType type,
                        Part part, Message& message) {
  if (parts.partial_type && *parts.partial_type != type) {
    ++stats_.drop_partial_message;
    parts.partial = {};
    parts.partial_type.reset();
  }
  if (part == Part::kLast && !parts.partial_type) return true;
  if (parts.partial.size() + message.payload.size() >
      options_.association.max_message_in) {
    ++stats_.drop_partial_message;
    parts.partial = {};
    parts.partial_type.reset();
    return false;
  }
  parts.partial.insert(parts.partial.end(), message.payload.begin(),
                       message.payload.end());
  parts.partial_type = type;
  if (part == Part::kMore) return false;
  message.payload = std::exchange(parts.partial, {});
  parts.partial_type.reset();
  return true;
}

void DataChannels::OnDcep(absl::Time now, StreamId stream,
                          const Message& message) {
  absl::StatusOr<DcepMessage> dcep = ParseDcep(message.payload);
  if (!dcep.ok()) {
    ++stats_.drop_malformed_dcep;
    // RFC 8832 section 6: an OPEN that cannot be honoured closes its stream.
    if (FindByStream(stream) == nullptr) {
      FinishParting(stream);
      Refuse(now, stream);
    }
    return;
  }
  if (DcepOpen* open = std::get_if<DcepOpen>(&*dcep)) {
    OnOpen(now, stream, std::move(*open));
    return;
  }
  Channel* channel = FindByStream(stream);
  if (channel == nullptr || channel->incoming || channel->acknowledged) {
    ++stats_.drop_unexpected_ack;
    return;
  }
  channel->acknowledged = true;
}

void DataChannels::OnOpen(absl::Time now, StreamId stream, DcepOpen open) {
  const auto use = streams_.find(stream);
  if (incoming_.contains(stream) ||
      (use != streams_.end() && use->second.refused)) {
    ++stats_.drop_duplicate_open;
    return;
  }
  FinishParting(stream);
  if (HasStreamParity(stream, parity_)) {
    ++stats_.refused_parity;
    Refuse(now, stream);
    return;
  }
  ChannelConfig config = ToConfig(std::move(open));
  const size_t text = config.label.size() + config.protocol.size();
  if (channels_.size() >= options_.channels_max ||
      peer_text_bytes_ + text > options_.peer_text_bytes_max) {
    ++stats_.refused_limit;
    Refuse(now, stream);
    return;
  }
  peer_text_bytes_ += text;
  const ChannelId id{next_channel_++};
  Channel& channel = *(channels_[id] = std::make_unique<Channel>());
  channel.id = id;
  channel.config = std::move(config);
  channel.stream = stream;
  channel.incoming = true;
  channel.acknowledged = true;
  channel.state = Channel::State::kOpen;
  incoming_[stream] = &channel;
  association_->SetBufferedAmountLowThreshold(stream, 0);
  channel.config.delivery = options_.incoming_delivery;
  association_->SetDelivery(stream, channel.config.delivery);
  ++stats_.channels_accepted;
  events_.push_back(ChannelIncoming{
      .channel = id, .stream = stream, .config = channel.config});
  DeliverEarly(channel);
  SendDcep(now, channel);
}

void DataChannels::Refuse(absl::Time now, StreamId stream) {
  ForgetEarly(stream);
  if (const auto use = streams_.find(stream);
      use != streams_.end() && use->second.refused) {
    return;
  }
  if (refused_ >= kRefusedMax) {
    // It has enough to answer. What comes on the stream is dropped meanwhile.
    if (untold_.insert(stream).second) ++stats_.postponed_refusals;
    return;
  }
  ++refused_;
  streams_[stream].refused = true;
  // A peer without resets learns nothing, and its data is dropped.
  ResetOutgoing(now, stream, std::nullopt).IgnoreError();
}

void DataChannels::KeepEarly(Message& message) {
  const auto use = streams_.find(message.stream);
  const bool refused = (use != streams_.end() && use->second.refused) ||
                       untold_.contains(message.stream);
  if (refused || early_messages_ >= options_.early_messages_max ||
      early_bytes_ + message.payload.size() > options_.early_bytes_max) {
    ++stats_.drop_early_data;
    return;
  }
  ++early_messages_;
  early_bytes_ += message.payload.size();
  early_[message.stream].push_back(std::move(message));
}

void DataChannels::DeliverEarly(Channel& channel) {
  auto node = early_.extract(*channel.stream);
  if (node.empty()) return;
  for (Message& message : node.mapped()) {
    --early_messages_;
    early_bytes_ -= message.payload.size();
    Deliver(channel, message);
  }
}

void DataChannels::ForgetEarly(StreamId stream) {
  const auto it = early_.find(stream);
  if (it == early_.end()) return;
  for (const Message& message : it->second) {
    --early_messages_;
    early_bytes_ -= message.payload.size();
    ++stats_.drop_early_data;
  }
  early_.erase(it);
}

void DataChannels::On(absl::Time now, const StreamsReset& reset) {
  std::vector<StreamId> streams = reset.streams;
  // Not those whose end the peer has told of before: it may go on to do so.
  if (streams.empty()) {
    for (const auto& [stream, channel] : incoming_) streams.push_back(stream);
  }
  for (const StreamId stream : streams) {
    if (reset.direction == StreamDirection::kIncoming) {
      OnIncomingReset(now, stream);
    } else {
      OnOutgoingReset(now, stream, reset.status);
    }
    Tidy(stream);
  }
  if (reset.direction != StreamDirection::kIncoming) return;
  for (int i = 0; i < kToldPerAnswer && refused_ < kRefusedMax; ++i) {
    if (untold_.empty()) return;
    Refuse(now, untold_.extract(untold_.begin()).value());
  }
}

void DataChannels::OnIncomingReset(absl::Time now, StreamId stream) {
  Channel* channel = FindByStream(stream);
  if (channel != nullptr) {
    if (channel->state == Channel::State::kWaiting) return;
    // Everything that the peer sent on the channel was delivered before.
    FinishParting(stream);
    streams_[stream].parting = channel->id;
    incoming_.erase(stream);
    channel->incoming_reset = true;
    const ChannelId id = channel->id;
    FollowClosing(now, *channel);
    channel = FindById(id);  // Gone, if the peer knows no resets.
    if (channel != nullptr && channel->outgoing_reset) {
      FinishClosing(*channel, absl::OkStatus());
    }
    return;
  }
  ForgetEarly(stream);
  untold_.erase(stream);
  if (const auto it = streams_.find(stream); it != streams_.end()) {
    // The end of what we refused, or something that no peer has a reason for.
    if (std::exchange(it->second.refused, false)) --refused_;
    return;
  }
  // A channel of the peer alone. It ends when our direction was reset too.
  if (incoming_.size() + streams_.size() >= options_.channels_max) {
    ++stats_.ignored_resets;
    return;
  }
  // A peer that resets but cannot be reset keeps its channel, as it asked for.
  ResetOutgoing(now, stream, std::nullopt).IgnoreError();
}

void DataChannels::OnOutgoingReset(absl::Time now, StreamId stream,
                                   const absl::Status& status) {
  const auto it = streams_.find(stream);
  std::optional<ChannelId> owner;
  if (const Channel* taker = FindByStream(stream)) owner = taker->id;
  if (it == streams_.end() && !owner) return;
  if (it != streams_.end() && !it->second.resets.empty()) {
    StreamUse& use = it->second;
    owner = use.resets.front();
    use.resets.erase(use.resets.begin());
    if (!use.resets.empty() && !ResetFront(now, stream, use).ok()) {
      use.resets.clear();
    }
  }
  if (!status.ok()) streams_[stream].unusable = true;
  Channel* channel = owner ? FindById(*owner) : nullptr;
  if (channel == nullptr || channel->state == Channel::State::kWaiting) return;
  channel->outgoing_reset = true;
  // A peer that refuses will not reset its side either.
  if (!status.ok()) channel->incoming_reset = true;
  // The peer's reset of all of ours is its way to ask for the end.
  FollowClosing(now, *channel);
  if (channel->incoming_reset) FinishClosing(*channel, absl::OkStatus());
}

}  // namespace kyuu::sctp
