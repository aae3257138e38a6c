// Acceptor: a DTLS server for clients that nobody knows yet (RFC 7350: STUN and
// TURN over DTLS), other than a peer of WebRTC.

#ifndef KYUU_DTLS_ACCEPTOR_H_
#define KYUU_DTLS_ACCEPTOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/random.h"
#include "dtls/session.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.

namespace kyuu::dtls {

// ServerContext is the certificates that an Acceptor shows, by a chain of
// authorities, to clients who look for a name in it. Copies are cheap; several
// threads may use them.
class ServerContext {
 public:
  // Both in PEM, the certificate with its chain.
  struct Files {
    std::string certificate_file;
    std::string key_file;
  };
  // A client gets the first one that is made out to the name it asks for (SNI,
  // RFC 6066 section 3); the first of all if none is, or if it asks for no
  // name. INVALID_ARGUMENT, with the file's name, if a file cannot be used, or
  // if there is none.
  static absl::StatusOr<ServerContext> FromFiles(
      const std::vector<Files>& pairs);
  static absl::StatusOr<ServerContext> FromFiles(
      const std::string& certificate_file, const std::string& key_file) {
    return FromFiles({{certificate_file, key_file}});
  }

  ServerContext(const ServerContext& other);
  ServerContext& operator=(const ServerContext& other);
  ~ServerContext();

 private:
  friend class Acceptor;
  explicit ServerContext(ssl_ctx_st* context) : context_(context) {}

  ssl_ctx_st* context_;
};

// Acceptor keeps nothing of whom has not shown that packets to its address
// reach it: each first ClientHello is answered with a cookie, made of the
// address and the time, and only one that brings it back makes a Session (RFC
// 6347 section 4.2.1). Such sessions ask for no certificate of the client.
class Acceptor {
 public:
  // A HelloVerifyRequest to be sent back, as a view of the acceptor's buffer;
  // never longer than what it answers.
  struct Reply {
    absl::Span<const uint8_t> bytes;
  };
  // Not a ClientHello, or one in pieces, to be dropped: who may forge pieces
  // could make us keep them.
  struct Nothing {};
  using Heard = std::variant<Nothing, Reply, Session>;

  // How long a cookie is good at least; twice that at most.
  static constexpr absl::Duration kCookieLifetime = absl::Minutes(1);

  // `random` makes the secret of the cookies, once.
  Acceptor(const ServerContext& context, Random& random,
           const Options& options);

  // Takes a datagram of `client`, of whom there is no session. The Session, if
  // one comes of it, has taken the datagram.
  Heard Hear(absl::Time now, const TransportAddress& client,
             absl::Span<const uint8_t> datagram);

  // Whether `datagram` is a whole ClientHello, the first or the second.
  static bool IsClientHello(absl::Span<const uint8_t> datagram);
  // The name that it asks for (SNI), in `datagram`; empty if none.
  static absl::string_view ServerName(absl::Span<const uint8_t> datagram);

  // New sessions show another certificate.
  void SetContext(const ServerContext& context) { context_ = context; }

 private:
  static constexpr size_t kCookieBytes = 32;
  using Cookie = std::array<uint8_t, kCookieBytes>;

  Cookie CookieOf(int64_t period, const TransportAddress& client) const;

  ServerContext context_;
  const Options options_;
  Cookie secret_;
  std::array<uint8_t, 100> reply_;
};

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_ACCEPTOR_H_
