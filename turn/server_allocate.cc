// Allocations: made, refreshed, ended (RFC 8656 sections 7 and 8).

#include <algorithm>
#include <utility>

#include "turn/internal/lifetime.h"
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

std::optional<IpFamily> AdditionalFamily(const stun::MessageView& message) {
  if (const auto value = message.Get<stun::AdditionalAddressFamily>()) {
    return value->family;
  }
  const auto value = message.Get<stun::SsodaAddressFamily>();
  return value ? std::optional(value->family) : std::nullopt;
}

// Until when the port above that of `allocation` is kept for a token.
std::optional<absl::Time> ReservedUntil(const ServerOptions& options,
                                        const internal::Allocation& allocation,
                                        absl::Time now) {
  if (!allocation.reservation.has_value()) return std::nullopt;
  return now + options.reservation_lifetime;
}

std::optional<stun::Error> ChooseFamilies(const stun::MessageView& message,
                                          internal::Families& families) {
  const bool token = message.Has<stun::ReservationToken>();
  const bool even = message.Has<stun::EvenPort>();
  const bool requested = message.Has<stun::RequestedAddressFamily>();
  const bool ssoda = message.Has<stun::SsodaAddressFamily>();
  const bool additional = ssoda || message.Has<stun::AdditionalAddressFamily>();
  if ((token && (even || requested || additional)) ||
      (requested && additional)) {
    return stun::Error::kBadRequest;
  }
  const auto token_value = message.Get<stun::ReservationToken>();
  const auto even_value = message.Get<stun::EvenPort>();
  const auto family_value = message.Get<stun::RequestedAddressFamily>();
  const std::optional<IpFamily> additional_value = AdditionalFamily(message);
  if ((token && !token_value) || (even && !even_value) ||
      (requested && !family_value) || (additional && !additional_value)) {
    return stun::Error::kBadRequest;  // There, but malformed.
  }
  if (additional) {
    // Section 7.2: only IPv6 can be additional, and no pair of ports with it.
    if (additional_value != IpFamily::kV6 ||
        (even && even_value->reserve_next)) {
      return stun::Error::kBadRequest;
    }
    families.also_v6 = true;
  }
  if (requested) families.first = family_value->family;
  return std::nullopt;
}

// RFC 8656 section 7.2 and RFC 6062 section 5.1.
std::optional<stun::Error> ChooseTransport(
    const ServerOptions& options, const internal::ServerRequest& request,
    internal::Allocation& allocation) {
  const stun::MessageView& message = request.message;
  const auto wanted = message.Get<stun::RequestedTransport>();
  if (wanted->protocol == stun::RequestedTransport::kUdp) return std::nullopt;
  if (wanted->protocol != stun::RequestedTransport::kTcp ||
      options.tcp_relay == ServerOptions::TcpRelay::kRefuse) {
    return stun::Error::kUnsupportedTransport;
  }
  if (!IsStream(request.path.transport) || message.Has<stun::EvenPort>() ||
      message.Has<stun::ReservationToken>() ||
      message.Has<stun::DontFragment>()) {
    return stun::Error::kBadRequest;
  }
  allocation.transport = Transport::kTcp;
  return std::nullopt;
}

std::optional<Ledger::Refusal> Borrow(absl::Time now, Ledger& ledger,
                                      Random& random,
                                      const Ledger::Claim& claim,
                                      internal::Allocation& allocation) {
  const Ledger::Result result = ledger.Take(now, claim, random);
  if (const auto* refusal = std::get_if<Ledger::Refusal>(&result)) {
    return *refusal;
  }
  const auto& lease = std::get<Ledger::Lease>(result);
  allocation.relays.push_back({claim.holder.relay, lease.bind, lease.relayed});
  if (lease.reservation.has_value()) allocation.reservation = lease.reservation;
  return std::nullopt;
}

internal::Relay* OpeningRelay(const internal::AllocationTable& allocations,
                              RelayId id) {
  internal::Allocation* allocation = allocations.ById(id);
  if (allocation == nullptr || allocation->open) return nullptr;
  for (internal::Relay& relay : allocation->relays) {
    if (relay.id == id && !relay.open) return &relay;
  }
  return nullptr;
}

