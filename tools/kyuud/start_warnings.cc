#include "tools/kyuud/start_warnings.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "net/udp_socket.h"

namespace kyuu::tools {
namespace {

std::optional<size_t> ReadLimit(const char* name) {
  // Root exceeds it (SO_RCVBUFFORCE, SO_SNDBUFFORCE).
  if (geteuid() == 0) return std::nullopt;
  std::ifstream file(absl::StrCat("/proc/sys/net/core/", name));
  size_t limit = 0;
  if (!(file >> limit)) return std::nullopt;
  return limit;
}

bool OthersReachUs(const Config& config) {
  const auto elsewhere = [](const TransportAddress& listen) {
    return !listen.ip.IsLoopback();
  };
  return std::any_of(config.turn_listen.begin(), config.turn_listen.end(),
                     elsewhere) ||
         std::any_of(config.http_listen.begin(), config.http_listen.end(),
                     elsewhere);
}

}  // namespace

Machine ReadMachine(std::vector<turn::ServerOptions::RelayAddress> relays) {
  return {std::move(relays), ReadLimit("rmem_max"), ReadLimit("wmem_max")};
}

std::vector<StartWarning> StartWarnings(const Config& config,
                                        const Machine& machine) {
  std::vector<StartWarning> warnings;
  if (config.mode == Mode::kHttp || config.mode == Mode::kStun) return warnings;
  std::vector<std::string> hidden;
  bool is_public = false;
  for (const auto& relay : machine.relays) {
    // Loopback is for programs of this machine, beside all else.
    if (relay.told().IsLoopback()) continue;
    if (relay.told().IsPrivate()) {
      hidden.push_back(relay.told().ToString());
    } else {
      is_public = true;
    }
  }
  if (OthersReachUs(config) && !is_public && !hidden.empty()) {
    warnings.push_back(
        {absl::StrCat("relayed addresses are private (",
                      absl::StrJoin(hidden, ", "),
                      "): only who is in that network is reached by them; "
                      "behind a NAT set --relay-address PUBLIC/PRIVATE"),
         absl::StrCat("# /etc/kyuud/kyuud.toml, then: systemctl restart "
                      "kyuud\n[relay]\naddresses = [\"PUBLIC/",
                      absl::StrJoin(hidden, "\", \"PUBLIC/"), "\"]")});
  }
  const auto wanted = static_cast<size_t>(net::UdpOptions().buffer_bytes);
  for (const auto& [name, limit] :
       {std::pair("rmem_max", machine.receive_buffer_max),
        std::pair("wmem_max", machine.send_buffer_max)}) {
    if (!limit.has_value() || *limit >= wanted) continue;
    warnings.push_back(
        {absl::StrCat("net.core.", name, " is ", *limit, ": with ", wanted,
                      " fewer packets of bursts would be lost"),
         absl::StrCat("sysctl -w net.core.", name, "=", wanted,
                      "   # and into /etc/sysctl.d/kyuud.conf")});
  }
  return warnings;
}

size_t ReservedDescriptors(const Config& config) {
  return 20 + config.http_listen.size() * 2 +
         static_cast<size_t>(config.threads) *
             (2 + 4 * config.turn_listen.size());
}

net::DescriptorBudget WantedDescriptors(const Config& config) {
  const size_t ports =
      config.turn.relay_port_high - config.turn.relay_port_low + size_t{1};
  // A reload may raise the bound on allocations as far as to the default.
  return {config.connections_max,
          std::min(std::max(config.turn.allocations_max,
                            turn::ServerOptions().allocations_max),
                   ports)};
}

}  // namespace kyuu::tools
