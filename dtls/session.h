// A DTLS 1.2 session (RFC 6347) between two peers that know each other's
// certificates by fingerprint (RFC 8122, RFC 8842), as an engine.

#ifndef KYUU_DTLS_SESSION_H_
#define KYUU_DTLS_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/timer.h"
#include "dtls/certificate.h"
#include "dtls/fingerprint.h"
#include "dtls/record.h"
#include "dtls/session_types.h"

namespace kyuu::dtls {

namespace internal {
class Connection;
class Established;
struct Record;
}  // namespace internal

// Session is one DTLS association. Not thread-safe. OpenSSL does the handshake,
// and with it comes its randomness; records are our own afterwards, and OpenSSL
// is gone.
//
// Data takes extra calls, since it neither waits in the session nor needs an
// event: Seal or SealInPlace for a packet on its way out; Open, or HandlePacket
// and ReadPlaintext, for one that came.
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

  // SetRetransmissionTimeout replaces Options::retransmission_timeout: a timer
  // that runs begins anew.
  void SetRetransmissionTimeout(absl::Time now, absl::Duration timeout);

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

  // SealInPlace encrypts where they lie the `size` bytes that begin
  // record_header_bytes() into `place`, and returns the record, which begins
  // where `place` does. `place` has room for kRecordTagBytes behind them.
  // Errors as Seal.
  absl::StatusOr<absl::Span<const uint8_t>> SealInPlace(
      absl::Span<uint8_t> place, size_t size);
  // What the suite puts in front of a plaintext, at most kRecordHeaderMax; 0
  // before the end of the handshake.
  size_t record_header_bytes() const;

  // Open takes a received datagram instead of HandlePacket, and returns its
  // next plaintext, which lies in `out`: nothing is kept in between. `datagram`
  // shrinks to what is left of it; to be called until it returns nullopt, which
  // is when nothing is left. A record that `out` is too small for is dropped
  // and counted; one as large as the datagram never is. Before Connected
  // nothing is returned: ReadPlaintext has it then.
  std::optional<absl::Span<const uint8_t>> Open(absl::Time now,
                                                Packet& datagram,
                                                absl::Span<uint8_t> out);

  // ReadPlaintext copies the next plaintext that HandlePacket has kept to
  // `out`, as a view into it; to be called after each HandlePacket, and after
  // the event Connected, until it returns nullopt: nothing left, or not
  // connected. `out` should have room for kPlaintextMax; a plaintext that does
  // not fit is dropped and counted.
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

  // A plaintext that waits, or the record of one before the end of the
  // handshake: `size` bytes at `begin`.
  struct Kept {
    std::vector<uint8_t> bytes;
    size_t begin;
    size_t size;
  };

  void ContinueHandshake(absl::Time now);
  // Takes over from OpenSSL.
  void Establish(absl::Time now);
  void JudgePeer(absl::Span<const Fingerprint> fingerprints);
  void HandleRecord(absl::Time now, const internal::Record& record);
  // Opens a record inside `place`, and returns its plaintext if it is data.
  std::optional<absl::Span<uint8_t>> OpenRecord(absl::Time now,
                                                const internal::Record& record,
                                                absl::Span<uint8_t> place);
  void HandleAlert(absl::Span<const uint8_t> alert);
  void AnswerHandshake(absl::Time now, absl::Span<const uint8_t> message);
  void OpenAndKeep(absl::Time now, const internal::Record& record);
  void Keep(Kept kept);
  void SendCloseNotify();
  // Queues a datagram, unless it is empty.
  void Send(std::vector<uint8_t> datagram);
  absl::Duration RetransmissionTimeout() const;
  // Takes over what OpenSSL says about its flights and its wire.
  void Sync(absl::Time now);
  // OpenSSL gave up: closes with its reason.
  void Fail();
  void Finish(absl::Status status);

  Role role_;
  Options options_;
  State state_ = State::kIdle;
  // OpenSSL's objects, at an address that stays, until the handshake is over;
  // what follows it from then on.
  std::unique_ptr<internal::Connection> connection_;
  std::unique_ptr<internal::Established> established_;
  TimerTable<Timer> timers_;
  // The flight that the timer runs for, and how often it expired.
  uint64_t flight_ = 0;
  int expiries_ = 0;
  // Lists, since those take no memory while they are empty.
  std::list<Kept> kept_;
  size_t kept_bytes_ = 0;
  std::list<std::vector<uint8_t>> outgoing_;
  std::list<Event> events_;
  int records_ = 0;  // Of the datagram that Open is going through.
  Stats stats_;
};
static_assert(Engine<Session>);

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_SESSION_H_
