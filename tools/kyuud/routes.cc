#include "tools/kyuud/routes.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/address.h"
#include "base/status_macros.h"

namespace kyuu::tools {
namespace {

using signaling::HttpRequest;

uint16_t DefaultPort(absl::string_view scheme) {
  if (scheme == "http") return 80;
  return scheme == "https" ? 443 : 0;
}

// "host", "host:81" or "[::1]:81", taken apart. A port that is left out is 0.
struct Authority {
  std::string host;  // In lower case.
  uint16_t port = 0;
};

std::optional<Authority> ParseAuthority(absl::string_view text) {
  Authority result;
  size_t end = text.find(':');
  if (absl::StartsWith(text, "[")) {
    const size_t bracket = text.find(']');
    if (bracket == absl::string_view::npos) return std::nullopt;
    end = bracket + 1;
  }
  result.host = absl::AsciiStrToLower(text.substr(0, end));
  // A name may end in the root's dot; it is the same name.
  absl::string_view host = result.host;
  if (absl::ConsumeSuffix(&host, ".")) result.host = std::string(host);
  if (result.host.empty() ||
      result.host.find_first_of("/?#@\\ ") != std::string::npos) {
    return std::nullopt;
  }
  if (end >= text.size()) return result;
  const absl::string_view port = text.substr(end);
  uint32_t number = 0;
  if (port == ":") return result;
  if (port[0] != ':' || !absl::SimpleAtoi(port.substr(1), &number) ||
      number == 0 || number > 65535) {
    return std::nullopt;
  }
  result.port = static_cast<uint16_t>(number);
  return result;
}

std::optional<IpAddress> AddressOf(absl::string_view host) {
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  const absl::StatusOr<IpAddress> ip = IpAddress::Parse(host);
  if (!ip.ok()) return std::nullopt;
  return *ip;
}

// RFC 6761 section 6.3: names below localhost never leave the machine.
bool IsLoopbackName(absl::string_view host) {
  if (host == "localhost" || absl::EndsWith(host, ".localhost")) return true;
  const std::optional<IpAddress> ip = AddressOf(host);
  return ip.has_value() && ip->IsLoopback();
}

// The first of a list: the proxy nearest to the client wrote it.
std::string ForwardedHost(const HttpRequest& request) {
  const absl::string_view list =
      request.headers.Find("X-Forwarded-Host").value_or("");
  return std::string(
      absl::StripAsciiWhitespace(list.substr(0, list.find(','))));
}

bool Lists(const std::vector<WebOrigin>& list, const WebOrigin& origin) {
  return std::find(list.begin(), list.end(), origin) != list.end();
}

bool IsProbe(absl::string_view path) {
  return path == "/healthz" || path == "/readyz";
}

}  // namespace

absl::StatusOr<WebOrigin> WebOrigin::Parse(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("not SCHEME://HOST[:PORT]: \"", text, "\""));
  const size_t end = text.find("://");
  if (end == 0 || end == absl::string_view::npos) return wrong;
  const std::optional<Authority> authority =
      ParseAuthority(text.substr(end + 3));
  if (!authority) return wrong;
  WebOrigin origin;
  origin.scheme = absl::AsciiStrToLower(text.substr(0, end));
  origin.host = authority->host;
  origin.port =
      authority->port == 0 ? DefaultPort(origin.scheme) : authority->port;
  return origin;
}

std::string WebOrigin::ToString() const {
  const std::string base = absl::StrCat(scheme, "://", host);
  return port == DefaultPort(scheme) ? base : absl::StrCat(base, ":", port);
}

absl::StatusOr<PublicUrl> PublicUrl::Parse(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("not http(s)://HOST[:PORT][/PATH]: \"", text, "\""));
  const size_t scheme = text.find("://");
  if (scheme == absl::string_view::npos) return wrong;
  const size_t slash = std::min(text.find('/', scheme + 3), text.size());
  PublicUrl url;
  KYUU_ASSIGN_OR_RETURN(url.origin, WebOrigin::Parse(text.substr(0, slash)));
  if (DefaultPort(url.origin.scheme) == 0) return wrong;
  absl::string_view path = text.substr(slash);
  if (path.find_first_of("?#%") != absl::string_view::npos) return wrong;
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  url.path = std::string(path);
  return url;
}

std::string Routes::PathOf(const HttpRequest& request) const {
  absl::string_view path = request.path;
  if (options_.public_url && !options_.public_url->path.empty()) {
    absl::string_view rest = path;
    if (absl::ConsumePrefix(&rest, options_.public_url->path) &&
        absl::StartsWith(rest, "/")) {
      path = rest;
    }
  }
  return std::string(path);
}

bool Routes::IsServed(absl::string_view text) const {
  const std::optional<Authority> authority = ParseAuthority(text);
  if (!authority) return false;
  if (IsLoopbackName(authority->host)) return true;
  if (options_.public_url &&
      authority->host == options_.public_url->origin.host) {
    return true;
  }
  if (options_.exposure == Exposure::kLoopback) return false;
  // Nobody can point a name that is an address elsewhere.
  return !options_.public_url || AddressOf(authority->host).has_value();
}

