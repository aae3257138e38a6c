#include "relay/cluster.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/interfaces.h"

namespace kyuu::relay {
namespace {

// Opens the `count` sockets that share `address`. The first is opened alone:
// with SO_REUSEPORT a second server of the same user would not be refused.
absl::StatusOr<std::vector<net::UdpSocket>> OpenShared(TransportAddress address,
                                                       size_t count) {
  std::vector<net::UdpSocket> sockets;
  KYUU_ASSIGN_OR_RETURN(
      net::UdpSocket alone,
      net::UdpSocket::Open({.bind = address, .await_address = true}));
  address = alone.local();
  if (count == 1) {
    sockets.push_back(std::move(alone));
    return sockets;
  }
  { const net::UdpSocket closed = std::move(alone); }
  for (size_t i = 0; i < count; ++i) {
    KYUU_ASSIGN_OR_RETURN(
        net::UdpSocket socket,
        net::UdpSocket::Open(
            {.bind = address, .reuse_port = true, .await_address = true}));
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

// Where to listen: NAT discovery needs both of its IPs at both of its ports.
std::vector<TransportAddress> Listen(const Options& options) {
  std::vector<TransportAddress> all = options.listen;
  for (const TransportAddress& a : options.server.discovery) {
    for (const TransportAddress& b : options.server.discovery) {
      const TransportAddress needed{a.ip, b.port};
      const auto serves = [&needed](const TransportAddress& listen) {
        return listen.port == needed.port &&
               (listen.ip == needed.ip ||
                (listen.ip.IsAny() &&
                 listen.ip.family() == needed.ip.family()));
      };
      if (std::none_of(all.begin(), all.end(), serves)) all.push_back(needed);
    }
  }
  return all;
}

// The machine's addresses: those of its interfaces, and those that `options`
// name and that can be bound all the same, by a route of kind "local".
absl::StatusOr<std::vector<net::Interface>> Machine(const Options& options) {
  KYUU_ASSIGN_OR_RETURN(std::vector<net::Interface> interfaces,
                        net::Interfaces());
  std::vector<IpAddress> named;
  for (const TransportAddress& a : options.listen) named.push_back(a.ip);
  for (const auto& a : options.relay_addresses) named.push_back(a.bind);
  for (const IpAddress& ip : named) {
    if (ip == IpAddress() || ip.IsAny() || net::IsHere(interfaces, ip)) {
      continue;
    }
    if (net::UdpSocket::Open({.bind = {ip, 0}}).ok()) {
      interfaces.push_back({.name = "", .index = 0, .address = ip});
    }
  }
  return interfaces;
}

std::string Secret() {
  SystemRandom random;
  return random.IceChars(32);
}

}  // namespace

Cluster::Cluster(Options options, net::Loop& main, EventHandler on_event)
    : options_(std::move(options)),
      main_(main),
      on_event_(std::move(on_event)),
      balance_(begin(), nodes(), Balance::SocketsEach(options_.threads)),
      waiting_(nodes()) {}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Open(Options options,
                                                       net::Loop& main,
                                                       EventHandler on_event) {
  if (options.threads < 1) {
    return absl::InvalidArgumentError("a relay needs a thread");
  }
  if (options.server.nonce_secret.empty()) {
    options.server.nonce_secret = Secret();
  }
  std::unique_ptr<Cluster> cluster(
      new Cluster(std::move(options), main, std::move(on_event)));
  KYUU_RETURN_IF_ERROR(cluster->Start());
  return cluster;
}

absl::Status Cluster::Start() {
  KYUU_ASSIGN_OR_RETURN(Sockets sockets, OpenListeners());
  // Before the addresses are read, so that no change is missed.
  KYUU_ASSIGN_OR_RETURN(interfaces_, net::InterfaceWatch::Create(
                                         main_, [this] { FollowAddresses(); }));
  KYUU_ASSIGN_OR_RETURN(const std::vector<net::Interface> interfaces,
                        Machine(options_));
  addresses_ = AddressesOf(options_, listeners_, interfaces);
  return MakeNodes(std::move(sockets));
}

absl::StatusOr<Cluster::Sockets> Cluster::OpenListeners() {
  Sockets sockets(nodes());
  const size_t serving = nodes() - begin();
  const size_t each = Balance::SocketsEach(options_.threads);
  for (const TransportAddress& listen : Listen(options_)) {
    KYUU_ASSIGN_OR_RETURN(std::vector<net::UdpSocket> shared,
                          OpenShared(listen, serving * each));
    listeners_.push_back(shared[0].local());
    for (size_t i = 0; i < shared.size(); ++i) {
      sockets[begin() + i % serving].push_back(std::move(shared[i]));
    }
  }
  return sockets;
}

std::vector<TransportAddress> Cluster::AllListeners() const {
  std::vector<TransportAddress> all = options_.server.listeners;
  all.insert(all.end(), listeners_.begin(), listeners_.end());
  return all;
}

absl::Status Cluster::MakeNodes(Sockets sockets) {
  turn::ServerOptions server = options_.server;
  server.listeners = AllListeners();
  server.relay_addresses = addresses_.relay;
  server.own_addresses = addresses_.own;
  KYUU_RETURN_IF_ERROR(server.Validate());
  ledger_ = std::make_unique<SharedLedger>(server);
  StreamSettings streams = options_.streams;
  const size_t serving = nodes() - begin();
  streams.bytes_max /= serving;
  streams_.resize(sockets.size());
  DtlsClientsOptions dtls = options_.dtls;
  dtls.sessions_max = std::max<size_t>(1, dtls.sessions_max / serving);
  server.instance = 0;
  server.instances = static_cast<int>(nodes());
  first_ =
      std::make_unique<Node>(main_, std::move(sockets[0]), server, *ledger_,
                             reserved_, HandlersOf(0), streams, dtls);
  KYUU_RETURN_IF_ERROR(CheckPolicy(options_, listeners_, addresses_,
                                   [this](const TransportAddress& peer) {
                                     return first_->server().AllowsPeer(peer);
                                   }));
  for (size_t i = 1; i < sockets.size(); ++i) {
    auto worker = std::make_unique<Worker>();
    KYUU_ASSIGN_OR_RETURN(worker->loop, net::Loop::Create());
    server.instance = static_cast<int>(i);
    worker->node = std::make_unique<Node>(*worker->loop, std::move(sockets[i]),
                                          server, *ledger_, reserved_,
                                          HandlersOf(i), streams, dtls);
    workers_.push_back(std::move(worker));
  }
  // Only now, because they look at each other (HandOver).
  for (const auto& worker : workers_) {
    worker->thread = std::thread([loop = worker->loop.get()] { loop->Run(); });
  }
  return absl::OkStatus();
}

Node::Handlers Cluster::HandlersOf(size_t instance) {
  Node::Handlers handlers;
  handlers.on_event = [this, instance](const Event& event) {
    instance == 0 ? on_event_(event) : Queue(event);
  };
  handlers.hand_over = [this](int to, Node::Handover handover) {
    return HandOver(to, std::move(handover));
  };
  handlers.move = [this](int to, Node::Departure departure) {
    Move(to, std::move(departure));
  };
  if (options_.threads > 1) handlers.balance = &balance_;
  handlers.give = [this](size_t to, net::UdpSocket listener) {
    Give(to, std::move(listener));
  };
  return handlers;
}

// Allocations on an address that is gone stay: it may come back, and their
// clients go on then.
void Cluster::FollowAddresses() {
  const absl::StatusOr<std::vector<net::Interface>> interfaces =
      Machine(options_);
  if (!interfaces.ok() || first_ == nullptr) return;
  Addresses now = AddressesOf(options_, listeners_, *interfaces);
  if (now == addresses_) return;
  const bool relay_changed = now.relay != addresses_.relay;
  addresses_ = std::move(now);
  // First those that refuse: an address that has come is ours before anything
  // is lent on it.
  first_->SetAddresses(addresses_.relay, AllListeners(), addresses_.own);
  for (const auto& worker : workers_) {
    worker->loop->Post([node = worker->node.get(), a = addresses_,
                        listeners = AllListeners()] {
      node->SetAddresses(a.relay, listeners, a.own);
    });
  }
  ledger_->SetRelayAddresses(addresses_.relay);
  if (relay_changed) on_event_(AddressesChanged{addresses_.relay});
}

absl::Status Cluster::SetOptions(turn::ServerOptions server) {
  server.relay_addresses = addresses_.relay;
  KYUU_RETURN_IF_ERROR(server.Validate());
  // First who they are for: a server must not lend what the ledger refuses.
  ledger_->SetLimits(server);
  for (const auto& worker : workers_) {
    worker->loop->Post(
        [node = worker->node.get(), server] { node->SetOptions(server); });
  }
  first_->SetOptions(std::move(server));
  return absl::OkStatus();
}

net::Loop& Cluster::LoopOf(size_t instance) const {
  return instance == 0 ? main_ : *workers_[instance - 1]->loop;
}

Node& Cluster::NodeOf(size_t instance) const {
  return instance == 0 ? *first_ : *workers_[instance - 1]->node;
}

// On any node's loop.
bool Cluster::HandOver(int instance, Node::Handover handover) {
  const auto index = static_cast<size_t>(instance);
  Waiting& waiting = waiting_[index];
  const size_t bytes = handover.bytes.size();
  if (waiting.bytes.fetch_add(bytes) + bytes > options_.handover_bytes_max) {
    waiting.bytes.fetch_sub(bytes);
    return false;
  }
  LoopOf(index).Post([this, index, alive = std::weak_ptr<bool>(alive_),
                      handover = std::move(handover)]() mutable {
    if (alive.expired()) return;
    waiting_[index].bytes.fetch_sub(handover.bytes.size());
    NodeOf(index).Deliver(std::move(handover));
  });
  return true;
}

// On any node's loop.
void Cluster::Give(size_t instance, net::UdpSocket listener) {
  LoopOf(instance).Post([this, instance, alive = std::weak_ptr<bool>(alive_),
                         listener = std::move(listener)]() mutable {
    if (!alive.expired()) NodeOf(instance).Listen(std::move(listener));
  });
}

// On any node's loop. Who has how many streams is known on the main one.
void Cluster::Move(int instance, Node::Departure departure) {
  const std::lock_guard<std::mutex> lock(mutex_);
  departures_.emplace_back(static_cast<size_t>(instance), std::move(departure));
  DeliverSoon();
}

void Cluster::Seat(size_t instance, Node::Departure departure) {
  Place& place = *static_cast<Place*>(departure.place.get());
  --streams_[place.instance];
  ++streams_[instance];
  place.instance = instance;
  if (instance == 0) return first_->Arrive(std::move(departure));
  LoopOf(instance).Post(
      [node = &NodeOf(instance), departure = std::move(departure)]() mutable {
        node->Arrive(std::move(departure));
      });
}

Cluster::~Cluster() { Close(); }

void Cluster::Close() {
  interfaces_.reset();
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
  // Where these were to go, nobody serves them any more.
  std::vector<std::pair<size_t, Node::Departure>> stranded;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stranded.swap(departures_);
  }
  stranded.clear();
  Deliver();
}

void Cluster::Admit(net::AcceptedStream accepted) {
  const size_t instance = static_cast<size_t>(
      std::min_element(streams_.begin() + static_cast<ptrdiff_t>(begin()),
                       streams_.end()) -
      streams_.begin());
  ++streams_[instance];
  // The port's books are kept on this thread, wherever the stream ends.
  std::shared_ptr<Place> place(new Place{std::move(accepted.permit), instance},
                               [this](Place* p) {
                                 GiveBack(std::move(*p));
                                 delete p;
                               });
  if (instance == 0) {
    return first_->Admit(std::move(accepted.stream), std::move(place),
                         std::move(accepted.watch));
  }
  accepted.watch.reset();  // It goes to another loop.
  LoopOf(instance).Post([node = &NodeOf(instance),
                         stream = std::move(accepted.stream),
                         place = std::move(place)]() mutable {
    node->Admit(std::move(stream), std::move(place));
  });
}

void Cluster::SetDtls(const dtls::ServerContext& context) {
  first_->SetDtls(context);
  for (const auto& worker : workers_) {
    worker->loop->Post(
        [node = worker->node.get(), context] { node->SetDtls(context); });
  }
}

void Cluster::SetFlowPath(FlowPath& path) {
  first_->SetFlowPath(path);
  for (const auto& worker : workers_) {
    worker->loop->Post(
        [node = worker->node.get(), &path] { node->SetFlowPath(path); });
  }
}

void Cluster::Queue(const Event& event) {
  const std::lock_guard<std::mutex> lock(mutex_);
  queued_.push_back(event);
  DeliverSoon();
}

void Cluster::GiveBack(Place place) {
  const std::lock_guard<std::mutex> lock(mutex_);
  given_back_.push_back(std::move(place));
  DeliverSoon();
}

// With mutex_ held.
void Cluster::DeliverSoon() {
  if (std::exchange(delivery_posted_, true)) return;
  main_.Post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) Deliver();
  });
}

