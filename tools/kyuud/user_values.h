// How users and keys of tokens are read from text and written.

#ifndef KYUU_TOOLS_KYUUD_USER_VALUES_H_
#define KYUU_TOOLS_KYUUD_USER_VALUES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/kyuud/setting_values.h"
#include "turn/server_options.h"

namespace kyuu::tools {

template <>
struct Value<turn::ServerOptions::User> {
  static absl::StatusOr<turn::ServerOptions::User> Read(absl::string_view text);
  static std::string Print(const turn::ServerOptions::User& value) {
    if (value.key.empty()) return absl::StrCat(value.name, ":", value.password);
    return absl::StrCat(value.name, ":0x", absl::BytesToHexString(value.key));
  }
};

// "KID:A128GCM:KEY" or "KID:A256GCM:KEY", with the key in base64 as coturn has
// it: what is beyond its 16 or 32 bytes is left out.
template <>
struct Value<turn::ServerOptions::AccessTokens::Key> {
  using Key = turn::ServerOptions::AccessTokens::Key;
  static absl::StatusOr<Key> Read(absl::string_view text);
  static std::string Print(const Key& value);
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_USER_VALUES_H_