std::optional<Refusal> Routes::RefuseHost(const HttpRequest& request) const {
  if (IsProbe(PathOf(request))) return std::nullopt;
  // A client of HTTP/1.0 names no host, and is no browser.
  if (request.headers.Count("Host") == 0 && request.host.empty()) {
    return std::nullopt;
  }
  if (!ParseAuthority(request.host)) {
    return Refusal{400, "The host that was asked for is none."};
  }
  if (IsServed(request.host)) return std::nullopt;
  return Refusal{
      421, absl::StrCat("This server is not known as \"", request.host,
                        "\". If it should be, start it with --public-url.")};
}

std::optional<Refusal> Routes::RefuseMetrics(const HttpRequest& request,
                                             const IpAddress& remote) const {
  for (const absl::string_view name :
       {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP",
        "Via"}) {
    if (request.headers.Count(name) > 0) {
      return Refusal{403, "Metrics are not for who comes by a proxy."};
    }
  }
  if (std::any_of(options_.metrics_from.begin(), options_.metrics_from.end(),
                  [&](const IpPrefix& p) { return p.Contains(remote); })) {
    return std::nullopt;
  }
  return Refusal{403, absl::StrCat("Metrics are not for ", remote.ToString(),
                                   " (--metrics-from).")};
}

bool Routes::MayConnect(const HttpRequest& request, absl::string_view text,
                        Audience audience) const {
  const bool is_dialect = audience == Audience::kDialects;
  if (options_.any_origin || (is_dialect && options_.any_dialect_origin)) {
    return true;
  }
  const absl::StatusOr<WebOrigin> origin = WebOrigin::Parse(text);
  if (!origin.ok()) return false;
  return Lists(options_.origins, *origin) ||
         (is_dialect && Lists(options_.dialect_origins, *origin)) ||
         IsOwn(request, *origin);
}

bool Routes::IsOwn(const HttpRequest& request, const WebOrigin& origin) const {
  if (DefaultPort(origin.scheme) == 0) return false;
  if (options_.public_url && options_.public_url->origin == origin) return true;
  for (const std::string& text : {request.host, ForwardedHost(request)}) {
    const std::optional<Authority> authority = ParseAuthority(text);
    if (!authority || authority->host != origin.host) continue;
    if (!IsLoopbackName(origin.host)) return true;
    const uint16_t port =
        authority->port == 0 ? DefaultPort(origin.scheme) : authority->port;
    if (port == origin.port) return true;
  }
  return false;
}

std::optional<Refusal> Routes::RefuseUpgrade(const HttpRequest& request,
                                             bool offers_kyuu) const {
  if (PathOf(request) != signaling::kSignalingPath) {
    return Refusal{
        404, absl::StrCat("Signaling is at ", signaling::kSignalingPath, ".")};
  }
  if (std::optional<Refusal> refusal = RefuseHost(request)) return refusal;
  if (auto refusal = RefuseOrigin(request, Audience::kKyuu)) return refusal;
  if (!offers_kyuu) {
    return Refusal{400,
                   absl::StrCat("The subprotocol ", signaling::kSubprotocol,
                                " has to be offered.")};
  }
  return std::nullopt;
}

std::optional<Refusal> Routes::RefuseFetch(const HttpRequest& request) const {
  const size_t origins = request.headers.Count("Origin");
  if (origins > 1) return Refusal{400, "More than one Origin."};
  const absl::string_view site =
      request.headers.Find("Sec-Fetch-Site").value_or("");
  if (origins == 0 && (site == "cross-site" || site == "same-site")) {
    return Refusal{403, "Pages of others say which ones they are (Origin)."};
  }
  return RefuseOrigin(request, Audience::kKyuu);
}

std::optional<Refusal> Routes::RefuseOrigin(const HttpRequest& request,
                                            Audience audience) const {
  const auto text = request.headers.Find("Origin");
  if (!text || MayConnect(request, *text, audience)) return std::nullopt;
  const absl::string_view flag =
      audience == Audience::kKyuu ? "--origin" : "--dialect-origin";
  return Refusal{403, absl::StrCat("Pages of \"", *text,
                                   "\" may not connect here. If they should, "
                                   "start kyuud with ",
                                   flag, ".")};
}

std::string Routes::NameOf(const HttpRequest& request) const {
  const std::string forwarded = ForwardedHost(request);
  const std::optional<Authority> authority =
      ParseAuthority(forwarded.empty() ? request.host : forwarded);
  return authority ? authority->host : "";
}

signaling::HttpResponse TextResponse(int status, absl::string_view text) {
  signaling::HttpResponse response;
  response.status = status;
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Cache-Control", "no-store");
  response.body = absl::StrCat(text, "\n");
  return response;
}

signaling::HttpResponse MethodNotAllowed() {
  signaling::HttpResponse response = TextResponse(405, "Only GET and HEAD.");
  response.headers.Add("Allow", "GET, HEAD");
  return response;
}

signaling::HttpResponse UpgradeRequired() {
  signaling::HttpResponse response = TextResponse(
      426,
      "A WebSocket is spoken here. If this was one, a proxy in front has not "
      "passed on its Upgrade and Connection headers, or speaks HTTP/1.0.");
  response.headers.Add("Upgrade", "websocket");
  response.headers.Add("Connection", "Upgrade");
  return response;
}

}  // namespace kyuu::tools
