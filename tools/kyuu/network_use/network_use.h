// The flags that say which addresses and ports a connection uses: --use,
// --advertise, --allow-peer, their opposites, and --port-range.

#ifndef KYUU_TOOLS_KYUU_NETWORK_USE_NETWORK_USE_H_
#define KYUU_TOOLS_KYUU_NETWORK_USE_NETWORK_USE_H_

#include <optional>
#include <string>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/address_filter.h"
#include "peer/host_sockets.h"
#include "peer/loop_connection.h"

namespace kyuu::tools {

// NetworkUse is what the flags said; by default all addresses and ports.
struct NetworkUse {
  AddressFilter use;        // Addresses of this machine.
  AddressFilter advertise;  // Of these, the ones that the peer is told.
  AddressFilter peers;      // Addresses of the peer.
  std::optional<peer::PortRange> ports;

  void ApplyTo(peer::LoopConnectionOptions& options) const;
};

// AddNetworkUse adds them to `command`. `use` must outlive that.
void AddNetworkUse(CLI::App& command, NetworkUse& use);

// ParsePortRange reads "50000-50100", or "50000" for one port. INVALID_ARGUMENT
// with what is wrong: no number, 0, above 65535, the end before the beginning.
absl::StatusOr<peer::PortRange> ParsePortRange(absl::string_view text);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_NETWORK_USE_NETWORK_USE_H_
