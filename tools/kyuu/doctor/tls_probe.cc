#include "tools/kyuu/doctor/tls_probe.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>

#include <array>
#include <csignal>
#include <memory>

#include "absl/strings/str_cat.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace kyuu::tools {
namespace {

struct Free {
  void operator()(SSL_CTX* x) const { SSL_CTX_free(x); }
  void operator()(SSL* x) const { SSL_free(x); }
};

std::string LastError() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "the connection was closed in the handshake";
  std::array<char, 256> text;
  ERR_error_string_n(error, text.data(), text.size());
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? text.data() : reason;
}

// Drives the handshake over the descriptor of `ssl` until `deadline`.
absl::Status ShakeHands(SSL* ssl, int fd, absl::Time deadline) {
  while (true) {
    ERR_clear_error();
    const int done = SSL_connect(ssl);
    if (done == 1) return absl::OkStatus();
    const int wants = SSL_get_error(ssl, done);
    if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) {
      return absl::UnavailableError(LastError());
    }
    const absl::Duration left = deadline - net::Loop::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("no handshake of TLS in time");
    }
    pollfd ready{
        fd, static_cast<short>(wants == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT),
        0};
    // Whatever it says, the next turn asks OpenSSL and the clock.
    (void)poll(&ready, 1,
               static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
  }
}

// Connects with the versions that `context` has; `look` gets to see the end.
template <typename Look>
absl::Status Handshake(SSL_CTX* context, const TransportAddress& server,
                       const std::string& host, absl::Duration patience,
                       Look look) {
  const absl::Time deadline = net::Loop::Now() + patience;
  const absl::StatusOr<net::TcpStream> stream = net::TcpStream::Connect(server);
  if (!stream.ok()) return stream.status();
  const std::unique_ptr<SSL, Free> ssl(SSL_new(context));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), stream->fd()) != 1) {
    return absl::InternalError(LastError());
  }
  // An address in numbers is no name to ask for (RFC 6066 section 3).
  if (!IpAddress::Parse(host).ok()) {
    SSL_set_tlsext_host_name(ssl.get(), host.c_str());
  }
  const absl::Status status = ShakeHands(ssl.get(), stream->fd(), deadline);
  if (status.ok()) look(*ssl);
  return status;
}

void Look(const SSL& ssl, TlsFacts& facts) {
  facts.version = SSL_get_version(&ssl);
  const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(&ssl);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    facts.chain.push_back(FactsOf(*sk_X509_value(chain, i)));
  }
  const long verdict = SSL_get_verify_result(&ssl);
  if (verdict != X509_V_OK) {
    facts.distrust = X509_verify_cert_error_string(verdict);
  }
}

}  // namespace

TlsFacts ProbeTls(const TransportAddress& server, const std::string& host,
                  absl::Duration patience) {
  TlsFacts facts;
  // OpenSSL writes to the socket itself, and a server may have closed it.
  std::signal(SIGPIPE, SIG_IGN);
  const std::unique_ptr<SSL_CTX, Free> context(
      SSL_CTX_new(TLS_client_method()));
  if (context == nullptr ||
      SSL_CTX_set_default_verify_paths(context.get()) != 1) {
    facts.handshake = absl::InternalError(LastError());
    return facts;
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  facts.handshake = Handshake(context.get(), server, host, patience,
                              [&](const SSL& ssl) { Look(ssl, facts); });
  if (!facts.handshake.ok()) return facts;
  // What is old is only spoken at the level of security that it has.
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_1_VERSION);
  const absl::Status old =
      Handshake(context.get(), server, host, patience, [](const SSL&) {});
  if (!absl::IsDeadlineExceeded(old)) facts.takes_old = old.ok();
  return facts;
}

}  // namespace kyuu::tools
