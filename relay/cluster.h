// Cluster: TURN nodes on several loops, as one server.

#ifndef KYUU_RELAY_CLUSTER_H_
#define KYUU_RELAY_CLUSTER_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "dtls/acceptor.h"
#include "net/interface_watch.h"
#include "net/loop.h"
#include "net/stream_port.h"
#include "net/udp_socket.h"
#include "relay/addresses.h"
#include "relay/balance.h"
#include "relay/flow_path.h"
#include "relay/node.h"
#include "relay/options.h"
#include "relay/reserved_sockets.h"
#include "relay/sessions.h"
#include "relay/shared_ledger.h"
#include "relay/stats.h"

namespace kyuu::relay {

// Cluster runs one Node on the caller's loop and, for Options::threads above
// one, one on each loop of a thread of its own; the first of them serves nobody
// if the caller's loop is kept free (Options::main_loop). The nodes share the
// listening ports (SO_REUSEPORT): the kernel gives all packets of a client to
// the same node, which therefore owns its allocations without locks. They
// share relay ports and quotas (SharedLedger), and the sockets of reserved
// ports (ReservedSockets), of which the node that is shown the token takes one.
//
//   auto cluster = relay::Cluster::Open(
//       {.listen = {{IpAddress::V4(0, 0, 0, 0), 3478}},
//        .server = {.users = {{"name", "password"}}}},
//       *loop, [](const relay::Event& event) { ... });
class Cluster {
 public:
  // Opens all sockets. `main` must outlive the cluster. `on_event` is called on
  // its thread. ALREADY_EXISTS, with the address, if another program has one of
  // them; INVALID_ARGUMENT if the options cannot work; FAILED_PRECONDITION if
  // the peer policy fails its self-test (relay/addresses.h).
  static absl::StatusOr<std::unique_ptr<Cluster>> Open(Options options,
                                                       net::Loop& main,
                                                       EventHandler on_event);
  // Closes.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Serves a client on TCP or TLS, on the loop that has the fewest. Its port
  // must live until Close(), behind which nobody is admitted.
  void Admit(net::AcceptedStream accepted);
  // DTLS is spoken to new clients on UDP from now on, by this certificate.
  void SetDtls(const dtls::ServerContext& context);
  // Flows between clients and peers on plain UDP are relayed by `path` from now
  // on. It must live until Close().
  void SetFlowPath(FlowPath& path);
  // Makes a credential valid on every node, and then calls `done` on the main
  // loop; perhaps before it returns. If any node refuses, none has it.
  void Grant(const std::string& username, const std::string& password,
             absl::AnyInvocable<void(absl::Status)> done);
  // Answers AuthorizationWanted on all nodes: each knows the user then.
  void Authorize(const turn::Authorization& answer);
  // Takes it back everywhere: nothing new is made with it. What was made goes
  // on for ServerOptions::revoked_grace, or until EndAllocations().
  void Revoke(const std::string& username);
  void EndAllocations(const std::string& username);
  // Replaces the options of the servers, as turn::Server::SetOptions, and the
  // bounds of their common ledger. INVALID_ARGUMENT, and nothing has changed,
  // if they cannot work.
  absl::Status SetOptions(turn::ServerOptions server);
  // Ends all allocations, tells their events, and joins the threads.
  void Close();

  // Where it listens, with the real ports.
  const std::vector<TransportAddress>& listeners() const { return listeners_; }
  // Where relayed packets come from, as of now.
  const std::vector<turn::ServerOptions::RelayAddress>& relay_addresses()
      const {
    return addresses_.relay;
  }
  // How many clients on TCP and TLS each loop serves, as of now.
  const std::vector<size_t>& streams() const { return streams_; }
  // Allocations of all nodes, as of now.
  size_t allocations() const { return ledger_->lent(); }
  size_t free_ports() const { return ledger_->free_ports(); }
  // TCP connections with peers, as of now.
  size_t peer_connections() const { return ledger_->connections(); }
  // Takes one step of a walk through all allocations, on the loop that has
  // them, and hands what it has found to `done` on the main loop, never before
  // it returns; not at all once the cluster is closed. So even a long list
  // stops no loop for long.
  void ListSessions(SessionCursor from, SessionFilter filter,
                    absl::AnyInvocable<void(SessionPage)> done);
  // Sums the counters of all nodes and hands them to `done` on the main loop;
  // perhaps before it returns.
  void CollectStats(absl::AnyInvocable<void(const Stats&)> done);
  // The same at once, after Close().
  Stats stats() const;

 private:
  struct Worker {
    std::unique_ptr<net::Loop> loop;
    std::unique_ptr<Node> node;
    std::thread thread;
  };
  // The place of a stream in its port, and among those of its node.
  struct Place {
    net::StreamPermit permit;
    size_t instance = 0;
  };
  // Bytes handed over to a node that it has not taken yet.
  struct Waiting {
    std::atomic<size_t> bytes{0};
  };
  using Sockets = std::vector<std::vector<net::UdpSocket>>;  // By node.

  Cluster(Options options, net::Loop& main, EventHandler on_event);
  absl::Status Start();
  absl::StatusOr<Sockets> OpenListeners();
  absl::Status MakeNodes(Sockets sockets);
  Node::Handlers HandlersOf(size_t instance);
  void Give(size_t instance, net::UdpSocket listener);
  // All that no client may reach by relay.
  std::vector<TransportAddress> AllListeners() const;
  void FollowAddresses();
  bool HandOver(int instance, Node::Handover handover);
  void Move(int instance, Node::Departure departure);
  void Seat(size_t instance, Node::Departure departure);
  // The first node that has clients.
  size_t begin() const {
    return options_.main_loop == Options::MainLoop::kServes ? 0 : 1;
  }
  size_t nodes() const {
    return begin() + static_cast<size_t>(options_.threads);
  }
  net::Loop& LoopOf(size_t instance) const;
  Node& NodeOf(size_t instance) const;
  // From a worker's thread; delivered on the main loop.
  void Queue(const Event& event);
  void GiveBack(Place place);
  void DeliverSoon();
  void Deliver();

  const Options options_;
  net::Loop& main_;
  EventHandler on_event_;
  std::vector<TransportAddress> listeners_;
  Addresses addresses_;
  std::unique_ptr<SharedLedger> ledger_;
  ReservedSockets reserved_;
  Balance balance_;
  std::vector<Waiting> waiting_;  // By node.
  std::vector<size_t> streams_;   // By node: how many it serves.
  std::unique_ptr<Node> first_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<net::InterfaceWatch> interfaces_;
  std::mutex mutex_;
  bool delivery_posted_ = false;  // Guarded by mutex_, like the three below.
  std::vector<Event> queued_;
  std::vector<Place> given_back_;
  // Streams on their way to another node, by way of the main loop.
  std::vector<std::pair<size_t, Node::Departure>> departures_;
  // Expires with the cluster, for what was posted to the main loop.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_CLUSTER_H_
