#include "tools/kyuu/pipe/pipe_end.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

std::string Text(const json& message, const char* key) {
  const auto it = message.find(key);
  return it != message.end() && it->is_string() ? it->get<std::string>()
                                                : std::string();
}

std::optional<uint64_t> Count(const json& message, const char* key) {
  const auto it = message.find(key);
  if (it == message.end() || !it->is_number_unsigned()) return std::nullopt;
  const uint64_t count = it->get<uint64_t>();
  return count <= PipeEnd::kBytesMax ? std::optional(count) : std::nullopt;
}

}  // namespace

PipeEnd::PipeEnd(absl::Time now, PipeRole role)
    : role_(role), deadline_(now + kStartMax) {
  if (role == PipeRole::kOffers) {
    control_.push_back({{"type", "pipe-offer"}, {"window", kWindowBytes}});
  }
}

void PipeEnd::HandleControl(const json& message) {
  if (outcome_ || !message.is_object()) return;
  const std::string type = Text(message, "type");
  const bool offers = role_ == PipeRole::kOffers;
  if (type == (offers ? "pipe-accept" : "pipe-offer")) {
    OnStart(message);
  } else if (type == "pipe-reject" && offers && stage_ == Stage::kOffer) {
    outcome_ = absl::PermissionDeniedError(
        Text(message, "reason") == "unsupported"
            ? "the other side takes no pipe: it has to be a kyuu pipe, too"
            : "the other side refused the pipe");
  } else if (type == "pipe-taken") {
    OnTaken(message);
  } else if (type == "pipe-failed") {
    OnFailed(message);
  }
}

void PipeEnd::OnStart(const json& message) {
  if (stage_ != Stage::kOffer) return;
  const std::optional<uint64_t> window = Count(message, "window");
  if (!window || *window < kWindowBytesMin) {
    return BreakOff("names no window that could be used");
  }
  peer_window_ = *window;
  stage_ = Stage::kOpening;
  if (role_ == PipeRole::kOffers) {
    opening_ = true;
  } else {
    control_.push_back({{"type", "pipe-accept"}, {"window", kWindowBytes}});
  }
}

void PipeEnd::OnTaken(const json& message) {
  const std::optional<uint64_t> bytes = Count(message, "bytes");
  const auto end = message.find("end");
  const bool is_end = end != message.end() && *end == true;
  if (!bytes || *bytes < taken_ || *bytes > sent_ ||
      (is_end && (!ended_ || *bytes != sent_))) {
    return BreakOff("has taken what was not sent");
  }
  taken_ = *bytes;
  end_taken_ = end_taken_ || is_end;
  Review();
}

void PipeEnd::OnFailed(const json& message) {
  const std::string reason = Text(message, "reason");
  outcome_ = absl::AbortedError(
      reason == "closed" ? "the reader of the other side has gone before all "
                           "was read"
      : reason == "interrupted" ? "the other side was interrupted"
      : reason == "io_error"    ? "the other side cannot read or write"
                                : "the other side broke the pipe off");
}

// The peer has broken a rule.
void PipeEnd::BreakOff(const std::string& what) {
  Fail("protocol_error",
       absl::InvalidArgumentError(absl::StrCat("the other side ", what)));
}

void PipeEnd::Fail(const std::string& reason, absl::Status status) {
  if (outcome_) return;
  control_.push_back({{"type", "pipe-failed"}, {"reason", reason}});
  outcome_ = std::move(status);
}

void PipeEnd::HandleOpen() {
  if (stage_ == Stage::kOpening) stage_ = Stage::kOpen;
}

bool PipeEnd::HandleData(size_t size) {
  if (outcome_) return false;
  if (size == 0 || size > kChunkBytesMax || peer_ended_ ||
      received_ + size - written_ > kWindowBytes) {
    BreakOff("sends more than it may");
    return false;
  }
  received_ += size;
  return true;
}

void PipeEnd::HandleEnd(absl::string_view text) {
  if (outcome_) return;
  const json message = json::parse(text.begin(), text.end(), nullptr, false);
  if (!message.is_object() || Text(message, "type") != "end" ||
      Count(message, "size") != received_ || peer_ended_) {
    return BreakOff("has sent another amount than it says");
  }
  peer_ended_ = true;
}

void PipeEnd::HandleWritten(uint64_t bytes) {
  written_ += bytes;
  if (outcome_ || written_ - reported_ < kReportBytes) return;
  reported_ = written_;
  control_.push_back({{"type", "pipe-taken"}, {"bytes", written_}});
}

void PipeEnd::HandleOutputClosed() {
  if (outcome_ || !peer_ended_ || written_ != received_ || output_closed_) {
    return;
  }
  output_closed_ = true;
  control_.push_back(
      {{"type", "pipe-taken"}, {"bytes", written_}, {"end", true}});
  Review();
}

void PipeEnd::Review() {
  if (end_taken_ && output_closed_) outcome_ = absl::OkStatus();
}

std::optional<json> PipeEnd::PollControl() {
  if (control_.empty()) return std::nullopt;
  json message = std::move(control_.front());
  control_.pop_front();
  return message;
}

bool PipeEnd::TakeOpening() {
  return !outcome_ && std::exchange(opening_, false);
}

size_t PipeEnd::room() const {
  if (stage_ != Stage::kOpen || ended_ || outcome_) return 0;
  const uint64_t ahead = sent_ - taken_;
  return ahead >= peer_window_ ? 0
                               : static_cast<size_t>(std::min<uint64_t>(
                                     kChunkBytesMax, peer_window_ - ahead));
}

std::string PipeEnd::End() {
  ended_ = true;
  return json{{"type", "end"}, {"size", sent_}}.dump();
}

void PipeEnd::HandleTimeout(absl::Time now) {
  if (now < NextTimeout()) return;
  outcome_ = absl::DeadlineExceededError(
      "the other side says nothing of a pipe: it has to be a kyuu pipe, too");
}

absl::Time PipeEnd::NextTimeout() const {
  return outcome_ || stage_ == Stage::kOpen ? absl::InfiniteFuture()
                                            : deadline_;
}

}  // namespace kyuu::tools
