#include "dtls/testing/openssl_peer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "dtls/record.h"

namespace kyuu::dtls {

const BIO_METHOD* OpensslPeer::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                                 "memory for datagrams");
    BIO_meth_set_write(m, [](BIO* bio, const char* data, int size) {
      auto& out = static_cast<Wire*>(BIO_get_data(bio))->out;
      const auto* bytes = reinterpret_cast<const uint8_t*>(data);
      out.insert(out.end(), bytes, bytes + size);
      return size;
    });
    BIO_meth_set_read(m, [](BIO* bio, char* data, int size) {
      auto& in = static_cast<Wire*>(BIO_get_data(bio))->in;
      BIO_clear_retry_flags(bio);
      if (in.empty()) {
        BIO_set_retry_read(bio);
        return -1;
      }
      const size_t length = std::min(in.size(), static_cast<size_t>(size));
      std::memcpy(data, in.data(), length);
      in = {};
      return static_cast<int>(length);
    });
    BIO_meth_set_ctrl(m, [](BIO*, int command, long, void*) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return m;
  }();
  return method;
}

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
  BIO* bio = BIO_new(Method());
  BIO_set_data(bio, &wire_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_mtu(ssl_.get(), 1200);
  if (role == Role::kClient) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

void OpensslPeer::Handle(absl::Span<const uint8_t> datagram) {
  std::array<uint8_t, kPlaintextMax> buffer;
  for (int size = Open(datagram, absl::MakeSpan(buffer));;
       size = Open({}, absl::MakeSpan(buffer))) {
    if (size > 0) {
      read_.emplace_back(buffer.begin(), buffer.begin() + size);
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), size);
    failed_ |= error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN;
    return;
  }
}

absl::Span<const uint8_t> OpensslPeer::Seal(absl::string_view text) {
  internal::ClearErrors();
  wire_.out.clear();
  SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
  return wire_.out;
}

int OpensslPeer::Open(absl::Span<const uint8_t> record,
                      absl::Span<uint8_t> out) {
  internal::ClearErrors();
  wire_.in = record;
  return SSL_read(ssl_.get(), out.data(), static_cast<int>(out.size()));
}

}  // namespace kyuu::dtls
