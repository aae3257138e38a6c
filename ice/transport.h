// One ICE transport (RTCIceTransport): the agent, the gatherer and its relays
// as one engine that takes datagrams and gives payload.

#ifndef KYUU_ICE_TRANSPORT_H_
#define KYUU_ICE_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "base/counters.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "base/sparse_counters.h"
#include "ice/agent.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/compact/candidate_list.h"
#include "ice/credentials.h"
#include "ice/gatherer.h"
#include "ice/mux.h"

namespace kyuu::ice {

// RTCIceGatheringState. It goes back to kGathering when addresses are gathered
// anew.
enum class GatheringState : uint8_t { kNew, kGathering, kComplete };

// What an IceTransport tells beyond its agent's events.
struct GatheringStateChanged {
  GatheringState state;
};

struct IceTransportOptions {
  AgentOptions agent;
  GathererOptions gatherer;
};

// Counters of what the transport itself drops; those of its parts are in
// agent().stats() and gatherer().stats().
struct IceTransportStats {
  uint64_t payloads_received = 0;
  uint64_t payloads_sent = 0;
  // The first byte is of no protocol (RFC 7983 section 7).
  uint64_t drop_unknown_protocol = 0;
  // Payload from a path that no authenticated check came along.
  uint64_t drop_unknown_path = 0;
  // Payload of ours without a path to send it on.
  uint64_t drop_no_path = 0;
  // A packet of ours from a relayed address whose relay is gone or refuses.
  uint64_t drop_unwrappable = 0;
  // A candidate of ours beyond the agent's limits.
  uint64_t drop_candidate = 0;

  static constexpr Counter<IceTransportStats> kCounters[] = {
      KYUU_COUNTER(IceTransportStats, payloads_received),
      KYUU_COUNTER(IceTransportStats, payloads_sent),
      KYUU_COUNTER(IceTransportStats, drop_unknown_protocol),
      KYUU_COUNTER(IceTransportStats, drop_unknown_path),
      KYUU_COUNTER(IceTransportStats, drop_no_path),
      KYUU_COUNTER(IceTransportStats, drop_unwrappable),
      KYUU_COUNTER(IceTransportStats, drop_candidate)};
};
static_assert(Countable<IceTransportStats>);

// IceTransport finds the path between two peers, keeps it, and carries payload
// on it; whether a relay lies between is its own affair.
//
//   ice::IceTransport transport(role, credentials, random, {});
//   transport.AddHost(now, {socket_address});
//   transport.Gather(now);
//   if (auto payload = transport.HandlePacket(now, datagram)) Use(*payload);
//   if (auto datagram = transport.Send(now, payload, out)) Transmit(*datagram);
//
// A request that a packet depends on (CreatePermission for what goes through a
// relay) leaves before that packet, whatever the order of the calls.
//
// Not thread-safe. `random` must outlive it.
class IceTransport {
 public:
  using Packet = Datagram;
  // CandidateFound: to be told the peer. Closed is the last event.
  using Event =
      std::variant<StateChanged, SelectedPair, RoleChanged, ResolveName,
                   Gatherer::CandidateFound, Gatherer::CandidateGone,
                   GatheringStateChanged, Gatherer::ServerFailed,
                   Gatherer::RelayLost, StreamWanted, PeerStreamWanted,
                   StreamUnwanted, Decision, Closed>;

  // `local` must be valid (Credentials::Validate).
  IceTransport(Role role, const Credentials& local, Random& random,
               const IceTransportOptions& options = {});

  // --- Commands ---

