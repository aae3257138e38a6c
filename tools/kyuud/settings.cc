#include "tools/kyuud/settings.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tools/kyuud/setting_rows.h"
#include "tools/kyuud/setting_values.h"
#include "tools/kyuud/user_values.h"

namespace kyuu::tools {
namespace {

using Kind = Setting::Kind;
using Change = Setting::Change;
using Texts = std::vector<std::string>;
using Turn = turn::ServerOptions;
using Tokens = Turn::AccessTokens;

absl::Status ReadOrigins(const Texts& texts, Config& config) {
  return ReadOriginList(texts, config.origins, config.any_origin);
}

Texts PrintOrigins(const Config& config) {
  return PrintOriginList(config.origins, config.any_origin);
}

absl::Status ReadPorts(const Texts& texts, Config& config) {
  const std::pair<absl::string_view, absl::string_view> ends =
      absl::StrSplit(texts.front(), absl::MaxSplits('-', 1));
  uint32_t low = 0, high = 0;
  if (!absl::SimpleAtoi(ends.first, &low) ||
      !absl::SimpleAtoi(ends.second, &high) || low < 1 || high > 65535 ||
      low > high) {
    return absl::InvalidArgumentError(
        absl::StrCat("not LOW-HIGH: \"", texts.front(), "\""));
  }
  config.turn.relay_port_low = static_cast<uint16_t>(low);
  config.turn.relay_port_high = static_cast<uint16_t>(high);
  return absl::OkStatus();
}

Texts PrintPorts(const Config& config) {
  return {absl::StrCat(config.turn.relay_port_low, "-",
                       config.turn.relay_port_high)};
}

// RFC 8656 section 12 ends the range at 0x4fff, RFC 5766 at 0x7fff.
constexpr std::pair<absl::string_view, uint16_t> kChannels[] = {
    {"rfc5766", 0x7fff}, {"rfc8656", 0x4fff}};

absl::Status ReadChannels(const Texts& texts, Config& config) {
  for (const auto& [word, last] : kChannels) {
    if (texts.front() != word) continue;
    config.turn.channel_max = last;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", texts.front(), "\" is none of rfc5766, rfc8656"));
}

Texts PrintChannels(const Config& config) {
  for (const auto& [word, last] : kChannels) {
    if (config.turn.channel_max == last) return {std::string(word)};
  }
  return {absl::StrCat(config.turn.channel_max)};
}

absl::Status ReadAlternateWhen(const Texts& texts, Config& config) {
  const bool always = texts.front() == "always";
  if (!always && texts.front() != "draining") {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", texts.front(), "\" is none of draining, always"));
  }
  config.turn.admission =
      always ? Turn::Admission::kDraining : Turn::Admission::kOpen;
  return absl::OkStatus();
}

Texts PrintAlternateWhen(const Config& config) {
  return {config.turn.admission == Turn::Admission::kOpen ? "draining"
                                                          : "always"};
}

absl::Status ReadUsers(const Texts& texts, Config& config) {
  const absl::Status status =
      ReadField<&Config::turn, &Turn::users>(texts, config);
  if (!status.ok()) return status;
  std::vector<std::string> names;
  for (const Turn::User& user : config.turn.users) names.push_back(user.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  if (twin == names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", *twin, "\" is there twice"));
}

