#include "dtls/authorities.h"

#include <array>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dtls/internal/connection.h"
#include "dtls/internal/context.h"

namespace kyuu::dtls {
namespace {

// One name, behind its length.
constexpr std::array<uint8_t, 10> kAlpn = {9,   's', 't', 'u', 'n',
                                           '.', 't', 'u', 'r', 'n'};

}  // namespace

absl::StatusOr<Authorities> Authorities::Load(const std::string& ca_file) {
  ERR_clear_error();
  internal::SslCtxPtr context(SSL_CTX_new(DTLS_client_method()));
  SSL_CTX* c = context.get();
  if (c == nullptr || !internal::SetUp(c) ||
      SSL_CTX_set_alpn_protos(c, kAlpn.data(), kAlpn.size()) != 0) {
    return absl::InternalError(absl::StrCat("DTLS: ", internal::TakeError()));
  }
  const bool loaded = ca_file.empty()
                          ? SSL_CTX_set_default_verify_paths(c) == 1
                          : SSL_CTX_load_verify_file(c, ca_file.c_str()) == 1;
  if (!loaded) {
    return absl::InvalidArgumentError(
        absl::StrCat(ca_file, ": ", internal::TakeError()));
  }
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
  return Authorities(context.release());
}

Authorities::Authorities(const Authorities& other) : context_(other.context_) {
  SSL_CTX_up_ref(context_);
}

Authorities& Authorities::operator=(const Authorities& other) {
  if (this == &other) return *this;
  SSL_CTX_up_ref(other.context_);
  SSL_CTX_free(context_);
  context_ = other.context_;
  return *this;
}

Authorities::~Authorities() { SSL_CTX_free(context_); }

Session Authorities::Connect(const std::string& name,
                             const Options& options) const {
  return Session(std::make_unique<internal::Connection>(
                     context_, internal::Connection::Side::kClient,
                     internal::Connection::Options{
                         .mtu_bytes = options.mtu_bytes,
                         .peers = internal::Connection::Peers::kByName,
                         .name = name}),
                 options);
}

}  // namespace kyuu::dtls
