// FrontDoor's guests, for its own sources.

#ifndef KYUU_TOOLS_KYUUD_FRONT_DOOR_GUEST_H_
#define KYUU_TOOLS_KYUUD_FRONT_DOOR_GUEST_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/random.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/stream_port.h"
#include "signaling/server_connection.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/dialects.h"
#include "tools/kyuud/front_door.h"

namespace kyuu::tools {

// Whether the log shows what becomes of each guest. Texts for it, of which each
// takes longer than much else of a connection, are only made then.
inline bool LogsDetails() { return spdlog::should_log(spdlog::level::debug); }

// Guest is one connection.
struct FrontDoor::Guest {
  using Driver = net::StreamDriver<signaling::ServerConnection>;

  Guest(signaling::ConnectionId i, net::StreamPermit p,
        const signaling::ServerConnectionOptions& options, Random& random)
      : id(i),
        permit(std::move(p)),
        connection(options, random, net::Loop::Now()) {}

  // For logs. Of a request that a proxy has passed on, both are told.
  std::string who() const {
    const std::string remote = driver->path().remote.ToString();
    return told.has_value()
               ? absl::StrCat(told->ToString(), " (by ", remote, ")")
               : remote;
  }

  const signaling::ConnectionId id;
  const net::StreamPermit permit;
  signaling::ServerConnection connection;
  std::string name;  // By which it has reached us.
  // Whose last request it was, as a proxy that is trusted has told.
  std::optional<IpAddress> told;
  bool in_clear = false;  // Plain HTTP to a port of TLS.
  // Who serves its WebSocket: our own signaling server, as streams of events
  // always, or another one.
  Dialect dialect = Dialect::kNone;
  // Whether that one knows it.
  enum class Session : uint8_t { kNone, kOpen };
  Session session = Session::kNone;
  // In a drain it has been given a time to be closed at.
  bool parting = false;
  std::optional<Driver> driver;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_FRONT_DOOR_GUEST_H_
