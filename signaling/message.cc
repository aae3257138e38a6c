#include "signaling/message.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "signaling/internal/json.h"
#include "signaling/internal/message_fields.h"
#include "signaling/internal/object_writer.h"

namespace kyuu::signaling {

using internal::Fields;
using internal::JsonKind;
using internal::JsonObject;
using internal::JsonValue;
using internal::Need;

namespace {

using ClientBody = decltype(ClientMessage::body);
using ServerBody = decltype(ServerMessage::body);

MessageRefused Refused(std::string id, ErrorCode code, std::string message) {
  MessageRefused refused;
  refused.id = std::move(id);
  refused.error.code = code;
  refused.error.message = std::move(message);
  return refused;
}

// The alternative of `Body` whose kType is `type`, read from `f`; nullopt for a
// type that is none of them.
template <typename Body, size_t kIndex = 0>
std::optional<Body> ReadBody(absl::string_view type, Fields& f) {
  if constexpr (kIndex == std::variant_size_v<Body>) {
    return std::nullopt;
  } else {
    using Message = std::variant_alternative_t<kIndex, Body>;
    if (type != Message::kType) return ReadBody<Body, kIndex + 1>(type, f);
    Message message;
    Read(f, message);
    return Body(std::move(message));
  }
}

template <typename Message>
std::string WriteAny(const Message& message) {
  std::string out;
  {
    internal::ObjectWriter w(out);
    std::visit([&](const auto& body) { Write(body, w); }, message.body);
    if (!message.id.empty()) w.Raw("id", message.id);
  }
  return out;
}

// Of a text that is one JSON value, without space around it: it is put into
// messages as it is. nullopt for any other.
std::optional<JsonKind> KindOf(absl::string_view text,
                               const MessageLimits& limits) {
  const absl::StatusOr<JsonValue> value =
      internal::CheckJson(text, internal::JsonLimitsOf(limits));
  if (!value.ok() || value->raw.size() != text.size()) return std::nullopt;
  return value->kind;
}

// The raw `id`, or nullopt if there is one that cannot be repeated.
std::optional<std::string> ReadId(const JsonObject& object,
                                  const MessageLimits& limits) {
  const std::optional<JsonValue> id = object.Find("id");
  if (!id.has_value() || id->kind == JsonKind::kNull) return "";
  const bool whole = internal::JsonInteger(*id).has_value();
  if ((id->kind != JsonKind::kString && !whole) ||
      id->raw.size() > limits.max_name_bytes) {
    return std::nullopt;
  }
  return std::string(id->raw);
}

}  // namespace

std::variant<ClientMessage, MessageRefused> ParseClientMessage(
    absl::string_view text, const MessageLimits& limits) {
  if (text.size() > limits.max_message_bytes) {
    return Refused("", ErrorCode::kTooLarge,
                   absl::StrCat("the message is above ",
                                limits.max_message_bytes, " bytes"));
  }
  const absl::StatusOr<JsonObject> object =
      JsonObject::Parse(text, internal::JsonLimitsOf(limits));
  if (!object.ok()) {
    return Refused("",
                   absl::IsOutOfRange(object.status()) ? ErrorCode::kTooLarge
                                                       : ErrorCode::kBadMessage,
                   std::string(object.status().message()));
  }
  std::optional<std::string> id = ReadId(*object, limits);
  if (!id.has_value()) {
    return Refused("", ErrorCode::kBadMessage,
                   "\"id\" must be a short string or a whole number");
  }
  Fields fields(*object, limits);
  const std::string type = fields.Text("type", Need::kRequired);
  if (fields.error().has_value()) {
    return Refused(*std::move(id), fields.error()->code,
                   fields.error()->message);
  }
  std::optional<ClientBody> body = ReadBody<ClientBody>(type, fields);
  if (!body.has_value()) {
    return Refused(*std::move(id), ErrorCode::kUnknownType,
                   "this type of message is not known here");
  }
  if (fields.error().has_value()) {
    return Refused(*std::move(id), fields.error()->code,
                   fields.error()->message);
  }
  return ClientMessage{*std::move(id), *std::move(body)};
}

absl::StatusOr<ServerMessage> ParseServerMessage(absl::string_view text,
                                                 const MessageLimits& limits) {
  KYUU_ASSIGN_OR_RETURN(
      const JsonObject object,
      JsonObject::Parse(text, internal::JsonLimitsOfWrapped(limits)));
  std::optional<std::string> id = ReadId(object, limits);
  if (!id.has_value()) return absl::InvalidArgumentError("\"id\"");
  Fields fields(object, limits);
  const std::string type = fields.Text("type", Need::kRequired);
  std::optional<ServerBody> body = ReadBody<ServerBody>(type, fields);
  if (!body.has_value() && !fields.error().has_value()) {
    return absl::UnimplementedError(absl::StrCat("message type ", type));
  }
  if (fields.error().has_value()) {
    return absl::InvalidArgumentError(fields.error()->message);
  }
  return ServerMessage{*std::move(id), *std::move(body)};
}

std::string WriteMessage(const ClientMessage& message) {
  return WriteAny(message);
}
std::string WriteMessage(const ServerMessage& message) {
  return WriteAny(message);
}

bool IsValidMeta(absl::string_view meta, const MessageLimits& limits) {
  return meta.size() <= limits.max_meta_bytes &&
         KindOf(meta, limits) == JsonKind::kObject;
}

bool IsValidData(absl::string_view data, const MessageLimits& limits) {
  if (data.size() > limits.max_data_bytes) return false;
  const std::optional<JsonKind> kind = KindOf(data, limits);
  return kind.has_value() && *kind != JsonKind::kNull;
}

}  // namespace kyuu::signaling
