#include "signaling/server_connection.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "signaling/internal/websocket_frame.h"

namespace kyuu::signaling {

ServerConnection::ServerConnection(const ServerConnectionOptions& options,
                                   Random& random, absl::Time now)
    : options_(&options),
      random_(&random),
      http_(std::make_unique<Http>(options_->http)) {
  http_->timers.Set(Timer::kRequest, now + options_->request_timeout);
}

void ServerConnection::HandlePacket(absl::Time now, Packet in) {
  if (state_ == State::kWebSocket) {
    stream_.websocket()->HandlePacket(now, in);
    return;
  }
  if (state_ == State::kEvents) return events_->HandlePacket(now, in);
  if (state_ == State::kClosed) return;
  if (in.size() > options_->max_unparsed_bytes - http_->unparsed.size()) {
    return Finish(absl::ResourceExhaustedError(
        "HTTP: more requests at once than are answered"));
  }
  absl::StrAppend(&http_->unparsed, AsText(in));
  ParseInput(now);
}

void ServerConnection::ParseInput(absl::Time now) {
  ParseRequests(now);
  if (state_ != State::kReading || !http_->input_ended ||
      !http_->unparsed.empty()) {
    return;
  }
  Finish(http_->parser.in_request()
             ? absl::UnavailableError("HTTP: ended inside a request")
             : absl::OkStatus());
}

void ServerConnection::ParseRequests(absl::Time now) {
  while (state_ == State::kReading && !http_->unparsed.empty() &&
         stream_.unsent_bytes() < options_->max_queued_bytes) {
    if (!http_->parser.in_request() && http_->timers.IsSet(Timer::kIdle)) {
      http_->timers.Stop(Timer::kIdle);
      http_->timers.Set(Timer::kRequest, now + options_->request_timeout);
    }
    const absl::StatusOr<size_t> taken =
        http_->parser.Feed(AsBytes(http_->unparsed));
    if (!taken.ok()) {
      http_->keep_alive = false;
      return Refuse(now, HttpStatusFor(taken.status()),
                    taken.status().message(), taken.status());
    }
    http_->unparsed.erase(0, *taken);
    if (std::optional<HttpRequest> request = http_->parser.Take()) {
      HandleRequest(now, *std::move(request));
    }
  }
}

void ServerConnection::HandleRequest(absl::Time now, HttpRequest request) {
  http_->timers.StopAll();
  http_->keep_alive = request.keep_alive;
  http_->head = request.method == "HEAD";
  if (request.headers.HasToken("Upgrade", "websocket")) {
    return HandleHandshake(now, std::move(request));
  }
  state_ = State::kAnswering;
  stream_.Emit(HttpRequestReceived{std::move(request)});
}

void ServerConnection::HandleHandshake(absl::Time now, HttpRequest request) {
  // RFC 6455 section 4.2.1.
  const HttpHeaders& headers = request.headers;
  http_->keep_alive = false;
  const absl::Status malformed =
      absl::InvalidArgumentError("WebSocket: malformed handshake");
  if (request.method != "GET" || !request.body.empty() ||
      request.minor_version == 0 ||
      !headers.HasToken("Connection", "Upgrade")) {
    return Refuse(now, 400,
                  "WebSocket: a GET with Connection: Upgrade, above HTTP 1.0",
                  malformed);
  }
  // Of two origins nobody knows which one a proxy in front has judged.
  if (headers.Count("Origin") > 1) {
    return Refuse(now, 400, "WebSocket: more than one Origin", malformed);
  }
  if (headers.Find("Sec-WebSocket-Version").value_or("") != "13") {
    return Refuse(now, 426, "WebSocket: version 13 is spoken here", malformed);
  }
  std::string nonce;
  const absl::string_view key = headers.Find("Sec-WebSocket-Key").value_or("");
  if (headers.Count("Sec-WebSocket-Key") != 1 ||
      !absl::Base64Unescape(key, &nonce) || nonce.size() != 16) {
    return Refuse(now, 400, "WebSocket: Sec-WebSocket-Key", malformed);
  }
  if (!JudgeExtensions(headers)) {
    return Refuse(now, 400, "WebSocket: Sec-WebSocket-Extensions", malformed);
  }
  http_->websocket_key = std::string(key);
  http_->offered_subprotocols.clear();
  for (const HttpHeader& field : headers.fields()) {
    if (!absl::EqualsIgnoreCase(field.name, "Sec-WebSocket-Protocol")) continue;
    for (absl::string_view offered : absl::StrSplit(field.value, ',')) {
      http_->offered_subprotocols.emplace_back(
          absl::StripAsciiWhitespace(offered));
    }
  }
  state_ = State::kUpgrading;
  const bool offers_kyuu = Offers(kSubprotocol);
  stream_.Emit(UpgradeRequested{std::move(request), offers_kyuu});
}

bool ServerConnection::JudgeExtensions(const HttpHeaders& headers) {
  http_->deflate.reset();
  if (options_->deflate == nullptr) return true;
  // Several fields are one list (RFC 6455 section 9.1).
  std::string offers;
  for (const HttpHeader& field : headers.fields()) {
    if (absl::EqualsIgnoreCase(field.name, "Sec-WebSocket-Extensions")) {
      absl::StrAppend(&offers, field.value, ",");
    }
  }
  const auto grant = AnswerDeflateOffers(offers);
  if (!grant.ok()) return false;
  http_->deflate = *grant;
  return true;
}

bool ServerConnection::Offers(absl::string_view subprotocol) const {
  return std::find(http_->offered_subprotocols.begin(),
                   http_->offered_subprotocols.end(),
                   subprotocol) != http_->offered_subprotocols.end();
}

void ServerConnection::Refuse(absl::Time now, int code, absl::string_view text,
                              absl::Status end) {
  HttpResponse response;
  response.status = code;
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  if (code == 426) {
    response.headers.Add("Upgrade", "websocket");
    response.headers.Add("Sec-WebSocket-Version", "13");
  }
  response.body = absl::StrCat(text, "\n");
  Write(now, std::move(response), std::move(end));
}

absl::Status ServerConnection::Respond(absl::Time now, HttpResponse response) {
  if (state_ != State::kAnswering && state_ != State::kUpgrading) {
    return absl::FailedPreconditionError("no request is open");
  }
  Write(now, std::move(response), absl::OkStatus());
  ParseInput(now);
  return absl::OkStatus();
}

void ServerConnection::Write(absl::Time now, HttpResponse response,
                             absl::Status end) {
  if (response.headers.HasToken("Connection", "close")) {
    http_->keep_alive = false;
  } else if (!http_->keep_alive) {
    response.headers.Add("Connection", "close");
  }
  AddDate(now, response);
  stream_.Write(WriteResponse(
      response, http_->head ? HttpBody::kLeftOut : HttpBody::kIncluded));
  if (!http_->keep_alive) return Finish(std::move(end));
  state_ = State::kReading;
  http_->timers.Set(Timer::kIdle, now + options_->idle_timeout);
}

void ServerConnection::AddDate(absl::Time now, HttpResponse& response) const {
  if (!options_->utc_offset || response.headers.Count("Date") > 0) return;
  // RFC 9110 section 5.6.7.
  response.headers.Add("Date", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT",
                                                now + *options_->utc_offset,
                                                absl::UTCTimeZone()));
}

