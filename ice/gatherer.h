// Gathering: finds the addresses at which a peer may reach us (RFC 8445 section
// 5.1.1), and carries relayed datagrams.

#ifndef KYUU_ICE_GATHERER_H_
#define KYUU_ICE_GATHERER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "base/defaulted.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "base/short_list.h"
#include "base/sparse_counters.h"
#include "ice/candidate.h"
#include "ice/gatherer_events.h"
#include "ice/gatherer_types.h"
#include "ice/internal/bindings.h"
#include "ice/internal/gatherer_records.h"
#include "ice/internal/told_candidates.h"
#include "turn/client.h"

namespace kyuu::ice {

// Gatherer is the engine that talks to STUN and TURN servers. Host candidates
// come at once, the others as servers answer, then Finished; relayed addresses
// stay until Close(), and are asked for again when they are lost. Addresses of
// ours may come and go, and everything may be gathered anew, at any time; each
// time Finished is told once more. An allocation whose address goes is moved to
// another one if its server does that (RFC 8016): the relayed address stays.
// ice::IceTransport is the gatherer together with an agent.
//
// `random` must outlive the gatherer.
class Gatherer {
 public:
  using Packet = Datagram;

  using CandidateFound = GathererCandidateFound;
  using CandidateGone = GathererCandidateGone;
  using ServerFailed = GathererServerFailed;
  using Started = GathererStarted;
  using Finished = GathererFinished;
  using RelayLost = GathererRelayLost;
  using Closed = GathererClosed;
  using Event = GathererEvent;

  using Stats = GathererStats;

  Gatherer(GathererOptions options, Random& random);
  ~Gatherer();

  // --- Commands ---

  // Adds a socket to GathererOptions::hosts; once started, gathers from it. A
  // known address is no error. RESOURCE_EXHAUSTED beyond max_hosts;
  // FAILED_PRECONDITION: closed.
  absl::Status AddHost(absl::Time now, const HostAddress& host);
  // The socket is gone, and with it what was gathered from it, but for relayed
  // addresses that move. NOT_FOUND.
  absl::Status RemoveHost(absl::Time now, const TransportAddress& address);
  // Gathers anew (RFC 8445 section 9): asks every server again, and relays in
  // use whether they still are. Candidates found again are not told again.
  // Nothing before Start() and after Close().
  void Restart(absl::Time now);
  // Asks the servers of relays in use whether they still are; one that is not
  // is lost, and asked for again. Slower protocols are tried, too.
  void ReviewRelays(absl::Time now);
  // Gives servers of a known address new credentials, and adds the others up to
  // max_servers. They are asked by the next Start() or Restart(); an allocation
  // in use stays, and when it is lost the new credentials ask for another one.
  void UpdateServers(std::vector<TransportAddress> stun_servers,
                     std::vector<TurnServer> turn_servers);
  // From the next Start() or Restart() on these take the place of all that were
  // told before (setConfiguration): what they do not give is unwanted then.
  void Configure(std::vector<TransportAddress> stun_servers,
                 std::vector<TurnServer> turn_servers, GatherPolicy policy);
  // Nobody needs what is unwanted any more: its relays are given back.
  void ReleaseUnwanted(absl::Time now);
  // As if it had never been started: all that was found is gone.
  void Discard(absl::Time now);
  // Servers are yet to come, from so many names that are being resolved:
  // Finished waits, `finish_after` at most, for as many ServersKnown(). Each
  // asks those that UpdateServers has added at once, if what waits is being
  // gathered or was since then, and they have as long; else Restart() does.
  void AwaitServers(size_t names);
  void ServersKnown(absl::Time now);
  // No server-reflexive address is kept alive until the next Restart(), and no
  // connection to a STUN server stays open.
  void StopKeepalives();
  absl::Status Start(absl::Time now);  // FAILED_PRECONDITION: it was before.
  // Lets datagrams from a remote candidate reach our relayed addresses, those
  // that come later included.
  void Permit(absl::Time now, const TransportAddress& peer);
  // Binds a channel for a path in use; nothing if its local end is no relay.
  void BindChannel(absl::Time now, const Path& path);
  // Gives all allocations back.
  void Close(absl::Time now);

  // --- Streams to servers ---

  // StreamWanted's stream is connected from `local`. Whole messages go both
  // ways as datagrams of Path{local, server, TransportTo(protocol)}: nothing of
  // ours needs padding, and the server's come without.
  void StreamConnected(absl::Time now, StreamId id,
                       const TransportAddress& local);
  // It could not be connected, or has ended. Nothing for unknown ones.
  void StreamEnded(absl::Time now, StreamId id, const absl::Status& why);

  // --- Relayed data ---

  bool IsRelayed(const TransportAddress& local) const;
  // Wrap turns a datagram from a relayed address into the one that makes the
  // server send it, built inside `out` (see turn::Client::Wrap for its size);
  // the peer is permitted if need be, by a request that is returned instead and
  // leaves first. NOT_FOUND: no such relay; else as turn::Client::Wrap.
  absl::StatusOr<Datagram> Wrap(absl::Time now, const Datagram& inner,
                                absl::Span<uint8_t> out);
  using Taken = GathererTaken;
  // Take is HandlePacket for a datagram that may be a server's or a peer's.
  // What is not claimed was not touched.
  Taken Take(absl::Time now, const Datagram& datagram);

