#include "signaling/internal/message_fields.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace kyuu::signaling::internal {
namespace {

// A message wraps metadata in at most three more levels.
constexpr size_t kWrapping = 4;

absl::string_view KindName(JsonKind kind) {
  switch (kind) {
    case JsonKind::kBool:
      return "true or false";
    case JsonKind::kNumber:
      return "a whole number";
    case JsonKind::kString:
      return "a string";
    case JsonKind::kObject:
      return "an object";
    case JsonKind::kArray:
      return "an array";
    case JsonKind::kNull:
      break;
  }
  return "null";
}

}  // namespace

JsonLimits JsonLimitsOf(const MessageLimits& limits) {
  return {.max_depth = limits.max_depth, .max_members = limits.max_members};
}

JsonLimits JsonLimitsOfWrapped(const MessageLimits& limits) {
  return {.max_depth = limits.max_depth + kWrapping,
          .max_members = limits.max_members};
}

std::optional<JsonValue> Fields::Get(absl::string_view name, JsonKind kind,
                                     Need need, size_t max_bytes) {
  const std::optional<JsonValue> value = object_->Find(name);
  if (!value.has_value() || value->kind == JsonKind::kNull) {
    if (need == Need::kRequired) {
      Fail(ErrorCode::kBadMessage, absl::StrCat("\"", name, "\" is missing"));
    }
    return std::nullopt;
  }
  if (value->kind != kind) {
    Fail(ErrorCode::kBadMessage,
         absl::StrCat("\"", name, "\" must be ", KindName(kind)));
    return std::nullopt;
  }
  if (value->raw.size() > max_bytes) {
    Fail(ErrorCode::kTooLarge,
         absl::StrCat("\"", name, "\" is above ", max_bytes, " bytes"));
    return std::nullopt;
  }
  return value;
}

std::string Fields::Text(absl::string_view name, Need need, size_t max_bytes) {
  const std::optional<JsonValue> value =
      Get(name, JsonKind::kString, need, kAnySize);
  if (!value.has_value()) return "";
  std::string text = *JsonText(*value);
  if (text.size() > max_bytes) {
    Fail(ErrorCode::kTooLarge,
         absl::StrCat("\"", name, "\" is above ", max_bytes, " bytes"));
    return "";
  }
  return text;
}

int64_t Fields::Integer(absl::string_view name, Need need, int64_t otherwise) {
  const std::optional<JsonValue> value =
      Get(name, JsonKind::kNumber, need, kAnySize);
  if (!value.has_value()) return otherwise;
  const std::optional<int64_t> number = JsonInteger(*value);
  if (!number.has_value()) {
    Fail(ErrorCode::kBadMessage,
         absl::StrCat("\"", name, "\" must be a whole number"));
  }
  return number.value_or(otherwise);
}

uint64_t Fields::Count(absl::string_view name, Need need, uint64_t otherwise) {
  const int64_t number = Integer(name, need, static_cast<int64_t>(otherwise));
  if (number >= 0) return static_cast<uint64_t>(number);
  Fail(ErrorCode::kBadMessage,
       absl::StrCat("\"", name, "\" must not be negative"));
  return otherwise;
}

bool Fields::Bool(absl::string_view name, Need need) {
  const std::optional<JsonValue> value =
      Get(name, JsonKind::kBool, need, kAnySize);
  return value.has_value() && *JsonBool(*value);
}

RawJson Fields::RawObject(absl::string_view name, Need need, size_t max_bytes) {
  const std::optional<JsonValue> value =
      Get(name, JsonKind::kObject, need, max_bytes);
  return value.has_value() ? value->raw : RawJson("{}");
}

RawJson Fields::RawText(absl::string_view name) {
  const std::optional<JsonValue> value =
      Get(name, JsonKind::kString, Need::kRequired, kAnySize);
  return value.has_value() ? value->raw : RawJson();
}

RawJson Fields::RawValue(absl::string_view name, size_t max_bytes) {
  const std::optional<JsonValue> value = object_->Find(name);
  if (!value.has_value() || value->kind == JsonKind::kNull) {
    Fail(ErrorCode::kBadMessage, absl::StrCat("\"", name, "\" is missing"));
    return "null";
  }
  if (value->raw.size() > max_bytes) {
    Fail(ErrorCode::kTooLarge,
         absl::StrCat("\"", name, "\" is above ", max_bytes, " bytes"));
  }
  return value->raw;
}

std::vector<std::string> Fields::Texts(absl::string_view name) {
  std::vector<std::string> texts;
  for (const JsonValue& element : Elements(name)) {
    std::optional<std::string> text = JsonText(element);
    if (!text.has_value()) {
      Fail(ErrorCode::kBadMessage,
           absl::StrCat("\"", name, "\" must hold strings"));
      break;
    }
    texts.push_back(*std::move(text));
  }
  return texts;
}

bool Fields::Has(absl::string_view name) const {
  const std::optional<JsonValue> value = object_->Find(name);
  return value.has_value() && value->kind != JsonKind::kNull;
}

std::vector<JsonValue> Fields::Elements(absl::string_view name) {
  const std::optional<JsonValue> array =
      Get(name, JsonKind::kArray, Need::kRequired, kAnySize);
  if (!array.has_value()) return {};
  return JsonElements(*array, JsonLimitsOfWrapped(*limits_).max_depth);
}

void Fields::Fail(ErrorCode code, std::string message) {
  if (error_.has_value()) return;
  error_.emplace();
  error_->code = code;
  error_->message = std::move(message);
}

}  // namespace kyuu::signaling::internal