  // Names a bound UDP socket of the driver, and what its address can do over
  // TCP, or tells that it is gone: pairs
  // that used it are, too, and another path is in use after the call if there
  // is one. At any time. As the Gatherer's commands.
  absl::Status AddHost(absl::Time now, const HostAddress& host);
  absl::Status RemoveHost(absl::Time now, const TransportAddress& address);
  // Begins to gather; once begun it does nothing.
  void Gather(absl::Time now);
  // Gathers in advance (iceCandidatePoolSize), until Gather(): what is found is
  // told by then, neither paired nor told before. Discard takes that back.
  void Prefetch(absl::Time now);
  void DiscardPrefetched(absl::Time now);
  // As the Gatherer's, for the next Gather() or Restart(); what was prefetched
  // is so anew. After a restart the path of before goes on by what is unwanted
  // until another one works. A lite agent asks no servers.
  void Configure(absl::Time now, std::vector<TransportAddress> stun_servers,
                 std::vector<TurnServer> turn_servers, GatherPolicy policy);
  // As the Gatherer's: they are asked by Gather(), the next Restart() or
  // ServersKnown(), and not at all by a lite agent.
  void UpdateServers(std::vector<TransportAddress> stun_servers,
                     std::vector<TurnServer> turn_servers);
  void AwaitServers(size_t names);
  void ServersKnown(absl::Time now);
  // As the Gatherer's and the Agent's, in answer to StreamWanted and
  // PeerStreamWanted, and the Agent's.
  void StreamConnected(absl::Time now, StreamId id,
                       const TransportAddress& local);
  void StreamEnded(absl::Time now, StreamId id, const absl::Status& why);
  std::optional<StreamId> StreamAccepted(absl::Time now, const Path& path);
  // As the Agent's commands of these names.
  void SetRole(absl::Time now, Role role);
  absl::Status SetRemoteCredentials(absl::Time now, const Credentials& remote,
                                    RemoteMode mode = RemoteMode::kFull);
  void AddRemoteCandidate(absl::Time now, const Candidate& candidate);
  void SetPacing(absl::Time now, absl::Duration ta);
  void EndOfRemoteCandidates(absl::Time now);
  void NameResolved(absl::Time now, NameId id, std::optional<IpAddress> ip);
  // Agent::Restart, and gathers anew. The old path stays in use until a new one
  // works. Candidates known already are not told again: see candidates().
  absl::Status Restart(absl::Time now, const Credentials& local);
  // The description that they were gathered for was taken back (RFC 9429
  // section 4.1.10.2). Ungather: as if Gather() had not been called, and what
  // is found were found in advance. UndoRestart: as Restart(), with the
  // credentials of before; nothing is gathered for it.
  void Ungather(absl::Time now);
  absl::Status UndoRestart(absl::Time now, const Credentials& local);
  // Stops checks at once and gives the relays' allocations back; Closed is told
  // when that is done.
  void Close(absl::Time now);

  // --- Payload ---

  // Bytes to leave free in front of a payload given to Send(), so that it need
  // not be moved.
  size_t headroom() const;
  // Makes the datagram that carries `payload` on selected_path(), inside `out`;
  // `payload` may lie in `out`. If a request must leave first, that request is
  // returned and the payload comes from the next PollTransmit(). nullopt, and
  // counted, if there is no path or the relay cannot take it.
  std::optional<Datagram> Send(absl::Time now,
                               absl::Span<const uint8_t> payload,
                               absl::Span<uint8_t> out);

  // As the Agent's: DTLS before there is a path.
  EmbeddedDtls& embedded_dtls() { return agent_.embedded_dtls(); }

  // --- Engine ---

  // Takes a datagram, and returns the payload in it if it carries some: what
  // is neither STUN nor ChannelData (RFC 7983: first byte 20 to 63 or 128 to
  // 191) and came along a path of the peer. A view into `datagram`: bulk data
  // is neither copied nor queued, which is why this verb has a result here.
  std::optional<Datagram> HandlePacket(absl::Time now,
                                       const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  // `out` must hold 1500 bytes.
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // --- Queries ---

  std::optional<Path> selected_path() const { return agent_.selected_path(); }
  // What is known of who is at the other end of `path`: for a Mux.
  PathProof ProofOf(const Path& path) const;
  const std::string& local_ufrag() const {
    return agent_.local_credentials().ufrag;
  }
  // Our candidates, in the order found; made anew by each call.
  std::vector<Candidate> candidates() const { return candidates_.Get(); }
  GatheringState gathering_state() const { return gathering_state_; }
  const Agent& agent() const { return agent_; }
  const Gatherer& gatherer() const { return gatherer_; }
  IceTransportStats stats() const { return stats_.Get(); }
  std::string DebugString() const;

 private:
  std::optional<Datagram> Wrap(absl::Time now, const Datagram& inner,
                               absl::Span<uint8_t> out);
  std::optional<Datagram> HandleInner(absl::Time now, const Datagram& inner);

  absl::Time ProbeTime() const;
  void FollowSelection(absl::Time now);
  void ReleaseUnwanted(absl::Time now);
  void TakeGathered(absl::Time now);
  void On(absl::Time now, Gatherer::Event& event);
  void OnGone(absl::Time now, Gatherer::CandidateGone& gone);

  // Of the agent's options.
  bool lite_;
  bool unwanted_ = false;  // There is something that the old path may need.
  bool doubts_ = false;    // Of the path, at the last timeout.
  GatheringState gathering_state_ = GatheringState::kNew;
  CompactDuration probe_after_;
  Agent agent_;
  Gatherer gatherer_;
  CandidateList candidates_;
  // Found in advance.
  std::unique_ptr<std::vector<Candidate>> prefetched_;
  Queue<Event, 0> events_;  // Of the gatherer.
  // When the first payload left after which none came back.
  CompactTime unanswered_since_ = absl::InfiniteFuture();
  CompactTime next_probe_ = absl::InfinitePast();
  std::optional<Path> nominated_;  // As last seen by FollowSelection().
  SparseCounters<IceTransportStats> stats_;
};

static_assert(Engine<IceTransport>);

absl::string_view ToString(GatheringState state);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_TRANSPORT_H_
