// JSON (RFC 8259) as signaling needs it: one strict, bounded pass over a
// message that leaves its values where they are, so that descriptions and
// metadata are passed on as the bytes they came in.

#ifndef KYUU_SIGNALING_INTERNAL_JSON_H_
#define KYUU_SIGNALING_INTERNAL_JSON_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::signaling::internal {

enum class JsonKind : uint8_t {
  kNull,
  kBool,
  kNumber,
  kString,
  kObject,
  kArray
};

// JsonValue is a valid value as it stands in the text that was parsed.
struct JsonValue {
  JsonKind kind = JsonKind::kNull;
  absl::string_view raw;
};

struct JsonLimits {
  size_t max_depth = 16;    // Of arrays and objects in each other.
  size_t max_members = 64;  // Of the outermost object.
  // Of one inside of it, whose names nobody compares.
  size_t max_inner_members = 64;
};

// CheckJson returns `text` as a value, without the white space around it.
// INVALID_ARGUMENT if it is not JSON in UTF-8, or an escape denotes a lone
// surrogate; OUT_OF_RANGE beyond the limits.
absl::StatusOr<JsonValue> CheckJson(absl::string_view text,
                                    const JsonLimits& limits);

// JsonObject gives access to the members of an object. Its values are views
// into the text it was parsed from.
class JsonObject {
 public:
  // As CheckJson; INVALID_ARGUMENT also for what is not an object and for a
  // name that occurs twice in it, which two readers would read differently.
  static absl::StatusOr<JsonObject> Parse(absl::string_view text,
                                          const JsonLimits& limits);
  std::optional<JsonValue> Find(absl::string_view name) const;
  struct Member {
    std::string name;
    JsonValue value;
  };
  // In the order of the text.
  const std::vector<Member>& members() const { return members_; }

 private:
  std::vector<Member> members_;
};

// The elements of a value that CheckJson or Parse returned; empty if it is
// not an array.
std::vector<JsonValue> JsonElements(JsonValue array, size_t max_depth);

// The text of a string value, escapes undone; nullopt for other kinds.
std::optional<std::string> JsonText(JsonValue value);
// A whole number without fraction and exponent; nullopt for anything else.
std::optional<int64_t> JsonInteger(JsonValue value);
std::optional<bool> JsonBool(JsonValue value);

// Appends `text`, which must be UTF-8, as a JSON string with its quotes.
void AppendJsonText(absl::string_view text, std::string& out);

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_JSON_H_
