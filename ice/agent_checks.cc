// Our checks: pacing, transmissions, and what the answers mean (RFC 8445
// sections 6.1.4.2 and 7.2).

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/internal/generation.h"
#include "ice/internal/understood.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace kyuu::ice {

using internal::Base;
using internal::Nomination;
using internal::Transaction;

namespace {

// The PRIORITY attribute: the priority of the peer-reflexive candidate that
// the peer would learn (RFC 8445 section 7.1.1). What it learns about a relay
// is still a relay, and must not look cheaper than a direct way.
uint32_t PriorityAttribute(const Base& base) {
  if (base.type == CandidateType::kRelayed) return base.priority;
  return TypePreference(CandidateType::kPeerReflexive) << 24 |
         (base.priority & 0x00ffffff);
}

}  // namespace

void Agent::HandleResponse(absl::Time now, const Path& path,
                           const stun::MessageView& message) {
  Generation* g = current_.get();
  const Transaction* found = g->FindTransaction(message.transaction_id());
  if (found == nullptr && previous_) {
    g = previous_.get();
    found = g->FindTransaction(message.transaction_id());
  }
  if (found == nullptr) {
    ++stats_.drop_unknown_transaction;
    return;
  }
  if (!message.HasIntegrity()) {
    ++stats_.drop_no_integrity;
    return;
  }
  if (!message.CheckIntegrity(g->remote_key)) {
    ++stats_.drop_wrong_integrity;
    return;
  }
  const Path& sent = g->pairs[found->pair].path;
  // RFC 8445 section 7.2.5.2.1 fails the pair; ignoring the answer leaves it
  // to its timeout and gives a replayer nothing.
  if (!internal::SameAddress(path.remote, sent.remote) ||
      !internal::SameAddress(path.local, sent.local)) {
    ++stats_.drop_asymmetric;
    return;
  }
  const bool success = message.cls() == stun::MessageClass::kSuccess;
  const auto mapped = message.Get<stun::XorMappedAddress>();
  const auto error = message.Get<stun::ErrorCode>();
  // Unknown comprehension-required attributes: RFC 8489 sections 6.3.3, 6.3.4.
  if ((success && !mapped) || (!success && !error) ||
      !message.UnknownComprehensionRequired(internal::kIceAttributes).empty()) {
    ++stats_.drop_malformed;
    return;
  }
  ++stats_.responses_received;
  const Transaction transaction = *found;
  g->RemoveTransaction(transaction.id);
  if (success) {
    HandleSuccess(now, *g, transaction, mapped->address);
  } else {
    HandleError(*g, transaction, error->code);
  }
  Update(now);
}

void Agent::HandleSuccess(absl::Time now, Generation& g,
                          const Transaction& transaction,
                          const TransportAddress& mapped) {
  Pair& pair = g.pairs[transaction.pair];
  ++pair.responses_received;
  // Karn: an answer to a retransmitted request does not tell to which one.
  if (!transaction.retransmitted) {
    const absl::Duration sample =
        std::max(now - transaction.sent, absl::Microseconds(1));
    pair.rtt = pair.rtt == absl::ZeroDuration() ? sample
                                                : pair.rtt * 7 / 8 + sample / 8;
  }
  pair.last_response = now;
  pair.unanswered_since = absl::InfiniteFuture();
  pair.suspect = false;
  if (std::exchange(pair.probes, 0) > 0) {
    pair.next_keepalive = now + ConsentInterval();
  }
  pair.authenticated = true;
  if (&g != current_.get()) return;

  const Base& base = bases_[pair.base];
  pair.local_type = base.type;
  if (base.type != CandidateType::kRelayed &&
      !internal::SameAddress(mapped, base.address)) {
    const auto local = std::find_if(
        locals_.begin(), locals_.end(),
        [&](const LocalCandidate& l) { return l.address == mapped; });
    pair.local_type =
        local == locals_.end() ? CandidateType::kPeerReflexive : local->type;
  }
  if (!pair.valid) {
    pair.valid = true;
    pair.valid_since = now;
    pair.next_keepalive = now + ConsentInterval();
    g.ever_valid = true;
    g.moved = false;
    g.Unfreeze(pair.foundation);
    Hasten(now, pair);
  }
  if (transaction.use_candidate && role_ == Role::kControlling) {
    Select(now, transaction.pair);
  }
  // The answer to an older check must not end the nominating one.
  if (pair.nomination != Nomination::kNominating) {
    pair.state = PairState::kSucceeded;
    g.Untrigger(transaction.pair);
  }
  // Once: the answer to a later check says nothing about what is nominated.
  if (role_ == Role::kControlled && pair.nomination == Nomination::kByPeer) {
    Select(now, transaction.pair);
  }
  if (std::exchange(pair.rebound, false)) {
    // The payload that came from here was the peer's. Where it was before is
    // asked too, and is in use again if it answers.
    g.strangers = 0;
    const std::optional<size_t> in_use = g.InUse();
    if (in_use && *in_use != transaction.pair) Suspect(now, *in_use);
  }
}

