// What the server's responses do to a turn::Client.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "stun/attributes.h"
#include "turn/client.h"
#include "turn/internal/understood.h"

namespace kyuu::turn {
namespace {

using stun::Error;
using stun::MessageClass;
using stun::MessageView;
using stun::Method;

// RFC 8656 section 9: a permission lives 300 s. 60 s are left for the refresh,
// whose retransmissions take 39.5 s.
constexpr absl::Duration kPermissionRefresh = absl::Minutes(4);
// Section 12: a channel lives 600 s.
constexpr absl::Duration kChannelRefresh = absl::Minutes(9);
// Section 8.1: refresh the allocation when a minute is left of its lifetime, or
// half of it if it is short; but once a second at most, and once in an hour at
// least, whatever the server says.
constexpr absl::Duration kLeaseMargin = absl::Minutes(1);
constexpr absl::Duration kLeaseRefreshMin = absl::Seconds(1);
constexpr absl::Duration kLeaseRefreshMax = absl::Hours(1);

absl::Status StatusOf(Error error) {
  const std::string text =
      absl::StrCat("server answered ", static_cast<int>(error), " ",
                   stun::ReasonPhrase(error));
  switch (error) {
    case Error::kUnauthenticated:
    case Error::kWrongCredentials:
      return absl::UnauthenticatedError(text);
    case Error::kForbidden:
      return absl::PermissionDeniedError(text);
    case Error::kAllocationQuotaReached:
    case Error::kInsufficientCapacity:
      return absl::ResourceExhaustedError(text);
    case Error::kAddressFamilyNotSupported:
    case Error::kUnsupportedTransport:
    case Error::kPeerAddressFamilyMismatch:
      return absl::UnimplementedError(text);
    case Error::kAllocationMismatch:
      return absl::AbortedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace

void Client::HandlePacket(absl::Time now, Packet in) {
  if (state_ == State::kIdle || state_ == State::kClosed) return;
  if (in.path.remote != server_ || in.path.local != options_.local) {
    ++stats_.wrong_path;
    return;
  }
  // Data was counted when Unwrap() refused it.
  if (IsChannelData(in.bytes)) return;
  const absl::StatusOr<MessageView> response = MessageView::Parse(in.bytes);
  if (!response.ok() ||
      (response->HasFingerprint() && !response->CheckFingerprint())) {
    ++stats_.malformed;
    return;
  }
  if (response->Is(MessageClass::kIndication, Method::kData)) return;
  if (response->cls() != MessageClass::kSuccess &&
      response->cls() != MessageClass::kError) {
    ++stats_.unexpected;
    return;
  }
  const stun::TransactionId& id = response->transaction_id();
  if (lease_request_ && lease_request_->id == id) {
    return OnLease(now, *response);
  }
  for (Permission& permission : permissions_) {
    if (permission.request && permission.request->id == id) {
      return OnPermission(now, permission, *response);
    }
  }
  for (Peer& peer : peers_) {
    if (peer.request && peer.request->id == id) {
      return OnChannel(now, peer, *response);
    }
  }
  ++stats_.unexpected;
}

// Judge decides what a response with the request's transaction id is worth,
// and answers challenges (RFC 8489 section 9.2.5).
Client::Verdict Client::Judge(const MessageView& response, Request& request,
                              Failure& failure) {
  std::optional<Error> error;
  if (response.cls() == MessageClass::kError) {
    const auto code = response.Get<stun::ErrorCode>();
    if (!code) {
      ++stats_.malformed;
      return Verdict::kDrop;
    }
    error = code->code;
  }
  const bool challenge =
      error == Error::kUnauthenticated || error == Error::kStaleNonce;
  // The server cannot sign a challenge if it does not know who asks. All else
  // must carry our integrity if the request did, or counts as never received.
  const bool may_be_bare =
      challenge && !response.HasIntegrity() && !response.HasIntegritySha256();
  if (request.authenticated && !may_be_bare && !credential_.Check(response)) {
    ++stats_.unauthenticated;
    request.unverified = error;
    return Verdict::kDrop;
  }
  if (challenge) return Challenge(response, request, failure);
  if (error) {
    failure = {StatusOf(*error), error};
    return Verdict::kError;
  }
  if (!response.UnknownComprehensionRequired(internal::kTurnAttributes)
           .empty()) {
    failure = {absl::InternalError("response with unknown attributes"),
               std::nullopt};
    return Verdict::kError;
  }
  return Verdict::kSuccess;
}

Client::Verdict Client::Challenge(const MessageView& response, Request& request,
                                  Failure& failure) {
  const Error error = response.Get<stun::ErrorCode>()->code;
  failure = {StatusOf(error), error};
  // 401 to a request with our credential: it is wrong, and stays so.
  if (error == Error::kUnauthenticated && request.authenticated) {
    return Verdict::kError;
  }
  if (request.challenges >= options_.challenges_max) return Verdict::kError;
  const auto realm = response.Get<stun::Realm>();
  if (!options_.realm.empty() && realm && realm->value != options_.realm) {
    failure.status = absl::UnauthenticatedError("server of another realm");
    return Verdict::kError;
  }
  if (absl::Status status = credential_.HandleChallenge(response);
      !status.ok()) {
    failure.status = std::move(status);
    return Verdict::kError;
  }
  const int challenges = request.challenges + 1;
  request = NewRequest();
  request.challenges = challenges;
  return Verdict::kRetry;
}

void Client::OnLease(absl::Time now, const MessageView& response) {
  const Method method =
      state_ == State::kAllocating ? Method::kAllocate : Method::kRefresh;
  if (response.method() != method) {
    ++stats_.unexpected;
    return;
  }
  Failure failure;
  switch (Judge(response, *lease_request_, failure)) {
    case Verdict::kDrop:
    case Verdict::kRetry:
      return;
    case Verdict::kError:
      if (failure.error == Error::kTryAlternate && FollowAlternate(response)) {
        return;
      }
      return Finish(std::move(failure));
    case Verdict::kSuccess:
      break;
  }
  lease_request_.reset();
  if (state_ == State::kClosing) return Finish({});
  if (state_ == State::kAllocating) return OnAllocated(now, response);
  const auto lifetime = response.Get<stun::Lifetime>();
  SetLease(now,
           lifetime ? absl::Seconds(lifetime->seconds) : options_.lifetime);
}

// RFC 8656 section 7.3.
void Client::OnAllocated(absl::Time now, const MessageView& response) {
  const auto relayed = response.Get<stun::XorRelayedAddress>();
  const auto mapped = response.Get<stun::XorMappedAddress>();
  const auto lifetime = response.Get<stun::Lifetime>();
  const IpFamily asked = options_.relayed_family == IpFamily::kUnspecified
                             ? IpFamily::kV4
                             : options_.relayed_family;
  if (!relayed || !mapped || !lifetime || lifetime->seconds == 0 ||
      relayed->address.ip.family() != asked || relayed->address.port == 0) {
    return Finish({absl::InternalError("useless Allocate response"), {}});
  }
  state_ = State::kAllocated;
  relayed_ = relayed->address;
  const absl::Duration granted = absl::Seconds(lifetime->seconds);
  SetLease(now, granted);
  events_.push_back(Allocated{relayed_, mapped->address, granted});
}

void Client::SetLease(absl::Time now, absl::Duration lifetime) {
  const absl::Duration wait = std::max(lifetime - kLeaseMargin, lifetime / 2);
  lease_refresh_at_ =
      now + std::clamp(wait, kLeaseRefreshMin, kLeaseRefreshMax);
}

// ALTERNATE-SERVER (RFC 8489 section 10): once, and not to where only a
// malicious server would send us: our own machine, or nobody.
bool Client::FollowAlternate(const MessageView& response) {
  const auto alternate = response.Get<stun::AlternateServer>();
  if (state_ != State::kAllocating || redirected_ || !alternate) return false;
  const TransportAddress& to = alternate->address;
  if (to.ip.family() != server_.ip.family() || to.port == 0 || to == server_ ||
      to.ip.IsAny() || to.ip.IsMulticast() ||
      (to.ip.IsLoopback() && !server_.ip.IsLoopback())) {
    return false;
  }
  redirected_ = true;
  server_ = to;
  credential_.Reset();
  lease_request_ = NewRequest();
  return true;
}

void Client::OnPermission(absl::Time now, Permission& permission,
                          const MessageView& response) {
  if (response.method() != Method::kCreatePermission) {
    ++stats_.unexpected;
    return;
  }
  Failure failure;
  switch (Judge(response, *permission.request, failure)) {
    case Verdict::kDrop:
    case Verdict::kRetry:
      return;
    case Verdict::kError:
      return FailPermission(permission, std::move(failure));
    case Verdict::kSuccess:
      break;
  }
  permission.request.reset();
  permission.refresh_at = now + kPermissionRefresh;
  if (!std::exchange(permission.granted, true)) {
    events_.push_back(PermissionGranted{permission.ip});
  }
}

void Client::FailPermission(Permission& permission, Failure failure) {
  permission.request.reset();
  permission.refresh_at = absl::InfiniteFuture();
  permission.granted = false;
  events_.push_back(PermissionFailed{permission.ip, std::move(failure.status),
                                     failure.error});
}

void Client::OnChannel(absl::Time now, Peer& peer,
                       const MessageView& response) {
  if (response.method() != Method::kChannelBind) {
    ++stats_.unexpected;
    return;
  }
  Failure failure;
  switch (Judge(response, *peer.request, failure)) {
    case Verdict::kDrop:
    case Verdict::kRetry:
      return;
    case Verdict::kError:
      return RefuseChannel(peer);
    case Verdict::kSuccess:
      break;
  }
  peer.request.reset();
  peer.refresh_at = now + kChannelRefresh;
  if (!std::exchange(peer.bound, true)) {
    events_.push_back(ChannelBound{peer.address, peer.channel});
  }
}

// Without a channel Send indications do, so this is no event.
void Client::RefuseChannel(Peer& peer) {
  peer.request.reset();
  peer.refresh_at = absl::InfiniteFuture();
  peer.bound = false;
  ++stats_.channels_refused;
}

void Client::Finish(Failure failure) {
  // Who asked for the end gets it, however the server took it.
  if (state_ == State::kClosing) failure = {};
  state_ = State::kClosed;
  relayed_ = {};
  lease_request_.reset();
  lease_refresh_at_ = absl::InfiniteFuture();
  permissions_.clear();
  peers_.clear();
  peer_index_.clear();
  channel_peers_.clear();
  events_.push_back(Closed{std::move(failure.status), failure.error});
}

}  // namespace kyuu::turn