internal::TicketMaker::Sealed TicketOf(const internal::TicketMaker& tickets,
                                       int instance,
                                       const internal::Allocation& allocation) {
  return tickets.Seal({{instance, allocation.id}, allocation.mobility->number});
}

}  // namespace

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
  allocation->id = allocations_.NewId();
  const std::optional<stun::Error> error =
      Admit(request, credential, *allocation);
  if (error.has_value()) return Reply(request, *error);

  allocation->session = SessionId{random_.U64()};
  allocation->client = request.path;
  allocation->username = request.username;
  allocation->quota_user = credential.quota_user;
  allocation->realm = request.realm;
  allocation->key = credential.key;
  allocation->integrity = request.integrity;
  allocation->credential_expires = credential.expires;
  allocation->token = credential.token;
  allocation->token_made = credential.token_made;
  allocation->prove_again = ProveAgain(request.now);
  allocation->request_id = request.message.transaction_id();
  allocation->whole = request.message.Has<stun::DontFragment>();
  // Connections of peers are told of by its stream.
  if (request.message.Has<stun::MobilityTicket>() &&
      allocation->transport == Transport::kUdp) {
    allocation->mobility = std::make_unique<internal::Mobility>();
  }
  allocation->request_fingerprint = request.message.HasFingerprint();
  allocation->expires = allocation->Bounded(
      options_.revoked_grace,
      request.now + internal::GrantLifetime(options_, request.message));
  const Allocation& made = allocations_.Insert(std::move(allocation));
  const auto reserved_until = ReservedUntil(options_, made, request.now);
  for (const auto& relay : made.relays) {
    events_.push_back(
        OpenRelay{relay.id, relay.bind, made.transport, reserved_until});
  }
}

