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

// XOR-PEER-ADDRESS with its frame, of either family.
size_t PeerAttributeSize(const TransportAddress& peer) {
  return peer.ip.is_v4() ? 4 + 8 : 4 + 20;
}

// RFC 8656 section 7.1: two families have no two tokens, and one of them is not
// chosen.
absl::Status ValidateFamilies(const ClientOptions& options) {
  if (options.families == ClientOptions::Families::kBoth &&
      (options.relayed_family != IpFamily::kUnspecified ||
       options.reservation.has_value() ||
       options.ports == ClientOptions::Ports::kEvenAndNext)) {
    return absl::InvalidArgumentError(
        "ADDITIONAL-ADDRESS-FAMILY goes with no REQUESTED-ADDRESS-FAMILY, no "
        "RESERVATION-TOKEN, and no port that is kept");
  }
  return absl::OkStatus();
}

// RFC 8656 section 7.1, and RFC 6062 section 4.1: a TCP allocation has none of
// these.
absl::Status ValidatePorts(const ClientOptions& options) {
  using Ports = ClientOptions::Ports;
  if (options.reservation.has_value() &&
      (options.ports != Ports::kAny ||
       options.relayed_family != IpFamily::kUnspecified)) {
    return absl::InvalidArgumentError(
        "a reserved port is what it is: no even one, and of no other family");
  }
  const bool datagrams_only =
      options.ports != Ports::kAny || options.reservation.has_value() ||
      options.fragments == ClientOptions::Fragments::kForbid;
  if (datagrams_only && options.relayed_transport == Transport::kTcp) {
    return absl::InvalidArgumentError(
        "EVEN-PORT, RESERVATION-TOKEN and DONT-FRAGMENT are of UDP");
  }
  return absl::OkStatus();
}

}  // namespace

Client::Client(Random& random, Options options)
    : random_(random),
      options_(std::move(options)),
      server_(options_.server),
      credential_(options_),
      connections_(
          {random, options_, server_, relays_, credential_, events_, stats_}) {}

absl::Status Client::Allocate(absl::Time) {
  if (state_ != State::kIdle) {
    return absl::FailedPreconditionError("already started");
  }
  if (server_.port == 0 || server_.ip.family() == IpFamily::kUnspecified ||
      server_.ip.family() != options_.local.ip.family()) {
    return absl::InvalidArgumentError("no way from local to server");
  }
  if (options_.relayed_transport == Transport::kTcp && !on_stream()) {
    return absl::InvalidArgumentError("TCP is relayed to streams alone");
  }
  if (absl::Status status = ValidateFamilies(options_); !status.ok()) {
    return status;
  }
  if (absl::Status status = ValidatePorts(options_); !status.ok()) {
    return status;
  }
  if (options_.username.size() > stun::Username::kSizeMax ||
      options_.software.size() > stun::Software::kSizeMax) {
    return absl::InvalidArgumentError("username or software too long");
  }
  state_ = State::kAllocating;
  StartRequest(internal::kTheAllocation);
  return absl::OkStatus();
}

Client::Permission* Client::FindPermission(const IpAddress& ip) {
  const auto it = known_.permission_index.find(ip);
  return it == known_.permission_index.end() ? nullptr
                                             : &known_.permissions[it->second];
}

// Finds or adds the peer and its permission; asks for the latter if need be.
absl::StatusOr<Client::Peer*> Client::AddPeer(const TransportAddress& address) {
  if (state_ != State::kAllocated) {
    return absl::FailedPreconditionError("no allocation");
  }
  if (relays_.Live(address.ip.family()) == nullptr || address.port == 0) {
    return absl::InvalidArgumentError("peer cannot be reached");
  }
  const auto it = known_.peer_index.find(address);
  if (it == known_.peer_index.end() &&
      known_.peers.size() >= options_.peers_max) {
    return absl::ResourceExhaustedError("too many peers");
  }
  Permission* permission = FindPermission(address.ip);
  if (permission == nullptr) {
    if (known_.permissions.size() >= options_.permissions_max) {
      return absl::ResourceExhaustedError("too many permissions");
    }
    known_.permission_index.emplace(address.ip, known_.permissions.size());
    permission = &known_.permissions.emplace_back(Permission{.ip = address.ip});
  }
  const auto index =
      static_cast<uint32_t>(permission - known_.permissions.data());
  if (!permission->live()) {
    StartRequest({Subject::Kind::kPermission, index});
  }
  if (it != known_.peer_index.end()) return &known_.peers[it->second];
  known_.peer_index.emplace(address, known_.peers.size());
  return &known_.peers.emplace_back(
      Peer{.address = address, .permission = index});
}

