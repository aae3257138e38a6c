#include "tools/kyuu/turn_probe/token_file.h"

#include <array>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {
namespace {

using nlohmann::json;

// A token and a key are short, and so is the longest time: 100 years.
constexpr int64_t kSecondsMax = int64_t{100} * 366 * 86'400;

absl::StatusOr<std::string> TextOf(const json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no text \"", name, "\""));
  }
  return it->get<std::string>();
}

absl::StatusOr<std::string> BytesOf(const json& object, const char* name) {
  KYUU_ASSIGN_OR_RETURN(const std::string text, TextOf(object, name));
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(
          absl::StrReplaceAll(text, {{"+", "-"}, {"/", "_"}}), &bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is not base64"));
  }
  return bytes;
}

}  // namespace

absl::StatusOr<turn::ClientToken> ParseToken(absl::string_view text) {
  const json object = json::parse(text.begin(), text.end(), nullptr,
                                  /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError("it is not a JSON object");
  }
  turn::ClientToken token;
  KYUU_ASSIGN_OR_RETURN(token.token, BytesOf(object, "access_token"));
  KYUU_ASSIGN_OR_RETURN(token.kid, TextOf(object, "kid"));
  if (object.contains("key") == object.contains("mac_key")) {
    return absl::InvalidArgumentError("either \"key\" or \"mac_key\" is there");
  }
  KYUU_ASSIGN_OR_RETURN(token.mac_key, object.contains("key")
                                           ? TextOf(object, "key")
                                           : BytesOf(object, "mac_key"));
  if (const auto it = object.find("expires_in"); it != object.end()) {
    if (!it->is_number_unsigned() ||
        it->get<uint64_t>() > static_cast<uint64_t>(kSecondsMax)) {
      return absl::InvalidArgumentError(
          "\"expires_in\" is not a number of seconds");
    }
    token.lifetime = absl::Seconds(it->get<int64_t>());
  }
  KYUU_RETURN_IF_ERROR(token.Validate());
  return token;
}

absl::StatusOr<turn::ClientToken> ReadTokenFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, kTokenFileMax + 1> text;
  file.read(text.data(), text.size());
  if (file.bad() || !file.is_open()) {
    return absl::NotFoundError(
        absl::StrCat("no token can be read from ", path));
  }
  const auto size = static_cast<size_t>(file.gcount());
  if (size > kTokenFileMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has more than ", kTokenFileMax, " bytes"));
  }
  absl::StatusOr<turn::ClientToken> token = ParseToken({text.data(), size});
  if (!token.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", token.status().message()));
  }
  return token;
}

absl::Status UseTokenFile(const std::string& path, turn::Client& client,
                          absl::Time now) {
  KYUU_ASSIGN_OR_RETURN(turn::ClientToken token, ReadTokenFile(path));
  return client.UseToken(now, std::move(token));
}

}  // namespace kyuu::tools
