#include "signaling/internal/message_fields.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kyuu::signaling {
namespace {

struct CodeName {
  ErrorCode code;
  absl::string_view name;
};
constexpr std::array<CodeName, 15> kCodeNames = {{
    {ErrorCode::kBadMessage, "bad_message"},
    {ErrorCode::kUnknownType, "unknown_type"},
    {ErrorCode::kUnsupportedVersion, "unsupported_version"},
    {ErrorCode::kTooLarge, "too_large"},
    {ErrorCode::kRateLimited, "rate_limited"},
    {ErrorCode::kBadState, "bad_state"},
    {ErrorCode::kNotJoined, "not_joined"},
    {ErrorCode::kInvalidName, "invalid_name"},
    {ErrorCode::kNameTaken, "name_taken"},
    {ErrorCode::kNotFound, "not_found"},
    {ErrorCode::kUnknownCall, "unknown_call"},
    {ErrorCode::kTooManyCalls, "too_many_calls"},
    {ErrorCode::kRoomFull, "room_full"},
    {ErrorCode::kServerFull, "server_full"},
    {ErrorCode::kUnknown, "unknown"},
}};

absl::string_view KindName(internal::JsonKind kind) {
  switch (kind) {
    case internal::JsonKind::kBool:
      return "true or false";
    case internal::JsonKind::kNumber:
      return "a whole number";
    case internal::JsonKind::kString:
      return "a string";
    case internal::JsonKind::kObject:
      return "an object";
    case internal::JsonKind::kArray:
      return "an array";
    case internal::JsonKind::kNull:
      break;
  }
  return "null";
}

}  // namespace

absl::string_view ErrorCodeName(ErrorCode code) {
  for (const CodeName& entry : kCodeNames) {
    if (entry.code == code) return entry.name;
  }
  return "unknown";
}

namespace internal {

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

JsonValue Fields::Array(absl::string_view name, Need need) {
  return Get(name, JsonKind::kArray, need, kAnySize).value_or(JsonValue());
}

void Fields::Fail(ErrorCode code, std::string message) {
  if (error_.has_value()) return;
  error_.emplace();
  error_->code = code;
  error_->message = std::move(message);
}

Signal ReadSignal(Fields& fields) {
  Signal signal;
  signal.call = fields.Text("call", Need::kRequired);
  const std::string kind = fields.Text("kind", Need::kRequired);
  if (fields.error().has_value()) return signal;
  if (kind == "offer" || kind == "answer") {
    signal.kind = kind == "offer" ? SignalKind::kOffer : SignalKind::kAnswer;
    signal.payload = fields.RawText("sdp");
  } else if (kind == "candidate") {
    signal.kind = SignalKind::kCandidate;
    signal.payload = fields.RawObject("candidate", Need::kRequired);
  } else if (kind == "end-of-candidates") {
    signal.kind = SignalKind::kEndOfCandidates;
  } else {
    fields.Fail(ErrorCode::kBadMessage,
                "\"kind\" must be offer, answer, candidate or "
                "end-of-candidates");
  }
  return signal;
}

absl::string_view SignalKindName(SignalKind kind) {
  switch (kind) {
    case SignalKind::kOffer:
      return "offer";
    case SignalKind::kAnswer:
      return "answer";
    case SignalKind::kCandidate:
      return "candidate";
    case SignalKind::kEndOfCandidates:
      break;
  }
  return "end-of-candidates";
}

absl::string_view PresenceChangeName(PresenceChange change) {
  switch (change) {
    case PresenceChange::kJoined:
      return "joined";
    case PresenceChange::kLeft:
      return "left";
    case PresenceChange::kUpdated:
      break;
  }
  return "updated";
}

ErrorCode ErrorCodeFrom(absl::string_view name) {
  for (const CodeName& entry : kCodeNames) {
    if (entry.name == name) return entry.code;
  }
  return ErrorCode::kUnknown;
}

}  // namespace internal
}  // namespace kyuu::signaling
