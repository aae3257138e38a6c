// The data path: received bytes in, forwarding decisions out (RFC 8656
// sections 11 and 12). Nothing here allocates once the buffers have grown.

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "turn/channel_data.h"
#include "turn/internal/understood.h"
#include "turn/server.h"

namespace kyuu::turn {

using internal::Way;

namespace {

// The front of a Data indication, up to the payload: STUN header,
// XOR-PEER-ADDRESS, header of DATA.
constexpr size_t kDataPrefixV4 = stun::kHeaderSize + 4 + 8 + 4;
constexpr size_t kDataPrefixV6 = stun::kHeaderSize + 4 + 20 + 4;

void WriteDataPrefix(const TransportAddress& peer, size_t payload_size,
                     const stun::TransactionId& id, absl::Span<uint8_t> out) {
  Writer w(out);
  const size_t padded = (payload_size + 3) / 4 * 4;
  w.U16(stun::EncodeType(stun::MessageClass::kIndication, stun::Method::kData));
  w.U16(static_cast<uint16_t>(out.size() - stun::kHeaderSize + padded));
  w.U32(stun::kMagicCookie);
  w.Bytes(id.bytes);
  w.U16(stun::XorPeerAddress::kType);
  w.U16(peer.ip.is_v4() ? 8 : 20);
  stun::XorPeerAddress{peer}.Write(w, id);
  w.U16(stun::Data::kType);
  w.U16(static_cast<uint16_t>(payload_size));
}

// How many messages at the front of `train`, of `size` bytes each, say what the
// first says but for transaction id and data. That is a Send indication to an
// IPv4 address, which the transaction id is no part of, and ends with
// `data_size` bytes of DATA behind `head`: what is equal in front of them means
// the same.
size_t Alike(absl::Span<const uint8_t> train, size_t size, size_t head,
             size_t data_size) {
  if (data_size == 0 || head + (data_size + 3) / 4 * 4 != size) return 1;
  constexpr size_t kId = stun::kHeaderSize - sizeof(stun::TransactionId);
  const uint8_t* first = train.data();
  size_t count = 1;
  for (; (count + 1) * size <= train.size(); ++count) {
    const uint8_t* next = first + count * size;
    if (std::memcmp(first, next, kId) != 0 ||
        std::memcmp(first + stun::kHeaderSize, next + stun::kHeaderSize,
                    head - stun::kHeaderSize) != 0) {
      break;
    }
  }
  return count;
}

// The fronts of a train of Data indications. Each has a transaction id of its
// own; they are drawn many at a time.
void WriteDataPrefixes(const TransportAddress& peer, const Forward& forward,
                       Random& random, absl::Span<uint8_t> out) {
  std::array<stun::TransactionId, 32> ids;
  size_t unused = 0;
  for (size_t i = 0; i < forward.segments; ++i) {
    if (unused == 0) {
      unused = std::min(forward.segments - i, ids.size());
      random.Fill({ids[0].bytes.data(), unused * sizeof(ids[0])});
    }
    WriteDataPrefix(
        peer, forward.payload(i).size(), ids[--unused],
        out.subspan(i * forward.prefix_bytes, forward.prefix_bytes));
  }
}

// Whether `ip` is not on loopback, or the allocation's relay of its family is.
bool ReachesLoopback(const internal::Allocation& from, const IpAddress& ip) {
  if (!ip.IsLoopback()) return true;
  const internal::Relay* relay = from.RelayOf(ip.family());
  return relay != nullptr && relay->relayed.ip.IsLoopback();
}

// The size that DATA can have: its padded value and what is in front must fit
// the 16-bit length of a STUN header.
constexpr size_t kDataPayloadMax = 65535 - 3 - kDataPrefixV6;

// The decisions with their prefixes, which lie one after the other.
absl::Span<const Forward> Decided(absl::Span<Forward> forwards,
                                  absl::Span<const uint8_t> prefixes) {
  size_t at = 0;
  for (Forward& forward : forwards) {
    const size_t size = forward.segments * forward.prefix_bytes;
    forward.prefixes = prefixes.subspan(at, size);
    at += size;
  }
  return forwards;
}

}  // namespace

void Server::HandlePacket(absl::Time now, Packet in) {
  const auto holder =
      ledger_.Find(policy_.AsTold(in.path.local), Transport::kUdp);
  if (holder.has_value() && holder->instance == options_.instance) {
    FromPeer(now, holder->relay, in.path.remote, in.bytes, in.bytes.size());
  } else {
    FromClient(now, in.path, in.bytes, in.bytes.size());
  }
}

absl::Span<const Forward> Server::FromClient(absl::Time now, const Path& path,
                                             absl::Span<const uint8_t> bytes,
                                             size_t segment_size,
                                             Arrival arrival) {
  forwards_.clear();
  prefixes_.clear();
  arrival_ = arrival;
  if (closed_) return {};
  if (arrival.reach == Reach::kElsewhere) {
    HandVisitorOn(now, path, bytes, segment_size);
    return forwards_;
  }
  if (arrival.reach == Reach::kOver) {
    visitors_.End(path, arrival.visit);
    return {};
  }
  if (arrival.reach == Reach::kReturned) {
    visitors_.Remove(path);
    arrival_.reach = Reach::kEverywhere;
  }
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
      bytes.remove_prefix(HandleStun(now, path, bytes, segment_size));
    }
  }
  return Decided(absl::MakeSpan(forwards_), prefixes_);
}