void Agent::HandleError(Generation& g, const Transaction& transaction,
                        stun::Error error) {
  if (&g != current_.get()) return;
  Pair& pair = g.pairs[transaction.pair];
  if (error == stun::Error::kRoleConflict) {
    // RFC 8445 section 7.2.5.1. If the role has changed since, this conflict is
    // settled already.
    ++stats_.role_conflicts;
    if (transaction.role == role_) {
      SwitchRole(role_ == Role::kControlling ? Role::kControlled
                                             : Role::kControlling);
    }
    if (pair.valid) {
      pair.state = PairState::kSucceeded;
    } else {
      pair.state = PairState::kWaiting;
      g.Trigger(transaction.pair);
    }
    return;
  }
  // Any other error ends the check it answers (section 7.2.5.2.4). For a
  // consent check it is no consent, and time will tell.
  if (pair.state != PairState::kInProgress ||
      pair.check.transaction != transaction.id) {
    return;
  }
  FailPair(g, transaction.pair);
}

void Agent::FailPair(Generation& g, size_t index) {
  Pair& pair = g.pairs[index];
  pair.state = PairState::kFailed;
  pair.valid = false;
  pair.nomination = Nomination::kNone;
  pair.suspect = false;
  pair.check.deadline = absl::InfiniteFuture();
  pair.unanswered_since = absl::InfiniteFuture();
  g.Untrigger(index);
  if (g.selected == index) g.selected.reset();
}

void Agent::ExpireChecks(absl::Time now) {
  Generation& g = *current_;
  for (size_t i = 0; i < g.pairs.size(); ++i) {
    Pair& pair = g.pairs[i];
    if (pair.state != PairState::kInProgress || pair.check.deadline > now)
      continue;
    if (pair.check.transmissions >= TransmissionsMax(pair)) {
      FailPair(g, i);
    } else if (!MayRetransmit(pair)) {
      // Another pair was nominated meanwhile (RFC 8445 section 8.1.2).
      pair.state = pair.valid ? PairState::kSucceeded : PairState::kWaiting;
      pair.check.deadline = absl::InfiniteFuture();
    }
  }
}

// Ordinary checks go on until a pair is nominated, and again when that one
// stops to answer.
bool Agent::ChecksRunning() const {
  const Generation& g = *current_;
  if (!g.remote || (g.ever_valid && !g.InUse())) return false;
  // A relay costs its operator: what may be better is looked for all the same.
  return !g.selected || g.resumed || IsRelayed(g.pairs[*g.selected]);
}

// That somebody is there who wants our checks is sure once he has answered one.
// His own check may be a replay, and then its source is anybody's address; but
// not if he told that address.
bool Agent::IsTrusted(const Pair& pair) const {
  if (pair.responses_received > 0) return true;
  const bool wanted = pair.heard() || pair.nomination != Nomination::kNone;
  return wanted &&
         current_->remotes[pair.remote].type != CandidateType::kPeerReflexive;
}

