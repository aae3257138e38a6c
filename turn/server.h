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
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "stun/message.h"
#include "stun/protocol.h"
#include "turn/forward.h"
#include "turn/internal/allocation.h"
#include "turn/internal/answer.h"
#include "turn/internal/credentials.h"
#include "turn/internal/nonce.h"
#include "turn/internal/peer_policy.h"
#include "turn/internal/port_pool.h"
#include "turn/internal/rate_limiter.h"
#include "turn/internal/request.h"
#include "turn/internal/reservation_token.h"
#include "turn/server_options.h"
#include "turn/server_stats.h"

namespace kyuu::turn {

// Server is an engine without sockets. The driver owns the listeners and, at
// the server's word, one relay socket per allocation:
//
//   for (const Forward& f : server.FromClient(now, path, bytes, segment_size))
//     Send(f);                       // From a listener: requests and data.
//   for (const Forward& f : server.FromPeer(now, relay, source, bytes, size))
//     Send(f);                       // From a relay socket.
//   while (auto answer = server.PollTransmit(now, buffer)) Send(*answer);
//   while (auto event = server.PollEvent()) ...
//     OpenRelay:  open a socket; server.RelayOpened(now, id) or RelayFailed()
//     CloseRelay: close it
//
// The data path (FromClient with ChannelData or a Send indication, FromPeer)
// neither copies nor allocates. Nothing is kept about a client that has not
// proven its credentials. Several servers, one per core, share addresses by
// ServerOptions::instance. Binding requests are answered too.
class Server {
 public:
  using Packet = Datagram;
  using Options = ServerOptions;
  using Stats = ServerStats;

  // Open a UDP socket at `bind` and answer with RelayOpened or RelayFailed.
  struct OpenRelay {
    RelayId relay;
    TransportAddress bind;
  };
  struct CloseRelay {
    RelayId relay;
  };
  // For logs and accounting.
  struct AllocationMade {
    RelayId relay;
    Path client;
    TransportAddress relayed;
    std::string username;
  };
  enum class EndReason : uint8_t { kReleased, kExpired, kRevoked, kClosed };
  struct AllocationEnded {
    RelayId relay;
    std::string username;
    EndReason reason;
    internal::Traffic traffic;
  };
  // We relay from a port that a token of the instance `owner` reserved, or do
  // so no longer. To be given, in order, to the owner's HandleLoan().
  struct PortLoan {
    enum class Change : uint8_t { kBegun, kEnded } change;
    int owner;
    TransportAddress bind;
  };
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<OpenRelay, CloseRelay, AllocationMade,
                             AllocationEnded, PortLoan, Closed>;

  // `random` must outlive the server and be fit for secrets in production.
  Server(Random& random, Options options);
  ~Server();

  // --- The data path, and requests ---

  // Takes what a listener received: a datagram, or a train of them (`bytes` cut
  // every `segment_size`). The decisions live until the next packet.
  absl::Span<const Forward> FromClient(absl::Time now, const Path& path,
                                       absl::Span<const uint8_t> bytes,
                                       size_t segment_size);
  // Takes what a relay socket received from `source`.
  absl::Span<const Forward> FromPeer(absl::Time now, RelayId relay,
                                     const TransportAddress& source,
                                     absl::Span<const uint8_t> bytes,
                                     size_t segment_size);

  // --- The five verbs, for drivers that know addresses only ---

  // FromClient or FromPeer by path.local; the decisions are in forwards().
  void HandlePacket(absl::Time now, Packet in);
  absl::Span<const Forward> forwards() const { return forwards_; }
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // Answers to OpenRelay; an id that is gone is ignored.
  void RelayOpened(absl::Time now, RelayId relay);
  void RelayFailed(absl::Time now, RelayId relay);

  // --- Commands ---

  // Makes a credential, or replaces that of the same name, until `expires` (on
  // the driver's clock). Static users of the same name come first.
  // INVALID_ARGUMENT if empty; RESOURCE_EXHAUSTED beyond granted_max.
  absl::Status Grant(absl::Time now, absl::string_view username,
                     absl::string_view password,
                     absl::Time expires = absl::InfiniteFuture());
  // Takes a granted credential back; allocations made with it end at once.
  void Revoke(absl::string_view username);
  // Replaces the lists of ServerOptions; permissions and channels that would
  // no longer be given end at once.
  void SetPeers(std::vector<IpPrefix> allow, std::vector<IpPrefix> deny);
  // New nonces use `secret`; those made before stay good for their lifetime.
  void RotateNonceSecret(absl::Time now, absl::string_view secret);
  void SetUtcOffset(absl::Duration offset) { options_.utc_offset = offset; }
  // Takes what PollEvent() of another instance told: a port of ours is not
  // given out while it is lent. Ports that are not ours are ignored.
  void HandleLoan(const PortLoan& loan);
  // Ends all allocations, then tells Closed. Packets are dropped from then on.
  void Close();