// Takes as many segments as go the same way, at least one, and returns their
// bytes. `bytes` begins with a ChannelData message.
size_t Server::RelayChannelData(absl::Time now, const Path& path,
                                absl::Span<const uint8_t> bytes,
                                size_t segment_size) {
  const size_t first_size = std::min(segment_size, bytes.size());
  const std::optional<ChannelData> first =
      ReadChannelData(bytes.first(first_size));
  if (!first.has_value()) {
    ++stats_.malformed;
    return first_size;
  }
  Allocation* allocation = ByClient(now, path);
  if (allocation == nullptr && HandVisitorOn(now, path, bytes, segment_size)) {
    return bytes.size();
  }
  if (allocation == nullptr || !allocation->open) {
    ++stats_.no_allocation;
    return first_size;
  }
  Settle(*allocation, path);
  const internal::PeerTable::Channel* channel =
      allocation->peers.ByNumber(now, first->channel);
  if (channel == nullptr) {
    ++stats_.no_channel;
    return first_size;
  }

  // Bound for ten minutes: what is lent may have changed since.
  Way way{Way::By::kNetwork, {}};
  if (policy_.IsOwnRelay(channel->peer.ip)) {
    way = WayTo(*allocation, channel->peer);
  }
  Forward forward;
  forward.segments = 1;
  forward.stride = segment_size;
  forward.skip = kChannelHeaderSize;
  forward.payload_bytes = first->payload.size();
  forward.last_payload_bytes = first->payload.size();
  size_t used = first_size;
  // A train leaves as one as long as its datagrams are equal; a shorter one
  // ends it. Empty datagrams cannot be part of one.
  while (used < bytes.size() &&
         forward.last_payload_bytes == forward.payload_bytes &&
         forward.payload_bytes > 0) {
    const absl::Span<const uint8_t> segment = bytes.subspan(used, segment_size);
    const std::optional<ChannelData> next = ReadChannelData(segment);
    if (!next.has_value() || next->channel != first->channel ||
        next->payload.size() > forward.payload_bytes || next->payload.empty()) {
      break;
    }
    forward.last_payload_bytes = next->payload.size();
    ++forward.segments;
    used += segment.size();
  }
  forward.received = bytes.first(used);
  ToPeer(now, *allocation, way, channel->peer, forward);
  return used;
}

