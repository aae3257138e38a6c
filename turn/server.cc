#include "turn/server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "turn/channel_data.h"
#include "turn/internal/understood.h"

namespace kyuu::turn {

namespace {

// RFC 8489 section 6.3.1: what a request asks for and we do not know.
stun::UnknownAttributes Unknown(const stun::MessageView& message) {
  return message.UnknownComprehensionRequired(
      internal::UnderstoodIn(message.method()));
}

// RFC 8489 section 9.2.4. Our nonces announce no choice of password algorithms,
// so that a client has nothing to choose from; one that does it all the same
// must at least agree with itself, and with MD5, which we take.
bool PasswordAlgorithmIsSound(const stun::MessageView& message) {
  if (!message.Has<stun::PasswordAlgorithm>() &&
      !message.Has<stun::PasswordAlgorithms>()) {
    return true;
  }
  const auto chosen = message.Get<stun::PasswordAlgorithm>();
  const auto offered = message.Get<stun::PasswordAlgorithms>();
  return chosen.has_value() && offered.has_value() &&
         chosen->algorithm == stun::PasswordHash::kMd5 &&
         offered->Contains(chosen->algorithm);
}

// Whether the integrity is that of `key`. RFC 8489 section 9.2.4: the SHA-256
// form counts if it is there; beside it the SHA-1 form must be right too.
bool IntegrityHolds(const stun::MessageView& message,
                    const stun::IntegrityKey& key) {
  return message.CheckIntegrity(key) &&
         (!message.HasIntegritySha256() || message.CheckIntegritySha256(key));
}

ServerOptions WithSecret(ServerOptions options, Random& random) {
  if (options.nonce_secret.empty()) {
    options.nonce_secret = random.IceChars(32);
  }
  return options;
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
      credentials_(options_),
      nonces_(options_.nonce_secret, options_.nonce_lifetime),
      tickets_(options_.nonce_secret),
      policy_(options_),
      own_ledger_(std::move(own)),
      ledger_(shared == nullptr ? *own_ledger_ : *shared) {
  forwards_.reserve(64);
  prefixes_.reserve(64 * 48);
}

Server::~Server() { ledger_.ReturnAll(options_.instance); }

// --- Packets ----------------------------------------------------------------

void Server::HandlePacket(absl::Time now, Packet in) {
  if (const auto relay = allocations_.ByBind(in.path.local)) {
    FromPeer(now, *relay, in.path.remote, in.bytes, in.bytes.size());
  } else {
    FromClient(now, in.path, in.bytes, in.bytes.size());
  }
}

absl::Span<const Forward> Server::FromClient(absl::Time now, const Path& path,
                                             absl::Span<const uint8_t> bytes,
                                             size_t segment_size) {
  forwards_.clear();
  prefixes_.clear();
  if (closed_) return {};
  // Nobody listens at port 0: an answer could only hit somebody else.
  if (path.remote.port == 0) {
    ++stats_.bad_source;
    return {};
  }
  if (bytes.empty() || segment_size == 0) {
    ++stats_.malformed;
    return {};
  }
  while (!bytes.empty()) {
    const absl::Span<const uint8_t> segment = bytes.subspan(0, segment_size);
    if (IsChannelData(segment)) {
      bytes.remove_prefix(RelayChannelData(now, path, bytes, segment_size));
    } else {
      HandleStun(now, path, segment);
      bytes.remove_prefix(segment.size());
    }
  }
  return Decided();
}

void Server::HandleStun(absl::Time now, const Path& path,
                        absl::Span<const uint8_t> bytes) {
  if (!stun::IsStun(bytes)) return HandleClassic(path, bytes);
  const absl::StatusOr<stun::MessageView> message =
      stun::MessageView::Parse(bytes);
  if (!message.ok() ||
      (message->HasFingerprint() && !message->CheckFingerprint())) {
    ++stats_.malformed;
    return;
  }
  if (message->cls() == stun::MessageClass::kRequest) {
    HandleRequest(now, path, *message);
  } else if (message->Is(stun::MessageClass::kIndication,
                         stun::Method::kSend)) {
    RelaySend(now, path, *message);
  } else if (!message->Is(stun::MessageClass::kIndication,
                          stun::Method::kBinding)) {
    ++stats_.unexpected;  // Binding indications only keep NATs open.
  }
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
  Request request = {now, path, message, nullptr, {}, std::nullopt};
  switch (message.method()) {
    case stun::Method::kBinding: {
      ++stats_.requests;
      if (!Unknown(message).empty()) {
        return ReplyUnproven(request, stun::Error::kUnknownAttribute);
      }
      Answer answer = Success(request);
      answer.mapped = path.remote;
      return Push(answer);
    }
    case stun::Method::kAllocate:
    case stun::Method::kRefresh:
    case stun::Method::kCreatePermission:
    case stun::Method::kChannelBind:
      if (options_.service == Options::Service::kStunAndTurn) break;
      [[fallthrough]];
    default:
      // RFC 8489 section 6.3: what is not known is discarded.
      ++stats_.unexpected;
      return;
  }
  ++stats_.requests;
  request.allocation = ByClient(now, path);
  const auto ticket = message.Get<stun::MobilityTicket>();
  if (request.allocation == nullptr && ticket.has_value() &&
      message.method() == stun::Method::kRefresh) {
    request.allocation = ByTicket(now, ticket->value);
  }
  const std::optional<Credential> credential = Authenticate(request);
  if (!credential.has_value()) return;
  // RFC 8489 section 6.3.1: after authentication.
  if (!Unknown(message).empty()) {
    return Reply(request, stun::Error::kUnknownAttribute);
  }
  if (const auto error = CheckTicket(request)) return Reply(request, *error);
  if (message.method() == stun::Method::kAllocate) {
    return Allocate(request, *credential);
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
  if (allocation->username != request.username) {
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
  // A name that was granted anew carries its allocations on.
  allocation->key = *request.key;
  allocation->credential_expires = credential.expires;
  switch (request.message.method()) {
    case stun::Method::kRefresh:
      return Refresh(request, *allocation);
    case stun::Method::kCreatePermission:
      return CreatePermission(request, *allocation);
    default:
      return ChannelBind(request, *allocation);
  }
}

// --- Authentication (RFC 8489 section 9.2.4) --------------------------------

std::optional<Server::Credential> Server::Authenticate(Request& request) {
  const stun::MessageView& message = request.message;
  const auto refuse = [&](stun::Error error) -> std::optional<Credential> {
    ReplyUnproven(request, error);
    return std::nullopt;
  };
  if (!message.HasIntegrity()) return refuse(stun::Error::kUnauthenticated);
  const auto username = message.Get<stun::Username>();
  const auto realm = message.Get<stun::Realm>();
  const auto nonce = message.Get<stun::Nonce>();
  if (!username.has_value() || !realm.has_value() || !nonce.has_value()) {
    return refuse(stun::Error::kBadRequest);
  }
  if (!nonces_.Check(Utc(request.now), request.path.remote, nonce->value)) {
    return refuse(stun::Error::kStaleNonce);
  }
  if (!PasswordAlgorithmIsSound(message)) {
    return refuse(stun::Error::kBadRequest);
  }
  if (realm->value != options_.realm) {
    return refuse(stun::Error::kUnauthenticated);
  }
  // From here on the source is no forged one, for it has the nonce that went
  // there. It could still be guessing, and an HMAC costs more than a refusal;
  // but who owns an allocation is not locked out by a neighbour who guesses.
  const IpAddress& source = request.path.remote.ip;
  Allocation* const own = request.allocation;
  const bool owner = own != nullptr && own->username == username->value;
  const bool known = owner && request.now < own->prove_again;
  const bool may = known || ledger_.TakeTry(request.now, source);
  if (!may && !owner) {
    ++stats_.auth_limited;
    return std::nullopt;
  }
  std::optional<Credential> credential =
      CheckCredential(request, username->value);
  if (!credential.has_value()) {
    // It was taken for granted that he would not fail.
    if (known) (void)ledger_.TakeTry(request.now, source);
    return refuse(stun::Error::kUnauthenticated);
  }
  if (!known) ledger_.Proven(request.now, source);
  if (owner && !known) own->prove_again = ProveAgain(request.now);
  request.username = std::string(username->value);
  request.key = credential->key;
  return credential;
}

// The credential that the request was made with: that of the name, or what the
// 5-tuple's own allocation was made with, within its grace.
std::optional<Server::Credential> Server::CheckCredential(
    const Request& request, absl::string_view username) const {
  for (const Credential& credential :
       credentials_.Find(request.now, options_.utc_offset, username)) {
    if (IntegrityHolds(request.message, credential.key)) return credential;
  }
  const Allocation* allocation = request.allocation;
  if (allocation == nullptr || allocation->username != username ||
      allocation->credential_expires + options_.revoked_grace <= request.now ||
      !IntegrityHolds(request.message, allocation->key)) {
    return std::nullopt;
  }
  return Credential{allocation->key, allocation->credential_expires,
                    allocation->quota_user};
}

// --- Answers ----------------------------------------------------------------

Server::Answer Server::Success(const Request& request) const {
  Answer answer;
  answer.path = request.path;
  answer.id = request.message.transaction_id();
  answer.method = request.message.method();
  answer.key = request.key;
  answer.fingerprint = request.message.HasFingerprint();
  return answer;
}

void Server::Reply(const Request& request, stun::Error error) {
  Answer answer = Success(request);
  answer.error = error;
  if (error == stun::Error::kUnknownAttribute) {
    answer.unknown = Unknown(request.message);
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
  if (error == stun::Error::kUnknownAttribute) {
    answer.unknown = Unknown(request.message);
  }
  if (!ledger_.TakeGain(request.now, request.path.remote.ip,
                        request.message.bytes().size(),
                        internal::ErrorSize(answer, options_.realm))) {
    ++stats_.rate_limited;
    return;
  }
  Push(answer);
}

void Server::Push(const Answer& answer) {
  if (answers_.size() - next_answer_ >= options_.answers_max) {
    ++stats_.answers_dropped;
    return;
  }
  // Not sooner than half of the list is taken, or each push would move it.
  if (next_answer_ >= options_.answers_max) {
    answers_.erase(answers_.begin(),
                   answers_.begin() + static_cast<ptrdiff_t>(next_answer_));
    next_answer_ = 0;
  }
  if (!answer.report.has_value()) {
    ++(answer.error.has_value() ? stats_.errors : stats_.successes);
  }
  answers_.push_back(answer);
}

std::optional<Server::Packet> Server::PollTransmit(absl::Time now,
                                                   absl::Span<uint8_t> out) {
  while (next_answer_ < answers_.size()) {
    const Answer& answer = answers_[next_answer_++];
    internal::NonceMaker::Nonce nonce{};
    if (answer.challenge) nonce = nonces_.Make(Utc(now), answer.path.remote);
    const absl::Span<const uint8_t> bytes = internal::Build(
        answer, options_.realm, absl::string_view(nonce.data(), nonce.size()),
        options_.software, out);
    if (!bytes.empty()) return Datagram{answer.path, bytes};
    ++stats_.answers_dropped;
  }
  answers_.clear();
  next_answer_ = 0;
  return std::nullopt;
}

std::optional<Server::Event> Server::PollEvent() {
  // Asked again, the driver has done what the last event said.
  if (closing_.has_value()) ledger_.Return(*std::exchange(closing_, {}));
  if (events_.empty()) return std::nullopt;
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

absl::Time Server::NextTimeout() const { return allocations_.NextTimeout(); }

void Server::HandleTimeout(absl::Time now) {
  while (Allocation* due = allocations_.PopDue(now)) {
    const bool revoked =
        due->credential_expires + options_.revoked_grace <= now;
    End(*due, revoked ? EndReason::kRevoked : EndReason::kExpired);
  }
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
  return credentials_.Grant(now, username, password, expires);
}

void Server::Revoke(absl::Time now, absl::string_view username) {
  if (credentials_.Revoke(username)) LetGo(now, username);
}

// What was made with a credential that is no more has its grace.
void Server::LetGo(absl::Time now, absl::string_view username) {
  for (Allocation* allocation : allocations_.OfUser(username)) {
    if (allocation->username != username) continue;
    allocation->credential_expires =
        std::min(allocation->credential_expires, now);
    SetExpiry(*allocation, allocation->expires);
  }
}

size_t Server::EndAllocations(absl::string_view username) {
  const auto allocations =
      allocations_.OfUser(credentials_.QuotaUserOf(username));
  for (Allocation* allocation : allocations) {
    End(*allocation, EndReason::kRevoked);
  }
  return allocations.size();
}

void Server::Close() {
  if (closed_) return;
  allocations_.ForEach([&](Allocation& a) { End(a, EndReason::kClosed); });
  answers_.clear();
  next_answer_ = 0;
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
  allocations_.ForEach([&](Allocation& a) { a.peers.Enforce(policy_); });
}

std::string Server::DebugString() const {
  return absl::StrCat("turn::Server allocations=", allocations(),
                      " free_ports=", free_ports(),
                      " answers=", answers_.size() - next_answer_,
                      " events=", events_.size(), closed_ ? " closed" : "");
}

}  // namespace kyuu::turn
