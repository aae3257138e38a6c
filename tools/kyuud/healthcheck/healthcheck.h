// `kyuud healthcheck`: asks the server of this machine how it is.

#ifndef KYUU_TOOLS_KYUUD_HEALTHCHECK_HEALTHCHECK_H_
#define KYUU_TOOLS_KYUUD_HEALTHCHECK_HEALTHCHECK_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tools/kyuud/config.h"

namespace kyuu::tools {

// CheckHealth asks for /healthz where a server with `config` listens for HTTP:
// at the first address, a wildcard by loopback, by TLS if the configuration has
// certificates (which are not looked at: it is our own machine). OK for 200;
// UNAVAILABLE for another answer, one that drains, or none; DEADLINE_EXCEEDED
// after `timeout`; FAILED_PRECONDITION if it listens for no HTTP, or at a port
// of the kernel's choice.
absl::Status CheckHealth(const Config& config, absl::Duration timeout);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_HEALTHCHECK_HEALTHCHECK_H_