constexpr Setting kSettings[] = {
    Row<&Config::mode>(
        "", "mode", "mode", "all|turn|stun|http", Change::kRestart,
        "What is served: all; TURN and STUN alone; STUN alone; or page and "
        "signaling alone. /healthz and /metrics are there where HTTP is "
        "listened for"),
    Bounded<0, 64, &Config::threads>(
        "", "threads", "threads", "N", Change::kRestart,
        "Event loops that share the relaying; 0 for one per processor. If "
        "there is more than one, HTTP and signaling have a loop of their own"),
    Row<&Config::backplane>(
        "", "backplane", "backplane", "URL", Change::kRestart,
        "A Redis that this server shares with others, which are one to their "
        "clients then: redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]"
        "[?prefix=PREFIX], or rediss:// for TLS"),
    Row<&Config::backplane_tls, &BackplaneTls::ca_file>(
        "", "backplane-ca", "backplane-ca", "FILE", Change::kRestart,
        "PEM file of the authorities that may vouch for it over TLS; unless "
        "set, those of the system"),
    Row<&Config::backplane_tls, &BackplaneTls::certificate_file>(
        "", "backplane-certificate", "backplane-certificate", "FILE",
        Change::kRestart,
        "PEM file with this server's certificate, for a Redis that asks its "
        "clients for one"),
    Row<&Config::backplane_tls, &BackplaneTls::key_file>(
        "", "backplane-key", "backplane-key", "FILE", Change::kRestart,
        "Its key, a PEM file"),

    Row<&Config::http_listen>(
        "http", "listen", "http-listen", "ADDR:PORT", Change::kRestart,
        "Where page, signaling, and STUN and TURN over TCP and TLS are "
        "served; IPv4 and IPv6 each by its own; \"none\" for nowhere"),
    Row<&Config::public_url>(
        "http", "public-url", "public-url", "URL", Change::kReload,
        "Where people find this server, if a proxy in front or a name presents "
        "it (https://example.org/kyuu)"),
    {"http", "origins", "origin", "ORIGIN", Kind::kTexts, Change::kReload,
     "Other sites whose pages may connect (https://app.example), or \"*\"",
     ReadOrigins, PrintOrigins},
    Row<&Config::compression>(
        "http", "compression", "compression", "off|on", Change::kRestart,
        "Whether messages to and from clients of WebSockets that offer it "
        "(browsers do) are compressed, by permessage-deflate (RFC 7692): fewer "
        "bytes for more work"),
    Row<&Config::proxies>("http", "proxies", "proxy", "CIDR", Change::kRestart,
                          "Proxies in front, whose connections are many "
                          "people's: X-Forwarded-For of "
                          "theirs is believed"),
    Row<&Config::proxy_protocol_from>(
        "http", "proxy-protocol-from", "proxy-protocol-from", "CIDR",
        Change::kRestart,
        "Proxies in front that say by the PROXY protocol (1 or 2) whose "
        "connection each is, before TLS and all else; theirs are refused "
        "without it, and everybody else's with it"),
    Row<&Config::metrics_from>(
        "http", "metrics-from", "metrics-from", "CIDR", Change::kReload,
        "Who may read /metrics, or \"none\"; unless set nobody if a proxy is "
        "in front, by proxies or public-url"),

    Row<&Config::tls_certificates>(
        "tls", "certificates", "tls-certificate", "FILE", Change::kReload,
        "PEM files, each with a certificate and its chain, of which the name "
        "asked for chooses: the HTTP ports speak TLS then, for HTTP, WebSocket "
        "and TURN, and the TURN ports DTLS beside plain UDP"),
    Row<&Config::tls_keys>("tls", "keys", "tls-key", "FILE", Change::kReload,
                           "Their keys in the same order, PEM files"),

    Row<&Config::turn_listen>(
        "turn", "listen", "turn-listen", "ADDR:PORT", Change::kRestart,
        "Where STUN and TURN are served over UDP; \"none\" for nowhere"),
    Row<&Config::turn, &Turn::realm>("turn", "realm", "realm", "NAME",
                                     Change::kRestart,
                                     "The realm of TURN's users"),
    Row<&Config::turn, &Turn::lifetime_default>(
        "turn", "lifetime", "lifetime", "TIME", Change::kReload,
        "How long an allocation lives without a refresh, at least"),
    Row<&Config::turn, &Turn::lifetime_max>(
        "turn", "lifetime-max", "lifetime-max", "TIME", Change::kReload,
        "The longest that a client may ask for"),
    Row<&Config::turn, &Turn::permission_lifetime>(
        "turn", "permission-lifetime", "permission-lifetime", "TIME",
        Change::kReload, "How long a permission lives (RFC 8656 says 5 min)"),
    Row<&Config::turn, &Turn::channel_lifetime>(
        "turn", "channel-lifetime", "channel-lifetime", "TIME", Change::kReload,
        "How long a channel lives (RFC 8656 says 10 min)"),
    {"turn", "channels", "channels", "rfc5766|rfc8656", Kind::kText,
     Change::kReload,
     "Channel numbers that clients may bind: to 0x7fff, which older clients "
     "use, or strictly to 0x4fff",
     ReadChannels, PrintChannels},
    Row<&Config::turn, &Turn::software>("turn", "software", "software", "TEXT",
                                        Change::kReload,
                                        "SOFTWARE in authenticated answers"),
    Row<&Config::turn, &Turn::mobility>(
        "turn", "mobility", "mobility", "forbid|allow", Change::kReload,
        "Whether clients may go on with an allocation from another address "
        "(RFC 8016)"),
    Row<&Config::turn, &Turn::tcp_relay>(
        "turn", "tcp-relay", "tcp-relay", "refuse|offer", Change::kReload,
        "Whether clients on TCP and TLS may have TCP connections with peers "
        "(RFC 6062)"),
    Row<&Config::turn, &Turn::icmp_reports>(
        "turn", "icmp-reports", "icmp-reports",
        "nobody|dont-fragment|everybody", Change::kReload,
        "Who is told what ICMP says of relayed datagrams: of clients that have "
        "not asked for DONT-FRAGMENT some break at it"),
    AtLeast<kMillisecond, &Config::turn, &Turn::icmp_report_interval>(
        "turn", "icmp-report-interval", "icmp-report-interval", Change::kReload,
        "The least time between two to one allocation"),
    AtLeast<kSecond, &Config::turn, &Turn::reservation_lifetime>(
        "turn", "reservation-lifetime", "reservation-lifetime", Change::kReload,
        "How long the port above one of EVEN-PORT is kept"),
    Row<&Config::turn, &Turn::discovery>(
        "turn", "discovery", "discovery", "ADDR:PORT", Change::kRestart,
        "Two addresses that differ in IP and port, by which clients find out "
        "what their NAT does (RFC 5780); both IPs are listened on at both "
        "ports"),
    Row<&Config::turn, &Turn::allow_clients>(
        "turn", "allow-clients", "allow-client", "CIDR", Change::kReload,
        "Who may use STUN and TURN at all; everybody unless set"),
    Row<&Config::turn, &Turn::deny_clients>(
        "turn", "deny-clients", "deny-client", "CIDR", Change::kReload,
        "Who may not, whatever allow-clients says"),
    Row<&Config::drain_timeout>(
        "turn", "drain-timeout", "drain-timeout", "TIME", Change::kReload,
        "How long SIGTERM waits for allocations to end; meanwhile no new ones "
        "are made"),
    Row<&Config::turn, &Turn::alternate_servers>(
        "turn", "alternate-servers", "alternate-server", "ADDR:PORT",
        Change::kReload,
        "Where clients are sent that ask for an allocation and get none (300 "
        "instead of 508): one of IPv4, one of IPv6"),
    {"turn", "alternate-when", "alternate-when", "draining|always", Kind::kText,
     Change::kReload,
     "Whether that is while it drains, or whoever asks, to spread clients over "
     "other servers",
     ReadAlternateWhen, PrintAlternateWhen},

    Row<&Config::relay_addresses>(
        "relay", "addresses", "relay-address", "IP[/IP]", Change::kRestart,
        "The address that peers see relayed packets come from, unless it is "
        "the one that the client has reached; of this machine, or what a NAT "
        "makes of ours (PUBLIC/PRIVATE tells of which). One of IPv4 says "
        "nothing of IPv6, nor the other way round: a family of which none is "
        "named relays from the addresses that are listened on"),
    {"relay", "ports", "relay-ports", "LOW-HIGH", Kind::kText, Change::kRestart,
     "The ports of relayed addresses", ReadPorts, PrintPorts},
    Bounded<1, 100, &Config::turn, &Turn::open_attempts>(
        "relay", "open-attempts", "relay-open-attempts", "N", Change::kRestart,
        "How many ports are tried if another program has them"),
    Row<&Config::turn, &Turn::allow_peers>(
        "relay", "allow-peers", "allow-peer", "CIDR", Change::kReload,
        "Peers that may be relayed to although they are loopback, private or "
        "otherwise special"),
    Row<&Config::turn, &Turn::deny_peers>(
        "relay", "deny-peers", "deny-peer", "CIDR", Change::kReload,
        "Peers that may not, whatever allow-peers says"),
    Row<&Config::kernel, &KernelSettings::path>(
        "relay", "kernel-path", "kernel-path", "off|auto|required",
        Change::kRestart,
        "Whether data of channels over UDP is relayed by a program in the "
        "kernel (XDP), which needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; "
        "where the machine does not allow it, \"auto\" says so and goes on "
        "without"),
    Row<&Config::kernel, &KernelSettings::stun>(
        "relay", "kernel-stun", "kernel-stun", "off|on", Change::kRestart,
        "Whether that program answers Binding requests without attributes, "
        "too"),
    Bounded<1, 1'000'000, &Config::kernel, &KernelSettings::stun_per_s>(
        "relay", "kernel-stun-rate", "kernel-stun-rate", "N", Change::kRestart,
        "How many of them one source is answered in a second; ten times as "
        "many at once"),
    Bounded<2, 16'777'216, &Config::kernel, &KernelSettings::flows>(
        "relay", "kernel-flows", "kernel-flows", "N", Change::kRestart,
        "How many directions of channels that program has room for; others "
        "are relayed without it"),

    {"auth", "users", "user", "NAME:PASSWORD", Kind::kTexts, Change::kReload,
     "Who may relay, beside those who have joined by signaling; NAME:0xKEY has "
     "the key that `turnadmin -k` prints instead of the password",
     ReadUsers, PrintField<&Config::turn, &Turn::users>},
    Row<&Config::turn, &Turn::rest_secrets>(
        "auth", "secrets", "rest-secret", "SECRET", Change::kReload,
        "Secrets by which others make time-limited credentials (REST): user "
        "EXPIRY:NAME, password base64(HMAC(secret, user)); at most 8"),
    Row<&Config::rest_secret_files>("auth", "secret-files", "rest-secret-file",
                                    "FILE", Change::kReload,
                                    "Files whose first lines are such secrets"),
    Row<&Config::turn, &Turn::rest_hash>("auth", "secret-hash", "rest-hash",
                                         "sha1|sha256|either", Change::kReload,
                                         "The hash of that HMAC"),
    Row<&Config::turn, &Turn::sha256>(
        "auth", "sha256", "sha256", "nowhere|streams|everywhere",
        Change::kReload,
        "Where clients are offered SHA-256 beside MD5, and to hide their names "
        "(RFC 8489); over UDP it makes what a forged source is sent longer"),
    Row<&Config::authorizer>("auth", "authorizer", "authorizer",
                             "unix:PATH|http://ADDR:PORT/PATH", Change::kReload,
                             "A program of yours that is asked about user "
                             "names that nobody has here, "
                             "and tells their passwords"),
    Row<&Config::authorizer_timeout>(
        "auth", "authorizer-timeout", "authorizer-timeout", "TIME",
        Change::kReload,
        "When it has not answered; the client gets 500 then and may try again"),
    Bounded<1, 10'000, &Config::authorizer_questions>(
        "auth", "authorizer-questions", "authorizer-questions", "N",
        Change::kReload,
        "Names that it is asked about at one time; beyond, as if it did not "
        "answer"),
    Row<&Config::authorizer_lifetime>("auth", "authorizer-lifetime",
                                      "authorizer-lifetime", "TIME",
                                      Change::kReload,
                                      "How long its answer holds before it is "
                                      "asked again, unless it says so"),
    Row<&Config::authorizer_denied>(
        "auth", "authorizer-denied", "authorizer-denied", "TIME",
        Change::kReload, "The same of its answer that nobody has that name"),
    Row<&Config::turn, &Turn::tokens, &Tokens::keys>(
        "auth", "token-keys", "token-key", "KID:A256GCM:KEY", Change::kReload,
        "Keys, in base64, that are shared with an authorization server whose "
        "clients show tokens (RFC 7635); A128GCM, too"),
    Row<&Config::turn, &Turn::tokens, &Tokens::server_name>(
        "auth", "token-server", "token-server", "NAME", Change::kReload,
        "By which name clients ask there for tokens; the realm unless set"),
    Row<&Config::turn, &Turn::tokens, &Tokens::delta>(
        "auth", "token-delta", "token-delta", "TIME", Change::kReload,
        "By how much both servers' clocks may differ"),
    Row<&Config::turn, &Turn::revoked_grace>(
        "auth", "revoked-grace", "revoked-grace", "TIME", Change::kReload,
        "How long allocations go on whose credential has expired or is taken "
        "back; 0 ends them with it"),
    Row<&Config::turn, &Turn::nonce_secret>(
        "auth", "nonce-secret", "nonce-secret", "SECRET", Change::kReload,
        "Makes nonces; servers that share it take each other's. Drawn at "
        "random unless set"),
    Row<&Config::turn, &Turn::nonce_lifetime>(
        "auth", "nonce-lifetime", "nonce-lifetime", "TIME", Change::kRestart,
        "When a nonce is stale"),
};

