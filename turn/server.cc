#include "turn/server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "stun/discovery.h"
#include "turn/channel_data.h"
#include "turn/internal/understood.h"

namespace kyuu::turn {

namespace {

// The two addresses of RFC 5780, if the request came to them. It is for UDP.
std::optional<stun::Discovery> DiscoveryAt(const ServerOptions& options,
                                           const Path& path) {
  if (options.discovery.empty() || path.transport != Transport::kUdp) {
    return std::nullopt;
  }
  const stun::Discovery two{options.discovery[0], options.discovery[1]};
  return two.Has(path.local) ? std::optional(two) : std::nullopt;
}

// RFC 8489 section 6.3.1: what a request asks for and we do not know.
stun::UnknownAttributes Unknown(const ServerOptions& options,
                                const internal::ServerRequest& request) {
  const stun::Method method = request.message.method();
  stun::AttributeSet understood = internal::UnderstoodIn(method);
  if (method == stun::Method::kBinding) {
    if (DiscoveryAt(options, request.path).has_value()) {
      understood = stun::kDiscoveryAttributes;
    }
  } else if (!options.tokens.keys.empty() && request.realm == kMainRealm) {
    understood.Insert(stun::AccessToken::kType);
  }
  return request.message.UnknownComprehensionRequired(understood);
}

// Sends the answer to a Binding request from where RFC 5780 wants it, or says
// what is wrong with that.
std::optional<stun::Error> Redirect(const ServerOptions& options,
                                    const internal::ServerRequest& request,
                                    internal::Answer& answer) {
  const auto discovery = DiscoveryAt(options, request.path);
  if (!discovery.has_value()) return std::nullopt;
  const stun::Redirection redirection =
      stun::RedirectionOf(*discovery, request.message, request.path);
  answer.path = redirection.path;
  answer.whereabouts = redirection.whereabouts;
  return redirection.error;
}

ServerOptions WithSecret(ServerOptions options, Random& random) {
  if (options.nonce_secret.empty()) {
    options.nonce_secret = random.IceChars(32);
  }
  return options;
}

// The ticket of a request; an empty one asks for the first.
std::optional<stun::Error> CheckTicket(const ServerOptions& options,
                                       const internal::ServerRequest& request) {
  const auto ticket = request.message.Get<stun::MobilityTicket>();
  if (!ticket.has_value()) return std::nullopt;
  if (options.mobility == ServerOptions::Mobility::kForbid) {
    return stun::Error::kMobilityForbidden;
  }
  const bool asks = ticket->value.empty();
  if (asks != (request.message.method() == stun::Method::kAllocate)) {
    return stun::Error::kBadRequest;
  }
  return std::nullopt;
}

// A name that was granted anew carries its allocations on. Of tokens (RFC 7635)
// the latest end counts that was shown, in whatever order they come; without
// one a client signs by the newest.
void Renew(internal::Allocation& allocation,
           const internal::ServerRequest& request,
           const internal::Credential& credential) {
  const bool tokens = allocation.token && credential.token;
  allocation.credential_expires =
      tokens ? std::max<absl::Time>(allocation.credential_expires,
                                    credential.expires)
             : credential.expires;
  if (tokens && credential.token_made < allocation.token_made) return;
  allocation.username = request.username;
  allocation.key = *request.key;
  allocation.integrity = request.integrity;
  allocation.token = credential.token;
  allocation.token_made = credential.token_made;
}

}  // namespace

Server::Server(Random& random, Options options)
    : Server(random, options, std::make_unique<LocalLedger>(options, random),
             nullptr) {}

Server::Server(Random& random, Options options, Ledger& ledger)
    : Server(random, std::move(options), nullptr, &ledger) {}

Server::Server(Random& random, Options options,
               std::unique_ptr<LocalLedger> own, Ledger* shared)
    : options_(WithSecret(std::move(options), random)),
      random_(random),
      realms_(options_),
      nonces_(options_.nonce_secret, options_.nonce_lifetime),
      tickets_(options_.nonce_secret),
      policy_(options_),
      throttle_(options_.bandwidth, realms_),
      own_ledger_(std::move(own)),
      ledger_(shared == nullptr ? *own_ledger_ : *shared),
      answers_(options_, stats_),
      connections_({options_, random_, policy_, allocations_, ledger_,
                    throttle_, answers_, events_, stats_}),
      flows_({policy_, allocations_, throttle_, ledger_, stats_}),
      visitors_(options_.visitors_max) {
  forwards_.reserve(64);
  prefixes_.reserve(64 * 48);
}

Server::~Server() { ledger_.ReturnAll(options_.instance); }

// --- Packets ----------------------------------------------------------------

// Takes what `train` begins with, and perhaps what follows and goes the same
// way. Returns how many bytes that were.
size_t Server::HandleStun(absl::Time now, const Path& path,
                          absl::Span<const uint8_t> train,
                          size_t segment_size) {
  const absl::Span<const uint8_t> bytes = train.subspan(0, segment_size);
  if (!stun::IsStun(bytes)) {
    HandleClassic(path, bytes);
    return bytes.size();
  }
  const absl::StatusOr<stun::MessageView> message =
      stun::MessageView::Parse(bytes);
  if (!message.ok() ||
      (message->HasFingerprint() && !message->CheckFingerprint())) {
    ++stats_.malformed;
    return bytes.size();
  }
  if (message->cls() == stun::MessageClass::kRequest) {
    HandleRequest(now, path, *message);
  } else if (message->Is(stun::MessageClass::kIndication,
                         stun::Method::kSend)) {
    return RelaySend(now, path, *message, train);
  } else if (!message->Is(stun::MessageClass::kIndication,
                          stun::Method::kBinding)) {
    ++stats_.unexpected;  // Binding indications only keep NATs open.
  }
  return bytes.size();
}

// What has no magic cookie may be a Binding request of RFC 3489. Its answer is
// as short as those of today, 1.6 times the shortest request; an error is no
// longer than that.
void Server::HandleClassic(const Path& path, absl::Span<const uint8_t> bytes) {
  std::optional<stun::ClassicBinding> binding = stun::ReadClassicBinding(bytes);
  if (!binding.has_value()) {
    ++stats_.malformed;
    return;
  }
  if (!options_.ServesClient(path.remote.ip)) {
    ++stats_.refused_clients;
    return;
  }
  ++stats_.requests;
  ++stats_.classic_requests;
  Answer answer;
  answer.path = path;
  answer.mapped = path.remote;
  if (!binding->unknown.empty()) answer.error = stun::Error::kUnknownAttribute;
  answer.classic = *binding;
  Push(answer);
}

void Server::HandleRequest(absl::Time now, const Path& path,
                           const stun::MessageView& message) {
  if (!options_.ServesClient(path.remote.ip)) {
    ++stats_.refused_clients;
    return;
  }
  Request request = {now, path, message};
  switch (message.method()) {
    case stun::Method::kBinding: {
      ++stats_.requests;
      if (!Unknown(options_, request).empty()) {
        return ReplyUnproven(request, stun::Error::kUnknownAttribute);
      }
      Answer answer = Success(request);
      answer.mapped = path.remote;
      if (const auto error = Redirect(options_, request, answer)) {
        return ReplyUnproven(request, *error);
      }
      Push(answer);
      return;
    }
    case stun::Method::kAllocate:
    case stun::Method::kRefresh:
    case stun::Method::kCreatePermission:
    case stun::Method::kChannelBind:
    case stun::Method::kConnect:
    case stun::Method::kConnectionBind:
      if (options_.service == Options::Service::kStunAndTurn) break;
      [[fallthrough]];
    default:
      // RFC 8489 section 6.3: what is not known is discarded.
      ++stats_.unexpected;
      return;
  }
  request.allocation = ByClient(now, path);
  const auto choose_realm = [&] {
    const Allocation* own = request.allocation;
    request.realm = realms_.Of(path, arrival_.host, message,
                               own ? std::optional(own->realm) : std::nullopt);
  };
  choose_realm();
  if (request.allocation == nullptr) {
    if (FindElsewhere(request)) return;
    choose_realm();
  }
  ++stats_.requests;
  const std::optional<Credential> credential = Authenticate(request);
  if (!credential.has_value()) return;
  // RFC 8489 section 6.3.1: after authentication.
  if (!Unknown(options_, request).empty()) {
    return Reply(request, stun::Error::kUnknownAttribute);
  }
  if (const auto error = CheckTicket(options_, request))
    return Reply(request, *error);
  if (message.method() == stun::Method::kAllocate) {
    return Allocate(request, *credential);
  }
  if (message.method() == stun::Method::kConnectionBind) {
    return ConnectionBind(request);
  }
  OnAllocation(request, *credential);
}

// Requests about an allocation that must be there (RFC 8656 section 5).
void Server::OnAllocation(const Request& request,
                          const Credential& credential) {
  Allocation* allocation = request.allocation;
  if (allocation == nullptr) {
    return Reply(request, stun::Error::kAllocationMismatch);
  }
  // A new token may be of a newer key of the authorization server (RFC 7635).
  const bool renewed = allocation->token && credential.token &&
                       allocation->client == request.path;
  if (allocation->username != request.username && !renewed) {
    return Reply(request, stun::Error::kWrongCredentials);
  }
  // Not told to the client yet; it cannot mean this one.
  if (!allocation->open) return;
  if (request.message.Has<stun::MobilityTicket>() &&
      allocation->mobility != nullptr) {
    Move(*allocation, request.path);
  } else {
    Settle(*allocation, request.path);
  }
  Renew(*allocation, request, credential);
  flows_.Touch(*allocation);
  switch (request.message.method()) {
    case stun::Method::kRefresh:
      return Refresh(request, *allocation);
    case stun::Method::kCreatePermission:
      return CreatePermission(request, *allocation);
    case stun::Method::kConnect:
      return Connect(request, *allocation);
    default:
      return ChannelBind(request, *allocation);
  }
}

// --- Answers ----------------------------------------------------------------

Server::Answer Server::Success(const Request& request) const {
  Answer answer;
  answer.path = request.path;
  answer.realm = request.realm;
  answer.id = request.message.transaction_id();
  answer.method = request.message.method();
  answer.key = request.key;
  answer.integrity = request.integrity;
  answer.fingerprint = request.message.HasFingerprint();
  return answer;
}

void Server::Reply(const Request& request, stun::Error error) {
  Answer answer = Success(request);
  answer.error = error;
  if (error == stun::Error::kUnknownAttribute) {
    answer.unknown = Unknown(options_, request);
  }
  Push(answer);
}

// Answers who has proven nothing. RFC 8656 section 21.1 warns of reflection:
// what such answers are longer than what they answer is limited.
void Server::ReplyUnproven(const Request& request, stun::Error error) {
  Answer answer = Success(request);
  answer.error = error;
  answer.challenge = error == stun::Error::kUnauthenticated ||
                     error == stun::Error::kStaleNonce;
  answer.offers_sha256 = OffersSha256(request.path);
  if (error == stun::Error::kUnknownAttribute) {
    answer.unknown = Unknown(options_, request);
  }
  const internal::Realm& realm = realms_[answer.realm];
  if (!ledger_.TakeGain(
          request.now, request.path.remote.ip, request.message.bytes().size(),
          internal::ErrorSize(answer, realm.options.name,
                              realm.credentials.token_server()))) {
    ++stats_.rate_limited;
    return;
  }
  Push(answer);
}

std::optional<Server::Packet> Server::PollTransmit(absl::Time now,
                                                   absl::Span<uint8_t> out) {
  while (const Answer* answer = answers_.Next()) {
    internal::NonceMaker::Nonce nonce;
    const std::string& realm = realms_[answer->realm].options.name;
    if (answer->challenge) {
      nonce = nonces_.Make(Utc(now), answer->path.remote, realm,
                           Cookie(answer->realm, answer->path));
    }
    const absl::Span<const uint8_t> bytes = internal::Build(
        *answer, realm, realms_[answer->realm].credentials.token_server(),
        nonce.text(), options_.software, out);
    if (!bytes.empty()) return Datagram{answer->path, bytes};
    ++stats_.answers_dropped;
  }
  return std::nullopt;
}

std::optional<Server::Event> Server::PollEvent() {
  // Asked again, the driver has done what the last event said.
  if (closing_.has_value()) ledger_.Return(*std::exchange(closing_, {}));
  if (events_.empty()) {
    answers_.Release();
    return std::nullopt;
  }
  Event event = std::move(events_.front());
  events_.pop_front();
  if (const auto* close = std::get_if<CloseRelay>(&event)) {
    closing_ = close->bind;
  }
  if (std::holds_alternative<Closed>(event)) {
    ledger_.ReturnAll(options_.instance);
  }
  return event;
}

// --- Time -------------------------------------------------------------------

absl::Time Server::NextTimeout() const {
  return std::min({allocations_.NextTimeout(), connections_.NextTimeout(),
                   visitors_.NextTimeout()});
}

void Server::HandleTimeout(absl::Time now) {
  while (Allocation* due = allocations_.FirstDue(now)) {
    const bool revoked = due->Last(options_.revoked_grace) <= now;
    End(*due, revoked ? EndReason::kRevoked : EndReason::kExpired);
  }
  connections_.HandleTimeout(now);
  visitors_.HandleTimeout(now);
  ledger_.Expire(now);
}

// --- Lookup -----------------------------------------------------------------

Server::Allocation* Server::ByClient(absl::Time now, const Path& path) {
  Allocation* allocation = allocations_.ByClient(path);
  // What has expired is gone, even if HandleTimeout() comes late.
  const bool live = allocation != nullptr && now < allocation->expires;
  return live ? allocation : nullptr;
}

// --- Commands ---------------------------------------------------------------

absl::Status Server::Grant(absl::Time now, absl::string_view username,
                           absl::string_view password, absl::Time expires) {
  return realms_.main().Grant(now, username, password, expires);
}

void Server::Revoke(absl::Time now, absl::string_view username) {
  if (realms_.main().Revoke(username)) LetGo(now, kMainRealm, username);
}

// What was made with a credential that is no more has its grace.
void Server::LetGo(absl::Time now, RealmId realm, absl::string_view username) {
  for (Allocation* allocation :
       allocations_.OfUser(realms_[realm].credentials.Counted(username))) {
    if (allocation->username != username) continue;
    allocation->credential_expires =
        std::min<absl::Time>(allocation->credential_expires, now);
    allocations_.SetExpiry(
        *allocation,
        allocation->Bounded(options_.revoked_grace, allocation->expires));
    flows_.Touch(*allocation);
  }
}

size_t Server::EndAllocations(absl::string_view username) {
  const auto allocations =
      allocations_.OfUser(realms_.main().QuotaUserOf(username));
  for (Allocation* allocation : allocations) {
    End(*allocation, EndReason::kRevoked);
  }
  return allocations.size();
}

void Server::Close() {
  if (closed_) return;
  allocations_.ForEach([&](Allocation& a) { End(a, EndReason::kClosed); });
  answers_.Clear();
  closed_ = true;
  events_.push_back(Closed{absl::OkStatus()});
}

void Server::SetAddresses(std::vector<Options::RelayAddress> relay,
                          std::vector<TransportAddress> listeners,
                          std::vector<IpAddress> own) {
  options_.relay_addresses = std::move(relay);
  options_.listeners = std::move(listeners);
  options_.own_addresses = std::move(own);
  policy_.SetAddresses(options_);
  if (own_ledger_ != nullptr) {
    own_ledger_->SetRelayAddresses(options_.relay_addresses);
  }
  allocations_.ForEach([&](Allocation& a) {
    a.peers.Enforce(policy_);
    connections_.Enforce(a);
  });
  flows_.TouchAll();
}

std::string Server::DebugString() const {
  return absl::StrCat("turn::Server allocations=", allocations(),
                      " free_ports=", free_ports(),
                      " answers=", answers_.size(), " events=", events_.size(),
                      closed_ ? " closed" : "");
}

}  // namespace kyuu::turn
