// StartWarnings: what an operator should know about the machine at the start.

#ifndef KYUU_TOOLS_KYUUD_START_WARNINGS_H_
#define KYUU_TOOLS_KYUUD_START_WARNINGS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "net/limits.h"
#include "tools/kyuud/config.h"
#include "turn/server_options.h"

namespace kyuu::tools {

// What the machine is like.
struct Machine {
  // Where the relay relays from, as it found out.
  std::vector<turn::ServerOptions::RelayAddress> relays;
  // net.core.rmem_max and wmem_max; nullopt where they do not count: they
  // cannot be read, or we may exceed them.
  std::optional<size_t> receive_buffer_max;
  std::optional<size_t> send_buffer_max;
};

// Reads the limits of buffers.
Machine ReadMachine(std::vector<turn::ServerOptions::RelayAddress> relays);

struct StartWarning {
  std::string what;  // One line.
  std::string fix;   // Lines for a file, or commands.
};

// One for each thing that will most likely disappoint: relayed addresses that
// are private although clients come from other machines, and buffers that are
// smaller than what is asked for.
std::vector<StartWarning> StartWarnings(const Config& config,
                                        const Machine& machine);

// Descriptors beside connections and relays: standard ones, the log, signals,
// spares; and for each loop its own two and its listeners, of which a wildcard
// makes some.
size_t ReservedDescriptors(const Config& config);
// What the settings would use, if there were enough.
net::DescriptorBudget WantedDescriptors(const Config& config);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_START_WARNINGS_H_
