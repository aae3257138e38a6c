#include "signaling/server.h"

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace kyuu::signaling {
namespace {

constexpr uint16_t kClosePolicyViolation = 1008;

// What a message costs in a queue beside its text.
constexpr size_t kEnvelopeBytes = 64;

}  // namespace

Server::Server(ServerOptions options, Random& random)
    : options_(std::move(options)), random_(&random) {}

absl::Status Server::Connect(absl::Time now, ConnectionId connection,
                             const IpAddress& source) {
  if (connections_.size() >= options_.max_connections) {
    return absl::ResourceExhaustedError("the server is full");
  }
  const auto [it, inserted] = connections_.try_emplace(connection);
  if (!inserted) return absl::AlreadyExistsError("connection id in use");
  it->second.source = internal::SourceOf(source);
  if (!connections_per_source_.Take(it->second.source,
                                    options_.max_connections_per_source)) {
    connections_.erase(it);
    return absl::ResourceExhaustedError("too many connections of one address");
  }
  it->second.tokens = options_.message_burst;
  it->second.tokens_at = now;
  it->second.hello_deadline = now + options_.hello_timeout;
  hello_deadlines_.emplace(it->second.hello_deadline, connection);
  return absl::OkStatus();
}

void Server::Disconnect(absl::Time /*now*/, ConnectionId connection) {
  Forget(connection, "peer_lost");
}

absl::Status Server::SetIceServers(absl::Time /*now*/, ConnectionId connection,
                                   std::vector<IceServer> ice_servers) {
  const auto it = connections_.find(connection);
  if (it == connections_.end() || it->second.state == State::kNew) {
    return absl::NotFoundError("no such session");
  }
  if (it->second.state != State::kAwaitingIceServers) {
    Send(connection, {"", IceServers{std::move(ice_servers)}});
    return absl::OkStatus();
  }
  it->second.state = State::kReady;
  Welcome welcome;
  welcome.server = options_.server_name;
  welcome.session = it->second.session;
  welcome.ice_servers = std::move(ice_servers);
  welcome.limits = options_.limits;
  welcome.ping_interval = options_.ping_interval;
  Send(connection, {std::move(it->second.hello_id), std::move(welcome)});
  return absl::OkStatus();
}

void Server::HandlePacket(absl::Time now, Packet in) {
  const auto it = connections_.find(in.connection);
  if (it == connections_.end()) {
    ++stats_.unknown_connection;
    return;
  }
  ++stats_.messages_received;
  if (queued_bytes_ > options_.max_queued_bytes) {
    ++stats_.messages_dropped;
    return;
  }
  if (!TakeToken(now, in.connection, it->second)) return;
  const auto parsed = ParseClientMessage(in.text, options_.limits);
  if (const auto* refused = std::get_if<MessageRefused>(&parsed)) {
    ++stats_.messages_refused;
    Send(in.connection, {refused->id, refused->error});
    return;
  }
  const ClientMessage& message = std::get<ClientMessage>(parsed);
  const Context context = {now, in.connection, &it->second, &message.id};
  std::visit([&](const auto& body) { On(context, body); }, message.body);
}

bool Server::TakeToken(absl::Time now, ConnectionId id,
                       Connection& connection) {
  const absl::Duration elapsed =
      std::max(now - connection.tokens_at, absl::ZeroDuration());
  connection.tokens =
      std::min(options_.message_burst,
               connection.tokens + absl::ToDoubleSeconds(elapsed) *
                                       options_.messages_per_second);
  connection.tokens_at = std::max(now, connection.tokens_at);
  // Who has been quiet long enough is forgiven.
  if (connection.tokens >= options_.message_burst) connection.dropped = 0;
  if (connection.tokens >= 1) {
    connection.tokens -= 1;
    return true;
  }
  ++stats_.rate_limited;
  if (++connection.dropped > options_.max_dropped_messages) {
    CloseFor(id, kClosePolicyViolation, "too many messages");
    return false;
  }
  Error error;
  error.code = ErrorCode::kRateLimited;
  error.message = "too many messages; this one was dropped";
  error.retry_after = absl::Ceil(
      absl::Seconds((1 - connection.tokens) / options_.messages_per_second),
      absl::Milliseconds(1));
  Send(id, {"", std::move(error)});
  return false;
}

void Server::HandleTimeout(absl::Time now) {
  while (!hello_deadlines_.empty() && hello_deadlines_.begin()->first <= now) {
    CloseFor(hello_deadlines_.begin()->second, kClosePolicyViolation,
             "no hello");
  }
  while (!ring_deadlines_.empty() && ring_deadlines_.begin()->first <= now) {
    const std::string call = ring_deadlines_.begin()->second;
    const ServerMessage over = {"", Hangup{call, "timeout"}};
    EndCall(call, calls_.at(call).caller, over, over);
  }
}

absl::Time Server::NextTimeout() const {
  absl::Time next = absl::InfiniteFuture();
  if (!hello_deadlines_.empty()) next = hello_deadlines_.begin()->first;
  if (!ring_deadlines_.empty()) {
    next = std::min(next, ring_deadlines_.begin()->first);
  }
  return next;
}

std::optional<Server::Packet> Server::PollTransmit(
    absl::Time /*now*/, absl::Span<uint8_t> /*out*/) {
  if (out_.empty()) return std::nullopt;
  Envelope envelope = std::move(out_.front());
  out_.pop_front();
  queued_bytes_ -= envelope.text.size() + kEnvelopeBytes;
  return envelope;
}

std::optional<Server::Event> Server::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Server::On(const Context& context, const Hello& hello) {
  Connection& connection = *context.connection;
  if (connection.state != State::kNew) {
    return Refuse(context, ErrorCode::kBadState, "hello was said before");
  }
  if (hello.version != kProtocolVersion) {
    return Refuse(context, ErrorCode::kUnsupportedVersion,
                  absl::StrCat("version ", kProtocolVersion,
                               " of the protocol is spoken here"));
  }
  hello_deadlines_.erase({connection.hello_deadline, context.id});
  connection.state = State::kAwaitingIceServers;
  connection.hello_id = *context.request_id;
  std::array<char, 16> secret;
  random_->Fill(
      absl::MakeSpan(reinterpret_cast<uint8_t*>(secret.data()), secret.size()));
  connection.session =
      absl::BytesToHexString(absl::string_view(secret.data(), secret.size()));
  events_.push_back(SessionOpened{context.id, connection.session});
}

void Server::On(const Context& context, const Join& join) {
  Connection& connection = *context.connection;
  if (connection.state != State::kReady) {
    return Refuse(context, ErrorCode::kBadState,
                  connection.state == State::kJoined
                      ? "already in a room; leave it first"
                      : "say hello and wait for welcome first");
  }
  const std::string& name =
      join.room.empty() ? options_.default_room : join.room;
  if (!IsValidName(join.name, options_.limits.max_name_bytes) ||
      !IsValidName(name, options_.limits.max_name_bytes)) {
    return Refuse(
        context, ErrorCode::kInvalidName,
        absl::StrCat("a name has 1 to ", options_.limits.max_name_bytes,
                     " bytes, no control characters, and no blank "
                     "at its ends"));
  }
  auto room = rooms_.find(name);
  if (room == rooms_.end()) {
    if (rooms_.size() >= options_.max_rooms) {
      return Refuse(context, ErrorCode::kServerFull,
                    "the server has no place for another room");
    }
    room = rooms_.try_emplace(name).first;
  } else if (room->second.contains(join.name)) {
    return Refuse(context, ErrorCode::kNameTaken,
                  "somebody in the room has this name");
  } else if (room->second.size() >= options_.max_peers_per_room) {
    return Refuse(context, ErrorCode::kRoomFull, "the room is full");
  }
  room->second.emplace(join.name, context.id);
  ++peer_count_;
  connection.state = State::kJoined;
  connection.room = name;
  connection.peer = {join.name, std::string(join.meta)};
  Joined joined;
  joined.room = name;
  joined.name = join.name;
  joined.more = ListPeers(room->second, join.name, "", &joined.peers);
  Reply(context, {"", std::move(joined)});
  Announce(context.id, connection, PresenceChange::kJoined);
}

void Server::On(const Context& context, const Update& update) {
  if (!RequireJoined(context)) return;
  context.connection->peer.meta = std::string(update.meta);
  Reply(context, {"", Updated{}});
  Announce(context.id, *context.connection, PresenceChange::kUpdated);
}

void Server::On(const Context& context, const List& list) {
  if (!RequireJoined(context)) return;
  Peers peers;
  peers.room = context.connection->room;
  peers.more = ListPeers(rooms_.at(peers.room), context.connection->peer.name,
                         list.after, &peers.peers);
  Reply(context, {"", std::move(peers)});
}

void Server::On(const Context& context, const Leave&) {
  if (!RequireJoined(context)) return;
  LeaveRoom(context.id, *context.connection, "peer_left");
  Reply(context, {"", Left{}});
}

void Server::On(const Context& context, const Ping&) {
  Reply(context, {"", Pong{}});
}

bool Server::RequireJoined(const Context& context) {
  if (context.connection->state == State::kJoined) return true;
  Refuse(context, ErrorCode::kNotJoined, "join a room first");
  return false;
}

bool Server::ListPeers(const Room& room, absl::string_view self,
                       absl::string_view after,
                       std::vector<Peer>* peers) const {
  size_t bytes = 0;
  for (auto it = after.empty() ? room.begin() : room.upper_bound(after);
       it != room.end(); ++it) {
    if (it->first == self) continue;
    const Peer& peer = connections_.at(it->second).peer;
    bytes += peer.name.size() + peer.meta.size() + 24;
    // At least one, so that who asks on gets on.
    if (bytes > options_.max_list_bytes && !peers->empty()) return true;
    peers->push_back(peer);
  }
  return false;
}

void Server::LeaveRoom(ConnectionId id, Connection& connection,
                       absl::string_view reason) {
  while (!connection.calls.empty()) {
    const std::string call = connection.calls.back();
    const ServerMessage over = {"", Hangup{call, std::string(reason)}};
    EndCall(call, id, over, over);
  }
  const auto room = rooms_.find(connection.room);
  KYUU_CHECK(room != rooms_.end());
  room->second.erase(connection.peer.name);
  --peer_count_;
  if (room->second.empty()) {
    rooms_.erase(room);
  } else {
    Announce(id, connection, PresenceChange::kLeft);
  }
  connection.state = State::kReady;
  connection.room.clear();
  connection.peer = {};
}

void Server::Announce(ConnectionId by, const Connection& connection,
                      PresenceChange change) {
  const std::string text =
      WriteMessage(ServerMessage{"", Presence{change, connection.peer}});
  for (const auto& [name, id] : rooms_.at(connection.room)) {
    if (id != by) SendText(id, text);
  }
}

void Server::Forget(ConnectionId id, absl::string_view reason) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  Connection& connection = it->second;
  if (connection.state == State::kNew) {
    hello_deadlines_.erase({connection.hello_deadline, id});
  } else {
    if (connection.state == State::kJoined) LeaveRoom(id, connection, reason);
    events_.push_back(SessionClosed{id, std::move(connection.session)});
  }
  connections_per_source_.Return(connection.source);
  connections_.erase(it);
}

