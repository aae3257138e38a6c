// From names of STUN and TURN servers to what a peer connection wants.

#ifndef KYUU_TOOLS_KYUU_ICE_SERVERS_H_
#define KYUU_TOOLS_KYUU_ICE_SERVERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "peer/connection.h"
#include "peer/server_url.h"

namespace kyuu::tools {

using peer::ServerKind;
using peer::ServerUrl;

// Parses and resolves `text`, which may block for seconds, and adds the server
// to `options` by peer::AddResolved, with `username` and `password` unless the
// text has its own. INVALID_ARGUMENT, UNIMPLEMENTED or NOT_FOUND with a text
// for a person.
absl::Status AddIceServer(absl::string_view text, ServerKind kind,
                          absl::string_view username,
                          absl::string_view password, peer::Options& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_ICE_SERVERS_H_
