#include "tools/kyuud/setting_values.h"

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tools/kyuud/user_values.h"

namespace kyuu::tools {

absl::StatusOr<Config::RelayAddress> Value<Config::RelayAddress>::Read(
    absl::string_view text) {
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  std::vector<IpAddress> addresses;
  for (const std::string& part : parts) {
    const auto address = IpAddress::Parse(part);
    if (!address.ok()) return address.status();
    if (address->IsAny() || address->IsMulticast()) {
      return absl::InvalidArgumentError("not the address of a machine");
    }
    addresses.push_back(*address);
  }
  if (addresses.size() == 1) {
    return Config::RelayAddress{addresses[0], std::nullopt};
  }
  if (addresses[0].family() != addresses[1].family()) {
    return absl::InvalidArgumentError(
        absl::StrCat("an IPv4 and an IPv6 address: \"", text, "\""));
  }
  return Config::RelayAddress{addresses[0], addresses[1]};
}

absl::StatusOr<turn::ServerOptions::User>
Value<turn::ServerOptions::User>::Read(absl::string_view text) {
  const size_t colon = text.find(':');
  // The text may be a password: it is not repeated.
  if (colon == absl::string_view::npos || colon == 0 ||
      colon + 1 == text.size()) {
    return absl::InvalidArgumentError("not NAME:PASSWORD");
  }
  turn::ServerOptions::User user;
  user.name = std::string(text.substr(0, colon));
  const absl::string_view secret = text.substr(colon + 1);
  if (!absl::StartsWith(secret, "0x")) {
    user.password = std::string(secret);
    return user;
  }
  const absl::string_view digits = secret.substr(2);
  if ((digits.size() != 32 && digits.size() != 64) ||
      !std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the key of \"", user.name,
        "\" is not 0x and 32 (MD5) or 64 (SHA-256) digits; a password does not "
        "begin with 0x"));
  }
  user.key = absl::HexStringToBytes(digits);
  return user;
}

absl::StatusOr<turn::ServerOptions::AccessTokens::Key>
Value<turn::ServerOptions::AccessTokens::Key>::Read(absl::string_view text) {
  using Algorithm = stun::TokenKey::Algorithm;
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  Key key;
  // The text may be a secret: it is not repeated.
  if (parts.size() != 3 || parts[0].empty() ||
      (parts[1] != "A128GCM" && parts[1] != "A256GCM") ||
      !absl::Base64Unescape(parts[2], &key.key)) {
    return absl::InvalidArgumentError(
        "not KID:A128GCM:KEY or KID:A256GCM:KEY, with the key in base64");
  }
  key.kid = parts[0];
  const bool is_short = parts[1] == "A128GCM";
  key.algorithm = is_short ? Algorithm::kA128Gcm : Algorithm::kA256Gcm;
  const size_t size = is_short ? 16 : 32;
  if (key.key.size() < size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the key of \"", key.kid, "\" has less than ", size, " bytes"));
  }
  key.key.resize(size);
  return key;
}

std::string Value<turn::ServerOptions::AccessTokens::Key>::Print(
    const Key& value) {
  const bool is_short = value.algorithm == stun::TokenKey::Algorithm::kA128Gcm;
  return absl::StrCat(value.kid, is_short ? ":A128GCM:" : ":A256GCM:",
                      absl::Base64Escape(value.key));
}

}  // namespace kyuu::tools
