// Our checks: pacing, transmissions, and what the answers mean (RFC 8445
// sections 6.1.4.2 and 7.2).

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

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
using internal::Generation;
using internal::InProgress;
using internal::Nomination;
using internal::Pair;
using internal::PairTimer;
using internal::Validity;

namespace {

// The PRIORITY attribute: the priority of the peer-reflexive candidate that
// the peer would learn (RFC 8445 section 7.1.1). What it learns about a relay
// is still a relay, and must not look cheaper than a direct way.
uint32_t PriorityAttribute(const Base& base) {
  if (base.type == CandidateType::kRelayed) return base.priority;
  const uint32_t type = base.tcp_type
                            ? TcpTypePreference(CandidateType::kPeerReflexive)
                            : TypePreference(CandidateType::kPeerReflexive);
  return type << 24 | (base.priority & 0x00ffffff);
}

// That somebody is there who wants our checks is sure once he has answered one.
// His own check may be a replay, and then its source is anybody's address; but
// not if he told that address.
bool IsTrusted(const Generation& g, const Pair& pair) {
  if (pair.responses_received > 0) return true;
  const bool wanted = pair.heard() || pair.nomination != Nomination::kNone;
  return wanted &&
         g.remotes()[pair.remote].type != CandidateType::kPeerReflexive;
}

// How many of a pair's checks follow each other without waiting for the
// retransmission timeout: a lost one holds up the data.
int QuickChecks(const Generation& g, const AgentOptions& options,
                const Pair& pair) {
  if (pair.is_stream()) return 0;
  if (!pair.heard() && pair.nomination == Nomination::kNone) return 0;
  return IsTrusted(g, pair) ? options.quick_checks
                            : std::min(3, options.quick_checks);
}

// On a stream a check is sent once (RFC 8489 section 6.2.2).
int TransmissionsMax(const Generation& g, const AgentOptions& options,
                     const Pair& pair) {
  if (pair.is_stream()) return 1;
  return options.max_transmissions +
         (IsTrusted(g, pair) ? options.quick_checks : 0);
}

// How long the last transmission of `check` may take to be answered.
absl::Duration CheckTimeout(const Generation& g, const AgentOptions& options,
                            const Pair& pair, const InProgress& check) {
  const auto& waits = options.waits;
  if (pair.is_stream()) {
    return check.rto * std::accumulate(waits.begin(), waits.end(), 0);
  }
  const int quick = QuickChecks(g, options, pair);
  if (check.transmissions <= quick) {
    return std::max(2 * pair.rtt, options.quick_interval);
  }
  const auto slow = static_cast<size_t>(check.transmissions -
                                        (IsTrusted(g, pair) ? quick : 0));
  return check.rto * waits[std::min(slow, waits.size()) - 1];
}

// Whether a pair worked once and does not any more, while another one does: a
// check of it is a question that comes again, and not worth repeating.
bool IsLost(const Generation& g, const Pair& pair) {
  return pair.responses_received > 0 && !pair.valid && !g.resumed &&
         g.InUse() && g.pairs[*g.InUse()].healthy();
}

// A way in use that is no more than a makeshift, a relay or a stream, has taken
// over from better ones: they may work again, which is asked with each check
// for consent, of no more than `most` of them. RFC 7675 section 5.1 forbids
// data without consent, not to ask for it; the peer has answered there.
void AskLost(Generation& g, size_t in_use, size_t most) {
  const PairView used = g.ViewOf(in_use);
  if (!g.any_lost || g.resumed || !used.answers() ||
      !(used.is_relayed() || IsStream(used.path().transport))) {
    return;
  }
  std::vector<size_t> lost;
  for (size_t i = 0; i < g.pairs.size(); ++i) {
    const Pair& pair = g.pairs[i];
    if (IsLost(g, pair) && !pair.is_stream() && !g.ViewOf(i).is_relayed()) {
      lost.push_back(i);
    }
  }
  g.any_lost = !lost.empty();
  std::sort(lost.begin(), lost.end(), [&g](size_t a, size_t b) {
    return g.pairs[a].priority > g.pairs[b].priority;
  });
  lost.resize(std::min(lost.size(), most));
  for (const size_t index : lost) {
    g.pairs.Edit(index).immediate = false;
    g.pairs.Trigger(index);
  }
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
    ++stats_.at<&AgentStats::drop_unknown_transaction>();
    return;
  }
  if (!message.HasIntegrity()) {
    ++stats_.at<&AgentStats::drop_no_integrity>();
    return;
  }
  if (!message.CheckIntegrity(g->remote->key)) {
    ++stats_.at<&AgentStats::drop_wrong_integrity>();
    return;
  }
  const Path& sent = g->pairs[found->pair].path;
  // RFC 8445 section 7.2.5.2.1 fails the pair; ignoring the answer leaves it
  // to its timeout and gives a replayer nothing.
  if (!internal::SameAddress(path.remote, sent.remote) ||
      !internal::SameAddress(path.local, sent.local) ||
      path.transport != sent.transport) {
    ++stats_.at<&AgentStats::drop_asymmetric>();
    return;
  }
  const bool success = message.cls() == stun::MessageClass::kSuccess;
  const auto mapped = message.Get<stun::XorMappedAddress>();
  const auto error = message.Get<stun::ErrorCode>();
  // Unknown comprehension-required attributes: RFC 8489 sections 6.3.3, 6.3.4.
  if ((success && !mapped) || (!success && !error) ||
      !message.UnknownComprehensionRequired(internal::kIceAttributes).empty()) {
    ++stats_.at<&AgentStats::drop_malformed>();
    return;
  }
  ++stats_.at<&AgentStats::responses_received>();
  const Transaction transaction = *found;
  g->RemoveTransaction(transaction.id);
  if (success) {
    if (g == current_.get()) embedded_dtls_.Read(message);
    HandleSuccess(now, *g, transaction, mapped->address);
  } else {
    HandleError(*g, transaction, error->code);
  }
  Update(now);
}

