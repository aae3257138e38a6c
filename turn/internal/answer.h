// A response of the TURN server that waits to be built.

#ifndef KYUU_TURN_INTERNAL_ANSWER_H_
#define KYUU_TURN_INTERNAL_ANSWER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "stun/attributes.h"
#include "stun/classic.h"
#include "stun/discovery.h"
#include "stun/integrity.h"
#include "stun/protocol.h"
#include "turn/internal/ticket.h"
#include "turn/realm_options.h"

namespace kyuu::turn::internal {

// Which integrity a request has, and its answer then (RFC 8489 section 9.2.4).
enum class Integrity : uint8_t { kSha1, kSha256, kBoth };

// ADDRESS-ERROR-CODE (RFC 8656 section 18.12): why one family of a dual
// allocation has no address.
struct FamilyRefusal {
  IpFamily family;
  stun::Error error;
};

// Answer is all that a response is made of, decided when the request came; its
// bytes are made when the driver polls.
struct Answer {
  Path path;
  stun::TransactionId id;
  stun::Method method = stun::Method::kBinding;
  std::optional<stun::Error> error;  // None for success.
  // 401 and 438: with REALM and a fresh NONCE, and perhaps PASSWORD-ALGORITHMS.
  bool challenge = false;
  RealmId realm = kMainRealm;
  bool offers_sha256 = false;
  // 420: what was not understood.
  stun::UnknownAttributes unknown;
  // Integrity, for those who have proven themselves.
  std::optional<stun::IntegrityKey> key;
  Integrity integrity = Integrity::kSha1;
  bool fingerprint = false;
  // A client of RFC 3489: all but `path` and `mapped` is of no account.
  std::optional<stun::ClassicBinding> classic;

  std::optional<TransportAddress> alternate;  // Of 300.
  // Of a server with two addresses (RFC 5780).
  std::optional<stun::Whereabouts> whereabouts;

  // Of success, where the method has them.
  std::optional<TransportAddress> mapped;
  std::optional<TransportAddress> relayed;
  std::optional<TransportAddress> additional;  // Relayed, of a dual allocation.
  std::optional<uint32_t> lifetime_seconds;
  std::optional<std::array<uint8_t, 8>> reservation;
  std::optional<FamilyRefusal> refused;
  std::optional<TicketMaker::Sealed> ticket;  // MOBILITY-TICKET.

  // What makes it a Data indication without data instead: what ICMP has said of
  // a datagram to that peer (RFC 8656 section 11.5).
  struct Report {
    TransportAddress peer;
    stun::Icmp icmp;
  };
  std::optional<Report> report;

  // CONNECTION-ID (RFC 6062); with `attempt`, a ConnectionAttempt indication:
  // that peer has connected.
  std::optional<uint32_t> connection;
  std::optional<TransportAddress> attempt;

  // Whether it answers nothing.
  bool unasked() const { return report.has_value() || attempt.has_value(); }
};

// The size of `answer`, an error for whom has proven nothing: what its gain is
// judged by.
size_t ErrorSize(const Answer& answer, absl::string_view realm,
                 absl::string_view token_server);

// Build writes `answer` into `out`; empty if it does not fit. 2048 bytes are
// always enough.
// A 401 names `token_server`, where there is one.
absl::Span<const uint8_t> Build(const Answer& answer, absl::string_view realm,
                                absl::string_view token_server,
                                absl::string_view nonce,
                                absl::string_view software,
                                absl::Span<uint8_t> out);

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_ANSWER_H_
