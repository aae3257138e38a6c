#include "dtls/testing/openssl_peer.h"

#include <array>

#include "base/check.h"
#include "dtls/record.h"

namespace kyuu::dtls {

OpensslPeer::OpensslPeer(Role role, const Certificate& certificate,
                         const std::string& ciphers)
    : context_(SSL_CTX_new(DTLS_method())) {
  SSL_CTX* context = context_.get();
  SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
  KYUU_CHECK(SSL_CTX_set_cipher_list(context, ciphers.c_str()) == 1);
  SSL_CTX_use_certificate(context,
                          SSL_CTX_get0_certificate(certificate.context()));
  SSL_CTX_use_PrivateKey(context,
                         SSL_CTX_get0_privatekey(certificate.context()));
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(
      context, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  ssl_.reset(SSL_new(context));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in, -1);
  SSL_set_bio(ssl_.get(), in, out);
  SSL_set_mtu(ssl_.get(), 1200);
  if (role == Role::kClient) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

void OpensslPeer::Handle(absl::Span<const uint8_t> datagram) {
  internal::ClearErrors();
  BIO_write(SSL_get_rbio(ssl_.get()), datagram.data(),
            static_cast<int>(datagram.size()));
  std::array<char, kPlaintextMax> buffer;
  while (true) {
    const int size = SSL_read(ssl_.get(), buffer.data(), buffer.size());
    if (size > 0) {
      read_.emplace_back(buffer.data(), static_cast<size_t>(size));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), size);
    failed_ |= error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN;
    return;
  }
}

std::vector<uint8_t> OpensslPeer::Take() {
  BIO* out = SSL_get_wbio(ssl_.get());
  std::vector<uint8_t> bytes(BIO_ctrl_pending(out));
  if (bytes.empty()) return bytes;
  BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void OpensslPeer::Write(absl::string_view text) {
  internal::ClearErrors();
  SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
}

}  // namespace kyuu::dtls
