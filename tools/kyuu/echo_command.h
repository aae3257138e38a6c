// `kyuu echo`: answers any number of peers on one UDP port and one TCP port,
// with signaling on stdin and stdout (docs/kyuu.md).

#ifndef KYUU_TOOLS_KYUU_ECHO_COMMAND_H_
#define KYUU_TOOLS_KYUU_ECHO_COMMAND_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "peer/host_sockets.h"
#include "tools/kyuu/network_use/network_use.h"

namespace kyuu::tools {

// The options of the command line, as docs/kyuu.md lists them.
struct EchoOptions {
  uint16_t port = 0;
  std::optional<uint16_t> tcp_port;
  // Unset: it listens if there is a `tcp_port`, and connects in any case.
  std::optional<peer::TcpUse> tcp;
  bool lite = false;
  std::vector<peer::NatMapping> nat_mappings = {};
  NetworkUse network = {};
};

// Runs until stdin ends or a signal comes. Returns the exit status.
int RunEcho(const EchoOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_ECHO_COMMAND_H_
