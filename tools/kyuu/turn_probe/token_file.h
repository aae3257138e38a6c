// What an authorization server answers who asks it for a token to show to a
// TURN server.

#ifndef KYUU_TOOLS_KYUU_TURN_PROBE_TOKEN_FILE_H_
#define KYUU_TOOLS_KYUU_TURN_PROBE_TOKEN_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "turn/client.h"
#include "turn/client_token.h"

namespace kyuu::tools {

// ParseToken reads the answer of RFC 7635 section 4.1.2, a JSON object:
//
//   {"access_token": "BASE64", "token_type": "pop", "expires_in": 1800,
//    "kid": "north", "key": "v51N62OM65kyMvfTI08O", "alg": "HMAC-SHA-1"}
//
// `key` is text there, the bytes of the key themselves, as in what
// turnutils_oauth of coturn prints; keys of any bytes go as "mac_key": "BASE64"
// instead. Base64 is of either alphabet, with or without its padding. Without
// expires_in, seconds, the token has no end that we know of. Other members are
// left alone. INVALID_ARGUMENT, which tells nothing of what is secret.
absl::StatusOr<turn::ClientToken> ParseToken(absl::string_view text);

// The same from a file of at most kTokenFileMax bytes; NOT_FOUND if it cannot
// be read.
inline constexpr size_t kTokenFileMax = 16 * 1024;
absl::StatusOr<turn::ClientToken> ReadTokenFile(const std::string& path);
// Gives `client` what stands in the file by now; errors of both.
absl::Status UseTokenFile(const std::string& path, turn::Client& client,
                          absl::Time now);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TURN_PROBE_TOKEN_FILE_H_
