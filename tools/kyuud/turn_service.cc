#include "tools/kyuud/turn_service.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/counters.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

IpPrefix Prefix(absl::string_view text) {
  return IpPrefix::Parse(text).value();
}

// Whom relayed packets may reach beside the public internet.
void SetPeerPolicy(const Config& config, turn::ServerOptions& options) {
  options.allow_peers = config.allow_peers;
  // Two clients that can only relay meet between their relayed addresses.
  options.own_relays = turn::ServerOptions::OwnRelays::kAllow;
  const bool loopback_only =
      std::all_of(config.turn_listen.begin(), config.turn_listen.end(),
                  [](const TransportAddress& a) { return a.ip.IsLoopback(); });
  if (!loopback_only) return;
  // Clients are programs of this machine, and so may their peers be: nothing
  // else is opened, since a proxy on this machine would open it to everybody.
  options.allow_peers.push_back(Prefix("127.0.0.0/8"));
  options.allow_peers.push_back(Prefix("::1/128"));
}

// Names come from clients: what is not printable is escaped.
void Log(const relay::AllocationMade& made) {
  spdlog::info("turn: {} relays from {} for {}", made.client.remote.ToString(),
               made.relayed.ToString(), absl::CHexEscape(made.username));
}
void Log(const relay::AllocationEnded& ended) {
  const auto& traffic = ended.traffic;
  spdlog::info(
      "turn: {} for {} at {} ended: {}; {} s, to peers {} bytes in {} "
      "datagrams, to the client {} bytes in {} datagrams",
      ended.relayed.ToString(), absl::CHexEscape(ended.username),
      ended.client.remote.ToString(), std::string(relay::ToText(ended.reason)),
      absl::ToInt64Seconds(net::Loop::Now() - ended.made),
      traffic.bytes_to_peers, traffic.to_peers, traffic.bytes_to_clients,
      traffic.to_clients);
}
// Clients ask again and again: one line a second tells of all.
void Log(const relay::AllocationRefused& refused) {
  static absl::Time next = absl::InfinitePast();
  static uint64_t untold = 0;
  const absl::Time now = net::Loop::Now();
  if (now < next) {
    ++untold;
    return;
  }
  next = now + absl::Seconds(1);
  spdlog::warn(
      "turn: {} at {} gets no relay: {} ({} others since the last)",
      absl::CHexEscape(refused.username), refused.client.remote.ToString(),
      std::string(relay::ToText(refused.reason)), std::exchange(untold, 0));
}
void Log(const relay::OpenFailed& failed) {
  spdlog::debug("turn: {}", failed.status.ToString());
}
void Log(const relay::AddressesChanged& changed) {
  std::vector<std::string> relays;
  for (const auto& relay : changed.relay) {
    relays.push_back(relay.told().ToString());
  }
  spdlog::info(
      "turn: the addresses of this machine have changed; relaying "
      "from {}",
      relays.empty() ? "none" : absl::StrJoin(relays, " and "));
}

// A server that listens on every address is reached by the name by which the
// client has reached us already.
std::string Advertise(const TransportAddress& listener,
                      const std::string& host) {
  if (!listener.ip.IsAny() || host.empty()) return listener.ToString();
  return absl::StrCat(host, ":", listener.port);
}

}  // namespace

relay::Options RelayOptions(const Config& config,
                            std::vector<TransportAddress> services) {
  relay::Options options;
  options.server.listeners = std::move(services);
  options.listen = config.turn_listen;
  options.threads = config.threads;
  turn::ServerOptions& server = options.server;
  server.realm = config.realm;
  for (const Config::User& user : config.users) {
    server.users.push_back({user.name, user.password});
  }
  server.allocations_max = config.relays_max;
  server.relay_port_low = config.relay_port_low;
  server.relay_port_high = config.relay_port_high;
  SetPeerPolicy(config, server);
  for (const Config::RelayAddress& given : config.relay_addresses) {
    if (given.bind.has_value()) {
      options.relay_addresses.push_back({*given.bind, given.told});
    } else {
      options.relay_addresses.push_back({{}, given.told});
    }
  }
  return options;
}

absl::StatusOr<std::unique_ptr<TurnService>> TurnService::Open(
    const Config& config, std::vector<TransportAddress> services,
    net::Loop& loop, Random& random) {
  // A proxy in front takes HTTP through, and nothing else.
  const bool proxied = config.public_url.has_value() || !config.proxies.empty();
  std::vector<TransportAddress> streams =
      proxied ? std::vector<TransportAddress>() : services;
  absl::StatusOr<std::unique_ptr<relay::Cluster>> cluster =
      relay::Cluster::Open(RelayOptions(config, std::move(services)), loop,
                           [](const relay::Event& event) {
                             std::visit([](const auto& e) { Log(e); }, event);
                           });
  if (!cluster.ok()) return cluster.status();
  return std::unique_ptr<TurnService>(
      new TurnService(*std::move(cluster), std::move(streams), config, random));
}

TurnService::TurnService(std::unique_ptr<relay::Cluster> cluster,
                         std::vector<TransportAddress> stream_listeners,
                         const Config& config, Random& random)
    : cluster_(std::move(cluster)),
      stream_listeners_(std::move(stream_listeners)),
      tls_(!config.tls_certificate.empty()),
      random_(random) {}

TurnService::~TurnService() { Close(); }

void TurnService::Close() {
  if (std::exchange(closed_, true)) return;
  cluster_->Close();
  const relay::Stats sum = cluster_->stats();
  spdlog::info("turn: in all {}", CountersToString(sum.server));
  spdlog::info("turn: loops {}", CountersToString(sum.node));
  spdlog::info("turn: listeners {}", CountersToString(sum.listeners));
  spdlog::info("turn: relay sockets {}", CountersToString(sum.relays));
}

void TurnService::Open(const std::string& session, const std::string& host,
                       absl::AnyInvocable<void(Servers)> done) {
  signaling::IceServer stun, turn;
  for (const TransportAddress& listener : cluster_->listeners()) {
    const std::string at = Advertise(listener, host);
    stun.urls.push_back(absl::StrCat("stun:", at));
    turn.urls.push_back(absl::StrCat("turn:", at, "?transport=udp"));
  }
  for (const TransportAddress& listener : stream_listeners_) {
    const std::string at = Advertise(listener, host);
    turn.urls.push_back(absl::StrCat("turn:", at, "?transport=tcp"));
    if (tls_) turn.urls.push_back(absl::StrCat("turns:", at, "?transport=tcp"));
  }
  turn.username = session;
  // One password for the session's life: a call that runs uses it, and its
  // client is told the same again when it has come back.
  const auto [known, is_new] = passwords_.try_emplace(session);
  if (is_new) known->second = random_.IceChars(24);
  const std::string password = known->second;
  turn.credential = password;
  if (!is_new) return done({std::move(stun), std::move(turn)});
  // A session without relay can still connect directly: it is told no server
  // that would refuse it.
  cluster_->Grant(
      session, password,
      [this, session, done = std::move(done), stun = std::move(stun),
       turn = std::move(turn)](absl::Status status) mutable {
        if (!status.ok()) {
          spdlog::warn("turn: a session gets no credential: {}",
                       status.ToString());
          passwords_.erase(session);
          return done({std::move(stun)});
        }
        done({std::move(stun), std::move(turn)});
      });
}

void TurnService::Close(const std::string& session) {
  passwords_.erase(session);
  cluster_->Revoke(session);
}

}  // namespace kyuu::tools
