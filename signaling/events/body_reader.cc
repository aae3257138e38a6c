#include "signaling/events/body_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/bytes.h"
#include "base/status_macros.h"

namespace kyuu::signaling {
namespace {

// As many hexadecimal digits as say 4 GiB.
constexpr size_t kMaxSizeDigits = 8;

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

// chunk-size of a line, whose extensions are left unread (RFC 9112 section
// 7.1.1).
bool ParseChunkSize(absl::string_view line, uint64_t& size) {
  size_t digits = 0;
  while (digits < line.size() &&
         absl::ascii_isxdigit(static_cast<unsigned char>(line[digits]))) {
    ++digits;
  }
  const absl::string_view behind =
      absl::StripLeadingAsciiWhitespace(line.substr(digits));
  return digits > 0 && digits <= kMaxSizeDigits &&
         (behind.empty() || behind[0] == ';') &&
         absl::SimpleHexAtoi(line.substr(0, digits), &size);
}

}  // namespace

absl::StatusOr<BodyReader> BodyReader::For(const HttpResponse& response) {
  const HttpHeaders& headers = response.headers;
  if (headers.Count("Content-Encoding") > 0 &&
      !headers.HasToken("Content-Encoding", "identity")) {
    return absl::UnimplementedError("the answer is packed");
  }
  BodyReader reader;
  const size_t lengths = headers.Count("Content-Length");
  if (headers.Count("Transfer-Encoding") > 0) {
    if (lengths > 0) return Malformed("the answer has two lengths");
    const auto coding = headers.Find("Transfer-Encoding");
    if (headers.Count("Transfer-Encoding") > 1 ||
        !absl::EqualsIgnoreCase(*coding, "chunked")) {
      return absl::UnimplementedError("the answer has an unknown coding");
    }
    reader.state_ = State::kChunkSize;
    return reader;
  }
  if (lengths > 1) return Malformed("the answer has two lengths");
  if (lengths == 1) {
    const absl::string_view text = *headers.Find("Content-Length");
    if (text.find_first_not_of("0123456789") != absl::string_view::npos ||
        !absl::SimpleAtoi(text, &reader.left_)) {
      return Malformed("the answer has a length that is none");
    }
    if (reader.left_ == 0) reader.state_ = State::kEnded;
  }
  return reader;
}

absl::StatusOr<absl::Span<const uint8_t>> BodyReader::Next(
    absl::Span<const uint8_t>& in) {
  while (!in.empty() && state_ != State::kEnded) {
    if (state_ != State::kPlain && state_ != State::kChunk) {
      KYUU_ASSIGN_OR_RETURN(const bool whole, TakeLine(in));
      if (whole) KYUU_RETURN_IF_ERROR(OnLine());
      continue;
    }
    const auto stretch =
        in.first(static_cast<size_t>(std::min<uint64_t>(in.size(), left_)));
    in.remove_prefix(stretch.size());
    if (left_ != kEndless) left_ -= stretch.size();
    if (left_ == 0) {
      state_ = state_ == State::kPlain ? State::kEnded : State::kChunkEnd;
    }
    return stretch;
  }
  return absl::Span<const uint8_t>();
}

absl::StatusOr<bool> BodyReader::TakeLine(absl::Span<const uint8_t>& in) {
  const auto end = std::find(in.begin(), in.end(), '\n');
  const auto size = static_cast<size_t>(end - in.begin());
  if (line_.size() + size > kMaxLineBytes) {
    return Malformed("a line among chunks is too long");
  }
  const absl::string_view part = AsText(in.first(size));
  line_.append(part.data(), part.size());
  if (end == in.end()) {
    in = {};
    return false;
  }
  in.remove_prefix(size + 1);
  if (line_.empty() || line_.back() != '\r') {
    return Malformed("a line among chunks ends without CR");
  }
  line_.pop_back();
  return true;
}

absl::Status BodyReader::OnLine() {
  const std::string line = std::exchange(line_, "");
  if (state_ == State::kChunkSize) {
    if (!ParseChunkSize(line, left_)) return Malformed("this is no chunk");
    state_ = left_ == 0 ? State::kTrailer : State::kChunk;
  } else if (state_ == State::kChunkEnd) {
    if (!line.empty()) return Malformed("a chunk is longer than it said");
    state_ = State::kChunkSize;
  } else if (line.empty()) {
    state_ = State::kEnded;
  } else if (++trailer_lines_ > kMaxTrailerLines) {
    return Malformed("the trailer is too long");
  }
  return absl::OkStatus();
}

}  // namespace kyuu::signaling
