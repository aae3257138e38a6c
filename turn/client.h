// The TURN client: borrows an address of a server to be reached at.

#ifndef KYUU_TURN_CLIENT_H_
#define KYUU_TURN_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "stun/message.h"
#include "turn/channel_data.h"
#include "turn/client_connections.h"
#include "turn/client_events.h"
#include "turn/client_options.h"
#include "turn/client_stats.h"
#include "turn/client_token.h"
#include "turn/internal/client_credential.h"
#include "turn/internal/client_records.h"

namespace kyuu::turn {

// Client is the engine of one allocation (RFC 8656) made from one local
// address, over UDP or over a stream (ClientOptions::transport). Requests and
// responses go through the five verbs, relayed datagrams through Wrap() and
// Unwrap(), which neither queue nor allocate once the server was asked to let
// them pass:
//
//   turn::Client client(random, {.local = ours, .server = server,
//                                .username = "u", .password = "p"});
//   client.Allocate(now);              // later: event Allocated
//   client.Permit(now, peer);          // later: event PermissionGranted
//   auto datagram = client.Wrap(now, peer, payload, buffer);
//   if (auto in = client.Unwrap(received)) Use(in->peer, in->payload);
//   else client.HandlePacket(now, received);
//
// Allocation, permissions and channels are refreshed until Close().
class Client {
 public:
  using Packet = Datagram;

  using Options = ClientOptions;
  using Stats = ClientStats;

  using Allocated = ClientAllocated;
  using PermissionGranted = ClientPermissionGranted;
  using PermissionFailed = ClientPermissionFailed;
  using ChannelBound = ClientChannelBound;
  using Moved = ClientMoved;
  using MoveRefused = ClientMoveRefused;
  using FamilyEnded = ClientFamilyEnded;
  using Closed = ClientClosed;
  using TokenWanted = ClientTokenWanted;
  using PeerConnected = ClientPeerConnected;
  using PeerJoined = ClientPeerJoined;
  using PeerFailed = ClientPeerFailed;
  using Event = ClientEvent;
  using Received = ClientReceived;

  // Longest prefix that Wrap() puts in front of a payload (a Send indication to
  // an IPv6 peer, DONT-FRAGMENT in it); up to 3 bytes of padding may follow.
  static constexpr size_t kOverheadMax = 20 + 24 + 4 + 4;

  // `random` must outlive the client.
  Client(Random& random, Options options);

  // Starts. FAILED_PRECONDITION if it was started before; INVALID_ARGUMENT if
  // the options cannot work.
  absl::Status Allocate(absl::Time now);
  // Asks the server to let datagrams from and to peer.ip pass; again does no
  // harm. FAILED_PRECONDITION unless allocated, INVALID_ARGUMENT if the peer is
  // of no relayed family, RESOURCE_EXHAUSTED beyond permissions/peers_max.
  absl::Status Permit(absl::Time now, const TransportAddress& peer);
  // Binds a channel to the peer, which permits it as well. Errors as Permit().
  absl::Status BindChannel(absl::Time now, const TransportAddress& peer);
  // Refreshes it: Closed if it is lost. FAILED_PRECONDITION unless allocated.
  absl::Status Refresh(absl::Time now);
  // Refreshes one family, or gives one of two back (RFC 8656 section 8.1);
  // FamilyEnded if it is gone. FAILED_PRECONDITION: there is none, or no other.
  absl::Status RefreshFamily(absl::Time now, IpFamily family);
  absl::Status ReleaseFamily(absl::Time now, IpFamily family);
  // Goes on from `local`, another address or stream of ours, or the same one
  // behind a NAT that has changed (RFC 8016). Moved or MoveRefused follows, or
  // Closed if nothing is answered until the lifetime's end (on a stream: in
  // 39.5 s). Until then data goes by the former address, and Wrap() says
  // UNAVAILABLE for peers not permitted yet; what comes there is taken until
  // the next refresh. Do not tell HandleStreamEnd() of a stream that is left.
  // FAILED_PRECONDITION unless movable(); INVALID_ARGUMENT: other family.
  absl::Status Move(absl::Time now, const TransportAddress& local);
  // Shows the token from now on, in answer to TokenWanted or before it was
  // asked for; an allocation is refreshed with it at once, and goes on.
  // FAILED_PRECONDITION when closing or closed, or if Options::tokens does not
  // say so; INVALID_ARGUMENT as ClientToken::Validate().
  absl::Status UseToken(absl::Time now, ClientToken token);
  // Gives the allocation back (Refresh with lifetime 0), then Closed.
  void Close(absl::Time now);

  // Wrap builds, inside `out`, the datagram that makes the server send
  // `payload` to `peer`: ChannelData if a channel is bound, else a Send
  // indication. `payload` may lie inside `out`; if it begins 4 bytes after
  // out's start, ChannelData is made without moving it. FAILED_PRECONDITION
  // unless allocated and permitted (asked for is enough); RESOURCE_EXHAUSTED
  // if `out` is shorter than payload.size() + kOverheadMax + 3, or than the
  // request below, or beyond held_bytes_max.
  //
  // Data never leaves before the request that it depends on: while
  // CreatePermission has not left, Wrap() keeps a copy of the payload and
  // returns the *request*; the payload follows from PollTransmit(), or from the
  // next Wrap(), which keeps its own. So: send what Wrap() returns, then drain.
  absl::StatusOr<Datagram> Wrap(absl::Time now, const TransportAddress& peer,
                                absl::Span<const uint8_t> payload,
                                absl::Span<uint8_t> out);
  // Unwrap opens a datagram of the server's that carries data. nullopt for
  // all others: give those to HandlePacket().
  std::optional<Received> Unwrap(const Datagram& in);

