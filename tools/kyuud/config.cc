#include "tools/kyuud/config.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace kyuu::tools {
namespace {

constexpr int kMaxThreads = 64;

// What the command line says, before it is understood.
struct Texts {
  std::vector<std::string> http_listen;
  std::string tls_certificate;
  std::string tls_key;
  std::string public_url;
  std::vector<std::string> origins;
  std::vector<std::string> proxies;
  std::vector<std::string> metrics_from;
  size_t connections_per_address = Config().connections_per_address;
  std::vector<std::string> turn_listen;
  std::vector<std::string> relay_addresses;
  std::string relay_ports;
  std::string realm;
  std::vector<std::string> users;
  std::vector<std::string> allow_peers;
  int threads = 0;
  std::string log_level = "info";
};

const std::map<std::string, LogLevel>& LogLevels() {
  static const auto* const levels =
      new std::map<std::string, LogLevel>{{"debug", LogLevel::kDebug},
                                          {"info", LogLevel::kInfo},
                                          {"warning", LogLevel::kWarning},
                                          {"error", LogLevel::kError},
                                          {"off", LogLevel::kOff}};
  return *levels;
}

void AddOptions(CLI::App& app, Texts& texts) {
  app.add_option("--http-listen", texts.http_listen,
                 "Where the page and signaling are served (127.0.0.1:9000); "
                 "may be repeated, for IPv4 and IPv6")
      ->type_name("ADDR:PORT");
  app.add_option(
         "--tls-certificate", texts.tls_certificate,
         "A PEM file with the certificate and its chain: the HTTP ports "
         "speak TLS then, for HTTP, WebSocket and TURN")
      ->type_name("FILE");
  app.add_option("--tls-key", texts.tls_key, "Its key, a PEM file")
      ->type_name("FILE");
  app.add_option("--public-url", texts.public_url,
                 "Where people find this server, if a proxy in front or a name "
                 "presents it (https://example.org/kyuu)")
      ->type_name("URL");
  app.add_option("--origin", texts.origins,
                 "Other sites whose pages may connect (https://app.example), "
                 "or \"*\"; may be repeated")
      ->type_name("ORIGIN");
  app.add_option("--proxy", texts.proxies,
                 "Proxies in front, whose connections are many people's; may "
                 "be repeated")
      ->type_name("CIDR");
  app.add_option("--metrics-from", texts.metrics_from,
                 "Who may read /metrics, or \"none\" (loopback; nobody if a "
                 "proxy is in front, by --proxy or --public-url); may be "
                 "repeated")
      ->type_name("CIDR");
  app.add_option("--connections-per-address", texts.connections_per_address,
                 "How many connections one address (or IPv6 /64) may have "
                 "(2500, and a quarter of all)")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--turn-listen", texts.turn_listen,
                 "Where STUN and TURN are served over UDP (127.0.0.1:3478); "
                 "may be repeated")
      ->type_name("ADDR:PORT");
  app.add_option("--relay-address", texts.relay_addresses,
                 "The address peers see relayed packets come from; of this "
                 "machine, or the one a NAT in front of it has (PUBLIC/PRIVATE "
                 "tells of which of ours); may be repeated, for IPv4 and IPv6")
      ->type_name("IP[/IP]");
  app.add_option("--relay-ports", texts.relay_ports,
                 "The ports of relayed addresses (49152-65535)")
      ->type_name("LOW-HIGH");
  app.add_option("--realm", texts.realm, "The realm of TURN's users (kyuu)")
      ->type_name("NAME");
  app.add_option("--user", texts.users,
                 "Somebody who may relay, beside those who have joined by "
                 "signaling; may be repeated")
      ->type_name("NAME:PASSWORD");
  app.add_option("--allow-peer", texts.allow_peers,
                 "Peers that may be relayed to although they are loopback, "
                 "private or otherwise special; may be repeated")
      ->type_name("CIDR");
  app.add_option("--threads", texts.threads,
                 "Event loops that share the relaying (one per processor)")
      ->type_name("N")
      ->check(CLI::Range(1, kMaxThreads));
  app.add_option("--log-level", texts.log_level,
                 "debug, info, warning, error or off (info)")
      ->type_name("LEVEL")
      ->check(CLI::IsMember(LogLevels()));
}

