#include "relay/cluster.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/interfaces.h"

namespace kyuu::relay {
namespace {

using RelayAddress = turn::ServerOptions::RelayAddress;

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

// The addresses to relay from: those that `options` name, and for families of
// which it names none those of the listeners.
absl::StatusOr<std::vector<RelayAddress>> RelayAddresses(
    const Options& options, const std::vector<net::Interface>& interfaces) {
  std::vector<RelayAddress> addresses;
  const auto named = [&](IpFamily family) {
    return std::any_of(
        options.relay_addresses.begin(), options.relay_addresses.end(),
        [family](const RelayAddress& a) {
          return a.bind.family() == family || a.advertised.family() == family;
        });
  };
  const auto known = [&](const IpAddress& bind) {
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const RelayAddress& a) { return a.bind == bind; });
  };
  for (const TransportAddress& listen : options.listen) {
    if (named(listen.ip.family())) continue;
    const std::optional<IpAddress> ip =
        listen.ip.IsAny() ? MainAddress(interfaces, listen.ip.family())
                          : listen.ip;
    if (!ip) {
      return absl::InvalidArgumentError(
          absl::StrCat("no address to relay from for ", listen.ToString()));
    }
    if (!known(*ip)) addresses.push_back({*ip, {}});
  }
  for (RelayAddress address : options.relay_addresses) {
    if (address.bind == IpAddress()) {
      const IpFamily family = address.advertised.family();
      std::optional<IpAddress> bind;
      for (const TransportAddress& listen : options.listen) {
        if (listen.ip.family() == family && !listen.ip.IsAny() && !bind) {
          bind = listen.ip;
        }
      }
      if (!bind) bind = MainAddress(interfaces, family);
      if (!bind) {
        return absl::InvalidArgumentError(
            absl::StrCat("this machine has no address to relay from as ",
                         address.advertised.ToString()));
      }
      address.bind = *bind;
    }
    addresses.push_back(address);
  }
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

std::string Secret() {
  SystemRandom random;
  return random.IceChars(32);
}

}  // namespace

Cluster::Cluster(net::Loop& main, EventHandler on_event)
    : main_(main), on_event_(std::move(on_event)) {}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Open(Options options,
                                                       net::Loop& main,
                                                       EventHandler on_event) {
  if (options.threads < 1) {
    return absl::InvalidArgumentError("a relay needs a thread");
  }
  std::unique_ptr<Cluster> cluster(new Cluster(main, std::move(on_event)));
  KYUU_ASSIGN_OR_RETURN(const std::vector<net::Interface> interfaces,
                        net::Interfaces());
  turn::ServerOptions server = options.server;
  server.utc_offset =
      absl::Now() - absl::UnixEpoch() - (net::Loop::Now() - absl::UnixEpoch());
  if (server.nonce_secret.empty()) server.nonce_secret = Secret();
  server.instances = options.threads;
  KYUU_ASSIGN_OR_RETURN(server.relay_addresses,
                        RelayAddresses(options, interfaces));
  cluster->relay_addresses_ = server.relay_addresses;
  KYUU_ASSIGN_OR_RETURN(Sockets sockets, cluster->OpenListeners(options));
  for (const TransportAddress& listener : cluster->listeners_) {
    if (!listener.ip.IsAny()) {
      server.listeners.push_back(listener);
      continue;
    }
    for (const net::Interface& i : interfaces) {
      server.listeners.push_back({i.address, listener.port});
    }
  }
  KYUU_RETURN_IF_ERROR(server.Validate());
  KYUU_RETURN_IF_ERROR(cluster->Start(std::move(sockets), std::move(server)));
  return cluster;
}

absl::StatusOr<Cluster::Sockets> Cluster::OpenListeners(
    const Options& options) {
  Sockets sockets(static_cast<size_t>(options.threads));
  for (const TransportAddress& listen : options.listen) {
    KYUU_ASSIGN_OR_RETURN(std::vector<net::UdpSocket> shared,
                          OpenShared(listen, options.threads));
    listeners_.push_back(shared[0].local());
    for (size_t i = 0; i < shared.size(); ++i) {
      sockets[i].push_back(std::move(shared[i]));
    }
  }
  return sockets;
}