  size_t allocations() const { return by_client_.size(); }
  // Ports not in use, of all relay addresses.
  size_t free_ports() const;
  const Stats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  using Allocation = internal::Allocation;
  using Credential = internal::Credential;
  using Answer = internal::Answer;
  using Request = internal::ServerRequest;

  // server.cc
  void HandleStun(absl::Time now, const Path& path,
                  absl::Span<const uint8_t> bytes);
  void HandleRequest(absl::Time now, const Path& path,
                     const stun::MessageView& message);
  std::optional<Credential> Authenticate(Request& request);
  Answer Success(const Request& request) const;
  void Reply(const Request& request, stun::Error error);
  void ReplyUnproven(const Request& request, stun::Error error);
  void Push(const Answer& answer);
  void OnAllocation(Request& request);
  Allocation* ByClient(absl::Time now, const Path& path);
  Allocation* ById(RelayId relay);
  absl::Time Utc(absl::Time now) const { return now + options_.utc_offset; }

  // server_allocate.cc
  void Allocate(const Request& request, const Credential& credential);
  std::optional<stun::Error> Admit(const Request& request,
                                   const Credential& credential,
                                   Allocation& allocation);
  std::optional<stun::Error> ChooseFamily(const stun::MessageView& message,
                                          Allocation& allocation,
                                          IpFamily& family) const;
  bool TakePort(Allocation& allocation, IpFamily family, absl::Time now);
  void Insert(std::unique_ptr<Allocation> allocation);
  Answer AllocateAnswer(const Allocation& allocation, absl::Time now) const;
  absl::Duration GrantLifetime(const stun::MessageView& message) const;
  void Refresh(const Request& request, Allocation& allocation);
  void SetExpiry(Allocation& allocation, absl::Time expires);
  void End(Allocation& allocation, EndReason reason);

  // server_reservation.cc
  bool TakeReservation(const stun::ReservationToken& token,
                       Allocation& allocation, absl::Time now);
  void DropReservation(Allocation& allocation);
  void ReleasePort(Allocation& allocation);
  void GiveBack(size_t pool, uint16_t port);
  void ReturnPort(const TransportAddress& bind);

  // server_permit.cc
  void CreatePermission(const Request& request, Allocation& allocation);
  void ChannelBind(const Request& request, Allocation& allocation);

  // server_relay.cc
  size_t RelayChannelData(absl::Time now, const Path& path,
                          absl::Span<const uint8_t> bytes, size_t segment_size);
  void RelaySend(absl::Time now, const Path& path,
                 const stun::MessageView& message);

  Options options_;
  Random& random_;
  internal::Credentials credentials_;
  internal::NonceMaker nonces_;
  internal::ReservationTokens tokens_;
  internal::PeerPolicy policy_;
  internal::RateLimiter limiter_;
  std::vector<internal::PortPool> pools_;  // One per relay address.

  std::vector<std::unique_ptr<Allocation>> slots_;
  std::vector<uint32_t> free_slots_;
  uint32_t generation_ = 0;
  absl::flat_hash_map<Path, Allocation*> by_client_;
  absl::flat_hash_map<TransportAddress, Allocation*> by_relay_;
  absl::flat_hash_map<std::string, absl::InlinedVector<Allocation*, 1>>
      by_user_;
  absl::btree_set<std::pair<absl::Time, RelayId>> expiries_;
  std::vector<internal::Reservation> reservations_;
  // Our ports that others relay from: how many have told so.
  absl::flat_hash_map<TransportAddress, int> lent_;

  std::vector<Forward> forwards_;
  std::vector<uint8_t> prefixes_;
  // Taken from `next_answer_` on; begins again when all are taken.
  std::vector<Answer> answers_;
  size_t next_answer_ = 0;
  std::deque<Event> events_;
  bool closed_ = false;
  Stats stats_;
};

static_assert(Engine<Server>);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_SERVER_H_
