#include "turn/message_queues.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "turn/channel_data.h"
#include "turn/framing.h"

namespace kyuu::turn {
namespace {

// What a stream's buffer may keep while nothing is in it.
constexpr size_t kIdleBytes = 512;

}  // namespace

void IncomingMessages::Append(absl::Span<const uint8_t> bytes) {
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at_));
  at_ = 0;
  in_.insert(in_.end(), bytes.begin(), bytes.end());
}

absl::StatusOr<std::optional<absl::Span<const uint8_t>>> IncomingMessages::Next(
    size_t bytes_max) {
  const absl::Span<const uint8_t> left = rest();
  KYUU_ASSIGN_OR_RETURN(const std::optional<Frame> frame, ReadFrame(left));
  if (!frame) return std::nullopt;
  if (frame->bytes() > bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a message of ", frame->bytes(), " bytes"));
  }
  if (left.size() < frame->bytes()) return std::nullopt;
  at_ += frame->bytes();
  return left.first(frame->message_bytes);
}

absl::StatusOr<std::optional<IncomingMessages::Alike>>
IncomingMessages::NextAlike(size_t bytes_max) {
  const size_t begin = at_;
  KYUU_ASSIGN_OR_RETURN(const auto first, Next(bytes_max));
  if (!first) return std::nullopt;
  const size_t size = at_ - begin;
  Alike alike{*first, size};
  if (!IsChannelData(*first)) return alike;
  // An end in the middle of the padding waits for the rest of it.
  while (in_.size() - at_ >= size &&
         std::memcmp(in_.data() + begin, in_.data() + at_,
                     kChannelHeaderSize) == 0) {
    at_ += size;
    alike.bytes = absl::MakeConstSpan(in_).subspan(
        begin, at_ - size - begin + first->size());
  }
  return alike;
}

bool IncomingMessages::has_message() const {
  const auto frame = ReadFrame(rest());
  return frame.ok() && frame->has_value() && (*frame)->bytes() <= held_bytes();
}

void IncomingMessages::GiveBack() {
  if (held_bytes() > 0 || in_.capacity() <= kIdleBytes) return;
  std::vector<uint8_t>().swap(in_);
  at_ = 0;
}

void OutgoingMessages::Add(absl::Span<const uint8_t> prefix,
                           absl::Span<const uint8_t> payload, size_t padding) {
  absl::StrAppend(&out_, AsText(prefix), AsText(payload));
  out_.append(padding, '\0');
  if (pieces_ == Pieces::kMessages) {
    messages_.push_back(prefix.size() + payload.size() + padding);
  }
}

std::optional<absl::Span<const uint8_t>> OutgoingMessages::Take(
    absl::Span<uint8_t> out) {
  size_t size = std::min(out.size(), queued_bytes());
  if (size == 0) return std::nullopt;
  if (!messages_.empty()) {
    size_t& left = messages_.front();
    size = std::min(size, left);
    left -= size;
    if (left == 0) messages_.pop_front();
  }
  std::memcpy(out.data(), out_.data() + sent_, size);
  sent_ += size;
  if (sent_ == out_.size()) {
    out_.clear();
    sent_ = 0;
  } else if (sent_ >= bytes_max_) {
    // Not sooner, or each call would move all that waits.
    out_.erase(0, sent_);
    sent_ = 0;
  }
  return out.first(size);
}

void OutgoingMessages::Clear() {
  out_.clear();
  messages_.clear();
  sent_ = 0;
}

}  // namespace kyuu::turn
