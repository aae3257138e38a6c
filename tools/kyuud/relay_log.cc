#include "tools/kyuud/relay_log.h"

#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "net/loop.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

std::string TransportOf(const Path& path) {
  return std::string(ToText(path.transport));
}

// One address, or both of a dual allocation.
template <typename E>
std::string RelayedOf(const E& event) {
  if (!event.additional.has_value()) return event.relayed.ToString();
  return absl::StrCat(event.relayed.ToString(), " and ",
                      event.additional->ToString());
}

int64_t Count(uint64_t value) { return static_cast<int64_t>(value); }

}  // namespace

std::string SessionText(turn::SessionId session) {
  return absl::StrCat(
      absl::Hex(static_cast<uint64_t>(session), absl::kZeroPad16));
}

void RelayLog::operator()(const relay::Event& event) {
  std::visit([this](const auto& e) { Write(e); }, event);
}

// Names come from clients: what is not printable is escaped.
void RelayLog::Write(const relay::AllocationMade& made) {
  const std::string client = made.client.remote.ToString();
  const std::string relayed = RelayedOf(made);
  const std::string user = absl::CHexEscape(made.username);
  const bool tcp = made.transport == Transport::kTcp;
  LogLine(spdlog::level::info,
          absl::StrCat("turn: ", client, " relays ", tcp ? "TCP " : "", "from ",
                       relayed, " for ", user),
          {{"event", "allocation_made"},
           {"session", SessionText(made.session)},
           {"user", user},
           {"realm", absl::CHexEscape(made.realm)},
           {"client", client},
           {"server", made.client.local.ToString()},
           {"transport", TransportOf(made.client)},
           {"relay", relayed},
           {"relay_transport", std::string(ToText(made.transport))}});
}

void RelayLog::Write(const relay::AllocationEnded& ended) {
  const auto& traffic = ended.traffic;
  const absl::Duration duration = net::Loop::Now() - ended.made;
  const std::string client = ended.client.remote.ToString();
  const std::string relayed = RelayedOf(ended);
  const std::string user = absl::CHexEscape(ended.username);
  const std::string reason(relay::ToText(ended.reason));
  LogLine(
      spdlog::level::info,
      absl::StrCat("turn: ", relayed, " for ", user, " at ", client,
                   " ended: ", reason, "; ", absl::ToInt64Seconds(duration),
                   " s, to peers ", traffic.bytes_to_peers, " bytes in ",
                   traffic.to_peers, " datagrams, to the client ",
                   traffic.bytes_to_clients, " bytes in ", traffic.to_clients,
                   " datagrams; beyond its bandwidth ",
                   traffic.over_bandwidth_to_peers, " and ",
                   traffic.over_bandwidth_to_clients),
      {{"event", "allocation_ended"},
       {"session", SessionText(ended.session)},
       {"user", user},
       {"realm", absl::CHexEscape(ended.realm)},
       {"client", client},
       {"server", ended.client.local.ToString()},
       {"transport", TransportOf(ended.client)},
       {"relay", relayed},
       {"bytes_to_peers", Count(traffic.bytes_to_peers)},
       {"bytes_to_client", Count(traffic.bytes_to_clients)},
       {"datagrams_to_peers", Count(traffic.to_peers)},
       {"datagrams_to_client", Count(traffic.to_clients)},
       {"over_bandwidth_to_peers", Count(traffic.over_bandwidth_to_peers)},
       {"over_bandwidth_to_client", Count(traffic.over_bandwidth_to_clients)},
       {"duration", absl::ToDoubleSeconds(duration)},
       {"reason", reason}});
}

void RelayLog::Write(const relay::AllocationRefused& refused) {
  const std::optional<uint64_t> untold = refusals_.Pass(net::Loop::Now());
  if (!untold.has_value()) return;
  const std::string client = refused.client.remote.ToString();
  const std::string user = absl::CHexEscape(refused.username);
  const std::string reason(relay::ToText(refused.reason));
  LogLine(spdlog::level::warn,
          absl::StrCat("turn: ", user, " at ", client, " gets no relay: ",
                       reason, " (", *untold, " others since the last)"),
          {{"event", "allocation_refused"},
           {"user", user},
           {"client", client},
           {"server", refused.client.local.ToString()},
           {"transport", TransportOf(refused.client)},
           {"reason", reason}});
}

void RelayLog::Write(const relay::OpenFailed& failed) {
  spdlog::debug("turn: no relay at {}: {}", failed.bind.ToString(),
                failed.reason);
}

void RelayLog::Write(const relay::AddressesChanged& changed) {
  std::vector<std::string> relays;
  for (const auto& relay : changed.relay) {
    relays.push_back(relay.told().ToString());
  }
  spdlog::info(
      "turn: the addresses of this machine have changed; relaying "
      "from {}",
      relays.empty() ? "none" : absl::StrJoin(relays, " and "));
}

}  // namespace kyuu::tools
