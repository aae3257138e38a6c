// One ICE generation: the credentials of both sides, the peer's candidates, the
// checklist and the checks under way (RFC 8445 section 6.1.2). Data and its
// bookkeeping only; ice::Agent decides.

#ifndef KYUU_ICE_INTERNAL_GENERATION_H_
#define KYUU_ICE_INTERNAL_GENERATION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "stun/integrity.h"
#include "stun/protocol.h"

namespace kyuu::ice::internal {

// Base is an address we send from. Server-reflexive candidates share the base
// of their host candidate, so that no pair is there twice (RFC 8445 section
// 6.1.2.4).
struct Base {
  TransportAddress address;
  CandidateType
      type;  // kHost or kRelayed; kServerReflexive if no host is told.
  uint32_t priority = 0;
  uint16_t foundation = 0;
};

struct RemoteCandidate {
  TransportAddress address;  // Without scope.
  CandidateType type;
  uint32_t priority = 0;
  uint16_t foundation = 0;
};

// How far the nomination of a pair is (RFC 8445 section 8.1).
enum class Nomination : uint8_t {
  kNone,
  kNominating,  // USE-CANDIDATE goes into the check under way (we control).
  kByPeer,      // The peer sent it before the pair was valid (it controls).
  kNominated,
};

// The check of a pair that is under way, or was the last one.
struct Check {
  stun::TransactionId transaction;
  int transmissions = 0;
  absl::Duration rto;
  absl::Time first_sent = absl::InfiniteFuture();
  absl::Time last_sent = absl::InfinitePast();
  // When to send again, or to give up.
  absl::Time deadline = absl::InfiniteFuture();
};

// Pair is a base and a remote candidate. Its identity is (base, remote); what
// type its ends have is a label.
struct Pair {
  uint16_t base;
  uint16_t remote;
  PairState state = PairState::kFrozen;
  // In the valid list: a check succeeded and consent has not expired.
  bool valid = false;
  Nomination nomination = Nomination::kNone;
  // An authenticated packet came this way.
  bool authenticated = false;
  // In the triggered-check queue.
  bool triggered = false;
  // The next triggered check need not wait for Ta.
  bool immediate = true;
  // Probed by keepalives: in use, or a reserve.
  bool kept = false;
  // Does not answer.
  bool suspect = false;
  // Checked because payload came from there: the peer's old address is
  // forgotten by its NAT if this one answers.
  bool rebound = false;
  // Probes under way; 0 while nobody doubts that it works.
  int probes = 0;
  CandidateType local_type = CandidateType::kHost;  // Once valid.

  uint32_t foundation = 0;
  uint64_t priority = 0;
  Path path;

  Check check;

  absl::Duration rtt;  // Smoothed; zero when unknown.
  absl::Time valid_since = absl::InfiniteFuture();
  absl::Time nominated_at = absl::InfinitePast();
  absl::Time last_response = absl::InfinitePast();
  // When the first check after `last_response` was sent.
  absl::Time unanswered_since = absl::InfiniteFuture();
  absl::Time next_keepalive = absl::InfiniteFuture();

  uint64_t checks_sent = 0;
  uint64_t responses_received = 0;
  uint64_t requests_received = 0;

  // The peer was heard on it: its check came, or its answer.
  bool heard() const { return requests_received + responses_received > 0; }
  bool nominated() const { return nomination == Nomination::kNominated; }
  bool pending() const {
    return state == PairState::kFrozen || state == PairState::kWaiting ||
           state == PairState::kInProgress || triggered;
  }
};

// A request of ours that may be answered.
struct Transaction {
  stun::TransactionId id;
  uint16_t pair;
  Role role;
  bool use_candidate;
  bool retransmitted;
  absl::Time sent;
};

// A check that came before the peer's credentials.
struct EarlyCheck {
  Path path;
  uint32_t priority;
  bool use_candidate;
  std::string remote_ufrag;
};

class Generation {
 public:
  explicit Generation(const Credentials& local_credentials);

