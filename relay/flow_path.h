// FlowPath: something that relays the flows of TURN servers without them.

#ifndef KYUU_RELAY_FLOW_PATH_H_
#define KYUU_RELAY_FLOW_PATH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "turn/bandwidth.h"
#include "turn/flow.h"

namespace kyuu::relay {

// FlowPath may be used by all nodes of a cluster, each on its own thread.
class FlowPath {
 public:
  // Names what was installed.
  enum class Handle : uint32_t {};
  // By turn::Direction.
  using Counts = std::array<turn::FlowCount, 2>;

  virtual ~FlowPath() = default;

  // Takes a flow over, from now until Remove(). nullopt if there is no room, or
  // it is none of those that this path can relay: the server goes on with it.
  virtual std::optional<Handle> Install(const turn::Flow& flow) = 0;
  // The same flow has other times, or is metered or not.
  virtual void Update(Handle handle, const turn::Flow& flow) = 0;
  // Ends it, and returns all that it has relayed.
  virtual Counts Remove(Handle handle) = 0;

  // What it has relayed since Install().
  virtual Counts Read(Handle handle) const = 0;
  // Gives a metered flow so many bytes more, or less.
  virtual void Fund(Handle handle, turn::Direction direction,
                    int64_t bytes) = 0;
  // What it has left; below zero if the last datagram was longer.
  virtual int64_t Funds(Handle handle, turn::Direction direction) const = 0;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_FLOW_PATH_H_