// How many of a pair's checks follow each other without waiting for the
// retransmission timeout: a lost one holds up the data.
int Agent::QuickChecks(const Pair& pair) const {
  if (!pair.heard() && pair.nomination == Nomination::kNone) return 0;
  return IsTrusted(pair) ? options_.quick_checks
                         : std::min(3, options_.quick_checks);
}

int Agent::TransmissionsMax(const Pair& pair) const {
  return options_.max_transmissions +
         (IsTrusted(pair) ? options_.quick_checks : 0);
}

// How long the last transmission may take to be answered.
absl::Duration Agent::CheckTimeout(const Pair& pair) const {
  const int quick = QuickChecks(pair);
  if (pair.check.transmissions <= quick) {
    return std::max(2 * pair.rtt, options_.quick_interval);
  }
  const int slow = pair.check.transmissions - (IsTrusted(pair) ? quick : 0);
  return pair.check.rto *
         options_
             .waits[std::min(static_cast<size_t>(slow), options_.waits.size()) -
                    1];
}

bool Agent::MayRetransmit(const Pair& pair) const {
  return pair.nomination != Nomination::kNone || ChecksRunning();
}

absl::Time Agent::NextCheckTime() const {
  const Generation& g = *current_;
  if (!g.remote) return absl::InfiniteFuture();
  if (g.NextImmediate()) return absl::InfinitePast();
  absl::Time next = absl::InfiniteFuture();
  if (g.NextTriggered() || (ChecksRunning() && g.NextOrdinary())) {
    next = next_slot_;
  }
  for (const Pair& pair : g.pairs) {
    if (pair.state != PairState::kInProgress) continue;
    const bool repeat = pair.check.transmissions < TransmissionsMax(pair) &&
                        MayRetransmit(pair);
    next = std::min(next, repeat ? std::max(pair.check.deadline, next_slot_)
                                 : pair.check.deadline);
  }
  return next;
}

std::optional<Datagram> Agent::NextCheck(absl::Time now,
                                         absl::Span<uint8_t> out) {
  Generation& g = *current_;
  if (!g.remote) return std::nullopt;
  // Pacing protects addresses that nobody answers for. The first check that an
  // authenticated packet from the very address calls for is as harmless as the
  // response to it, and waiting would cost every connection up to Ta. The same
  // goes for nominating a pair that works.
  if (std::optional<size_t> index = g.NextImmediate()) {
    g.pairs[*index].immediate = false;
    return StartCheck(now, *index, out);
  }
  if (now < next_slot_) return std::nullopt;
  std::optional<size_t> next = g.NextTriggered();
  if (!next) {
    // Retransmissions that are due go before new checks.
    for (size_t i = 0; i < g.pairs.size(); ++i) {
      const Pair& pair = g.pairs[i];
      if (pair.state == PairState::kInProgress && pair.check.deadline <= now &&
          pair.check.transmissions < TransmissionsMax(pair) &&
          MayRetransmit(pair) &&
          (!next || pair.check.deadline < g.pairs[*next].check.deadline)) {
        next = i;
      }
    }
    if (next) {
      next_slot_ = now + options_.ta;
      return RepeatCheck(now, *next, out);
    }
    if (ChecksRunning()) next = g.NextOrdinary();
  }
  if (!next) return std::nullopt;
  next_slot_ = now + options_.ta;
  return StartCheck(now, *next, out);
}

std::optional<Datagram> Agent::StartCheck(absl::Time now, size_t index,
                                          absl::Span<uint8_t> out) {
  Generation& g = *current_;
  Pair& pair = g.pairs[index];
  g.Untrigger(index);
  pair.state = PairState::kInProgress;
  // RFC 8445 section 14.3.
  pair.check.rto =
      std::max(options_.rto_initial,
               options_.ta * static_cast<int64_t>(g.CountActive()));
  // What had all its packets and never answered gets one more, not as many.
  const int most = TransmissionsMax(pair);
  const bool hopeless = pair.responses_received == 0 &&
                        pair.checks_sent >= static_cast<uint64_t>(most);
  pair.check.transmissions = hopeless ? most - 1 : 0;
  BeginTransaction(now, index);
  return Transmit(now, pair, out);
}