// RFC 8489 section 10: the alternate is of the family of the address that the
// request went to.
void Server::SendAway(const Request& request) {
  ++stats_.sent_away;
  Answer answer = Success(request);
  answer.error = stun::Error::kInsufficientCapacity;
  const auto& of_realm = realms_[request.realm].options.alternate_servers;
  for (const TransportAddress& server :
       of_realm.empty() ? options_.alternate_servers : of_realm) {
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
  if (const auto error = ChooseTransport(options_, request, allocation))
    return error;
  internal::Families families;
  if (const auto error = ChooseFamilies(message, families)) return error;
  Ledger::Claim claim;
  claim.transport = allocation.transport;
  claim.holder = {options_.instance, allocation.id};
  claim.client = request.path;
  claim.user = credential.quota_user;
  claim.realm = request.realm;
  const RealmOptions& realm = realms_[request.realm].options;
  claim.realm_max = realm.allocations_max;
  claim.realm_user_max = realm.allocations_per_user_max;
  claim.family = families.first;
  if (credential.granted) claim.trust = Ledger::Trust::kGranted;
  claim.user_max = credential.allocations_max;
  if (const auto token = message.Get<stun::ReservationToken>()) {
    claim.token = token->value;
  } else if (const auto even = message.Get<stun::EvenPort>()) {
    claim.ports =
        even->reserve_next ? Ledger::Ports::kEvenAndNext : Ledger::Ports::kEven;
  }
  std::optional<Ledger::Refusal> refusal =
      Borrow(request.now, ledger_, random_, claim, allocation);
  if (families.also_v6) {
    claim.family = IpFamily::kV6;
    claim.holder.relay = RelayId{static_cast<uint64_t>(allocation.id) |
                                 internal::Relay::kAdditional};
    const auto additional =
        Borrow(request.now, ledger_, random_, claim, allocation);
    // One of both is a success (section 7.2); of neither the first says why.
    if (additional.has_value() && !refusal.has_value()) {
      allocation.refused = {IpFamily::kV6, ErrorFor(*additional)};
    } else if (refusal.has_value() && !additional.has_value()) {
      allocation.refused = {IpFamily::kV4, ErrorFor(*refusal)};
      refusal.reset();
    }
  }
  if (!refusal.has_value()) return std::nullopt;
  events_.push_back(
      AllocationRefused{request.path, request.username, *refusal});
  return ErrorFor(*refusal);
}

void Server::RelayOpened(absl::Time now, RelayId id) {
  internal::Relay* relay = OpeningRelay(allocations_, id);
  if (relay == nullptr) return;
  relay->open = true;
  Decide(now, *allocations_.ById(id));
}

void Server::RelayFailed(absl::Time now, RelayId id) {
  internal::Relay* relay = OpeningRelay(allocations_, id);
  if (relay == nullptr) return;
  Allocation& allocation = *allocations_.ById(id);
  ++stats_.relays_failed;
  // Another program has the port; with luck it is the only one.
  const Ledger::Result result = ledger_.Exchange(now, relay->bind, random_);
  if (const auto* lease = std::get_if<Ledger::Lease>(&result)) {
    relay->bind = lease->bind;
    relay->relayed = lease->relayed;
    allocation.reservation = lease->reservation;
    events_.push_back(OpenRelay{id, relay->bind, allocation.transport,
                                ReservedUntil(options_, allocation, now)});
    return;
  }
  allocation.refused = {relay->family(), stun::Error::kInsufficientCapacity};
  allocation.relays.erase(relay);
  Decide(now, allocation);
}

// Answers the Allocate request once it is known of each socket what became of
// it.
void Server::Decide(absl::Time now, Allocation& allocation) {
  for (const internal::Relay& relay : allocation.relays) {
    if (!relay.open) return;
  }
  if (allocation.relays.empty()) {
    const Answer answer = AllocateAnswer(allocation, now);
    End(allocation, EndReason::kReleased);
    Push(answer);
    return;
  }
  allocation.open = true;
  allocation.made = now;
  const Answer answer = AllocateAnswer(allocation, now);
  events_.push_back(AllocationMade{
      allocation.session, allocation.id, allocation.client, *answer.relayed,
      allocation.username, answer.additional, allocation.transport,
      realms_[allocation.realm].options.name});
  Push(answer);
}

Server::Answer Server::AllocateAnswer(const Allocation& allocation,
                                      absl::Time now) const {
  Answer answer;
  answer.path = allocation.client;
  answer.id = allocation.request_id;
  answer.method = stun::Method::kAllocate;
  answer.key = allocation.key;
  answer.integrity = allocation.integrity;
  answer.fingerprint = allocation.request_fingerprint;
  if (allocation.relays.empty()) {
    answer.error = allocation.refused->error;
    return answer;
  }
  answer.mapped = allocation.client.remote;
  answer.relayed = allocation.relays.front().relayed;
  if (allocation.relays.size() > 1) {
    answer.additional = allocation.relays.back().relayed;
  }
  answer.lifetime_seconds = SecondsLeft(allocation.expires, now);
  answer.reservation = allocation.reservation;
  answer.refused = allocation.refused;
  if (allocation.mobility != nullptr)
    answer.ticket = TicketOf(tickets_, options_.instance, allocation);
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
  const internal::Relay* of_family =
      family.has_value() ? allocation.RelayOf(family->family) : nullptr;
  if (family.has_value() && of_family == nullptr) {
    return Reply(request, stun::Error::kPeerAddressFamilyMismatch);
  }
  Answer answer = Success(request);
  if (lifetime.has_value() && lifetime->seconds == 0) {
    answer.lifetime_seconds = 0;
    if (of_family != nullptr && allocation.relays.size() > 1) {
      // It goes on with the other.
      allocation.peers.Drop(of_family->family());
      connections_.End(allocation, of_family->id);
      Close(*of_family);
      allocation.relays.erase(of_family);
    } else {
      End(allocation, EndReason::kReleased);
    }
    return answers_.PushHeld(answer);
  }
  allocations_.SetExpiry(
      allocation, allocation.Bounded(options_.revoked_grace,
                                     request.now + internal::GrantLifetime(
                                                       options_, message)));
  answer.lifetime_seconds = SecondsLeft(allocation.expires, request.now);
  if (message.Has<stun::MobilityTicket>() && allocation.mobility != nullptr) {
    answer.ticket = TicketOf(tickets_, options_.instance, allocation);
  }
  Push(answer);
}

// The port comes back when the driver has closed the socket (PollEvent).
void Server::Close(const internal::Relay& relay) {
  events_.push_back(CloseRelay{relay.id, relay.bind});
}

// Ends an allocation; the reference is dead afterwards.
void Server::End(Allocation& allocation, EndReason reason) {
  connections_.End(allocation);
  for (const internal::Relay& relay : allocation.relays) Close(relay);
  if (allocation.open) {
    const auto& relays = allocation.relays;
    events_.push_back(AllocationEnded{
        allocation.session, allocation.id, allocation.username, reason,
        allocation.traffic, allocation.client, relays.front().relayed,
        allocation.made,
        relays.size() > 1 ? std::optional(relays.back().relayed) : std::nullopt,
        realms_[allocation.realm].options.name});
  }
  flows_.Drop(allocation);
  throttle_.Forget(allocation);
  allocations_.Erase(allocation);
}

}  // namespace kyuu::turn
