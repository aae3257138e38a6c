// Typed access to the members of a message, with the first thing that is wrong
// with them.

#ifndef KYUU_SIGNALING_INTERNAL_MESSAGE_FIELDS_H_
#define KYUU_SIGNALING_INTERNAL_MESSAGE_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "signaling/internal/json.h"
#include "signaling/message.h"

namespace kyuu::signaling::internal {

enum class Need : uint8_t { kRequired, kOptional };
inline constexpr size_t kAnySize = std::numeric_limits<size_t>::max();

// Fields reads members of `object`, which must outlive it. A member that is
// missing though required, of another type or too large yields a default and
// is told by error(), the first one only; null counts as missing.
class Fields {
 public:
  explicit Fields(const JsonObject& object) : object_(&object) {}

  std::string Text(absl::string_view name, Need need,
                   size_t max_bytes = kAnySize);
  int64_t Integer(absl::string_view name, Need need, int64_t otherwise = 0);
  bool Bool(absl::string_view name, Need need);
  // The value as it stands; "{}" for an object that is missing, "" for a
  // string.
  RawJson RawObject(absl::string_view name, Need need,
                    size_t max_bytes = kAnySize);
  RawJson RawText(absl::string_view name);
  // An array's value; of kind kNull if it is missing.
  JsonValue Array(absl::string_view name, Need need);

  void Fail(ErrorCode code, std::string message);
  const std::optional<Error>& error() const { return error_; }

 private:
  // The member if it is there and of that kind.
  std::optional<JsonValue> Get(absl::string_view name, JsonKind kind, Need need,
                               size_t max_bytes);

  const JsonObject* object_;
  std::optional<Error> error_;
};

// Reads kind and payload of a `signal`, whoever sent it.
Signal ReadSignal(Fields& fields);
absl::string_view SignalKindName(SignalKind kind);
absl::string_view PresenceChangeName(PresenceChange change);
// kUnknown for a code that is not in the list.
ErrorCode ErrorCodeFrom(absl::string_view name);

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_MESSAGE_FIELDS_H_
