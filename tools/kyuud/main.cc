// kyuud: the page, signaling, STUN and TURN in one process.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/interfaces.h"
#include "net/limits.h"
#include "net/loop.h"
#include "net/stream_port.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/certificates.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/front_door.h"
#include "tools/kyuud/log.h"
#include "tools/kyuud/metrics.h"
#include "tools/kyuud/process_stats.h"
#include "tools/kyuud/static_pages.h"
#include "tools/kyuud/turn_service.h"
#include "web/files.h"

namespace kyuu::tools {
namespace {

// Descriptors beside connections and relays: standard ones, the log, signals,
// spares; and for each loop its own two and its listeners, of which a wildcard
// makes some.
size_t ReservedDescriptors(const Config& config) {
  return 20 + config.http_listen.size() * 2 +
         static_cast<size_t>(config.threads) *
             (2 + 4 * config.turn_listen.size());
}

// Raises the limit and divides it, and tells what came of it.
net::DescriptorBudget BudgetDescriptors(const Config& config) {
  const net::DescriptorLimit limit = net::RaiseDescriptorLimit();
  const size_t ports =
      config.relay_port_high - config.relay_port_low + size_t{1};
  const net::DescriptorBudget wanted{net::StreamPortOptions().max_streams,
                                     std::min(Config().relays_max, ports)};
  const net::DescriptorBudget budget =
      net::DivideDescriptors(limit.soft, ReservedDescriptors(config), wanted);
  spdlog::info(
      "kyuud: {} descriptors (the limit was {}, the hard one is {}): {} "
      "connections, {} relays",
      limit.soft, limit.before, limit.hard, budget.connections, budget.relays);
  if (budget.connections < wanted.connections ||
      budget.relays < wanted.relays) {
    spdlog::warn(
        "kyuud: a limit of {} descriptors is low: {} connections and {} relays "
        "would fit a higher one (ulimit -n, LimitNOFILE=)",
        limit.soft, wanted.connections, wanted.relays);
  }
  return budget;
}

// What a person types into a browser: a wildcard address is no destination.
std::string Url(const TransportAddress& listen, const Config& config) {
  const absl::string_view scheme =
      config.tls_certificate.empty() ? "http://" : "https://";
  if (!listen.ip.IsAny()) return absl::StrCat(scheme, listen.ToString(), "/");
  return absl::StrCat(scheme, "localhost:", listen.port, "/");
}

void Announce(const std::vector<TransportAddress>& http,
              const relay::Cluster& turn, const Config& config) {
  for (const TransportAddress& listen : http) {
    std::printf("kyuud: page and signaling at %s (listening on tcp %s)\n",
                Url(listen, config).c_str(), listen.ToString().c_str());
  }
  std::vector<std::string> relays;
  for (const auto& relay : turn.relay_addresses()) {
    relays.push_back(relay.advertised.family() == IpFamily::kUnspecified
                         ? relay.bind.ToString()
                         : relay.advertised.ToString());
  }
  for (const TransportAddress& listener : turn.listeners()) {
    std::printf(
        "kyuud: STUN and TURN on udp %s, relaying from %s ports %d-%d\n",
        listener.ToString().c_str(),
        relays.empty() ? "no address yet,"
                       : absl::StrJoin(relays, " and ").c_str(),
        config.relay_port_low, config.relay_port_high);
  }
  std::fflush(stdout);
}

std::vector<Page> EmbeddedPages() {
  std::vector<Page> pages;
  for (const web::File& file : web::Files()) {
    pages.push_back({std::string(file.path), std::string(file.content_type),
                     std::string(file.content)});
  }
  return pages;
}

FrontDoorOptions DoorOptions(const Config& config,
                             const net::DescriptorBudget& budget) {
  FrontDoorOptions options;
  const size_t share = std::clamp<size_t>(budget.connections / 4, 1,
                                          config.connections_per_address);
  options.port.max_streams = budget.connections;
  options.port.max_streams_per_source = share;
  options.port.shared_sources = config.proxies;
  options.signaling.max_connections_per_source =
      config.proxies.empty() ? share : options.signaling.max_connections;
  // Read once: connections that want a Date live for a minute.
  options.connection.utc_offset = absl::Now() - net::Loop::Now();
  options.routes.public_url = config.public_url;
  options.routes.origins = config.origins;
  options.routes.any_origin = config.any_origin;
  options.routes.metrics_from = config.metrics_from;
  options.routes.exposure =
      std::all_of(config.http_listen.begin(), config.http_listen.end(),
                  [](const TransportAddress& a) { return a.ip.IsLoopback(); })
          ? Exposure::kLoopback
          : Exposure::kNetwork;
  return options;
}

// Says which listeners nobody reaches yet: for a server that is started before
// its network all is well, for a mistyped address this is the only sign.
void WarnOfAbsentAddresses(const Config& config) {
  const auto interfaces = net::Interfaces();
  if (!interfaces.ok()) return;
  std::vector<IpAddress> absent;
  for (const auto* listens : {&config.http_listen, &config.turn_listen}) {
    for (const TransportAddress& listen : *listens) {
      if (!listen.ip.IsAny() && !net::IsHere(*interfaces, listen.ip)) {
        absent.push_back(listen.ip);
      }
    }
  }
  std::sort(absent.begin(), absent.end());
  absent.erase(std::unique(absent.begin(), absent.end()), absent.end());
  for (const IpAddress& ip : absent) {
    spdlog::warn(
        "kyuud: {} is no address of this machine; it is served once it is",
        ip.ToString());
  }
}

absl::StatusOr<std::vector<net::TcpListener>> OpenListeners(
    const Config& config) {
  std::vector<net::TcpListener> listeners;
  for (const TransportAddress& bind : config.http_listen) {
    KYUU_ASSIGN_OR_RETURN(
        net::TcpListener listener,
        net::TcpListener::Open({.bind = bind, .await_address = true}));
    listeners.push_back(std::move(listener));
  }
  return listeners;
}

Metrics Tell(const FrontDoor& door, const TurnService& turn,
             const relay::Stats& stats) {
  Metrics metrics;
  metrics.relay = stats;
  metrics.allocations = turn.cluster().allocations();
  metrics.free_relay_ports = turn.cluster().free_ports();
  door.Tell(metrics);
  metrics.dropped_log_lines = DroppedLogLines();
  metrics.process = ReadProcessStats();
  return metrics;
}

net::TlsContext::ServerOptions TlsOptions(const Config& config) {
  return {.certificates = {{config.tls_certificate, config.tls_key}},
          .alpn = {"http/1.1", "stun.turn"}};
}

absl::Status Serve(Config config) {
  const net::DescriptorBudget budget = BudgetDescriptors(config);
  config.relays_max = budget.relays;
  KYUU_ASSIGN_OR_RETURN(const std::unique_ptr<net::Loop> loop,
                        net::Loop::Create());
  // Before any thread starts, so that all of them leave signals to this loop.
  FrontDoor* door = nullptr;
  std::optional<Certificates> certificates;
  KYUU_ASSIGN_OR_RETURN(
      const std::unique_ptr<net::SignalWatch> signals,
      net::SignalWatch::Create(
          *loop, {SIGTERM, SIGINT, SIGHUP, SIGUSR1}, [&](int number) {
            if (number == SIGHUP) {
              spdlog::info(
                  "kyuud: SIGHUP: certificates are read anew; else the "
                  "configuration of the start is kept");
              if (certificates) certificates->Check();
            } else if (number == SIGUSR1) {
              spdlog::info("kyuud: {}",
                           door == nullptr ? "starting" : door->Status());
            } else {
              spdlog::info("kyuud: ending on signal {}", number);
              if (door != nullptr) door->CloseAll();
              loop->Stop();
            }
          }));
  KYUU_ASSIGN_OR_RETURN(std::vector<net::TcpListener> listeners,
                        OpenListeners(config));
  std::vector<TransportAddress> http;
  http.reserve(listeners.size());
  for (const net::TcpListener& listener : listeners) {
    http.push_back(listener.local());
  }
  WarnOfAbsentAddresses(config);
  FrontDoorOptions door_options = DoorOptions(config, budget);
  if (!config.tls_certificate.empty()) {
    certificates.emplace(*loop, TlsOptions(config), [&](net::TlsContext tls) {
      door->SetTls(std::move(tls));
    });
    KYUU_ASSIGN_OR_RETURN(door_options.port.tls, certificates->Load());
  }
  SystemRandom random;
  KYUU_ASSIGN_OR_RETURN(const std::unique_ptr<TurnService> turn,
                        TurnService::Open(config, http, *loop, random));
  const StaticPages pages(EmbeddedPages());
  FrontDoor front_door(*loop, random, std::move(listeners), pages, *turn,
                       std::move(door_options));
  door = &front_door;
  front_door.ServeMetrics([&](absl::AnyInvocable<void(std::string)> done) {
    turn->CollectStats(
        [&, done = std::move(done)](const relay::Stats& stats) mutable {
          done(ToPrometheus(Tell(front_door, *turn, stats)));
        });
  });
  front_door.ServeTurn(
      [&](net::AcceptedStream accepted) { turn->Admit(std::move(accepted)); });
  Announce(http, turn->cluster(), config);
  loop->Run();
  turn->Close();
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  std::vector<std::pair<std::string, std::string>> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string::npos) continue;
    environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  const auto read = ReadConfig({argv + 1, argv + argc}, environment);
  if (const Exit* exit = std::get_if<Exit>(&read)) {
    std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
    return exit->code;
  }
  const Config& config = std::get<Config>(read);
  StartLog(config.log_level);
  for (const std::string& name : config.unknown_variables) {
    spdlog::warn("kyuud: the variable {} sets nothing", name);
  }
  const absl::Status status = Serve(config);
  EndLog();
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuud: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace kyuu::tools

int main(int argc, char** argv) { return kyuu::tools::Main(argc, argv); }
