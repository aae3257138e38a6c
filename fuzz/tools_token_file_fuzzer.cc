// What is read from a file as a TURN token: it is refused with a reason, or can
// be used.

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "tools/kyuu/turn_probe/token_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto token = kyuu::tools::ParseToken(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  KYUU_CHECK(token.ok() ? token->Validate().ok()
                        : !token.status().message().empty());
  return 0;
}
