// What a DTLS session is told, tells and counts.

#ifndef KYUU_DTLS_SESSION_TYPES_H_
#define KYUU_DTLS_SESSION_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "dtls/fingerprint.h"

namespace kyuu::dtls {

// The client sends the first message: `a=setup:active` (RFC 8842 section 5.3).
enum class Role : uint8_t { kClient, kServer };

struct Options {
  // The largest datagram of a handshake flight, in bytes, without UDP and IP
  // headers. Application data is not cut: its sender sizes it. 1200 fits in
  // every path that carries IPv6 (1280 - 40 - 8) with room for a relay's
  // header.
  size_t mtu_bytes = 1200;
  // The first retransmission of a flight; doubled each time up to
  // retransmission_timeout_max (RFC 6347 section 4.2.4.1 has 60 s; a person
  // waits for this one). Clamped to 50 ms..3 s. Twice the round-trip time that
  // ICE measured is a good value: RFC 6347's 1 s assumes none.
  absl::Duration retransmission_timeout = absl::Seconds(1);
  absl::Duration retransmission_timeout_max = absl::Seconds(3);
  // The handshake ends the session unless it is over, and the peer's
  // certificate verified, after this long; never, if it is infinite, for whom
  // another layer judges whether the peer is there.
  absl::Duration handshake_timeout = absl::Seconds(30);
  // Datagrams of our flights that wait to be polled. The largest flight (a
  // client's certificate chain of 16 KiB) is 15 datagrams; beyond the limit
  // new ones are dropped as if lost.
  size_t outgoing_datagrams_max = 64;
  // Data that waits for the end of the handshake, for the peer's fingerprint or
  // for ReadPlaintext, in bytes. A peer's first SCTP packets are below 4 KiB.
  // Beyond it records are dropped as if lost.
  size_t kept_plaintext_bytes_max = 64 << 10;
  // How soon after the last time our last flight is sent once more for a peer
  // that repeats its own (RFC 6347 section 4.2.4). Below the 50 ms after which
  // the fastest peers repeat theirs.
  absl::Duration repeated_flight_interval = absl::Milliseconds(20);
};

// Connected: the handshake is over and the certificate of the peer equals one
// of its fingerprints. From now on Seal and ReadPlaintext work.
struct Connected {
  std::string version;             // "DTLSv1.2"
  std::string cipher;              // OpenSSL's name of the suite.
  std::string cipher_suite;        // IANA's: "TLS_ECDHE_ECDSA_WITH_...".
  Fingerprint remote_fingerprint;  // SHA-256 of the peer's certificate.
};

// Closed is the last event. OK: closed by either side with close_notify.
// DEADLINE_EXCEEDED: no verified session within handshake_timeout.
// UNAUTHENTICATED: the peer's certificate has none of its fingerprints, or
// nobody vouches for it (Authorities).
// UNAVAILABLE: the peer ended the session with a fatal alert, or the
// handshake failed.
struct Closed {
  absl::Status status;
};

// What a session did and saw.
struct Stats {
  uint64_t datagrams_received = 0;
  uint64_t datagrams_sent = 0;  // Of flights and alerts; polled ones.
  uint64_t records_sealed = 0;
  uint64_t records_opened = 0;    // Plaintexts handed out.
  uint64_t retransmissions = 0;   // Flights sent again by the timer.
  uint64_t flights_repeated = 0;  // Sent again for a peer that repeats its own.
  // Datagrams, or the rest of one, that are no well-formed DTLS record.
  uint64_t discarded_malformed = 0;
  // Rests of datagrams with more records than any peer sends.
  uint64_t discarded_excess = 0;
  uint64_t discarded_after_close = 0;
  // Records after the handshake, or data before its end: in the clear, or of
  // an epoch that there is not.
  uint64_t discarded_epoch = 0;
  uint64_t discarded_forged = 0;    // Whose tag is wrong.
  uint64_t discarded_replayed = 0;  // Received before.
  uint64_t discarded_old = 0;       // Too far behind the newest one.
  // Authentic, and of no use: empty ones, warnings, wishes to renegotiate.
  uint64_t discarded_unused = 0;
  // Repeated flights of the peer within repeated_flight_interval, or which
  // await no answer.
  uint64_t discarded_repeats = 0;
  // Plaintexts beyond kept_plaintext_bytes_max, or larger than the buffer that
  // was given for them.
  uint64_t discarded_plaintexts = 0;
  uint64_t discarded_outgoing = 0;  // Beyond outgoing_datagrams_max.

  static constexpr Counter<Stats> kCounters[] = {
      KYUU_COUNTER(Stats, datagrams_received),
      KYUU_COUNTER(Stats, datagrams_sent),
      KYUU_COUNTER(Stats, records_sealed),
      KYUU_COUNTER(Stats, records_opened),
      KYUU_COUNTER(Stats, retransmissions),
      KYUU_COUNTER(Stats, flights_repeated),
      KYUU_COUNTER(Stats, discarded_malformed),
      KYUU_COUNTER(Stats, discarded_excess),
      KYUU_COUNTER(Stats, discarded_after_close),
      KYUU_COUNTER(Stats, discarded_epoch),
      KYUU_COUNTER(Stats, discarded_forged),
      KYUU_COUNTER(Stats, discarded_replayed),
      KYUU_COUNTER(Stats, discarded_old),
      KYUU_COUNTER(Stats, discarded_unused),
      KYUU_COUNTER(Stats, discarded_repeats),
      KYUU_COUNTER(Stats, discarded_plaintexts),
      KYUU_COUNTER(Stats, discarded_outgoing),
  };
};
static_assert(Countable<Stats>);

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_SESSION_TYPES_H_
