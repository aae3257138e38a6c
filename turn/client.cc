#include "turn/client.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "stun/attributes.h"

namespace kyuu::turn {
namespace {

using stun::MessageClass;
using stun::MessageWriter;
using stun::Method;

// Closing should not take long: sends at 0, 0.5 and 1.5 s, over at 3.5 s.
constexpr int kClosingSendsMax = 3;
constexpr int kClosingLastWaitFactor = 4;

// XOR-PEER-ADDRESS with its frame, of either family.
size_t PeerAttributeSize(const TransportAddress& peer) {
  return peer.ip.is_v4() ? 4 + 8 : 4 + 20;
}

}  // namespace

Client::Client(Random& random, Options options)
    : random_(random),
      options_(std::move(options)),
      server_(options_.server),
      credential_(options_.username, options_.password) {}

Client::Request Client::NewRequest() const {
  stun::RetransmitOptions retransmit = options_.retransmit;
  if (state_ == State::kClosing) {
    retransmit.sends_max = std::min(retransmit.sends_max, kClosingSendsMax);
    retransmit.last_wait_factor =
        std::min(retransmit.last_wait_factor, kClosingLastWaitFactor);
  }
  return Request{.id = stun::TransactionId::Generate(random_),
                 .retransmission = stun::Retransmission(retransmit)};
}

absl::Status Client::Allocate(absl::Time) {
  if (state_ != State::kIdle) {
    return absl::FailedPreconditionError("already started");
  }
  if (server_.port == 0 || server_.ip.family() == IpFamily::kUnspecified ||
      server_.ip.family() != options_.local.ip.family()) {
    return absl::InvalidArgumentError("no way from local to server");
  }
  if (options_.username.size() > stun::Username::kSizeMax ||
      options_.software.size() > stun::Software::kSizeMax) {
    return absl::InvalidArgumentError("username or software too long");
  }
  state_ = State::kAllocating;
  lease_request_ = NewRequest();
  return absl::OkStatus();
}

Client::Permission* Client::FindPermission(const IpAddress& ip) {
  const auto it =
      std::find_if(permissions_.begin(), permissions_.end(),
                   [&ip](const Permission& p) { return p.ip == ip; });
  return it == permissions_.end() ? nullptr : &*it;
}

// Finds or adds the peer and its permission; asks for the latter if need be.
absl::StatusOr<Client::Peer*> Client::AddPeer(const TransportAddress& address) {
  if (state_ != State::kAllocated) {
    return absl::FailedPreconditionError("no allocation");
  }
  if (address.ip.family() != relayed_.ip.family() || address.port == 0) {
    return absl::InvalidArgumentError("peer cannot be reached");
  }
  const auto it = peer_index_.find(address);
  if (it == peer_index_.end() && peers_.size() >= options_.peers_max) {
    return absl::ResourceExhaustedError("too many peers");
  }
  Permission* permission = FindPermission(address.ip);
  if (permission == nullptr) {
    if (permissions_.size() >= options_.permissions_max) {
      return absl::ResourceExhaustedError("too many permissions");
    }
    permission = &permissions_.emplace_back(Permission{.ip = address.ip});
  }
  if (!permission->live()) permission->request = NewRequest();
  if (it != peer_index_.end()) return &peers_[it->second];
  peer_index_.emplace(address, peers_.size());
  return &peers_.emplace_back(Peer{
      .address = address,
      .permission = static_cast<size_t>(permission - permissions_.data())});
}

absl::Status Client::Permit(absl::Time, const TransportAddress& peer) {
  return AddPeer(peer).status();
}

absl::Status Client::BindChannel(absl::Time, const TransportAddress& peer) {
  absl::StatusOr<Peer*> added = AddPeer(peer);
  if (!added.ok()) return added.status();
  StartChannel(**added);
  return absl::OkStatus();
}

// RFC 8656 section 12: each peer has a channel number of its own, for good.
void Client::StartChannel(Peer& peer) {
  if (peer.bound || peer.request) return;
  if (peer.channel == 0) {
    if (channel_peers_.size() > kChannelMax - kChannelMin) return;
    peer.channel = static_cast<uint16_t>(kChannelMin + channel_peers_.size());
    channel_peers_.push_back(static_cast<size_t>(&peer - peers_.data()));
  }
  peer.request = NewRequest();
}

void Client::Close(absl::Time) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  // An Allocate that is under way may have succeeded at the server by now.
  const bool maybe_allocated =
      state_ == State::kAllocated ||
      (state_ == State::kAllocating && lease_request_->authenticated);
  if (!maybe_allocated) return Finish({absl::OkStatus(), std::nullopt});
  state_ = State::kClosing;
  lease_request_ = NewRequest();
  lease_refresh_at_ = absl::InfiniteFuture();
  permissions_.clear();
  peers_.clear();
  peer_index_.clear();
  channel_peers_.clear();
}

