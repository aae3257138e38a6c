// What the server's responses do to a turn::Client.

#include <algorithm>
#include <utility>

#include "stun/attributes.h"
#include "turn/client.h"

namespace kyuu::turn {
namespace {

using stun::Error;
using stun::MessageClass;
using stun::MessageView;
using stun::Method;

// RFC 8656 section 9: a permission's lifetime is 300 s. 60 s are left for the
// refresh, whose retransmissions take 39.5 s.
constexpr absl::Duration kPermissionLifetime = absl::Minutes(5);
constexpr absl::Duration kPermissionRefresh = absl::Minutes(4);
// Section 12: a channel binding's lifetime is 600 s.
constexpr absl::Duration kChannelLifetime = absl::Minutes(10);
constexpr absl::Duration kChannelRefresh = absl::Minutes(9);
// Section 8.1: refresh the allocation when a minute is left of its lifetime, or
// half of it if it is short; but once a second at most, and once in an hour at
// least, whatever the server says. Of a lifetime too short for it, one
// transaction is tried to its end.
constexpr absl::Duration kAllocationMargin = absl::Minutes(1);
constexpr absl::Duration kAllocationRefreshMin = absl::Seconds(1);
constexpr absl::Duration kAllocationRefreshMax = absl::Hours(1);
constexpr absl::Duration kTransactionMax = absl::Seconds(40);

}  // namespace

void Client::HandlePacket(absl::Time now, Packet in) {
  if (state_ == State::kIdle || state_ == State::kClosed) return;
  const bool binds = connections_.Binds(in.path);
  if (!binds && !IsOurs(in.path)) {
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
  if (response->Is(MessageClass::kIndication, Method::kConnectionAttempt) &&
      !binds && state_ == State::kAllocated) {
    return OnAttempt(now, *response);
  }
  if (response->cls() != MessageClass::kSuccess &&
      response->cls() != MessageClass::kError) {
    ++stats_.unexpected;
    return;
  }
  using Heard = ClientConnections::Heard;
  switch (connections_.HandleResponse(now, in.path, *response)) {
    case Heard::kNotOurs:
      break;
    case Heard::kOurs:
      return;
    case Heard::kWantsToken:
      return WantToken(TokenWanted::Why::kMissing);
    case Heard::kWantsAnother:
      return WantToken(TokenWanted::Why::kRefused);
  }
  const auto transaction = waits_.answers.find(response->transaction_id());
  if (binds || transaction == waits_.answers.end()) {
    ++stats_.unexpected;
    return;
  }
  const Subject subject = transaction->second;
  switch (subject.kind) {
    case Subject::Kind::kAllocation:
      return OnAllocation(now, *response);
    case Subject::Kind::kFamily:
      return OnFamily(now, subject, *response);
    case Subject::Kind::kPermission:
      return OnPermission(now, subject, *response);
    case Subject::Kind::kChannel:
      return OnChannel(now, subject, *response);
  }
}

// RFC 6062 section 4.4: a peer has connected; only those whom we let in.
void Client::OnAttempt(absl::Time now, const MessageView& attempt) {
  const auto peer = attempt.Get<stun::XorPeerAddress>();
  const auto id = attempt.Get<stun::ConnectionId>();
  if (!peer || !id) {
    ++stats_.malformed;
    return;
  }
  const Permission* permission = FindPermission(peer->address.ip);
  if (permission == nullptr || !permission->live()) {
    ++stats_.unpermitted;
    return;
  }
  connections_.Attempted(now, ClientConnectionId{id->value}, peer->address);
}

// What a response to the subject's request is worth. A challenge is answered.
Client::Verdict Client::Judge(const MessageView& response, Subject subject,
                              Failure& failure) {
  Request& request = *RequestOf(subject);
  const Verdict verdict = credential_.Judge(response, request, failure, stats_);
  if (verdict == Verdict::kRetry) StartRequest(subject, request.challenges + 1);
  if (verdict != Verdict::kTokenWanted) return verdict;
  // Who leaves fetches none for it.
  if (state_ == State::kClosing) return Verdict::kError;
  waits_.answers.erase(request.id);
  timers_.Stop({Timer::kRto, subject});
  waits_.due.erase(subject);
  waits_.want_token.insert(subject);
  WantToken(request.token_number == 0 ? TokenWanted::Why::kMissing
                                      : TokenWanted::Why::kRefused);
  return Verdict::kDrop;
}

void Client::OnAllocation(absl::Time now, const MessageView& response) {
  const Method method =
      state_ == State::kAllocating ? Method::kAllocate : Method::kRefresh;
  if (response.method() != method) {
    ++stats_.unexpected;
    return;
  }
  Failure failure;
  const Verdict verdict = Judge(response, internal::kTheAllocation, failure);
  if (verdict == Verdict::kError) {
    if (failure.error == Error::kTryAlternate) {
      failure.alternate = Alternate(response);
      if (failure.alternate && !on_stream()) {
        return FollowAlternate(*failure.alternate);
      }
    }
    // RFC 8016 section 3.1.4: without mobility then.
    if (failure.error == Error::kMobilityForbidden &&
        state_ == State::kAllocating &&
        options_.mobility == Options::Mobility::kAsk) {
      options_.mobility = Options::Mobility::kNone;
      return StartRequest(internal::kTheAllocation);
    }
    if (mobility_.moving && state_ == State::kAllocated) {
      return OnMoveRefused(std::move(failure));
    }
    // There is none for where the request came from: a NAT in front has
    // changed, and the ticket finds it (RFC 8016 section 3.2.1).
    if (failure.error == Error::kAllocationMismatch &&
        Move(now, options_.local).ok()) {
      return;
    }
    return Finish(std::move(failure));
  }
  if (verdict != Verdict::kSuccess) return;
  EndRequest(internal::kTheAllocation);
  if (state_ == State::kClosing) return Finish({});
  if (state_ == State::kAllocating) return OnAllocated(now, response);
  const auto lifetime = response.Get<stun::Lifetime>();
  const absl::Duration granted =
      lifetime ? absl::Seconds(lifetime->seconds) : options_.lifetime;
  SetAllocationLifetime(now, granted);
  KeepTicket(response);
  connections_.Refreshed();
  if (mobility_.moving) return OnMoved(granted);
  mobility_.former.reset();
}

// RFC 8656 section 7.3.
void Client::OnAllocated(absl::Time now, const MessageView& response) {
  const auto mapped = response.Get<stun::XorMappedAddress>();
  const auto lifetime = response.Get<stun::Lifetime>();
  Allocated told;
  if (!mapped || !lifetime || lifetime->seconds == 0 ||
      !TakeRelays(response, told)) {
    return Finish({absl::InternalError("useless Allocate response"), {}, {}});
  }
  state_ = State::kAllocated;
  told.mapped = mapped->address;
  told.lifetime = absl::Seconds(lifetime->seconds);
  SetAllocationLifetime(now, told.lifetime);
  KeepTicket(response);
  if (const auto reserved = response.Get<stun::ReservationToken>()) {
    told.reservation = reserved->value;
  }
  events_.push_back(told);
}

void Client::SetAllocationLifetime(absl::Time now, absl::Duration lifetime) {
  const absl::Duration wait =
      std::clamp(std::max(lifetime - kAllocationMargin, lifetime / 2),
                 kAllocationRefreshMin, kAllocationRefreshMax);
  timers_.Set({Timer::kRefresh, internal::kTheAllocation}, now + wait);
  timers_.Set({Timer::kLifetime, internal::kTheAllocation},
              now + std::max(lifetime, wait + kTransactionMax));
}

// ALTERNATE-SERVER (RFC 8489 section 10): once, and not to where only a
// malicious server would send us: our own machine, or nobody.
std::optional<TransportAddress> Client::Alternate(
    const MessageView& response) const {
  const auto alternate = response.Get<stun::AlternateServer>();
  if (state_ != State::kAllocating || redirected_ || !alternate) return {};
  const TransportAddress& to = alternate->address;
  if (to.ip.family() != server_.ip.family() || to.port == 0 || to == server_ ||
      to.ip.IsAny() || to.ip.IsMulticast() ||
      (to.ip.IsLoopback() && !server_.ip.IsLoopback())) {
    return {};
  }
  return to;
}

void Client::FollowAlternate(const TransportAddress& to) {
  redirected_ = true;
  server_ = to;
  credential_.Reset();
  token_wanted_ = false;
  StartRequest(internal::kTheAllocation);
}

void Client::OnPermission(absl::Time now, Subject subject,
                          const MessageView& response) {
  if (response.method() != Method::kCreatePermission) {
    ++stats_.unexpected;
    return;
  }
  Failure failure;
  const Verdict verdict = Judge(response, subject, failure);
  if (verdict == Verdict::kError) {
    return FailPermission(now, subject, std::move(failure));
  }
  if (verdict != Verdict::kSuccess) return;
  EndRequest(subject);
  timers_.Set({Timer::kRefresh, subject}, now + kPermissionRefresh);
  timers_.Set({Timer::kLifetime, subject}, now + kPermissionLifetime);
  Permission& permission = known_.permissions[subject.index];
  if (!std::exchange(permission.granted, true)) {
    events_.push_back(PermissionGranted{permission.ip});
  }
}

void Client::FailPermission(absl::Time now, Subject subject, Failure failure) {
  EndSubject(subject);
  Permission& permission = known_.permissions[subject.index];
  permission.granted = false;
  // It was of the family when it was asked for: has that ended since?
  if (failure.error == Error::kPeerAddressFamilyMismatch &&
      options_.families == Options::Families::kBoth) {
    // Refused if it is known already.
    (void)RefreshFamily(now, permission.ip.family());
  }
  events_.push_back(PermissionFailed{permission.ip, std::move(failure.status),
                                     failure.error});
}

void Client::OnChannel(absl::Time now, Subject subject,
                       const MessageView& response) {
  if (response.method() != Method::kChannelBind) {
    ++stats_.unexpected;
    return;
  }
  Failure failure;
  const Verdict verdict = Judge(response, subject, failure);
  if (verdict == Verdict::kError) return RefuseChannel(subject);
  if (verdict != Verdict::kSuccess) return;
  EndRequest(subject);
  timers_.Set({Timer::kRefresh, subject}, now + kChannelRefresh);
  timers_.Set({Timer::kLifetime, subject}, now + kChannelLifetime);
  Peer& peer = known_.peers[subject.index];
  if (!std::exchange(peer.bound, true)) {
    events_.push_back(ChannelBound{peer.address, peer.channel});
  }
}

// Without a channel Send indications do, so this is no event. What is bound
// already stays so until its lifetime ends: the peer's data may come that way.
void Client::RefuseChannel(Subject subject) {
  EndRequest(subject);
  timers_.Stop({Timer::kRefresh, subject});
  ++stats_.channels_refused;
}

void Client::HandleRefusal(absl::Time, const TransportAddress& remote,
                           const absl::Status& why) {
  if (remote != server_) return;
  ++stats_.refusals;
  if (state_ == State::kAllocating) return Finish({why, {}, {}});
  if (state_ == State::kClosing) Finish({});
}

void Client::HandleStreamEnd(absl::Time, const absl::Status& why) {
  if (state_ == State::kIdle || state_ == State::kClosed) return;
  Finish({why.ok() ? absl::UnavailableError("the server has ended the stream")
                   : why,
          {},
          {}});
}

void Client::Finish(Failure failure) {
  // Who asked for the end gets it, however the server took it.
  if (state_ == State::kClosing) failure = {};
  state_ = State::kClosed;
  relays_ = {};
  mobility_ = {};
  ForgetPeers();
  events_.push_back(
      Closed{std::move(failure.status), failure.error, failure.alternate});
}

}  // namespace kyuu::turn
