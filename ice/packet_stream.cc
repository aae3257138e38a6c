#include "ice/packet_stream.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "stun/message.h"

namespace kyuu::ice {
namespace {

constexpr size_t kLengthBytes = 2;

}  // namespace

PacketStream::PacketStream(const PacketStreamOptions& options)
    : options_(options) {}

void PacketStream::Send(absl::Span<const uint8_t> packet) {
  const size_t room = options_.queued_bytes_max +
                      (stun::IsStun(packet) ? options_.stun_bytes_max : 0);
  if (closed_ || packet.size() > std::numeric_limits<uint16_t>::max() ||
      queued_bytes() + kLengthBytes + packet.size() > room) {
    ++stats_.packets_dropped;
    return;
  }
  // What was sent makes room once it is the greater part.
  if (sent_ > queued_bytes()) {
    out_.erase(out_.begin(), out_.begin() + static_cast<long>(sent_));
    sent_ = 0;
  }
  out_.push_back(static_cast<uint8_t>(packet.size() >> 8));
  out_.push_back(static_cast<uint8_t>(packet.size()));
  out_.insert(out_.end(), packet.begin(), packet.end());
  ++stats_.packets_queued;
}

void PacketStream::Close() {
  in_.clear();
  at_ = 0;
  End(absl::OkStatus());
}

void PacketStream::HandlePacket(absl::Time, Packet in) {
  if (closed_) return;
  in_.erase(in_.begin(), in_.begin() + static_cast<long>(at_));
  at_ = 0;
  in_.insert(in_.end(), in.begin(), in.end());
}

std::optional<PacketStream::Packet> PacketStream::PollTransmit(
    absl::Time, absl::Span<uint8_t> out) {
  // An idle stream holds no memory.
  if (at_ == in_.size() && in_.capacity() > 0) {
    in_ = {};
    at_ = 0;
  }
  const size_t size = std::min(out.size(), queued_bytes());
  if (size == 0) return std::nullopt;
  std::memcpy(out.data(), out_.data() + sent_, size);
  sent_ += size;
  if (queued_bytes() == 0) {
    out_ = {};
    sent_ = 0;
  }
  return out.first(size);
}

std::optional<PacketStream::Event> PacketStream::PollEvent() {
  while (in_.size() - at_ >= kLengthBytes) {
    const size_t length = size_t{in_[at_]} << 8 | in_[at_ + 1];
    if (length > options_.packet_bytes_max) {
      in_.clear();
      at_ = 0;
      End(absl::ResourceExhaustedError(
          absl::StrCat("a packet of ", length, " bytes")));
      break;
    }
    if (in_.size() - at_ - kLengthBytes < length) break;
    const auto packet =
        absl::MakeConstSpan(in_).subspan(at_ + kLengthBytes, length);
    at_ += kLengthBytes + length;
    // RFC 4571 section 2: an empty one is legal, and says nothing.
    if (packet.empty()) continue;
    ++stats_.packets_received;
    return Received{packet};
  }
  if (!end_) return std::nullopt;
  return Event(*std::exchange(end_, std::nullopt));
}

void PacketStream::HandleStreamEnd(absl::Time, const absl::Status& why) {
  // Whoever has ended his side hears no more of us.
  out_.clear();
  sent_ = 0;
  End(why);
}

void PacketStream::End(absl::Status status) {
  if (std::exchange(closed_, true)) return;
  end_ = Closed{std::move(status)};
}

std::string PacketStream::DebugString() const {
  return absl::StrCat("ice::PacketStream holds ", held_bytes(), " bytes",
                      closed_ ? ", closed" : "");
}

}  // namespace kyuu::ice
