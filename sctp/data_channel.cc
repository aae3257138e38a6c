#include "sctp/data_channel.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace kyuu::sctp {
namespace {

// RFC 8831 section 6.2: 65535 is no stream id.
constexpr uint32_t kStreams = 65535;
constexpr size_t kTextMax = 65535;

uint16_t Number(StreamId stream) { return static_cast<uint16_t>(stream); }

size_t TextSize(const ChannelConfig& config) {
  return config.label.size() + config.protocol.size();
}

absl::Status Validate(const ChannelConfig& config) {
  if (config.label.size() > kTextMax || config.protocol.size() > kTextMax) {
    return absl::InvalidArgumentError(
        "label and protocol have at most 65535 bytes");
  }
  if (config.max_packet_life_time &&
      (config.max_retransmits ||
       *config.max_packet_life_time < absl::ZeroDuration())) {
    return absl::InvalidArgumentError(
        "max_packet_life_time excludes max_retransmits and is not negative");
  }
  if (config.negotiated_id && Number(*config.negotiated_id) >= kStreams) {
    return absl::InvalidArgumentError("65535 is no channel id");
  }
  return absl::OkStatus();
}

}  // namespace

DataChannels::DataChannels(const Options& options, Random& random)
    : options_(options), random_(random) {}

void DataChannels::Start(absl::Time now, StreamParity parity,
                         uint16_t remote_port,
                         const std::optional<OutOfBandInits>& inits) {
  if (association_ || ended_) return;
  sctp::Options association = options_.association;
  association.remote_port = remote_port;
  association.grant_association_reset = false;
  association_.emplace(association, random_);
  SetMaxMessageSize(max_message_size_);
  parity_ = parity;
  last_now_ = std::max(last_now_, now);
  if (path_ == Path::kLost) association_->PathLost(now);
  if (!inits || !association_->ConnectWith(now, *inits).ok()) {
    // Fails only for an association that has ended, and this one is new.
    association_->Connect(now).IgnoreError();
  }
  Process(now);
}

absl::StatusOr<ChannelId> DataChannels::Create(absl::Time now,
                                               ChannelConfig config) {
  if (absl::Status s = Validate(config); !s.ok()) return s;
  if (ended_ || shutdown_by_) {
    return absl::FailedPreconditionError("the association has ended");
  }
  if (channels_.size() >= options_.channels_max) {
    return absl::ResourceExhaustedError("too many channels");
  }
  std::optional<StreamId> stream = config.negotiated_id;
  if (const auto it = stream ? streams_.find(*stream) : streams_.end();
      (stream && (incoming_.contains(*stream) || untold_.contains(*stream))) ||
      (it != streams_.end() &&
       (it->second.parting || it->second.refused || it->second.unusable))) {
    return absl::AlreadyExistsError("the negotiated id is in use");
  }
  // While a restart waits to be told of, everything waits for it.
  const bool current = is_current();
  if (!stream && current) {
    stream = FreeStream();
    if (!stream) return absl::ResourceExhaustedError("no stream id is free");
  }
  if (stream && current && Number(*stream) >= connected_->outgoing_streams) {
    return absl::ResourceExhaustedError("the peer grants fewer streams");
  }
  const ChannelId id{next_channel_++};
  Channel& channel = *(channels_[id] = std::make_unique<Channel>());
  channel.id = id;
  channel.config = std::move(config);
  if (channel.config.negotiated_id) {
    channel.stream = stream;
    incoming_[*stream] = &channel;
  }
  if (current) Open(now, channel, *stream);
  return id;
}

void DataChannels::Open(absl::Time now, Channel& channel, StreamId stream) {
  channel.stream = stream;
  channel.state = Channel::State::kOpen;
  incoming_[stream] = &channel;
  association_->SetBufferedAmountLowThreshold(stream, channel.low_threshold);
  association_->SetDelivery(stream, channel.config.delivery);
  ++stats_.channels_opened;
  events_.push_back(ChannelOpened{.channel = channel.id, .stream = stream});
  if (channel.config.negotiated_id) {
    channel.acknowledged = true;
    DeliverEarly(channel);
  } else {
    SendDcep(now, channel);
  }
}

