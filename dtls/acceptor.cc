#include "dtls/acceptor.h"

#include <openssl/hmac.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "dtls/internal/client_hello.h"
#include "dtls/internal/connection.h"
#include "dtls/internal/context.h"

namespace kyuu::dtls {

using internal::Connection;
using internal::Progress;

namespace {

// The contexts of the other certificates, which the first one owns.
using Others = std::vector<internal::SslCtxPtr>;

void FreeOthers(void*, void* others, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Others*>(others);
}

int OthersIndex() {
  static const int index = CRYPTO_get_ex_new_index(
      CRYPTO_EX_INDEX_SSL_CTX, 0, nullptr, nullptr, nullptr, &FreeOthers);
  return index;
}

bool IsFor(const SSL_CTX& context, const char* name) {
  return X509_check_host(SSL_CTX_get0_certificate(&context), name, 0, 0,
                         nullptr) == 1;
}

// Unknown names are no error: the client decides what it does with the first.
int SelectCertificate(SSL* ssl, int*, void*) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  SSL_CTX* first = SSL_get_SSL_CTX(ssl);
  if (name == nullptr || IsFor(*first, name)) return SSL_TLSEXT_ERR_OK;
  for (const internal::SslCtxPtr& other :
       *static_cast<const Others*>(SSL_CTX_get_ex_data(first, OthersIndex()))) {
    if (!IsFor(*other, name)) continue;
    SSL_set_SSL_CTX(ssl, other.get());
    break;
  }
  return SSL_TLSEXT_ERR_OK;
}

absl::StatusOr<internal::SslCtxPtr> ContextOf(
    const std::string& certificate_file, const std::string& key_file) {
  ERR_clear_error();
  internal::SslCtxPtr context(SSL_CTX_new(DTLS_server_method()));
  SSL_CTX* c = context.get();
  if (c == nullptr || !internal::SetUp(c)) {
    return absl::InternalError(absl::StrCat("DTLS: ", internal::TakeError()));
  }
  // Thousands of clients are silent most of the time.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  internal::AllowCookies(c);
  if (SSL_CTX_use_certificate_chain_file(c, certificate_file.c_str()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(certificate_file, ": ", internal::TakeError()));
  }
  if (SSL_CTX_use_PrivateKey_file(c, key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(c) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_file, ": ", internal::TakeError()));
  }
  return context;
}

}  // namespace

absl::StatusOr<ServerContext> ServerContext::FromFiles(
    const std::vector<Files>& pairs) {
  Others contexts;
  for (const Files& pair : pairs) {
    absl::StatusOr<internal::SslCtxPtr> context =
        ContextOf(pair.certificate_file, pair.key_file);
    if (!context.ok()) return context.status();
    contexts.push_back(*std::move(context));
  }
  if (contexts.empty()) {
    return absl::InvalidArgumentError("DTLS: a server needs a certificate");
  }
  internal::SslCtxPtr first = std::move(contexts.front());
  contexts.erase(contexts.begin());
  auto others = std::make_unique<Others>(std::move(contexts));
  // The context's from now on.
  KYUU_CHECK(
      SSL_CTX_set_ex_data(first.get(), OthersIndex(), others.release()) == 1);
  SSL_CTX_set_tlsext_servername_callback(first.get(), &SelectCertificate);
  return ServerContext(first.release());
}

ServerContext::ServerContext(const ServerContext& other)
    : context_(other.context_) {
  SSL_CTX_up_ref(context_);
}

ServerContext& ServerContext::operator=(const ServerContext& other) {
  if (this == &other) return *this;
  SSL_CTX_up_ref(other.context_);
  SSL_CTX_free(context_);
  context_ = other.context_;
  return *this;
}

ServerContext::~ServerContext() { SSL_CTX_free(context_); }

Acceptor::Acceptor(const ServerContext& context, Random& random,
                   const Options& options)
    : context_(context), options_(options) {
  random.Fill(absl::MakeSpan(secret_));
}

Acceptor::Heard Acceptor::Hear(absl::Time now, const TransportAddress& client,
                               absl::Span<const uint8_t> datagram) {
  const auto hello = internal::ReadClientHello(datagram);
  if (!hello) return Nothing();
  const int64_t period = (now - absl::UnixEpoch()) / kCookieLifetime;
  const Cookie cookie = CookieOf(period, client);
  for (const Cookie& good : {cookie, CookieOf(period - 1, client)}) {
    if (hello->cookie != absl::MakeConstSpan(good)) continue;
    auto connection = std::make_unique<Connection>(
        context_.context_, Connection::Side::kServer,
        Connection::Options{.mtu_bytes = options_.mtu_bytes,
                            .peers = Connection::Peers::kAnybody});
    connection->SetIncoming(datagram);
    if (connection->Listen(good) != Progress::kDone) return Nothing();
    return Session(std::move(connection), now, options_);
  }
  return Reply{
      internal::WriteHelloVerify(*hello, cookie, absl::MakeSpan(reply_))};
}

bool Acceptor::IsClientHello(absl::Span<const uint8_t> datagram) {
  return internal::ReadClientHello(datagram).has_value();
}

absl::string_view Acceptor::ServerName(absl::Span<const uint8_t> datagram) {
  const auto hello = internal::ReadClientHello(datagram);
  return hello ? hello->server_name : absl::string_view();
}

Acceptor::Cookie Acceptor::CookieOf(int64_t period,
                                    const TransportAddress& client) const {
  std::array<uint8_t, 8 + 2 + 16> said;
  Writer w(absl::MakeSpan(said));
  w.U64(static_cast<uint64_t>(period));
  w.U16(client.port);
  w.Bytes(client.ip.bytes());
  Cookie cookie;
  unsigned size = 0;
  KYUU_CHECK(HMAC(EVP_sha256(), secret_.data(), kCookieBytes, said.data(),
                  w.size(), cookie.data(), &size) != nullptr);
  return cookie;
}

}  // namespace kyuu::dtls
