#include "turn/realm_options.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace kyuu::turn {

std::string CanonicOrigin(absl::string_view origin) {
  std::string text = absl::AsciiStrToLower(origin);
  absl::string_view rest = absl::StripSuffix(text, "/");
  if (absl::StartsWith(rest, "http://")) rest = absl::StripSuffix(rest, ":80");
  if (absl::StartsWith(rest, "https://")) {
    rest = absl::StripSuffix(rest, ":443");
  }
  return std::string(rest);
}

std::string CanonicHost(absl::string_view host) {
  return absl::AsciiStrToLower(absl::StripSuffix(host, "."));
}

absl::Status ValidateHost(absl::string_view host) {
  const std::string name = CanonicHost(host);
  const bool is_name =
      !name.empty() && name.size() <= 253 &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
               c == '.' || c == '_';
      });
  // SNI is for names only (RFC 6066 section 3).
  if (!is_name || IpAddress::Parse(name).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a host of a realm is a name as clients ask for by TLS, not \"", host,
        "\""));
  }
  return absl::OkStatus();
}

}  // namespace kyuu::turn
