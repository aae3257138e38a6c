#include "peer/data_channel.h"

#include <utility>

#include "peer/internal/peer_connection_core.h"

namespace kyuu::peer {

absl::string_view ToString(DataChannelState state) {
  switch (state) {
    case DataChannelState::kConnecting:
      return "connecting";
    case DataChannelState::kOpen:
      return "open";
    case DataChannelState::kClosing:
      return "closing";
    case DataChannelState::kClosed:
      return "closed";
  }
  return "";
}

DataChannel::DataChannel(std::shared_ptr<internal::Core> core,
                         ChannelId channel, ChannelConfig config,
                         DataChannelHandlers handlers)
    : core_(std::move(core)),
      channel_(channel),
      config_(std::move(config)),
      handlers_(std::make_shared<DataChannelHandlers>(std::move(handlers))) {
  if (config_.negotiated_id) {
    id_ = static_cast<uint16_t>(*config_.negotiated_id);
  }
}

DataChannel::~DataChannel() = default;

void DataChannel::SetHandlers(DataChannelHandlers handlers) {
  core_->SetHandlers(*this, std::move(handlers));
}

absl::Status DataChannel::Send(absl::string_view text,
                               std::optional<uint64_t> lifecycle) {
  return core_->Send(*this, PayloadType::kText,
                     std::vector<uint8_t>(text.begin(), text.end()), lifecycle);
}

absl::Status DataChannel::Send(absl::Span<const uint8_t> binary,
                               std::optional<uint64_t> lifecycle) {
  return core_->Send(*this, PayloadType::kBinary,
                     std::vector<uint8_t>(binary.begin(), binary.end()),
                     lifecycle);
}

absl::Status DataChannel::Send(std::vector<uint8_t>&& binary,
                               std::optional<uint64_t> lifecycle) {
  return core_->Send(*this, PayloadType::kBinary, std::move(binary), lifecycle);
}

absl::Status DataChannel::BeginMessage(PayloadType type,
                                       std::optional<size_t> size,
                                       std::optional<uint64_t> lifecycle) {
  return core_->BeginMessage(*this, type, size, lifecycle);
}

absl::Status DataChannel::SendPart(std::vector<uint8_t>&& bytes, Part part) {
  return core_->SendPart(*this, std::move(bytes), part);
}

void DataChannel::Close() { core_->CloseChannel(*this); }

size_t DataChannel::buffered_amount() const {
  return core_->Ask([&](const internal::Core& core) {
    const size_t amount = core.connection().buffered_amount(channel_);
    return state_ == DataChannelState::kClosed || amount == 0
               ? buffered_at_close_
               : amount;
  });
}

ChannelStats DataChannel::stats() const {
  return core_->Ask([&](const internal::Core& core) {
    return core.connection().channel_stats(channel_).value_or(stats_at_close_);
  });
}

void DataChannel::SetBufferedAmountLowThreshold(size_t bytes) {
  core_->SetBufferedAmountLowThreshold(*this, bytes);
}

size_t DataChannel::buffered_amount_low_threshold() const {
  return core_->Ask([&](const internal::Core&) { return low_threshold_; });
}

DataChannelState DataChannel::ready_state() const {
  return core_->Ask([&](const internal::Core&) { return state_; });
}

std::optional<uint16_t> DataChannel::id() const {
  return core_->Ask([&](const internal::Core&) { return id_; });
}

}  // namespace kyuu::peer