absl::Status Client::Permit(absl::Time, const TransportAddress& peer) {
  return AddPeer(peer).status();
}

absl::Status Client::BindChannel(absl::Time, const TransportAddress& peer) {
  if (options_.relayed_transport == Transport::kTcp) {
    return absl::FailedPreconditionError("TCP goes by no channels");
  }
  absl::StatusOr<Peer*> added = AddPeer(peer);
  if (!added.ok()) return added.status();
  StartChannel(**added);
  return absl::OkStatus();
}

// RFC 8656 section 12: each peer has a channel number of its own, for good.
void Client::StartChannel(Peer& peer) {
  if (peer.bound || peer.request) return;
  const auto index = static_cast<uint32_t>(&peer - known_.peers.data());
  if (peer.channel == 0) {
    if (known_.channel_peers.size() > kChannelMax - kChannelMin) return;
    peer.channel =
        static_cast<uint16_t>(kChannelMin + known_.channel_peers.size());
    known_.channel_peers.push_back(index);
  }
  StartRequest({Subject::Kind::kChannel, index});
}

absl::Status Client::Refresh(absl::Time) {
  if (state_ != State::kAllocated) {
    return absl::FailedPreconditionError("no allocation");
  }
  timers_.Stop({Timer::kRefresh, internal::kTheAllocation});
  if (!allocation_request_) StartRequest(internal::kTheAllocation);
  return absl::OkStatus();
}

void Client::Close(absl::Time) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  // An Allocate that is under way may have succeeded at the server by now.
  const bool maybe_allocated =
      state_ == State::kAllocated ||
      (state_ == State::kAllocating && allocation_request_->authenticated);
  if (!maybe_allocated) return Finish({});
  state_ = State::kClosing;
  relays_ = {};
  ForgetPeers();
  StartRequest(internal::kTheAllocation);
}

// Ends all that hangs on the allocation, with every request and timer.
void Client::ForgetPeers() {
  allocation_request_.reset();
  known_ = {};
  connections_.Clear();
  waits_ = {};
  timers_.Clear();
  stats_.held_dropped += held_.size();
  held_.clear();
  held_bytes_ = 0;
}

absl::StatusOr<Datagram> Client::Wrap(absl::Time now,
                                      const TransportAddress& address,
                                      absl::Span<const uint8_t> payload,
                                      absl::Span<uint8_t> out) {
  const auto it = known_.peer_index.find(address);
  if (state_ != State::kAllocated || it == known_.peer_index.end()) {
    return absl::FailedPreconditionError("peer is not permitted");
  }
  if (options_.relayed_transport == Transport::kTcp) {
    return absl::FailedPreconditionError("TCP goes by connections()");
  }
  Peer& peer = known_.peers[it->second];
  const Permission& permission = known_.permissions[peer.permission];
  if (!permission.live()) {
    return absl::FailedPreconditionError("peer is not permitted");
  }
  if (payload.size() + kOverheadMax + 3 > std::min<size_t>(out.size(), 65535)) {
    return absl::ResourceExhaustedError("no room for the datagram");
  }
  if (!permission.asked() || !held_.empty()) {
    if (mobility_.moving)
      return absl::UnavailableError("the allocation is moving");
    return Hold(now, peer, payload, out);
  }
  if (options_.fragments == Options::Fragments::kAllow &&
      peer.datagrams < options_.channel_after_datagrams &&
      ++peer.datagrams == options_.channel_after_datagrams) {
    StartChannel(peer);
  }
  ++stats_.datagrams_wrapped;
  return WriteData(peer, payload, out);
}

// Takes the payload over, and returns what must leave before it: a datagram
// that is held already, or the request.
absl::StatusOr<Datagram> Client::Hold(absl::Time now, Peer& peer,
                                      absl::Span<const uint8_t> payload,
                                      absl::Span<uint8_t> out) {
  if (held_bytes_ + payload.size() > options_.held_bytes_max) {
    return absl::ResourceExhaustedError("too much waits for a permission");
  }
  held_bytes_ += payload.size();
  held_.push_back({static_cast<size_t>(&peer - known_.peers.data()),
                   {payload.begin(), payload.end()}});
  ++stats_.datagrams_wrapped;
  ++stats_.datagrams_held;
  // The first that is held may be another's, which was refused meanwhile.
  while (
      !known_.permissions[known_.peers[held_.front().peer].permission].live()) {
    held_bytes_ -= held_.front().payload.size();
    held_.pop_front();
    ++stats_.held_dropped;
  }
  const auto index =
      static_cast<uint32_t>(known_.peers[held_.front().peer].permission);
  const Subject subject{Subject::Kind::kPermission, index};
  if (!known_.permissions[index].asked()) {
    const absl::Span<const uint8_t> request = WriteRequest(subject, out);
    if (!request.empty()) {
      Send(now, subject, request);
      return Datagram{data_path(), request};
    }
  } else if (const std::optional<Packet> held = PollHeld(out)) {
    return *held;
  }
  // Neither fits, so this payload is not taken.
  held_bytes_ -= payload.size();
  held_.pop_back();
  --stats_.datagrams_wrapped;
  --stats_.datagrams_held;
  return absl::ResourceExhaustedError("no room for what leaves before it");
}

