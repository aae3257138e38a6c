#include "turn/internal/port_pool.h"

#include "base/check.h"

namespace kyuu::turn::internal {

PortPool::PortPool(const ServerOptions& options,
                   const ServerOptions::RelayAddress& address)
    : bind_(address.bind),
      advertised_(address.told()),
      low_(options.relay_port_low) {
  const uint32_t high = options.relay_port_high;
  position_.assign(high < low_ ? 0 : high - low_ + 1, kTaken);
  for (uint32_t port = low_; port <= high; ++port) {
    position_[port - low_] = static_cast<uint32_t>(free_.size());
    free_.push_back(static_cast<uint16_t>(port));
  }
}

bool PortPool::IsFree(uint32_t port) const {
  return port >= low_ && port - low_ < position_.size() &&
         position_[port - low_] != kTaken;
}

void PortPool::Take(uint16_t port) {
  const uint32_t at = position_[port - low_];
  position_[free_.back() - low_] = at;
  free_[at] = free_.back();
  free_.pop_back();
  position_[port - low_] = kTaken;
}

std::optional<uint16_t> PortPool::TakeAny(Random& random) {
  if (free_.empty()) return std::nullopt;
  const uint16_t port = free_[random.Below(free_.size())];
  Take(port);
  return port;
}

std::optional<uint16_t> PortPool::TakeEven(Random& random, Next next) {
  if (free_.empty()) return std::nullopt;
  const size_t start = random.Below(free_.size());
  for (size_t i = 0; i < free_.size(); ++i) {
    const uint16_t port = free_[(start + i) % free_.size()];
    if (port % 2 != 0) continue;
    if (next == Next::kTake) {
      if (!IsFree(port + 1u)) continue;
      Take(static_cast<uint16_t>(port + 1));
    }
    Take(port);
    return port;
  }
  return std::nullopt;
}

void PortPool::Release(uint16_t port) {
  KYUU_CHECK(port >= low_ && port - low_ < static_cast<int>(position_.size()));
  KYUU_CHECK(position_[port - low_] == kTaken);
  position_[port - low_] = static_cast<uint32_t>(free_.size());
  free_.push_back(port);
}

}  // namespace kyuu::turn::internal
