// The data path: received bytes in, forwarding decisions out (RFC 8656
// sections 11 and 12). Nothing here allocates once the buffers have grown.

#include <algorithm>

#include "base/bytes.h"
#include "turn/channel_data.h"
#include "turn/internal/understood.h"
#include "turn/server.h"

namespace kyuu::turn {

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

// The size that DATA can have: its padded value and what is in front must fit
// the 16-bit length of a STUN header.
constexpr size_t kDataPayloadMax = 65535 - 3 - kDataPrefixV6;

}  // namespace

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
  if (allocation == nullptr || !allocation->open) {
    ++stats_.no_allocation;
    return first_size;
  }
  const internal::PeerTable::Channel* channel =
      allocation->peers.ByNumber(now, first->channel);
  if (channel == nullptr) {
    ++stats_.no_channel;
    return first_size;
  }

  Forward forward;
  forward.exit = Forward::Exit::kPeer;
  forward.relay = allocation->id;
  forward.path = {allocation->bind, channel->peer, Transport::kUdp};
  forward.segments = 1;
  forward.stride = segment_size;
  forward.skip = kChannelHeaderSize;
  forward.payload_bytes = first->payload.size();
  forward.last_payload_bytes = first->payload.size();
  size_t used = first_size;
  size_t payload_bytes = first->payload.size();
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
    payload_bytes += next->payload.size();
    ++forward.segments;
    used += segment.size();
  }
  forward.received = bytes.first(used);
  forwards_.push_back(forward);

  stats_.to_peers += forward.segments;
  stats_.bytes_to_peers += payload_bytes;
  allocation->traffic.to_peers += forward.segments;
  allocation->traffic.bytes_to_peers += payload_bytes;
  return used;
}

// A Send indication (section 11.2): no answer, whatever is wrong with it.
void Server::RelaySend(absl::Time now, const Path& path,
                       const stun::MessageView& message) {
  const auto peer = message.Get<stun::XorPeerAddress>();
  const auto data = message.Get<stun::Data>();
  if (!peer.has_value() || !data.has_value() ||
      !message
           .UnknownComprehensionRequired(
               internal::UnderstoodIn(stun::Method::kSend))
           .empty()) {
    ++stats_.malformed;
    return;
  }
  Allocation* allocation = ByClient(now, path);
  if (allocation == nullptr || !allocation->open) {
    ++stats_.no_allocation;
    return;
  }
  if (!allocation->peers.Permits(now, peer->address.ip)) {
    ++stats_.no_permission;
    return;
  }
  // A permission is for an address; which of its ports is judged here.
  if (!policy_.AllowsPeer(peer->address) ||
      peer->address == allocation->client.local) {
    ++stats_.forbidden;
    return;
  }
  Forward forward;
  forward.exit = Forward::Exit::kPeer;
  forward.relay = allocation->id;
  forward.path = {allocation->bind, peer->address, Transport::kUdp};
  forward.segments = 1;
  forward.received = data->value;
  forward.stride = data->value.size();
  forward.payload_bytes = data->value.size();
  forward.last_payload_bytes = data->value.size();
  forwards_.push_back(forward);
  ++stats_.to_peers;
  stats_.bytes_to_peers += data->value.size();
  ++allocation->traffic.to_peers;
  allocation->traffic.bytes_to_peers += data->value.size();
}

absl::Span<const Forward> Server::FromPeer(absl::Time now, RelayId relay,
                                           const TransportAddress& source,
                                           absl::Span<const uint8_t> bytes,
                                           size_t segment_size) {
  forwards_.clear();
  const size_t stride = std::max<size_t>(segment_size, 1);
  const size_t segments =
      bytes.empty() ? 1 : (bytes.size() + stride - 1) / stride;
  Allocation* allocation = closed_ ? nullptr : ById(relay);
  if (allocation == nullptr || !allocation->open ||
      allocation->expires <= now) {
    stats_.no_allocation += segments;
    return {};
  }
  if (source.port == 0) {
    stats_.bad_source += segments;
    return {};
  }
  // Also with a channel: it outlives the permission (section 12).
  if (!allocation->peers.Permits(now, source.ip)) {
    stats_.no_permission += segments;
    return {};
  }

  Forward forward;
  forward.exit = Forward::Exit::kClient;
  forward.relay = relay;
  forward.path = allocation->client;
  forward.segments = segments;
  forward.received = bytes;
  forward.stride = stride;
  forward.payload_bytes = std::min(stride, bytes.size());
  forward.last_payload_bytes = bytes.size() - (segments - 1) * stride;
  const auto* channel = allocation->peers.ByPeer(now, source);
  if (channel == nullptr && forward.payload_bytes > kDataPayloadMax) {
    ++stats_.malformed;
    return {};
  }
  forward.prefix_bytes = channel != nullptr  ? kChannelHeaderSize
                         : source.ip.is_v4() ? kDataPrefixV4
                                             : kDataPrefixV6;
  // ChannelData is padded over streams only (section 12.5), STUN always.
  forward.alignment =
      channel == nullptr || forward.path.transport == Transport::kTcp ? 4 : 1;
  prefixes_.resize(segments * forward.prefix_bytes);
  for (size_t i = 0; i < segments; ++i) {
    const absl::Span<uint8_t> prefix = absl::MakeSpan(prefixes_).subspan(
        i * forward.prefix_bytes, forward.prefix_bytes);
    const size_t size =
        i + 1 == segments ? forward.last_payload_bytes : forward.payload_bytes;
    if (channel != nullptr) {
      WriteChannelHeader(channel->number, size, prefix);
    } else {
      WriteDataPrefix(source, size, stun::TransactionId::Generate(random_),
                      prefix);
    }
  }
  forward.prefixes = prefixes_;
  forwards_.push_back(forward);

  stats_.to_clients += segments;
  stats_.bytes_to_clients += bytes.size();
  allocation->traffic.to_clients += segments;
  allocation->traffic.bytes_to_clients += bytes.size();
  return forwards_;
}

}  // namespace kyuu::turn