// An error in the form "--flag: what is wrong".
absl::Status At(absl::string_view flag, const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": ", status.message()));
}

absl::StatusOr<std::pair<uint16_t, uint16_t>> ParsePorts(
    absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> ends =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  uint32_t low = 0, high = 0;
  if (!absl::SimpleAtoi(ends.first, &low) ||
      !absl::SimpleAtoi(ends.second, &high) || low < 1 || high > 65535 ||
      low > high) {
    return absl::InvalidArgumentError(
        absl::StrCat("not LOW-HIGH: \"", text, "\""));
  }
  return std::make_pair(static_cast<uint16_t>(low),
                        static_cast<uint16_t>(high));
}

// Reads each of `texts` by `parse` into `values`, which keep their defaults if
// there is none.
template <typename Value>
absl::Status ReadAll(absl::string_view flag,
                     const std::vector<std::string>& texts,
                     absl::StatusOr<Value> (*parse)(absl::string_view),
                     std::vector<Value>& values) {
  if (!texts.empty()) values.clear();
  for (const std::string& text : texts) {
    absl::StatusOr<Value> value = parse(text);
    if (!value.ok()) return At(flag, value.status());
    values.push_back(*std::move(value));
  }
  return absl::OkStatus();
}

// The texts without `word`, and whether it was there.
bool TakeOut(absl::string_view word, std::vector<std::string>& texts) {
  const auto end = std::remove(texts.begin(), texts.end(), word);
  const bool found = end != texts.end();
  texts.erase(end, texts.end());
  return found;
}

absl::Status UnderstandHttp(Texts& texts, Config& config) {
  KYUU_RETURN_IF_ERROR(ReadAll("http-listen", texts.http_listen,
                               TransportAddress::Parse, config.http_listen));
  if (texts.tls_certificate.empty() != texts.tls_key.empty()) {
    return At("tls-key", absl::InvalidArgumentError(
                             "goes with --tls-certificate, and the reverse"));
  }
  config.tls_certificate = texts.tls_certificate;
  config.tls_key = texts.tls_key;
  if (!texts.public_url.empty()) {
    const auto url = PublicUrl::Parse(texts.public_url);
    if (!url.ok()) return At("public-url", url.status());
    config.public_url = *url;
  }
  config.any_origin = TakeOut("*", texts.origins);
  KYUU_RETURN_IF_ERROR(
      ReadAll("origin", texts.origins, WebOrigin::Parse, config.origins));
  KYUU_RETURN_IF_ERROR(
      ReadAll("proxy", texts.proxies, IpPrefix::Parse, config.proxies));
  const bool nobody = TakeOut("none", texts.metrics_from);
  const bool proxied = config.public_url.has_value() || !config.proxies.empty();
  if (nobody || proxied) config.metrics_from.clear();
  KYUU_RETURN_IF_ERROR(ReadAll("metrics-from", texts.metrics_from,
                               IpPrefix::Parse, config.metrics_from));
  config.connections_per_address = texts.connections_per_address;
  return absl::OkStatus();
}

// "PUBLIC" or "PUBLIC/PRIVATE".
absl::StatusOr<Config::RelayAddress> ParseRelayAddress(absl::string_view text) {
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  std::vector<IpAddress> addresses;
  for (const std::string& part : parts) {
    const auto address = IpAddress::Parse(part);
    if (!address.ok()) return address.status();
    if (address->IsAny() || address->IsMulticast()) {
      return absl::InvalidArgumentError("not the address of a machine");
    }
    addresses.push_back(*address);
  }
  if (addresses.size() == 1) {
    return Config::RelayAddress{addresses[0], std::nullopt};
  }
  if (addresses[0].family() != addresses[1].family()) {
    return absl::InvalidArgumentError("an IPv4 and an IPv6 address: \"" +
                                      std::string(text) + "\"");
  }
  return Config::RelayAddress{addresses[0], addresses[1]};
}