void Cluster::Deliver() {
  std::vector<Event> events;
  std::vector<Place> places;
  std::vector<std::pair<size_t, Node::Departure>> departures;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    delivery_posted_ = false;
    events.swap(queued_);
    places.swap(given_back_);
    departures.swap(departures_);
  }
  for (const Place& place : places) --streams_[place.instance];
  for (auto& [instance, departure] : departures) {
    Seat(instance, std::move(departure));
  }
  for (const Event& event : events) on_event_(event);
}

Stats Cluster::stats() const {
  Stats sum;
  if (first_ != nullptr) sum.Add(first_->stats());
  for (const auto& worker : workers_) sum.Add(worker->node->stats());
  return sum;
}

void Cluster::CollectStats(absl::AnyInvocable<void(const Stats&)> done) {
  // Only touched on the main loop.
  struct Pending {
    size_t left;
    Stats sum;
    absl::AnyInvocable<void(const Stats&)> done;
  };
  auto pending = std::make_shared<Pending>(
      Pending{workers_.size(), first_->stats(), std::move(done)});
  if (workers_.empty()) return pending->done(pending->sum);
  for (const auto& worker : workers_) {
    worker->loop->Post([this, node = worker->node.get(), pending]() mutable {
      main_.Post([stats = node->stats(), pending = std::move(pending)] {
        pending->sum.Add(stats);
        if (--pending->left == 0) pending->done(pending->sum);
      });
    });
  }
}