// A Send indication (section 11.2): no answer, whatever is wrong with it.
// `train` begins with it; returns how many bytes of that go the same way.
size_t Server::RelaySend(absl::Time now, const Path& path,
                         const stun::MessageView& message,
                         absl::Span<const uint8_t> train) {
  const size_t size = message.bytes().size();
  const auto peer = message.Get<stun::XorPeerAddress>();
  const auto data = message.Get<stun::Data>();
  if (!peer.has_value() || !data.has_value() ||
      stun::EncodedFamily(*message.Find(stun::XorPeerAddress::kType)) !=
          peer->address.ip.family() ||
      !message
           .UnknownComprehensionRequired(
               internal::UnderstoodIn(stun::Method::kSend))
           .empty()) {
    ++stats_.malformed;
    return size;
  }
  Allocation* allocation = ByClient(now, path);
  if (allocation == nullptr &&
      HandVisitorOn(now, path, message.bytes(), size)) {
    return size;
  }
  if (allocation == nullptr || !allocation->open ||
      allocation->transport != Transport::kUdp) {
    ++stats_.no_allocation;
    return size;
  }
  Settle(*allocation, path);
  const TransportAddress to = policy_.AsTold(peer->address);
  if (!allocation->peers.Permits(now, to.ip)) {
    ++stats_.no_permission;
    return size;
  }
  Forward forward;
  forward.skip = static_cast<size_t>(data->value.data() - train.data());
  forward.segments =
      to.ip.is_v4() ? Alike(train, size, forward.skip, data->value.size()) : 1;
  forward.received = train.first(forward.segments * size);
  forward.stride = size;
  forward.payload_bytes = data->value.size();
  forward.last_payload_bytes = data->value.size();
  if (message.Has<stun::DontFragment>()) {
    forward.dont_fragment = true;
    allocation->whole = true;
  }
  // A permission is for an address; which of its ports is judged here.
  ToPeer(now, *allocation, WayTo(*allocation, to), to, forward);
  return forward.received.size();
}

// What is between one relayed address of ours and another is handed over
// inside: behind a NAT that does not hairpin there is no other way, and nothing
// but what is lent at this moment can be reached so.
internal::Way Server::WayTo(const Allocation& from,
                            const TransportAddress& peer) const {
  using Verdict = internal::PeerPolicy::Verdict;
  const Verdict verdict = policy_.JudgePeer(peer);
  if (verdict == Verdict::kRefused || peer == from.client.local) {
    return {Way::By::kNone, {}};
  }
  if (verdict == Verdict::kAllowed) return {Way::By::kNetwork, {}};
  const bool reachable = ReachesLoopback(from, peer.ip);
  const auto holder = ledger_.Find(peer, from.transport);
  if (holder.has_value() && reachable) return {Way::By::kRelay, *holder};
  return {policy_.OpensOwn(peer.ip) ? Way::By::kNetwork : Way::By::kNone, {}};
}

bool Server::MayPermit(const Allocation& from, const IpAddress& ip) const {
  using Verdict = internal::PeerPolicy::Verdict;
  const Verdict verdict = policy_.JudgeIp(ip);
  if (verdict != Verdict::kOwnRelay) return verdict == Verdict::kAllowed;
  return ledger_.IsLent(ip) && ReachesLoopback(from, ip);
}

bool Server::AllowsPeer(const TransportAddress& peer) const {
  using Verdict = internal::PeerPolicy::Verdict;
  const TransportAddress told = policy_.AsTold(peer);
  const Verdict verdict = policy_.JudgePeer(told);
  if (verdict != Verdict::kOwnRelay) return verdict == Verdict::kAllowed;
  return ledger_.Find(told, Transport::kUdp).has_value() ||
         policy_.OpensOwn(told.ip);
}

