// TurnCluster: TURN nodes on all loops of kyuud, as one server.

#ifndef KYUU_TOOLS_KYUUD_TURN_CLUSTER_H_
#define KYUU_TOOLS_KYUUD_TURN_CLUSTER_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "net/loop.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/turn_node.h"

namespace kyuu::tools {

// TurnCluster runs one TurnNode on the main loop and, for --threads above one,
// one on each loop of a thread of its own. The nodes share the listening ports
// (SO_REUSEPORT): the kernel gives all packets of a client to the same node,
// which therefore owns its allocations without locks. Relay ports are divided;
// a node that is shown another's reservation token opens the port, and tells.
class TurnCluster {
 public:
  // Opens all sockets. `main` must outlive the cluster, and not run after it.
  // ALREADY_EXISTS, with the address, if another program has one of them;
  // INVALID_ARGUMENT if the configuration cannot work.
  static absl::StatusOr<std::unique_ptr<TurnCluster>> Open(const Config& config,
                                                           net::Loop& main);
  // Stops and joins the threads, and logs what was answered and dropped.
  ~TurnCluster();
  TurnCluster(const TurnCluster&) = delete;
  TurnCluster& operator=(const TurnCluster&) = delete;

  // Makes a credential valid on every node, and then calls `done` on the main
  // loop; perhaps before it returns.
  void Grant(const std::string& username, const std::string& password,
             absl::AnyInvocable<void()> done);
  // Takes it back everywhere; allocations made with it end.
  void Revoke(const std::string& username);

  // Where it listens, with the real ports.
  const std::vector<TransportAddress>& listeners() const { return listeners_; }
  // Where relayed packets come from.
  const std::vector<turn::ServerOptions::RelayAddress>& relay_addresses()
      const {
    return relay_addresses_;
  }
  size_t nodes() const { return 1 + workers_.size(); }

 private:
  struct Worker {
    std::unique_ptr<net::Loop> loop;
    std::unique_ptr<TurnNode> node;
    std::thread thread;
  };

  explicit TurnCluster(net::Loop& main) : main_(main) {}
  void TellOwner(const turn::Server::PortLoan& loan);
  void LogTotals() const;

  net::Loop& main_;
  std::vector<TransportAddress> listeners_;
  std::vector<turn::ServerOptions::RelayAddress> relay_addresses_;
  std::unique_ptr<TurnNode> first_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_TURN_CLUSTER_H_
