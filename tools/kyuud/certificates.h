// Certificates: those of the server, read again when their files change.

#ifndef KYUU_TOOLS_KYUUD_CERTIFICATES_H_
#define KYUU_TOOLS_KYUUD_CERTIFICATES_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dtls/acceptor.h"
#include "net/loop.h"
#include "net/tls.h"

namespace kyuu::tools {

// What the server shows to clients on TLS, and to those on DTLS.
struct ServerIdentity {
  net::TlsContext tls;
  dtls::ServerContext dtls;
};

// Certificates looks at its files from time to time: at what stands there now,
// through whatever links, as every tool that renews certificates exchanges them
// in a way of its own. A pair that cannot be used, such as a new certificate
// whose key is not written yet, changes nothing; it is tried until it can.
class Certificates {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(10);

  // `on_change` gets each new identity, never the first. `loop` must outlive
  // it.
  Certificates(net::Loop& loop, net::TlsContext::ServerOptions options,
               absl::AnyInvocable<void(ServerIdentity)> on_change);

  // The identity of the files as they are now. INVALID_ARGUMENT with the file's
  // name if there is none.
  absl::StatusOr<ServerIdentity> Load();
  // Looks at the files at once, and calls `on_change` if they have changed.
  void Check();

 private:
  // What tells the content of all files from what was there before.
  std::string Stamp() const;

  const net::TlsContext::ServerOptions options_;
  absl::AnyInvocable<void(ServerIdentity)> on_change_;
  std::string loaded_;  // Stamp of what is in use.
  std::string failed_;  // Stamp of what could not be used, and was said.
  net::Alarm alarm_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_CERTIFICATES_H_
