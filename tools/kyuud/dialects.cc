#include "tools/kyuud/dialects.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "tools/kyuud/routes.h"

namespace kyuu::tools {

using signaling::CloseConnection;
using signaling::ConnectionId;
using signaling::Envelope;
using signaling::HttpRequest;
using signaling::HttpResponse;

namespace {

signaling::PeerJsOptions WithKey(signaling::PeerJsOptions options,
                                 const std::string& key) {
  options.key = key;
  return options;
}

HttpResponse Typed(absl::string_view type, std::string body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.headers.Add("Content-Type", type);
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

// A browser says what it can show, `fetch` and others that all will do: for
// them the root of a server that has a page is that page.
bool WantsJson(const HttpRequest& request) {
  const absl::string_view accept = request.headers.Find("Accept").value_or("");
  return absl::StrContains(absl::AsciiStrToLower(accept), "application/json");
}

// Lets a page of another origin read `response` (the Fetch standard, "CORS
// protocol"); whether it may come was asked before.
void AllowReading(const HttpRequest& request, HttpResponse& response) {
  response.headers.Add("Vary", "Origin");
  if (const auto origin = request.headers.Find("Origin")) {
    response.headers.Add("Access-Control-Allow-Origin", *origin);
  }
}

// The answer to what a browser asks before a request that is not a simple one:
// one to which something in the page (a tracer) adds headers of its own.
// Nothing here reads them.
HttpResponse Preflight(const HttpRequest& request) {
  HttpResponse response;
  response.status = 204;
  response.headers.Add("Access-Control-Allow-Methods", "GET, HEAD");
  response.headers.Add("Vary", "Access-Control-Request-Headers");
  if (const auto names =
          request.headers.Find("Access-Control-Request-Headers")) {
    response.headers.Add("Access-Control-Allow-Headers", *names);
  }
  return response;
}

// A parameter of a query as URLSearchParams reads it, in which '+' is a blank.
std::string Parameter(const HttpRequest& request, absl::string_view name) {
  HttpRequest spaced;
  spaced.query = absl::StrReplaceAll(request.query, {{"+", "%20"}});
  return spaced.QueryParameter(name).value_or("");
}

}  // namespace

Dialects::Dialects(const DialectsOptions& options, Random& random,
                   signaling::Admission& admission)
    : admission_(admission),
      settings_(options.settings),
      peerjs_base_(settings_.peerjs_path == "/" ? "" : settings_.peerjs_path),
      peerjs_(WithKey(options.peerjs, settings_.peerjs_key), random),
      ywebrtc_(options.ywebrtc) {}

Dialect Dialects::SpokenAt(absl::string_view path) const {
  if (settings_.peerjs == DialectSettings::Service::kOn &&
      path == absl::StrCat(peerjs_base_, "/peerjs")) {
    return Dialect::kPeerJs;
  }
  // Servers of y-webrtc take any path; people write theirs with a slash.
  if (path.size() > 1) absl::ConsumeSuffix(&path, "/");
  if (settings_.ywebrtc == DialectSettings::Service::kOn &&
      path == settings_.ywebrtc_path) {
    return Dialect::kYWebrtc;
  }
  return Dialect::kNone;
}

Dialects::PeerJsRequest Dialects::Meant(const HttpRequest& request) const {
  absl::string_view path = request.path;
  if (settings_.peerjs == DialectSettings::Service::kOff ||
      !absl::ConsumePrefix(&path, peerjs_base_)) {
    return PeerJsRequest::kNone;
  }
  if (path.empty() || path == "/") {
    const bool is_page = peerjs_base_.empty() && !WantsJson(request);
    return is_page ? PeerJsRequest::kNone : PeerJsRequest::kGreeting;
  }
  if (path == "/peerjs") return PeerJsRequest::kSocket;
  if (!absl::ConsumePrefix(&path, "/")) return PeerJsRequest::kNone;
  const absl::string_view key = path.substr(0, path.find('/'));
  const absl::string_view method = path.substr(key.size());
  if (key.empty() || (method != "/id" && method != "/peers")) {
    return PeerJsRequest::kNone;
  }
  const bool is_listed = method == "/peers" && !admission_.lets_anonymous_in();
  if (!admission_.IsApiKey(key) && (is_listed || key != settings_.peerjs_key)) {
    return PeerJsRequest::kWrongKey;
  }
  return method == "/id" ? PeerJsRequest::kId : PeerJsRequest::kPeers;
}

bool Dialects::GreetsYWebrtc(const HttpRequest& request) const {
  // The root has a page.
  return SpokenAt(request.path) == Dialect::kYWebrtc && request.path != "/";
}

bool Dialects::Serves(const HttpRequest& request) const {
  return Meant(request) != PeerJsRequest::kNone || GreetsYWebrtc(request);
}

HttpResponse Dialects::Answer(const HttpRequest& request) {
  HttpResponse response;
  const PeerJsRequest meant = Meant(request);
  if (request.method == "OPTIONS") {
    response = Preflight(request);
  } else if (request.method != "GET" && request.method != "HEAD") {
    response = MethodNotAllowed();
  } else if (GreetsYWebrtc(request)) {
    response = Typed("text/plain", signaling::kYWebrtcGreeting);
  } else {
    switch (meant) {
      case PeerJsRequest::kGreeting:
        response = Typed("application/json; charset=utf-8",
                         signaling::kPeerJsGreeting);
        break;
      case PeerJsRequest::kSocket:
        response = UpgradeRequired();
        break;
      case PeerJsRequest::kId:
        // Its clients take the body as it is, and expect this type of it.
        response = Typed("text/html; charset=utf-8", peerjs_.NewId());
        break;
      case PeerJsRequest::kPeers:
        response =
            settings_.peerjs_discovery == DialectSettings::Discovery::kAllow
                ? Typed("application/json; charset=utf-8", peerjs_.ListPeers())
                : Typed("text/plain; charset=utf-8", "Unauthorized", 401);
        break;
      case PeerJsRequest::kWrongKey:
        response = TextResponse(401, "Invalid key provided");
        break;
      case PeerJsRequest::kNone:
        response = TextResponse(404, "There is nothing here.");
        break;
    }
  }
  AllowReading(request, response);
  return response;
}

absl::Status Dialects::Connect(absl::Time now, Dialect dialect,
                               ConnectionId connection, const IpAddress& source,
                               const HttpRequest& request) {
  if (dialect == Dialect::kPeerJs) {
    return peerjs_.Connect(now, connection, source, IdentityOf(now, request));
  }
  auto verdict = admission_.Judge(now, Parameter(request, "token"));
  if (const auto* refused = std::get_if<signaling::NotAdmitted>(&verdict)) {
    return absl::PermissionDeniedError(refused->message);
  }
  return ywebrtc_.Connect(now, connection, source,
                          std::get<signaling::Grant>(verdict).rooms);
}

signaling::PeerJsIdentity Dialects::IdentityOf(absl::Time now,
                                               const HttpRequest& request) {
  signaling::PeerJsIdentity identity{Parameter(request, "id"),
                                     Parameter(request, "token"),
                                     Parameter(request, "key")};
  if (!admission_.judges()) return identity;
  // Clients without a token of ours make one up, without dots.
  std::string shown;
  if (admission_.IsApiKey(identity.key)) {
    shown = std::exchange(identity.key, settings_.peerjs_key);
  }
  if (signaling::LooksLikeToken(identity.token)) shown = identity.token;
  auto verdict = admission_.Judge(now, shown);
  if (const auto* refused = std::get_if<signaling::NotAdmitted>(&verdict)) {
    identity.refusal = refused->message;
    return identity;
  }
  const auto& grant = std::get<signaling::Grant>(verdict);
  if (grant.by != signaling::Grant::By::kToken) {
    // What somebody makes up is nobody's name.
    if (!identity.token.empty()) {
      identity.token = absl::StrCat("secret ", identity.token);
    }
    return identity;
  }
  // A later token of the same user is as good for his id.
  identity.token = absl::StrCat("user ", grant.user);
  if (grant.user != identity.id) {
    identity.refusal = "the token is for another id (sub)";
  } else if (!grant.rooms.allows_all()) {
    identity.refusal = "the token is for rooms, which PeerJS has none of";
  }
  if (!identity.refusal.empty()) admission_.CountRefusedRoom();
  return identity;
}

void Dialects::Disconnect(Dialect dialect, ConnectionId connection) {
  if (dialect == Dialect::kYWebrtc) return ywebrtc_.Disconnect(connection);
  peerjs_.Disconnect(connection);
}

void Dialects::HandlePacket(absl::Time now, Dialect dialect, Envelope in) {
  if (dialect == Dialect::kYWebrtc) {
    return ywebrtc_.HandlePacket(now, std::move(in));
  }
  peerjs_.HandlePacket(now, std::move(in));
}

std::optional<Envelope> Dialects::PollTransmit(absl::Time now) {
  if (auto envelope = peerjs_.PollTransmit(now, {})) return envelope;
  return ywebrtc_.PollTransmit(now, {});
}

std::optional<CloseConnection> Dialects::PollEvent() {
  if (auto event = peerjs_.PollEvent()) return std::get<0>(*event);
  if (auto event = ywebrtc_.PollEvent()) return std::get<0>(*event);
  return std::nullopt;
}

void Dialects::Tell(Metrics& metrics) const {
  metrics.peerjs = peerjs_.stats();
  metrics.ywebrtc = ywebrtc_.stats();
  metrics.now.peerjs_peers = peerjs_.peer_count();
  metrics.now.ywebrtc_connections = ywebrtc_.connection_count();
  metrics.now.ywebrtc_topics = ywebrtc_.topic_count();
}

std::string Dialects::Status() const {
  return absl::StrCat(peerjs_.peer_count(), " peers of PeerJS, ",
                      ywebrtc_.connection_count(), " clients of y-webrtc with ",
                      ywebrtc_.topic_count(), " topics");
}

}  // namespace kyuu::tools
