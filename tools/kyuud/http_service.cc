#include "tools/kyuud/http_service.h"

#include <algorithm>
#include <optional>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

using signaling::ConnectionId;

// Bytes moved between a socket and an engine at a time.
constexpr size_t kChunkBytes = 16 * 1024;
// Reads per connection and wake-up, so that one sender does not hold up the
// others.
constexpr int kReadsPerTurn = 8;
// Connections accepted per wake-up.
constexpr int kAcceptsPerTurn = 64;

signaling::HttpResponse Refusal(int status, absl::string_view text) {
  signaling::HttpResponse response;
  response.status = status;
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  response.body = absl::StrCat(text, "\n");
  return response;
}

// A browser says which page opens a WebSocket (RFC 6455 section 10.2). Only
// our own may; programs do not say.
bool IsOwnOrigin(const signaling::HttpRequest& request) {
  const auto origin = request.headers.Find("Origin");
  if (!origin) return true;
  absl::string_view host = *origin;
  if (!absl::ConsumePrefix(&host, "http://") &&
      !absl::ConsumePrefix(&host, "https://")) {
    return false;
  }
  return absl::EqualsIgnoreCase(host,
                                request.headers.Find("Host").value_or(""));
}

// "example.org:9000" and "[::1]:9000" without the port.
std::string HostName(absl::string_view host) {
  if (absl::StartsWith(host, "[")) {
    return std::string(host.substr(0, host.find(']') + 1));
  }
  return std::string(host.substr(0, host.find(':')));
}

}  // namespace

struct HttpService::Session {
  Session(ConnectionId i, net::TcpStream s,
          const signaling::ServerConnectionOptions& options, Random& random)
      : id(i),
        stream(std::move(s)),
        connection(options, random, net::Loop::Now()) {}

  const ConnectionId id;
  net::TcpStream stream;
  signaling::ServerConnection connection;
  std::string host;        // From the upgrade's Host header.
  bool signaling = false;  // Known to the signaling server.
  bool ended = false;      // The peer's side is over.
  bool lingering = false;  // Ours is; what still comes is thrown away.
  bool dirty = false;
  bool dead = false;
  std::unique_ptr<net::Watch> watch;
  std::unique_ptr<net::Alarm> alarm;
};

HttpService::HttpService(net::Loop& loop, Random& random,
                         net::TcpListener listener, const StaticPages& pages,
                         IceProvider& ice, HttpOptions options)
    : loop_(loop),
      random_(random),
      listener_(std::move(listener)),
      pages_(pages),
      ice_(ice),
      options_(std::move(options)),
      server_(options_.signaling, random),
      scratch_(kChunkBytes),
      accept_watch_(loop, listener_.fd(), net::Interest::kRead,
                    [this](net::Readiness) { Accept(); }),
      server_alarm_(loop, [this] {
        server_.HandleTimeout(net::Loop::Now());
        Run();
      }) {}

HttpService::~HttpService() = default;

void HttpService::Accept() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    std::optional<net::TcpStream> stream = listener_.Accept();
    if (!stream) return;
    if (sessions_.size() >= options_.max_connections) {
      spdlog::warn("http: {} connections are open; one more is refused",
                   sessions_.size());
      continue;
    }
    const ConnectionId id{next_id_++};
    auto owned = std::make_unique<Session>(id, *std::move(stream),
                                           options_.connection, random_);
    Session& session = *owned;
    sessions_[static_cast<uint64_t>(id)] = std::move(owned);
    session.watch = std::make_unique<net::Watch>(
        loop_, session.stream.fd(), net::Interest::kRead,
        [this, &session](net::Readiness ready) { OnReady(session, ready); });
    session.alarm = std::make_unique<net::Alarm>(loop_, [this, &session] {
      if (session.lingering) {
        Kill(session);
      } else {
        session.connection.HandleTimeout(net::Loop::Now());
        MarkDirty(session);
      }
      Run();
    });
    Arm(session);
  }
}

void HttpService::OnReady(Session& session, net::Readiness ready) {
  if (ready.writable) {
    session.stream.Flush();
    MarkDirty(session);
  }
  if (ready.readable) Read(session);
  Run();
}

