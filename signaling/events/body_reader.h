// The body of a response that arrives bit by bit, taken out of its framing
// (RFC 9112 sections 6.3 and 7.1). A value.

#ifndef KYUU_SIGNALING_EVENTS_BODY_READER_H_
#define KYUU_SIGNALING_EVENTS_BODY_READER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "signaling/http.h"

namespace kyuu::signaling {

class BodyReader {
 public:
  // A line that says how long a chunk is, or one of the trailer.
  static constexpr size_t kMaxLineBytes = 256;
  // Of those of the trailer, which is left unread.
  static constexpr size_t kMaxTrailerLines = 32;

  // The framing that `response` announces: chunks, a length, or, with neither,
  // until the stream ends. INVALID_ARGUMENT if it announces two, UNIMPLEMENTED
  // for a coding other than chunks, or content that is packed.
  static absl::StatusOr<BodyReader> For(const HttpResponse& response);

  // The next stretch of the body is taken off `in`, with what frames it: a view
  // into `in`, empty once nothing of `in` is left or the body has ended.
  // INVALID_ARGUMENT for chunks that are none; the reader is then of no more
  // use.
  absl::StatusOr<absl::Span<const uint8_t>> Next(absl::Span<const uint8_t>& in);

  // All of it has been taken. Without a length it never is.
  bool ended() const { return state_ == State::kEnded; }

 private:
  enum class State : uint8_t {
    kPlain,      // left_ bytes, and then the end.
    kChunkSize,  // In the line before a chunk.
    kChunk,      // left_ bytes of it.
    kChunkEnd,   // In the line end behind a chunk.
    kTrailer,
    kEnded,
  };
  static constexpr uint64_t kEndless = std::numeric_limits<uint64_t>::max();

  // Takes `in` up to the end of a line; true with the whole of it in line_.
  absl::StatusOr<bool> TakeLine(absl::Span<const uint8_t>& in);
  absl::Status OnLine();

  State state_ = State::kPlain;
  uint64_t left_ = kEndless;
  std::string line_;  // As far as it has come, without its CR LF at the end.
  size_t trailer_lines_ = 0;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_EVENTS_BODY_READER_H_
