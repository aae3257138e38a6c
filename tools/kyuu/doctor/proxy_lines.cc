#include "tools/kyuu/doctor/proxy_lines.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/address.h"

namespace kyuu::tools {
namespace {

constexpr std::pair<absl::string_view, ProxyKind> kNames[] = {
    {"nginx", ProxyKind::kNginx},
    {"haproxy", ProxyKind::kHaproxy},
    {"caddy", ProxyKind::kCaddy}};

std::string CertificateOf(const ProxySetup& setup) {
  return setup.certificate.empty()
             ? absl::StrCat("/etc/letsencrypt/live/", setup.site.host,
                            "/fullchain.pem")
             : setup.certificate;
}

std::string KeyOf(const ProxySetup& setup) {
  return setup.key.empty() ? absl::StrCat("/etc/letsencrypt/live/",
                                          setup.site.host, "/privkey.pem")
                           : setup.key;
}

std::string HostPort(const Site& site) {
  return absl::StrContains(site.host, ':')
             ? absl::StrCat("[", site.host, "]:", site.port)
             : absl::StrCat(site.host, ":", site.port);
}

std::string NginxLines(const ProxySetup& setup) {
  const Site& site = setup.site;
  const std::string tls =
      site.secure ? absl::StrCat("    ssl_certificate ", CertificateOf(setup),
                                 ";\n    ssl_certificate_key ", KeyOf(setup),
                                 ";\n    ssl_protocols TLSv1.2 TLSv1.3;\n")
                  : "";
  return absl::StrReplaceAll(
      R"(map $http_upgrade $kyuu_connection {
    default upgrade;
    '' close;
}
server {
    listen {PORT}{SSL};
    listen [::]:{PORT}{SSL};
    server_name {HOST};
{TLS}    location {PATH}/ {
        proxy_pass http://{BACKEND}/;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $kyuu_connection;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
    }
}
)",
      {{"{PORT}", absl::StrCat(site.port)},
       {"{SSL}", site.secure ? " ssl" : ""},
       {"{HOST}", site.host},
       {"{TLS}", tls},
       {"{PATH}", site.path},
       {"{BACKEND}", HostPort(setup.backend)}});
}

std::string HaproxyLines(const ProxySetup& setup) {
  const Site& site = setup.site;
  const std::string tls =
      site.secure
          ? absl::StrCat(" ssl crt ", CertificateOf(setup), " alpn http/1.1")
          : "";
  const std::string route =
      site.path.empty()
          ? "    default_backend kyuud\n"
          : absl::StrCat("    http-request redirect code 301 location ",
                         site.path, "/ if { path ", site.path,
                         " }\n    use_backend kyuud if { path_beg ", site.path,
                         "/ }\n");
  const std::string strip =
      site.path.empty() ? ""
                        : absl::StrCat("    http-request replace-path ^",
                                       site.path, "/(.*) /\\1\n");
  return absl::StrReplaceAll(
      R"(frontend kyuu
    mode http
    bind :::{PORT} v4v6{TLS}
    timeout client 1m
{ROUTE}
backend kyuud
    mode http
    timeout connect 5s
    timeout server 1m
    timeout tunnel 1h
    option forwardfor
    http-request set-header X-Forwarded-Proto {SCHEME}
{STRIP}    server kyuud {BACKEND}
)",
      {{"{PORT}", absl::StrCat(site.port)},
       {"{TLS}", tls},
       {"{ROUTE}", route},
       {"{STRIP}", strip},
       {"{SCHEME}", site.secure ? "https" : "http"},
       {"{BACKEND}", HostPort(setup.backend)}});
}

std::string CaddyLines(const ProxySetup& setup) {
  const Site& site = setup.site;
  const std::string tls =
      site.secure && !setup.certificate.empty()
          ? absl::StrCat("    tls ", setup.certificate, " ", setup.key, "\n")
          : "";
  if (site.path.empty()) {
    return absl::StrCat(site.Origin(), " {\n", tls, "    reverse_proxy ",
                        HostPort(setup.backend), "\n}\n");
  }
  return absl::StrCat(site.Origin(), " {\n", tls, "    redir ", site.path, " ",
                      site.path, "/\n    handle_path ", site.path,
                      "/* {\n        reverse_proxy ", HostPort(setup.backend),
                      "\n    }\n}\n");
}

absl::string_view PlaceOf(ProxyKind kind) {
  switch (kind) {
    case ProxyKind::kNginx:
      return "/etc/nginx/conf.d/kyuu.conf, then: nginx -t && nginx -s reload";
    case ProxyKind::kHaproxy:
      return "/etc/haproxy/haproxy.cfg, at its end, then: haproxy -c -f "
             "/etc/haproxy/haproxy.cfg && systemctl reload haproxy";
    case ProxyKind::kCaddy:
      return "/etc/caddy/Caddyfile, then: systemctl reload caddy";
  }
  return "";
}

}  // namespace

absl::StatusOr<ProxyKind> ParseProxyKind(absl::string_view name) {
  for (const auto& [known, kind] : kNames) {
    if (name == known) return kind;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is none of nginx, haproxy, caddy"));
}

std::string ProxyLines(ProxyKind kind, const ProxySetup& setup) {
  switch (kind) {
    case ProxyKind::kNginx:
      return NginxLines(setup);
    case ProxyKind::kHaproxy:
      return HaproxyLines(setup);
    case ProxyKind::kCaddy:
      return CaddyLines(setup);
  }
  return "";
}

std::string KyuudLines(const ProxySetup& setup) {
  const auto ip = IpAddress::Parse(setup.backend.host);
  const bool beside =
      setup.backend.host == "localhost" || (ip.ok() && ip->IsLoopback());
  return absl::StrCat("[http]\nlisten = [\"",
                      setup.backend.host == "localhost"
                          ? absl::StrCat("127.0.0.1:", setup.backend.port)
                          : HostPort(setup.backend),
                      "\"]\npublic-url = \"", setup.site.Origin(),
                      setup.site.path, "\"\nproxies = [\"",
                      beside && (!ip.ok() || ip->is_v4()) ? "127.0.0.1"
                      : beside                            ? "::1"
                               : "ADDRESS OF THE PROXY",
                      "\"]\n");
}

std::optional<ProxyKind> ProxyOf(const signaling::HttpResponse& response) {
  for (const absl::string_view header : {"Server", "Via"}) {
    const std::string text =
        absl::AsciiStrToLower(response.headers.Find(header).value_or(""));
    for (const auto& [name, kind] : kNames) {
      if (absl::StrContains(text, name)) return kind;
    }
    if (absl::StrContains(text, "openresty")) return ProxyKind::kNginx;
  }
  return std::nullopt;
}

std::string ProxyFix(std::optional<ProxyKind> kind, const ProxySetup& setup) {
  if (!kind) {
    return absl::StrCat("kyuu doctor --proxy nginx --public-url ",
                        setup.site.ToString(), " ", setup.backend.Origin(),
                        "   # or haproxy, caddy: prints the lines for it");
  }
  return absl::StrCat(
      "# ", PlaceOf(*kind), "\n", ProxyLines(*kind, setup),
      "# /etc/kyuud/kyuud.toml, then: systemctl restart kyuud\n",
      KyuudLines(setup));
}

}  // namespace kyuu::tools
