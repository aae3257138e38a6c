#include "tools/kyuud/turn_cluster.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/interfaces.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

using RelayAddress = turn::ServerOptions::RelayAddress;

IpPrefix Prefix(absl::string_view text) {
  return IpPrefix::Parse(text).value();
}

// The address from which a wildcard listener of `family` relays: the first one
// by which others can reach this machine.
std::optional<IpAddress> MainAddress(
    const std::vector<net::Interface>& interfaces, IpFamily family) {
  std::optional<IpAddress> loopback;
  for (const net::Interface& i : interfaces) {
    if (i.address.family() != family || i.address.IsLinkLocal()) continue;
    if (i.kind != net::InterfaceKind::kLoopback) return i.address;
    if (!loopback) loopback = i.address;
  }
  return loopback;
}

absl::StatusOr<std::vector<RelayAddress>> RelayAddresses(const Config& config) {
  const absl::StatusOr<std::vector<net::Interface>> interfaces =
      net::Interfaces();
  if (!interfaces.ok()) return interfaces.status();
  std::vector<IpAddress> binds;
  for (const TransportAddress& listen : config.turn_listen) {
    const std::optional<IpAddress> ip =
        listen.ip.IsAny() ? MainAddress(*interfaces, listen.ip.family())
                          : listen.ip;
    if (!ip) {
      return absl::InvalidArgumentError(
          absl::StrCat("no address to relay from for ", listen.ToString()));
    }
    if (std::find(binds.begin(), binds.end(), *ip) == binds.end()) {
      binds.push_back(*ip);
    }
  }
  std::vector<RelayAddress> addresses;
  for (const IpAddress& bind : binds) addresses.push_back({bind, {}});
  if (!config.relay_address) return addresses;
  // One of this machine's own addresses is bound; any other must be what a NAT
  // in front of us translates to.
  const IpAddress& given = *config.relay_address;
  const bool own =
      given.IsLoopback() ||
      std::any_of(interfaces->begin(), interfaces->end(),
                  [&](const net::Interface& i) { return i.address == given; });
  addresses.erase(std::remove_if(addresses.begin(), addresses.end(),
                                 [&](const RelayAddress& a) {
                                   return a.bind.family() == given.family();
                                 }),
                  addresses.end());
  if (own) {
    addresses.push_back({given, {}});
    return addresses;
  }
  std::optional<IpAddress> bind;
  for (const IpAddress& ip : binds) {
    if (ip.family() == given.family() && !bind) bind = ip;
  }
  if (!bind) bind = MainAddress(*interfaces, given.family());
  if (!bind) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--relay-address ", given.ToString(),
        ": this machine has no address of that family to relay from"));
  }
  addresses.push_back({*bind, given});
  return addresses;
}