  // --- Credentials ---
  Credentials local;
  stun::IntegrityKey local_key;
  std::optional<Credentials> remote;
  stun::IntegrityKey remote_key;
  RemoteMode remote_mode = RemoteMode::kFull;
  std::string username;  // Of our requests, "remote:local".

  void SetRemote(const Credentials& credentials, RemoteMode mode);
  // True if `name` is "local:remote" (or "local:" and anything while the
  // peer's is unknown).
  bool AcceptsUsername(absl::string_view name) const;

  // --- Checklist ---
  std::vector<RemoteCandidate> remotes;
  std::vector<Pair> pairs;
  std::vector<EarlyCheck> early;
  // The nominated pair in force.
  std::optional<size_t> selected;
  bool remote_done = false;  // End of candidates.
  bool ever_valid = false;
  // The address that was in use went away, and nothing has worked since.
  bool moved = false;
  // All pairs are checked again because the one in use does not answer.
  bool resumed = false;
  // When the next check of an address that nobody told may be made, and how
  // many were made since one answered.
  absl::Time next_stranger = absl::InfinitePast();
  size_t strangers = 0;
  // InfinitePast() once it has passed.
  absl::Time patience_until = absl::InfiniteFuture();

  std::optional<size_t> FindRemote(const TransportAddress& address) const;
  std::optional<size_t> FindPair(size_t base, size_t remote_index) const;
  // Adds the pair, in the state that RFC 8838 section 12 gives it. When
  // `max_pairs` are there, the worst one that never worked makes room; nullopt
  // if that is the new one (RFC 8445 section 6.1.2.5).
  std::optional<size_t> AddPair(const Base& base, size_t base_index,
                                size_t remote_index, Role role,
                                size_t max_pairs);
  // Removes the pairs for which `unwanted` holds, with all that refers to them.
  void RemovePairs(absl::FunctionRef<bool(const Pair&)> unwanted);
  // A peer-reflexive candidate of which no pair ever worked; nullopt if none.
  std::optional<size_t> UselessReflexive() const;
  // Recomputes priorities and foundations, after a change of role or labels.
  void Relabel(const std::vector<Base>& bases, Role role);

  // The highest-priority Waiting pair, else Frozen pair; nullopt if none.
  std::optional<size_t> NextOrdinary() const;
  // Lets the pairs of one foundation go (RFC 8445 section 7.2.5.3.3).
  void Unfreeze(uint32_t foundation);
  size_t CountActive() const;  // Waiting or in progress.
  bool AnyPending() const;
  // The best valid pair; with `healthy_only`, of those that answer.
  enum class Among { kAll, kHealthy };
  std::optional<size_t> BestValid(Among among) const;
  // The pair to send data on: the selected one while it answers.
  std::optional<size_t> InUse() const;
  // Chooses the pairs that get keepalives: `in_use` and the best others.
  void Keep(std::optional<size_t> in_use, size_t max_backups);

  // --- Triggered checks: a FIFO without duplicates ---
  void Trigger(size_t pair);
  std::optional<size_t> NextTriggered() const;
  // The first that need not wait for Ta.
  std::optional<size_t> NextImmediate() const;
  void Untrigger(size_t pair);

  // --- Transactions ---
  void AddTransaction(const Transaction& transaction, size_t limit);
  const Transaction* FindTransaction(const stun::TransactionId& id) const;
  void MarkRetransmitted(const stun::TransactionId& id);
  void RemoveTransaction(const stun::TransactionId& id);

 private:
  std::vector<size_t> triggered_;
  std::vector<Transaction> transactions_;
};

// Equal but for a scope that only one of them tells.
bool SameAddress(const TransportAddress& a, const TransportAddress& b);

// Whether a packet from `base` could reach `remote` (RFC 8445 section 6.1.2.2:
// same family, IPv6 link-local only with link-local; loopback only with
// loopback, unless it is a relay's).
bool MayPair(const Base& base, const RemoteCandidate& remote);

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_GENERATION_H_
