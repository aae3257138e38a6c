// Permissions and channels (RFC 8656 sections 10 and 12).

#include "absl/container/flat_hash_set.h"
#include "turn/channel_data.h"
#include "turn/server.h"

namespace kyuu::turn {

namespace {

// RFC 8656 sections 10.2 and 12.2: a peer is of a relayed address's family.
// An IPv4 address in IPv6's clothes (::ffff:a.b.c.d) is of IPv6 on the wire,
// though it reads as what it is.
bool IsOfFamily(absl::Span<const uint8_t> value,
                const TransportAddress& address,
                const internal::Allocation& allocation) {
  const IpFamily family = address.ip.family();
  return stun::EncodedFamily(value) == family &&
         allocation.RelayOf(family) != nullptr;
}

}  // namespace

// Section 10.2: all of the addresses, or none. One request can name thousands,
// so it is over with the first that there is no room for.
void Server::CreatePermission(const Request& request, Allocation& allocation) {
  absl::flat_hash_set<IpAddress> wanted;
  size_t added = 0;
  stun::AttributeCursor attributes = request.message.attributes();
  while (attributes.Next()) {
    if (attributes.type() != stun::XorPeerAddress::kType) continue;
    const auto peer = attributes.As<stun::XorPeerAddress>();
    if (!peer.has_value()) return Reply(request, stun::Error::kBadRequest);
    if (!IsOfFamily(attributes.value(), peer->address, allocation)) {
      return Reply(request, stun::Error::kPeerAddressFamilyMismatch);
    }
    const IpAddress ip = policy_.AsTold(peer->address).ip;
    if (!wanted.insert(ip).second) continue;
    if (wanted.size() > options_.permissions_max) {
      return Reply(request, stun::Error::kInsufficientCapacity);
    }
    if (!MayPermit(allocation, ip)) {
      ++stats_.forbidden;
      return Reply(request, stun::Error::kForbidden);
    }
    if (!allocation.peers.Permits(request.now, ip)) ++added;
  }
  if (wanted.empty()) return Reply(request, stun::Error::kBadRequest);
  if (!allocation.peers.HasRoom(request.now, added, options_.permissions_max)) {
    return Reply(request, stun::Error::kInsufficientCapacity);
  }
  for (const IpAddress& ip : wanted) {
    allocation.peers.Permit(request.now, ip,
                            request.now + options_.permission_lifetime,
                            options_.permissions_max);
  }
  Push(Success(request));
}

// Section 12.2; also installs or refreshes the permission.
void Server::ChannelBind(const Request& request, Allocation& allocation) {
  using Bound = internal::PeerTable::Bound;
  const auto number = request.message.Get<stun::ChannelNumber>();
  const auto peer = request.message.Get<stun::XorPeerAddress>();
  if (!number.has_value() || !peer.has_value() || number->value < kChannelMin ||
      number->value > options_.channel_max) {
    return Reply(request, stun::Error::kBadRequest);
  }
  const TransportAddress address = policy_.AsTold(peer->address);
  if (!IsOfFamily(*request.message.Find(stun::XorPeerAddress::kType),
                  peer->address, allocation)) {
    return Reply(request, stun::Error::kPeerAddressFamilyMismatch);
  }
  if (WayTo(allocation, address).by == Way::By::kNone) {
    ++stats_.forbidden;
    return Reply(request, stun::Error::kForbidden);
  }
  internal::PeerTable& peers = allocation.peers;
  const absl::Time now = request.now;
  if (!peers.Permits(now, address.ip) &&
      !peers.HasRoom(now, 1, options_.permissions_max)) {
    return Reply(request, stun::Error::kInsufficientCapacity);
  }
  switch (peers.Bind(now, number->value, address,
                     now + options_.channel_lifetime, options_.channels_max)) {
    case Bound::kConflict:
      return Reply(request, stun::Error::kBadRequest);
    case Bound::kFull:
      return Reply(request, stun::Error::kInsufficientCapacity);
    case Bound::kOk:
      break;
  }
  peers.Permit(now, address.ip, now + options_.permission_lifetime,
               options_.permissions_max);
  Push(Success(request));
}

}  // namespace kyuu::turn
