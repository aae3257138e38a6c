// A DTLS 1.2 session (RFC 6347) between two peers that know each other's
// certificates by fingerprint (RFC 8122, RFC 8842), as an engine.

#ifndef KYUU_DTLS_SESSION_H_
#define KYUU_DTLS_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/engine.h"
#include "base/timer.h"
#include "dtls/certificate.h"
#include "dtls/fingerprint.h"
#include "dtls/record.h"

namespace kyuu::dtls {

namespace internal {
class Connection;
}  // namespace internal

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
  // Plaintext that waits for the peer's fingerprint, or for ReadPlaintext
  // when further packets came first, in bytes. A peer's first SCTP packets
  // are below 4 KiB. Beyond it records are dropped as if lost.
  size_t kept_plaintext_bytes_max = 64 << 10;
};

// Connected: the handshake is over and the certificate of the peer equals one
// of its fingerprints. From now on Seal and ReadPlaintext work.
struct Connected {
  std::string version;             // "DTLSv1.2"
  std::string cipher;              // OpenSSL's name of the suite.
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
  uint64_t records_opened = 0;   // Plaintexts handed out.
  uint64_t retransmissions = 0;  // Flights sent again by the timer.
  // Not one well-formed DTLS record at the start of the datagram.
  uint64_t discarded_malformed = 0;
  // Datagrams after the handshake without any effect: replays, forgeries.
  uint64_t discarded_without_effect = 0;
  uint64_t discarded_after_close = 0;
  // Plaintexts beyond kept_plaintext_bytes_max, or larger than the buffer that
  // ReadPlaintext got.
  uint64_t discarded_plaintexts = 0;
  uint64_t discarded_outgoing = 0;  // Beyond outgoing_datagrams_max.

  static constexpr Counter<Stats> kCounters[] = {
      KYUU_COUNTER(Stats, datagrams_received),
      KYUU_COUNTER(Stats, datagrams_sent),
      KYUU_COUNTER(Stats, records_sealed),
      KYUU_COUNTER(Stats, records_opened),
      KYUU_COUNTER(Stats, retransmissions),
      KYUU_COUNTER(Stats, discarded_malformed),
      KYUU_COUNTER(Stats, discarded_without_effect),
      KYUU_COUNTER(Stats, discarded_after_close),
      KYUU_COUNTER(Stats, discarded_plaintexts),
      KYUU_COUNTER(Stats, discarded_outgoing),
  };
};
static_assert(Countable<Stats>);

// Session is one DTLS association. Not thread-safe. OpenSSL does the work, and
// with it comes its randomness.
//
// Data takes two extra calls, since it neither waits in the session nor needs
// an event: Seal for a packet on its way out, ReadPlaintext for one that came.
class Session {
 public:
  using Packet = absl::Span<const uint8_t>;  // One datagram.
  using Event = std::variant<Connected, Closed>;

  // The session shares `certificate`'s key; the object may go.
  Session(Role role, const Certificate& certificate, const Options& options);
  // For Acceptor: a server whose client has shown its address, at `now`.
  Session(std::unique_ptr<internal::Connection> listened, absl::Time now,
          const Options& options);
  // For Authorities: a client of a server that they vouch for.
  Session(std::unique_ptr<internal::Connection> connection,
          const Options& options);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Start begins the handshake: the client's first flight waits in
  // PollTransmit, and handshake_timeout runs. A received packet starts the
  // session too. Repeated calls do nothing.
  void Start(absl::Time now);

  // SetRemoteFingerprints names the certificates that are accepted: the peer's
  // must equal one of those with the strongest hash function. May come
  // before, during or after the handshake; until then no data passes.
  // INVALID_ARGUMENT: none given. FAILED_PRECONDITION: the session is closed,
  // or was verified with a certificate that `fingerprints` do not name: a new
  // identity needs a new session (RFC 8842 section 5.5); nothing changes.
  absl::Status SetRemoteFingerprints(absl::Time now,
                                     std::vector<Fingerprint> fingerprints);

  // Close sends close_notify, once, if the handshake got far enough; the event
  // Closed follows. Repeated calls do nothing.
  void Close(absl::Time now);

  // Seal encrypts `plaintext` as one record into `out` and returns its size.
  // `out` may not overlap `plaintext`.
  // FAILED_PRECONDITION: not connected, or the sequence numbers are used up.
  // INVALID_ARGUMENT: `plaintext` is empty or larger than kPlaintextMax, or
  // `out` has no room for it and kRecordOverheadMax.
  absl::StatusOr<size_t> Seal(absl::Span<const uint8_t> plaintext,
                              absl::Span<uint8_t> out);

  // ReadPlaintext decrypts the next record into `out`, as a view into it; to be
  // called after each HandlePacket, and after the event Connected, until it
  // returns nullopt: nothing left, or not connected. `out` should have room
  // for kPlaintextMax; a plaintext that does not fit is dropped and counted.
  std::optional<absl::Span<const uint8_t>> ReadPlaintext(
      absl::Span<uint8_t> out);

  // The verbs of kyuu::Engine.
  void HandlePacket(absl::Time now, Packet datagram);
  void HandleTimeout(absl::Time now);
  // Flights and alerts, a datagram each. Nullopt also if `out` is too small
  // for the next one; mtu_bytes are enough.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }

  Role role() const { return role_; }
  bool connected() const { return state_ == State::kConnected; }
  bool closed() const { return state_ == State::kClosed; }
  const Stats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  enum class State : uint8_t {
    kIdle,
    kHandshake,
    kUnverified,  // The handshake is over, the fingerprints are missing.
    kConnected,
    kClosed
  };
  enum class Timer { kRetransmission, kHandshake, kCount };

  void ContinueHandshake(absl::Time now);
  void JudgePeer(absl::Time now);
  // Finds out what the datagram brought after the handshake: plaintext, a
  // repeated flight, an alert, nothing.
  void Peek();
  // Moves what ReadPlaintext was not called for out of OpenSSL's way.
  void KeepReadable();
  // Reads the next record into `out`; nullopt if there is none.
  std::optional<absl::Span<const uint8_t>> ReadRecord(absl::Span<uint8_t> out);
  absl::Duration RetransmissionTimeout() const;
  // Takes over what OpenSSL says about its flights and its wire.
  void Sync(absl::Time now);
  // OpenSSL gave up: closes with its reason.
  void Fail();
  void Finish(absl::Status status);

  Role role_;
  Options options_;
  State state_ = State::kIdle;
  // OpenSSL's objects and the two ends of its wire, at an address that stays.
  std::unique_ptr<internal::Connection> connection_;
  TimerTable<Timer> timers_;
  // The flight that the timer runs for, and how often it expired.
  uint64_t flight_ = 0;
  int expiries_ = 0;
  // OpenSSL may hold plaintext that was not read.
  bool readable_ = false;
  // Records that overtook the end of the handshake were all read.
  bool settled_ = false;
  // Plaintexts read ahead of ReadPlaintext.
  std::deque<std::vector<uint8_t>> kept_;
  size_t kept_bytes_ = 0;
  std::deque<Event> events_;
  Stats stats_;
};
static_assert(Engine<Session>);

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_SESSION_H_