absl::StatusOr<Datagram> Client::Wrap(absl::Time,
                                      const TransportAddress& address,
                                      absl::Span<const uint8_t> payload,
                                      absl::Span<uint8_t> out) {
  const auto it = peer_index_.find(address);
  if (state_ != State::kAllocated || it == peer_index_.end()) {
    return absl::FailedPreconditionError("peer is not permitted");
  }
  Peer& peer = peers_[it->second];
  if (!permissions_[peer.permission].live()) {
    return absl::FailedPreconditionError("peer is not permitted");
  }
  if (payload.size() + kOverheadMax + 3 > std::min<size_t>(out.size(), 65535)) {
    return absl::ResourceExhaustedError("no room for the datagram");
  }
  const Path path{.local = options_.local, .remote = server_};
  if (peer.datagrams < options_.channel_after_datagrams &&
      ++peer.datagrams == options_.channel_after_datagrams) {
    StartChannel(peer);
  }
  ++stats_.datagrams_wrapped;
  const size_t header_size =
      peer.bound ? kChannelHeaderSize
                 : stun::kHeaderSize + PeerAttributeSize(address) + 4;
  // First the payload to its place, for it may lie where the header goes.
  const absl::Span<uint8_t> place = out.subspan(header_size, payload.size());
  if (!payload.empty() && payload.data() != place.data()) {
    std::memmove(place.data(), payload.data(), payload.size());
  }
  if (peer.bound) {
    WriteChannelHeader(peer.channel, payload.size(), out);
    return Datagram{path, out.first(header_size + payload.size())};
  }
  MessageWriter writer(out, MessageClass::kIndication, Method::kSend,
                       stun::TransactionId::Generate(random_));
  writer.Add(stun::XorPeerAddress{address});
  writer.Reserve(stun::Data::kType, payload.size());
  return Datagram{path, writer.Finish()};
}

std::optional<Client::Received> Client::Unwrap(const Datagram& in) {
  if (in.path.remote != server_ || in.path.local != options_.local ||
      state_ != State::kAllocated) {
    return std::nullopt;
  }
  if (IsChannelData(in.bytes)) {
    const std::optional<ChannelData> data = ReadChannelData(in.bytes);
    if (!data) {
      ++stats_.malformed;
      return std::nullopt;
    }
    const size_t index = data->channel - kChannelMin;
    if (index >= channel_peers_.size() ||
        !peers_[channel_peers_[index]].bound) {
      ++stats_.unbound;
      return std::nullopt;
    }
    ++stats_.datagrams_unwrapped;
    return Received{peers_[channel_peers_[index]].address, data->payload};
  }
  if (!stun::IsStun(in.bytes)) return std::nullopt;
  const absl::StatusOr<stun::MessageView> message =
      stun::MessageView::Parse(in.bytes);
  if (!message.ok() || !message->Is(MessageClass::kIndication, Method::kData)) {
    return std::nullopt;
  }
  const auto peer = message->Get<stun::XorPeerAddress>();
  const auto data = message->Get<stun::Data>();
  if (!peer || !data) {
    ++(message->Has<stun::Icmp>() ? stats_.icmp : stats_.malformed);
    return std::nullopt;
  }
  // RFC 8656 section 11.4: only from those whom we let in.
  const Permission* permission = FindPermission(peer->address.ip);
  if (permission == nullptr || !permission->live()) {
    ++stats_.unpermitted;
    return std::nullopt;
  }
  ++stats_.datagrams_unwrapped;
  return Received{peer->address, data->value};
}

// Lets the request's clock run; true if it failed for want of an answer.
bool Client::RunRequest(absl::Time now, std::optional<Request>& request) const {
  if (!request) return false;
  request->retransmission.HandleTimeout(now);
  return request->retransmission.failed();
}

void Client::HandleTimeout(absl::Time now) {
  if (RunRequest(now, lease_request_)) {
    const std::optional<stun::Error> hint = lease_request_->unverified;
    return Finish({absl::DeadlineExceededError(
                       absl::StrCat("no answer from ", server_.ToString(),
                                    hint ? " but an unverified error" : "")),
                   hint});
  }
  if (state_ != State::kAllocated) return;
  if (lease_refresh_at_ <= now) {
    lease_refresh_at_ = absl::InfiniteFuture();
    lease_request_ = NewRequest();
  }
  for (Permission& permission : permissions_) {
    if (RunRequest(now, permission.request)) {
      FailPermission(permission, {absl::DeadlineExceededError("no answer"),
                                  permission.request->unverified});
    }
    if (permission.refresh_at <= now) {
      permission.refresh_at = absl::InfiniteFuture();
      permission.request = NewRequest();
    }
  }
  for (Peer& peer : peers_) {
    if (RunRequest(now, peer.request)) RefuseChannel(peer);
    if (peer.refresh_at <= now) {
      peer.refresh_at = absl::InfiniteFuture();
      peer.request = NewRequest();
    }
  }
}

