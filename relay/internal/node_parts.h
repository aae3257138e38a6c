// What the files of relay::Node share.

#ifndef KYUU_RELAY_INTERNAL_NODE_PARTS_H_
#define KYUU_RELAY_INTERNAL_NODE_PARTS_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "relay/node.h"

namespace kyuu::relay {

struct Node::Guest {
  Guest(std::shared_ptr<void> p, const StreamClientOptions& options)
      : place(std::move(p)), client(options, net::Loop::Now()) {}

  const std::shared_ptr<void> place;
  StreamClient client;
  std::optional<net::StreamDriver<StreamClient>> driver;
  bool dirty = false;  // Its path is in dirty_guests_.
};

namespace internal {

// What to add to the loop's clock to get UTC.
inline absl::Duration UtcOffset() {
  return (absl::Now() - absl::UnixEpoch()) -
         (net::Loop::Now() - absl::UnixEpoch());
}

}  // namespace internal
}  // namespace kyuu::relay

#endif  // KYUU_RELAY_INTERNAL_NODE_PARTS_H_