absl::Status Cluster::Start(Sockets sockets, turn::ServerOptions options) {
  const auto tell_owner = [this](const turn::Server::PortLoan& loan) {
    TellOwner(loan);
  };
  options.instance = 0;
  first_ = std::make_unique<Node>(
      main_, std::move(sockets[0]), options,
      Node::Handlers{[this](const Event& event) { on_event_(event); },
                     tell_owner});
  for (size_t i = 1; i < sockets.size(); ++i) {
    auto worker = std::make_unique<Worker>();
    KYUU_ASSIGN_OR_RETURN(worker->loop, net::Loop::Create());
    options.instance = static_cast<int>(i);
    worker->node = std::make_unique<Node>(
        *worker->loop, std::move(sockets[i]), options,
        Node::Handlers{[this](const Event& event) { Queue(event); },
                       tell_owner});
    workers_.push_back(std::move(worker));
  }
  // Only now, because they look at each other (TellOwner).
  for (const auto& worker : workers_) {
    worker->thread = std::thread([loop = worker->loop.get()] { loop->Run(); });
  }
  return absl::OkStatus();
}

Cluster::~Cluster() { Close(); }

void Cluster::Close() {
  for (const auto& worker : workers_) {
    if (!worker->thread.joinable()) continue;
    worker->loop->Post([node = worker->node.get(), loop = worker->loop.get()] {
      node->Close();
      loop->Stop();
    });
  }
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  if (first_ != nullptr) first_->Close();
  Deliver();
}

void Cluster::Queue(const Event& event) {
  bool first = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    first = queued_.empty();
    queued_.push_back(event);
  }
  if (!first) return;
  main_.Post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) Deliver();
  });
}

void Cluster::Deliver() {
  std::vector<Event> events;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    events.swap(queued_);
  }
  for (const Event& event : events) on_event_(event);
}

// On the loop of whichever node has borrowed.
void Cluster::TellOwner(const turn::Server::PortLoan& loan) {
  const auto owner = static_cast<size_t>(loan.owner);
  net::Loop& loop = owner == 0 ? main_ : *workers_[owner - 1]->loop;
  Node* node = owner == 0 ? first_.get() : workers_[owner - 1]->node.get();
  loop.Post([node, loan, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) node->HandleLoan(loan);
  });
}

turn::ServerStats Cluster::stats() const {
  turn::ServerStats sum;
  const auto add = [&sum](const turn::ServerStats& stats) {
    sum.requests += stats.requests;
    sum.errors += stats.errors;
    sum.to_peers += stats.to_peers;
    sum.to_clients += stats.to_clients;
    sum.malformed += stats.malformed;
    sum.unexpected += stats.unexpected;
    sum.rate_limited += stats.rate_limited;
    sum.answers_dropped += stats.answers_dropped;
    sum.no_allocation += stats.no_allocation;
    sum.no_channel += stats.no_channel;
    sum.no_permission += stats.no_permission;
    sum.forbidden += stats.forbidden;
  };
  if (first_ != nullptr) add(first_->stats());
  for (const auto& worker : workers_) add(worker->node->stats());
  return sum;
}

void Cluster::Grant(const std::string& username, const std::string& password,
                    absl::AnyInvocable<void(absl::Status)> done) {
  // Only touched on the main loop.
  struct Pending {
    size_t left;
    absl::Status status;
    absl::AnyInvocable<void(absl::Status)> done;
  };
  absl::Status status = first_->Grant(username, password);
  if (workers_.empty()) return done(std::move(status));
  auto pending = std::make_shared<Pending>(
      Pending{workers_.size(), std::move(status), std::move(done)});
  for (const auto& worker : workers_) {
    worker->loop->Post([this, node = worker->node.get(), username, password,
                        pending,
                        alive = std::weak_ptr<bool>(alive_)]() mutable {
      absl::Status granted = node->Grant(username, password);
      main_.Post([this, username, granted = std::move(granted),
                  pending = std::move(pending), alive]() mutable {
        pending->status.Update(granted);
        if (--pending->left > 0) return;
        if (!pending->status.ok() && !alive.expired()) Revoke(username);
        pending->done(std::move(pending->status));
      });
    });
  }
}

void Cluster::Revoke(const std::string& username) {
  first_->Revoke(username);
  for (const auto& worker : workers_) {
    worker->loop->Post(
        [node = worker->node.get(), username] { node->Revoke(username); });
  }
}

}  // namespace kyuu::relay
