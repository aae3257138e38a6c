// Routes: which request goes where, and which one is refused and why.

#ifndef KYUU_TOOLS_KYUUD_ROUTES_H_
#define KYUU_TOOLS_KYUUD_ROUTES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "signaling/endpoint.h"
#include "signaling/http.h"

namespace kyuu::tools {

// WebOrigin is a scheme, a host and a port (RFC 6454), of which there are many
// spellings: the host is in lower case, the port is never left out.
struct WebOrigin {
  std::string scheme;
  std::string host;  // A name, an IPv4 address, or an IPv6 one in brackets.
  uint16_t port = 0;

  // "https://example.org" or "capacitor://localhost:81"; INVALID_ARGUMENT for
  // everything else, "null" included. A scheme without a port of its own has 0.
  static absl::StatusOr<WebOrigin> Parse(absl::string_view text);
  std::string ToString() const;

  friend bool operator==(const WebOrigin&, const WebOrigin&) = default;
};

// PublicUrl is where people find the server, as a proxy in front presents it.
struct PublicUrl {
  WebOrigin origin;
  std::string path;  // "" or "/below"; without a slash at its end.

  // "https://example.org/below"; INVALID_ARGUMENT for other schemes than http
  // and https, and for queries.
  static absl::StatusOr<PublicUrl> Parse(absl::string_view text);
};

// Who can reach the listeners.
enum class Exposure : uint8_t {
  kLoopback,  // Programs of this machine, the proxy in front among them.
  kNetwork,
};

struct RouteOptions {
  Exposure exposure = Exposure::kLoopback;
  std::optional<PublicUrl> public_url;
  // Pages of others that may open WebSockets; "*" for all, which makes the
  // server usable, and its relay payable, from any page on the web.
  std::vector<WebOrigin> origins;
  bool any_origin = false;
  // The same for signaling of other programs, which lends no relay.
  std::vector<WebOrigin> dialect_origins;
  bool any_dialect_origin = false;
  // Who may read the metrics.
  std::vector<IpPrefix> metrics_from;
};

inline constexpr absl::string_view kMetricsPath = "/metrics";

// Why a request is refused, for the client and for the log.
struct Refusal {
  int status = 0;
  std::string text;
};

// Routes judges requests by their head alone. Its rules:
//
// - Host. While all listeners are on loopback, only names of loopback and the
//   public URL's are served: a page of somebody else's name that resolves to
//   127.0.0.1 (DNS rebinding) is refused. On a network, once there is a public
//   URL, only its name, addresses in numbers and loopback are.
// - Origin, of WebSockets and what stands for them. Programs send none. A page
// may connect if it comes
//   from the host that the request is for, as the client or a proxy in front
//   (X-Forwarded-Host) names it, from the public URL, or from `origins`. The
//   scheme's own port equals no port. A proxy may drop the port or put our own
//   in its place, so ports count only where no proxy is: on loopback names.
//   The same holds for signaling of other programs (docs/dialects.md), of its
//   HTTP requests, too, and there `dialect_origins` may come as well.
// - Metrics are for the addresses in `metrics_from`. What a proxy has passed on
//   is somebody else's request, whatever address the proxy has.
class Routes {
 public:
  explicit Routes(RouteOptions options) : options_(std::move(options)) {}

  // The path below the public URL's, which a proxy may or may not have taken
  // off.
  std::string PathOf(const signaling::HttpRequest& request) const;
  // Whether `request` is refused before anything is served; /healthz and
  // /readyz are for machines that know no names.
  std::optional<Refusal> RefuseHost(
      const signaling::HttpRequest& request) const;
  // Whether the metrics are refused to who asks from `remote`.
  std::optional<Refusal> RefuseMetrics(const signaling::HttpRequest& request,
                                       const IpAddress& remote) const;
  // Whether a well-formed WebSocket handshake is refused.
  std::optional<Refusal> RefuseUpgrade(const signaling::HttpRequest& request,
                                       bool offers_kyuu) const;
  // Whether a request for signaling without WebSockets is refused. A browser
  // says of what it asks for another site's page that it does
  // (Sec-Fetch-Site), without its origin where the page cannot read the answer.
  std::optional<Refusal> RefuseFetch(
      const signaling::HttpRequest& request) const;
  // Whether a page of another site, if one has sent `request`, is refused what
  // is spoken there: our own signaling or another program's.
  enum class Audience : uint8_t { kKyuu, kDialects };
  std::optional<Refusal> RefuseOrigin(const signaling::HttpRequest& request,
                                      Audience audience) const;
  // The name by which the client has reached us, without a port; "" if it does
  // not say.
  std::string NameOf(const signaling::HttpRequest& request) const;

 private:
  bool IsServed(absl::string_view authority) const;
  // Whether a page of that text as its origin may use what `audience` is.
  bool MayConnect(const signaling::HttpRequest& request, absl::string_view text,
                  Audience audience) const;
  bool IsOwn(const signaling::HttpRequest& request,
             const WebOrigin& origin) const;

  RouteOptions options_;
};

// A response with a line of text.
signaling::HttpResponse TextResponse(int status, absl::string_view text);
// To whatever is neither GET nor HEAD.
signaling::HttpResponse MethodNotAllowed();
// The answer to a request for signaling::kSignalingPath that is no WebSocket
// handshake: commonly one from which a proxy has taken the Upgrade (RFC 9110
// section 15.5.22).
signaling::HttpResponse UpgradeRequired();

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ROUTES_H_
