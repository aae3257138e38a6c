#include "ice/embedded_dtls.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/crc32.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace kyuu::ice {
namespace {

// RFC 7983 section 7.
bool IsDtls(absl::Span<const uint8_t> datagram) {
  return datagram[0] >= 20 && datagram[0] <= 63;
}

}  // namespace

void EmbeddedDtls::SetFlight(std::vector<std::vector<uint8_t>> datagrams) {
  if (!parts_) return;
  parts_->flight.clear();
  for (std::vector<uint8_t>& bytes : datagrams) {
    if (parts_->flight.size() == kDatagramsMax) break;
    const uint32_t crc = Crc32(bytes);
    parts_->flight.push_back({crc, std::move(bytes)});
  }
}

std::optional<std::vector<uint8_t>> EmbeddedDtls::TakeUnacknowledged() {
  if (!parts_ || parts_->flight.empty()) return std::nullopt;
  std::vector<uint8_t> bytes = std::move(parts_->flight.front().bytes);
  parts_->flight.pop_front();
  EndIfAllIsTold();
  return bytes;
}

void EmbeddedDtls::Finish() {
  if (!active()) return;
  state_ = State::kFinishing;
  EndIfAllIsTold();
}

void EmbeddedDtls::EndIfAllIsTold() {
  if (state_ != State::kFinishing) return;
  if (parts_->flight.empty() && !parts_->acknowledgement_due)
    state_ = State::kOff;
}

std::optional<std::vector<uint8_t>> EmbeddedDtls::PollReceived() {
  if (!parts_ || parts_->received.empty()) return std::nullopt;
  std::vector<uint8_t> bytes = std::move(parts_->received.front());
  parts_->received.pop_front();
  return bytes;
}

void EmbeddedDtls::Write(stun::MessageWriter& message) {
  if (state_ == State::kOff) return;
  std::array<uint8_t, 4 * kAcknowledgementsMax> crcs{};
  Writer writer(absl::MakeSpan(crcs));
  for (const uint32_t crc : parts_->acknowledgements) writer.U32(crc);
  message.Add(stun::MetaDtlsInStunAcknowledgement{writer.written()});
  parts_->acknowledgement_due = false;
  // One at a time, in turns; one that is too large has to wait for a path. An
  // empty one says that we speak SPED.
  const auto next = std::find_if(
      parts_->flight.begin(), parts_->flight.end(),
      [](const Datagram& d) { return d.bytes.size() <= kDatagramMax; });
  if (next == parts_->flight.end()) {
    message.Add(stun::MetaDtlsInStun{});
  } else {
    message.Add(stun::MetaDtlsInStun{next->bytes});
    ++parts_->stats.sent;
    std::rotate(parts_->flight.begin(), next + 1, parts_->flight.end());
  }
  EndIfAllIsTold();
}

void EmbeddedDtls::Read(const stun::MessageView& message) {
  if (state_ == State::kOff) return;
  const auto data = message.Get<stun::MetaDtlsInStun>();
  const auto acknowledgements =
      message.Get<stun::MetaDtlsInStunAcknowledgement>();
  if (!data && !acknowledgements) {
    // It does not know it, or it is done with it.
    if (state_ == State::kTentative || parts_->flight.empty())
      state_ = State::kOff;
    return;
  }
  if (state_ == State::kTentative) state_ = State::kConfirmed;
  if (acknowledgements) ReadAcknowledgements(acknowledgements->value);
  if (!data || data->value.empty()) return;
  if (!IsDtls(data->value)) {
    ++parts_->stats.drop_unusable;
    return;
  }
  if (parts_->received.size() == kDatagramsMax) {
    ++parts_->stats.drop_queue_full;
    return;
  }
  ++parts_->stats.received;
  Acknowledge(Crc32(data->value));
  parts_->received.emplace_back(data->value.begin(), data->value.end());
}

void EmbeddedDtls::ReadAcknowledgements(absl::Span<const uint8_t> crcs) {
  Reader reader(crcs);
  while (reader.remaining() >= 4) {
    const uint32_t crc = reader.U32();
    parts_->stats.acknowledged +=
        parts_->flight.EraseIf([&](const Datagram& d) { return d.crc == crc; });
  }
  EndIfAllIsTold();
}

void EmbeddedDtls::Acknowledge(uint32_t crc) {
  parts_->acknowledgement_due = true;
  parts_->acknowledgements.EraseIf([crc](uint32_t old) { return old == crc; });
  if (parts_->acknowledgements.size() == kAcknowledgementsMax) {
    parts_->acknowledgements.pop_front();
  }
  parts_->acknowledgements.push_back(crc);
}

}  // namespace kyuu::ice
