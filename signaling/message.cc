#include "signaling/message.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "signaling/internal/json.h"
#include "signaling/internal/message_fields.h"
#include "signaling/internal/utf8.h"

namespace kyuu::signaling {

using internal::Fields;
using internal::JsonElements;
using internal::JsonKind;
using internal::JsonObject;
using internal::JsonValue;
using internal::Need;

namespace {

// A message wraps metadata in at most three more levels.
constexpr size_t kWrapping = 4;

internal::JsonLimits Bounds(const MessageLimits& limits) {
  return {.max_depth = limits.max_depth, .max_members = limits.max_members};
}

MessageRefused Refused(std::string id, ErrorCode code, std::string message) {
  MessageRefused refused;
  refused.id = std::move(id);
  refused.error.code = code;
  refused.error.message = std::move(message);
  return refused;
}

// The body of a client's message; nullopt for a type that is not one.
using ClientBody = decltype(ClientMessage::body);
std::optional<ClientBody> ReadClientBody(absl::string_view type, Fields& f,
                                         const MessageLimits& limits) {
  if (type == "signal") return internal::ReadSignal(f);
  if (type == "hello") {
    Hello m;
    m.version = static_cast<int>(
        std::clamp<int64_t>(f.Integer("version", Need::kRequired), -1, 1000));
    m.client = f.Text("client", Need::kOptional, limits.max_meta_bytes);
    return m;
  }
  if (type == "join") {
    Join m;
    m.name = f.Text("name", Need::kRequired);
    m.room = f.Text("room", Need::kOptional);
    m.meta = f.RawObject("meta", Need::kOptional, limits.max_meta_bytes);
    return m;
  }
  if (type == "update") {
    return Update{f.RawObject("meta", Need::kRequired, limits.max_meta_bytes)};
  }
  if (type == "list") {
    return List{f.Text("after", Need::kOptional, limits.max_name_bytes)};
  }
  if (type == "leave") return Leave{};
  if (type == "call") {
    Call m;
    m.to = f.Text("to", Need::kRequired);
    m.meta = f.RawObject("meta", Need::kOptional, limits.max_meta_bytes);
    return m;
  }
  if (type == "accept") return Accept{f.Text("call", Need::kRequired)};
  if (type == "reject") {
    return Reject{f.Text("call", Need::kRequired),
                  f.Text("reason", Need::kOptional, limits.max_name_bytes)};
  }
  if (type == "hangup") {
    return Hangup{f.Text("call", Need::kRequired),
                  f.Text("reason", Need::kOptional, limits.max_name_bytes)};
  }
  if (type == "ping") return Ping{};
  return std::nullopt;
}

Peer ReadPeer(Fields& f, const MessageLimits& limits) {
  Peer peer;
  peer.name = f.Text("name", Need::kRequired, limits.max_name_bytes);
  peer.meta =
      std::string(f.RawObject("meta", Need::kOptional, limits.max_meta_bytes));
  return peer;
}

// Reads each element of an array of objects with `read`.
template <typename T, typename Read>
std::vector<T> ReadList(Fields& f, absl::string_view name,
                        const MessageLimits& limits, Read read) {
  std::vector<T> list;
  internal::JsonLimits bounds = Bounds(limits);
  bounds.max_depth += kWrapping;
  for (const JsonValue& element :
       JsonElements(f.Array(name, Need::kRequired), bounds.max_depth)) {
    const absl::StatusOr<JsonObject> object =
        JsonObject::Parse(element.raw, bounds);
    if (!object.ok()) {
      f.Fail(ErrorCode::kBadMessage,
             absl::StrCat("\"", name, "\" must hold objects"));
      break;
    }
    Fields fields(*object);
    list.push_back(read(fields));
    if (fields.error().has_value()) {
      f.Fail(fields.error()->code, fields.error()->message);
      break;
    }
  }
  return list;
}

std::vector<Peer> ReadPeers(Fields& f, const MessageLimits& limits) {
  return ReadList<Peer>(f, "peers", limits, [&](Fields& fields) {
    return ReadPeer(fields, limits);
  });
}

std::vector<IceServer> ReadIceServers(Fields& f, const MessageLimits& limits) {
  return ReadList<IceServer>(f, "ice_servers", limits, [&](Fields& fields) {
    IceServer server;
    for (const JsonValue& url : JsonElements(
             fields.Array("urls", Need::kRequired), limits.max_depth)) {
      std::optional<std::string> text = internal::JsonText(url);
      if (!text.has_value()) {
        fields.Fail(ErrorCode::kBadMessage, "\"urls\" must hold strings");
        break;
      }
      server.urls.push_back(*std::move(text));
    }
    server.username = fields.Text("username", Need::kOptional);
    server.credential = fields.Text("credential", Need::kOptional);
    return server;
  });
}

// An object member, read by `read`.
template <typename Read>
void ReadInside(Fields& f, absl::string_view name, const MessageLimits& limits,
                Read read) {
  internal::JsonLimits bounds = Bounds(limits);
  bounds.max_depth += kWrapping;
  const absl::StatusOr<JsonObject> object =
      JsonObject::Parse(f.RawObject(name, Need::kRequired), bounds);
  if (!object.ok()) {
    f.Fail(ErrorCode::kBadMessage, std::string(object.status().message()));
    return;
  }
  Fields fields(*object);
  read(fields);
  if (fields.error().has_value()) {
    f.Fail(fields.error()->code, fields.error()->message);
  }
}

Welcome ReadWelcome(Fields& f, const MessageLimits& limits) {
  Welcome m;
  m.version = static_cast<int>(
      std::clamp<int64_t>(f.Integer("version", Need::kRequired), -1, 1000));
  m.server = f.Text("server", Need::kOptional);
  m.session = f.Text("session", Need::kRequired);
  m.ice_servers = ReadIceServers(f, limits);
  m.ping_interval =
      absl::Seconds(f.Integer("ping_interval_s", Need::kOptional));
  ReadInside(f, "limits", limits, [&](Fields& inside) {
    const auto size = [&](absl::string_view name, size_t otherwise) {
      return static_cast<size_t>(std::max<int64_t>(
          0, inside.Integer(name, Need::kOptional,
                            static_cast<int64_t>(otherwise))));
    };
    m.limits.max_message_bytes =
        size("message_bytes", m.limits.max_message_bytes);
    m.limits.max_name_bytes = size("name_bytes", m.limits.max_name_bytes);
    m.limits.max_meta_bytes = size("meta_bytes", m.limits.max_meta_bytes);
    m.limits.max_depth = size("depth", m.limits.max_depth);
    m.limits.max_members = size("members", m.limits.max_members);
  });
  return m;
}

Presence ReadPresence(Fields& f, const MessageLimits& limits) {
  Presence m;
  const std::string change = f.Text("change", Need::kRequired);
  if (change == "joined") {
    m.change = PresenceChange::kJoined;
  } else if (change == "left") {
    m.change = PresenceChange::kLeft;
  } else if (change == "updated") {
    m.change = PresenceChange::kUpdated;
  } else {
    f.Fail(ErrorCode::kBadMessage, "unknown \"change\"");
  }
  ReadInside(f, "peer", limits,
             [&](Fields& inside) { m.peer = ReadPeer(inside, limits); });
  return m;
}

Error ReadError(Fields& f) {
  Error m;
  m.code = internal::ErrorCodeFrom(f.Text("code", Need::kRequired));
  m.message = f.Text("message", Need::kOptional);
  m.call = f.Text("call", Need::kOptional);
  m.retry_after =
      absl::Milliseconds(f.Integer("retry_after_ms", Need::kOptional));
  return m;
}

Incoming ReadIncoming(Fields& f, const MessageLimits& limits) {
  Incoming m;
  m.call = f.Text("call", Need::kRequired);
  m.from = f.Text("from", Need::kRequired);
  m.polite = f.Bool("polite", Need::kRequired);
  m.meta =
      std::string(f.RawObject("meta", Need::kOptional, limits.max_meta_bytes));
  return m;
}

using ServerBody = decltype(ServerMessage::body);
std::optional<ServerBody> ReadServerBody(absl::string_view type, Fields& f,
                                         const MessageLimits& limits) {
  if (type == "signal") return internal::ReadSignal(f);
  if (type == "welcome") return ReadWelcome(f, limits);
  if (type == "ice_servers") return IceServers{ReadIceServers(f, limits)};
  if (type == "joined") {
    return Joined{f.Text("room", Need::kRequired),
                  f.Text("name", Need::kRequired), ReadPeers(f, limits),
                  f.Bool("more", Need::kOptional)};
  }
  if (type == "peers") {
    return Peers{f.Text("room", Need::kRequired), ReadPeers(f, limits),
                 f.Bool("more", Need::kOptional)};
  }
  if (type == "presence") return ReadPresence(f, limits);
  if (type == "updated") return Updated{};
  if (type == "left") return Left{};
  if (type == "calling") {
    return Calling{f.Text("call", Need::kRequired),
                   f.Text("to", Need::kRequired),
                   f.Bool("polite", Need::kRequired)};
  }
  if (type == "incoming") return ReadIncoming(f, limits);
  if (type == "accepted") return Accepted{f.Text("call", Need::kRequired)};
  if (type == "rejected") {
    return Rejected{f.Text("call", Need::kRequired),
                    f.Text("reason", Need::kOptional)};
  }
  if (type == "hangup") {
    return Hangup{f.Text("call", Need::kRequired),
                  f.Text("reason", Need::kOptional)};
  }
  if (type == "pong") return Pong{};
  if (type == "error") return ReadError(f);
  return std::nullopt;
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
      JsonObject::Parse(text, Bounds(limits));
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
  Fields fields(*object);
  const std::string type = fields.Text("type", Need::kRequired);
  if (fields.error().has_value()) {
    return Refused(*std::move(id), fields.error()->code,
                   fields.error()->message);
  }
  std::optional<ClientBody> body = ReadClientBody(type, fields, limits);
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
  internal::JsonLimits bounds = Bounds(limits);
  bounds.max_depth += kWrapping;
  KYUU_ASSIGN_OR_RETURN(const JsonObject object,
                        JsonObject::Parse(text, bounds));
  std::optional<std::string> id = ReadId(object, limits);
  if (!id.has_value()) return absl::InvalidArgumentError("\"id\"");
  Fields fields(object);
  const std::string type = fields.Text("type", Need::kRequired);
  std::optional<ServerBody> body = ReadServerBody(type, fields, limits);
  if (!body.has_value() && !fields.error().has_value()) {
    return absl::UnimplementedError(absl::StrCat("message type ", type));
  }
  if (fields.error().has_value()) {
    return absl::InvalidArgumentError(fields.error()->message);
  }
  return ServerMessage{*std::move(id), *std::move(body)};
}

bool IsValidName(absl::string_view name, size_t max_bytes) {
  if (name.empty() || name.size() > max_bytes || !internal::IsUtf8(name)) {
    return false;
  }
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return name.front() != ' ' && name.back() != ' ' &&
         std::none_of(name.begin(), name.end(), is_control);
}

bool IsValidMeta(absl::string_view meta, const MessageLimits& limits) {
  if (meta.size() > limits.max_meta_bytes) return false;
  const absl::StatusOr<JsonValue> value =
      internal::CheckJson(meta, Bounds(limits));
  // No space around it: the text is put into messages as it is.
  return value.ok() && value->kind == JsonKind::kObject &&
         value->raw.size() == meta.size();
}

}  // namespace kyuu::signaling
