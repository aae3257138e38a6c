// Where the backplane is that several kyuud share.

#ifndef KYUU_TOOLS_KYUUD_BACKPLANE_ADDRESS_H_
#define KYUU_TOOLS_KYUUD_BACKPLANE_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {

// How the backplane is trusted over TLS, and trusts us.
struct BackplaneTls {
  std::string ca_file;           // PEM; "" for the authorities of the system.
  std::string certificate_file;  // PEM, ours, if Redis asks for one;
  std::string key_file;          // and its key.

  friend bool operator==(const BackplaneTls&, const BackplaneTls&) = default;
};

struct BackplaneAddress {
  // Over TLS, with a certificate made out to `host`.
  bool tls = false;
  std::string host;
  uint16_t port = 6379;
  std::string user;  // "" for the default one.
  std::string password;
  int database = 0;
  // Before all keys and channels, so that several services may share a Redis.
  std::string prefix = "kyuu";

  // "redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=PREFIX]", or
  // "rediss://..." for TLS; user and password with percent escapes.
  // INVALID_ARGUMENT otherwise, in words that do not repeat a password.
  static absl::StatusOr<BackplaneAddress> Parse(absl::string_view text);
  // As Parse() takes it.
  std::string ToString() const;
  // Host and port, for people.
  std::string Place() const;

  friend bool operator==(const BackplaneAddress&,
                         const BackplaneAddress&) = default;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_BACKPLANE_ADDRESS_H_