  // --- Engine ---

  void HandlePacket(absl::Time now, const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  bool finished() const { return finished_; }
  GatherPolicy policy() const { return policy_; }  // Of the last gathering.
  Stats stats() const { return stats_.Get(); }
  std::string DebugString() const;

 private:
  enum class State : uint8_t { kNew, kGathering, kClosing, kClosed };
  using JobState = internal::JobState;
  using Host = internal::Host;
  using Bindings = internal::Bindings;
  using Attempt = internal::Attempt;
  using Relay = internal::Relay;

  // gatherer_hosts.cc: our addresses.
  uint16_t NewPreference(const HostAddress& host) const;
  TransportAddress Shown(const TransportAddress& address) const;
  uint16_t LocalPreference(const TransportAddress& host) const;
  bool MayReach(const TransportAddress& host,
                const TransportAddress& server) const;
  bool MayAsk(const Host& host, const Relay& relay) const;
  std::vector<TransportAddress> HostsReaching(const Relay& relay) const;
  void StartHost(absl::Time now, const Host& host);
  void AddReflexiveJobs(absl::Time now, const Host& host,
                        const TransportAddress& server);
  void FindHost(const Host& host);
  void FindMapped(const Host& host);
  void FindTcpHost(const Host& host, TcpType tcp_type, uint16_t port);
  void FindReflexive(const TransportAddress& base,
                     std::optional<TcpType> tcp_type,
                     const TransportAddress& server,
                     const TransportAddress& mapped);
  void FindRelayed(const Relay& relay, const TransportAddress& host,
                   const TransportAddress& relayed,
                   const TransportAddress& mapped);
  void ForgetReflexive(const Bindings::Change& change);
  void TakeReflexive();
  void Begin(absl::Time now);
  // gatherer_servers.cc: the servers. Those that have no jobs yet, to be asked.
  std::vector<TransportAddress> AddServers();
  bool IsSpared(const Relay& relay) const;
  absl::Duration Patience(const Relay& relay) const;
  void SpareSlower(const Relay& kept);
  void AskSlower(absl::Time now, const Relay* than);
  void WantStream(absl::Time now, Relay& relay, const TransportAddress& server);
  void EndStream(std::optional<StreamId>& stream);
  void EndConnecting(Relay& relay);
  void FailConnecting(absl::Time now, Relay& relay, const absl::Status& why);
  void LoseRelay(absl::Time now, Relay& relay, const absl::Status& status);
  void LoseAddress(Relay& relay, TransportAddress relayed,
                   const absl::Status& status);
  void AskAgain(absl::Time now, Relay& relay);
  void StartDue(absl::Time now);
  void StartAttempt(absl::Time now, Relay& relay);
  void Ask(absl::Time now, Relay& relay, const TransportAddress& server,
           Attempt attempt);
  void FailAttempt(absl::Time now, Relay& relay, Attempt& attempt,
                   const absl::Status& status, uint16_t code);
  void FailRelay(absl::Time now, Relay& relay, const TransportAddress& local,
                 const absl::Status& status, uint16_t code);
  void DrainAttempt(absl::Time now, Relay& relay, size_t index);
  void KeepAttempt(absl::Time now, Relay& relay, size_t index,
                   const turn::Client::Allocated& lease);
  void Drain(absl::Time now);
  // gatherer_configuration.cc: what is wanted.
  void ApplyConfiguration(absl::Time now);
  void ApplyPolicy(absl::Time now);
  void Drop(absl::Time now, Relay& relay);
  void TakeBack(absl::Time now, Relay& relay);
  void DropReflector(const TransportAddress& server);
  // gatherer_mobility.cc: allocations that go on from elsewhere.
  bool StartMove(absl::Time now, Relay& relay);
  void MoveOn(absl::Time now, Relay& relay);
  void OfferToMove(absl::Time now, Relay& relay, const TransportAddress& host);
  void MoveTo(absl::Time now, Relay& relay, const TransportAddress& local);
  void ReviewMove(absl::Time now, Relay& relay);
  void FailMove(absl::Time now, Relay& relay, const absl::Status& status);
  void OnMoveRefused(absl::Time now, Relay& relay, const absl::Status& status);
  Attempt* FindAttempt(const Path& path);
  turn::Client* Kept(const TransportAddress& local) const;

  Defaulted<GathererOptions> options_;  // Beside what is in `wanted_`.
  internal::Wanted wanted_;             // Of the next gathering.
  Random& random_;
  GatherPolicy policy_;  // Of this one.
  State state_ = State::kNew;
  bool finished_ = false;
  bool servers_due_ = false;  // Of names_awaited_: to be asked when they come.
  size_t names_awaited_ = 0;
  CompactTime finish_at_ = absl::InfiniteFuture();  // Tells Finished then.
  Foundations foundations_;
  ShortList<Host> hosts_;                   // Best first.
  ShortList<TransportAddress> reflectors_;  // All servers, for bindings_.
  ShortList<Relay> relays_;
  ShortList<TransportAddress> peers_;
  uint64_t streams_ = 0;  // That were wanted.
  CompactTime next_start_ = absl::InfinitePast();
  Queue<Event, 0> events_;
  SparseCounters<Stats> stats_;
  internal::ToldCandidates told_;
  Bindings bindings_;
};
static_assert(Engine<Gatherer>);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_GATHERER_H_
