// What a turn::Client remembers of its requests, permissions and peers, and
// when each of them wants something.

#ifndef KYUU_TURN_INTERNAL_CLIENT_RECORDS_H_
#define KYUU_TURN_INTERNAL_CLIENT_RECORDS_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "stun/protocol.h"
#include "stun/retransmit.h"

namespace kyuu::turn::internal {

// What a request is about: the allocation, or the family, the permission or the
// peer of that index. In the order in which requests leave.
struct Subject {
  enum class Kind : uint8_t {
    kAllocation,
    kFamily,
    kPermission,
    kChannel,
  } kind;
  uint32_t index = 0;

  friend auto operator<=>(const Subject&, const Subject&) = default;
};
inline constexpr Subject kTheAllocation{Subject::Kind::kAllocation, 0};

// The timers of a client. Each subject has one of each, but for the last; a
// family has the first alone, as it lives as long as the allocation.
enum class ClientTimer : uint8_t {
  // The request goes unanswered: RTO, doubled Rc - 1 times, then Rm times the
  // first RTO (RFC 8489 section 6.2.1).
  kRto,
  // Some time before the end of the lifetime, to refresh it: the allocation's
  // (RFC 8656 section 8.1), a permission's (section 9), a channel binding's
  // (section 12).
  kRefresh,
  // The end of the lifetime: no refresh has come through.
  kLifetime,
  // Some time before the end of the token's lifetime, to ask for another one;
  // the allocation's alone.
  kToken,
};

// A timer of a subject, as the key of a DeadlineQueue.
struct TimerKey {
  ClientTimer timer;
  Subject subject;

  friend auto operator<=>(const TimerKey&, const TimerKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const TimerKey& key) {
    return H::combine(std::move(h), key.timer, key.subject.kind,
                      key.subject.index);
  }
};

// A request that waits for its answer.
struct ClientRequest {
  stun::TransactionId id;
  stun::Retransmission retransmission;
  int challenges = 0;
  bool authenticated = false;  // As it was last sent.
  uint32_t token_number = 0;   // Likewise: which token it showed; 0: none.
  // The code of an error response that was dropped for lack of integrity: a
  // hint, should nothing better come.
  std::optional<stun::Error> unverified;

  bool has_left() const { return retransmission.sends() > 0; }
};
// What a response is worth. kTokenWanted: the request can be made again once
// there is a token for it.
enum class Verdict : uint8_t { kDrop, kRetry, kTokenWanted, kSuccess, kError };
// Why a request, or all of them, came to nothing.
struct Failure {
  absl::Status status;
  std::optional<stun::Error> error;
  std::optional<TransportAddress> alternate;
};
// Whose requests wait for what.
struct ClientWaits {
  absl::flat_hash_map<stun::TransactionId, Subject> answers;
  absl::btree_set<Subject> due;         // To be sent.
  absl::btree_set<Subject> want_token;  // For a token.
};
// A relayed address of the allocation.
struct ClientRelay {
  TransportAddress address;              // Port 0: there is none.
  std::optional<ClientRequest> request;  // Refresh of this family alone.
  bool ending = false;                   // The server is asked to end it.

  bool live() const { return address.port != 0 && !ending; }
};
// Those of an allocation, one of a family.
class ClientRelays {
 public:
  static uint32_t IndexOf(IpFamily family) {
    return family == IpFamily::kV6 ? 1 : 0;
  }
  ClientRelay& at(uint32_t index) { return relays_[index]; }
  // The live one of that family; nullptr if there is none.
  const ClientRelay* Live(IpFamily family) const {
    if (family == IpFamily::kUnspecified) return nullptr;
    const ClientRelay& relay = relays_[IndexOf(family)];
    return relay.live() ? &relay : nullptr;
  }
  // The address of the first that is live, IPv4 before IPv6; none if none is.
  const TransportAddress& First() const {
    for (const ClientRelay& relay : relays_) {
      if (relay.live()) return relay.address;
    }
    return none_;
  }

 private:
  std::array<ClientRelay, 2> relays_;  // IPv4, IPv6.
  TransportAddress none_;
};
struct Permission {
  IpAddress ip;
  std::optional<ClientRequest> request;  // CreatePermission.
  bool granted = false;

  bool live() const { return granted || request.has_value(); }
  // Whether the server has heard of it before whatever leaves now.
  bool asked() const { return granted || (request && request->has_left()); }
};
struct Peer {
  TransportAddress address;
  size_t permission = 0;                 // Index.
  std::optional<ClientRequest> request;  // ChannelBind.
  int datagrams = 0;
  uint16_t channel = 0;  // 0: none was asked for.
  bool bound = false;

  // Whether the server may use the channel: its data may overtake the answer
  // that says so. The number is this peer's alone (RFC 8656 section 12).
  bool asked() const { return bound || (request && request->has_left()); }
};
// The peers of an allocation. Neither peer nor permission is ever removed, so
// that indices and channel numbers stay true.
struct ClientPeers {
  std::vector<Permission> permissions;
  std::vector<Peer> peers;
  absl::flat_hash_map<IpAddress, size_t> permission_index;
  absl::flat_hash_map<TransportAddress, size_t> peer_index;
  std::vector<size_t> channel_peers;  // [channel - kChannelMin]: in `peers`.
};
// What lets the allocation go on from another address (RFC 8016).
struct ClientMobility {
  std::vector<uint8_t> ticket;  // The server's last; empty: none.
  bool moving = false;          // The server has not answered Move() yet.
  // Where peers' data came before the last Move(), and may still come.
  std::optional<TransportAddress> former;
};
// A datagram whose permission has not been asked for yet.
struct Held {
  size_t peer;  // Index.
  std::vector<uint8_t> payload;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_CLIENT_RECORDS_H_
