// Typed access to the members of a message, with the first thing that is wrong
// with them.

#ifndef KYUU_SIGNALING_INTERNAL_MESSAGE_FIELDS_H_
#define KYUU_SIGNALING_INTERNAL_MESSAGE_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "signaling/error_code.h"
#include "signaling/internal/json.h"
#include "signaling/message_limits.h"

namespace kyuu::signaling::internal {

enum class Need : uint8_t { kRequired, kOptional };
inline constexpr size_t kAnySize = std::numeric_limits<size_t>::max();

// What is wrong with a member.
struct FieldError {
  ErrorCode code = ErrorCode::kBadMessage;
  std::string message;
};

// What JSON may measure under `limits`, and a message around it.
JsonLimits JsonLimitsOf(const MessageLimits& limits);
JsonLimits JsonLimitsOfWrapped(const MessageLimits& limits);

// Fields reads members of `object`; both it and `limits` must outlive it. A
// member that is missing though required, of another type or too large yields
// a default and is told by error(), the first one only; null counts as missing.
class Fields {
 public:
  Fields(const JsonObject& object, const MessageLimits& limits)
      : object_(&object), limits_(&limits) {}

  std::string Text(absl::string_view name, Need need,
                   size_t max_bytes = kAnySize);
  int64_t Integer(absl::string_view name, Need need, int64_t otherwise = 0);
  // A count: an Integer() that is not negative.
  uint64_t Count(absl::string_view name, Need need, uint64_t otherwise = 0);
  bool Bool(absl::string_view name, Need need);
  // The value as it stands; "{}" for an object that is missing, "" for a
  // string.
  RawJson RawObject(absl::string_view name, Need need,
                    size_t max_bytes = kAnySize);
  RawJson RawText(absl::string_view name);
  // Of any kind; one is required.
  RawJson RawValue(absl::string_view name, size_t max_bytes = kAnySize);
  // An array of strings.
  std::vector<std::string> Texts(absl::string_view name);
  bool Has(absl::string_view name) const;

  // Reads the object `name` by `read(Fields&)`; an error in it is an error
  // here.
  template <typename Read>
  void Inside(absl::string_view name, Read read) {
    ReadObject(name, RawObject(name, Need::kRequired), read);
  }
  // Reads each element of an array of objects by `read(Fields&)`.
  template <typename T, typename Read>
  std::vector<T> List(absl::string_view name, Read read) {
    std::vector<T> list;
    for (const JsonValue& element : Elements(name)) {
      ReadObject(name, element.raw,
                 [&](Fields& fields) { list.push_back(read(fields)); });
      if (error_.has_value()) break;
    }
    return list;
  }

  const MessageLimits& limits() const { return *limits_; }
  void Fail(ErrorCode code, std::string message);
  const std::optional<FieldError>& error() const { return error_; }

 private:
  // The member if it is there and of that kind.
  std::optional<JsonValue> Get(absl::string_view name, JsonKind kind, Need need,
                               size_t max_bytes);
  std::vector<JsonValue> Elements(absl::string_view name);
  template <typename Read>
  void ReadObject(absl::string_view name, RawJson raw, Read read) {
    const absl::StatusOr<JsonObject> object =
        JsonObject::Parse(raw, JsonLimitsOfWrapped(*limits_));
    if (!object.ok()) {
      return Fail(ErrorCode::kBadMessage,
                  absl::StrCat("\"", name, "\": ", object.status().message()));
    }
    Fields fields(*object, *limits_);
    read(fields);
    if (fields.error().has_value()) {
      Fail(fields.error()->code, fields.error()->message);
    }
  }

  const JsonObject* object_;
  const MessageLimits* limits_;
  std::optional<FieldError> error_;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_MESSAGE_FIELDS_H_