void HttpService::Read(Session& session) {
  for (int i = 0; i < kReadsPerTurn && !session.dead; ++i) {
    const net::ReadResult got = session.stream.Read(absl::MakeSpan(scratch_));
    if (got.state == net::ReadState::kWouldBlock) return;
    if (got.state != net::ReadState::kData) {
      // A client may end its side behind its request: that was answered when it
      // was read, below.
      session.ended = true;
      session.connection.HandleStreamEnd(net::Loop::Now());
      return MarkDirty(session);
    }
    if (session.lingering) continue;
    session.connection.HandlePacket(
        net::Loop::Now(), absl::MakeConstSpan(scratch_).first(got.bytes));
    Serve(session);
  }
}

void HttpService::MarkDirty(Session& session) {
  if (std::exchange(session.dirty, true)) return;
  dirty_.push_back(static_cast<uint64_t>(session.id));
}

HttpService::Session* HttpService::Find(ConnectionId id) {
  const auto it = sessions_.find(static_cast<uint64_t>(id));
  return it == sessions_.end() || it->second->dead ? nullptr : it->second.get();
}

void HttpService::Run() {
  // Handlers called from below may come here again; the outer call goes on.
  if (std::exchange(running_, true)) return;
  while (true) {
    PumpServer();
    if (dirty_.empty()) break;
    const uint64_t id = dirty_.front();
    dirty_.pop_front();
    const auto it = sessions_.find(id);
    if (it == sessions_.end()) continue;
    it->second->dirty = false;
    Serve(*it->second);
  }
  for (uint64_t id : dead_) sessions_.erase(id);
  dead_.clear();
  server_alarm_.Set(server_.NextTimeout());
  running_ = false;
}

void HttpService::PumpServer() {
  while (true) {
    while (std::optional<signaling::Envelope> envelope =
               server_.PollTransmit(net::Loop::Now(), {})) {
      Session* session = Find(envelope->connection);
      if (session == nullptr) continue;
      // A reader too slow for its queue is cut by its WebSocket, which says so
      // by an event.
      const absl::Status sent = session->connection.Send(
          net::Loop::Now(), signaling::MessageKind::kText,
          std::move(envelope->text));
      if (!sent.ok()) spdlog::debug("signaling: {}", sent.ToString());
      MarkDirty(*session);
    }
    std::optional<signaling::Server::Event> event = server_.PollEvent();
    if (!event) return;
    std::visit([this](const auto& e) { On(e); }, *event);
  }
}

void HttpService::Serve(Session& session) {
  if (session.dead) return;
  while (std::optional<signaling::ServerConnection::Event> event =
             session.connection.PollEvent()) {
    std::visit([&](auto&& e) { On(session, std::move(e)); }, *std::move(event));
  }
  Transmit(session);
  Arm(session);
}

void HttpService::Transmit(Session& session) {
  while (!session.lingering && session.stream.write_space() >= kChunkBytes) {
    const std::optional<signaling::ServerConnection::Packet> packet =
        session.connection.PollTransmit(net::Loop::Now(),
                                        absl::MakeSpan(scratch_));
    if (!packet || !session.stream.Write(*packet).ok()) break;
  }
  if (!session.stream.status().ok()) {
    session.connection.HandleStreamEnd(net::Loop::Now());
    return Kill(session);
  }
  if (!session.connection.finished() || session.stream.buffered() > 0) return;
  if (session.ended) return Kill(session);
  if (!std::exchange(session.lingering, true)) session.stream.ShutdownWrite();
}

void HttpService::Arm(Session& session) {
  if (session.dead) return;
  session.watch->SetInterest(session.stream.interest());
  if (!session.lingering) {
    session.alarm->Set(session.connection.NextTimeout());
  } else if (session.alarm->deadline() > net::Loop::Now() + options_.linger) {
    session.alarm->Set(net::Loop::Now() + options_.linger);
  }
}

// The session is erased at the end of Run(): its own handler may be running.
void HttpService::Kill(Session& session) {
  if (std::exchange(session.dead, true)) return;
  if (std::exchange(session.signaling, false)) {
    server_.Disconnect(net::Loop::Now(), session.id);
  }
  session.watch->SetInterest(net::Interest::kNone);
  session.alarm->Stop();
  dead_.push_back(static_cast<uint64_t>(session.id));
}

