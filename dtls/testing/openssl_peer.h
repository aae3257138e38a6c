// A DTLS peer that is OpenSSL alone, its record layer included: the oracle of
// ours, and its rival in benchmarks.

#ifndef KYUU_DTLS_TESTING_OPENSSL_PEER_H_
#define KYUU_DTLS_TESTING_OPENSSL_PEER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "dtls/certificate.h"
#include "dtls/internal/openssl.h"
#include "dtls/session_types.h"

namespace kyuu::dtls {

// OpensslPeer takes any certificate of the other side: it is no model of
// verification. Its retransmission timer is not served.
class OpensslPeer {
 public:
  // `ciphers` as SSL_CTX_set_cipher_list has them.
  OpensslPeer(Role role, const Certificate& certificate,
              const std::string& ciphers = "ALL");
  OpensslPeer(const OpensslPeer&) = delete;
  OpensslPeer& operator=(const OpensslPeer&) = delete;

  // Takes a datagram (none: begins) and reads what it can.
  void Handle(absl::Span<const uint8_t> datagram = {});
  // Takes all that is to be sent, in one piece: records lie one after another.
  std::vector<uint8_t> Take() { return std::exchange(wire_.out, {}); }

  bool connected() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  std::string cipher() const { return SSL_get_cipher_name(ssl_.get()); }
  // What it has read, since the last time.
  std::vector<std::string> Read() { return std::exchange(read_, {}); }
  // Seals `text`; the record, or nothing, comes from Take().
  void Write(absl::string_view text) { Seal(text); }
  void SendCloseNotify() { SSL_shutdown(ssl_.get()); }
  // The other side has sent close_notify.
  bool told_closed() const {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  // Something has ended it that is not close_notify.
  bool failed() const { return failed_; }

  // Write and Handle as fast as OpenSSL can: `text` as a record that is valid
  // until the next call, and the size of the plaintext of `record` in `out`, or
  // a negative number.
  absl::Span<const uint8_t> Seal(absl::string_view text);
  int Open(absl::Span<const uint8_t> record, absl::Span<uint8_t> out);

 private:
  struct Wire {
    absl::Span<const uint8_t> in;
    std::vector<uint8_t> out;
  };
  static const BIO_METHOD* Method();

  internal::SslCtxPtr context_;
  Wire wire_;
  internal::SslPtr ssl_;
  std::vector<std::string> read_;
  bool failed_ = false;
};

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_TESTING_OPENSSL_PEER_H_
