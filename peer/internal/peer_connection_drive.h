// Core::Drive: what runs a Core on its workplace.

#ifndef KYUU_PEER_INTERNAL_PEER_CONNECTION_DRIVE_H_
#define KYUU_PEER_INTERNAL_PEER_CONNECTION_DRIVE_H_

#include <memory>
#include <optional>

#include "net/drive.h"
#include "net/resolver.h"
#include "peer/host_sockets.h"
#include "peer/internal/peer_connection_core.h"
#include "peer/peer_streams.h"
#include "peer/server_streams.h"
#include "peer/shared_port.h"

namespace kyuu::peer::internal {

struct Core::Drive {
  explicit Drive(Core& core);
  // Names of addresses are not answered for any more.
  ~Drive();

  void Add(const HostSocket& host);
  void Remove(const HostSocket& host);
  // Most connections need neither.
  ServerStreams& Streams();
  net::Resolver& Resolver();

  Core& core;
  net::Driver<Core> driver;
  std::unique_ptr<ServerStreams> streams;
  PeerStreams peer_streams;
  std::optional<PortSeat<Core>> seat;  // If the workplace has a port.
  std::optional<HostWatch> watch;      // Else.
  std::unique_ptr<net::Resolver> resolver;
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PEER_CONNECTION_DRIVE_H_
