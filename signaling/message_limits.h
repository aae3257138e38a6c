// What a message may measure, and the form in which payloads are passed on.

#ifndef KYUU_SIGNALING_MESSAGE_LIMITS_H_
#define KYUU_SIGNALING_MESSAGE_LIMITS_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace kyuu::signaling {

inline constexpr int kProtocolVersion = 1;

// What a token may measure: cookies and headers of HTTP servers end there, too.
inline constexpr size_t kMaxTokenBytes = 8 * 1024;

// What the secret of a room may measure.
inline constexpr size_t kMaxRoomSecretBytes = 128;

// What a message may measure; told to clients in `welcome`.
struct MessageLimits {
  // The whole message; the same as WebSocketOptions::max_message_bytes.
  size_t max_message_bytes = 64 * 1024;
  // Arrays and objects in each other; payloads of ours need three.
  size_t max_depth = 16;
  // Members of one object; metadata may have as many.
  size_t max_members = 64;
  // UTF-8 bytes of names of peers, rooms, calls, of reasons and of `id`.
  size_t max_name_bytes = 64;
  // JSON bytes of a peer's metadata and of a call's.
  size_t max_meta_bytes = 2048;
  // JSON bytes of what applications say to each other.
  size_t max_data_bytes = 16 * 1024;
};

// A JSON value kept as its text. In a parsed message it is a view into the
// text that was parsed, and as short-lived.
using RawJson = absl::string_view;

// True if `meta` is a JSON object within the limits.
bool IsValidMeta(absl::string_view meta, const MessageLimits& limits);
// True if `data` is a JSON value, and not null, within the limits.
bool IsValidData(absl::string_view data, const MessageLimits& limits);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_MESSAGE_LIMITS_H_
