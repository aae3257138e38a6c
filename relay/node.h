// Node: one TURN server engine on one loop, with its sockets.

#ifndef KYUU_RELAY_NODE_H_
#define KYUU_RELAY_NODE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "base/random.h"
#include "base/system_random.h"
#include "dtls/acceptor.h"
#include "net/loop.h"
#include "net/socket_table.h"
#include "net/stream.h"
#include "net/stream_memory.h"
#include "net/stream_options.h"
#include "net/udp_socket.h"
#include "relay/balance.h"
#include "relay/dtls_clients.h"
#include "relay/flow_driver.h"
#include "relay/flow_path.h"
#include "relay/internal/handover.h"
#include "relay/options.h"
#include "relay/outbox.h"
#include "relay/peer_streams.h"
#include "relay/reserved_sockets.h"
#include "relay/sessions.h"
#include "relay/stats.h"
#include "relay/stream_client.h"
#include "turn/server.h"

namespace kyuu::relay {

// Node drives a turn::Server: it feeds it from its listeners and relay
// sockets, executes its forwarding decisions, and opens and closes relay
// sockets at its word. Everything happens on the loop's thread.
class Node {
 public:
  using Handover = internal::Handover;
  using Departure = internal::Departure;

  // What a node says to others, on its loop.
  struct Handlers {
    EventHandler on_event;
    // Takes datagrams to the node `instance`, to be given to its Deliver();
    // false if it has no room for them. May be empty for a node alone.
    absl::AnyInvocable<bool(int instance, Handover)> hand_over;
    // Takes a stream there, to be given to its Arrive(). The same.
    absl::AnyInvocable<void(int instance, Departure)> move;
    // Null if nobody shares the listeners' addresses; else it outlives the
    // node, and `give` takes a listener there, to be given to its Listen().
    Balance* balance = nullptr;
    absl::AnyInvocable<void(size_t instance, net::UdpSocket)> give;
  };

  // `loop`, and `ledger` and `reserved`, which all nodes of a machine share,
  // must outlive the node.
  Node(net::Loop& loop, std::vector<net::UdpSocket> listeners,
       turn::ServerOptions options, turn::Ledger& ledger,
       ReservedSockets& reserved, Handlers handlers,
       const StreamSettings& streams, const DtlsClientsOptions& dtls = {});
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // From now on DTLS is spoken to clients, by this certificate.
  void SetDtls(const dtls::ServerContext& context);
  // Flows are relayed by `path` from now on; it must outlive the node.
  void SetFlowPath(FlowPath& path);
  // Serves a client on a stream, until Close() at the latest. `place` goes when
  // the stream has gone; `watch` is the stream's, on this loop, if it has one.
  void Admit(net::Stream stream, std::shared_ptr<void> place,
             std::optional<net::Watch> watch = std::nullopt);
  // Makes a credential valid, and takes it back: for new allocations only, see
  // turn::Server::Revoke(). EndAllocations() ends those that there are.
  absl::Status Grant(absl::string_view username, absl::string_view password);
  // As turn::Server::Authorize.
  void Authorize(const turn::Authorization& answer);
  void Revoke(absl::string_view username);
  void EndAllocations(absl::string_view username);
  // Takes one step of Cluster::ListSessions(), from `place` on; the page's
  // cursor has this place of the next step only.
  SessionPage ListSessions(size_t place, const SessionFilter& filter);
  // Takes what another node had for relays and clients of this one.
  void Deliver(Handover handover);
  // Serves a client that has come to another node first.
  void Arrive(Departure departure);
  // Has clients come by `socket`, which is bound as one of the first.
  void Listen(net::UdpSocket socket);
  // As turn::Server::SetAddresses.
  void SetAddresses(std::vector<turn::ServerOptions::RelayAddress> relay,
                    std::vector<TransportAddress> listeners,
                    std::vector<IpAddress> own);
  // As turn::Server::SetOptions.
  void SetOptions(turn::ServerOptions options);
  // Ends all allocations; their AllocationEnded are told before it returns.
  void Close();

  const turn::Server& server() const { return server_; }
  Stats stats() const;

 private:
  struct Listener;
  struct Relay;
  // A client on TCP or TLS.
  struct Guest;
  // Clients on DTLS, and what their messages are unpacked into: it stays until
  // the outbox has sent what came of them.
  struct Dtls {
    Dtls(const DtlsClientsOptions& options, const dtls::ServerContext& context,
         Random& random)
        : clients(options, context, random) {}

    DtlsClients clients;
    std::vector<uint8_t> plaintext;
    size_t used = 0;
  };