  // The host of `remote` has said that nobody listens there. Without allocation
  // yet that is the end: Closed with `why` (RFC 8489 section 6.2.1). Afterwards
  // it is counted only, as ICMP proves nothing (RFC 5927): a refresh will tell.
  void HandleRefusal(absl::Time now, const TransportAddress& remote,
                     const absl::Status& why);
  // The stream to the server has ended, or `why` it failed: the server has
  // ended the allocation with it (RFC 8656 section 7.2), and so this is Closed.
  void HandleStreamEnd(absl::Time now, const absl::Status& why);
  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  bool allocated() const { return state_ == State::kAllocated; }
  // The relayed address, of two the IPv4 one; nothing unless allocated.
  const TransportAddress& relayed() const { return relays_.First(); }
  // That of one family; nullptr if there is none.
  const TransportAddress* relayed(IpFamily family) const;
  // Whether Move() can be asked for: allocated, and the server gave a ticket.
  bool movable() const { return allocated() && !mobility_.ticket.empty(); }
  // The server in use: another than Options::server after ALTERNATE-SERVER.
  const TransportAddress& server() const { return server_; }
  // The bound channel of a peer, for drivers that write the header themselves.
  std::optional<uint16_t> ChannelOf(const TransportAddress& peer) const;
  // What TCP connections to and from peers are made with (RFC 6062).
  ClientConnections& connections() { return connections_; }
  const Stats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  enum class State { kIdle, kAllocating, kAllocated, kClosing, kClosed };

  using MessageView = stun::MessageView;
  using Request = internal::ClientRequest;
  using Failure = internal::Failure;
  using Verdict = internal::Verdict;
  using Permission = internal::Permission;
  using Peer = internal::Peer;
  using Subject = internal::Subject;
  using Timer = internal::ClientTimer;

  // Requests: client_requests.cc.
  Request NewRequest() const;
  std::optional<Request>& RequestOf(Subject subject);
  void StartRequest(Subject subject, int challenges = 0);
  void EndRequest(Subject subject);
  void EndSubject(Subject subject);
  void OnRto(absl::Time now, Subject subject);
  void OnLifetime(absl::Time now, Subject subject);
  absl::Span<const uint8_t> WriteRequest(Subject subject,
                                         absl::Span<uint8_t> out);
  absl::Span<const uint8_t> WriteAllocation(Request& request,
                                            absl::Span<uint8_t> out) const;
  bool Send(absl::Time now, Subject subject, absl::Span<const uint8_t> bytes);

  absl::StatusOr<Peer*> AddPeer(const TransportAddress& address);
  Permission* FindPermission(const IpAddress& ip);
  void StartChannel(Peer& peer);
  absl::StatusOr<Datagram> Hold(absl::Time now, Peer& peer,
                                absl::Span<const uint8_t> payload,
                                absl::Span<uint8_t> out);
  std::optional<Packet> PollHeld(absl::Span<uint8_t> out);
  Datagram WriteData(const Peer& peer, absl::Span<const uint8_t> payload,
                     absl::Span<uint8_t> out);
  void ForgetPeers();
  Path path() const { return {options_.local, server_, options_.transport}; }
  bool on_stream() const { return options_.transport == Transport::kTcp; }

  // What responses do: client_responses.cc.
  Verdict Judge(const MessageView& response, Subject subject, Failure& failure);
  void OnAttempt(absl::Time now, const MessageView& attempt);
  void OnAllocation(absl::Time now, const MessageView& response);
  void OnAllocated(absl::Time now, const MessageView& response);
  void OnPermission(absl::Time now, Subject subject,
                    const MessageView& response);
  void OnChannel(absl::Time now, Subject subject, const MessageView& response);
  std::optional<TransportAddress> Alternate(const MessageView& response) const;
  void FollowAlternate(const TransportAddress& to);
  void SetAllocationLifetime(absl::Time now, absl::Duration lifetime);
  void FailPermission(absl::Time now, Subject subject, Failure failure);
  void RefuseChannel(Subject subject);
  void Finish(Failure failure);

  // client_families.cc
  bool TakeRelays(const MessageView& response, Allocated& told);
  void OnFamily(absl::Time now, Subject subject, const MessageView& response);
  void EndFamily(Subject subject, Failure failure);
  void ForgetPeersOf(IpFamily family);

  // client_mobility.cc
  Path data_path() const;
  bool IsOurs(const Path& path) const;
  void KeepTicket(const MessageView& response);
  void OnMoved(absl::Duration lifetime);
  void OnMoveRefused(Failure failure);

  // client_token.cc
  void WantToken(TokenWanted::Why why);

  Random& random_;
  Options options_;
  TransportAddress server_;
  internal::ClientCredential credential_;
  State state_ = State::kIdle;
  bool redirected_ = false;
  internal::ClientRelays relays_;
  internal::ClientMobility mobility_;
  std::optional<Request> allocation_request_;  // Allocate, then Refresh.
  internal::ClientPeers known_;
  internal::ClientWaits waits_;
  bool token_wanted_ = false;  // The application knows that one is.
  DeadlineQueue<internal::TimerKey> timers_;
  Queue<internal::Held> held_;
  size_t held_bytes_ = 0;
  Queue<Event> events_;
  Stats stats_;
  ClientConnections connections_;
};

static_assert(Engine<Client>);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_CLIENT_H_