void HttpService::On(Session& session,
                     signaling::HttpRequestReceived received) {
  spdlog::debug("http: {} {}", session.stream.path().remote.ToString(),
                received.request.method);
  // The request is this one: it waits for exactly one answer.
  (void)session.connection.Respond(net::Loop::Now(),
                                   pages_.Answer(received.request));
}

void HttpService::On(Session& session, signaling::UpgradeRequested requested) {
  const absl::Time now = net::Loop::Now();
  const signaling::HttpRequest& request = requested.request;
  if (request.path != kSignalingPath) {
    // The request waits for exactly one answer.
    (void)session.connection.Respond(
        now, Refusal(404, absl::StrCat("Signaling is at ", kSignalingPath)));
    return;
  }
  if (!IsOwnOrigin(request)) {
    // The request waits for exactly one answer.
    (void)session.connection.Respond(
        now, Refusal(403, "Only the page of this server may connect."));
    return;
  }
  if (!requested.offers_kyuu) {
    // The request waits for exactly one answer.
    (void)session.connection.Respond(
        now,
        Refusal(400, absl::StrCat("The subprotocol ", signaling::kSubprotocol,
                                  " has to be offered.")));
    return;
  }
  session.host = HostName(request.headers.Find("Host").value_or(""));
  if (!server_.Connect(now, session.id, session.stream.path().remote.ip).ok()) {
    // The request waits for exactly one answer.
    (void)session.connection.Respond(now, Refusal(503, "The server is full."));
    return;
  }
  session.signaling = true;
  // The request waits for exactly one answer.
  (void)session.connection.AcceptUpgrade(now, signaling::kSubprotocol);
}

void HttpService::On(Session& session, signaling::WebSocketMessage message) {
  if (message.kind != signaling::MessageKind::kText) {
    // Refused if it is closing already.
    (void)session.connection.Close(net::Loop::Now(), 1003,
                                   "messages are JSON text");
    return;
  }
  server_.HandlePacket(net::Loop::Now(), {session.id, std::move(message.data)});
}

void HttpService::On(Session& session, signaling::WebSocketClosed closed) {
  spdlog::debug("signaling: {} closed: {} {}",
                session.stream.path().remote.ToString(), closed.code,
                closed.status.ToString());
  if (std::exchange(session.signaling, false)) {
    server_.Disconnect(net::Loop::Now(), session.id);
  }
}

void HttpService::On(Session& session, signaling::HttpClosed closed) {
  if (!closed.status.ok()) {
    spdlog::debug("http: {}: {}", session.stream.path().remote.ToString(),
                  closed.status.ToString());
  }
}

void HttpService::On(const signaling::SessionOpened& opened) {
  const Session* session = Find(opened.connection);
  ice_.Open(
      opened.session, session == nullptr ? "" : session->host,
      [this, id = opened.connection,
       alive = std::weak_ptr<bool>(alive_)](IceProvider::Servers servers) {
        if (alive.expired()) return;
        // The session may be over: then there is nobody to tell.
        (void)server_.SetIceServers(net::Loop::Now(), id, std::move(servers));
        Run();
      });
}

void HttpService::On(const signaling::SessionClosed& closed) {
  ice_.Close(closed.session);
}

void HttpService::On(const signaling::CloseConnection& close) {
  Session* session = Find(close.connection);
  if (session == nullptr) return;
  session->signaling = false;  // The server has forgotten it already.
  // Refused if it is closing already.
  (void)session->connection.Close(net::Loop::Now(), close.code, close.reason);
  MarkDirty(*session);
}

void HttpService::CloseAll() {
  for (const auto& [id, session] : sessions_) {
    if (session->dead || !session->connection.upgraded()) continue;
    // Refused if it is closing already.
    (void)session->connection.Close(net::Loop::Now(),
                                    signaling::kCloseGoingAway,
                                    "the server is shutting down");
    MarkDirty(*session);
  }
  Run();
}

}  // namespace kyuu::tools
