#include "signaling/ywebrtc.h"

#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "signaling/close_code.h"
#include "signaling/internal/dialect_json.h"
#include "signaling/internal/json.h"
#include "signaling/internal/object_writer.h"

namespace kyuu::signaling {

using internal::JsonKind;
using internal::JsonObject;
using internal::JsonValue;
using internal::SendQueue;

namespace {

constexpr char kTooMany[] = "too many messages in a short time";
constexpr char kNotAllowed[] = "the token does not allow this topic";

// The names in `topics`; whatever else stands there is skipped, as the
// reference server does.
std::vector<std::string> TopicsOf(const JsonObject& message) {
  std::vector<std::string> names;
  const std::optional<JsonValue> topics = message.Find("topics");
  if (!topics) return names;
  for (const JsonValue& element :
       internal::JsonElements(*topics, internal::kDialectJson.max_depth)) {
    if (auto name = internal::JsonText(element)) {
      names.push_back(*std::move(name));
    }
  }
  return names;
}

// `object` with `"clients":count`, and all else as it came in. `old_clients` is
// the value of that name inside of it, or "".
std::string WithClients(absl::string_view object, absl::string_view old_clients,
                        size_t count) {
  if (!old_clients.empty()) {
    const auto at = static_cast<size_t>(old_clients.data() - object.data());
    return absl::StrCat(object.substr(0, at), count,
                        object.substr(at + old_clients.size()));
  }
  // It has members: a type and a topic.
  return absl::StrCat(object.substr(0, object.size() - 1),
                      ",\"clients\":", count, "}");
}

absl::string_view Trimmed(absl::string_view object) {
  const size_t begin = object.find('{');
  return object.substr(begin, object.rfind('}') - begin + 1);
}

}  // namespace

absl::Status YWebrtcServer::Connect(absl::Time now, ConnectionId connection,
                                    const IpAddress& address,
                                    RoomPatterns topics) {
  if (connections_.size() >= options_.max_connections) {
    return absl::ResourceExhaustedError("the server is full");
  }
  if (connections_.contains(connection)) {
    return absl::AlreadyExistsError("connection id in use");
  }
  const internal::Source source = internal::SourceOf(address);
  if (!connections_per_source_.Take(source,
                                    options_.max_connections_per_source)) {
    return absl::ResourceExhaustedError("too many connections of one address");
  }
  connections_.emplace(
      connection, Connection{source,
                             internal::TokenBucket(options_.message_rate, now),
                             internal::TokenBucket(options_.fanout_rate, now),
                             0,
                             {},
                             std::move(topics)});
  return absl::OkStatus();
}

void YWebrtcServer::Disconnect(ConnectionId id) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  Connection& connection = it->second;
  while (!connection.topics.empty()) {
    const std::string topic = *connection.topics.begin();
    Unsubscribe(id, connection, topic);
  }
  connections_per_source_.Return(connection.source);
  connections_.erase(it);
}

void YWebrtcServer::HandlePacket(absl::Time now, Packet in) {
  const auto it = connections_.find(in.connection);
  if (it == connections_.end()) {
    ++stats_.unknown_connection;
    return;
  }
  Connection& connection = it->second;
  ++stats_.messages_received;
  if (out_.bytes() >= options_.max_queued_bytes) {
    ++stats_.overloaded;
    return Close(in.connection, kCloseTryAgainLater, "too much is waiting");
  }
  if (connection.messages.Take(now) > absl::ZeroDuration()) {
    return Drop(in.connection, connection);
  }
  const absl::string_view wrong =
      Handle(now, in.connection, connection, in.text);
  if (wrong.empty()) return;
  if (wrong == kTooMany) return Drop(in.connection, connection);
  ++stats_.messages_refused;
  Complain(in.connection, wrong);
}

absl::string_view YWebrtcServer::Handle(absl::Time now, ConnectionId id,
                                        Connection& connection,
                                        absl::string_view text) {
  if (text.size() > options_.max_message_bytes) return "message too long";
  const absl::StatusOr<JsonObject> message =
      JsonObject::Parse(text, internal::kDialectJson);
  if (!message.ok()) return "not an object of JSON";
  const auto text_of = [&](absl::string_view name) {
    const std::optional<JsonValue> value = message->Find(name);
    return value ? internal::JsonText(*value).value_or("") : "";
  };
  const std::string type = text_of("type");
  if (type == "ping") {
    out_.Push(id, absl::Cord(R"({"type":"pong"})"));
  } else if (type == "subscribe") {
    for (const std::string& topic : TopicsOf(*message)) {
      const absl::string_view wrong = Subscribe(id, connection, topic);
      if (!wrong.empty()) return wrong;
    }
  } else if (type == "unsubscribe") {
    for (const std::string& topic : TopicsOf(*message)) {
      Unsubscribe(id, connection, topic);
    }
  } else if (type == "publish") {
    const std::optional<JsonValue> clients = message->Find("clients");
    return Publish(now, connection, text_of("topic"), Trimmed(text),
                   clients ? clients->raw : "");
  } else {
    ++stats_.messages_unknown;
  }
  return "";
}

