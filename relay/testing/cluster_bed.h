// ClusterBed: a cluster behind one TCP port of this machine, for tests.

#ifndef KYUU_RELAY_TESTING_CLUSTER_BED_H_
#define KYUU_RELAY_TESTING_CLUSTER_BED_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/testing.h"
#include "net/stream_port.h"
#include "net/tcp.h"
#include "net/testing/loop.h"
#include "relay/cluster.h"
#include "relay/options.h"

namespace kyuu::relay {

// What fixtures inherit. The user is u with the password p, and peers may be on
// this machine.
class ClusterBed {
 protected:
  // A free port of loopback.
  static inline const TransportAddress kAnyPort{IpAddress::V4(127, 0, 0, 1), 0};

  void Open(Options options) {
    options.listen = {kAnyPort};
    options.server.users = {{"u", "p"}};
    options.server.allow_peers = {IpPrefix::Parse("127.0.0.0/8").value()};
    auto cluster =
        Cluster::Open(std::move(options), *loop_, [this](const Event& event) {
          events_.push_back(event);
          loop_->Stop();
        });
    ASSERT_OK(cluster);
    cluster_ = *std::move(cluster);
    std::vector<net::TcpListener> listeners;
    listeners.push_back(net::TcpListener::Open({.bind = kAnyPort}).value());
    server_ = listeners[0].local();
    port_.emplace(
        *loop_, std::move(listeners), net::StreamPortOptions(),
        [this](net::AcceptedStream stream) {
          cluster_->Admit(std::move(stream));
        },
        [](net::StreamRefusal, const TransportAddress&) {});
  }

  net::TestLoop loop_;
  std::vector<Event> events_;  // Of the cluster, its end included.
  TransportAddress server_;
  std::optional<net::StreamPort> port_;  // Outlives the cluster's streams.
  std::unique_ptr<Cluster> cluster_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_TESTING_CLUSTER_BED_H_