// `forward` has the payload; where it goes is set here.
void Server::ToPeer(absl::Time now, Allocation& from, const Way& way,
                    const TransportAddress& peer, Forward forward) {
  const internal::Relay* relay = from.RelayOf(peer.ip.family());
  if (way.by == Way::By::kNone || relay == nullptr) {
    stats_.forbidden += forward.segments;
    return;
  }
  if (throttle_.Bounds(from) &&
      !throttle_.Pass(now, ledger_, Direction::kToPeers, from, forward,
                      stats_)) {
    return;
  }
  const size_t payload_bytes = (forward.segments - 1) * forward.payload_bytes +
                               forward.last_payload_bytes;
  stats_.to_peers += forward.segments;
  stats_.bytes_to_peers += payload_bytes;
  from.traffic.to_peers += forward.segments;
  from.traffic.bytes_to_peers += payload_bytes;
  if (way.by == Way::By::kNetwork) {
    forward.exit = Forward::Exit::kPeer;
    forward.relay = relay->id;
    forward.path = {relay->bind, peer, Transport::kUdp};
    forwards_.push_back(forward);
  } else if (way.holder.instance == options_.instance) {
    ToClient(now, way.holder.relay, relay->relayed, forward);
  } else {
    forward.exit = Forward::Exit::kRelay;
    forward.instance = way.holder.instance;
    forward.relay = way.holder.relay;
    forward.path = {relay->relayed, peer, Transport::kUdp};
    forwards_.push_back(forward);
  }
}

absl::Span<const Forward> Server::FromPeer(absl::Time now, RelayId relay,
                                           const TransportAddress& source,
                                           absl::Span<const uint8_t> bytes,
                                           size_t segment_size) {
  forwards_.clear();
  prefixes_.clear();
  Forward forward;
  forward.SetWhole(bytes, segment_size);
  ToClient(now, relay, policy_.AsTold(source), forward);
  return Decided(absl::MakeSpan(forwards_), prefixes_);
}

// `forward` has the payload, which comes from `source`.
void Server::ToClient(absl::Time now, RelayId relay,
                      const TransportAddress& source, Forward forward) {
  Allocation* allocation = closed_ ? nullptr : allocations_.ById(relay);
  if (allocation == nullptr || !allocation->open ||
      allocation->transport != Transport::kUdp || allocation->expires <= now) {
    stats_.no_allocation += forward.segments;
    return;
  }
  if (source.port == 0) {
    stats_.bad_source += forward.segments;
    return;
  }
  // Also with a channel: it outlives the permission (section 12).
  if (!allocation->peers.Permits(now, source.ip)) {
    stats_.no_permission += forward.segments;
    return;
  }
  const auto* channel = allocation->peers.ByPeer(now, source);
  if (channel == nullptr && forward.payload_bytes > kDataPayloadMax) {
    stats_.malformed += forward.segments;
    return;
  }
  if (throttle_.Bounds(*allocation) &&
      !throttle_.Pass(now, ledger_, Direction::kToClients, *allocation, forward,
                      stats_)) {
    return;
  }
  const size_t segments = forward.segments;
  forward.exit = Forward::Exit::kClient;
  forward.relay = relay;
  forward.path = allocation->client;
  forward.prefix_bytes = channel != nullptr  ? kChannelHeaderSize
                         : source.ip.is_v4() ? kDataPrefixV4
                                             : kDataPrefixV6;
  // ChannelData is padded over streams only (section 12.5), STUN always.
  forward.alignment =
      channel == nullptr || IsStream(forward.path.transport) ? 4 : 1;
  const size_t begin = prefixes_.size();
  prefixes_.resize(begin + segments * forward.prefix_bytes);
  const absl::Span<uint8_t> prefixes = absl::MakeSpan(prefixes_).subspan(begin);
  if (channel == nullptr) {
    WriteDataPrefixes(source, forward, random_, prefixes);
  }
  for (size_t i = 0; channel != nullptr && i < segments; ++i) {
    WriteChannelHeader(channel->number, forward.payload(i).size(),
                       prefixes.subspan(i * kChannelHeaderSize));
  }
  forwards_.push_back(forward);

  const size_t bytes =
      (segments - 1) * forward.payload_bytes + forward.last_payload_bytes;
  stats_.to_clients += segments;
  stats_.bytes_to_clients += bytes;
  allocation->traffic.to_clients += segments;
  allocation->traffic.bytes_to_clients += bytes;
}

}  // namespace kyuu::turn