void Server::CloseFor(ConnectionId id, uint16_t code,
                      absl::string_view reason) {
  events_.push_back(CloseConnection{id, code, std::string(reason)});
  Forget(id, "peer_lost");
}

void Server::Reply(const Context& context, ServerMessage message) {
  message.id = *context.request_id;
  Send(context.id, message);
}

void Server::Refuse(const Context& context, ErrorCode code,
                    absl::string_view message, absl::string_view call) {
  ++stats_.messages_refused;
  Error error;
  error.code = code;
  error.message = std::string(message);
  error.call = std::string(call);
  Reply(context, {"", std::move(error)});
}

void Server::Send(ConnectionId to, const ServerMessage& message) {
  SendText(to, WriteMessage(message));
}

void Server::SendText(ConnectionId to, std::string text) {
  queued_bytes_ += text.size() + kEnvelopeBytes;
  out_.push_back({to, std::move(text)});
}

std::string Server::DebugString() const {
  return absl::StrCat(
      "signaling server: ", connections_.size(), " connections, ", peer_count_,
      " peers in ", rooms_.size(), " rooms, ", calls_.size(), " calls, ",
      hello_deadlines_.size(), " hello timers, ", ring_deadlines_.size(),
      " ring timers, ", queued_bytes_, " bytes queued, received ",
      stats_.messages_received, ", refused ", stats_.messages_refused);
}

}  // namespace kyuu::signaling
