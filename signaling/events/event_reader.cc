#include "signaling/events/event_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/bytes.h"
#include "base/status_macros.h"

namespace kyuu::signaling {
namespace {

constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

absl::StatusOr<size_t> EventReader::Feed(absl::Span<const uint8_t> bytes) {
  const absl::string_view text = AsText(bytes);
  size_t at = 0;
  while (at < text.size() && !complete_) {
    if (std::exchange(behind_cr_, false) && text[at] == '\n') {
      ++at;
      continue;
    }
    const size_t end = text.find_first_of("\r\n", at);
    const absl::string_view part = text.substr(at, end - at);
    if (line_.size() + part.size() > limits_.max_line_bytes) {
      return absl::OutOfRangeError(absl::StrCat(
          "a line of events above ", limits_.max_line_bytes, " bytes"));
    }
    line_.append(part.data(), part.size());
    at += part.size();
    if (end == absl::string_view::npos) break;
    behind_cr_ = text[at++] == '\r';
    KYUU_RETURN_IF_ERROR(OnLine(std::exchange(line_, "")));
  }
  return at;
}

absl::Status EventReader::OnLine(absl::string_view line) {
  if (lines_++ == 0) absl::ConsumePrefix(&line, kByteOrderMark);
  if (line.empty()) {
    event_bytes_ = 0;
    complete_ = std::exchange(has_data_, false);
    if (!complete_) event_ = ServerSentEvent();
    return absl::OkStatus();
  }
  if (line[0] == ':') return absl::OkStatus();
  event_bytes_ += line.size() + 1;
  if (event_bytes_ > limits_.max_event_bytes) {
    return absl::OutOfRangeError(
        absl::StrCat("an event above ", limits_.max_event_bytes, " bytes"));
  }
  const size_t colon = line.find(':');
  absl::string_view value =
      colon == absl::string_view::npos ? "" : line.substr(colon + 1);
  absl::ConsumePrefix(&value, " ");
  OnField(line.substr(0, colon), value);
  return absl::OkStatus();
}

void EventReader::OnField(absl::string_view name, absl::string_view value) {
  if (name == "event") {
    event_.type = std::string(value);
  } else if (name == "data") {
    if (std::exchange(has_data_, true)) event_.data.push_back('\n');
    absl::StrAppend(&event_.data, value);
  }
}

std::optional<ServerSentEvent> EventReader::Take() {
  if (!std::exchange(complete_, false)) return std::nullopt;
  return std::exchange(event_, ServerSentEvent());
}

}  // namespace kyuu::signaling
