// From names of STUN and TURN servers to what a peer connection wants.

#ifndef KYUU_TOOLS_KYUU_ICE_SERVERS_H_
#define KYUU_TOOLS_KYUU_ICE_SERVERS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "peer/connection.h"
#include "tools/kyuu/server_url.h"

namespace kyuu::tools {

// Addresses of one server that are used for each family: the first may be one
// where nobody listens, and many would only cost.
inline constexpr size_t kAddressesPerFamilyMax = 2;

// Adds the server `url` to `options` once for each of `addresses`: a name is
// several servers, of which ICE takes the one that answers (RFC 8445 section
// 5.1.1.2 gathers from each, RFC 8305 tries them all).
void AddResolved(const ServerUrl& url,
                 absl::Span<const TransportAddress> addresses,
                 peer::Options& options);

// Parses and resolves `text`, which may block for seconds, and adds the server
// to `options` by AddResolved, with `username` and `password` unless the text
// has its own. INVALID_ARGUMENT, UNIMPLEMENTED or NOT_FOUND with a text for a
// person.
absl::Status AddIceServer(absl::string_view text, ServerKind kind,
                          absl::string_view username,
                          absl::string_view password, peer::Options& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_ICE_SERVERS_H_
