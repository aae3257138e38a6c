#include "ice/credentials.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "base/random.h"

namespace kyuu::ice {
namespace {

constexpr size_t kUfragSize = 8;
constexpr size_t kPasswordSize = 24;

bool IsIceChars(absl::string_view text, size_t min, size_t max) {
  return text.size() >= min && text.size() <= max &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '+' || c == '/';
         });
}

}  // namespace

Credentials Credentials::Generate(Random& random) {
  Credentials credentials;
  credentials.ufrag = random.IceChars(kUfragSize);
  credentials.password = random.IceChars(kPasswordSize);
  return credentials;
}

absl::Status Credentials::Validate() const {
  if (!IsIceChars(ufrag, 4, 256)) {
    return absl::InvalidArgumentError("ice-ufrag is not 4 to 256 ice-chars");
  }
  if (!IsIceChars(password, 22, 256)) {
    return absl::InvalidArgumentError("ice-pwd is not 22 to 256 ice-chars");
  }
  return absl::OkStatus();
}

}  // namespace kyuu::ice
