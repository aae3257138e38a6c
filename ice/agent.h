// The ICE agent: finds the path between two peers and keeps it (RFC 8445, with
// trickle by RFC 8838, consent by RFC 7675 and patience by RFC 8863).

#ifndef KYUU_ICE_AGENT_H_
#define KYUU_ICE_AGENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
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
#include "base/timer.h"
#include "ice/agent_stats.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/embedded_dtls.h"
#include "ice/internal/agent_records.h"
#include "ice/internal/generation.h"
#include "ice/internal/peer_streams.h"
#include "stun/message.h"

namespace kyuu::ice {

// Agent is an ICE agent, full or lite, for one component over UDP and TCP.
//
// It neither gathers nor relays: local candidates are handed in, relayed ones
// like any other. Checks start when the peer's credentials and one candidate of
// each side are known; more may come at any time. What is not authenticated
// changes only a counter. Data may be sent on selected_path() as soon as there
// is one, after one round trip, and received on any path for which
// IsKnownPath() holds. Not thread-safe. `random` must outlive the agent.
class Agent {
 public:
  using Packet = Datagram;
  using Event = AgentEvent;

  // `local` must be valid (Credentials::Validate).
  Agent(Role role, const Credentials& local, Random& random,
        const AgentOptions& options = {});
  Agent(Agent&&) = default;
  ~Agent();

  // --- Commands ---

  // Sets the role that offer and answer give (RFC 8445 section 6.1.1). A
  // conflict with the peer may change it later.
  void SetRole(absl::Time now, Role role);
  // Adds an address of ours. A known one is no error. INVALID_ARGUMENT: not of
  // UDP, nor TCP with its type, not component 1, no IP address, port 0.
  // RESOURCE_EXHAUSTED: see AgentOptions. FAILED_PRECONDITION: closed.
  absl::Status AddLocalCandidate(absl::Time now, const Candidate& candidate);
  // Takes back what AddLocalCandidate added; an unknown one is no error. Pairs
  // of a base without candidates are gone at once; another is in use, if any.
  void RemoveLocalCandidate(absl::Time now, const Candidate& candidate);
  // The same, right after Restart(): the path of before may go on by it.
  void RetireLocalCandidate(absl::Time now, const Candidate& candidate);
  // Sets what the peer's description says. INVALID_ARGUMENT: malformed.
  // FAILED_PRECONDITION: others are set already; the peer restarts, so
  // Restart() must come first. Setting the same again changes nothing.
  absl::Status SetRemoteCredentials(absl::Time now, const Credentials& remote,
                                    RemoteMode mode = RemoteMode::kFull);
  // Adds a candidate of the peer, even before its credentials. One that is of
  // no use (another generation's `ufrag`, a forbidden address, one too many, of
  // TCP and active) is counted and ignored.
  void AddRemoteCandidate(absl::Time now, const Candidate& candidate);
  // Ta, as both sides agreed on (AgreedPacing), at least kPacingMin.
  void SetPacing(absl::Time now, absl::Duration ta);
  // The peer will send no more candidates (RFC 8838 section 14).
  void EndOfRemoteCandidates(absl::Time now);
  // Answers ResolveName; nullopt if the name has no address.
  void NameResolved(absl::Time now, NameId id, std::optional<IpAddress> ip);
  // Begins a new generation (RFC 8445 section 9). Local candidates stay; the
  // peer's must be told anew. The path in use stays so until a new one works.
  // INVALID_ARGUMENT: malformed, or the same ufrag. FAILED_PRECONDITION:
  // closed.
  absl::Status Restart(absl::Time now, const Credentials& local);
  // Payload on the path in use is unanswered: asks at once if it still works.
  void Probe(absl::Time now);
  // Payload was sent, or came: false unless IsKnownPath(). Counts for pairs().
  void CountSent(absl::Time now, size_t bytes);
  bool TakePayload(absl::Time now, const Path& path, size_t bytes);
  // Payload came to the address in use along a path that no check came along:
  // the peer's NAT may have moved it. True if a check of that was made.
  bool CheckStranger(absl::Time now, const Path& path);
  // Streams are unwanted then, and Closed is the last event.
  void Close(absl::Time now);

  // --- TCP connections to the peer: answers to PeerStreamWanted, any end ---

  void StreamConnected(absl::Time now, StreamId id,
                       const TransportAddress& local);
  void StreamEnded(absl::Time now, StreamId id);
  // Somebody has connected to a candidate that listens. nullopt: close it.
  std::optional<StreamId> StreamAccepted(absl::Time now, const Path& path);

  // --- Engine ---

