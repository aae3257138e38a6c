// Permissions and channels (RFC 8656 sections 10 and 12), and connections with
// peers (RFC 6062 sections 5.2 and 5.4).

#include "absl/container/flat_hash_set.h"
#include "turn/channel_data.h"
#include "turn/server.h"

namespace kyuu::turn {

using internal::Way;

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
  if (allocation.transport != Transport::kUdp) {
    return Reply(request, stun::Error::kForbidden);
  }
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

// RFC 6062 section 5.2. No permission is needed, nor made: who connects is the
// client.
void Server::Connect(const Request& request, Allocation& allocation) {
  const auto peer = request.message.Get<stun::XorPeerAddress>();
  if (!peer.has_value()) return Reply(request, stun::Error::kBadRequest);
  if (!IsOfFamily(*request.message.Find(stun::XorPeerAddress::kType),
                  peer->address, allocation)) {
    return Reply(request, stun::Error::kPeerAddressFamilyMismatch);
  }
  const TransportAddress told = policy_.AsTold(peer->address);
  const internal::Relay& relay = *allocation.RelayOf(told.ip.family());
  const Way way = WayTo(allocation, told);
  // TCP can connect to itself; it would be nobody else.
  if (allocation.transport != Transport::kTcp || way.by == Way::By::kNone ||
      told == relay.relayed) {
    ++stats_.forbidden;
    return Reply(request, stun::Error::kForbidden);
  }
  const TransportAddress target =
      way.by == Way::By::kRelay ? policy_.AsBound(told) : told;
  const auto error = connections_.Connect(request, allocation,
                                          {relay.id, relay.bind, told, target});
  if (error.has_value()) Reply(request, *error);
}

// RFC 6062 section 5.4. The stream is one of the client's, but not that of an
// allocation.
void Server::ConnectionBind(const Request& request) {
  const auto id = request.message.Get<stun::ConnectionId>();
  if (!id.has_value() || !IsStream(request.path.transport) ||
      ByClient(request.now, request.path) != nullptr) {
    return Reply(request, stun::Error::kBadRequest);
  }
  const ConnectionId connection{id->value};
  const Allocation* owner = connections_.OwnerOf(connection);
  if (owner == nullptr || owner->expires <= request.now) {
    return Reply(request, stun::Error::kBadRequest);
  }
  if (owner->username != request.username) {
    return Reply(request, stun::Error::kWrongCredentials);
  }
  if (!Push(Success(request))) return;
  connections_.Join(connection);
  Forward forward;
  forward.exit = Forward::Exit::kJoin;
  forward.connection = connection;
  forward.path = request.path;
  forwards_.push_back(forward);
}

}  // namespace kyuu::turn
