// TurnNode: one TURN server engine on one loop, with its sockets.

#ifndef KYUU_TOOLS_KYUUD_TURN_NODE_H_
#define KYUU_TOOLS_KYUUD_TURN_NODE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "tools/kyuud/relay_outbox.h"
#include "turn/server.h"

namespace kyuu::tools {

// TurnNode drives a turn::Server: it feeds it from its listeners and relay
// sockets, executes its forwarding decisions, and opens and closes relay
// sockets at its word. Everything happens on the loop's thread.
class TurnNode {
 public:
  // Passes a loan on to the node that owns the port.
  using TellOwner = absl::AnyInvocable<void(const turn::Server::PortLoan&)>;

  // `loop` must outlive the node.
  TurnNode(net::Loop& loop, std::vector<net::UdpSocket> listeners,
           turn::ServerOptions options, TellOwner tell_owner);
  TurnNode(const TurnNode&) = delete;
  TurnNode& operator=(const TurnNode&) = delete;

  // Makes a credential valid, and takes it back with all it was used for.
  void Grant(absl::string_view username, absl::string_view password);
  void Revoke(absl::string_view username);
  // Another node relays from a port of ours, or does so no longer.
  void HandleLoan(const turn::Server::PortLoan& loan);

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
  // Answers sent by one system call.
  static constexpr size_t kAnswers = 16;
  static constexpr size_t kAnswerBytes = 2048;
  // Receive calls per socket and wake-up, so that one flow cannot keep the
  // others waiting.
  static constexpr int kReceivesPerTurn = 4;

  void ReadListener(Listener& listener);
  void ReadRelay(Relay& relay);
  // Collects decisions for the outbox.
  void Execute(absl::Span<const turn::Forward> forwards);
  // Handles the server's events, sends its answers and arms the timer.
  void Service();
  void SendAnswers();
  net::UdpSocket* ListenerFor(const TransportAddress& local);

  void On(const turn::Server::OpenRelay& open);
  void On(const turn::Server::CloseRelay& close);
  void On(const turn::Server::AllocationMade& made);
  void On(const turn::Server::AllocationEnded& ended);
  void On(const turn::Server::PortLoan& loan);
  void On(const turn::Server::Closed& closed);

  net::Loop& loop_;
  SystemRandom random_;
  turn::Server server_;
  TellOwner tell_owner_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  absl::flat_hash_map<turn::RelayId, std::unique_ptr<Relay>> relays_;
  net::ReceiveBuffer buffer_;
  RelayOutbox outbox_;
  std::vector<uint8_t> answers_;
  net::Alarm alarm_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_TURN_NODE_H_
