#include "base/shares.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace kyuu {

Source SourceOf(const IpAddress& address) {
  if (!address.is_v6()) return address;
  std::array<uint8_t, 16> network{};
  std::copy_n(address.bytes().begin(), 8, network.begin());
  return IpAddress::V6(network);
}

bool Shares::Take(const Source& source, size_t limit) {
  if (source == Source()) return true;
  if (held(source) >= limit) return false;
  ++held_[source];
  return true;
}

void Shares::Return(const Source& source) {
  if (source == Source()) return;
  const auto it = held_.find(source);
  KYUU_CHECK(it != held_.end());
  if (--it->second == 0) held_.erase(it);
}

size_t Shares::held(const Source& source) const {
  const auto it = held_.find(source);
  return it == held_.end() ? 0 : it->second;
}

}  // namespace kyuu
