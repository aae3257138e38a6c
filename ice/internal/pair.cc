#include "ice/internal/pair.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"

namespace kyuu::ice::internal {
namespace {

// Validity::hasty. What takes a peer longer to answer is a busy machine.
constexpr absl::Duration kHastyInterval = absl::Milliseconds(20);
constexpr int kHastyProbes = 2;

uint32_t PairFoundation(uint16_t base, uint16_t remote) {
  return uint32_t{base} << 16 | remote;
}

uint64_t PriorityOf(const Base& base, const RemoteCandidate& remote,
                    Role role) {
  return role == Role::kControlling
             ? PairPriority(base.priority, remote.priority)
             : PairPriority(remote.priority, base.priority);
}

bool IsIpv6LinkLocal(const IpAddress& ip) {
  return ip.is_v6() && ip.IsLinkLocal();
}

// A link-local destination needs the interface of its source.
TransportAddress WithScope(const TransportAddress& address, uint32_t scope) {
  if (scope == 0 || !IsIpv6LinkLocal(address.ip)) return address;
  std::array<uint8_t, 16> bytes;
  const absl::Span<const uint8_t> from = address.ip.bytes();
  std::copy(from.begin(), from.end(), bytes.begin());
  return {IpAddress::V6(bytes, scope), address.port};
}

}  // namespace

absl::Duration Liveness::ProbeInterval(const Pair& pair) const {
  const bool hasty = pair.valid && pair.valid->hasty;
  return hasty ? std::max(kHastyInterval, pair.rtt * 5 / 4)
               : std::max(options->probe_interval, pair.rtt * 3 / 2);
}

absl::Time Liveness::SuspectAt(const Pair& pair) const {
  if (!pair.healthy() || pair.valid->unanswered_since.is_infinite_future()) {
    return absl::InfiniteFuture();
  }
  return pair.valid->unanswered_since +
         (pair.valid->probes > 0
              ? (pair.valid->hasty ? kHastyProbes : options->probes) *
                    ProbeInterval(pair)
              : std::max(options->suspect_after, 3 * pair.rtt));
}

absl::Time Liveness::ConsentUntil(const Pair& pair) const {
  return pair.valid ? pair.valid->last_response + options->consent_expiry
                    : absl::InfiniteFuture();
}

Pair MakePair(const Base& base, size_t base_index,
              const RemoteCandidate& remote, size_t remote_index, Role role) {
  Pair pair;
  pair.base = static_cast<uint16_t>(base_index);
  pair.remote = static_cast<uint16_t>(remote_index);
  pair.local_type = base.type;
  pair.path = {base.address,
               WithScope(remote.address, base.address.ip.scope_id()),
               base.transport()};
  Label(pair, base, remote, role);
  return pair;
}

void Label(Pair& pair, const Base& base, const RemoteCandidate& remote,
           Role role) {
  pair.priority = PriorityOf(base, remote, role);
  pair.foundation = PairFoundation(base.foundation, remote.foundation);
}

bool NeedsStream(const Pair& pair, const Base& base) {
  return (base.tcp_type == TcpType::kActive ||
          base.tcp_type == TcpType::kSimultaneousOpen) &&
         pair.path.local == base.address;
}

TransportAddress WithoutScope(TransportAddress address) {
  if (address.ip.scope_id() != 0) {
    address.ip = IpAddress::FromBytes(address.ip.bytes());
  }
  return address;
}

bool SameAddress(const TransportAddress& a, const TransportAddress& b) {
  if (a == b) return true;
  if (a.ip.scope_id() != 0 && b.ip.scope_id() != 0) return false;
  return WithoutScope(a) == WithoutScope(b);
}

bool MayPair(const Base& base, const RemoteCandidate& remote) {
  const IpAddress& from = base.address.ip;
  const IpAddress& to = remote.address.ip;
  if (base.transport() != remote.transport() ||
      base.tcp_type == TcpType::kPassive ||
      remote.tcp_type == TcpType::kActive ||
      (base.tcp_type == TcpType::kSimultaneousOpen) !=
          (remote.tcp_type == TcpType::kSimultaneousOpen) ||
      from.family() != to.family()) {
    return false;
  }
  if (IsIpv6LinkLocal(from) != IsIpv6LinkLocal(to)) return false;
  if (from.IsLoopback() != to.IsLoopback()) {
    // A relay on this machine talks to any of its addresses.
    return base.type == CandidateType::kRelayed ||
           (to.IsLoopback() && remote.type == CandidateType::kRelayed);
  }
  return true;
}

}  // namespace kyuu::ice::internal
