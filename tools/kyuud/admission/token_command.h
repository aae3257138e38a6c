// `kyuud token`: makes tokens, and tells what is wrong with them.

#ifndef KYUU_TOOLS_KYUUD_ADMISSION_TOKEN_COMMAND_H_
#define KYUU_TOOLS_KYUUD_ADMISSION_TOKEN_COMMAND_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "signaling/token/admission.h"

namespace kyuu::tools {

// What a command prints: `text` goes to stdout if `code` is 0, else to stderr.
// 2 is wrong use, 1 a token that is no good.
struct TokenAnswer {
  int code = 0;
  std::string text;
};

// "create --key FILE --sub ID [...]", by the UTC `utc`.
TokenAnswer CreateToken(const std::vector<std::string>& arguments,
                        absl::Time utc);

// What `token` says, in JSON, if it is good at `utc` by `options`.
TokenAnswer VerifyToken(absl::string_view token,
                        const signaling::AdmissionOptions& options,
                        absl::Time utc);

// How both are used.
absl::string_view TokenUsage();

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ADMISSION_TOKEN_COMMAND_H_
