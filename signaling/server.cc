#include "signaling/server.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "signaling/close_code.h"
#include "signaling/internal/federation.h"

namespace kyuu::signaling {
namespace {

// Messages of the client after which they are acknowledged: seldom enough to
// cost nothing, often enough for a client that keeps a hundred or so.
constexpr uint64_t kAcknowledgeEvery = 16;

// The part of the credentials' lifetime after which new ones are asked for.
constexpr double kCredentialsRenewal = 0.75;

constexpr double kRoundTripSeconds[] = {0.001, 0.003, 0.01, 0.03, 0.1,
                                        0.2,   0.3,   0.5,  1,    3};

RoomOptions RoomsOf(const ServerOptions& options, Random& random) {
  RoomOptions rooms = options.rooms;
  rooms.max_name_bytes = options.limits.max_name_bytes;
  if (rooms.secret_key.empty()) {
    std::array<uint8_t, 32> key;
    random.Fill(absl::MakeSpan(key));
    rooms.secret_key = std::string(AsText(key));
  }
  return rooms;
}

}  // namespace

Server::Server(ServerOptions options, Random& random, Admission* admission)
    : options_(std::move(options)),
      admission_(admission),
      random_(random),
      sessions_(options_, random),
      directory_(RoomsOf(options_, random), options_.calls, random),
      round_trips_(kRoundTripSeconds) {}

Server::~Server() = default;

absl::Status Server::Connect(absl::Time now, ConnectionId connection,
                             const IpAddress& address) {
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
  Session& session = sessions_.Add(now, source);
  session.connection = connection;
  connections_[connection] = {session.member, source};
  sessions_.Set(internal::Sessions::Timer::kHello, session,
                now + options_.hello_timeout);
  return absl::OkStatus();
}

void Server::Disconnect(absl::Time now, ConnectionId connection,
                        Departure departure) {
  const auto it = connections_.find(connection);
  if (it == connections_.end()) return;
  Session& session = *sessions_.Find(it->second.member);
  ForgetConnection(connection);
  if (departure == Departure::kLost && session.is_numbered()) {
    session.stage = Session::Open();
    // They were not counted: the client says them again.
    session.waiting.reset();
    if (sessions_.BeginGrace(now, session)) {
      ++stats_.sessions_kept;
      return;
    }
    ++stats_.sessions_given_up;
  }
  session.connection.reset();
  End(now, session);
  Settle(now);
}

void Server::ForgetConnection(ConnectionId connection) {
  const auto it = connections_.find(connection);
  connections_per_source_.Return(it->second.source);
  connections_.erase(it);
}

absl::Status Server::SetIceServers(absl::Time now, absl::string_view id,
                                   std::vector<IceServer> ice_servers) {
  Session* session = sessions_.Find(id);
  if (session == nullptr) return absl::NotFoundError("no such session");
  if (options_.credentials_lifetime != absl::InfiniteDuration() &&
      session->grant().until > now) {
    sessions_.Set(internal::Sessions::Timer::kCredentials, *session,
                  now + options_.credentials_lifetime * kCredentialsRenewal);
  }
  if (!session->is_open()) {
    SendWelcome(now, *session, std::move(ice_servers));
  } else {
    std::string request_id;
    if (!session->credential_requests.empty()) {
      request_id = std::move(session->credential_requests.front());
      session->credential_requests.pop_front();
    }
    Send(*session, {std::move(request_id), IceServers{std::move(ice_servers)}});
  }
  Settle(now);
  return absl::OkStatus();
}

void Server::SendWelcome(absl::Time now, Session& session,
                         std::vector<IceServer> ice_servers) {
  Session::Welcoming welcoming =
      std::move(*std::get<std::unique_ptr<Session::Welcoming>>(session.stage));
  session.stage = Session::Open();
  Welcome welcome;
  welcome.server = options_.server_name;
  welcome.session = session.id;
  welcome.user = session.grant().user;
  welcome.ice_servers = std::move(ice_servers);
  welcome.limits = options_.limits;
  welcome.ping_interval = options_.ping_interval;
  if (session.resumable()) {
    welcome.resume = {session.secret, options_.grace, welcoming.origin,
                      session.received};
    session.received_acknowledged = session.received;
  }
  Enqueue(*session.connection,
          absl::Cord(WriteMessage(ServerMessage{std::move(welcoming.hello_id),
                                                std::move(welcome)})));
  for (const absl::Cord& text : session.outbox.messages()) {
    Enqueue(*session.connection, text);
  }
  if (const auto begun = std::exchange(session.begun, nullptr)) {
    HandleText(now, session, std::move(*begun), Arrival::kCounted);
  }
}

absl::Status Server::TellDrain(ConnectionId connection,
                               absl::Duration retry_after) {
  const auto it = connections_.find(connection);
  Session* session =
      it == connections_.end() ? nullptr : sessions_.Find(it->second.member);
  if (session == nullptr || !session->is_open()) {
    return absl::NotFoundError("no session is open there");
  }
  Send(*session, {"", Drain{retry_after}});
  return absl::OkStatus();
}

void Server::HandlePacket(absl::Time now, Packet in) {
  const auto it = connections_.find(in.connection);
  if (it == connections_.end()) {
    ++stats_.unknown_connection;
    return;
  }
  Session& session = *sessions_.Find(it->second.member);
  ++stats_.messages_received;
  if (queued_bytes_ > options_.max_queued_bytes) {
    // Nobody may think that this message was read. Who can resume its session
    // says it again.
    ++stats_.overloaded;
    Close(now, session, kCloseTryAgainLater, "the server is overloaded",
          Departure::kLost);
    return Settle(now);
  }
  if (session.unfinished != nullptr) {
    if (session.waiting == nullptr) {
      session.waiting = std::make_unique<Session::Waiting>();
    }
    Session::Waiting& waiting = *session.waiting;
    waiting.bytes += in.text.size() + internal::kQueuedMessageBytes;
    if (waiting.bytes > options_.federation.max_waiting_bytes) {
      ++stats_.overloaded;
      Close(now, session, kCloseTryAgainLater, "too much is waiting",
            Departure::kLost);
      return Settle(now);
    }
    waiting.messages.push_back(std::move(in.text));
    return;
  }
  HandleText(now, session, std::move(in.text), Arrival::kNew);
}

void Server::HandleText(absl::Time now, Session& session, std::string text,
                        Arrival arrival) {
  if (arrival == Arrival::kNew) {
    if (!session.is_new()) ++session.received;
    AcknowledgeReceived(session);
    if (!TakeToken(now, session)) return Settle(now);
  }
  const auto parsed = ParseClientMessage(text, options_.limits);
  if (const auto* refused = std::get_if<MessageRefused>(&parsed)) {
    ++stats_.messages_refused;
    Send(session, {refused->id, refused->error});
    return Settle(now);
  }
  const ClientMessage& message = std::get<ClientMessage>(parsed);
  const Context context = {now, session, message.id, text};
  const Member member = session.member;
  const uint64_t received = session.received;
  if (federation_ != nullptr) federation_->BeginMessage();
  std::visit([&](const auto& body) { On(context, body); }, message.body);
  Settle(now);
  if (federation_ != nullptr && sessions_.Find(member) != nullptr) {
    federation_->EndMessage(member, received);
  }
}

bool Server::TakeToken(absl::Time now, Session& session) {
  // Who has been quiet long enough is forgiven.
  if (session.message_rate.IsFull(now)) session.dropped = 0;
  const absl::Duration wait = session.message_rate.Take(now);
  if (wait == absl::ZeroDuration()) return true;
  ++stats_.rate_limited;
  if (++session.dropped > options_.max_dropped_messages) {
    Close(now, session, kClosePolicyViolation, "too many messages",
          Departure::kGoodbye);
    return false;
  }
  Error error;
  error.code = ErrorCode::kRateLimited;
  error.message = "too many messages; this one was dropped";
  error.retry_after = wait;
  Send(session, {"", std::move(error)});
  return false;
}

void Server::AcknowledgeReceived(Session& session) {
  if (!session.resumable() || !session.is_open() ||
      session.received < session.received_acknowledged + kAcknowledgeEvery) {
    return;
  }
  const uint64_t arrived =
      federation_ == nullptr
          ? session.received
          : federation_->Arrived(session.member, session.received);
  if (arrived < session.received_acknowledged + kAcknowledgeEvery) return;
  session.received_acknowledged = arrived;
  Send(session, {"", Ack{arrived}});
}

void Server::HandleTimeout(absl::Time now) {
  while (const auto due = sessions_.PopDue(now)) {
    Session& session = *due->session;
    switch (due->timer) {
      case internal::Sessions::Timer::kHello:
        Close(now, session, kClosePolicyViolation, "no hello",
              Departure::kGoodbye);
        break;
      case internal::Sessions::Timer::kGrace:
        ++stats_.sessions_given_up;
        sessions_.EndGrace(session);
        End(now, session);
        break;
      case internal::Sessions::Timer::kCredentials:
        // A client that is away gets new ones when it comes back.
        if (!session.connection.has_value()) break;
        events_.push_back(CredentialsWanted{*session.connection, session.id});
        break;
      case internal::Sessions::Timer::kToken:
        ++stats_.tokens_expired;
        sessions_.Stop(internal::Sessions::Timer::kCredentials, session);
        events_.push_back(SessionExpired{session.id});
        break;
    }
  }
  directory_.HandleTimeout(now);
  SaySome();
  if (federation_ != nullptr) federation_->HandleTimeout(now);
  Settle(now);
}

absl::Time Server::NextTimeout() const {
  if (!sayings_.empty()) return absl::InfinitePast();
  return std::min({sessions_.NextTimeout(), directory_.NextTimeout(),
                   federation_ == nullptr ? absl::InfiniteFuture()
                                          : federation_->NextTimeout()});
}

std::optional<Server::Packet> Server::PollTransmit(
    absl::Time /*now*/, absl::Span<uint8_t> /*out*/) {
  if (out_.empty()) return std::nullopt;
  Outgoing next = std::move(out_.front());
  out_.pop_front();
  queued_bytes_ -= next.text.size() + internal::kQueuedMessageBytes;
  return Envelope{next.connection, std::string(next.text)};
}

std::optional<Server::Event> Server::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Server::End(absl::Time now, Session& session) {
  // Who is in no room has nothing to leave.
  (void)directory_.Leave(now, session.member, "peer_lost");
  if (federation_ != nullptr) {
    TakeEffects();
    federation_->HandleEnd(now, session);
  }
  if (!session.is_new()) events_.push_back(SessionClosed{session.id});
  sessions_.Remove(session);
}

void Server::Close(absl::Time now, Session& session, uint16_t code,
                   absl::string_view reason, Departure departure) {
  const ConnectionId connection = *session.connection;
  events_.push_back(CloseConnection{connection, code, std::string(reason)});
  Disconnect(now, connection, departure);
}

void Server::TakeEffects() {
  while (const std::optional<Effect> effect = directory_.PollEffect()) {
    std::visit([this](const auto& e) { On(e); }, *effect);
  }
}

void Server::Settle(absl::Time now) {
  TakeEffects();
  while (!doomed_.empty()) {
    Session* session = sessions_.Find(doomed_.back());
    doomed_.pop_back();
    if (session == nullptr) continue;
    ++stats_.sessions_given_up;
    Drop(now, *session, "too much is waiting");
    TakeEffects();
  }
}

void Server::Drop(absl::Time now, Session& session, absl::string_view reason) {
  if (session.connection.has_value()) {
    const ConnectionId connection = *session.connection;
    events_.push_back(
        CloseConnection{connection, kCloseTryAgainLater, std::string(reason)});
    ForgetConnection(connection);
  } else {
    sessions_.EndGrace(session);
  }
  End(now, session);
}

// --- Of several nodes -------------------------------------------------------

void Server::Federate(NodeId self) {
  federation_ = std::make_unique<internal::Federation>(options_.federation,
                                                       self, *this, random_);
}

void Server::HandleNode(absl::Time now, Links::Event event) {
  federation_->Handle(now, std::move(event));
  Settle(now);
}

void Server::HandleClaim(absl::Time now, const ClaimAnswer& answer) {
  federation_->Handle(now, answer);
  Settle(now);
}

void Server::HandleBackplane(absl::Time now, BackplaneState state) {
  federation_->HandleBackplane(now, state);
  Settle(now);
}

std::optional<NodeCommand> Server::PollNodeCommand() {
  if (federation_ == nullptr) return std::nullopt;
  return federation_->PollCommand();
}

void Server::Publish(std::string text) {
  if (federation_ != nullptr) federation_->Publish(std::move(text));
}

void Server::PassPeerJs(NodeId to, std::string message) {
  if (federation_ != nullptr) federation_->PassPeerJs(to, std::move(message));
}

FederationStats Server::federation_stats() const {
  return federation_ == nullptr ? FederationStats() : federation_->stats();
}

size_t Server::remote_peer_count() const {
  return federation_ == nullptr ? 0 : federation_->remote_peer_count();
}

// --- Messages to clients ----------------------------------------------------

void Server::Reply(const Context& context, ServerMessage message) {
  message.id = context.request_id;
  Send(context.session, message);
}

void Server::Refuse(const Context& context, ErrorCode code,
                    absl::string_view message) {
  Refusal refusal;
  refusal.code = code;
  refusal.message = std::string(message);
  Refuse(context, refusal);
}

void Server::Refuse(const Context& context, const Refusal& refusal) {
  ++stats_.messages_refused;
  Reply(context, {"", Error{refusal.code, refusal.message, refusal.call,
                            refusal.retry_after}});
}

bool Server::TakeRate(const Context& context, internal::TokenBucket& bucket,
                      absl::string_view what, double count) {
  const absl::Duration wait = bucket.Take(context.now, count);
  if (wait == absl::ZeroDuration()) return true;
  ++stats_.rate_limited;
  Refusal refusal;
  refusal.code = ErrorCode::kRateLimited;
  refusal.message = absl::StrCat("too many ", what, " in a short time");
  refusal.retry_after = wait;
  Refuse(context, refusal);
  return false;
}

void Server::SendTo(Member member, const ServerMessage& message) {
  Session* session = sessions_.Find(member);
  if (session != nullptr) Send(*session, message);
}

void Server::Send(Session& session, const ServerMessage& message) {
  SendText(session, absl::Cord(WriteMessage(message)));
}

void Server::SendText(Session& session, const absl::Cord& text) {
  if (session.is_numbered() && !sessions_.Keep(session, text)) {
    doomed_.push_back(session.member);
  }
  // A session that is being resumed gets it behind its `welcome`.
  if (!session.connection.has_value() ||
      (session.is_numbered() && !session.is_open())) {
    return;
  }
  Enqueue(*session.connection, text);
}

void Server::Enqueue(ConnectionId connection, absl::Cord text) {
  queued_bytes_ += text.size() + internal::kQueuedMessageBytes;
  out_.push_back({connection, std::move(text)});
}

std::string Server::DebugString() const {
  return absl::StrCat(
      "signaling server: ", connections_.size(), " connections, ",
      sessions_.in_grace(), " sessions waiting, ", peer_count(), " peers in ",
      room_count(), " rooms, ", call_count(), " calls, ", queued_bytes_,
      " bytes queued, ", kept_bytes(), " kept, next timeout ",
      absl::FormatTime(NextTimeout()), "; ", CountersToString(stats_));
}

}  // namespace kyuu::signaling
