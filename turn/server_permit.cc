// Permissions and channels (RFC 8656 sections 10 and 12).

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "turn/channel_data.h"
#include "turn/server.h"

namespace kyuu::turn {

// Section 10.2: all of the addresses, or none.
void Server::CreatePermission(const Request& request, Allocation& allocation) {
  absl::InlinedVector<IpAddress, 4> wanted;
  size_t added = 0;
  stun::AttributeCursor attributes = request.message.attributes();
  while (attributes.Next()) {
    if (attributes.type() != stun::XorPeerAddress::kType) continue;
    const auto peer = attributes.As<stun::XorPeerAddress>();
    if (!peer.has_value()) return Reply(request, stun::Error::kBadRequest);
    const IpAddress ip = policy_.AsTold(peer->address).ip;
    if (ip.family() != allocation.bind.ip.family()) {
      return Reply(request, stun::Error::kPeerAddressFamilyMismatch);
    }
    if (!MayPermit(allocation, ip)) {
      ++stats_.forbidden;
      return Reply(request, stun::Error::kForbidden);
    }
    if (std::find(wanted.begin(), wanted.end(), ip) != wanted.end()) continue;
    wanted.push_back(ip);
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
  // RFC 8656 ends the range at 0x4fff; clients of RFC 5766 go up to 0x7fff.
  // Nothing else begins with these bytes on this port.
  if (!number.has_value() || !peer.has_value() || number->value < kChannelMin ||
      number->value > kChannelMaxRfc5766) {
    return Reply(request, stun::Error::kBadRequest);
  }
  const TransportAddress address = policy_.AsTold(peer->address);
  if (address.ip.family() != allocation.bind.ip.family()) {
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