  void HandlePacket(absl::Time now, const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  // A packet takes at most 700 bytes of `out`, or with embedded DTLS 32 more
  // than EmbeddedDtls::kDatagramMax; what does not fit is dropped and counted.
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // --- Queries ---

  AgentState state() const { return state_; }
  Role role() const { return role_; }
  bool restarting() const { return previous_ != nullptr; }
  const Credentials& local_credentials() const { return current_->local; }
  std::optional<Path> selected_path() const;   // For data; it has consent.
  std::optional<Path> nominated_path() const;  // That, if it is nominated.
  // selected_path() is silent, so that others are tried: see suspect_after.
  bool doubts_path() const;
  // An authenticated check came along it, in this generation or the last one.
  bool IsKnownPath(const Path& path) const;
  // The smoothed round-trip time of the path in use; nullopt when unknown.
  std::optional<absl::Duration> rtt() const;
  std::vector<PairInfo> pairs() const;
  AgentStats stats() const { return stats_.Get(); }
  // Pairs looked at so far: for a datagram not more if there are more of them.
  uint64_t pair_visits() const;
  EmbeddedDtls& embedded_dtls() { return embedded_dtls_; }
  const EmbeddedDtls& embedded_dtls() const { return embedded_dtls_; }
  std::string DebugString() const;

 private:
  using Generation = internal::Generation;
  using Pair = internal::Pair;
  using Timer = internal::Timer;
  using Transaction = internal::Transaction;
  using Buffer = absl::Span<uint8_t>;
  using View = stun::MessageView;

  // Candidates and pairs.
  void AdmitRemoteCandidate(absl::Time now, const Candidate& candidate);
  void RemoveBase(absl::Time now, size_t index);
  void DropPrevious(absl::Time now);
  void Bereave(absl::Time now, Generation& g, const IpAddress& far);
  void ExpireNames(absl::Time now);
  std::optional<size_t> AddRemote(internal::RemoteCandidate remote);
  void PairRemote(size_t index);
  uint16_t Intern(absl::string_view foundation);
  std::optional<size_t> FindBase(std::optional<TcpType> tcp_type,
                                 const TransportAddress& address) const;
  std::optional<size_t> FindBase(const Path& path) const;
  void SwitchRole(Role role);

  // agent_requests.cc: the peer's checks (RFC 8445 section 7.3).
  void HandleRequest(absl::Time now, const Path& path, const View& message);
  Generation* Authenticate(const stun::MessageView& message);
  bool ResolveRoleConflict(const stun::MessageView& message);
  void Respond(const Path& path, const stun::TransactionId& id,
               std::optional<stun::Error> error,
               const stun::UnknownAttributes& unknown, const Generation& g);
  void HandleCheck(absl::Time now, const Path& path, uint32_t priority,
                   bool use_candidate);
  void Serve(absl::Time now, size_t index, bool use_candidate);
  void KeepEarlyCheck(const Path& path, const stun::MessageView& message);
  std::optional<Datagram> NextResponse(absl::Span<uint8_t> out);

  // agent_checks.cc: our checks (RFC 8445 section 7.2).
  void HandleResponse(absl::Time now, const Path& path, const View& message);
  void HandleSuccess(absl::Time now, Generation& g, const Transaction& t,
                     const TransportAddress& mapped);
  void HandleError(Generation& g, const Transaction& t, stun::Error error);
  void FailPair(Generation& g, size_t index);
  void ExpireChecks(absl::Time now);
  bool ChecksRunning() const;
  absl::Time NextCheckTime() const;
  std::optional<Datagram> NextCheck(absl::Time now, Buffer out);
  std::optional<size_t> NextRepeat(absl::Time now);
  std::optional<Datagram> StartCheck(absl::Time now, size_t index, Buffer out);
  std::optional<Datagram> RepeatCheck(absl::Time now, size_t index, Buffer out);
  void BeginTransaction(absl::Time now, size_t index);
  std::optional<Datagram> Transmit(absl::Time now, Pair& pair, Buffer out);
  std::optional<Datagram> NextKeepalive(absl::Time now, Generation& g,
                                        Buffer out);
  std::optional<Datagram> WriteCheck(const Generation& g, const Pair& pair,
                                     const stun::TransactionId& id,
                                     bool use_candidate, Buffer out);

  // agent_streams.cc: TCP (RFC 6544).
  void WantStream(absl::Time now, size_t index);
  void LoseStream(absl::Time now, const Path& path);
  void ReviewStreams(absl::Time now);

  // agent_selection.cc, agent_consent.cc: RFC 8445 section 8, RFC 7675.
  void Update(absl::Time now);
  void Arm();
  void ConsiderNomination(absl::Time now);
  void ChooseUnchecked(absl::Time now);
  void Decide(Decision::Kind kind, const Generation& g, size_t index,
              absl::string_view reason);
  bool IsRelayed(const Pair& pair) const;
  void Nominate(size_t index);
  void Select(absl::Time now, size_t index);
  void Suspect(absl::Time now, size_t index);
  void HearElsewhere(absl::Time now, size_t index);
  void Hasten(absl::Time now, const Pair& valid);
  void ReviewConsent(absl::Time now, Generation& g);
  void Resume();
  absl::Time NextConsent(absl::Time now);
  AgentState ComputeState(absl::Time now) const;
  const Pair* PairInUse() const;

  Defaulted<AgentOptions> options_;  // Beside what is named here.
  bool lite_;
  Role role_;
  AgentState state_ = AgentState::kNew;
  CompactDuration ta_;
  Random* random_;
  uint64_t tie_breaker_;
  internal::Told told_;
  SparseCounters<AgentStats> stats_;
  TimerTable<Timer, CompactTime> timers_;
  ShortList<internal::LocalCandidate> locals_;
  ShortList<internal::Base> bases_;
  internal::FoundationTable foundations_;
  std::unique_ptr<Generation> current_, previous_;
  ShortList<Candidate> unbound_;  // Came before the peer's credentials.
  ShortList<internal::PendingName> names_;
  uint32_t next_name_ = 0;

  Queue<internal::Response, sizeof(internal::Response)> responses_;
  CompactTime next_slot_ = absl::InfinitePast();  // For checks that keep Ta.
  internal::PeerStreams streams_;
  EmbeddedDtls embedded_dtls_;
  ShortList<Decision> decisions_;  // The oldest first.
};
static_assert(Engine<Agent>);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_AGENT_H_
