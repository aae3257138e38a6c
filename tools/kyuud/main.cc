// kyuud: the page, signaling, STUN and TURN in one process.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/http_service.h"
#include "tools/kyuud/static_pages.h"
#include "tools/kyuud/turn_service.h"
#include "web/files.h"

namespace kyuu::tools {
namespace {

void StartLog(LogLevel level) {
  auto logger = spdlog::stderr_color_mt("kyuud");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v",
                      spdlog::pattern_time_type::utc);
  static constexpr spdlog::level::level_enum kLevels[] = {
      spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
      spdlog::level::err, spdlog::level::off};
  logger->set_level(kLevels[static_cast<size_t>(level)]);
  spdlog::set_default_logger(std::move(logger));
}

// What a person types into a browser: a wildcard address is no destination.
std::string Url(const TransportAddress& listen) {
  if (!listen.ip.IsAny())
    return absl::StrCat("http://", listen.ToString(), "/");
  return absl::StrCat("http://localhost:", listen.port, "/");
}

void Announce(const TransportAddress& http, const relay::Cluster& turn,
              const Config& config) {
  std::printf("kyuud: page and signaling at %s (listening on tcp %s)\n",
              Url(http).c_str(), http.ToString().c_str());
  std::vector<std::string> relays;
  for (const auto& relay : turn.relay_addresses()) {
    relays.push_back(relay.advertised.family() == IpFamily::kUnspecified
                         ? relay.bind.ToString()
                         : relay.advertised.ToString());
  }
  for (const TransportAddress& listener : turn.listeners()) {
    std::printf(
        "kyuud: STUN and TURN on udp %s, relaying from %s ports %d-%d\n",
        listener.ToString().c_str(), absl::StrJoin(relays, " and ").c_str(),
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

absl::Status Serve(const Config& config) {
  KYUU_ASSIGN_OR_RETURN(const std::unique_ptr<net::Loop> loop,
                        net::Loop::Create());
  // Before any thread starts, so that all of them leave signals to this loop.
  HttpService* service = nullptr;
  KYUU_ASSIGN_OR_RETURN(
      const std::unique_ptr<net::SignalWatch> signals,
      net::SignalWatch::Create(*loop, {SIGTERM, SIGINT}, [&](int number) {
        spdlog::info("kyuud: ending on signal {}", number);
        if (service != nullptr) service->CloseAll();
        loop->Stop();
      }));
  KYUU_ASSIGN_OR_RETURN(net::TcpListener listener,
                        net::TcpListener::Open({.bind = config.http_listen}));
  const TransportAddress http = listener.local();
  SystemRandom random;
  KYUU_ASSIGN_OR_RETURN(const std::unique_ptr<TurnService> turn,
                        TurnService::Open(config, *loop, random));
  const StaticPages pages(EmbeddedPages());
  HttpService http_service(*loop, random, std::move(listener), pages, *turn,
                           {});
  service = &http_service;
  Announce(http, turn->cluster(), config);
  loop->Run();
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
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuud: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace kyuu::tools

int main(int argc, char** argv) { return kyuu::tools::Main(argc, argv); }
