// The requests of a turn::Client: built, sent, sent again, given up, and when
// each of them is due.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "stun/attributes.h"
#include "turn/client.h"

namespace kyuu::turn {
namespace {

using stun::MessageClass;
using stun::MessageWriter;
using stun::Method;

// Closing should not take long: sends at 0, 0.5 and 1.5 s, over at 3.5 s, with
// one send over a stream.
constexpr int kClosingSendsMax = 3;
constexpr int kClosingLastWaitFactor = 4;
constexpr absl::Duration kClosingOnStream = absl::Milliseconds(3500);

// Adds what all requests have, and finishes the message.
absl::Span<const uint8_t> Finished(const ClientOptions& options,
                                   const internal::ClientCredential& credential,
                                   internal::ClientRequest& request,
                                   MessageWriter& writer) {
  if (!options.software.empty()) writer.Add(stun::Software{options.software});
  credential.Authenticate(writer, request);
  return writer.Finish();
}

stun::Lifetime LifetimeOf(absl::Duration lifetime) {
  return {static_cast<uint32_t>(absl::ToInt64Seconds(lifetime))};
}

}  // namespace

Client::Request Client::NewRequest() const {
  stun::RetransmitOptions retransmit =
      on_stream() ? stun::kReliableTransport : options_.retransmit;
  if (state_ == State::kClosing && on_stream()) {
    retransmit.rto_initial = kClosingOnStream;
  } else if (state_ == State::kClosing) {
    retransmit.sends_max = std::min(retransmit.sends_max, kClosingSendsMax);
    retransmit.last_wait_factor =
        std::min(retransmit.last_wait_factor, kClosingLastWaitFactor);
  }
  return Request{.id = stun::TransactionId::Generate(random_),
                 .retransmission = stun::Retransmission(retransmit)};
}

std::optional<Client::Request>& Client::RequestOf(Subject subject) {
  switch (subject.kind) {
    case Subject::Kind::kAllocation:
      return allocation_request_;
    case Subject::Kind::kFamily:
      return relays_.at(subject.index).request;
    case Subject::Kind::kPermission:
      return known_.permissions[subject.index].request;
    case Subject::Kind::kChannel:
      break;
  }
  return known_.peers[subject.index].request;
}

// Makes a request of the subject due, in the place of one that is under way.
void Client::StartRequest(Subject subject, int challenges) {
  EndRequest(subject);
  Request& request = RequestOf(subject).emplace(NewRequest());
  request.challenges = challenges;
  waits_.answers.emplace(request.id, subject);
  waits_.due.insert(subject);
}

void Client::EndRequest(Subject subject) {
  std::optional<Request>& request = RequestOf(subject);
  if (!request.has_value()) return;
  waits_.answers.erase(request->id);
  waits_.due.erase(subject);
  waits_.want_token.erase(subject);
  timers_.Stop({Timer::kRto, subject});
  request.reset();
}

// Ends its request, and whatever would make another.
void Client::EndSubject(Subject subject) {
  EndRequest(subject);
  timers_.Stop({Timer::kRefresh, subject});
  timers_.Stop({Timer::kLifetime, subject});
}

void Client::HandleTimeout(absl::Time now) {
  connections_.HandleTimeout(now);
  while (const std::optional<internal::TimerKey> due = timers_.PopDue(now)) {
    switch (due->timer) {
      case Timer::kRto:
        OnRto(now, due->subject);
        break;
      case Timer::kRefresh:
        StartRequest(due->subject);
        break;
      case Timer::kLifetime:
        OnLifetime(now, due->subject);
        break;
      case Timer::kToken:
        WantToken(TokenWanted::Why::kRunsOut);
        break;
    }
  }
}

void Client::OnRto(absl::Time now, Subject subject) {
  Request& request = *RequestOf(subject);
  request.retransmission.HandleTimeout(now);
  if (!request.retransmission.failed()) {
    waits_.due.insert(subject);
    return;
  }
  // What is refreshed lives on until its end, and so long it is worth asking
  // again: a path that was down may be back. Not so a stream, on which nothing
  // is lost but all.
  const bool stream_is_dead =
      on_stream() && subject.kind == Subject::Kind::kAllocation;
  if (timers_.IsSet({Timer::kLifetime, subject}) && !stream_is_dead) {
    return StartRequest(subject);
  }
  const std::optional<stun::Error> hint = request.unverified;
  Failure failure{absl::DeadlineExceededError(
                      absl::StrCat("no answer from ", server_.ToString(),
                                   hint ? " but an unverified error" : "")),
                  hint,
                  {}};
  switch (subject.kind) {
    case Subject::Kind::kAllocation:
      return Finish(std::move(failure));
    case Subject::Kind::kFamily:
      // The refresh of the whole allocation tells.
      if (!relays_.at(subject.index).ending) return EndRequest(subject);
      return EndFamily(subject, std::move(failure));
    case Subject::Kind::kPermission:
      return FailPermission(now, subject, std::move(failure));
    case Subject::Kind::kChannel:
      return RefuseChannel(subject);
  }
}

// No refresh came through in time.
void Client::OnLifetime(absl::Time now, Subject subject) {
  const std::optional<Request>& request = RequestOf(subject);
  const std::optional<stun::Error> hint =
      request ? request->unverified : std::nullopt;
  Failure failure{absl::DeadlineExceededError(absl::StrCat(
                      "no refresh came through to ", server_.ToString())),
                  hint,
                  {}};
  switch (subject.kind) {
    case Subject::Kind::kAllocation:
      return Finish(std::move(failure));
    case Subject::Kind::kFamily:
      return;  // It has the allocation's.
    case Subject::Kind::kPermission:
      return FailPermission(now, subject, std::move(failure));
    case Subject::Kind::kChannel:
      break;
  }
  // RFC 8656 section 12: the number stays this peer's, and may be bound again
  // once there is something to send.
  Peer& peer = known_.peers[subject.index];
  EndSubject(subject);
  peer.bound = false;
  peer.datagrams = 0;
  ++stats_.channels_expired;
}

absl::Span<const uint8_t> Client::WriteRequest(Subject subject,
                                               absl::Span<uint8_t> out) {
  Request& request = *RequestOf(subject);
  switch (subject.kind) {
    case Subject::Kind::kAllocation:
      return WriteAllocation(request, out);
    case Subject::Kind::kFamily: {
      // RFC 8656 section 8.1.
      const internal::ClientRelay& relay = relays_.at(subject.index);
      MessageWriter writer(out, MessageClass::kRequest, Method::kRefresh,
                           request.id);
      writer.Add(stun::RequestedAddressFamily{relay.address.ip.family()});
      writer.Add(
          LifetimeOf(relay.ending ? absl::ZeroDuration() : options_.lifetime));
      return Finished(options_, credential_, request, writer);
    }
    case Subject::Kind::kPermission: {
      // RFC 8656 section 10.1.
      MessageWriter writer(out, MessageClass::kRequest,
                           Method::kCreatePermission, request.id);
      writer.Add(stun::XorPeerAddress{
          TransportAddress{known_.permissions[subject.index].ip, 0}});
      return Finished(options_, credential_, request, writer);
    }
    case Subject::Kind::kChannel:
      break;
  }
  // RFC 8656 section 12.1.
  const Peer& peer = known_.peers[subject.index];
  MessageWriter writer(out, MessageClass::kRequest, Method::kChannelBind,
                       request.id);
  writer.Add(stun::ChannelNumber{peer.channel});
  writer.Add(stun::XorPeerAddress{peer.address});
  return Finished(options_, credential_, request, writer);
}

// RFC 8656 sections 7.1 and 8.1.
absl::Span<const uint8_t> Client::WriteAllocation(
    Request& request, absl::Span<uint8_t> out) const {
  const bool allocating = state_ == State::kAllocating;
  MessageWriter writer(out, MessageClass::kRequest,
                       allocating ? Method::kAllocate : Method::kRefresh,
                       request.id);
  const absl::Duration lifetime =
      state_ == State::kClosing ? absl::ZeroDuration() : options_.lifetime;
  if (allocating) {
    writer.Add(
        stun::RequestedTransport{options_.relayed_transport == Transport::kTcp
                                     ? stun::RequestedTransport::kTcp
                                     : stun::RequestedTransport::kUdp});
    if (options_.mobility == Options::Mobility::kAsk) {
      writer.Add(stun::MobilityTicket{});
    }
    if (options_.ports != Options::Ports::kAny) {
      writer.Add(stun::EvenPort{.reserve_next = options_.ports ==
                                                Options::Ports::kEvenAndNext});
    }
    if (options_.fragments == Options::Fragments::kForbid) {
      writer.Add(stun::DontFragment{});
    }
    if (options_.reservation.has_value()) {
      writer.Add(stun::ReservationToken{*options_.reservation});
    }
    if (options_.relayed_family != IpFamily::kUnspecified) {
      writer.Add(stun::RequestedAddressFamily{options_.relayed_family});
    }
    if (options_.families == Options::Families::kBoth) {
      writer.Add(stun::AdditionalAddressFamily{IpFamily::kV6});
      // For servers that know it from its draft; others pass over it.
      writer.Add(stun::SsodaAddressFamily{IpFamily::kV6});
    }
  }
  if (mobility_.moving) writer.Add(stun::MobilityTicket{mobility_.ticket});
  writer.Add(LifetimeOf(lifetime));
  return Finished(options_, credential_, request, writer);
}

// Notes that the request left. A buffer too small for it counts as a datagram
// lost: false.
bool Client::Send(absl::Time now, Subject subject,
                  absl::Span<const uint8_t> bytes) {
  Request& request = *RequestOf(subject);
  waits_.due.erase(subject);
  request.retransmission.OnSent(now);
  timers_.Set({Timer::kRto, subject}, request.retransmission.deadline());
  if (bytes.empty()) return false;
  ++stats_.requests_sent;
  if (request.retransmission.sends() > 1) ++stats_.retransmissions;
  return true;
}

std::optional<Client::Packet> Client::PollTransmit(absl::Time now,
                                                   absl::Span<uint8_t> out) {
  while (!waits_.due.empty()) {
    const Subject subject = *waits_.due.begin();
    // All others depend on the move, and are asked from where it leads.
    if (mobility_.moving && subject != internal::kTheAllocation)
      return std::nullopt;
    const absl::Span<const uint8_t> bytes = WriteRequest(subject, out);
    if (Send(now, subject, bytes)) return Datagram{path(), bytes};
  }
  if (const auto packet = connections_.PollTransmit(now, out)) return packet;
  return PollHeld(out);
}

}  // namespace kyuu::turn
