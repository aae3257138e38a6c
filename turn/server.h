// The TURN server (RFC 8656): relays datagrams for clients that have proven
// who they are.

#ifndef KYUU_TURN_SERVER_H_
#define KYUU_TURN_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "stun/message.h"
#include "stun/protocol.h"
#include "turn/flows.h"
#include "turn/forward.h"
#include "turn/internal/allocation.h"
#include "turn/internal/allocation_table.h"
#include "turn/internal/answer.h"
#include "turn/internal/answer_queue.h"
#include "turn/internal/authorizations.h"
#include "turn/internal/nonce.h"
#include "turn/internal/peer_policy.h"
#include "turn/internal/realms.h"
#include "turn/internal/request.h"
#include "turn/internal/throttle.h"
#include "turn/internal/ticket.h"
#include "turn/internal/visitors.h"
#include "turn/ledger.h"
#include "turn/local_ledger.h"
#include "turn/peer_connections.h"
#include "turn/server_events.h"
#include "turn/server_options.h"
#include "turn/server_stats.h"

namespace kyuu::turn {

// Server is an engine without sockets. The driver owns the listeners and, at
// its word, a relay socket for each relayed address:
//
//   // From a listener (requests and data), and from a relay socket:
//   for (auto& f : server.FromClient(now, path, bytes, segment_size)) Send(f);
//   for (auto& f : server.FromPeer(now, relay, source, bytes, size)) Send(f);
//   while (auto answer = server.PollTransmit(now, buffer)) Send(*answer);
//   while (auto event = server.PollEvent()) ...
//     OpenRelay:  open a socket; server.RelayOpened(now, id) or RelayFailed()
//     CloseRelay: close it
//
// The data path (FromClient with data, FromPeer) neither copies nor allocates.
// Nothing is kept about a client that has not proven its credentials. Several
// servers share addresses and quotas by a Ledger.
class Server : public ServerEvents {
 public:
  using Packet = Datagram;
  using Options = ServerOptions;
  using Stats = ServerStats;

  // `random` must outlive the server and be fit for secrets in production; so
  // must `ledger`, which all servers of one machine share. Without one the
  // server keeps its own.
  Server(Random& random, Options options);
  Server(Random& random, Options options, Ledger& ledger);
  ~Server();

  // Takes what a listener received: a datagram or a train of them (`bytes` cut
  // every `segment_size`). The decisions live until the next packet.
  absl::Span<const Forward> FromClient(absl::Time now, const Path& path,
                                       absl::Span<const uint8_t> bytes,
                                       size_t segment_size,
                                       Arrival arrival = {});
  // Takes what a relay socket received from `source`, or what another server
  // of the ledger has for `relay` (Forward::Exit::kRelay).
  absl::Span<const Forward> FromPeer(absl::Time now, RelayId relay,
                                     const TransportAddress& source,
                                     absl::Span<const uint8_t> bytes,
                                     size_t segment_size);

  // What ICMP has said of a datagram to `peer` (ServerOptions::icmp_reports).
  void HandleIcmp(absl::Time now, RelayId relay, const TransportAddress& peer,
                  const stun::Icmp& icmp);

  // Of peers on TCP (RFC 6062): what a driver of such has to tell.
  PeerConnections& connections() { return connections_; }
  // For a driver that can relay channels without asking for each datagram.
  Flows& flows() { return flows_; }

  // FromClient or FromPeer, by path.local; the decisions are in forwards().
  void HandlePacket(absl::Time now, Packet in);
  absl::Span<const Forward> forwards() const { return forwards_; }
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // Answers to OpenRelay; an id that is gone is ignored.
  void RelayOpened(absl::Time now, RelayId relay);
  void RelayFailed(absl::Time now, RelayId relay);
  // The machine has other addresses: replaces relay_addresses, listeners and
  // own_addresses of ServerOptions. A shared ledger is told by its owner.
  void SetAddresses(std::vector<Options::RelayAddress> relay,
                    std::vector<TransportAddress> listeners,
                    std::vector<IpAddress> own);
  // A client's stream or DTLS session is over, and with it its allocation (RFC
  // 8656 section 5: the 5-tuple is no more), but one on a stream that may move.
  void ClientGone(const Path& path);

  // Makes a credential, or replaces that of the same name, until `expires` (on
  // the driver's clock). Static users of the same name come first.
  // INVALID_ARGUMENT if empty; RESOURCE_EXHAUSTED beyond granted_max.
  absl::Status Grant(absl::Time now, absl::string_view username,
                     absl::string_view password,
                     absl::Time expires = absl::InfiniteFuture());
  // Answers AuthorizationWanted; what has waited for it is heard.
  void Authorize(absl::Time now, const Authorization& answer);
  // Takes a granted credential back: nothing is made with it any more. What
  // there is goes on for ServerOptions::revoked_grace at most.
  void Revoke(absl::Time now, absl::string_view username);
  // Ends the allocations of a user at once (kRevoked), or of all time-limited
  // names of the same NAME. Returns how many there were.
  size_t EndAllocations(absl::string_view username);
  // Judges those at up to `count` places from `begin` on, of which some may be
  // empty. Returns the next place, or nullopt at the last.
  std::optional<size_t> ListSessions(
      absl::Time now, size_t begin, size_t count,
      absl::FunctionRef<SessionVerdict(const SessionInfo&)> judge);
  // Replaces the options that may change (server_options.h says which); they
  // must pass Validate(). Who is no user any more is as if revoked.
  void SetOptions(absl::Time now, Options options);
  void SetUtcOffset(absl::Duration offset) { options_.utc_offset = offset; }
  // Ends all allocations, then tells Closed; packets are dropped then.
  void Close();

