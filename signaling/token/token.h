// Tokens: who somebody is and what he may, signed by who knows (JSON Web
// Tokens, RFC 7519, in the compact form of RFC 7515; RFC 8725 says what is to
// be minded).

#ifndef KYUU_SIGNALING_TOKEN_TOKEN_H_
#define KYUU_SIGNALING_TOKEN_TOKEN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "signaling/message_limits.h"
#include "signaling/token/key.h"
#include "signaling/token/room_patterns.h"

namespace kyuu::signaling {

inline constexpr size_t kMaxSubjectBytes = 128;

// What a token has to say beside being signed.
struct TokenRules {
  std::string issuer;    // `iss`; "" for any.
  std::string audience;  // In `aud`; "" for tokens that are for nobody special.
  // By how much clocks may differ.
  absl::Duration leeway = absl::Seconds(60);
};

// What a good token says.
struct TokenClaims {
  std::string subject;  // `sub`: 1 to kMaxSubjectBytes bytes, printable UTF-8.
  std::string name;     // `name`, not empty if there.
  RoomPatterns rooms;   // `rooms`.
  absl::Time expires;   // `exp`, without leeway; UTC.
};

enum class TokenFault : uint8_t {
  kMalformed,   // No token, or not of a form that is spoken here.
  kUnknownKey,  // No key of ours is of that id and algorithm.
  kSignature,
  kExpired,
  kNotYet,  // `nbf` is to come.
  kClaims,  // A claim is missing, of a wrong type, or not what is asked for.
};
struct TokenRefused {
  TokenFault fault = TokenFault::kMalformed;
  std::string reason;  // English, for a person; nothing secret.
};

// VerifyToken returns what `token` says if it is good at `utc`. Nothing of it
// is looked at before its signature but which key it names. Refused are tokens
// of more than kMaxTokenBytes, encrypted ones, those with `crit` (no extension
// is understood here), without `sub` or `exp`, and with an `aud` that nobody
// has asked for (RFC 7519 section 4.1.3). A token that names a key (`kid`) may
// be signed by that one or by a key without an id; other tokens by keys without
// an id.
std::variant<TokenClaims, TokenRefused> VerifyToken(absl::string_view token,
                                                    const KeySet& keys,
                                                    const TokenRules& rules,
                                                    absl::Time utc);

// Whether `text` has the three parts of a token, whatever is in them.
bool LooksLikeToken(absl::string_view text);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TOKEN_TOKEN_H_
