// Node: one TURN server engine on one loop, with its sockets.

#ifndef KYUU_RELAY_NODE_H_
#define KYUU_RELAY_NODE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "net/socket_table.h"
#include "net/udp_socket.h"
#include "relay/options.h"
#include "relay/outbox.h"
#include "turn/server.h"

namespace kyuu::relay {

// Node drives a turn::Server: it feeds it from its listeners and relay
// sockets, executes its forwarding decisions, and opens and closes relay
// sockets at its word. Everything happens on the loop's thread.
class Node {
 public:
  // What a node says to others, on its loop.
  struct Handlers {
    EventHandler on_event;
    // Passes a loan on to the node that owns the port.
    absl::AnyInvocable<void(const turn::Server::PortLoan&)> tell_owner;
  };

  // `loop` must outlive the node.
  Node(net::Loop& loop, std::vector<net::UdpSocket> listeners,
       turn::ServerOptions options, Handlers handlers);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Makes a credential valid, and takes it back with all it was used for.
  absl::Status Grant(absl::string_view username, absl::string_view password);
  void Revoke(absl::string_view username);
  // Another node relays from a port of ours, or does so no longer.
  void HandleLoan(const turn::Server::PortLoan& loan);
  // Ends all allocations; their AllocationEnded are told before it returns.
  void Close();

  const turn::ServerStats& stats() const { return server_.stats(); }

 private:
  struct Listener {
    net::UdpSocket socket;
    std::unique_ptr<net::Watch> watch;
  };
  struct Relay {
    turn::RelayId id;
    net::UdpSocket socket;
    std::unique_ptr<net::Watch> watch;
  };

  void ReadListener(Listener& listener);
  void ReadRelay(Relay& relay);
  // Receives from `socket`, has each train judged and sends what came of it.
  void Read(net::UdpSocket& socket,
            absl::FunctionRef<absl::Span<const turn::Forward>(
                absl::Time now, const net::Train& train)>
                judge);
  // Collects decisions for the outbox.
  void Execute(absl::Span<const turn::Forward> forwards);
  // Handles the server's events, sends its answers and arms the timer.
  void Service();
  void SendAnswers();

  void On(const turn::Server::OpenRelay& open);
  void On(const turn::Server::CloseRelay& close);
  void On(const turn::Server::AllocationMade& made);
  void On(const turn::Server::AllocationEnded& ended);
  void On(const turn::Server::PortLoan& loan);
  void On(const turn::Server::Closed& closed);

  net::Loop& loop_;
  SystemRandom random_;
  turn::Server server_;
  Handlers handlers_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  net::SocketTable listener_table_;
  absl::flat_hash_map<turn::RelayId, std::unique_ptr<Relay>> relays_;
  net::ReceiveBuffer buffer_;
  Outbox outbox_;
  std::vector<uint8_t> answers_;
  net::Alarm alarm_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_NODE_H_
