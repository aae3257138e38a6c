// /v1/whoami: tells a client how its request has arrived.

#ifndef KYUU_TOOLS_KYUUD_CLIENT_ADDRESS_WHOAMI_H_
#define KYUU_TOOLS_KYUUD_CLIENT_ADDRESS_WHOAMI_H_

#include "absl/strings/string_view.h"
#include "signaling/http.h"
#include "tools/kyuud/client_address/client_address.h"
#include "tools/kyuud/dialect_options.h"

namespace kyuu::tools {

inline constexpr absl::string_view kWhoamiPath = "/v1/whoami";

// An object of JSON: "address", "forwarded_for" ("none", "used", "ignored",
// "unreadable"), "host" and "forwarded_host" as they came, and where other
// programs' signaling is, "peerjs" and "y_webrtc", if it is. It tells nobody
// but who has asked, what that one has sent itself, or its proxy.
signaling::HttpResponse AnswerWhoami(const signaling::HttpRequest& request,
                                     const ClientAddress& client,
                                     const DialectSettings& dialects);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_CLIENT_ADDRESS_WHOAMI_H_
