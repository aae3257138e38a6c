// What kyuud says on standard output once it serves.

#ifndef KYUU_TOOLS_KYUUD_ANNOUNCEMENT_H_
#define KYUU_TOOLS_KYUUD_ANNOUNCEMENT_H_

#include <string>
#include <vector>

#include "base/address.h"
#include "relay/cluster.h"
#include "tools/kyuud/config.h"

namespace kyuu::tools {

// Whether page and signaling are among what is served.
bool ServesPages(const Config& config);

// What clients are told as relayed addresses.
std::vector<std::string> RelaysOf(const relay::Cluster& turn);

// Prints a line for each address of `http`, for those by which other machines
// reach it (on a terminal with a QR code), and for each listener of `turn`.
void Announce(const std::vector<TransportAddress>& http,
              const relay::Cluster& turn, const Config& config);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ANNOUNCEMENT_H_