  void ReadListener(Listener& listener);
  void GiveListeners();
  void CountClients();
  void ReadRelay(Relay& relay);
  // Takes what routers and hosts have said of what it sent.
  void ReadErrors(Relay& relay);
  // Receives from `socket`, so many times at most, has each train judged and
  // sends what came of it. False if there may be more.
  bool Read(net::UdpSocket& socket, int receives,
            absl::FunctionRef<absl::Span<const turn::Forward>(
                absl::Time now, const net::Train& train)>
                judge);
  // Whether a train of a listener is for dtls_, and was given to it.
  bool HearDtls(absl::Time now, const net::Train& train);
  bool HandSealedOn(absl::Time now, const net::Train& train, size_t first);
  void EndVisit(const Path& client, const DtlsClients::Visit& visit);
  void DeliverSealed(absl::Time now, Handover::Item& item, int from,
                     absl::Span<const uint8_t> bytes);
  // False if the message has taken the client's session to another node.
  bool HearUnsealed(absl::Time now, const Path& path,
                    absl::Span<const uint8_t> message, turn::Arrival arrival);
  void Unpack(absl::Time now, const Path& path, turn::Arrival arrival);
  void SendSealed(const turn::Forward& forward);
  // Sends what dtls_ has to say, and tells the server who has gone.
  void ServeDtls();
  Guest& Seat(const Path& path, std::string host, net::Stream stream,
              std::shared_ptr<void> place, StreamClient client,
              turn::Reach reach,
              std::optional<net::Watch> watch = std::nullopt);
  // Takes a whole message of a stream to the server. The guest may be gone
  // then.
  void Hear(Guest& guest, const StreamClient::Message& message);
  // It is another node's from now on, or one with a peer's stream.
  void Depart(Guest& guest, int instance, const StreamClient::Message& message);
  void Join(Guest& guest, turn::ConnectionId connection);
  Guest* FindGuest(const Path& path);
  // Queues data for a client on a stream; it leaves with FlushGuests().
  void SendToGuest(const turn::Forward& forward);
  bool HasRoomFor(const Guest& guest) const;
  void ShedMemory();
  void FlushLater(Guest& guest);
  void FlushGuests();
  // Keeps what goes to a relay of another node.
  void Collect(const turn::Forward& forward, const net::IpMarks& marks);
  // Sends what has been collected.
  void Flush();
  // Collects decisions for the outbox, about what came with `marks`.
  void Execute(absl::Span<const turn::Forward> forwards,
               const net::IpMarks& marks = {});
  // Handles the server's events, sends its answers and arms the timer.
  void Service();
  // Takes flows to their path, and sends the server's answers.
  void SendAnswers();
  void ServeFlows();

  // The socket of a relayed port, or of one that is reserved.
  absl::StatusOr<net::UdpSocket> OpenSocket(const TransportAddress& bind);
  // Opens and watches a relay of UDP, and keeps the port that is reserved with
  // it; of one that fails nothing stays.
  absl::Status OpenUdp(const turn::Server::OpenRelay& open);
  // A client has an allocation now, or no more.
  void Gained(const Path& client);
  void Lost(const Path& client);
  void On(const turn::Server::OpenRelay& open);
  void On(const turn::Server::CloseRelay& close);
  void On(const turn::Server::ConnectPeer& connect);
  void On(const turn::Server::ClosePeer& close);
  void On(const turn::Server::AllocationMade& made);
  void On(const turn::Server::AllocationMoved& moved);
  void On(const turn::Server::AllocationEnded& ended);
  void On(const turn::Server::AllocationRefused& refused);
  void On(const turn::Server::AuthorizationWanted& wanted);
  void On(const turn::Server::Closed& closed);

  net::Loop& loop_;
  SystemRandom random_;
  const int instance_;
  turn::Server server_;
  ReservedSockets& reserved_;
  net::Alarm reserved_alarm_;
  Handlers handlers_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Listener* reading_ = nullptr;   // What is heard now has come by it.
  bool keeps_listeners_ = false;  // Requests of some may wait here.
  net::UdpStats given_listeners_;
  net::SocketTable listener_table_;
  absl::flat_hash_map<turn::RelayId, std::unique_ptr<Relay>> relays_;
  const DtlsClientsOptions dtls_options_;
  std::unique_ptr<Dtls> dtls_;
  const StreamClientOptions stream_options_;
  net::Alarm shed_alarm_;
  net::StreamMemory stream_memory_;
  net::StreamBuffer stream_buffer_;
  absl::flat_hash_map<Path, std::unique_ptr<Guest>> guests_;
  PeerStreams peers_;
  std::vector<Path> dirty_guests_;
  std::vector<Path> flushed_guests_;  // Empty; its memory is used again.
  net::ReceiveBuffer buffer_;
  Outbox outbox_;
  NodeStats stats_;
  net::UdpStats closed_relays_;
  std::vector<Handover> handovers_;  // By instance; empty ones wait for use.
  std::vector<uint8_t> answers_;
  net::Alarm alarm_;
  std::optional<FlowDriver> flows_;  // With a path.
  net::Alarm flows_alarm_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_NODE_H_
