// What a turn::Client remembers of its requests, permissions and peers.

#ifndef KYUU_TURN_INTERNAL_CLIENT_RECORDS_H_
#define KYUU_TURN_INTERNAL_CLIENT_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "base/address.h"
#include "stun/protocol.h"
#include "stun/retransmit.h"

namespace kyuu::turn::internal {

// A request that waits for its answer.
struct Request {
  stun::TransactionId id;
  stun::Retransmission retransmission;
  int challenges = 0;
  bool authenticated = false;  // As it was last sent.
  // The code of an error response that was dropped for lack of integrity: a
  // hint, should nothing better come.
  std::optional<stun::Error> unverified;
};
struct Permission {
  IpAddress ip;
  std::optional<Request> request;  // CreatePermission.
  absl::Time refresh_at = absl::InfiniteFuture();
  bool granted = false;

  bool live() const { return granted || request.has_value(); }
};
struct Peer {
  TransportAddress address;
  size_t permission = 0;           // Index.
  std::optional<Request> request;  // ChannelBind.
  absl::Time refresh_at = absl::InfiniteFuture();
  int datagrams = 0;
  uint16_t channel = 0;  // 0: none was asked for.
  bool bound = false;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_CLIENT_RECORDS_H_
