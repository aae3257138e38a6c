// What comes in by FrontDoor as HTTP: pages, metrics, and WebSockets that are
// to be let in.

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/client_address/whoami.h"
#include "tools/kyuud/front_door.h"
#include "tools/kyuud/front_door_guest.h"

namespace kyuu::tools {
namespace {

const Refusal kSpeakTls{400, "TLS is spoken here: https:// and wss://."};

}  // namespace

void FrontDoor::TellUtc() {
  admission_.SetUtcOffset(absl::Now() - net::Loop::Now());
}

ClientAddress FrontDoor::Recognize(Guest& guest,
                                   const signaling::HttpRequest& request) {
  const ClientAddress client = ClientOf(request, guest.driver->path().remote.ip,
                                        options_.port.shared_sources);
  guest.told.reset();
  if (client.forwarded_for == ForwardedFor::kUsed) guest.told = client.ip;
  return client;
}

void FrontDoor::Refuse(Guest& guest, const Refusal& refusal) {
  ++stats_.refused;
  // What comes from clients is escaped.
  LogRefusal(guest.who(),
             absl::StrCat(refusal.status, " ", absl::CHexEscape(refusal.text)));
  signaling::HttpResponse response = TextResponse(refusal.status, refusal.text);
  AddRetryAfter(response);
  // Fails only without an open request, and this one is.
  (void)guest.connection.Respond(net::Loop::Now(), std::move(response));
}

void FrontDoor::On(Guest& guest, signaling::HttpRequestReceived received) {
  signaling::HttpRequest& request = received.request;
  const ClientAddress client = Recognize(guest, request);
  if (LogsDetails()) {
    spdlog::debug("http: {} {}", guest.who(), request.method);
  }
  ++stats_.requests;
  if (guest.in_clear) return Refuse(guest, kSpeakTls);
  if (const auto refusal = routes_.RefuseHost(request)) {
    return Refuse(guest, *refusal);
  }
  request.path = routes_.PathOf(request);
  if (request.path == kMetricsPath && metrics_) {
    return AnswerMetrics(guest, request);
  }
  if (request.path == kWhoamiPath) {
    // Fails only without an open request, and this one is.
    (void)guest.connection.Respond(
        net::Loop::Now(),
        AnswerWhoami(request, client, options_.dialects.settings));
    return;
  }
  const bool serves = options_.sockets == FrontDoorOptions::Signaling::kServed;
  if (serves && dialects_.Serves(request)) return AnswerDialect(guest, request);
  if (ServesWithoutSockets(request)) {
    return AnswerWithoutSockets(guest, request);
  }
  if (ServesCodes(request)) return AnswerCodes(guest, request);
  const bool signaling = serves && request.path == signaling::kSignalingPath;
  if (drained_by_ &&
      (request.path == "/healthz" || request.path == "/readyz" || signaling)) {
    signaling::HttpResponse response = TextResponse(503, "draining");
    AddRetryAfter(response);
    // Fails only without an open request, and this one is.
    (void)guest.connection.Respond(net::Loop::Now(), std::move(response));
    return;
  }
  if (request.path == "/readyz" && backplane_ != nullptr &&
      (request.method == "GET" || request.method == "HEAD")) {
    // Fails only without an open request, and this one is.
    (void)guest.connection.Respond(net::Loop::Now(), Readiness());
    return;
  }
  if (signaling) {
    // A page cannot read what its WebSocket was answered, but this.
    if (const auto refusal = routes_.RefuseUpgrade(request, true)) {
      return Refuse(guest, *refusal);
    }
  }
  // Fails only without an open request, and this one is.
  (void)guest.connection.Respond(
      net::Loop::Now(), signaling ? UpgradeRequired() : pages_.Answer(request));
}

signaling::HttpResponse FrontDoor::Readiness() const {
  const std::string& missing = backplane_->missing_rights();
  const std::string why =
      missing.empty()
          ? ""
          : absl::StrCat(": its Redis refuses us the rights ", missing);
  switch (backplane_->state()) {
    case Backplane::State::kNeverThere:
      return TextResponse(
          503, absl::StrCat("the backplane was not reached yet", why));
    case Backplane::State::kThere:
      return TextResponse(200, "ok");
    case Backplane::State::kAway:
      break;
  }
  // All servers miss it at the same time: if none were ready, nobody was
  // served.
  return TextResponse(200, absl::StrCat("ok, but the backplane is away", why));
}

void FrontDoor::AnswerDialect(Guest& guest,
                              const signaling::HttpRequest& request) {
  if (const auto refusal =
          routes_.RefuseOrigin(request, Routes::Audience::kDialects)) {
    return Refuse(guest, *refusal);
  }
  // Fails only without an open request, and this one is.
  (void)guest.connection.Respond(net::Loop::Now(), dialects_.Answer(request));
}

void FrontDoor::AnswerMetrics(Guest& guest,
                              const signaling::HttpRequest& request) {
  if (const auto refusal =
          routes_.RefuseMetrics(request, guest.driver->path().remote.ip)) {
    return Refuse(guest, *refusal);
  }
  if (request.method != "GET" && request.method != "HEAD") {
    // Fails only without an open request, and this one is.
    (void)guest.connection.Respond(net::Loop::Now(), MethodNotAllowed());
    return;
  }
  metrics_([this, id = guest.id,
            alive = std::weak_ptr<bool>(alive_)](std::string text) {
    Guest* asker = alive.expired() ? nullptr : Find(id);
    if (asker == nullptr) return;
    signaling::HttpResponse response;
    response.headers.Add("Content-Type", kMetricsContentType);
    response.headers.Add("X-Content-Type-Options", "nosniff");
    response.headers.Add("Cache-Control", "no-store");
    response.body = std::move(text);
    // Fails if the connection has ended meanwhile: there is nobody to tell.
    (void)asker->connection.Respond(net::Loop::Now(), std::move(response));
    dirty_.push_back(static_cast<uint64_t>(id));
    RunSoon();
  });
}

void FrontDoor::On(Guest& guest, signaling::UpgradeRequested requested) {
  const absl::Time now = net::Loop::Now();
  ++stats_.requests;
  if (guest.in_clear) return Refuse(guest, kSpeakTls);
  const signaling::HttpRequest& request = requested.request;
  Recognize(guest, request);
  const Dialect dialect =
      options_.sockets == FrontDoorOptions::Signaling::kServed
          ? dialects_.SpokenAt(routes_.PathOf(request))
          : Dialect::kNone;
  if (dialect != Dialect::kNone) return Welcome(guest, request, dialect);
  if (const auto refusal =
          routes_.RefuseUpgrade(request, requested.offers_kyuu)) {
    return Refuse(guest, *refusal);
  }
  if (options_.sockets == FrontDoorOptions::Signaling::kNone) {
    return Refuse(guest, {404, "There is nothing here."});
  }
  if (drained_by_) return Refuse(guest, {503, "draining"});
  guest.name = routes_.NameOf(request);
  const absl::Status connected = server_.Connect(now, guest.id, ShareOf(guest));
  if (!connected.ok()) {
    return Refuse(guest, {503, std::string(connected.message())});
  }
  guest.session = Guest::Session::kOpen;
  ++stats_.websockets;
  // Fails only without an open handshake that offers the protocol.
  (void)guest.connection.AcceptUpgrade(now, signaling::kSubprotocol);
  RunSoon();
}

void FrontDoor::Welcome(Guest& guest, const signaling::HttpRequest& request,
                        Dialect dialect) {
  const absl::Time now = net::Loop::Now();
  if (const auto refusal = routes_.RefuseHost(request)) {
    return Refuse(guest, *refusal);
  }
  if (const auto refusal =
          routes_.RefuseOrigin(request, Routes::Audience::kDialects)) {
    return Refuse(guest, *refusal);
  }
  if (drained_by_) return Refuse(guest, {503, "draining"});
  TellUtc();
  const absl::Status connected =
      dialects_.Connect(now, dialect, guest.id, ShareOf(guest), request);
  if (!connected.ok()) {
    return Refuse(guest, {absl::IsPermissionDenied(connected) ? 403 : 503,
                          std::string(connected.message())});
  }
  guest.dialect = dialect;
  guest.session = Guest::Session::kOpen;
  ++stats_.websockets;
  // Fails only without an open handshake; these clients offer no subprotocol.
  (void)guest.connection.AcceptUpgrade(now, "");
  RunSoon();
}

}  // namespace kyuu::tools
