#include "turn/internal/allocation.h"

#include <algorithm>

namespace kyuu::turn::internal {

namespace {

// Finds the first live entry that `matches`, trying the last one found first.
template <typename List, typename Matches>
auto Find(const List& list, uint16_t& last, absl::Time now, Matches matches) ->
    typename List::const_pointer {
  if (last < list.size() && matches(list[last]) && list[last].expires > now) {
    return &list[last];
  }
  for (size_t i = 0; i < list.size(); ++i) {
    if (matches(list[i]) && list[i].expires > now) {
      last = static_cast<uint16_t>(i);
      return &list[i];
    }
  }
  return nullptr;
}

template <typename List, typename Predicate>
void EraseIf(List& list, Predicate predicate) {
  list.erase(std::remove_if(list.begin(), list.end(), predicate), list.end());
}

}  // namespace

bool PeerTable::Permits(absl::Time now, const IpAddress& ip) const {
  return Find(permissions_, last_permission_, now,
              [&ip](const Permission& p) { return p.ip == ip; }) != nullptr;
}

absl::Time PeerTable::PermittedUntil(const IpAddress& ip) const {
  for (const Permission& permission : permissions_) {
    if (permission.ip == ip) return permission.expires;
  }
  return absl::InfinitePast();
}

bool PeerTable::Permit(absl::Time now, const IpAddress& ip, absl::Time expires,
                       size_t max) {
  for (Permission& permission : permissions_) {
    if (permission.ip == ip) {
      permission.expires = expires;
      return true;
    }
  }
  if (!HasRoom(now, 1, max)) return false;
  permissions_.push_back({ip, expires});
  return true;
}

bool PeerTable::HasRoom(absl::Time now, size_t count, size_t max) {
  if (permissions_.size() + count > max) Purge(now);
  return permissions_.size() + count <= max;
}

const PeerTable::Channel* PeerTable::ByNumber(absl::Time now,
                                              uint16_t number) const {
  return Find(channels_, last_number_, now,
              [number](const Channel& c) { return c.number == number; });
}

const PeerTable::Channel* PeerTable::ByPeer(
    absl::Time now, const TransportAddress& peer) const {
  return Find(channels_, last_peer_, now,
              [&peer](const Channel& c) { return c.peer == peer; });
}

PeerTable::Bound PeerTable::Bind(absl::Time now, uint16_t number,
                                 const TransportAddress& peer,
                                 absl::Time expires, size_t max) {
  const Channel* same_number = ByNumber(now, number);
  const Channel* same_peer = ByPeer(now, peer);
  if (same_number != same_peer) return Bound::kConflict;
  if (same_number != nullptr) {
    channels_[static_cast<size_t>(same_number - channels_.data())].expires =
        expires;
    return Bound::kOk;
  }
  // An expired entry of the same number or peer would shadow nothing, but
  // must not stay beside the new one.
  EraseIf(channels_, [&](const Channel& c) {
    return c.number == number || c.peer == peer;
  });
  if (channels_.size() >= max) Purge(now);
  if (channels_.size() >= max) return Bound::kFull;
  channels_.push_back({number, peer, expires});
  return Bound::kOk;
}

size_t PeerTable::permissions(absl::Time now) const {
  return static_cast<size_t>(
      std::count_if(permissions_.begin(), permissions_.end(),
                    [now](const Permission& p) { return p.expires > now; }));
}

size_t PeerTable::channels(absl::Time now) const {
  return static_cast<size_t>(
      std::count_if(channels_.begin(), channels_.end(),
                    [now](const Channel& c) { return c.expires > now; }));
}

void PeerTable::Purge(absl::Time now) {
  EraseIf(permissions_,
          [now](const Permission& p) { return p.expires <= now; });
  EraseIf(channels_, [now](const Channel& c) { return c.expires <= now; });
}

void PeerTable::Drop(IpFamily family) {
  EraseIf(permissions_,
          [family](const Permission& p) { return p.ip.family() == family; });
  EraseIf(channels_,
          [family](const Channel& c) { return c.peer.ip.family() == family; });
}

// Of relayed addresses it is judged with each datagram whether they are lent.
void PeerTable::Enforce(const PeerPolicy& policy) {
  using Verdict = PeerPolicy::Verdict;
  EraseIf(permissions_, [&policy](const Permission& p) {
    return policy.JudgeIp(p.ip) == Verdict::kRefused;
  });
  EraseIf(channels_, [&policy](const Channel& c) {
    return policy.JudgePeer(c.peer) == Verdict::kRefused;
  });
}

}  // namespace kyuu::turn::internal