// Adds what all requests have, and finishes the message.
absl::Span<const uint8_t> Client::Write(MessageWriter& writer,
                                        Request& request) const {
  if (!options_.software.empty()) {
    writer.Add(stun::Software{options_.software});
  }
  credential_.Authenticate(writer);
  request.authenticated = credential_.ready();
  return writer.Finish();
}

// RFC 8656 sections 7.1 and 8.1.
absl::Span<const uint8_t> Client::WriteLease(absl::Span<uint8_t> out) {
  const bool allocating = state_ == State::kAllocating;
  MessageWriter writer(out, MessageClass::kRequest,
                       allocating ? Method::kAllocate : Method::kRefresh,
                       lease_request_->id);
  const absl::Duration lifetime =
      state_ == State::kClosing ? absl::ZeroDuration() : options_.lifetime;
  if (allocating) {
    writer.Add(stun::RequestedTransport{stun::RequestedTransport::kUdp});
    if (options_.relayed_family != IpFamily::kUnspecified) {
      writer.Add(stun::RequestedAddressFamily{options_.relayed_family});
    }
  }
  writer.Add(
      stun::Lifetime{static_cast<uint32_t>(absl::ToInt64Seconds(lifetime))});
  return Write(writer, *lease_request_);
}

// RFC 8656 section 10.1.
absl::Span<const uint8_t> Client::WritePermission(Permission& permission,
                                                  absl::Span<uint8_t> out) {
  MessageWriter writer(out, MessageClass::kRequest, Method::kCreatePermission,
                       permission.request->id);
  writer.Add(stun::XorPeerAddress{TransportAddress{permission.ip, 0}});
  return Write(writer, *permission.request);
}

// RFC 8656 section 12.1.
absl::Span<const uint8_t> Client::WriteChannel(Peer& peer,
                                               absl::Span<uint8_t> out) {
  MessageWriter writer(out, MessageClass::kRequest, Method::kChannelBind,
                       peer.request->id);
  writer.Add(stun::ChannelNumber{peer.channel});
  writer.Add(stun::XorPeerAddress{peer.address});
  return Write(writer, *peer.request);
}

// Notes that the request left. A buffer too small for it counts as a datagram
// lost: false.
bool Client::Sent(absl::Time now, Request& request,
                  absl::Span<const uint8_t> bytes) {
  request.retransmission.OnSent(now);
  if (bytes.empty()) return false;
  ++stats_.requests_sent;
  if (request.retransmission.sends() > 1) ++stats_.retransmissions;
  return true;
}

std::optional<Client::Packet> Client::PollTransmit(absl::Time now,
                                                   absl::Span<uint8_t> out) {
  const Path path{.local = options_.local, .remote = server_};
  const auto due = [](const std::optional<Request>& request) {
    return request && request->retransmission.send_due();
  };
  if (due(lease_request_)) {
    const absl::Span<const uint8_t> bytes = WriteLease(out);
    if (Sent(now, *lease_request_, bytes)) return Datagram{path, bytes};
  }
  for (Permission& permission : permissions_) {
    if (!due(permission.request)) continue;
    const absl::Span<const uint8_t> bytes = WritePermission(permission, out);
    if (Sent(now, *permission.request, bytes)) return Datagram{path, bytes};
  }
  for (Peer& peer : peers_) {
    if (!due(peer.request)) continue;
    const absl::Span<const uint8_t> bytes = WriteChannel(peer, out);
    if (Sent(now, *peer.request, bytes)) return Datagram{path, bytes};
  }
  return std::nullopt;
}

std::optional<Client::Event> Client::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Time Client::NextTimeout() const {
  absl::Time next = lease_refresh_at_;
  const auto consider = [&next](const std::optional<Request>& request) {
    if (request) next = std::min(next, request->retransmission.deadline());
  };
  consider(lease_request_);
  for (const Permission& permission : permissions_) {
    consider(permission.request);
    next = std::min(next, permission.refresh_at);
  }
  for (const Peer& peer : peers_) {
    consider(peer.request);
    next = std::min(next, peer.refresh_at);
  }
  return next;
}

std::optional<uint16_t> Client::ChannelOf(const TransportAddress& peer) const {
  const auto it = peer_index_.find(peer);
  if (it == peer_index_.end() || !peers_[it->second].bound) return std::nullopt;
  return peers_[it->second].channel;
}

std::string Client::DebugString() const {
  constexpr absl::string_view kStates[] = {"idle", "allocating", "allocated",
                                           "closing", "closed"};
  return absl::StrCat("turn::Client ", kStates[static_cast<size_t>(state_)],
                      " at ", server_.ToString(), " relayed ",
                      relayed_.ToString(), "; ", permissions_.size(),
                      " permissions, ", peers_.size(), " peers, ",
                      channel_peers_.size(), " channels");
}

}  // namespace kyuu::turn