constexpr Setting kLastSettings[] = {
    Row<&Config::admin_socket>(
        "admin", "socket", "admin-socket", "PATH", Change::kRestart,
        "Where `kyuud admin` connects to list and end allocations, reload and "
        "drain: a socket in the file system; nowhere unless set"),
    Row<&Config::admin_group>(
        "admin", "group", "admin-group", "NAME", Change::kRestart,
        "The group whose members may do so, beside the user it runs as"),

    Row<&Config::log_level>("log", "level", "log-level",
                            "debug|info|warning|error|off", Change::kReload,
                            "What is logged, to stderr"),
    Row<&Config::log_format>("log", "format", "log-format", "text|json",
                             Change::kReload,
                             "Lines for people, or a JSON object in each"),
};

}  // namespace

absl::Status ReadOriginList(const Texts& texts, std::vector<WebOrigin>& origins,
                            bool& any) {
  Texts named = texts;
  const auto end = std::remove(named.begin(), named.end(), "*");
  any = end != named.end();
  named.erase(end, named.end());
  return ReadInto(named, origins);
}

Texts PrintOriginList(const std::vector<WebOrigin>& origins, bool any) {
  Texts texts = PrintOf(origins);
  if (any) texts.push_back("*");
  return texts;
}

std::string Setting::path() const {
  if (key.empty()) return std::string(section);
  return section.empty() ? std::string(key) : absl::StrCat(section, ".", key);
}