std::string ServerConnection::LeaveHttp() {
  std::string early = std::move(http_->unparsed);
  http_.reset();
  return early;
}

absl::Status ServerConnection::AcceptUpgrade(absl::Time now,
                                             absl::string_view subprotocol) {
  if (state_ != State::kUpgrading) {
    return absl::FailedPreconditionError("no handshake is open");
  }
  if (!subprotocol.empty() && !Offers(subprotocol)) {
    return absl::FailedPreconditionError(
        "the client did not offer that subprotocol");
  }
  HttpResponse response;
  response.status = 101;
  response.headers.Add("Upgrade", "websocket");
  response.headers.Add("Connection", "Upgrade");
  response.headers.Add("Sec-WebSocket-Accept",
                       internal::AcceptKey(http_->websocket_key));
  if (!subprotocol.empty()) {
    response.headers.Add("Sec-WebSocket-Protocol", subprotocol);
  }
  if (http_->deflate) {
    response.headers.Add("Sec-WebSocket-Extensions",
                         http_->deflate->ToString());
  }
  stream_.Write(WriteResponse(response));
  state_ = State::kWebSocket;
  WebSocket& websocket = stream_.Upgrade(options_->websocket,
                                         WebSocketRole::kServer, *random_, now);
  if (http_->deflate) {
    websocket.Compress(*options_->deflate,
                       http_->deflate->server_max_window_bits.value_or(15));
  }
  // A client may send frames right behind its handshake.
  const std::string early = LeaveHttp();
  stream_.websocket()->HandlePacket(now, AsBytes(early));
  return absl::OkStatus();
}

absl::Status ServerConnection::AcceptEvents(absl::Time now,
                                            absl::string_view name,
                                            HttpHeaders headers) {
  if (state_ != State::kAnswering) {
    return absl::FailedPreconditionError("no request is open");
  }
  HttpResponse response;
  response.headers = std::move(headers);
  response.headers.Add("Content-Type", "text/event-stream");
  // A proxy that keeps, packs or collects it would keep it from the client.
  response.headers.Add("Cache-Control", "no-store, no-transform");
  response.headers.Add("X-Accel-Buffering", "no");
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Connection", "close");
  AddDate(now, response);
  stream_.Write(WriteResponse(response, HttpBody::kEndless));
  state_ = State::kEvents;
  events_ = std::make_unique<EventStream>(options_->events, name, now);
  const std::string early = LeaveHttp();
  events_->HandlePacket(now, AsBytes(early));
  return absl::OkStatus();
}

