#include "turn/internal/peer_policy.h"

#include <algorithm>
#include <utility>

namespace kyuu::turn::internal {

namespace {

struct Block {
  uint32_t base;
  int length;
};

// The IANA registry "IPv4 Special-Purpose Addresses", and multicast.
constexpr Block kSpecialV4[] = {
    {0x00000000, 8},   // 0.0.0.0/8 "this network"
    {0x0a000000, 8},   // 10.0.0.0/8 private
    {0x64400000, 10},  // 100.64.0.0/10 carrier-grade NAT
    {0x7f000000, 8},   // 127.0.0.0/8 loopback
    {0xa9fe0000, 16},  // 169.254.0.0/16 link-local, cloud metadata
    {0xac100000, 12},  // 172.16.0.0/12 private
    {0xc0000000, 24},  // 192.0.0.0/24 protocol assignments
    {0xc0000200, 24},  // 192.0.2.0/24 documentation
    {0xc01fc400, 24},  // 192.31.196.0/24 AS112
    {0xc034c100, 24},  // 192.52.193.0/24 AMT
    {0xc0586300, 24},  // 192.88.99.0/24 6to4 relays
    {0xc0a80000, 16},  // 192.168.0.0/16 private
    {0xc0af3000, 24},  // 192.175.48.0/24 AS112
    {0xc6120000, 15},  // 198.18.0.0/15 benchmarks
    {0xc6336400, 24},  // 198.51.100.0/24 documentation
    {0xcb007100, 24},  // 203.0.113.0/24 documentation
    {0xe0000000, 4},   // 224.0.0.0/4 multicast
    {0xf0000000, 4},   // 240.0.0.0/4 reserved, broadcast
};

bool IsSpecialV4(uint32_t ip) {
  return std::any_of(std::begin(kSpecialV4), std::end(kSpecialV4),
                     [ip](const Block& block) {
                       return (ip ^ block.base) >> (32 - block.length) == 0;
                     });
}

// The IPv4 address embedded at `offset`.
uint32_t Embedded(absl::Span<const uint8_t> bytes, size_t offset) {
  uint32_t ip = 0;
  for (size_t i = 0; i < 4; ++i) ip = ip << 8 | bytes[offset + i];
  return ip;
}

bool IsSpecialV6(absl::Span<const uint8_t> b) {
  const uint32_t head = Embedded(b, 0);
  const uint16_t first = static_cast<uint16_t>(head >> 16);
  // 64:ff9b::/96 is NAT64 (RFC 6052 section 2.1): as good as what it embeds.
  // Canonical form has turned ::ffff:0:0/96 into IPv4 already.
  if (head == 0x0064ff9b && Embedded(b, 4) == 0 && Embedded(b, 8) == 0) {
    return IsSpecialV4(Embedded(b, 12));
  }
  // Only 2000::/3 is global unicast. That leaves out ::, ::1, IPv4-compatible
  // ::/96, local NAT64 64:ff9b:1::/48, 100::/64, fc00::/7, fe80::/10,
  // fec0::/10 and ff00::/8.
  if (first >> 13 != 1) return true;
  if (head >> 9 == 0x20010000u >> 9) return true;  // 2001::/23, Teredo in it.
  if (head == 0x20010db8) return true;             // Documentation.
  if (first == 0x2002) return true;                // 6to4.
  if (first == 0x3ffe) return true;                // 6bone, given back.
  if (head >> 12 == 0x3fff0) return true;          // 3fff::/20 documentation.
  return Embedded(b, 0) == 0x2620004f && b[4] == 0x80 && b[5] == 0;  // AS112.
}

// As it comes over the wire: the scope of a link-local address is our own word
// for one of our networks.
IpAddress Unscoped(const IpAddress& ip) {
  return ip.is_v6() ? IpAddress::FromBytes(ip.bytes()) : ip;
}

}  // namespace

bool IsSpecial(const IpAddress& ip) {
  if (ip.is_v4()) return IsSpecialV4(ip.v4());
  return !ip.is_v6() || IsSpecialV6(ip.bytes());
}

PeerPolicy::PeerPolicy(const ServerOptions& options)
    : own_relays_(options.own_relays) {
  SetLists(options.allow_peers, options.deny_peers);
  SetAddresses(options);
}

void PeerPolicy::SetAddresses(const ServerOptions& options) {
  relayed_.clear();
  told_.clear();
  own_.clear();
  for (const IpAddress& ip : options.own_addresses) own_.insert(Unscoped(ip));
  listeners_ = options.listeners;
  for (TransportAddress& listener : listeners_) {
    listener.ip = Unscoped(listener.ip);
    if (!listener.ip.IsAny()) own_.insert(listener.ip);
  }
  for (const ServerOptions::RelayAddress& relay : options.relay_addresses) {
    own_.insert(relay.bind);
    own_.insert(relay.told());
    relayed_.insert(relay.told());
    if (relay.told() != relay.bind) told_[relay.bind] = relay.told();
  }
}

void PeerPolicy::SetLists(std::vector<IpPrefix> allow,
                          std::vector<IpPrefix> deny) {
  allow_ = std::move(allow);
  deny_ = std::move(deny);
}

bool PeerPolicy::IsListed(const std::vector<IpPrefix>& list,
                          const IpAddress& ip) const {
  return std::any_of(list.begin(), list.end(), [&ip](const IpPrefix& prefix) {
    return prefix.Contains(ip);
  });
}

bool PeerPolicy::OpensOwn(const IpAddress& ip) const {
  const int whole = ip.is_v4() ? 32 : 128;
  return std::any_of(allow_.begin(), allow_.end(),
                     [&ip, whole](const IpPrefix& prefix) {
                       return prefix.Contains(ip) &&
                              (prefix.length == whole ||
                               (ip.IsLoopback() && prefix.base.IsLoopback() &&
                                prefix.length >= 8));
                     });
}

PeerPolicy::Verdict PeerPolicy::JudgeIp(const IpAddress& ip) const {
  if (IsListed(deny_, ip)) return Verdict::kRefused;
  // All of 127/8 and ::1 are this machine, whether an interface lists it or
  // not.
  if (own_.contains(ip) || ip.IsLoopback()) {
    if (OpensOwn(ip)) return Verdict::kAllowed;
    return own_relays_ == ServerOptions::OwnRelays::kAllow && IsOwnRelay(ip)
               ? Verdict::kOwnRelay
               : Verdict::kRefused;
  }
  return IsListed(allow_, ip) || !IsSpecial(ip) ? Verdict::kAllowed
                                                : Verdict::kRefused;
}

PeerPolicy::Verdict PeerPolicy::JudgePeer(const TransportAddress& peer) const {
  const Verdict verdict = JudgeIp(peer.ip);
  if (peer.port == 0 || verdict == Verdict::kRefused) return Verdict::kRefused;
  const bool own = own_.contains(peer.ip) || peer.ip.IsLoopback();
  for (const TransportAddress& listener : listeners_) {
    // A listener on "any" is at each of our addresses.
    if (peer.port == listener.port &&
        (peer.ip == listener.ip || (own && listener.ip.IsAny()))) {
      return Verdict::kRefused;
    }
  }
  // Named or not: what is lent is reached inside of the server.
  return own_relays_ == ServerOptions::OwnRelays::kAllow && IsOwnRelay(peer.ip)
             ? Verdict::kOwnRelay
             : verdict;
}

TransportAddress PeerPolicy::AsBound(const TransportAddress& told) const {
  for (const auto& [bind, ip] : told_) {
    if (ip == told.ip) return {bind, told.port};
  }
  return told;
}

}  // namespace kyuu::turn::internal
