// Allocations: made, refreshed, ended (RFC 8656 sections 7 and 8).

#include <algorithm>
#include <utility>

#include "turn/server.h"

namespace kyuu::turn {

namespace {

uint32_t SecondsLeft(absl::Time expires, absl::Time now) {
  return static_cast<uint32_t>(
      absl::ToInt64Seconds(absl::Ceil(expires - now, absl::Seconds(1))));
}

// RFC 8656 section 15: 486 is about a user's own share, 508 about ours.
stun::Error ErrorFor(Ledger::Refusal refusal) {
  switch (refusal) {
    case Ledger::Refusal::kFamily:
      return stun::Error::kAddressFamilyNotSupported;
    case Ledger::Refusal::kUserQuota:
    case Ledger::Refusal::kSourceQuota:
      return stun::Error::kAllocationQuotaReached;
    case Ledger::Refusal::kTotal:
    case Ledger::Refusal::kPorts:
    case Ledger::Refusal::kToken:
      break;
  }
  return stun::Error::kInsufficientCapacity;
}

void Hold(internal::Allocation& allocation, const Ledger::Lease& lease) {
  allocation.bind = lease.bind;
  allocation.relayed = lease.relayed;
  allocation.reservation = lease.reservation;
}

}  // namespace

// RFC 8656 section 7.2: the larger of what is asked for and the default, up to
// the maximum.
absl::Duration Server::GrantLifetime(const stun::MessageView& message) const {
  const auto lifetime = message.Get<stun::Lifetime>();
  const absl::Duration wanted = absl::Seconds(lifetime ? lifetime->seconds : 0);
  return std::max(std::min(wanted, options_.lifetime_max),
                  options_.lifetime_default);
}

void Server::Allocate(const Request& request, const Credential& credential) {
  if (const Allocation* old = request.allocation) {
    // A retransmission gets the first answer again (section 7.2).
    if (old->request_id == request.message.transaction_id() &&
        old->username == request.username) {
      if (old->open) Push(AllocateAnswer(*old, request.now));
      return;
    }
    return Reply(request, stun::Error::kAllocationMismatch);
  }
  if (options_.admission == Options::Admission::kDraining) {
    return SendAway(request);
  }
  // Late timers must not make a client wait for its own 5-tuple.
  HandleTimeout(request.now);
  if (events_.size() >= options_.events_max) {
    ++stats_.answers_dropped;
    return;
  }
  auto allocation = std::make_unique<Allocation>();
  allocation->id = NewId();
  const std::optional<stun::Error> error =
      Admit(request, credential, *allocation);
  if (error.has_value()) return Reply(request, *error);

  allocation->client = request.path;
  allocation->username = request.username;
  allocation->quota_user = credential.quota_user;
  allocation->key = credential.key;
  allocation->credential_expires = credential.expires;
  allocation->prove_again = ProveAgain(request.now);
  allocation->request_id = request.message.transaction_id();
  allocation->request_fingerprint = request.message.HasFingerprint();
  allocation->expires =
      Bounded(*allocation, request.now + GrantLifetime(request.message));
  Insert(std::move(allocation));
}

// RFC 8489 section 10: the alternate is of the family of the address that the
// request went to.
void Server::SendAway(const Request& request) {
  ++stats_.sent_away;
  Answer answer = Success(request);
  answer.error = stun::Error::kInsufficientCapacity;
  for (const TransportAddress& server : options_.alternate_servers) {
    if (server.ip.family() != request.path.local.ip.family()) continue;
    answer.error = stun::Error::kTryAlternate;
    answer.alternate = server;
    break;
  }
  Push(answer);
}

// The checks of RFC 8656 section 7.2 in their order; takes a port.
std::optional<stun::Error> Server::Admit(const Request& request,
                                         const Credential& credential,
                                         Allocation& allocation) {
  const stun::MessageView& message = request.message;
  const auto transport = message.Get<stun::RequestedTransport>();
  if (!transport.has_value()) return stun::Error::kBadRequest;
  if (transport->protocol != stun::RequestedTransport::kUdp) {
    return stun::Error::kUnsupportedTransport;
  }
  Ledger::Claim claim;
  if (const auto error = ChooseFamily(message, allocation, claim.family)) {
    return error;
  }
  claim.holder = {options_.instance, allocation.id};
  claim.client = request.path;
  claim.user = credential.quota_user;
  if (credential.granted) claim.trust = Ledger::Trust::kGranted;
  if (const auto token = message.Get<stun::ReservationToken>()) {
    claim.token = token->value;
  } else if (const auto even = message.Get<stun::EvenPort>()) {
    claim.ports =
        even->reserve_next ? Ledger::Ports::kEvenAndNext : Ledger::Ports::kEven;
  }
  const Ledger::Result result = ledger_.Take(request.now, claim, random_);
  if (const auto* refusal = std::get_if<Ledger::Refusal>(&result)) {
    events_.push_back(
        AllocationRefused{request.path, request.username, *refusal});
    return ErrorFor(*refusal);
  }
  Hold(allocation, std::get<Ledger::Lease>(result));
  return std::nullopt;
}

std::optional<stun::Error> Server::ChooseFamily(
    const stun::MessageView& message, Allocation& allocation,
    IpFamily& family) const {
  const bool token = message.Has<stun::ReservationToken>();
  const bool even = message.Has<stun::EvenPort>();
  const bool requested = message.Has<stun::RequestedAddressFamily>();
  const bool additional = message.Has<stun::AdditionalAddressFamily>();
  if ((token && (even || requested || additional)) ||
      (requested && additional)) {
    return stun::Error::kBadRequest;
  }
  const auto token_value = message.Get<stun::ReservationToken>();
  const auto even_value = message.Get<stun::EvenPort>();
  const auto family_value = message.Get<stun::RequestedAddressFamily>();
  const auto additional_value = message.Get<stun::AdditionalAddressFamily>();
  if ((token && !token_value) || (even && !even_value) ||
      (requested && !family_value) || (additional && !additional_value)) {
    return stun::Error::kBadRequest;  // There, but malformed.
  }
  if (additional) {
    // Section 7.2: only IPv6 can be additional, and no pair of ports with it.
    if (additional_value->family != IpFamily::kV6 ||
        (even && even_value->reserve_next)) {
      return stun::Error::kBadRequest;
    }
    allocation.family_refused = true;
  }
  if (requested) family = family_value->family;
  return std::nullopt;
}

RelayId Server::NewId() {
  const size_t slot = free_slots_.empty() ? slots_.size() : free_slots_.back();
  return RelayId{uint64_t{++generation_} << 32 | slot};
}

void Server::Insert(std::unique_ptr<Allocation> made) {
  uint32_t slot = static_cast<uint32_t>(slots_.size());
  if (free_slots_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Allocation& allocation = *made;
  slots_[slot] = std::move(made);
  by_client_.emplace(allocation.client, &allocation);
  by_relay_.emplace(allocation.bind, &allocation);
  by_user_[allocation.quota_user].push_back(&allocation);
  lifetimes_.Set(allocation.id, allocation.expires);
  events_.push_back(OpenRelay{allocation.id, allocation.bind});
}

void Server::RelayOpened(absl::Time now, RelayId relay) {
  Allocation* allocation = ById(relay);
  if (allocation == nullptr || allocation->open) return;
  allocation->open = true;
  allocation->made = now;
  events_.push_back(AllocationMade{relay, allocation->client,
                                   allocation->relayed, allocation->username});
  Push(AllocateAnswer(*allocation, now));
}

void Server::RelayFailed(absl::Time now, RelayId relay) {
  Allocation* allocation = ById(relay);
  if (allocation == nullptr || allocation->open) return;
  ++stats_.relays_failed;
  // Another program has the port; with luck it is the only one.
  by_relay_.erase(allocation->bind);
  const Ledger::Result result =
      ledger_.Exchange(now, allocation->bind, random_);
  if (const auto* lease = std::get_if<Ledger::Lease>(&result)) {
    Hold(*allocation, *lease);
    by_relay_.emplace(allocation->bind, allocation);
    events_.push_back(OpenRelay{relay, allocation->bind});
    return;
  }
  allocation->bind = {};
  allocation->has_socket = false;
  Answer answer = AllocateAnswer(*allocation, now);
  answer.error = stun::Error::kInsufficientCapacity;
  answer.mapped.reset();
  answer.relayed.reset();
  answer.lifetime_seconds.reset();
  answer.reservation.reset();
  answer.family_refused = false;
  End(*allocation, EndReason::kReleased);
  Push(answer);
}

Server::Answer Server::AllocateAnswer(const Allocation& allocation,
                                      absl::Time now) const {
  Answer answer;
  answer.path = allocation.client;
  answer.id = allocation.request_id;
  answer.method = stun::Method::kAllocate;
  answer.key = allocation.key;
  answer.fingerprint = allocation.request_fingerprint;
  answer.mapped = allocation.client.remote;
  answer.relayed = allocation.relayed;
  answer.lifetime_seconds = SecondsLeft(allocation.expires, now);
  answer.reservation = allocation.reservation;
  answer.family_refused = allocation.family_refused;
  return answer;
}

// RFC 8656 section 8.2.
void Server::Refresh(const Request& request, Allocation& allocation) {
  const stun::MessageView& message = request.message;
  const auto lifetime = message.Get<stun::Lifetime>();
  const auto family = message.Get<stun::RequestedAddressFamily>();
  if ((message.Has<stun::Lifetime>() && !lifetime) ||
      (message.Has<stun::RequestedAddressFamily>() && !family)) {
    return Reply(request, stun::Error::kBadRequest);
  }
  if (family.has_value() && family->family != allocation.bind.ip.family()) {
    return Reply(request, stun::Error::kPeerAddressFamilyMismatch);
  }
  Answer answer = Success(request);
  if (lifetime.has_value() && lifetime->seconds == 0) {
    answer.lifetime_seconds = 0;
    End(allocation, EndReason::kReleased);
    return Push(answer);
  }
  SetExpiry(allocation, request.now + GrantLifetime(message));
  answer.lifetime_seconds = SecondsLeft(allocation.expires, request.now);
  Push(answer);
}

// No allocation outlives its credential by more than the grace.
absl::Time Server::Bounded(const Allocation& allocation,
                           absl::Time expires) const {
  return std::min(expires,
                  allocation.credential_expires + options_.revoked_grace);
}

void Server::SetExpiry(Allocation& allocation, absl::Time expires) {
  allocation.expires = Bounded(allocation, expires);
  lifetimes_.Set(allocation.id, allocation.expires);
}

// Ends an allocation; the reference is dead afterwards.
void Server::End(Allocation& allocation, EndReason reason) {
  // The port comes back when the driver has closed the socket (PollEvent).
  if (allocation.has_socket) {
    events_.push_back(CloseRelay{allocation.id, allocation.bind});
  }
  if (allocation.open) {
    events_.push_back(AllocationEnded{
        allocation.id, allocation.username, reason, allocation.traffic,
        allocation.client, allocation.relayed, allocation.made});
  }
  lifetimes_.Stop(allocation.id);
  by_client_.erase(allocation.client);
  by_relay_.erase(allocation.bind);
  const auto user = by_user_.find(allocation.quota_user);
  auto& list = user->second;
  list.erase(std::find(list.begin(), list.end(), &allocation));
  if (list.empty()) by_user_.erase(user);
  const auto slot = static_cast<uint32_t>(static_cast<uint64_t>(allocation.id));
  free_slots_.push_back(slot);
  slots_[slot].reset();
}

}  // namespace kyuu::turn
