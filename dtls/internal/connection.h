// One OpenSSL connection whose wire is memory: a datagram in, datagrams out.

#ifndef KYUU_DTLS_INTERNAL_CONNECTION_H_
#define KYUU_DTLS_INTERNAL_CONNECTION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "dtls/fingerprint.h"
#include "dtls/internal/openssl.h"
#include "dtls/internal/record_protection.h"

namespace kyuu::dtls::internal {

// SetVerification makes every session of `context` ask for the peer's
// certificate and judge it by the fingerprints of its Connection, nothing
// else: a self-signed certificate has no chain.
void SetVerification(SSL_CTX* context);

// AllowCookies lets the Connections of `context` Listen().
void AllowCookies(SSL_CTX* context);

// What a call into OpenSSL came to.
enum class Progress : uint8_t {
  kDone,    // It did what it should.
  kWaits,   // It needs another datagram.
  kClosed,  // The peer sent close_notify.
  kFailed,  // The connection is dead; TakeError tells why.
};

enum class Verdict : uint8_t { kUnknown, kMatches, kDiffers };

// JudgeBy compares the certificate whose digests `digest_by` gives with those
// of `accepted` that have the strongest hash function.
template <typename DigestBy>
Verdict JudgeBy(absl::Span<const Fingerprint> accepted, DigestBy digest_by) {
  const std::optional<HashAlgorithm> algorithm = StrongestHash(accepted);
  if (!algorithm) return Verdict::kUnknown;
  return std::find(accepted.begin(), accepted.end(), digest_by(*algorithm)) ==
                 accepted.end()
             ? Verdict::kDiffers
             : Verdict::kMatches;
}

// Connection wraps SSL*. OpenSSL holds pointers to this object: it stays where
// it is. Never BIO_s_mem as a wire: it joins the datagrams of a flight.
class Connection {
 public:
  // Whom the peer has to be: who its fingerprints say; anybody, since it
  // proves itself inside; or `name`, for which the context's authorities vouch.
  enum class Peers : uint8_t { kByFingerprint, kAnybody, kByName };
  struct Options {
    size_t mtu_bytes;
    Peers peers = Peers::kByFingerprint;
    std::string name;  // Of a host, or an address in numbers.
  };
  enum class Side : uint8_t { kClient, kServer };

  Connection(SSL_CTX* context, Side side, const Options& options);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The datagram that OpenSSL reads next; it must stay until OpenSSL took it
  // (has_incoming() is false) or DropIncoming.
  void SetIncoming(absl::Span<const uint8_t> datagram) { incoming_ = datagram; }
  bool has_incoming() const { return !incoming_.empty(); }
  void DropIncoming() { incoming_ = {}; }

  // Takes the incoming ClientHello as the second one of a cookie exchange
  // (RFC 6347 section 4.2.1), if it has `cookie`: kDone, and the handshake goes
  // on. The context must have been through AllowCookies().
  Progress Listen(absl::Span<const uint8_t> cookie);
  // Runs the handshake as far as the input reaches.
  Progress Handshake();
  // Sends close_notify if that is possible.
  void Shutdown();
  // The flight that waits for the peer's next one, counted from 1; 0 for none.
  // OpenSSL's own timer reads the wall clock, and never expires here.
  uint64_t waiting_flight() const { return waiting_ ? flights_ : 0; }
  // Sends that flight again, whatever time it is. False: given up.
  bool Retransmit();

  // How the peer's certificate relates to the fingerprints set so far.
  void SetFingerprints(std::vector<Fingerprint> fingerprints);
  const std::vector<Fingerprint>& fingerprints() const { return fingerprints_; }
  Verdict Judge(const X509* certificate) const;
  // The verdict on the peer that asks for no fingerprints; nullopt if it is a
  // peer by fingerprint.
  std::optional<Verdict> JudgeWithoutFingerprints() const;
  bool mismatch_seen() const { return mismatch_seen_; }
  // Why the authorities do not vouch for the peer; nullopt if they do, or were
  // not asked.
  std::optional<std::string> Distrust() const;
  // Of the peer's certificate; the default one if it has shown none.
  Fingerprint PeerFingerprint(HashAlgorithm algorithm) const;
  // OpenSSL's names, which last as long as the process.
  absl::string_view version() const { return SSL_get_version(ssl_.get()); }
  absl::string_view cipher() const { return SSL_get_cipher_name(ssl_.get()); }
  // By IANA's registry.
  absl::string_view cipher_suite() const {
    return SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl_.get()));
  }

  // What another record layer needs to go on where OpenSSL's stopped; nullopt
  // unless the handshake is over.
  struct Handover {
    KeyBlock keys;
    // Epoch 0's next sequence number, and where epoch 1 goes on.
    uint64_t clear_sequence;
    Sealer::Start start;
    // The record of our Finished as it was sent last.
    std::vector<uint8_t> finished;
  };
  std::optional<Handover> HandOver() const;

  // Takes the datagrams that the last calls made: a flight, or an alert.
  std::vector<std::vector<uint8_t>> TakeOutgoing() {
    return std::exchange(outgoing_, {});
  }

 private:
  static int WriteDatagram(BIO* bio, const char* data, int size);
  static int ReadDatagram(BIO* bio, char* data, int size);
  static long Control(BIO* bio, int command, long number, void* pointer);
  static const BIO_METHOD* Method();
  static int VerifyCertificate(X509_STORE_CTX* store, void*);
  static unsigned int NextTimerInterval(SSL*, unsigned int);
  // Notes the sequence numbers of what OpenSSL sends.
  void Watch(absl::Span<const uint8_t> datagram);
  // OpenSSL starts its timer, or stops it where `deadline` is zero.
  void OnTimer(timeval* deadline);
  static int WriteCookie(SSL* ssl, unsigned char* cookie, unsigned int* size);
  static int CheckCookie(SSL* ssl, const unsigned char* cookie,
                         unsigned int size);
  friend void SetVerification(SSL_CTX* context);
  friend void AllowCookies(SSL_CTX* context);

  // Has the peer's certificate be one for `name`.
  void Expect(const std::string& name);
  Progress Result(int result);

  Options options_;
  absl::Span<const uint8_t> incoming_;
  std::vector<uint8_t> cookie_;  // Of Listen(); OpenSSL asks for it again.
  std::vector<std::vector<uint8_t>> outgoing_;
  bool waiting_ = false;
  uint64_t flights_ = 0;
  // The waiting flight as it was sent, and how often it was sent again.
  std::vector<std::vector<uint8_t>> flight_;
  int retransmissions_ = 0;
  bool retransmitting_ = false;
  // OpenSSL's own deadline, where it lets us see it (below 3.2).
  timeval* deadline_ = nullptr;
  uint64_t clear_sequence_ = 0;
  uint64_t protected_sequence_ = 0;
  std::vector<uint8_t> finished_;
  std::vector<Fingerprint> fingerprints_;
  bool mismatch_seen_ = false;
  SslPtr ssl_;
};

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_CONNECTION_H_
