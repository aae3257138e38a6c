// One ICE generation: the credentials of both sides, the peer's candidates, the
// checklist and the checks under way (RFC 8445 section 6.1.2). Data and its
// bookkeeping only; ice::Agent decides.

#ifndef KYUU_ICE_INTERNAL_GENERATION_H_
#define KYUU_ICE_INTERNAL_GENERATION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "base/short_list.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/internal/checklist.h"
#include "ice/internal/compact.h"
#include "ice/internal/pair.h"
#include "ice/policy.h"
#include "stun/integrity.h"
#include "stun/protocol.h"

namespace kyuu::ice::internal {

// A request of ours that may be answered.
struct Transaction {
  stun::TransactionId id;
  uint16_t pair;
  Role role;
  bool use_candidate;
  bool retransmitted;
  CompactTime sent;
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
  Generation(const Credentials& local_credentials, const Liveness& liveness);

  // --- Credentials ---
  Credentials local;
  stun::Sha1Key local_key;
  // What is kept of the peer's.
  struct Remote {
    std::string ufrag;
    stun::Sha1Key key;
  };
  std::optional<Remote> remote;
  RemoteMode remote_mode = RemoteMode::kFull;

  void SetRemote(const Credentials& credentials, RemoteMode mode);
  // Whether they are the peer's, which are known.
  bool IsRemote(const Credentials& credentials) const;
  // True if `name` is "local:remote" (or "local:" and anything while the
  // peer's is unknown).
  bool AcceptsUsername(absl::string_view name) const;
  // USERNAME carries both fragments and a colon (RFC 8489 section 14.3: fewer
  // than 509 bytes).
  static constexpr size_t kMaxUsername = 508;
  // "remote:local", of our requests, in `out`; `remote` is known.
  absl::string_view WriteUsername(std::array<char, kMaxUsername>& out) const;

  // --- Candidates and pairs ---
  Checklist pairs;
  ShortList<EarlyCheck> early;
  // The nominated pair in force.
  std::optional<size_t> selected;
  // What a policy has chosen for while that does not answer.
  struct StandIn {
    size_t pair;
    absl::string_view reason;
  };
  std::unique_ptr<StandIn> stand_in;  // Null: none.
  // Data stays with `selected` although others answer, and it does not.
  bool held = false;
  bool remote_done = false;  // End of candidates.
  bool ever_valid = false;
  // The address that was in use went away, and nothing has worked since.
  bool moved = false;
  // All pairs are checked again because the one in use does not answer.
  bool resumed = false;
  // A pair that had worked has failed.
  bool any_lost = false;
  // There may be pairs for NextReserve(), once one is selected.
  bool seeks_reserves = false;
  // When the next check of an address that nobody told may be made, and how
  // many were made since one answered.
  CompactTime next_stranger = absl::InfinitePast();
  uint32_t strangers = 0;
  // InfinitePast() once it has passed.
  CompactTime patience_until = absl::InfiniteFuture();

  const ShortList<RemoteCandidate>& remotes() const { return remotes_; }
  // The one at an address, of UDP if `tcp_type` is unset. On one port of TCP
  // there may be two: one for simultaneous opening, and one of the other types.
  std::optional<size_t> FindRemote(std::optional<TcpType> tcp_type,
                                   const TransportAddress& address) const;
  size_t AddRemote(const RemoteCandidate& candidate);
  // Puts another in the place of remotes()[index], whose pairs are removed.
  void ReplaceRemote(size_t index, const RemoteCandidate& candidate);
  // Gives a candidate the true labels, which are those of `candidate`.
  void LabelRemote(size_t index, const RemoteCandidate& candidate);
  // A peer-reflexive candidate of which no pair ever worked; nullopt if none.
  std::optional<size_t> UselessReflexive() const;
  // The end of a connection that is no more; nullopt if none.
  std::optional<size_t> LostStreamEnd() const;

  // Puts a pair into the valid list (RFC 8445 section 7.2.5.3.2).
  void Validate(size_t index, const Validity& validity);
  // As Checklist::Add.
  std::optional<size_t> AddPair(const Base& base, size_t base_index,
                                size_t remote_index, Role role,
                                size_t max_pairs);
  // As Checklist::RemoveBase, with all that refers to the pairs.
  void RemoveBase(size_t base);
  void RemovePair(size_t index);
  // Recomputes priorities and foundations, after a change of role or labels.
  void Relabel(const ShortList<Base>& bases, Role role);
  // The pair to send data on: the selected one while it answers.
  std::optional<size_t> InUse() const;
  // The best pair that was never checked and may be a reserve for the selected
  // one if its local address goes: direct, of UDP, of another base. nullopt if
  // there is none, or if more than `max_backups` pairs are valid already.
  std::optional<size_t> NextReserve(size_t max_backups);
  // Whether to ask for that: the selected pair is in use.
  bool SeeksReserves() const {
    return seeks_reserves && selected && InUse() == selected;
  }
  // Chooses the pairs that get keepalives: `in_use` and the best others that
  // `may_keep`(pair, how many are kept) lets in. `dropped` is told the others
  // that had been kept.
  void Keep(std::optional<size_t> in_use, size_t max_backups,
            absl::FunctionRef<bool(size_t, size_t)> may_keep,
            absl::FunctionRef<void(size_t)> dropped);
  PairView ViewOf(size_t index) const {
    const Pair& pair = pairs[index];
    return PairView(pair, remotes_[pair.remote].type);
  }

  // --- Transactions ---
  void AddTransaction(const Transaction& transaction, size_t limit);
  const Transaction* FindTransaction(const stun::TransactionId& id) const;
  void MarkRetransmitted(const stun::TransactionId& id);
  void RemoveTransaction(const stun::TransactionId& id);

 private:
  // What Keep() has chosen from.
  struct Kept {
    uint64_t valid_changes = UINT64_MAX;
    uint32_t in_use_plus_one = 0;  // 0: none is.
    uint32_t max_backups = 0;
    friend bool operator==(const Kept&, const Kept&) = default;
  };

  static constexpr size_t kFewRemotes = 4;

  // The key of by_address_.
  using Place = std::tuple<bool, bool, TransportAddress>;
  static Place PlaceOf(std::optional<TcpType> tcp_type,
                       const TransportAddress& address) {
    return {tcp_type.has_value(), tcp_type == TcpType::kSimultaneousOpen,
            address};
  }
  auto AddressOf() const {
    return [this](uint16_t number) {
      return PlaceOf(remotes_[number].tcp_type, remotes_[number].address);
    };
  }
  // Pairs were removed: what refers to them follows.
  void Follow(const std::vector<size_t>& place);

  ShortList<RemoteCandidate> remotes_;
  // Of more than a few; else they are looked through.
  std::unique_ptr<NumberTable> by_address_;
  Kept kept_;
  ShortList<Transaction> transactions_;
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_GENERATION_H_
