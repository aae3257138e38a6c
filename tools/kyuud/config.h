// What kyuud is told: by its command line, by KYUU_* variables and by a file.

#ifndef KYUU_TOOLS_KYUUD_CONFIG_H_
#define KYUU_TOOLS_KYUUD_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "base/address.h"
#include "tools/kyuud/routes.h"

namespace kyuu::tools {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };

// Config is what the flags set; its defaults are the safe ones.
struct Config {
  struct User {
    std::string name;
    std::string password;

    friend bool operator==(const User&, const User&) = default;
  };

  std::vector<TransportAddress> http_listen = {
      {IpAddress::V4(127, 0, 0, 1), 9000}};
  // With both, the HTTP ports speak TLS.
  std::string tls_certificate;
  std::string tls_key;
  std::optional<PublicUrl> public_url;
  std::vector<WebOrigin> origins;
  bool any_origin = false;  // --origin "*".
  // Proxies in front, behind each of which are many clients.
  std::vector<IpPrefix> proxies;
  // Who may read /metrics: loopback unless told otherwise, and then only while
  // nothing says that a proxy is in front, which would speak for the world.
  std::vector<IpPrefix> metrics_from = {IpPrefix::Parse("127.0.0.0/8").value(),
                                        IpPrefix::Parse("::1").value()};
  // Connections of one address, and sessions.
  size_t connections_per_address = 2'500;
  std::vector<TransportAddress> turn_listen = {
      {IpAddress::V4(127, 0, 0, 1), 3478}};
  // Where relayed packets are seen to come from, and which of our addresses
  // that is, if another and said.
  struct RelayAddress {
    IpAddress told;
    std::optional<IpAddress> bind;

    friend bool operator==(const RelayAddress&, const RelayAddress&) = default;
  };
  std::vector<RelayAddress> relay_addresses;
  uint16_t relay_port_low = 49152;
  uint16_t relay_port_high = 65535;
  std::string realm = "kyuu";
  std::vector<User> users;
  std::vector<IpPrefix> allow_peers;
  // Relayed addresses at once: what the descriptors allow of it.
  size_t relays_max = 16'384;
  int threads = 1;  // The machine's processors unless told otherwise.
  LogLevel log_level = LogLevel::kInfo;
  // KYUU_ variables that set nothing. No error, since the environment is shared
  // with other programs, but worth a warning.
  std::vector<std::string> unknown_variables;
};

// An answer that ends the program at once: help, version, or what is wrong.
struct Exit {
  int code = 0;
  std::string text;
};

// ReadConfig puts the configuration together: a flag overrides a variable of
// `environment` (KYUU_HTTP_LISTEN for --http-listen; lists are separated by
// commas), which overrides the file named by --config. An unknown flag or key
// of the file is an error.
std::variant<Config, Exit> ReadConfig(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& environment);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_CONFIG_H_