absl::Status ReadUsers(const std::vector<std::string>& texts,
                       std::vector<Config::User>& users) {
  for (const std::string& text : texts) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
      // The text may be a password: it is not repeated.
      return At("user", absl::InvalidArgumentError("not NAME:PASSWORD"));
    }
    const std::string name = text.substr(0, colon);
    if (std::any_of(users.begin(), users.end(),
                    [&](const Config::User& u) { return u.name == name; })) {
      return At("user", absl::InvalidArgumentError(
                            absl::StrCat("\"", name, "\" is there twice")));
    }
    users.push_back({name, text.substr(colon + 1)});
  }
  return absl::OkStatus();
}

absl::StatusOr<Config> Understand(Texts texts) {
  Config config;
  KYUU_RETURN_IF_ERROR(UnderstandHttp(texts, config));
  KYUU_RETURN_IF_ERROR(ReadAll("turn-listen", texts.turn_listen,
                               TransportAddress::Parse, config.turn_listen));
  KYUU_RETURN_IF_ERROR(ReadAll("relay-address", texts.relay_addresses,
                               ParseRelayAddress, config.relay_addresses));
  if (!texts.relay_ports.empty()) {
    const auto ports = ParsePorts(texts.relay_ports);
    if (!ports.ok()) return At("relay-ports", ports.status());
    config.relay_port_low = ports->first;
    config.relay_port_high = ports->second;
  }
  if (!texts.realm.empty()) config.realm = texts.realm;
  KYUU_RETURN_IF_ERROR(ReadUsers(texts.users, config.users));
  KYUU_RETURN_IF_ERROR(ReadAll("allow-peer", texts.allow_peers, IpPrefix::Parse,
                               config.allow_peers));
  config.threads = texts.threads;
  if (config.threads == 0) {
    config.threads = std::clamp(
        static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
  }
  config.log_level = LogLevels().at(texts.log_level);
  return config;
}

// Turns KYUU_ variables into flags, for options that were not given. Returns
// those that mean nothing.
std::vector<std::string> AddEnvironment(
    const CLI::App& app,
    const std::vector<std::pair<std::string, std::string>>& environment,
    std::vector<std::string>& arguments) {
  std::vector<std::string> unknown;
  const std::vector<std::string> given = arguments;
  for (const auto& [name, value] : environment) {
    if (!absl::StartsWith(name, "KYUU_")) continue;
    const std::string flag = absl::StrCat(
        "--", absl::StrReplaceAll(absl::AsciiStrToLower(name.substr(5)),
                                  {{"_", "-"}}));
    const CLI::Option* option = app.get_option_no_throw(flag);
    if (option == nullptr || option->get_expected_max() == 0) {
      unknown.push_back(name);
      continue;
    }
    if (std::any_of(given.begin(), given.end(), [&](const std::string& a) {
          return a == flag || absl::StartsWith(a, flag + "=");
        })) {
      continue;
    }
    if (option->get_expected_max() == 1) {
      arguments.push_back(absl::StrCat(flag, "=", value));
      continue;
    }
    for (absl::string_view part : absl::StrSplit(value, ',')) {
      arguments.push_back(absl::StrCat(flag, "=", part));
    }
  }
  return unknown;
}

}  // namespace

std::variant<Config, Exit> ReadConfig(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& environment) {
  CLI::App app{
      "kyuud: people find each other here, and their browsers connect. Serves "
      "the page, signaling, STUN and TURN.\nEach flag can be set by a variable "
      "(KYUU_HTTP_LISTEN for --http-listen; lists with commas) or in a file.",
      "kyuud"};
  Texts texts;
  AddOptions(app, texts);
  app.set_config("--config", "", "A file of lines like http-listen=ADDR:PORT")
      ->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  const auto wrong = [](const absl::Status& status) {
    return Exit{2, absl::StrCat("kyuud: ", status.message(), "\n")};
  };
  std::vector<std::string> all = arguments;
  std::vector<std::string> unknown = AddEnvironment(app, environment, all);
  // CLI11 takes arguments from the back.
  std::reverse(all.begin(), all.end());
  try {
    app.parse(all);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, problems;
    const int code = app.exit(error, out, problems);
    if (code == 0) return Exit{0, out.str()};
    return wrong(absl::InvalidArgumentError(error.what()));
  }
  absl::StatusOr<Config> config = Understand(std::move(texts));
  if (!config.ok()) return wrong(config.status());
  config->unknown_variables = std::move(unknown);
  return *std::move(config);
}

}  // namespace kyuu::tools