void DataChannels::SendDcep(absl::Time now, Channel& channel) {
  std::vector<uint8_t> payload = channel.incoming
                                     ? DcepAck{}.Serialize()
                                     : ToOpen(channel.config).Serialize();
  const size_t size = payload.size();
  // One for each channel, and so bounded by channels_max.
  const absl::Status status = association_->Send(
      now, Message{*channel.stream, kPpidDcep, std::move(payload)},
      {.priority = channel.config.priority, .budget = Budget::kControl});
  if (!status.ok()) {
    FinishClosing(channel, status);
    return;
  }
  channel.MakeActivity().buffered.Add(size, 0);
}

absl::Status DataChannels::MaySend(const Channel* channel, size_t size) const {
  if (channel == nullptr) return absl::NotFoundError("no such channel");
  if (channel->state != Channel::State::kOpen) {
    return absl::FailedPreconditionError("the channel is not open");
  }
  if (size > max_message_size_) {
    return absl::InvalidArgumentError(
        absl::StrCat("a message of ", size, " bytes; the peer takes at most ",
                     max_message_size_));
  }
  if (!is_current()) {
    return absl::FailedPreconditionError("the peer restarted the association");
  }
  return absl::OkStatus();
}

SendOptions DataChannels::HowToSend(const Channel& channel) const {
  return {.ordering = channel.acknowledged ? channel.config.ordering
                                           : Ordering::kOrdered,
          .max_retransmits = channel.config.max_retransmits,
          .lifetime = channel.config.max_packet_life_time,
          .priority = channel.config.priority};
}

absl::Status DataChannels::Send(absl::Time now, ChannelId id, PayloadType type,
                                std::vector<uint8_t>&& payload,
                                std::optional<uint64_t> lifecycle) {
  Channel* channel = FindById(id);
  if (absl::Status s = MaySend(channel, payload.size()); !s.ok()) return s;
  if (channel->activity && channel->activity->sending) {
    return absl::FailedPreconditionError(
        "a message in parts is open on the channel");
  }
  const bool text = type == PayloadType::kText;
  const size_t counted = payload.size();
  Message message{.stream = *channel->stream};
  if (counted == 0) {
    message.ppid = text ? kPpidStringEmpty : kPpidBinaryEmpty;
    message.payload.assign(1, 0);
  } else {
    message.ppid = text ? kPpidString : kPpidBinary;
    message.payload = std::move(payload);
  }
  const size_t size = message.payload.size();
  SendOptions how = HowToSend(*channel);
  how.lifecycle = lifecycles_.For(lifecycle);
  const absl::Status status = association_->Send(now, std::move(message), how);
  if (!status.ok()) {
    // A Send() that fails has taken nothing.
    // NOLINTNEXTLINE(bugprone-use-after-move)
    if (counted > 0) payload = std::move(message.payload);
    return status;
  }
  lifecycles_.Taken(id, lifecycle);
  CountSent(*channel, size, counted);
  ++channel->stats.messages_sent;
  ++stats_.messages_sent;
  return absl::OkStatus();
}

absl::Status DataChannels::CloseChannel(absl::Time now, ChannelId id) {
  Channel* channel = FindById(id);
  if (channel == nullptr) return absl::NotFoundError("no such channel");
  channel->closed_here = true;
  BeginClosing(now, *channel);
  return absl::OkStatus();
}

void DataChannels::BeginClosing(absl::Time now, Channel& channel) {
  if (channel.state == Channel::State::kClosing) return;
  if (channel.state == Channel::State::kWaiting) {
    FinishClosing(channel, absl::OkStatus());
    return;
  }
  // The rest of it would not be taken any more.
  if (channel.activity && channel.activity->sending)
    GiveUpMessage(now, channel);
  channel.state = Channel::State::kClosing;
  channel.patient = channel.stats.messages_sent > 0 && !channel.incoming_reset;
  // The peer may have asked for the reset, and had it.
  if (channel.outgoing_reset) return;
  if (!ResetOutgoing(now, *channel.stream, channel.id).ok()) {
    FinishClosing(channel, absl::OkStatus());
  }
}

void DataChannels::FollowClosing(absl::Time now, Channel& channel) {
  if (channel.state == Channel::State::kOpen) {
    events_.push_back(ChannelClosing{channel.id});
  }
  if (channel.patient && channel.incoming_reset && !channel.outgoing_reset) {
    // The peer has closed it too, and takes nothing any more.
    const auto it = streams_.find(*channel.stream);
    if (it != streams_.end() && !it->second.resets.empty() &&
        it->second.resets.front() == channel.id) {
      association_->HurryReset(now, *channel.stream);
    }
  }
  BeginClosing(now, channel);
}