// Opens the `count` sockets that share `address`. The first is opened alone:
// with SO_REUSEPORT a second server of the same user would not be refused.
absl::StatusOr<std::vector<net::UdpSocket>> OpenShared(TransportAddress address,
                                                       int count) {
  std::vector<net::UdpSocket> sockets;
  KYUU_ASSIGN_OR_RETURN(net::UdpSocket alone,
                        net::UdpSocket::Open({.bind = address}));
  address = alone.local();
  if (count == 1) {
    sockets.push_back(std::move(alone));
    return sockets;
  }
  { const net::UdpSocket closed = std::move(alone); }
  for (int i = 0; i < count; ++i) {
    KYUU_ASSIGN_OR_RETURN(
        net::UdpSocket socket,
        net::UdpSocket::Open({.bind = address, .reuse_port = true}));
    sockets.push_back(std::move(socket));
  }
  return sockets;
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
  // Clients are programs of this machine and can reach all of it anyway.
  options.allow_peers.push_back(Prefix("0.0.0.0/0"));
  options.allow_peers.push_back(Prefix("::/0"));
  for (const char* text :
       {"0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "ff00::/8", "::/128"}) {
    options.deny_peers.push_back(Prefix(text));
  }
}

std::string Secret() {
  SystemRandom random;
  return random.IceChars(32);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TurnCluster>> TurnCluster::Open(
    const Config& config, net::Loop& main) {
  turn::ServerOptions options;
  options.realm = config.realm;
  for (const Config::User& user : config.users) {
    options.users.push_back({user.name, user.password});
  }
  options.utc_offset =
      absl::Now() - absl::UnixEpoch() - (net::Loop::Now() - absl::UnixEpoch());
  options.nonce_secret = Secret();
  options.relay_port_low = config.relay_port_low;
  options.relay_port_high = config.relay_port_high;
  options.instances = config.threads;
  SetPeerPolicy(config, options);
  KYUU_ASSIGN_OR_RETURN(options.relay_addresses, RelayAddresses(config));

  std::unique_ptr<TurnCluster> cluster(new TurnCluster(main));
  cluster->relay_addresses_ = options.relay_addresses;
  std::vector<std::vector<net::UdpSocket>> sockets(
      static_cast<size_t>(config.threads));
  for (const TransportAddress& listen : config.turn_listen) {
    KYUU_ASSIGN_OR_RETURN(std::vector<net::UdpSocket> shared,
                          OpenShared(listen, config.threads));
    cluster->listeners_.push_back(shared[0].local());
    for (size_t i = 0; i < shared.size(); ++i) {
      sockets[i].push_back(std::move(shared[i]));
    }
  }
  for (const TransportAddress& listener : cluster->listeners_) {
    if (!listener.ip.IsAny()) {
      options.listeners.push_back(listener);
      continue;
    }
    KYUU_ASSIGN_OR_RETURN(const std::vector<net::Interface> interfaces,
                          net::Interfaces());
    for (const net::Interface& i : interfaces) {
      options.listeners.push_back({i.address, listener.port});
    }
  }
  KYUU_RETURN_IF_ERROR(options.Validate());
  const auto make_node = [&](net::Loop& loop, size_t i) {
    options.instance = static_cast<int>(i);
    return std::make_unique<TurnNode>(
        loop, std::move(sockets[i]), options,
        [c = cluster.get()](const turn::Server::PortLoan& loan) {
          c->TellOwner(loan);
        });
  };
  cluster->first_ = make_node(main, 0);
  for (size_t i = 1; i < sockets.size(); ++i) {
    auto worker = std::make_unique<Worker>();
    KYUU_ASSIGN_OR_RETURN(worker->loop, net::Loop::Create());
    worker->node = make_node(*worker->loop, i);
    cluster->workers_.push_back(std::move(worker));
  }
  // Only now, because they look at each other (TellOwner).
  for (const auto& worker : cluster->workers_) {
    worker->thread = std::thread([loop = worker->loop.get()] { loop->Run(); });
  }
  return cluster;
}

TurnCluster::~TurnCluster() {
  for (const auto& worker : workers_) worker->loop->Stop();
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  LogTotals();
}

// On the loop of whichever node has borrowed.
void TurnCluster::TellOwner(const turn::Server::PortLoan& loan) {
  const auto owner = static_cast<size_t>(loan.owner);
  net::Loop& loop = owner == 0 ? main_ : *workers_[owner - 1]->loop;
  TurnNode* node = owner == 0 ? first_.get() : workers_[owner - 1]->node.get();
  loop.Post([node, loan] { node->HandleLoan(loan); });
}

void TurnCluster::LogTotals() const {
  if (first_ == nullptr) return;  // Open() failed.
  turn::ServerStats sum;
  const auto add = [&sum](const turn::ServerStats& stats) {
    sum.requests += stats.requests;
    sum.errors += stats.errors;
    sum.to_peers += stats.to_peers;
    sum.to_clients += stats.to_clients;
    sum.malformed += stats.malformed;
    sum.unexpected += stats.unexpected;
    sum.rate_limited += stats.rate_limited + stats.answers_dropped;
    sum.no_allocation += stats.no_allocation + stats.no_channel;
    sum.no_permission += stats.no_permission + stats.forbidden;
  };
  add(first_->stats());
  for (const auto& worker : workers_) add(worker->node->stats());
  spdlog::info(
      "turn: {} requests, {} of them refused; {} datagrams relayed to peers, "
      "{} to clients; dropped: {} malformed, {} unexpected, {} beyond the "
      "rate, {} without an allocation or channel, {} without a permission",
      sum.requests, sum.errors, sum.to_peers, sum.to_clients, sum.malformed,
      sum.unexpected, sum.rate_limited, sum.no_allocation, sum.no_permission);
}

void TurnCluster::Grant(const std::string& username,
                        const std::string& password,
                        absl::AnyInvocable<void()> done) {
  first_->Grant(username, password);
  if (workers_.empty()) return done();
  // Only touched on the main loop.
  struct Pending {
    size_t left;
    absl::AnyInvocable<void()> done;
  };
  auto pending =
      std::make_shared<Pending>(Pending{workers_.size(), std::move(done)});
  for (const auto& worker : workers_) {
    worker->loop->Post([this, node = worker->node.get(), username, password,
                        pending]() mutable {
      node->Grant(username, password);
      main_.Post([pending = std::move(pending)] {
        if (--pending->left == 0) pending->done();
      });
    });
  }
}

void TurnCluster::Revoke(const std::string& username) {
  first_->Revoke(username);
  for (const auto& worker : workers_) {
    worker->loop->Post(
        [node = worker->node.get(), username] { node->Revoke(username); });
  }
}

}  // namespace kyuu::tools
