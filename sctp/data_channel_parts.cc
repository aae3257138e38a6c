// Messages of data channels that are sent, and received, in parts.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "sctp/data_channel.h"

namespace kyuu::sctp {

absl::Status DataChannels::BeginMessage(absl::Time, ChannelId id,
                                        PayloadType type,
                                        std::optional<size_t> size,
                                        std::optional<uint64_t> lifecycle) {
  Channel* channel = FindById(id);
  if (absl::Status s = MaySend(channel, size.value_or(0)); !s.ok()) return s;
  internal::ChannelActivity& activity = channel->MakeActivity();
  if (activity.sending) {
    return absl::FailedPreconditionError("a message in parts is open already");
  }
  activity.sending = {.type = type, .size = size, .lifecycle = lifecycle};
  return absl::OkStatus();
}

absl::Status DataChannels::SendPart(absl::Time now, ChannelId id,
                                    std::vector<uint8_t>&& bytes, Part part) {
  Channel* channel = FindById(id);
  if (absl::Status s = MaySend(channel, 0); !s.ok()) return s;
  if (channel->activity == nullptr || !channel->activity->sending) {
    return absl::FailedPreconditionError("no message is open on the channel");
  }
  if (part == Part::kGivenUp) {
    const bool lost = channel->activity->sending->taken > 0;
    GiveUpMessage(now, *channel);
    if (!lost || channel->is_unreliable()) return absl::OkStatus();
    events_.push_back(ChannelClosing{id});
    return CloseChannel(now, id);
  }
  using Sending = internal::ChannelActivity::Sending;
  Sending& sending = *channel->activity->sending;
  const size_t size = bytes.size();
  const size_t whole = sending.taken + size;
  // The limit may have changed since.
  if (whole > sending.size.value_or(max_message_size_)) {
    return absl::InvalidArgumentError(
        "the message becomes larger than was told or the peer takes");
  }
  if (part == Part::kLast && whole < sending.size.value_or(0)) {
    return absl::InvalidArgumentError("the message is shorter than was told");
  }
  if (whole == sending.size) part = Part::kLast;
  if (whole == 0) {
    if (part == Part::kMore) return absl::OkStatus();
    const Sending unsent = *std::exchange(channel->activity->sending, {});
    const absl::Status status =
        Send(now, id, unsent.type, {}, unsent.lifecycle);
    if (!status.ok()) channel->activity->sending = unsent;
    return status;
  }
  if (sending.taken == 0) {
    const Ppid ppid =
        sending.type == PayloadType::kText ? kPpidString : kPpidBinary;
    SendOptions how = HowToSend(*channel);
    how.lifecycle = lifecycles_.For(sending.lifecycle);
    const absl::Status begun = association_->BeginMessage(
        now, *channel->stream, ppid, sending.size, how);
    if (begun.ok()) {
      lifecycles_.Taken(id, std::exchange(sending.lifecycle, std::nullopt));
    } else if (!absl::IsFailedPrecondition(begun)) {
      return begun;
    }
  }
  const absl::Status status =
      association_->SendPart(now, *channel->stream, std::move(bytes), part);
  if (absl::IsFailedPrecondition(status)) {
    channel->activity->sending.reset();
    return absl::AbortedError("the message was given up");
  }
  if (!status.ok()) return status;
  sending.taken = whole;
  if (part == Part::kLast) {
    channel->activity->sending.reset();
    ++channel->stats.messages_sent;
    ++stats_.messages_sent;
  }
  CountSent(*channel, size, size);
  return absl::OkStatus();
}

void DataChannels::CountSent(Channel& channel, size_t size, size_t counted) {
  channel.MakeActivity().buffered.Add(size, counted);
  if (buffered_amount(channel.id) > channel.low_threshold) {
    channel.above_threshold = true;
  }
  channel.stats.bytes_sent += counted;
  stats_.bytes_sent += counted;
}

void DataChannels::GiveUpMessage(absl::Time now, Channel& channel) {
  const auto sending = *std::exchange(channel.activity->sending, {});
  if (sending.lifecycle) {  // The association has never heard of it.
    events_.push_back(
        ChannelMessageSettled{channel.id, *sending.lifecycle, Fate::kGivenUp});
  }
  // Refused where the association has none: it is over there, or not begun.
  association_->SendPart(now, *channel.stream, {}, Part::kGivenUp)
      .IgnoreError();
}

void DataChannels::On(absl::Time now, MessagePart& part) {
  const bool ends = part.part != Part::kMore;
  if (missed_.contains(part.message)) {
    if (ends) missed_.erase(part.message);
    return;
  }
  const std::optional<PayloadType> type = TypeOf(part.ppid);
  if (!type) {
    // DCEP is never as large; a channel's stream may ask for parts.
    if (part.offset == 0) {
      ++(part.ppid == kPpidDcep ? stats_.drop_malformed_dcep
                                : stats_.drop_unknown_ppid);
    }
    return;
  }
  Channel* channel = FindByStream(part.stream);
  if (channel == nullptr || channel->state == Channel::State::kWaiting) {
    FinishParting(part.stream);
    ++stats_.drop_early_data;
    if (!ends) missed_.insert(part.message);
    return;
  }
  if (channel->closed_here) {
    if (ends) ++stats_.drop_after_close;
    return;
  }
  if (channel->config.delivery == Delivery::kWhole) {
    // It will never be whole here, and what follows it would be out of order.
    ++stats_.drop_oversized;
    channel->oversized = true;
    FollowClosing(now, *channel);
    if (Channel* closing = FindByStream(part.stream)) {
      closing->closed_here = true;
    }
    return;
  }
  if (part.ppid == kPpidStringPartial || part.ppid == kPpidBinaryPartial) {
    if (part.offset == 0) ++stats_.drop_partial_message;
    return;
  }
  DeliverPart(*channel, *type, part);
}

void DataChannels::DeliverPart(Channel& channel, PayloadType type,
                               MessagePart& part) {
  // One that came whole has a number that no other has.
  constexpr uint64_t kWhole = uint64_t{1} << 32;
  const bool whole = part.part == Part::kLast && part.offset == 0;
  const uint64_t number = whole ? kWhole | next_whole_++ : part.message;
  const size_t size = part.payload.size();
  channel.stats.bytes_received += size;
  stats_.bytes_received += size;
  if (part.part == Part::kLast) {
    ++channel.stats.messages_received;
    ++stats_.messages_received;
  }
  event_bytes_ += size;
  events_.push_back(ChannelMessagePart{.channel = channel.id,
                                       .type = type,
                                       .message = number,
                                       .offset = part.offset,
                                       .part = part.part,
                                       .payload = std::move(part.payload)});
}

}  // namespace kyuu::sctp
