// What kyuud is told: by its command line, by KYUU_* variables and by a file.

#ifndef KYUU_TOOLS_KYUUD_CONFIG_H_
#define KYUU_TOOLS_KYUUD_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "net/stream_options.h"
#include "net/stream_port.h"
#include "relay/options.h"
#include "signaling/directory_types.h"
#include "tools/kyuud/admission/settings.h"
#include "tools/kyuud/authorizer_exchange.h"
#include "tools/kyuud/backplane/address.h"
#include "tools/kyuud/dialect_options.h"
#include "tools/kyuud/kernel/settings.h"
#include "tools/kyuud/routes.h"
#include "turn/server_options.h"

namespace kyuu::tools {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : uint8_t { kText, kJson };
// What is served of page and signaling, STUN, and TURN. /healthz and /metrics
// are always served where HTTP is listened for.
enum class Mode : uint8_t { kAll, kTurn, kStun, kHttp };

// Config is what the settings set; its defaults are the safe ones. What each
// field is for: tools/kyuud/settings.cc.
struct Config {
  // Where relayed packets are seen to come from, and which of our addresses
  // that is, if another and said.
  struct RelayAddress {
    IpAddress told;
    std::optional<IpAddress> bind;

    friend bool operator==(const RelayAddress&, const RelayAddress&) = default;
  };

  Mode mode = Mode::kAll;
  int threads = 0;  // As read, never 0: the machine's processors.
  // What it shares with others that are one server with it, if any.
  std::optional<BackplaneAddress> backplane;
  BackplaneTls backplane_tls;

  std::vector<TransportAddress> http_listen = {
      {IpAddress::V4(127, 0, 0, 1), 9000}};
  std::optional<PublicUrl> public_url;
  std::vector<WebOrigin> origins;
  bool any_origin = false;
  // Whether clients of WebSockets that offer it get messages compressed.
  enum class Compression : uint8_t { kOff, kOn };
  Compression compression = Compression::kOff;
  std::vector<IpPrefix> proxies;
  std::vector<IpPrefix> proxy_protocol_from;
  // Loopback unless told otherwise, and then only while nothing says that a
  // proxy is in front, which would speak for the world.
  std::vector<IpPrefix> metrics_from = {IpPrefix::Parse("127.0.0.0/8").value(),
                                        IpPrefix::Parse("::1").value()};

  // With any, the HTTP ports speak TLS. As many keys as certificates.
  std::vector<std::string> tls_certificates;
  std::vector<std::string> tls_keys;

  std::vector<TransportAddress> turn_listen = {
      {IpAddress::V4(127, 0, 0, 1), 3478}};
  std::vector<RelayAddress> relay_addresses;
  KernelSettings kernel;
  // All that the server itself knows; addresses and listeners are the driver's.
  turn::ServerOptions turn;
  std::vector<std::string> rest_secret_files;  // As read, in turn.rest_secrets.

  // As read, in turn.realms.
  struct Realm {
    turn::RealmOptions options;
    std::vector<std::string> rest_secret_files;

    friend bool operator==(const Realm&, const Realm&) = default;
  };
  std::vector<Realm> realms;
  // Who is asked about users that nobody has, if anybody.
  std::optional<AuthorizerAddress> authorizer;
  absl::Duration authorizer_timeout = absl::Seconds(3);
  size_t authorizer_questions = 64;
  // How long an answer holds that does not say it: of a user, and of nobody.
  absl::Duration authorizer_lifetime = absl::Minutes(10);
  absl::Duration authorizer_denied = absl::Seconds(10);

  // Signaling of other programs beside our own.
  DialectSettings dialects;
  // Who may come to any of it.
  AdmissionSettings admission;

  size_t connections_max = net::StreamPortOptions().max_streams;
  size_t connections_per_address = 2'500;
  size_t peers_per_room = signaling::RoomOptions().max_peers_per_room;
  size_t peers_per_room_per_address =
      signaling::RoomOptions().max_peers_per_source;
  size_t presence_bytes_per_s = 4'000'000;
  size_t message_bytes_per_s = 4'000'000;
  size_t calls_per_peer = signaling::CallOptions().max_calls_per_peer;
  absl::Duration first_byte_timeout =
      net::StreamPortOptions().first_byte_timeout;
  absl::Duration write_timeout = net::StreamDriverOptions().write_timeout;
  relay::StreamSettings streams;
  relay::DtlsClientsOptions dtls;
  size_t handover_bytes_max = relay::Options().handover_bytes_max;

  absl::Duration drain_timeout;

  // Where operators connect, if anywhere, and which group may beside the owner.
  std::string admin_socket;
  std::string admin_group;

  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;

  // What the program is to do with it.
  enum class Command : uint8_t { kServe, kCheck };
  Command command = Command::kServe;
  // The file that it was read from, if any.
  std::string file;
  // KYUU_ variables that set nothing. No error, since the environment is shared
  // with other programs, but worth a warning.
  std::vector<std::string> unknown_variables;
};

// An answer that ends the program at once: help, defaults, or what is wrong.
struct Exit {
  int code = 0;
  std::string text;
};

// ReadConfig puts the configuration together: a flag overrides a variable of
// `environment` (KYUU_HTTP_LISTEN for --http-listen; lists are separated by
// commas), which overrides the file named by --config. An unknown flag, or key
// of the file, or a value of the wrong type is an error, told with its place
// and the name that comes nearest. `arguments` may begin with a command:
// "check-config [FILE]", "config default" or "config doc".
std::variant<Config, Exit> ReadConfig(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& environment);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_CONFIG_H_
