#include "tools/kyuud/daemon.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "net/interfaces.h"
#include "net/stream_port.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/announcement.h"
#include "tools/kyuud/backplane/backplane.h"
#include "tools/kyuud/log.h"
#include "tools/kyuud/process_stats.h"
#include "tools/kyuud/settings.h"
#include "tools/kyuud/start_memory/start_memory.h"
#include "tools/kyuud/start_warnings.h"
#include "tools/version/version.h"
#include "web/files.h"

namespace kyuu::tools {
namespace {

// How often a drain looks whether the last allocation has ended.
constexpr absl::Duration kDrainLook = absl::Milliseconds(100);

// When whoever has waited for the start has been answered.
constexpr absl::Duration kStartOver = absl::Seconds(2);

// Raises the limit and divides it, and tells what came of it.
net::DescriptorBudget BudgetDescriptors(const Config& config) {
  const net::DescriptorLimit limit = net::RaiseDescriptorLimit();
  const net::DescriptorBudget wanted = WantedDescriptors(config);
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

// A drain by hand has no end of its own unless the settings give it one.
absl::Duration DrainByHand(const Config& config) {
  return config.drain_timeout > absl::ZeroDuration() ? config.drain_timeout
                                                     : absl::InfiniteDuration();
}

// What places of the program in the kernel are called while no server runs.
constexpr absl::string_view kKernelPlace = "kernel-path";

std::vector<relay::kernel::Attachment> KernelPlaces(Supervisor& supervisor) {
  std::vector<relay::kernel::Attachment> places;
  for (Supervisor::Kept& kept : supervisor.TakeKept()) {
    if (kept.name == kKernelPlace) places.push_back(std::move(kept.fd));
  }
  return places;
}

std::vector<Page> EmbeddedPages() {
  std::vector<Page> pages;
  for (const web::File& file : web::Files()) {
    pages.push_back({std::string(file.path), std::string(file.content_type),
                     std::string(file.content)});
  }
  return pages;
}

net::TlsContext::ServerOptions TlsOptions(const Config& config) {
  net::TlsContext::ServerOptions options;
  for (size_t i = 0; i < config.tls_certificates.size(); ++i) {
    options.certificates.push_back(
        {config.tls_certificates[i], config.tls_keys[i]});
  }
  options.alpn = {"http/1.1", "stun.turn"};
  return options;
}

RouteOptions RoutesOf(const Config& config) {
  RouteOptions routes;
  routes.public_url = config.public_url;
  routes.origins = config.origins;
  routes.any_origin = config.any_origin;
  routes.dialect_origins = config.dialects.origins;
  routes.any_dialect_origin = config.dialects.any_origin;
  routes.metrics_from = config.metrics_from;
  routes.exposure =
      std::all_of(config.http_listen.begin(), config.http_listen.end(),
                  [](const TransportAddress& a) { return a.ip.IsLoopback(); })
          ? Exposure::kLoopback
          : Exposure::kNetwork;
  return routes;
}

// So many calls of one peer at once, and what it takes to begin them all when
// it joins.
void AllowCalls(size_t calls, signaling::ServerOptions& options) {
  options.calls.max_calls_per_peer = calls;
  options.calls.max_ringing_per_source =
      std::max(options.calls.max_ringing_per_source, calls);
  options.calls.calls_per_source.burst = std::max(
      options.calls.calls_per_source.burst, 3 * static_cast<double>(calls));
  options.call_rate.burst =
      std::max(options.call_rate.burst, 1.25 * static_cast<double>(calls));
}

FrontDoorOptions DoorOptions(const Config& config,
                             const net::DescriptorBudget& budget) {
  FrontDoorOptions options;
  const size_t share = std::clamp<size_t>(budget.connections / 4, 1,
                                          config.connections_per_address);
  options.port.max_streams = budget.connections;
  options.port.max_streams_per_source = share;
  options.port.shared_sources = config.proxies;
  options.port.header_sources = config.proxy_protocol_from;
  options.port.first_byte_timeout = config.first_byte_timeout;
  options.driver.write_timeout = config.write_timeout;
  // Five of six connections may be signaling's: pages are to be served still.
  options.signaling.max_connections = (budget.connections * 5 + 5) / 6;
  options.signaling.max_connections_per_source = share;
  options.signaling.rooms.max_peers_per_room = config.peers_per_room;
  options.signaling.rooms.max_peers_per_source =
      config.peers_per_room_per_address;
  options.signaling.rooms.presence_bytes_per_second =
      static_cast<double>(config.presence_bytes_per_s);
  options.signaling.rooms.said_bytes_per_second =
      static_cast<double>(config.message_bytes_per_s);
  AllowCalls(config.calls_per_peer, options.signaling);
  options.signaling.server_name = absl::StrCat("kyuud ", kVersion);
  options.dialects.settings = config.dialects;
  options.dialects.peerjs.max_peers_per_source = share;
  options.dialects.ywebrtc.max_connections_per_source = share;
  // Read once: connections that want a Date live for a minute.
  options.connection.utc_offset = absl::Now() - net::Loop::Now();
  if (config.compression == Config::Compression::kOn) {
    options.deflate = signaling::DeflateOptions();
  }
  options.routes = RoutesOf(config);
  options.backplane = config.backplane;
  options.backplane_tls = config.backplane_tls;
  if (config.backplane.has_value()) {
    // What the servers have in common, and others do not know.
    options.signaling.rooms.secret_key = absl::StrCat(
        config.backplane->prefix, "\n", config.backplane->password);
    options.dialects.ywebrtc.reach = signaling::YWebrtcOptions::Reach::kAll;
  }
  if (!ServesPages(config)) {
    options.sockets = FrontDoorOptions::Signaling::kNone;
  }
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

std::vector<std::string> PathsOf(const std::vector<const Setting*>& settings) {
  std::vector<std::string> paths;
  paths.reserve(settings.size());
  for (const Setting* setting : settings) paths.push_back(setting->path());
  return paths;
}

std::vector<std::string> TextsOf(
    const std::vector<TransportAddress>& addresses) {
  std::vector<std::string> texts;
  texts.reserve(addresses.size());
  for (const TransportAddress& a : addresses) texts.push_back(a.ToString());
  return texts;
}

// Whether the files that they name can be used.
absl::Status CheckBackplaneCertificates(const Config& config) {
  if (!config.backplane.has_value()) return absl::OkStatus();
  return ClientTls(*config.backplane, config.backplane_tls).status();
}

}  // namespace

absl::Status CheckConfig(const Config& config) {
  KYUU_RETURN_IF_ERROR(CheckBackplaneCertificates(config));
  KYUU_RETURN_IF_ERROR(LoadAdmission(config.admission).status());
  if (!config.tls_certificates.empty()) {
    KYUU_RETURN_IF_ERROR(net::TlsContext::Server(TlsOptions(config)).status());
  }
  return RelayOptions(config, {}).server.Validate();
}

Daemon::Daemon(Config config, Reread reread)
    : config_(std::move(config)), reread_(std::move(reread)) {}

Daemon::~Daemon() {
  if (turn_ == nullptr) return;
  // Streams of the relay hold places of the door's port.
  turn_->Close();
  for (const auto& place : turn_->LeaveKernel()) {
    supervisor_->Keep(kKernelPlace, place);
  }
}

Config Daemon::Bounded(Config config) const {
  if (config.turn.allocations_max > budget_.relays) {
    config.turn.allocations_max = budget_.relays;
  }
  return config;
}

absl::Status Daemon::Open() {
  started_ = net::Loop::Now();
  budget_ = BudgetDescriptors(config_);
  KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
  // Before any thread starts, so that all of them leave signals to this loop.
  KYUU_ASSIGN_OR_RETURN(
      signals_,
      net::SignalWatch::Create(*loop_, {SIGTERM, SIGINT, SIGHUP, SIGUSR1},
                               [this](int number) { OnSignal(number); }));
  KYUU_ASSIGN_OR_RETURN(
      supervisor_,
      Supervisor::Create(*loop_, Supervisor::Variables::OfProcess()));
  drain_alarm_ =
      std::make_unique<net::Alarm>(*loop_, [this] { LookAtDrain(); });
  KYUU_ASSIGN_OR_RETURN(std::vector<net::TcpListener> listeners,
                        OpenListeners(config_));
  for (const net::TcpListener& listener : listeners) {
    http_.push_back(listener.local());
  }
  WarnOfAbsentAddresses(config_);
  KYUU_RETURN_IF_ERROR(CheckBackplaneCertificates(config_));
  FrontDoorOptions door_options = DoorOptions(config_, budget_);
  KYUU_ASSIGN_OR_RETURN(door_options.admission,
                        LoadAdmission(config_.admission));
  KYUU_ASSIGN_OR_RETURN(std::optional<Tls> tls, OpenTls(config_));
  if (tls) door_options.port.tls = tls->identity.tls;
  KYUU_ASSIGN_OR_RETURN(
      turn_, TurnService::Open(Bounded(config_), http_,
                               KernelPlaces(*supervisor_), *loop_, random_));
  if (tls) {
    turn_->SetDtls(tls->identity.dtls);
    certificates_ = std::move(tls->files);
  }
  pages_ = std::make_unique<StaticPages>(
      ServesPages(config_) ? EmbeddedPages() : std::vector<Page>());
  door_ = std::make_unique<FrontDoor>(*loop_, random_, std::move(listeners),
                                      *pages_, *turn_, std::move(door_options));
  door_->ServeMetrics([this](absl::AnyInvocable<void(std::string)> done) {
    turn_->CollectStats(
        [this, done = std::move(done)](const relay::Stats& stats) mutable {
          done(ToPrometheus(Tell(stats)));
        });
  });
  if (config_.mode != Mode::kHttp) {
    door_->ServeTurn([this](net::AcceptedStream accepted) {
      turn_->Admit(std::move(accepted));
    });
  }
  for (const StartWarning& warning : StartWarnings(
           config_, ReadMachine(turn_->cluster().relay_addresses()))) {
    spdlog::warn("kyuud: {}", warning.what);
  }
  // Last: who finds the socket finds a server behind it.
  KYUU_RETURN_IF_ERROR(OpenAdmin());
  Announce(http_, turn_->cluster(), config_);
  start_alarm_ =
      std::make_unique<net::Alarm>(*loop_, [] { ReleaseStartMemory(); });
  start_alarm_->Set(started_ + kStartOver);
  // Alive is who has every loop's answer.
  supervisor_->Ready([this](absl::AnyInvocable<void()> alive) {
    turn_->CollectStats(
        [alive = std::move(alive)](const relay::Stats&) mutable { alive(); });
  });
  return absl::OkStatus();
}

absl::Status Daemon::OpenAdmin() {
  if (config_.admin_socket.empty()) return absl::OkStatus();
  KYUU_ASSIGN_OR_RETURN(
      admin_,
      AdminService::Open(
          *loop_, {.path = config_.admin_socket, .group = config_.admin_group},
          {.list =
               [this](relay::SessionCursor from, relay::SessionFilter filter,
                      absl::AnyInvocable<void(relay::SessionPage)> done) {
                 turn_->ListSessions(from, std::move(filter), std::move(done));
               },
           .reload = [this] { return Reload(); },
           .drain = [this] { return StartDraining(DrainByHand(config_)); },
           .status = [this] { return Tell(); }}));
  return absl::OkStatus();
}

AdminStatus Daemon::Tell() const {
  Metrics door;
  door_->Tell(door);
  return {.uptime = net::Loop::Now() - started_,
          .draining = drained_by_.has_value(),
          .threads = config_.threads,
          .turn_listen = TextsOf(turn_->cluster().listeners()),
          .http_listen = TextsOf(http_),
          .relay_addresses = RelaysOf(turn_->cluster()),
          .allocations = turn_->cluster().allocations(),
          .free_relay_ports = turn_->cluster().free_ports(),
          .connections = door.now.connections,
          .signaling_sessions = door.now.sessions};
}

absl::StatusOr<std::optional<Daemon::Tls>> Daemon::OpenTls(
    const Config& config) {
  if (config.tls_certificates.empty()) return std::nullopt;
  auto files = std::make_unique<Certificates>(
      *loop_, TlsOptions(config),
      [this](const ServerIdentity& renewed) { Show(renewed); });
  KYUU_ASSIGN_OR_RETURN(ServerIdentity identity, files->Load());
  return Tls{std::move(files), std::move(identity)};
}

void Daemon::Show(const ServerIdentity& identity) {
  door_->SetTls(identity.tls);
  turn_->SetDtls(identity.dtls);
}

absl::Status Daemon::Run() {
  KYUU_RETURN_IF_ERROR(Open());
  loop_->Run();
  turn_->Close();
  return absl::OkStatus();
}

Metrics Daemon::Tell(const relay::Stats& stats) const {
  Metrics metrics;
  metrics.relay = stats;
  if (turn_->kernel() != nullptr) metrics.kernel = turn_->kernel()->stats();
  metrics.allocations = turn_->cluster().allocations();
  metrics.peer_connections = turn_->cluster().peer_connections();
  metrics.free_relay_ports = turn_->cluster().free_ports();
  metrics.authorizer = turn_->authorizer_stats();
  metrics.allocation_seconds = turn_->totals().seconds;
  metrics.allocation_bytes = turn_->totals().bytes;
  door_->Tell(metrics);
  metrics.dropped_log_lines = DroppedLogLines();
  metrics.process = ReadProcessStats();
  return metrics;
}

void Daemon::OnSignal(int number) {
  switch (number) {
    case SIGHUP:
      (void)Reload();  // Which logs it.
      return;
    case SIGUSR1:
      return spdlog::info("kyuud: {} allocations, {}",
                          turn_->cluster().allocations(), door_->Status());
    case SIGTERM:
      if (config_.drain_timeout > absl::ZeroDuration() &&
          StartDraining(config_.drain_timeout).ok()) {
        return;
      }
      break;
    default:
      break;
  }
  spdlog::info("kyuud: ending on signal {}", number);
  End();
}

void Daemon::End() {
  supervisor_->Stopping();
  door_->CloseAll();
  loop_->Stop();
}

// --- Draining ---------------------------------------------------------------

absl::Status Daemon::StartDraining(absl::Duration timeout) {
  if (drained_by_) return absl::FailedPreconditionError("it drains already");
  drained_by_ = net::Loop::Now() + timeout;
  spdlog::info(
      "kyuud: draining for at most {}: {} allocations go on, and no new ones "
      "are made; SIGTERM ends it at once",
      absl::FormatDuration(timeout), turn_->cluster().allocations());
  supervisor_->Stopping();
  door_->Drain(timeout);
  turn_->Drain();
  LookAtDrain();
  return absl::OkStatus();
}

void Daemon::LookAtDrain() {
  const size_t left = turn_->cluster().allocations();
  const absl::Time now = net::Loop::Now();
  // What is to be said before the end takes time, which the rest has not.
  const absl::Time last = *drained_by_ - door_->farewell();
  if ((left > 0 || door_->leaving() > 0) && now < last) {
    return drain_alarm_->Set(std::min(now + kDrainLook, last));
  }
  door_->BeginFarewell();
  if (door_->leaving() > 0 && now < *drained_by_) {
    return drain_alarm_->Set(std::min(now + kDrainLook, *drained_by_));
  }
  spdlog::info("kyuud: drained; {} allocations are left", left);
  End();
}

// --- Reloading --------------------------------------------------------------

absl::StatusOr<ReloadReport> Daemon::Reload() {
  supervisor_->Reloading();
  absl::StatusOr<ReloadReport> report = TryReload();
  supervisor_->Reloaded();
  if (!report.ok()) {
    spdlog::error("kyuud: not reloaded, all is as it was: {}",
                  std::string(report.status().message()));
    return report;
  }
  spdlog::info("kyuud: reloaded; changed: {}",
               report->changed.empty() ? "nothing"
                                       : absl::StrJoin(report->changed, ", "));
  if (!report->need_restart.empty()) {
    spdlog::warn("kyuud: these need a restart and are as they were: {}",
                 absl::StrJoin(report->need_restart, ", "));
  }
  return report;
}

absl::StatusOr<ReloadReport> Daemon::TryReload() {
  const std::variant<Config, Exit> read = reread_();
  if (const Exit* exit = std::get_if<Exit>(&read)) {
    absl::string_view text = absl::StripAsciiWhitespace(exit->text);
    absl::ConsumePrefix(&text, "kyuud: ");
    return absl::InvalidArgumentError(text);
  }
  Reloaded next = tools::Reload(config_, std::get<Config>(read));
  // All that can be wrong comes before all that changes. Certificates are read
  // again under the same name, too.
  KYUU_RETURN_IF_ERROR(CheckConfig(next.config));
  KYUU_ASSIGN_OR_RETURN(signaling::AdmissionOptions admission,
                        LoadAdmission(next.config.admission));
  KYUU_ASSIGN_OR_RETURN(std::optional<Tls> tls, OpenTls(next.config));
  KYUU_RETURN_IF_ERROR(turn_->Reload(Bounded(next.config)));
  if (tls) {
    Show(tls->identity);
    certificates_ = std::move(tls->files);  // The old ones are watched no more.
  }
  door_->SetRoutes(RoutesOf(next.config));
  door_->SetAdmission(std::move(admission));
  config_ = std::move(next.config);
  ChangeLog(config_.log_level, config_.log_format);
  return ReloadReport{PathsOf(next.changed), PathsOf(next.need_restart)};
}

}  // namespace kyuu::tools
