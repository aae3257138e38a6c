// Which signaling of other programs kyuud serves beside its own, and where.

#ifndef KYUU_TOOLS_KYUUD_DIALECT_OPTIONS_H_
#define KYUU_TOOLS_KYUUD_DIALECT_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/kyuud/routes.h"

namespace kyuu::tools {

// DialectSettings are what operators choose (docs/dialects.md). Paths begin
// with a slash and end with none; "/" is the root.
struct DialectSettings {
  enum class Service : uint8_t { kOff, kOn };
  // Whether everybody may ask for the ids of all peers.
  enum class Discovery : uint8_t { kForbid, kAllow };

  Service peerjs = Service::kOn;
  // The `path` of `new Peer()`: WebSockets are at "peerjs" below it.
  std::string peerjs_path = "/";
  std::string peerjs_key = "peerjs";
  Discovery peerjs_discovery = Discovery::kForbid;

  Service ywebrtc = Service::kOn;
  std::string ywebrtc_path = "/y-webrtc";

  // Pages that may come, beside those that may speak kyuu's own protocol.
  std::vector<WebOrigin> origins;
  bool any_origin = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DIALECT_OPTIONS_H_
