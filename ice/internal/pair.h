// Pairs of a checklist (RFC 8445 section 6.1.2), and what they are made of.
// Each state of a check, and the valid list, has what only it needs.

#ifndef KYUU_ICE_INTERNAL_PAIR_H_
#define KYUU_ICE_INTERNAL_PAIR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "stun/protocol.h"

namespace kyuu::ice::internal {

// Base is an address we send from. Server-reflexive candidates share the base
// of their host candidate, so that no pair is there twice (RFC 8445 section
// 6.1.2.4).
struct Base {
  TransportAddress address;  // An active one's has a port of no meaning.
  CandidateType
      type;  // kHost or kRelayed; kServerReflexive if no host is told.
  uint32_t priority = 0;
  uint16_t foundation = 0;
  std::optional<TcpType> tcp_type = std::nullopt;
  // Of the generation before the restart alone.
  bool retired = false;

  Transport transport() const {
    return tcp_type ? Transport::kTcp : Transport::kUdp;
  }
};

struct RemoteCandidate {
  TransportAddress address;  // Without scope.
  CandidateType type;
  uint32_t priority = 0;
  uint16_t foundation = 0;
  std::optional<TcpType> tcp_type = std::nullopt;

  Transport transport() const {
    return tcp_type ? Transport::kTcp : Transport::kUdp;
  }
};

// The states of a check (RFC 8445 section 6.1.2.6), in the order of PairState.
struct Frozen {};
struct Waiting {};
struct InProgress {
  stun::TransactionId transaction;
  int transmissions = 0;
  CompactDuration rto;
  // When to send again, or to give up.
  CompactTime deadline = absl::InfiniteFuture();
  // The deadline has passed, and Ta has not: the next slot is for a repetition.
  bool due = false;
  // Of a connection that is to be made: as long as that may take, with all
  // attempts.
  CompactTime connected_by = absl::InfinitePast();
};
struct Succeeded {};
struct Failed {};
using CheckState = std::variant<Frozen, Waiting, InProgress, Succeeded, Failed>;

// What is known of a pair in the valid list: a check succeeded (RFC 8445
// section 7.2.5.3.2) and consent has not expired (RFC 7675 section 5.1).
struct Validity {
  CompactTime since;  // Or since it was suspect last.
  CompactTime last_response;
  // When the first check after `last_response` was sent.
  CompactTime unanswered_since = absl::InfiniteFuture();
  CompactTime next_keepalive = absl::InfiniteFuture();
  // Gets keepalives: it is in use, or a reserve.
  bool kept = false;
  // Does not answer.
  bool suspect = false;
  // The peer seems to know that it does not work: fewer probes, and closer
  // together, decide.
  bool hasty = false;
  // Probes under way; 0 while nobody doubts that it works.
  int probes = 0;

  // The peer has answered, or what it sent counts as that.
  void Heard(absl::Time now) {
    last_response = now;
    hasty = false;
    if (std::exchange(suspect, false)) since = now;
  }
  // It has to answer, and is asked at once.
  void Doubt(absl::Time now) {
    suspect = true;
    hasty = false;
    probes = 0;
    next_keepalive = now;
    unanswered_since = std::min<absl::Time>(unanswered_since, now);
  }
};

// How far the nomination of a pair is (RFC 8445 section 8.1).
enum class Nomination : uint8_t {
  kNone,
  kNominating,  // USE-CANDIDATE goes into the check under way (we control).
  kByPeer,      // The peer sent it before the pair was valid (it controls).
  kNominated,
};

// Pair is a base and a remote candidate. Its identity is (base, remote); what
// type its ends have is a label.
struct Pair {
  uint16_t base;
  uint16_t remote;
  CandidateType local_type = CandidateType::kHost;
  Path path;
  uint32_t foundation = 0;
  uint64_t priority = 0;

  CheckState check;
  std::optional<Validity> valid;
  Nomination nomination = Nomination::kNone;

  // In the triggered-check queue.
  bool triggered = false;
  // The next triggered check need not wait for Ta.
  bool immediate = true;
  // Checked because payload came from there: the peer's old address is
  // forgotten by its NAT if this one answers.
  bool rebound = false;

  CompactDuration rtt;  // Smoothed; zero when unknown.
  CompactDuration rtt_sum;
  CompactTime first_sent = absl::InfiniteFuture();
  CompactTime last_sent = absl::InfinitePast();
  CompactTime nominated_at = absl::InfinitePast();

  // A check a second wraps them after a hundred years.
  uint32_t checks_sent = 0;
  uint32_t responses_received = 0;
  uint32_t requests_received = 0;
  uint32_t consent_sent = 0;
  uint32_t responses_sent = 0;
  // Null until it carries payload; without the answers to checks.
  std::unique_ptr<PairTraffic> payload;

  PairTraffic traffic() const {
    PairTraffic all = payload ? *payload : PairTraffic();
    all.responses_sent = responses_sent;
    return all;
  }
  PairState state() const { return static_cast<PairState>(check.index()); }
  InProgress* in_progress() { return std::get_if<InProgress>(&check); }
  const InProgress* in_progress() const {
    return std::get_if<InProgress>(&check);
  }
  // It is of TCP: nothing that was sent has to be sent again.
  bool is_stream() const { return IsStream(path.transport); }
  // The peer was heard on it: its check came, or its answer.
  bool heard() const { return requests_received + responses_received > 0; }
  bool nominated() const { return nomination == Nomination::kNominated; }
  // When the peer answered or sent payload last; it is valid.
  absl::Time heard_at() const {
    const absl::Time answered = valid->last_response;
    return payload ? std::max<absl::Time>(answered, payload->last_received)
                   : answered;
  }
  bool suspect() const { return valid && valid->suspect; }
  bool healthy() const { return valid && !valid->suspect; }
  // A check of it is under way, or may be.
  bool pending() const {
    return state() <= PairState::kInProgress || triggered;
  }
};

// How long a valid pair may be silent.
struct Liveness {
  // `of_agent` must outlive this.
  Liveness(const AgentOptions& of_agent, bool asks_peer)
      : options(&of_agent), asks(asks_peer) {}

  absl::Duration ProbeInterval(const Pair& pair) const;
  // When it becomes suspect, and when its consent ends; InfiniteFuture() if
  // never, as things are.
  absl::Time SuspectAt(const Pair& pair) const;
  absl::Time ConsentUntil(const Pair& pair) const;

  const AgentOptions* options;
  bool asks;  // Else only the peer's checks tell.
};

// The pair of `base` and `remote`, as yet unchecked.
Pair MakePair(const Base& base, size_t base_index,
              const RemoteCandidate& remote, size_t remote_index, Role role);
// Sets what depends on our role and on the labels of both ends.
void Label(Pair& pair, const Base& base, const RemoteCandidate& remote,
           Role role);

// Whether a TCP pair needs a connection of ours (RFC 6544 section 7.1) unless
// there is one along its path. That of an active candidate has its path then,
// from a port of its own; one that opens simultaneously keeps its own.
bool NeedsStream(const Pair& pair, const Base& base);

TransportAddress WithoutScope(TransportAddress address);

// Equal but for a scope that only one of them tells.
bool SameAddress(const TransportAddress& a, const TransportAddress& b);

// Whether a packet from `base` could reach `remote` (RFC 8445 section 6.1.2.2:
// same family, IPv6 link-local only with link-local; loopback only with
// loopback, unless it is a relay's; RFC 6544 section 6.2: same transport, from
// active to passive, since only that side connects, and between two that open
// simultaneously).
bool MayPair(const Base& base, const RemoteCandidate& remote);

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_PAIR_H_
