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
#include "base/engine.h"
#include "base/random.h"
#include "base/timer.h"
#include "ice/agent_stats.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/embedded_dtls.h"
#include "ice/internal/agent_records.h"
#include "ice/internal/generation.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::ice {

// Agent is a full ICE agent for one component over UDP.
//
// It neither gathers nor relays: local candidates are handed in, and to it a
// relayed address is one more local address to send from. Checks start when
// the peer's credentials and one candidate of each side are known; more may
// come at any time. Everything that the peer sends must be authenticated, or
// it changes nothing but a counter in stats().
//
// Data may be sent on selected_path() as soon as there is one, that is after
// one round trip, and received on any path for which IsKnownPath() holds.
//
// Not thread-safe. `random` must outlive the agent.
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
  // Adds an address of ours. A known one is no error. INVALID_ARGUMENT: not
  // UDP, not component 1, no IP address, port 0. RESOURCE_EXHAUSTED: see
  // AgentOptions. FAILED_PRECONDITION: closed.
  absl::Status AddLocalCandidate(absl::Time now, const Candidate& candidate);
  // Takes back what AddLocalCandidate added; an unknown one is no error. Pairs
  // of a base without candidates are gone at once; another is in use, if any.
  void RemoveLocalCandidate(absl::Time now, const Candidate& candidate);
  // Sets what the peer's description says. INVALID_ARGUMENT: malformed.
  // FAILED_PRECONDITION: others are set already; the peer restarts, so
  // Restart() must come first. Setting the same again changes nothing.
  absl::Status SetRemoteCredentials(absl::Time now, const Credentials& remote,
                                    RemoteMode mode = RemoteMode::kFull);
  // Adds a candidate of the peer, even before its credentials. One that is of
  // no use (TCP, another generation's `ufrag`, a forbidden address, one too
  // many) is counted and ignored.
  void AddRemoteCandidate(absl::Time now, const Candidate& candidate);
  // Replaces AgentOptions::ta by what both sides agreed on (AgreedPacing), but
  // not below kPacingMin.
  void SetPacing(absl::Time now, absl::Duration ta);
  // The peer will send no more candidates (RFC 8838 section 8.2).
  void EndOfRemoteCandidates(absl::Time now);
  // Answers ResolveName; nullopt if the name has no address.
  void NameResolved(absl::Time now, NameId id, std::optional<IpAddress> ip);
  // Begins a new generation with new credentials (RFC 8445 section 9). Local
  // candidates stay; the peer's must be told anew. The path in use stays in
  // use until a new one works. INVALID_ARGUMENT: malformed, or the same ufrag.
  // FAILED_PRECONDITION: closed.
  absl::Status Restart(absl::Time now, const Credentials& local);
  // Payload was sent on the path in use and nothing has come back on it for
  // AgentOptions::probe_after: asks at once whether it still works.
  void Probe(absl::Time now);
  // Payload came along a path that no check came along: if it comes to the
  // address in use, the NAT of the peer may have forgotten its mapping, and a
  // check finds out. True if one was made.
  bool CheckStranger(absl::Time now, const Path& path);
  // Stops everything; Closed is the only event from now on.
  void Close(absl::Time now);

  // --- Engine ---

  void HandlePacket(absl::Time now, const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  // A packet takes at most 700 bytes of `out`, and 150 with usual user names;
  // with embedded DTLS up to EmbeddedDtls::kDatagramMax and 32 more.
  // One that does not fit is dropped and counted.
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // --- Queries ---

  AgentState state() const { return state_; }
  Role role() const { return role_; }
  const Credentials& local_credentials() const { return current_->local; }
  // Where to send data; nullopt without a path that has consent.
  std::optional<Path> selected_path() const;
  // selected_path(), if it is nominated in this generation.
  std::optional<Path> nominated_path() const;
  // Whether selected_path() has left checks or payload unanswered for so long
  // that others are tried; see AgentOptions::suspect_after.
  bool doubts_path() const;
  // Whether an authenticated check came along `path` (in this generation or
  // the last one), so that data from there may be looked at.
  bool IsKnownPath(const Path& path) const;
  // The smoothed round-trip time of the path in use; nullopt when unknown.
  std::optional<absl::Duration> rtt() const;
  std::vector<PairInfo> pairs() const;
  const AgentStats& stats() const { return stats_; }
  // Pairs looked at so far; for a datagram they must not grow with their
  // number.
  uint64_t pair_visits() const;
  EmbeddedDtls& embedded_dtls() { return embedded_dtls_; }
  const EmbeddedDtls& embedded_dtls() const { return embedded_dtls_; }
  std::string DebugString() const;

 private:
  using Generation = internal::Generation;
  using Pair = internal::Pair;
  using Timer = internal::Timer;

  // agent.cc: candidates and pairs.
  void AdmitRemoteCandidate(absl::Time now, const Candidate& candidate);
  bool MayReachInside(const internal::Base& base,
                      const internal::RemoteCandidate& remote) const;
  void RemoveBase(absl::Time now, size_t index);
  void ExpireNames(absl::Time now);
  std::optional<size_t> AddRemote(const TransportAddress& address,
                                  CandidateType type, uint32_t priority,
                                  uint16_t foundation);
  void PairRemote(size_t index);
  uint16_t Intern(const std::string& foundation);
  std::optional<size_t> FindBase(const TransportAddress& address) const;
  void SwitchRole(Role role);

  // agent_requests.cc: the peer's checks (RFC 8445 section 7.3).
  void HandleRequest(absl::Time now, const Path& path,
                     const stun::MessageView& message);
  Generation* Authenticate(const stun::MessageView& message);
  bool ResolveRoleConflict(const stun::MessageView& message);
  void Respond(const Path& path, const stun::TransactionId& id,
               std::optional<stun::Error> error,
               const stun::UnknownAttributes& unknown, const Generation& g);
  void HandleCheck(absl::Time now, const Path& path, uint32_t priority,
                   bool use_candidate);
  void KeepEarlyCheck(const Path& path, const stun::MessageView& message);
  std::optional<Datagram> NextResponse(absl::Span<uint8_t> out);

  // agent_checks.cc: our checks (RFC 8445 section 7.2).
  void HandleResponse(absl::Time now, const Path& path,
                      const stun::MessageView& message);
  void HandleSuccess(absl::Time now, Generation& g,
                     const internal::Transaction& transaction,
                     const TransportAddress& mapped);
  void HandleError(Generation& g, const internal::Transaction& transaction,
                   stun::Error error);
  void FailPair(Generation& g, size_t index);
  void ExpireChecks(absl::Time now);
  bool MayRetransmit(const Pair& pair) const;
  bool ChecksRunning() const;
  absl::Time NextCheckTime() const;
  std::optional<Datagram> NextCheck(absl::Time now, absl::Span<uint8_t> out);
  std::optional<size_t> NextRepeat(absl::Time now);
  std::optional<Datagram> StartCheck(absl::Time now, size_t index,
                                     absl::Span<uint8_t> out);
  std::optional<Datagram> RepeatCheck(absl::Time now, size_t index,
                                      absl::Span<uint8_t> out);
  void BeginTransaction(absl::Time now, size_t index);
  std::optional<Datagram> Transmit(absl::Time now, Pair& pair,
                                   absl::Span<uint8_t> out);
  std::optional<Datagram> NextKeepalive(absl::Time now, Generation& g,
                                        absl::Span<uint8_t> out);
  std::optional<Datagram> WriteCheck(const Generation& g, const Pair& pair,
                                     const stun::TransactionId& id,
                                     bool use_candidate,
                                     absl::Span<uint8_t> out);

  // agent_selection.cc: nomination, consent, state (RFC 8445 section 8).
  void Update(absl::Time now);
  void Arm();
  void ConsiderNomination(absl::Time now);
  absl::Time NominationTime(const Pair& best) const;
  bool IsRelayed(const Pair& pair) const;
  void Nominate(size_t index);
  void Select(absl::Time now, size_t index);
  bool ShouldRenominate(absl::Time now, const Pair& best);
  void Suspect(absl::Time now, size_t index);
  void Hasten(absl::Time now, const Pair& valid);
  void ReviewConsent(absl::Time now, Generation& g);
  void Resume();
  absl::Duration CheckTimeout(const Pair& pair,
                              const internal::InProgress& check) const;
  bool IsTrusted(const Pair& pair) const;
  int QuickChecks(const Pair& pair) const;
  int TransmissionsMax(const Pair& pair) const;
  absl::Duration ConsentInterval();
  AgentState ComputeState(absl::Time now) const;
  const Pair* PairInUse() const;

  AgentOptions options_;
  Random* random_;
  Role role_;
  uint64_t tie_breaker_;
  AgentState state_ = AgentState::kNew;
  internal::Told told_;
  AgentStats stats_;
  TimerTable<Timer> timers_;

  std::vector<internal::LocalCandidate> locals_;
  std::vector<internal::Base> bases_;
  std::vector<std::string> foundations_;
  uint16_t next_reflexive_foundation_ = 0x8000;

  std::unique_ptr<Generation> current_;
  std::unique_ptr<Generation> previous_;
  // Candidates that came before the peer's credentials.
  std::vector<Candidate> unbound_;
  std::vector<internal::PendingName> names_;
  uint32_t next_name_ = 0;

  std::vector<internal::Response> responses_;
  size_t responses_taken_ = 0;
  // When the next check may leave that must keep Ta.
  absl::Time next_slot_ = absl::InfinitePast();
  EmbeddedDtls embedded_dtls_;
};
static_assert(Engine<Agent>);

}  // namespace kyuu::ice

#endif  // KYUU_ICE_AGENT_H_
