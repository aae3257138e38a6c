// One allocation of the TURN server: who owns it, which peers it may talk to.

#ifndef KYUU_TURN_INTERNAL_ALLOCATION_H_
#define KYUU_TURN_INTERNAL_ALLOCATION_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "stun/integrity.h"
#include "stun/protocol.h"
#include "turn/forward.h"
#include "turn/internal/answer.h"
#include "turn/internal/peer_policy.h"
#include "turn/realm_options.h"
#include "turn/server_events.h"

namespace kyuu::turn::internal {

// PeerTable holds the permissions (RFC 8656 section 9) and channels (section
// 12) of one allocation. Both lists are short and bounded by ServerOptions;
// the entry found last is tried first, so that a flow costs one comparison.
class PeerTable {
 public:
  struct Channel {
    uint16_t number;
    TransportAddress peer;
    absl::Time expires;
  };

  // Whether there is a live permission for `ip`.
  bool Permits(absl::Time now, const IpAddress& ip) const;
  // Until when the permission for `ip` holds or held; InfinitePast() if none.
  absl::Time PermittedUntil(const IpAddress& ip) const;
  // Installs or refreshes; what has expired makes room. False if full.
  bool Permit(absl::Time now, const IpAddress& ip, absl::Time expires,
              size_t max);
  // Whether `count` more addresses fit besides those alive. Drops the expired.
  bool HasRoom(absl::Time now, size_t count, size_t max);

  // The live channel of that number or peer, or null. The pointer is good
  // until the table changes.
  const Channel* ByNumber(absl::Time now, uint16_t number) const;
  const Channel* ByPeer(absl::Time now, const TransportAddress& peer) const;
  enum class Bound : uint8_t { kOk, kConflict, kFull };
  // Binds or refreshes. kConflict if the number or the peer is bound to
  // another (section 12.2).
  Bound Bind(absl::Time now, uint16_t number, const TransportAddress& peer,
             absl::Time expires, size_t max);

  // Those that have expired too. Good until the table changes.
  absl::Span<const Channel> channel_list() const { return channels_; }
  // How many are alive.
  size_t permissions(absl::Time now) const;
  size_t channels(absl::Time now) const;

  // Drops what `policy` would not give.
  void Enforce(const PeerPolicy& policy);
  // Drops all peers of that family.
  void Drop(IpFamily family);

 private:
  struct Permission {
    IpAddress ip;
    absl::Time expires;
  };
  void Purge(absl::Time now);

  absl::InlinedVector<Permission, 1> permissions_;
  absl::InlinedVector<Channel, 1> channels_;
  // Where to look first; of longer lists it is a guess like any other.
  mutable uint16_t last_permission_ = 0;
  mutable uint16_t last_number_ = 0;
  mutable uint16_t last_peer_ = 0;
};

// A relayed address of an allocation, with the socket behind it. Its id is the
// allocation's, or that and kAdditional: of a dual allocation each family has
// one (RFC 8656 section 5).
struct Relay {
  static constexpr uint64_t kAdditional = uint64_t{1} << 31;

  RelayId id{};
  TransportAddress bind;     // The socket's address,
  TransportAddress relayed;  // and the one that clients and peers are told.
  bool open = false;         // Until then the driver is opening it.

  IpFamily family() const { return bind.ip.family(); }
};

// What is kept of a client that may move (RFC 8016).
struct Mobility {
  uint32_t number = 0;  // Of the last ticket that it was given.
  std::optional<Path>
      next;  // It was moved there, and has not been heard there.
};

struct Allocation {
  RelayId id{};
  server_events::SessionId session{};
  Path client;  // The 5-tuple.
  std::string username;
  std::string quota_user;
  RealmId realm = kMainRealm;
  // What it was made with, or last refreshed. Still good for this allocation
  // until ServerOptions::revoked_grace after `credential_expires`; it lives no
  // longer.
  stun::IntegrityKey key;
  Integrity integrity = Integrity::kSha1;
  // Made with one (RFC 7635), the newest of which was made then: there is no
  // grace.
  bool token = false;
  CompactTime token_made = absl::InfinitePast();
  CompactTime credential_expires = absl::InfiniteFuture();
  // Until then its client's source counts as proven (Ledger::Proven).
  CompactTime prove_again = absl::InfinitePast();

  // At least one once it is open; IPv4 comes first of a dual allocation.
  absl::InlinedVector<Relay, 1> relays;
  CompactTime made;
  absl::Time expires;

  // The Allocate request, for its answer when the socket is open, and for the
  // same answer to its retransmissions.
  stun::TransactionId request_id;
  bool request_fingerprint = false;
  bool open = false;  // Until then the driver is opening its sockets.
  Transport transport = Transport::kUdp;  // Of its relayed addresses.
  // The next port is reserved under this token (EVEN-PORT).
  std::optional<std::array<uint8_t, 8>> reservation;
  // The family of a dual allocation that there was no address for, and why.
  std::optional<FamilyRefusal> refused;

  // Its client has asked for DONT-FRAGMENT: it is one that hears of ICMP.
  bool whole = false;
  std::unique_ptr<Mobility> mobility;  // If it was asked for.
  // Not before it is told of the next ICMP error.
  CompactTime next_report = absl::InfinitePast();

  PeerTable peers;
  server_events::Traffic traffic;

  // When it ends at the latest, `grace` after its credential.
  absl::Time Last(absl::Duration grace) const {
    return credential_expires + (token ? absl::ZeroDuration() : grace);
  }
  absl::Time Bounded(absl::Duration grace, absl::Time wanted) const {
    return std::min(wanted, Last(grace));
  }
  // That of the family, or null.
  const Relay* RelayOf(IpFamily family) const {
    for (const Relay& relay : relays) {
      if (relay.family() == family) return &relay;
    }
    return nullptr;
  }
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_ALLOCATION_H_