std::string Setting::variable() const {
  return absl::StrCat(
      "KYUU_", absl::StrReplaceAll(absl::AsciiStrToUpper(flag), {{"-", "_"}}));
}

absl::Span<const Setting> Settings() {
  static const auto* const all = [] {
    auto* settings =
        new std::vector<Setting>(std::begin(kSettings), std::end(kSettings));
    for (const Setting& row : AdmissionRows()) settings->push_back(row);
    for (const Setting& row : DialectRows()) settings->push_back(row);
    for (const Setting& row : LimitSettings()) settings->push_back(row);
    for (const Setting& row : kLastSettings) settings->push_back(row);
    return settings;
  }();
  return *all;
}

Reloaded Reload(const Config& old, const Config& next) {
  Reloaded reloaded{old, {}, {}};
  for (const Setting& setting : Settings()) {
    const Texts texts = setting.print(next);
    if (setting.print(old) == texts) continue;
    // A port does not begin or end to speak TLS.
    const bool possible =
        setting.change == Change::kReload &&
        (setting.section != "tls" ||
         old.tls_certificates.empty() == next.tls_certificates.empty());
    // What was printed can be read.
    if (possible && setting.read(texts, reloaded.config).ok()) {
      reloaded.changed.push_back(&setting);
    } else {
      reloaded.need_restart.push_back(&setting);
    }
  }
  if (old.turn.realms != next.turn.realms) {
    reloaded.config.realms = next.realms;
    reloaded.config.turn.realms = next.turn.realms;
    reloaded.changed.push_back(&RealmBegins());
  }
  return reloaded;
}

}  // namespace kyuu::tools
