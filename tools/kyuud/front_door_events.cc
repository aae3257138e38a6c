// Signaling by FrontDoor for clients whose way to it lets no WebSocket through:
// a stream of events, and posts (docs/signaling_protocol.md, "Without
// WebSockets").

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/front_door.h"
#include "tools/kyuud/front_door_guest.h"

namespace kyuu::tools {
namespace {

using signaling::HttpHeaders;
using signaling::HttpRequest;
using signaling::HttpResponse;

// So that the page, which may be another site's, may read the answer. Its
// origin has been judged.
void AddCors(const HttpRequest& request, HttpHeaders& headers) {
  headers.Add("Vary", "Origin");
  if (const auto origin = request.headers.Find("Origin")) {
    headers.Add("Access-Control-Allow-Origin", *origin);
  }
}

HttpResponse Answer(const HttpRequest& request, int status,
                    absl::string_view text) {
  HttpResponse response = TextResponse(status, text);
  AddCors(request, response.headers);
  if (status == 204) response.body.clear();
  return response;
}

// What a browser asks before it lets a page of another site send our fields
// (Fetch standard, section "CORS-preflight request").
HttpResponse Preflight(const HttpRequest& request) {
  HttpResponse response = Answer(request, 204, "");
  response.headers.Add("Access-Control-Allow-Methods", "GET, POST");
  response.headers.Add(
      "Access-Control-Allow-Headers",
      absl::StrCat("Content-Type, ", signaling::kStreamHeader, ", ",
                   signaling::kPostHeader, ", ", signaling::kCloseHeader));
  response.headers.Add("Access-Control-Max-Age", "600");
  return response;
}

HttpResponse WrongMethod(const HttpRequest& request,
                         absl::string_view allowed) {
  HttpResponse response =
      Answer(request, 405, absl::StrCat("Only ", allowed, "."));
  response.headers.Add("Allow", absl::StrCat(allowed, ", OPTIONS"));
  return response;
}

}  // namespace

bool FrontDoor::ServesWithoutSockets(const HttpRequest& request) const {
  return options_.sockets == FrontDoorOptions::Signaling::kServed &&
         (request.path == signaling::kEventsPath ||
          request.path == signaling::kPostsPath);
}

void FrontDoor::AnswerWithoutSockets(Guest& guest, const HttpRequest& request) {
  if (const auto refusal = routes_.RefuseFetch(request)) {
    return Refuse(guest, *refusal);
  }
  const bool is_post = request.path == signaling::kPostsPath;
  const absl::string_view method = is_post ? "POST" : "GET";
  if (request.method == method) {
    return is_post ? TakePost(guest, request) : OpenEvents(guest, request);
  }
  // Fails only without an open request, and this one is.
  (void)guest.connection.Respond(net::Loop::Now(),
                                 request.method == "OPTIONS"
                                     ? Preflight(request)
                                     : WrongMethod(request, method));
}

void FrontDoor::RefuseFetch(Guest& guest, const HttpRequest& request,
                            const Refusal& refusal) {
  ++stats_.refused;
  LogRefusal(guest.who(), absl::StrCat(refusal.status, " ", refusal.text));
  HttpResponse response = Answer(request, refusal.status, refusal.text);
  AddRetryAfter(response);
  // Fails only without an open request, and this one is.
  (void)guest.connection.Respond(net::Loop::Now(), std::move(response));
}

void FrontDoor::OpenEvents(Guest& guest, const HttpRequest& request) {
  const absl::Time now = net::Loop::Now();
  if (!request.headers.HasToken("Accept", "text/event-stream")) {
    return RefuseFetch(guest, request,
                       {406,
                        "Events are here, for who accepts "
                        "text/event-stream."});
  }
  if (drained_by_) return RefuseFetch(guest, request, {503, "draining"});
  guest.name = routes_.NameOf(request);
  const absl::Status connected = server_.Connect(now, guest.id, ShareOf(guest));
  if (!connected.ok()) {
    return RefuseFetch(guest, request, {503, std::string(connected.message())});
  }
  guest.session = Guest::Session::kOpen;
  ++stats_.event_streams;
  HttpHeaders headers;
  AddCors(request, headers);
  // Fails only without an open request, and this one is.
  (void)guest.connection.AcceptEvents(now, posts_.Open(guest.id),
                                      std::move(headers));
  RunSoon();
}

void FrontDoor::TakePost(Guest& guest, const HttpRequest& request) {
  const absl::Time now = net::Loop::Now();
  auto taken = posts_.Take(request);
  if (const auto* refused = std::get_if<signaling::PostRefused>(&taken)) {
    return RefuseFetch(guest, request, {refused->status, refused->text});
  }
  auto& posted = std::get<signaling::Posted>(taken);
  ++stats_.posts;
  // nullptr if its reader has gone.
  Guest* stream = Find(posted.connection);
  if (stream != nullptr) stream->connection.HandlePosted(now);
  TellUtc();
  for (std::string& message : posted.messages) {
    const absl::Time began = net::Loop::Now();
    server_.HandlePacket(began, {posted.connection, std::move(message)});
    message_times_.Observe(absl::ToDoubleSeconds(net::Loop::Now() - began));
  }
  if (posted.close.has_value()) {
    CloseEvents(posted.connection,
                *posted.close == signaling::kCloseNormal ||
                        *posted.close == signaling::kCloseGoingAway
                    ? signaling::Departure::kGoodbye
                    : signaling::Departure::kLost);
    if (stream != nullptr) {
      stream->session = Guest::Session::kNone;
      // Fails only before there is a stream.
      (void)stream->connection.Close(now, *posted.close, "");
      dirty_.push_back(static_cast<uint64_t>(stream->id));
    }
  }
  // Fails only without an open request, and this one is.
  (void)guest.connection.Respond(now, Answer(request, 204, ""));
  RunSoon();
}

void FrontDoor::On(Guest& guest, signaling::EventStreamClosed closed) {
  if (closed.status.code() == absl::StatusCode::kResourceExhausted) {
    LogRefusal(guest.who(), closed.status.message());
  } else if (LogsDetails()) {
    spdlog::debug("signaling: {} closed: {}", guest.who(),
                  closed.status.ToString());
  }
  // What its client has posted may be on its way yet.
  if (closed.status.code() == absl::StatusCode::kUnavailable &&
      std::exchange(guest.session, Guest::Session::kNone) ==
          Guest::Session::kOpen) {
    posts_.Linger(net::Loop::Now(), guest.id);
    return RunSoon();
  }
  Depart(guest, signaling::Departure::kLost);
}

void FrontDoor::CloseEvents(signaling::ConnectionId id,
                            signaling::Departure departure) {
  posts_.Close(id);
  server_.Disconnect(net::Loop::Now(), id, departure);
}

void FrontDoor::EndLingering() {
  while (const auto gone = posts_.PopGone(net::Loop::Now())) {
    CloseEvents(*gone, signaling::Departure::kLost);
  }
}

}  // namespace kyuu::tools
