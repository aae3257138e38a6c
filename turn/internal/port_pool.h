// The ports of one relay address that are not in use.

#ifndef KYUU_TURN_INTERNAL_PORT_POOL_H_
#define KYUU_TURN_INTERNAL_PORT_POOL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/random.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

// PortPool gives out ports at random, so that a relayed address cannot be
// guessed (RFC 8656 section 7.2). All but TakeEven take constant time.
class PortPool {
 public:
  // All ports of the range of `options`.
  PortPool(const ServerOptions& options,
           const ServerOptions::RelayAddress& address);

  const IpAddress& bind() const { return bind_; }
  const IpAddress& advertised() const { return advertised_; }
  void set_advertised(const IpAddress& ip) { advertised_ = ip; }
  IpFamily family() const { return bind_.family(); }

  // nullopt if none is free.
  std::optional<uint16_t> TakeAny(Random& random);
  // An even port; with kWithNext the port above it is taken too (EVEN-PORT,
  // RFC 8656 section 18.7).
  enum class Next : uint8_t { kLeave, kTake };
  std::optional<uint16_t> TakeEven(Random& random, Next next);
  // Gives a port back. Aborts if it was not taken.
  void Release(uint16_t port);

  size_t free() const { return free_.size(); }

 private:
  static constexpr uint32_t kTaken = UINT32_MAX;

  bool IsFree(uint32_t port) const;
  void Take(uint16_t port);

  IpAddress bind_;
  IpAddress advertised_;
  uint16_t low_;
  std::vector<uint16_t> free_;
  std::vector<uint32_t> position_;  // In free_, by port - low_; or kTaken.
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_PORT_POOL_H_