  size_t allocations() const { return allocations_.size(); }
  // Ports not in use, of all relay addresses.
  size_t free_ports() const { return ledger_.free_ports(); }
  // Whether any client could send to `peer` now. For self-tests.
  bool AllowsPeer(const TransportAddress& peer) const;
  const Stats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  using Allocation = internal::Allocation;
  using Credential = internal::Credential;
  using Answer = internal::Answer;
  using Request = internal::ServerRequest;

  // server.cc
  Server(Random& random, Options options, std::unique_ptr<LocalLedger> own,
         Ledger* shared);
  size_t HandleStun(absl::Time now, const Path& path,
                    absl::Span<const uint8_t> train, size_t segment_size);
  void HandleClassic(const Path& path, absl::Span<const uint8_t> bytes);
  void HandleRequest(absl::Time now, const Path& path,
                     const stun::MessageView& message);
  Answer Success(const Request& request) const;
  void Reply(const Request& request, stun::Error error);
  void ReplyUnproven(const Request& request, stun::Error error);
  bool Push(const Answer& answer) { return answers_.Push(answer); }
  void LetGo(absl::Time now, RealmId realm, absl::string_view username);
  void OnAllocation(const Request& request, const Credential& credential);
  Allocation* ByClient(absl::Time now, const Path& path);
  absl::Time Utc(absl::Time now) const { return now + options_.utc_offset; }
  // server_authenticate.cc
  bool OffersSha256(const Path& path) const;
  std::string Cookie(RealmId realm, const Path& path) const;
  bool NonceHolds(const Request& request) const;
  absl::Time ProveAgain(absl::Time now) const;
  std::optional<Credential> Authenticate(Request& request);
  internal::Authorizations::Standing AskAbout(
      const Request& request, absl::string_view username,
      const std::optional<Credential>& credential);
  std::optional<Credential> CheckCredential(const Request& request,
                                            absl::string_view username,
                                            stun::PasswordHash hash) const;
  // server_allocate.cc
  void Allocate(const Request& request, const Credential& credential);
  std::optional<stun::Error> Admit(const Request& request,
                                   const Credential& credential,
                                   Allocation& allocation);
  void SendAway(const Request& request);
  void Decide(absl::Time now, Allocation& allocation);
  Answer AllocateAnswer(const Allocation& allocation, absl::Time now) const;
  void Refresh(const Request& request, Allocation& allocation);
  void Close(const internal::Relay& relay);
  void End(Allocation& allocation, EndReason reason);
  // server_mobility.cc
  bool FindElsewhere(Request& request);
  bool HandVisitorOn(absl::Time now, const Path& path,
                     absl::Span<const uint8_t> bytes, size_t segment_size);
  void Move(Allocation& allocation, const Path& path);
  void Settle(Allocation& allocation, const Path& path) {
    if (allocation.mobility != nullptr) Arrive(allocation, path);
  }
  void Arrive(Allocation& allocation, const Path& path);
  // server_permit.cc
  void CreatePermission(const Request& request, Allocation& allocation);
  void ChannelBind(const Request& request, Allocation& allocation);
  void Connect(const Request& request, Allocation& allocation);
  void ConnectionBind(const Request& request);
  // server_relay.cc
  size_t RelayChannelData(absl::Time now, const Path& path,
                          absl::Span<const uint8_t> bytes, size_t segment_size);
  internal::Way WayTo(const Allocation& from, const TransportAddress& to) const;
  bool MayPermit(const Allocation& from, const IpAddress& ip) const;
  void ToPeer(absl::Time now, Allocation& from, const internal::Way& way,
              const TransportAddress& peer, Forward forward);
  void ToClient(absl::Time now, RelayId relay, const TransportAddress& source,
                Forward forward);
  size_t RelaySend(absl::Time now, const Path& path,
                   const stun::MessageView& message,
                   absl::Span<const uint8_t> train);

  Options options_;
  Random& random_;
  internal::Realms realms_;
  internal::Authorizations authorizations_;
  internal::NonceMaker nonces_;
  internal::TicketMaker tickets_;
  internal::PeerPolicy policy_;
  internal::Throttle throttle_;
  internal::AllocationTable allocations_;
  std::unique_ptr<LocalLedger> own_ledger_;  // Unless one is shared.
  Ledger& ledger_;
  std::vector<Forward> forwards_;
  std::vector<uint8_t> prefixes_;
  internal::AnswerQueue answers_;
  std::deque<Event> events_;
  std::optional<TransportAddress> closing_;  // The driver is at it.
  bool closed_ = false;
  Stats stats_;
  PeerConnections connections_;
  Flows flows_;
  internal::Visitors visitors_;
  Arrival arrival_;  // Of the packet in hand.
};
static_assert(Engine<Server>);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_SERVER_H_
