// What DataChannels makes of the association's events: the peer's channels,
// messages and resets.

#include <optional>
#include <utility>
#include <variant>

#include "sctp/data_channel.h"

namespace kyuu::sctp {

namespace {

std::optional<PayloadType> TypeOf(Ppid ppid) {
  switch (ppid) {
    case kPpidString:
    case kPpidStringEmpty:
    case kPpidStringPartial:
      return PayloadType::kText;
    case kPpidBinary:
    case kPpidBinaryEmpty:
    case kPpidBinaryPartial:
      return PayloadType::kBinary;
    default:
      return std::nullopt;
  }
}

}  // namespace

void DataChannels::Process(absl::Time now) {
  if (!association_) return;
  while (events_.size() < options_.events_max &&
         event_bytes_ < options_.event_bytes_max) {
    std::optional<sctp::Event> event = association_->PollEvent();
    if (!event) return;
    std::visit([&](auto& e) { On(now, e); }, *event);
  }
}

void DataChannels::On(absl::Time now, const Connected& connected) {
  connected_ = connected;
  events_.push_back(connected);
  for (auto it = channels_.begin(); it != channels_.end();) {
    Channel& channel = it->second;
    ++it;  // Opening may fail, and takes the channel away.
    if (channel.state != Channel::State::kWaiting) continue;
    const std::optional<StreamId> stream =
        channel.stream ? channel.stream : FreeStream();
    if (!stream ||
        static_cast<uint16_t>(*stream) >= connected.outgoing_streams) {
      FinishClosing(channel, absl::ResourceExhaustedError(
                                 "the peer grants fewer streams"));
      continue;
    }
    Open(now, channel, *stream);
  }
}

void DataChannels::On(absl::Time, const Restarted&) {
  // The peer knows none of our channels any more.
  early_.clear();
  early_bytes_ = early_messages_ = 0;
  unusable_.clear();
  CloseAll(absl::AbortedError("the peer restarted the association"));
}

void DataChannels::On(absl::Time, const Closed& closed) {
  ended_ = closed.status;
  early_.clear();
  early_bytes_ = early_messages_ = 0;
  CloseAll(closed.status);
  events_.push_back(closed);
}

void DataChannels::On(absl::Time now, const WritableAgain&) {
  while (!dcep_waiting_.empty()) {
    const size_t before = dcep_waiting_.size();
    Channel* channel = FindById(*dcep_waiting_.begin());
    SendDcep(now, *channel);
    if (dcep_waiting_.size() == before) return;  // Full again.
  }
  events_.push_back(WritableAgain{});
}

void DataChannels::On(absl::Time, const BufferedAmountLow& low) {
  Channel* channel = FindByStream(low.stream);
  // DCEP alone in the buffer was no amount, and its leaving is no event.
  if (channel == nullptr || !channel->above_threshold) return;
  if (buffered_amount(channel->id) > channel->low_threshold) return;
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
  if (channel == nullptr || channel->state == Channel::State::kWaiting) {
    KeepEarly(message);
    return;
  }
  Deliver(*channel, message);
}

void DataChannels::Deliver(Channel& channel, Message& message) {
  if (channel.closed_here) {
    ++stats_.drop_after_close;
    return;
  }
  const PayloadType type = *TypeOf(message.ppid);
  const bool partial =
      message.ppid == kPpidStringPartial || message.ppid == kPpidBinaryPartial;
  const bool empty =
      message.ppid == kPpidStringEmpty || message.ppid == kPpidBinaryEmpty;
  if (empty) message.payload.clear();
  if (channel.partial_type && *channel.partial_type != type) {
    ++stats_.drop_partial_message;
    channel.partial.clear();
    channel.partial_type.reset();
  }
  if (partial || channel.partial_type) {
    if (channel.partial.size() + message.payload.size() >
        options_.association.max_message_in) {
      ++stats_.drop_partial_message;
      channel.partial.clear();
      channel.partial_type.reset();
      return;
    }
    channel.partial.insert(channel.partial.end(), message.payload.begin(),
                           message.payload.end());
    channel.partial_type = type;
    if (partial) return;
    message.payload = std::exchange(channel.partial, {});
    channel.partial_type.reset();
  }
  ++stats_.messages_received;
  stats_.bytes_received += message.payload.size();
  event_bytes_ += message.payload.size();
  events_.push_back(ChannelMessage{.channel = channel.id,
                                   .type = type,
                                   .payload = std::move(message.payload)});
}

void DataChannels::OnDcep(absl::Time now, StreamId stream,
                          const Message& message) {
  absl::StatusOr<DcepMessage> dcep = ParseDcep(message.payload);
  if (!dcep.ok()) {
    ++stats_.drop_malformed_dcep;
    // RFC 8832 section 6: an OPEN that cannot be honoured closes its stream.
    if (FindByStream(stream) == nullptr) Refuse(now, stream);
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
  if (FindByStream(stream) != nullptr) {
    ++stats_.drop_duplicate_open;
    return;
  }
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
  Channel& channel = channels_[id];
  channel.id = id;
  channel.config = std::move(config);
  channel.stream = stream;
  channel.incoming = true;
  channel.acknowledged = true;
  channel.state = Channel::State::kOpen;
  by_stream_[stream] = &channel;
  ++stats_.channels_accepted;
  events_.push_back(ChannelIncoming{
      .channel = id, .stream = stream, .config = channel.config});
  DeliverEarly(channel);
  SendDcep(now, channel);
}

void DataChannels::Refuse(absl::Time now, StreamId stream) {
  ForgetEarly(stream);
  // A peer without resets learns nothing, and its data is dropped as early.
  association_->ResetStreams(now, absl::MakeConstSpan(&stream, 1))
      .IgnoreError();
}

void DataChannels::KeepEarly(Message& message) {
  if (early_messages_ >= options_.early_messages_max ||
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
  if (streams.empty()) {
    for (const auto& [id, channel] : channels_) {
      if (channel.stream) streams.push_back(*channel.stream);
    }
  }
  for (const StreamId stream : streams) {
    Channel* channel = FindByStream(stream);
    if (channel == nullptr) {
      if (reset.direction == ResetDirection::kIncoming) ForgetEarly(stream);
      continue;
    }
    if (channel->state == Channel::State::kWaiting) continue;
    if (reset.direction == ResetDirection::kIncoming) {
      // Everything that the peer sent on the channel was delivered before.
      channel->incoming_reset = true;
      BeginClosing(now, *channel);
      channel = FindByStream(stream);
      if (channel == nullptr) continue;
    } else {
      if (!reset.status.ok()) unusable_.insert(stream);
      // A peer that refuses will not reset its side either.
      if (!reset.status.ok()) channel->incoming_reset = true;
      channel->outgoing_reset = true;
      // The peer's reset of all of ours is its way to ask for the end.
      BeginClosing(now, *channel);
      channel = FindByStream(stream);
      if (channel == nullptr) continue;
    }
    if (channel->outgoing_reset && channel->incoming_reset) {
      FinishClosing(*channel, absl::OkStatus());
    }
  }
}

}  // namespace kyuu::sctp