void Cluster::ListSessions(SessionCursor from, SessionFilter filter,
                           absl::AnyInvocable<void(SessionPage)> done) {
  LoopOf(from.instance)
      .Post([this, from, filter = std::move(filter), done = std::move(done),
             alive = std::weak_ptr<bool>(alive_)]() mutable {
        if (alive.expired()) return;
        SessionPage page =
            NodeOf(from.instance).ListSessions(from.place, filter);
        if (page.next.has_value()) {
          page.next->instance = from.instance;
        } else if (from.instance < workers_.size()) {
          page.next = SessionCursor{from.instance + 1, 0};
        }
        if (from.instance == 0) return done(std::move(page));
        main_.Post(
            [page = std::move(page), done = std::move(done), alive]() mutable {
              if (!alive.expired()) done(std::move(page));
            });
      });
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

void Cluster::Authorize(const turn::Authorization& answer) {
  first_->Authorize(answer);
  for (const auto& worker : workers_) {
    worker->loop->Post(
        [node = worker->node.get(), answer] { node->Authorize(answer); });
  }
}

void Cluster::Revoke(const std::string& username) {
  first_->Revoke(username);
  for (const auto& worker : workers_) {
    worker->loop->Post(
        [node = worker->node.get(), username] { node->Revoke(username); });
  }
}

void Cluster::EndAllocations(const std::string& username) {
  first_->EndAllocations(username);
  for (const auto& worker : workers_) {
    worker->loop->Post([node = worker->node.get(), username] {
      node->EndAllocations(username);
    });
  }
}

}  // namespace kyuu::relay