void Agent::HandleSuccess(absl::Time now, Generation& g,
                          const Transaction& transaction,
                          const TransportAddress& mapped) {
  Pair& pair = g.pairs.Edit(transaction.pair);
  ++pair.responses_received;
  // Karn: an answer to a retransmitted request does not tell to which one.
  if (!transaction.retransmitted) {
    const absl::Duration sample =
        std::max(now - transaction.sent, absl::Microseconds(1));
    pair.rtt_sum += sample;
    pair.rtt = pair.rtt == absl::ZeroDuration() ? sample
                                                : pair.rtt * 7 / 8 + sample / 8;
  }
  if (pair.valid) {
    pair.valid->Heard(now);
    pair.valid->unanswered_since = absl::InfiniteFuture();
    if (std::exchange(pair.valid->probes, 0) > 0) {
      pair.valid->next_keepalive = NextConsent(now);
    }
  }
  if (&g != current_.get()) return;

  const Base& base = bases_[pair.base];
  pair.local_type = base.type;
  if (base.type != CandidateType::kRelayed &&
      !internal::SameAddress(mapped, pair.path.local)) {
    const auto local = std::find_if(
        locals_.begin(), locals_.end(), [&](const internal::LocalCandidate& l) {
          return l.address == mapped && l.tcp_type == base.tcp_type;
        });
    pair.local_type =
        local == locals_.end() ? CandidateType::kPeerReflexive : local->type;
  }
  if (!pair.valid) {
    g.Validate(transaction.pair, {.since = now,
                                  .last_response = now,
                                  .next_keepalive = NextConsent(now)});
    g.pairs.Unfreeze(pair.foundation);
    Hasten(now, pair);
  }
  if (transaction.use_candidate && role_ == Role::kControlling) {
    Select(now, transaction.pair);
  }
  // The answer to an older check must not end the nominating one.
  if (pair.nomination != Nomination::kNominating) {
    pair.check = internal::Succeeded{};
    g.pairs.Untrigger(transaction.pair);
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
  Pair& pair = g.pairs.Edit(transaction.pair);
  if (error == stun::Error::kRoleConflict) {
    // RFC 8445 section 7.2.5.1. If the role has changed since, this conflict is
    // settled already.
    ++stats_.at<&AgentStats::role_conflicts>();
    if (transaction.role == role_) {
      SwitchRole(role_ == Role::kControlling ? Role::kControlled
                                             : Role::kControlling);
    }
    if (pair.valid) {
      pair.check = internal::Succeeded{};
    } else {
      pair.check = internal::Waiting{};
      g.pairs.Trigger(transaction.pair);
    }
    return;
  }
  // Any other error ends the check it answers (section 7.2.5.2.4). For a
  // consent check it is no consent, and time will tell.
  const internal::InProgress* check = pair.in_progress();
  if (check == nullptr || check->transaction != transaction.id) return;
  FailPair(g, transaction.pair);
}

void Agent::FailPair(Generation& g, size_t index) {
  Pair& pair = g.pairs.Edit(index);
  pair.check = internal::Failed{};
  pair.valid.reset();
  pair.nomination = Nomination::kNone;
  g.any_lost |= pair.responses_received > 0;
  g.pairs.Untrigger(index);
  if (g.selected == index) g.selected.reset();
}

void Agent::ExpireChecks(absl::Time now) {
  Generation& g = *current_;
  while (const auto index = g.pairs.EditDue(PairTimer::kCheck, now)) {
    Pair& pair = g.pairs.Edit(*index);
    if (pair.in_progress()->transmissions >=
        TransmissionsMax(g, *options_, pair)) {
      FailPair(g, *index);
    } else if (pair.nomination != Nomination::kNone || ChecksRunning()) {
      pair.in_progress()->due = true;
    } else if (pair.valid) {
      // Another pair was nominated meanwhile (RFC 8445 section 8.1.2).
      pair.check = internal::Succeeded{};
    } else {
      pair.check = internal::Waiting{};
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

absl::Time Agent::NextCheckTime() const {
  const Generation& g = *current_;
  if (!g.remote || lite_) return absl::InfiniteFuture();
  if (g.pairs.NextImmediate()) return absl::InfinitePast();
  const bool waits =
      g.pairs.NextTriggered() ||
      g.pairs.NextTimeout(PairTimer::kRepeat) != absl::InfiniteFuture() ||
      (ChecksRunning() ? g.pairs.NextOrdinary().has_value()
                       : g.SeeksReserves());
  const absl::Time expiry = g.pairs.NextTimeout(PairTimer::kCheck);
  return waits ? std::min<absl::Time>(next_slot_, expiry) : expiry;
}

std::optional<Datagram> Agent::NextCheck(absl::Time now,
                                         absl::Span<uint8_t> out) {
  Generation& g = *current_;
  if (!g.remote || lite_) return std::nullopt;
  // Pacing protects addresses that nobody answers for. The first check that an
  // authenticated packet from the very address calls for is as harmless as the
  // response to it, and waiting would cost every connection up to Ta. The same
  // goes for nominating a pair that works.
  if (const std::optional<size_t> index = g.pairs.NextImmediate()) {
    g.pairs.Edit(*index).immediate = false;
    return StartCheck(now, *index, out);
  }
  if (now < next_slot_) return std::nullopt;
  std::optional<size_t> next = g.pairs.NextTriggered();
  if (!next) {
    // Repetitions that are due go before new checks.
    if (const std::optional<size_t> due = NextRepeat(now)) {
      next_slot_ = now + ta_;
      return RepeatCheck(now, *due, out);
    }
    if (ChecksRunning()) {
      next = g.pairs.NextOrdinary();
    } else if (g.SeeksReserves()) {
      next = g.NextReserve(options_->max_backup_pairs);
    }
  }
  if (!next) return std::nullopt;
  next_slot_ = now + ta_;
  return StartCheck(now, *next, out);
}

// What was to be repeated when its time came may not have to be any more.
std::optional<size_t> Agent::NextRepeat(absl::Time now) {
  Generation& g = *current_;
  while (const auto index = g.pairs.EditDue(PairTimer::kRepeat, now)) {
    Pair& pair = g.pairs.Edit(*index);
    pair.in_progress()->due = false;
    if (pair.in_progress()->transmissions <
            TransmissionsMax(g, *options_, pair) &&
        (pair.nomination != Nomination::kNone || ChecksRunning())) {
      return index;
    }
  }
  return std::nullopt;
}

std::optional<Datagram> Agent::StartCheck(absl::Time now, size_t index,
                                          absl::Span<uint8_t> out) {
  Generation& g = *current_;
  g.pairs.Untrigger(index);
  if (NeedsStream(g.pairs[index], bases_[g.pairs[index].base]) &&
      !streams_.Carries(g.pairs[index].path)) {
    WantStream(now, index);
    return std::nullopt;
  }
  Pair& pair = g.pairs.Edit(index);
  // What had all its packets and never answered gets one more, not as many, and
  // so does what answers no more.
  const int most = TransmissionsMax(g, *options_, pair);
  const bool hopeless = pair.responses_received == 0 &&
                        pair.checks_sent >= static_cast<uint64_t>(most);
  const bool once = hopeless || IsLost(g, pair);
  InProgress& check = pair.check.emplace<InProgress>();
  check.transmissions = once ? most - 1 : 0;
  // RFC 8445 section 14.3.
  check.rto = std::max(options_->rto_initial,
                       ta_ * static_cast<int64_t>(g.pairs.CountActive()));
  BeginTransaction(now, index);
  return Transmit(now, pair, out);
}

std::optional<Datagram> Agent::RepeatCheck(absl::Time now, size_t index,
                                           absl::Span<uint8_t> out) {
  Pair& pair = current_->pairs.Edit(index);
  if (NeedsStream(pair, bases_[pair.base])) return StartCheck(now, index, out);
  if (pair.in_progress()->transmissions <=
      QuickChecks(*current_, *options_, pair)) {
    BeginTransaction(now, index);
  } else {
    current_->MarkRetransmitted(pair.in_progress()->transaction);
  }
  return Transmit(now, pair, out);
}

// The pair's next check is another transaction; answers to the ones before it
// still count (RFC 8445 section 7.3.1.4).
void Agent::BeginTransaction(absl::Time now, size_t index) {
  Pair& pair = current_->pairs.Edit(index);
  const stun::TransactionId id = stun::TransactionId::Generate(*random_);
  pair.in_progress()->transaction = id;
  current_->AddTransaction({id, static_cast<uint16_t>(index), role_,
                            pair.nomination == Nomination::kNominating,
                            /*retransmitted=*/false, now},
                           options_->max_transactions);
}

std::optional<Datagram> Agent::Transmit(absl::Time now, Pair& pair,
                                        absl::Span<uint8_t> out) {
  InProgress& check = *pair.in_progress();
  ++check.transmissions;
  check.deadline = now + CheckTimeout(*current_, *options_, pair, check);
  ++pair.checks_sent;
  pair.first_sent = std::min<absl::Time>(pair.first_sent, now);
  pair.last_sent = now;
  ++stats_.at<&AgentStats::checks_sent>();
  return WriteCheck(*current_, pair, check.transaction,
                    pair.nomination == Nomination::kNominating, out);
}

std::optional<Datagram> Agent::NextKeepalive(absl::Time now, Generation& g,
                                             absl::Span<uint8_t> out) {
  const std::optional<size_t> index =
      g.pairs.EditDue(PairTimer::kKeepalive, now);
  if (!index) return std::nullopt;
  Pair& pair = g.pairs.Edit(*index);
  Validity& valid = *pair.valid;
  // Not repeated when lost: each is a new transaction (RFC 7675 section 5.1).
  const stun::TransactionId id = stun::TransactionId::Generate(*random_);
  g.AddTransaction({id, static_cast<uint16_t>(*index), role_,
                    /*use_candidate=*/false, /*retransmitted=*/false, now},
                   options_->max_transactions);
  if (valid.probes > 0) {
    valid.probes = std::min(valid.probes + 1, options_->probes);
  }
  const bool missing = valid.unanswered_since != absl::InfiniteFuture();
  if (!missing) valid.unanswered_since = now;
  if (g.InUse() == index) {
    if (&g == current_.get()) AskLost(g, *index, options_->max_backup_pairs);
    valid.next_keepalive = valid.probes > 0
                               ? now + g.pairs.liveness().ProbeInterval(pair)
                           : valid.suspect ? now + options_->suspect_after
                                           : NextConsent(now);
  } else {
    valid.next_keepalive =
        missing ? NextConsent(now) : now + options_->keepalive_interval;
  }
  ++pair.checks_sent;
  ++pair.consent_sent;
  ++stats_.at<&AgentStats::consent_sent>();
  // Says again what is nominated, for a peer that has lost it.
  const bool use_candidate = &g == current_.get() && g.selected == *index &&
                             role_ == Role::kControlling;
  return WriteCheck(g, pair, id, use_candidate, out);
}

std::optional<Datagram> Agent::WriteCheck(const Generation& g, const Pair& pair,
                                          const stun::TransactionId& id,
                                          bool use_candidate,
                                          absl::Span<uint8_t> out) {
  stun::MessageWriter w(out, stun::MessageClass::kRequest,
                        stun::Method::kBinding, id);
  std::array<char, Generation::kMaxUsername> username;
  w.Add(stun::Username{g.WriteUsername(username)});
  if (role_ == Role::kControlling) {
    w.Add(stun::IceControlling{tie_breaker_});
    if (use_candidate) w.Add(stun::UseCandidate{});
  } else {
    w.Add(stun::IceControlled{tie_breaker_});
  }
  w.Add(stun::Priority{PriorityAttribute(bases_[pair.base])});
  if (&g == current_.get()) embedded_dtls_.Write(w);
  w.AddIntegrity(g.remote->key);
  w.AddFingerprint();
  const absl::Span<const uint8_t> bytes = w.Finish();
  if (bytes.empty()) {
    ++stats_.at<&AgentStats::drop_too_big>();
    return std::nullopt;
  }
  return Datagram{pair.path, bytes};
}

}  // namespace kyuu::ice
