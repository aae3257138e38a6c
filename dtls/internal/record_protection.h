// The record layer of DTLS 1.2 with authenticated encryption (RFC 6347 section
// 4.1; RFC 5288 and RFC 7905), on keys that a handshake has agreed on.

#ifndef KYUU_DTLS_INTERNAL_RECORD_PROTECTION_H_
#define KYUU_DTLS_INTERNAL_RECORD_PROTECTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "dtls/internal/openssl.h"
#include "dtls/internal/record.h"
#include "dtls/internal/replay_window.h"

namespace kyuu::dtls::internal {

enum class Aead : uint8_t { kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };

// The keys of one direction; what the AEAD does not need of them is zero.
struct WriteKeys {
  Aead aead = Aead::kAes128Gcm;
  std::array<uint8_t, 32> key{};
  std::array<uint8_t, 12> iv{};

  WriteKeys() = default;
  WriteKeys(const WriteKeys&) = default;
  WriteKeys& operator=(const WriteKeys&) = default;
  ~WriteKeys();  // Leaves no copy in memory.
};

struct KeyBlock {
  WriteKeys client;
  WriteKeys server;
};

// DeriveKeys expands a master secret (RFC 5246 sections 5 and 6.3) with the
// PRF of `hash`, "SHA2-256" or "SHA2-384". `randoms` are the server's and then
// the client's. nullopt: OpenSSL failed.
std::optional<KeyBlock> DeriveKeys(Aead aead, const char* hash,
                                   absl::Span<const uint8_t> master_secret,
                                   absl::Span<const uint8_t> randoms);

// Sealer protects the records that we send in epoch 1.
class Sealer {
 public:
  // Where another record layer with the same keys stopped. No number is used
  // twice with one key; AES-GCM's nonces are counted on.
  struct Start {
    uint64_t sequence = 0;
    uint64_t nonce = 0;
  };
  // Sequence numbers at the end that data does not get, so that it can be
  // said that there is no more.
  static constexpr uint64_t kReserved = 16;

  Sealer(const WriteKeys& keys, const Start& start);

  // What stands in front of the plaintext: 21 bytes, or 13.
  size_t header_bytes() const { return header_bytes_; }

  // Seals, where they lie, the `size` bytes (at most kPlaintextMax) that begin
  // header_bytes() into `place`, and returns the record, which begins where
  // `place` does. `place` has kRecordTagBytes of room behind them. nullopt:
  // the sequence numbers are used up.
  std::optional<absl::Span<const uint8_t>> Seal(ContentType type,
                                                absl::Span<uint8_t> place,
                                                size_t size);

 private:
  CipherContextPtr context_;
  size_t header_bytes_;
  uint64_t sequence_;
};

// What opening a record came to.
struct Opened {
  enum class Outcome : uint8_t {
    kOpened,
    kWrongEpoch,
    kReplayed,
    kOld,     // Behind the replay window.
    kForged,  // Or too short, or too long.
  };
  Outcome outcome;
  absl::Span<uint8_t> plaintext;  // Of an opened one.
};

// Opener opens the records that we receive in epoch 1.
class Opener {
 public:
  explicit Opener(const WriteKeys& keys);

  // Opens `record`, where its bytes are `place`; they are spoilt if it is
  // forged. The plaintext is a part of `place`. A handshake message is opened
  // even if it is old or was seen: repeated, it asks for the last flight, and
  // OpenSSL repeats some flights as they were.
  Opened Open(const Record& record, absl::Span<uint8_t> place);

 private:
  CipherContextPtr context_;
  size_t header_bytes_;
  ReplayWindow window_;
};

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_RECORD_PROTECTION_H_
