// `kyuu netcheck`: what kind of network this machine is in, in words.

#ifndef KYUU_TOOLS_KYUU_PROBE_NETCHECK_H_
#define KYUU_TOOLS_KYUU_PROBE_NETCHECK_H_

#include <string>
#include <vector>

namespace kyuu::tools {

struct NetcheckOptions {
  // STUN servers, as ServerUrl reads them. A name without a scheme is tried
  // over UDP, TCP and TLS (without a port: 3478, and 5349 for TLS).
  std::vector<std::string> servers;
  // Whether to wait until it is known how long a mapping lives: up to 5 min.
  bool lifetime = false;
};

// RunNetcheck prints what it finds and returns the exit status: 0 if a server
// was reached by any protocol, 1 if none, or with a line on stderr.
int RunNetcheck(const NetcheckOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PROBE_NETCHECK_H_
