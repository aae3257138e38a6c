// Passwords of servers, which do not belong on a command line.

#ifndef KYUU_TOOLS_KYUU_PASSWORD_H_
#define KYUU_TOOLS_KYUU_PASSWORD_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {

// The variable of the environment that holds a TURN server's password.
inline constexpr char kPasswordVariable[] = "KYUU_TURN_PASSWORD";

// WithPassword makes "turn:USER@HOST" "turn:USER:PASSWORD@HOST", with the
// password of the environment, or one that is asked for on the terminal,
// unseen. Text with a password, or without a user, is returned as it is.
// UNAVAILABLE if there is neither.
absl::StatusOr<std::string> WithPassword(absl::string_view text);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PASSWORD_H_
