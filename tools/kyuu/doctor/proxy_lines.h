// ProxyLines: what a reverse proxy in front of kyuud has to be told.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_PROXY_LINES_H_
#define KYUU_TOOLS_KYUU_DOCTOR_PROXY_LINES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "signaling/http.h"
#include "tools/kyuu/doctor/site.h"

namespace kyuu::tools {

enum class ProxyKind : uint8_t { kNginx, kHaproxy, kCaddy };

// INVALID_ARGUMENT for others than "nginx", "haproxy" and "caddy".
absl::StatusOr<ProxyKind> ParseProxyKind(absl::string_view name);

struct ProxySetup {
  Site site;     // What people type.
  Site backend;  // Where kyuud listens, in plain HTTP; its path does not count.
  // PEM files, for a secure site. Unless set, Caddy gets a certificate itself,
  // and for the others the place where certbot puts one is written.
  std::string certificate;
  // HAProxy looks for it beside the certificate: its name and ".key".
  std::string key;
};

// The lines of a file of its own: for nginx in conf.d, for HAProxy behind its
// other sections, for Caddy a Caddyfile. They pass on the WebSocket's upgrade,
// the host that was asked for and the client's address, take the sub-path off,
// and have no time limit that a quiet WebSocket reaches, of which kyuud pings
// every one each 25 s.
std::string ProxyLines(ProxyKind kind, const ProxySetup& setup);

// What kyuud has to be told of it, for its file of settings.
std::string KyuudLines(const ProxySetup& setup);

// Which proxy has sent `response`, if it says so.
std::optional<ProxyKind> ProxyOf(const signaling::HttpResponse& response);

// ProxyLines and KyuudLines with their places, as a fix; without a `kind` the
// command that prints them.
std::string ProxyFix(std::optional<ProxyKind> kind, const ProxySetup& setup);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_PROXY_LINES_H_