// As ResetOutgoing, for whom `use.resets` has in front.
absl::Status DataChannels::ResetFront(absl::Time now, StreamId stream,
                                      StreamUse& use) {
  const std::optional<ChannelId> owner = use.resets.front();
  const Channel* channel = owner ? FindById(*owner) : nullptr;
  const bool patient =
      channel != nullptr && channel->patient && !channel->incoming_reset;
  return association_->ResetStreams(
      now, absl::MakeConstSpan(&stream, 1),
      patient ? ResetTiming::kPatient : ResetTiming::kSoon);
}

absl::Status DataChannels::ResetOutgoing(absl::Time now, StreamId stream,
                                         std::optional<ChannelId> channel) {
  // Restarted will close it.
  if (!is_current()) return absl::OkStatus();
  StreamUse& use = streams_[stream];
  use.resets.push_back(channel);
  if (use.resets.size() > 1) return absl::OkStatus();
  absl::Status status = ResetFront(now, stream, use);
  if (!status.ok()) {
    // The peer knows no resets: the stream keeps its numbers, for nobody else.
    use.resets.clear();
    use.unusable = true;
  }
  return status;
}

void DataChannels::FinishClosing(Channel& channel, absl::Status status) {
  const ChannelId id = channel.id;
  // Of a channel that ends in good order everything is sent.
  const size_t unsent = ended_ ? buffered_amount(id) : 0;
  if (const std::optional<StreamId> stream = channel.stream) {
    if (FindByStream(*stream) == &channel) {
      incoming_.erase(*stream);
      ForgetEarly(*stream);
    }
    const auto it = streams_.find(*stream);
    if (it != streams_.end() && it->second.parting == id) {
      it->second.parting.reset();
    }
    Tidy(*stream);
  }
  if (channel.patient) patient_end_ = last_now_;
  if (channel.incoming) peer_text_bytes_ -= TextSize(channel.config);
  ++stats_.channels_closed;
  if (channel.oversized && status.ok()) {
    status = absl::ResourceExhaustedError(
        "the peer has sent a message above max_message_in");
  }
  events_.push_back(
      ChannelClosed{id, std::move(status), unsent, channel.stats});
  channels_.erase(id);
}

// Something of the next channel has arrived, so the one before is over for the
// peer.
void DataChannels::FinishParting(StreamId stream) {
  const auto it = streams_.find(stream);
  if (it == streams_.end() || !it->second.parting) return;
  FinishClosing(*FindById(*it->second.parting), absl::OkStatus());
}

void DataChannels::Tidy(StreamId stream) {
  const auto it = streams_.find(stream);
  if (it == streams_.end() || !it->second.idle()) return;
  streams_.erase(it);
  // What many channels have left is given back.
  if (streams_.capacity() > 128 && streams_.size() < streams_.capacity() / 8) {
    streams_.rehash(0);
  }
}

void DataChannels::CloseAll(const absl::Status& status) {
  while (!channels_.empty()) FinishClosing(*channels_.begin()->second, status);
}

void DataChannels::Shutdown(absl::Time now) {
  if (!association_) return Close(now);
  if (ended_ || shutdown_by_) return;
  shutdown_by_ = now + options_.close_channels_timeout;
  for (const ChannelId id : Ids()) {
    // Others may have gone with it.
    if (FindById(id) != nullptr) BeginClosing(now, *FindById(id));
  }
  Process(now);
}

// Goes on with Shutdown once there are no channels any more.
void DataChannels::AdvanceShutdown(absl::Time now) {
  if (!shutdown_by_ || ended_) return;
  if (!channels_.empty() && association_->stats().send_occupied_bytes > 0) {
    // Not the channels' end is waited for, but what comes before it.
    shutdown_by_ = now + options_.close_channels_timeout;
  }
  if (now >= *shutdown_by_ || (channels_.empty() && now >= shutdown_at())) {
    association_->Shutdown(now);
  }
}

void DataChannels::Close(absl::Time now) {
  if (ended_) return;
  if (!association_) {
    On(now, Closed{absl::OkStatus()});
    return;
  }
  association_->Close(now);
  Process(now);
}

void DataChannels::PathLost(absl::Time now) {
  path_ = Path::kLost;
  if (association_) association_->PathLost(now);
}

void DataChannels::PathReady(absl::Time now, std::optional<size_t> max_mtu) {
  path_ = Path::kReady;
  if (max_mtu) options_.association.max_mtu = *max_mtu;
  if (association_) association_->PathReady(now, max_mtu);
}

