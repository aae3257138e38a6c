#include "tools/kyuud/turn_service.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/counters.h"
#include "base/status_macros.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/kernel/open.h"

namespace kyuu::tools {
namespace {

IpPrefix Prefix(absl::string_view text) {
  return IpPrefix::Parse(text).value();
}

// Whom relayed packets may reach beside the public internet.
void SetPeerPolicy(const Config& config, turn::ServerOptions& options) {
  // Two clients that can only relay meet between their relayed addresses.
  options.own_relays = turn::ServerOptions::OwnRelays::kAllow;
  // Over TCP clients come in where HTTP does.
  for (const auto* listens : {&config.turn_listen, &config.http_listen}) {
    for (const TransportAddress& listen : *listens) {
      if (!listen.ip.IsLoopback()) return;
    }
  }
  // Clients are programs of this machine, and so may their peers be: nothing
  // else is opened, since a proxy on this machine would open it to everybody.
  options.allow_peers.push_back(Prefix("127.0.0.0/8"));
  options.allow_peers.push_back(Prefix("::1/128"));
}

AuthorizerOptions AuthorizerOptionsOf(const Config& config) {
  AuthorizerOptions options;
  if (config.authorizer.has_value()) options.address = *config.authorizer;
  options.timeout = config.authorizer_timeout;
  options.questions_max = config.authorizer_questions;
  return options;
}

// A server that listens on every address is reached by the name by which the
// client has reached us already.
std::string Advertise(const TransportAddress& listener,
                      const std::string& host) {
  if (!listener.ip.IsAny() || host.empty()) return listener.ToString();
  return absl::StrCat(host, ":", listener.port);
}

// A certificate is for a name, whichever address of ours it leads to.
std::string AdvertiseTls(const TransportAddress& listener,
                         const std::string& host) {
  if (host.empty() || absl::StartsWith(host, "[") ||
      IpAddress::Parse(host).ok()) {
    return Advertise(listener, host);
  }
  return absl::StrCat(host, ":", listener.port);
}

// A proxy in front takes HTTP through, and nothing else. Who presents the
// server at a port or by a protocol that is none of ours is one, too.
bool HasProxy(const Config& config,
              const std::vector<TransportAddress>& listeners) {
  if (!config.proxies.empty()) return true;
  if (!config.public_url.has_value()) return false;
  const WebOrigin& seen = config.public_url->origin;
  const bool tls = !config.tls_certificates.empty();
  return (seen.scheme == "https") != tls ||
         std::none_of(listeners.begin(), listeners.end(),
                      [&](const TransportAddress& listener) {
                        return listener.port == seen.port;
                      });
}

}  // namespace

std::vector<std::string> StreamUrls(
    const Config& config, const std::vector<TransportAddress>& listeners,
    const std::string& host) {
  std::vector<std::string> urls;
  if (HasProxy(config, listeners)) return urls;
  const auto add = [&urls](absl::string_view scheme, const std::string& at) {
    std::string url = absl::StrCat(scheme, at, "?transport=tcp");
    if (std::find(urls.begin(), urls.end(), url) == urls.end()) {
      urls.push_back(std::move(url));
    }
  };
  for (const TransportAddress& listener : listeners) {
    add("turn:", Advertise(listener, host));
    if (!config.tls_certificates.empty()) {
      add("turns:", AdvertiseTls(listener, host));
    }
  }
  return urls;
}

relay::Options RelayOptions(const Config& config,
                            std::vector<TransportAddress> services) {
  relay::Options options;
  options.server = config.turn;
  options.server.listeners = std::move(services);
  options.listen = config.turn_listen;
  options.threads = config.threads;
  // A room that fills, or a page that is fetched, is nothing that a voice waits
  // for. On one processor a loop more would be no help.
  if (config.threads > 1) {
    options.main_loop = relay::Options::MainLoop::kKeptFree;
  }
  options.streams = config.streams;
  options.dtls = config.dtls;
  options.handover_bytes_max = config.handover_bytes_max;
  SetPeerPolicy(config, options.server);
  if (config.authorizer.has_value()) {
    options.server.authorizing.by =
        turn::ServerOptions::Authorizing::By::kDriver;
  }
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
    std::vector<relay::kernel::Attachment> kept, net::Loop& loop,
    Random& random) {
  std::unique_ptr<TurnService> service(
      new TurnService(services, config, loop, random));
  absl::StatusOr<std::unique_ptr<relay::Cluster>> cluster =
      relay::Cluster::Open(
          RelayOptions(config, std::move(services)), loop,
          [s = service.get()](const relay::Event& event) { s->On(event); });
  if (!cluster.ok()) return cluster.status();
  service->cluster_ = *std::move(cluster);
  KYUU_ASSIGN_OR_RETURN(
      service->kernel_,
      KernelOpening::Begin(config.kernel, service->cluster(), std::move(kept),
                           loop,
                           [s = service.get()](relay::kernel::KernelPath& p) {
                             s->OnKernelPath(p);
                           }));
  return service;
}

TurnService::TurnService(std::vector<TransportAddress> stream_listeners,
                         const Config& config, net::Loop& loop, Random& random)
    : authorizer_(loop, AuthorizerOptionsOf(config),
                  [this](const AuthorizerQuestion& question,
                         const AuthorizerAnswer& answer) {
                    OnAnswer(question, answer);
                  }),
      stream_listeners_(std::move(stream_listeners)),
      config_(config),
      random_(random) {}

void TurnService::On(const relay::Event& event) {
  log_(event);
  if (const auto* ended = std::get_if<relay::AllocationEnded>(&event)) {
    totals_.seconds.Observe(
        absl::ToDoubleSeconds(net::Loop::Now() - ended->made));
    totals_.bytes.Observe(static_cast<double>(ended->traffic.bytes_to_peers +
                                              ended->traffic.bytes_to_clients));
  } else if (const auto* wanted =
                 std::get_if<relay::AuthorizationWanted>(&event)) {
    authorizer_.Ask({wanted->username, wanted->realm, wanted->client});
  } else if (std::holds_alternative<relay::AddressesChanged>(event) &&
             kernel() != nullptr) {
    kernel()->SetAddresses(AddressesOf(*cluster_));
  }
}

void TurnService::OnKernelPath(relay::kernel::KernelPath& path) {
  if (closed_) return;
  cluster_->SetFlowPath(path);
  // They may be others than when it set out.
  path.SetAddresses(AddressesOf(*cluster_));
}

void TurnService::OnAnswer(const AuthorizerQuestion& question,
                           const AuthorizerAnswer& answer) {
  using Verdict = AuthorizerAnswer::Verdict;
  if (closed_) return;
  turn::Authorization told;
  told.user = {question.username, answer.password, answer.key};
  told.realm = question.realm;
  told.allocations_max = answer.allocations;
  absl::Duration lifetime = config_.authorizer_lifetime;
  if (answer.verdict == Verdict::kGranted) {
    told.verdict = turn::Authorization::Verdict::kGranted;
  } else if (answer.verdict == Verdict::kDenied) {
    told.verdict = turn::Authorization::Verdict::kDenied;
    lifetime = config_.authorizer_denied;
  }
  told.until = net::Loop::Now() + answer.lifetime.value_or(lifetime);
  cluster_->Authorize(told);
}

TurnService::~TurnService() { Close(); }

absl::Status TurnService::Reload(const Config& config) {
  // What runs may be what the file has not any more, until it is started anew.
  KYUU_RETURN_IF_ERROR(CheckKernel(config.kernel, config.turn));
  turn::ServerOptions options = RelayOptions(config, {}).server;
  if (draining_) {
    options.admission = turn::ServerOptions::Admission::kDraining;
  }
  const absl::Status status = cluster_->SetOptions(options);
  if (!status.ok()) return status;
  config_ = config;
  authorizer_.SetOptions(AuthorizerOptionsOf(config));
  return status;
}

void TurnService::Drain() {
  draining_ = true;
  // What works with other words works with this one, too.
  (void)Reload(config_);
}

void TurnService::Close() {
  if (std::exchange(closed_, true) || cluster_ == nullptr) return;
  cluster_->Close();
  const relay::Stats sum = cluster_->stats();
  spdlog::info("turn: in all {}", CountersToString(sum.server));
  spdlog::info("turn: loops {}", CountersToString(sum.node));
  spdlog::info("turn: listeners {}", CountersToString(sum.listeners));
  spdlog::info("turn: relay sockets {}", CountersToString(sum.relays));
  if (kernel() == nullptr) return;
  spdlog::info("turn: flows {}", CountersToString(sum.flows));
  spdlog::info("turn: kernel {}", CountersToString(kernel()->stats()));
}

std::vector<relay::kernel::Attachment> TurnService::LeaveKernel() {
  if (kernel() == nullptr) return {};
  return kernel()->Leave();
}

void TurnService::Open(const std::string& session, const std::string& host,
                       absl::AnyInvocable<void(Servers)> done) {
  if (config_.mode != Mode::kAll) return done({});
  signaling::IceServer stun, turn;
  for (const TransportAddress& listener : cluster_->listeners()) {
    const std::string at = Advertise(listener, host);
    stun.urls.push_back(absl::StrCat("stun:", at));
    turn.urls.push_back(absl::StrCat("turn:", at, "?transport=udp"));
  }
  for (std::string& url : StreamUrls(config_, stream_listeners_, host)) {
    turn.urls.push_back(std::move(url));
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
