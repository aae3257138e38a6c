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

bool IsIceChars(absl::string_view text, size_t min) {
  return text.size() >= min && text.size() <= kCredentialSizeMax &&
         std::all_of(text.begin(), text.end(), IsIceChar);
}

}  // namespace

bool IsIceChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '+' ||
         c == '/' || c == '-' || c == '_' || c == '=' || c == '#';
}

bool IsUfrag(absl::string_view text) { return IsIceChars(text, kUfragSizeMin); }

bool IsPassword(absl::string_view text) {
  return IsIceChars(text, kPasswordSizeMin);
}

Credentials Credentials::Generate(Random& random) {
  Credentials credentials;
  credentials.ufrag = random.IceChars(kUfragSize);
  credentials.password = random.IceChars(kPasswordSize);
  return credentials;
}

absl::Status Credentials::Validate() const {
  if (!IsUfrag(ufrag)) {
    return absl::InvalidArgumentError("ice-ufrag is not 4 to 256 ice-chars");
  }
  if (!IsPassword(password)) {
    return absl::InvalidArgumentError("ice-pwd is not 22 to 256 ice-chars");
  }
  return absl::OkStatus();
}

}  // namespace kyuu::ice
