// A request on its way through the TURN server, and what is decided about it.

#ifndef KYUU_TURN_INTERNAL_REQUEST_H_
#define KYUU_TURN_INTERNAL_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/address.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "turn/internal/allocation.h"
#include "turn/ledger.h"
#include "turn/realm_options.h"

namespace kyuu::turn::internal {

// Lives for one call of the server: it refers to what was received.
struct ServerRequest {
  absl::Time now;
  const Path& path;
  const stun::MessageView& message;
  // The allocation of the 5-tuple, if there is one.
  Allocation* allocation = nullptr;
  RealmId realm = kMainRealm;
  std::string username;                    // Once it is proven,
  std::optional<stun::IntegrityKey> key;   // with its key,
  Integrity integrity = Integrity::kSha1;  // used so.
};

// The families of the addresses that an Allocate request asks for.
struct Families {
  IpFamily first = IpFamily::kV4;
  bool also_v6 = false;
};

// How data of an allocation gets to a peer.
struct Way {
  enum class By : uint8_t { kNone, kNetwork, kRelay } by;
  Ledger::Holder holder;  // Of the peer, with kRelay.
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_REQUEST_H_
