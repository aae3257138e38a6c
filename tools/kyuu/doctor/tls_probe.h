// ProbeTls: what a server shows of itself in a handshake of TLS.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_TLS_PROBE_H_
#define KYUU_TOOLS_KYUU_DOCTOR_TLS_PROBE_H_

#include <string>

#include "absl/time/time.h"
#include "base/address.h"
#include "tools/kyuu/doctor/facts.h"

namespace kyuu::tools {

// Shakes hands twice: as clients do, taking any certificate so as to see it,
// and with TLS 1.1 at most. Blocks for `patience` at most, each time.
TlsFacts ProbeTls(const TransportAddress& server, const std::string& host,
                  absl::Duration patience);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_TLS_PROBE_H_