// The next datagram that was held and may leave.
std::optional<Client::Packet> Client::PollHeld(absl::Span<uint8_t> out) {
  while (!held_.empty()) {
    const Peer& peer = known_.peers[held_.front().peer];
    const Permission& permission = known_.permissions[peer.permission];
    if (permission.live() && !permission.asked()) return std::nullopt;
    const internal::Held held = std::move(held_.front());
    held_.pop_front();
    held_bytes_ -= held.payload.size();
    if (permission.live() &&
        held.payload.size() + kOverheadMax + 3 <= out.size()) {
      return WriteData(peer, held.payload, out);
    }
    ++stats_.held_dropped;
  }
  return std::nullopt;
}

Datagram Client::WriteData(const Peer& peer, absl::Span<const uint8_t> payload,
                           absl::Span<uint8_t> out) {
  const bool whole = options_.fragments == Options::Fragments::kForbid;
  const size_t header_size = peer.bound ? kChannelHeaderSize
                                        : stun::kHeaderSize +
                                              PeerAttributeSize(peer.address) +
                                              (whole ? 4 : 0) + 4;
  // First the payload to its place, for it may lie where the header goes.
  const absl::Span<uint8_t> place = out.subspan(header_size, payload.size());
  if (!payload.empty() && payload.data() != place.data()) {
    std::memmove(place.data(), payload.data(), payload.size());
  }
  if (peer.bound) {
    WriteChannelHeader(peer.channel, payload.size(), out);
    size_t size = header_size + payload.size();
    // RFC 8656 section 12.5.
    while (on_stream() && size % 4 != 0) out[size++] = 0;
    return Datagram{data_path(), out.first(size)};
  }
  MessageWriter writer(out, MessageClass::kIndication, Method::kSend,
                       stun::TransactionId::Generate(random_));
  writer.Add(stun::XorPeerAddress{peer.address});
  if (whole) writer.Add(stun::DontFragment{});
  writer.Reserve(stun::Data::kType, payload.size());
  return Datagram{data_path(), writer.Finish()};
}

std::optional<Client::Received> Client::Unwrap(const Datagram& in) {
  if (state_ != State::kAllocated || !IsOurs(in.path)) return std::nullopt;
  if (IsChannelData(in.bytes)) {
    const std::optional<ChannelData> data = ReadChannelData(in.bytes);
    if (!data) {
      ++stats_.malformed;
      return std::nullopt;
    }
    const size_t index = data->channel - kChannelMin;
    if (index >= known_.channel_peers.size() ||
        !known_.peers[known_.channel_peers[index]].asked()) {
      ++stats_.unbound;
      return std::nullopt;
    }
    ++stats_.datagrams_unwrapped;
    return Received{known_.peers[known_.channel_peers[index]].address,
                    data->payload};
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

std::optional<Client::Event> Client::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Time Client::NextTimeout() const {
  return std::min(timers_.NextTimeout(), connections_.NextTimeout());
}

std::optional<uint16_t> Client::ChannelOf(const TransportAddress& peer) const {
  const auto it = known_.peer_index.find(peer);
  if (it == known_.peer_index.end() || !known_.peers[it->second].bound)
    return std::nullopt;
  return known_.peers[it->second].channel;
}

std::string Client::DebugString() const {
  constexpr absl::string_view kStates[] = {"idle", "allocating", "allocated",
                                           "closing", "closed"};
  const internal::ClientRelay* const v6 = relays_.Live(IpFamily::kV6);
  const bool both = v6 != nullptr && v6->address != relayed();
  return absl::StrCat(
      "turn::Client ", kStates[static_cast<size_t>(state_)], " at ",
      server_.ToString(), " relayed ", relayed().ToString(),
      both ? " and " : "", both ? v6->address.ToString() : "", "; ",
      known_.permissions.size(), " permissions, ", known_.peers.size(),
      " peers, ", known_.channel_peers.size(), " channels");
}

}  // namespace kyuu::turn
