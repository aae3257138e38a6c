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
  flight_.clear();
  for (std::vector<uint8_t>& bytes : datagrams) {
    if (flight_.size() == kDatagramsMax) break;
    const uint32_t crc = Crc32(bytes);
    flight_.push_back({crc, std::move(bytes)});
  }
}

std::optional<std::vector<uint8_t>> EmbeddedDtls::TakeUnacknowledged() {
  if (flight_.empty()) return std::nullopt;
  std::vector<uint8_t> bytes = std::move(flight_.front().bytes);
  flight_.pop_front();
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
  if (flight_.empty() && !acknowledgement_due_) state_ = State::kOff;
}

std::optional<std::vector<uint8_t>> EmbeddedDtls::PollReceived() {
  if (received_.empty()) return std::nullopt;
  std::vector<uint8_t> bytes = std::move(received_.front());
  received_.pop_front();
  return bytes;
}

void EmbeddedDtls::Write(stun::MessageWriter& message) {
  if (state_ == State::kOff) return;
  std::array<uint8_t, 4 * kAcknowledgementsMax> crcs{};
  Writer writer(absl::MakeSpan(crcs));
  for (const uint32_t crc : acknowledgements_) writer.U32(crc);
  message.Add(stun::MetaDtlsInStunAcknowledgement{writer.written()});
  acknowledgement_due_ = false;
  // One at a time, in turns; one that is too large has to wait for a path. An
  // empty one says that we speak SPED.
  const auto next = std::find_if(
      flight_.begin(), flight_.end(),
      [](const Datagram& d) { return d.bytes.size() <= kDatagramMax; });
  if (next == flight_.end()) {
    message.Add(stun::MetaDtlsInStun{});
  } else {
    message.Add(stun::MetaDtlsInStun{next->bytes});
    ++stats_.sent;
    std::rotate(flight_.begin(), next + 1, flight_.end());
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
    if (state_ == State::kTentative || flight_.empty()) state_ = State::kOff;
    return;
  }
  if (state_ == State::kTentative) state_ = State::kConfirmed;
  if (acknowledgements) ReadAcknowledgements(acknowledgements->value);
  if (!data || data->value.empty()) return;
  if (!IsDtls(data->value)) {
    ++stats_.drop_unusable;
    return;
  }
  if (received_.size() == kDatagramsMax) {
    ++stats_.drop_queue_full;
    return;
  }
  ++stats_.received;
  Acknowledge(Crc32(data->value));
  received_.emplace_back(data->value.begin(), data->value.end());
}

void EmbeddedDtls::ReadAcknowledgements(absl::Span<const uint8_t> crcs) {
  Reader reader(crcs);
  while (reader.remaining() >= 4) {
    const uint32_t crc = reader.U32();
    stats_.acknowledged +=
        flight_.EraseIf([&](const Datagram& d) { return d.crc == crc; });
  }
  EndIfAllIsTold();
}

void EmbeddedDtls::Acknowledge(uint32_t crc) {
  acknowledgement_due_ = true;
  acknowledgements_.EraseIf([crc](uint32_t old) { return old == crc; });
  if (acknowledgements_.size() == kAcknowledgementsMax) {
    acknowledgements_.pop_front();
  }
  acknowledgements_.push_back(crc);
}

}  // namespace kyuu::ice