absl::string_view YWebrtcServer::Subscribe(ConnectionId id,
                                           Connection& connection,
                                           const std::string& name) {
  if (connection.topics.contains(name)) return "";
  if (name.size() > options_.max_topic_bytes) return "name of a topic too long";
  if (!connection.allowed.AllowsTopic(name)) return kNotAllowed;
  if (connection.topics.size() >= options_.max_topics_per_connection) {
    return "too many topics of one connection";
  }
  if (subscriptions_ >= options_.max_subscriptions) return "server full";
  const internal::Source& source = connection.source;
  auto it = topics_.find(name);
  const bool opens = it == topics_.end();
  if (opens && topics_.size() >= options_.max_topics) return "server full";
  if (!opens &&
      it->second.subscribers.size() >= options_.max_subscribers_per_topic) {
    return "topic full";
  }
  if (!opens && source != internal::Source() &&
      it->second.shares.held(source) >=
          options_.max_subscribers_per_topic_per_source) {
    return "too many subscribers of one address";
  }
  if (!subscriptions_per_source_.Take(source,
                                      options_.max_subscriptions_per_source)) {
    return "too many subscriptions of one address";
  }
  if (opens) {
    if (!topics_per_source_.Take(source, options_.max_topics_per_source)) {
      subscriptions_per_source_.Return(source);
      return "too many topics of one address";
    }
    it = topics_.try_emplace(name).first;
    it->second.opener = source;
  }
  // There is room: that was asked.
  (void)it->second.shares.Take(source,
                               options_.max_subscribers_per_topic_per_source);
  it->second.subscribers.insert(id);
  connection.topics.insert(name);
  ++subscriptions_;
  return "";
}

void YWebrtcServer::Unsubscribe(ConnectionId id, Connection& connection,
                                const std::string& name) {
  if (connection.topics.erase(name) == 0) return;
  const auto it = topics_.find(name);
  Topic& topic = it->second;
  topic.subscribers.erase(id);
  topic.shares.Return(connection.source);
  subscriptions_per_source_.Return(connection.source);
  --subscriptions_;
  if (!topic.subscribers.empty()) return;
  topics_per_source_.Return(topic.opener);
  topics_.erase(it);
}

absl::string_view YWebrtcServer::Publish(absl::Time now, Connection& connection,
                                         const std::string& name,
                                         absl::string_view object,
                                         absl::string_view old_clients) {
  if (!connection.allowed.AllowsTopic(name)) return kNotAllowed;
  if (name.empty()) return "";
  const auto it = topics_.find(name);
  const size_t here = it == topics_.end() ? 0 : it->second.subscribers.size();
  if (here == 0) {
    // Nobody is there to hear it but, perhaps, at other servers.
    if (options_.reach == YWebrtcOptions::Reach::kAll) {
      published_.emplace_back(object);
    }
    return "";
  }
  const absl::btree_set<ConnectionId>& subscribers = it->second.subscribers;
  const absl::Cord text(WithClients(object, old_clients, subscribers.size()));
  const size_t bytes =
      (text.size() + SendQueue::kMessageBytes) * subscribers.size();
  if (connection.fanout.Take(now, static_cast<double>(bytes)) >
      absl::ZeroDuration()) {
    return kTooMany;
  }
  for (const ConnectionId subscriber : subscribers) out_.Push(subscriber, text);
  ++stats_.published;
  stats_.delivered += subscribers.size();
  if (options_.reach == YWebrtcOptions::Reach::kAll) {
    published_.emplace_back(object);
  }
  return "";
}

std::optional<std::string> YWebrtcServer::PollPublished() {
  if (published_.empty()) return std::nullopt;
  std::string text = std::move(published_.front());
  published_.pop_front();
  return text;
}

void YWebrtcServer::HandlePublished(absl::string_view text) {
  const auto message = JsonObject::Parse(text, internal::kDialectJson);
  const auto value_of = [&](absl::string_view name) {
    return message.ok() ? message->Find(name) : std::nullopt;
  };
  const std::optional<JsonValue> topic = value_of("topic");
  const std::optional<std::string> name =
      topic ? internal::JsonText(*topic) : std::nullopt;
  if (text.size() > options_.max_message_bytes || !name.has_value() ||
      out_.bytes() >= options_.max_queued_bytes) {
    ++stats_.from_others_dropped;
    return;
  }
  ++stats_.from_others;
  const auto it = topics_.find(*name);
  if (it == topics_.end()) return;
  const std::optional<JsonValue> clients = value_of("clients");
  const auto& subscribers = it->second.subscribers;
  const absl::Cord told(WithClients(Trimmed(text), clients ? clients->raw : "",
                                    subscribers.size()));
  for (const ConnectionId subscriber : subscribers) out_.Push(subscriber, told);
  stats_.delivered += subscribers.size();
}

void YWebrtcServer::Complain(ConnectionId id, absl::string_view what) {
  std::string text;
  internal::ObjectWriter(text).Text("type", "error").Text("message", what);
  out_.Push(id, absl::Cord(std::move(text)));
}

void YWebrtcServer::Drop(ConnectionId id, Connection& connection) {
  ++stats_.rate_limited;
  if (++connection.dropped >= options_.max_dropped_messages) {
    return Close(id, kClosePolicyViolation, kTooMany);
  }
  Complain(id, kTooMany);
}

void YWebrtcServer::Close(ConnectionId id, uint16_t code,
                          absl::string_view reason) {
  events_.push_back(CloseConnection{id, code, std::string(reason)});
  Disconnect(id);
}

std::optional<YWebrtcServer::Packet> YWebrtcServer::PollTransmit(
    absl::Time /*now*/, absl::Span<uint8_t> /*out*/) {
  return out_.Pop();
}

std::optional<YWebrtcServer::Event> YWebrtcServer::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::string YWebrtcServer::DebugString() const {
  return absl::StrCat("y-webrtc: ", connection_count(), " connections, ",
                      topic_count(), " topics, ", subscription_count(),
                      " subscriptions, ", queued_bytes(), " bytes queued; ",
                      CountersToString(stats_));
}

}  // namespace kyuu::signaling
