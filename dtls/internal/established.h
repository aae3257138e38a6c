// What is left of a DTLS session once its handshake is over.

#ifndef KYUU_DTLS_INTERNAL_ESTABLISHED_H_
#define KYUU_DTLS_INTERNAL_ESTABLISHED_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "dtls/fingerprint.h"
#include "dtls/internal/connection.h"
#include "dtls/internal/record_protection.h"

namespace kyuu::dtls::internal {

// Established replaces a Connection: 3 kB instead of the 76 that OpenSSL keeps.
class Established {
 public:
  // Takes over from `connection`, which has come to the end of its handshake;
  // null if its keys cannot be used.
  static std::unique_ptr<Established> From(const Connection& connection,
                                           Connection::Side side);

  // How the peer's certificate relates to `accepted`, if that matters.
  Verdict Judge(absl::Span<const Fingerprint> accepted) const;
  const Fingerprint& peer_sha256() const { return peer_[0]; }
  // Of the handshake, as OpenSSL names them.
  absl::string_view version() const { return version_; }
  absl::string_view cipher() const { return cipher_; }
  absl::string_view cipher_suite() const { return cipher_suite_; }  // IANA.

  // `message` as a datagram with one record; empty if the sequence numbers are
  // used up.
  std::vector<uint8_t> Seal(ContentType type,
                            absl::Span<const uint8_t> message);

  // The answer to a peer that repeats its last flight: ours once more, under
  // new sequence numbers (RFC 6347 section 4.2.4). Only the server has one
  // that may be missing. Empty: there is none, or it is too soon after the
  // last one.
  std::vector<uint8_t> RepeatFlight(absl::Time now, absl::Duration interval);

  Sealer& sealer() { return sealer_; }
  const Sealer& sealer() const { return sealer_; }
  Opener& opener() { return opener_; }

 private:
  Established(const Connection& connection, const Connection::Handover& from,
              const WriteKeys& ours, const WriteKeys& theirs,
              Connection::Side side);

  Sealer sealer_;
  Opener opener_;
  // The certificate of the peer by each hash function, in their order.
  std::array<Fingerprint, 3> peer_;
  std::optional<Verdict> verdict_;
  absl::string_view version_;
  absl::string_view cipher_;
  absl::string_view cipher_suite_;
  // Our message Finished. It and a ChangeCipherSpec are the server's last
  // flight.
  std::vector<uint8_t> finished_;
  Connection::Side side_;
  uint64_t clear_sequence_;
  absl::Time repeat_after_ = absl::InfinitePast();
};

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_ESTABLISHED_H_