std::optional<Datagram> Agent::RepeatCheck(absl::Time now, size_t index,
                                           absl::Span<uint8_t> out) {
  Pair& pair = current_->pairs[index];
  if (pair.check.transmissions <= QuickChecks(pair)) {
    BeginTransaction(now, index);
  } else {
    current_->MarkRetransmitted(pair.check.transaction);
  }
  return Transmit(now, pair, out);
}

// The pair's next check is another transaction; answers to the ones before it
// still count (RFC 8445 section 7.3.1.4).
void Agent::BeginTransaction(absl::Time now, size_t index) {
  Pair& pair = current_->pairs[index];
  pair.check.transaction = stun::TransactionId::Generate(*random_);
  current_->AddTransaction(
      {pair.check.transaction, static_cast<uint16_t>(index), role_,
       pair.nomination == Nomination::kNominating, /*retransmitted=*/false,
       now},
      options_.max_transactions);
}

std::optional<Datagram> Agent::Transmit(absl::Time now, Pair& pair,
                                        absl::Span<uint8_t> out) {
  ++pair.check.transmissions;
  ++pair.checks_sent;
  pair.check.first_sent = std::min(pair.check.first_sent, now);
  pair.check.last_sent = now;
  pair.check.deadline = now + CheckTimeout(pair);
  ++stats_.checks_sent;
  return WriteCheck(*current_, pair, pair.check.transaction,
                    pair.nomination == Nomination::kNominating, out);
}

std::optional<Datagram> Agent::NextKeepalive(absl::Time now, Generation& g,
                                             absl::Span<uint8_t> out) {
  for (size_t i = 0; i < g.pairs.size(); ++i) {
    Pair& pair = g.pairs[i];
    if (!pair.valid || !pair.kept || pair.next_keepalive > now) continue;
    // Not repeated when lost: each is a new transaction (RFC 7675 section 5.1).
    const stun::TransactionId id = stun::TransactionId::Generate(*random_);
    g.AddTransaction({id, static_cast<uint16_t>(i), role_,
                      /*use_candidate=*/false, /*retransmitted=*/false, now},
                     options_.max_transactions);
    if (pair.probes > 0) {
      pair.probes = std::min(pair.probes + 1, options_.probes);
    }
    const bool missing = pair.unanswered_since != absl::InfiniteFuture();
    if (!missing) pair.unanswered_since = now;
    if (g.InUse() == i) {
      pair.next_keepalive = now + (pair.probes > 0 ? ProbeInterval(pair)
                                   : pair.suspect  ? options_.suspect_after
                                                   : ConsentInterval());
    } else {
      pair.next_keepalive =
          now + (missing ? ConsentInterval() : options_.keepalive_interval);
    }
    ++pair.checks_sent;
    ++stats_.consent_sent;
    // Says again what is nominated, for a peer that has lost it.
    const bool use_candidate =
        &g == current_.get() && g.selected == i && role_ == Role::kControlling;
    return WriteCheck(g, pair, id, use_candidate, out);
  }
  return std::nullopt;
}

std::optional<Datagram> Agent::WriteCheck(const Generation& g, const Pair& pair,
                                          const stun::TransactionId& id,
                                          bool use_candidate,
                                          absl::Span<uint8_t> out) {
  stun::MessageWriter w(out, stun::MessageClass::kRequest,
                        stun::Method::kBinding, id);
  w.Add(stun::Username{g.username});
  if (role_ == Role::kControlling) {
    w.Add(stun::IceControlling{tie_breaker_});
    if (use_candidate) w.Add(stun::UseCandidate{});
  } else {
    w.Add(stun::IceControlled{tie_breaker_});
  }
  w.Add(stun::Priority{PriorityAttribute(bases_[pair.base])});
  w.AddIntegrity(g.remote_key);
  w.AddFingerprint();
  const absl::Span<const uint8_t> bytes = w.Finish();
  if (bytes.empty()) {
    ++stats_.drop_too_big;
    return std::nullopt;
  }
  return Datagram{pair.path, bytes};
}

}  // namespace kyuu::ice