void ServerConnection::HandleTimeout(absl::Time now) {
  if (WebSocket* open = stream_.websocket()) return open->HandleTimeout(now);
  if (events_) return events_->HandleTimeout(now);
  while (std::optional<Timer> due = http_->timers.PopDue(now)) {
    switch (*due) {
      case Timer::kRequest: {
        const absl::Status late =
            absl::DeadlineExceededError("HTTP: no complete request");
        if (!http_->parser.in_request()) return Finish(late);
        // A client that has said something is told why (RFC 9110 section
        // 15.5.9).
        http_->keep_alive = false;
        Refuse(now, 408, "the request took too long", late);
        break;
      }
      case Timer::kIdle:
        Finish(absl::OkStatus());
        break;
      case Timer::kCount:
        break;
    }
  }
}

std::optional<ServerConnection::Packet> ServerConnection::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  if (events_ && stream_.unsent_bytes() == 0) {
    return events_->PollTransmit(now, out);
  }
  const std::optional<Packet> packet = stream_.PollTransmit(now, out);
  // Requests may have waited for room.
  ParseInput(now);
  return packet;
}

std::optional<ServerConnection::Event> ServerConnection::PollEvent() {
  std::optional<Event> event = stream_.PollEvent();
  if (event || !events_) return event;
  if (auto closed = events_->PollEvent()) return *std::move(closed);
  return std::nullopt;
}

absl::Time ServerConnection::NextTimeout() const {
  if (events_) return events_->NextTimeout();
  const WebSocket* open = stream_.websocket();
  return open != nullptr ? open->NextTimeout() : http_->timers.NextTimeout();
}

absl::Status ServerConnection::Send(absl::Time now, MessageKind kind,
                                    std::string data) {
  return events_ ? events_->Send(data)
                 : stream_.Send(now, kind, std::move(data));
}

absl::Status ServerConnection::SendUtf8(absl::Time now, std::string text) {
  return events_ ? events_->Send(text) : stream_.SendUtf8(now, std::move(text));
}

absl::Status ServerConnection::Close(absl::Time now, uint16_t code,
                                     absl::string_view reason) {
  if (!events_) return stream_.Close(now, code, reason);
  events_->Close(code, reason);
  return absl::OkStatus();
}

void ServerConnection::HandleStreamEnd(absl::Time now,
                                       const absl::Status& why) {
  if (WebSocket* open = stream_.websocket()) {
    stream_.DropUnsent();
    return open->HandleStreamEnd(now);
  }
  if (events_) {
    stream_.DropUnsent();
    return events_->HandleStreamEnd();
  }
  if (why.ok()) {
    http_->input_ended = true;
    return ParseInput(now);
  }
  stream_.DropUnsent();
  const bool between = state_ == State::kReading && !http_->parser.in_request();
  Finish(between
             ? absl::OkStatus()
             : absl::UnavailableError(absl::StrCat("HTTP: ", why.message())));
}

size_t ServerConnection::held_bytes() const {
  return stream_.held_bytes() +
         (http_ ? http_->unparsed.size() + http_->parser.held_bytes() : 0) +
         (events_ ? events_->queued_bytes() : 0);
}

bool ServerConnection::finished() const {
  if (stream_.unsent_bytes() > 0) return false;
  if (events_) return events_->finished();
  const WebSocket* open = stream_.websocket();
  return open != nullptr ? open->finished() : state_ == State::kClosed;
}

size_t ServerConnection::queued_bytes() const {
  return stream_.queued_bytes() + (events_ ? events_->queued_bytes() : 0);
}

void ServerConnection::Finish(absl::Status status) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  http_->timers.StopAll();
  http_->unparsed = std::string();
  stream_.Emit(HttpClosed{std::move(status)});
}

std::string ServerConnection::DebugString() const {
  if (const WebSocket* open = stream_.websocket()) return open->DebugString();
  if (events_) return events_->DebugString();
  static constexpr const char* kNames[] = {
      "reading", "answering", "upgrading", "websocket", "events", "closed"};
  return absl::StrCat(
      "HTTP ", kNames[static_cast<size_t>(state_)], ", ", queued_bytes(),
      " bytes queued, ", http_->unparsed.size(), " unparsed, request timer ",
      absl::FormatTime(http_->timers.deadline(Timer::kRequest)),
      ", idle timer ", absl::FormatTime(http_->timers.deadline(Timer::kIdle)));
}

}  // namespace kyuu::signaling
