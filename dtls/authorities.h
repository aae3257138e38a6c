// Authorities: DTLS clients of servers that are known by name, as those of
// TURN are (RFC 7350), other than a peer of WebRTC.

#ifndef KYUU_DTLS_AUTHORITIES_H_
#define KYUU_DTLS_AUTHORITIES_H_

#include <string>

#include "absl/status/statusor.h"
#include "dtls/session.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.

namespace kyuu::dtls {

// Authorities are whom a client believes when they vouch for a server's name.
class Authorities {
 public:
  // Those of a file in PEM, or the system's if it is empty. INVALID_ARGUMENT,
  // with the file's name, if it cannot be used.
  static absl::StatusOr<Authorities> Load(const std::string& ca_file);

  Authorities(const Authorities& other);
  Authorities& operator=(const Authorities& other);
  ~Authorities();

  // A client, to be started, whose session ends with UNAUTHENTICATED unless the
  // server has a certificate for `name`, of a host or an address in numbers. It
  // names it (SNI), shows no certificate and offers `stun.turn` (RFC 7443).
  Session Connect(const std::string& name, const Options& options) const;

 private:
  explicit Authorities(ssl_ctx_st* context) : context_(context) {}

  ssl_ctx_st* context_;
};

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_AUTHORITIES_H_