void DataChannels::SetMaxMessageSize(size_t bytes) {
  max_message_size_ = bytes == 0 ? SIZE_MAX : bytes;
  if (!association_) return;
  // The limit is checked here; to DCEP's messages it does not apply.
  association_->SetMaxMessageOut(
      std::max(max_message_size_, DcepOpen::kHeaderSize + 2 * kTextMax));
}

size_t DataChannels::buffered_amount(ChannelId id) const {
  const auto it = channels_.find(id);
  if (it == channels_.end()) {
    const ChannelClosed* closed = FindClosed(id, events_);
    return closed == nullptr ? 0 : closed->buffered_amount;
  }
  const Channel& channel = *it->second;
  if (channel.activity == nullptr) return 0;
  return channel.activity->buffered.Counted(
      association_->buffered_amount(*channel.stream));
}

std::optional<ChannelStats> DataChannels::channel_stats(ChannelId id) const {
  if (const auto it = channels_.find(id); it != channels_.end()) {
    return it->second->stats;
  }
  const ChannelClosed* closed = FindClosed(id, events_);
  return closed == nullptr ? std::nullopt : std::optional(closed->stats);
}

absl::Status DataChannels::SetBufferedAmountLowThreshold(ChannelId id,
                                                         size_t bytes) {
  Channel* channel = FindById(id);
  if (channel == nullptr) return absl::NotFoundError("no such channel");
  channel->low_threshold = bytes;
  channel->above_threshold = buffered_amount(id) > bytes;
  if (channel->state == Channel::State::kOpen) {
    association_->SetBufferedAmountLowThreshold(*channel->stream, bytes);
  }
  return absl::OkStatus();
}

const ChannelConfig* DataChannels::Find(ChannelId id) const {
  const auto it = channels_.find(id);
  return it == channels_.end() ? nullptr : &it->second->config;
}

DataChannels::Channel* DataChannels::FindByStream(StreamId stream) {
  const auto it = incoming_.find(stream);
  return it == incoming_.end() ? nullptr : it->second;
}

DataChannels::Channel* DataChannels::FindById(ChannelId id) {
  const auto it = channels_.find(id);
  return it == channels_.end() ? nullptr : it->second.get();
}

std::vector<ChannelId> DataChannels::Ids() const {
  std::vector<ChannelId> ids;
  ids.reserve(channels_.size());
  for (const auto& [id, channel] : channels_) ids.push_back(id);
  return ids;
}

void DataChannels::HandlePacket(absl::Time now, Packet packet) {
  last_now_ = std::max(last_now_, now);
  if (!association_) {
    ++stats_.drop_before_start;
    return;
  }
  association_->HandlePacket(now, packet);
  Process(now);
}

void DataChannels::HandleTimeout(absl::Time now) {
  last_now_ = std::max(last_now_, now);
  if (!association_) return;
  association_->HandleTimeout(now);
  Process(now);
}

std::optional<DataChannels::Packet> DataChannels::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  last_now_ = std::max(last_now_, now);
  if (!association_) return std::nullopt;
  std::optional<Packet> packet = association_->PollTransmit(now, out);
  // Sending drains the buffer, of which events tell.
  Process(now);
  return packet;
}

std::optional<DataChannels::Event> DataChannels::PollEvent() {
  Process(last_now_);
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  if (const auto* message = std::get_if<ChannelMessage>(&event)) {
    event_bytes_ -= message->payload.size();
  } else if (const auto* part = std::get_if<ChannelMessagePart>(&event)) {
    event_bytes_ -= part->payload.size();
  }
  return event;
}

absl::Time DataChannels::NextTimeout() const {
  if (!association_) return absl::InfiniteFuture();
  // Once it has passed, the association's own deadline counts.
  absl::Time next = association_->NextTimeout();
  if (!shutdown_by_ || ended_) return next;
  if (*shutdown_by_ > last_now_) next = std::min(next, *shutdown_by_);
  if (channels_.empty() && shutdown_at() > last_now_) {
    next = std::min(next, shutdown_at());
  }
  return next;
}

Stats DataChannels::association_stats() const {
  return association_ ? association_->stats() : Stats{};
}

std::string DataChannels::DebugString() const {
  return absl::StrCat(
      channels_.size(), " channels, ", events_.size(), " events, early ",
      early_bytes_, " bytes; ",
      association_ ? association_->DebugString() : "not started");
}

}  // namespace kyuu::sctp
