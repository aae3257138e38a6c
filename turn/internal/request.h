// A request on its way through the TURN server.

#ifndef KYUU_TURN_INTERNAL_REQUEST_H_
#define KYUU_TURN_INTERNAL_REQUEST_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/address.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "turn/internal/allocation.h"

namespace kyuu::turn::internal {

// Lives for one call of the server: it refers to what was received.
struct ServerRequest {
  absl::Time now;
  const Path& path;
  const stun::MessageView& message;
  // The allocation of the 5-tuple, if there is one.
  Allocation* allocation = nullptr;
  std::string username;                   // Once it is proven,
  std::optional<stun::IntegrityKey> key;  // with its key.
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_REQUEST_H_
