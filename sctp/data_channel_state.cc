#include "sctp/data_channel_state.h"

#include <algorithm>
#include <utility>

namespace kyuu::sctp {

DcepOpen ToOpen(const ChannelConfig& config) {
  DcepOpen open{.ordering = config.ordering,
                .priority = config.priority,
                .label = config.label,
                .protocol = config.protocol};
  if (config.max_retransmits) {
    open.reliability = DcepOpen::Reliability::kRetransmits;
    open.reliability_parameter = *config.max_retransmits;
  } else if (config.max_packet_life_time) {
    open.reliability = DcepOpen::Reliability::kTimed;
    open.reliability_parameter = static_cast<uint32_t>(std::clamp<int64_t>(
        absl::ToInt64Milliseconds(*config.max_packet_life_time), 0,
        UINT32_MAX));
  }
  return open;
}

ChannelConfig ToConfig(DcepOpen open) {
  ChannelConfig config{.label = std::move(open.label),
                       .protocol = std::move(open.protocol),
                       .ordering = open.ordering,
                       .priority = open.priority};
  switch (open.reliability) {
    case DcepOpen::Reliability::kReliable:
      break;
    case DcepOpen::Reliability::kRetransmits:
      // W3C's and SCTP's limits have 16 bits; more is as good as 65535.
      config.max_retransmits = static_cast<uint16_t>(
          std::min<uint32_t>(open.reliability_parameter, UINT16_MAX));
      break;
    case DcepOpen::Reliability::kTimed:
      config.max_packet_life_time =
          absl::Milliseconds(open.reliability_parameter);
      break;
  }
  return config;
}

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

bool HasStreamParity(StreamId stream, StreamParity parity) {
  return (static_cast<uint16_t>(stream) % 2 == 0) ==
         (parity == StreamParity::kEven);
}

namespace internal {

void BufferedBytes::Add(size_t size, size_t counted) {
  entries_.push_back({size, counted});
  size_ += size;
  counted_ += counted;
}

size_t BufferedBytes::Counted(size_t waiting) {
  while (!entries_.empty() && size_ - entries_.front().size >= waiting) {
    size_ -= entries_.front().size;
    counted_ -= entries_.front().counted;
    entries_.pop_front();
  }
  if (entries_.empty()) {
    entries_.clear();
    return 0;
  }
  // Of the first message left a part may be gone.
  const size_t gone = size_ - std::min(size_, waiting);
  return counted_ - std::min(gone, entries_.front().counted);
}

}  // namespace internal

}  // namespace kyuu::sctp
