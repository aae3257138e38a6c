// The rows of [dialects]: signaling of other programs.

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tools/kyuud/setting_rows.h"

namespace kyuu::tools {
namespace {

using Change = Setting::Change;
using Kind = Setting::Kind;
using Texts = std::vector<std::string>;
using Dialects = DialectSettings;

absl::Status ReadOrigins(const Texts& texts, Config& config) {
  return ReadOriginList(texts, config.dialects.origins,
                        config.dialects.any_origin);
}

Texts PrintOrigins(const Config& config) {
  return PrintOriginList(config.dialects.origins, config.dialects.any_origin);
}

// "/", or "/below"; a slash at the end is the same path.
template <std::string Dialects::*kField>
absl::Status ReadPath(const Texts& texts, Config& config) {
  absl::string_view path = texts.front();
  if (path.size() > 1) absl::ConsumeSuffix(&path, "/");
  if (path.empty() || path.front() != '/' ||
      path.find_first_of("?#% ") != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", texts.front(), "\" is no path like \"/below\""));
  }
  config.dialects.*kField = std::string(path);
  return absl::OkStatus();
}

template <std::string Dialects::*kField>
constexpr Setting PathRow(absl::string_view key, absl::string_view flag,
                          absl::string_view doc) {
  Setting row = Row<&Config::dialects, kField>("dialects", key, flag, "PATH",
                                               Change::kRestart, doc);
  row.read = ReadPath<kField>;
  return row;
}

// It stands in paths as it is.
absl::Status ReadKey(const Texts& texts, Config& config) {
  const std::string& key = texts.front();
  if (key.empty() || key.size() > 64 ||
      !std::all_of(key.begin(), key.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
               c == '_';
      })) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", key, "\" is not 1 to 64 letters, digits, '-' and '_'"));
  }
  config.dialects.peerjs_key = key;
  return absl::OkStatus();
}

constexpr Setting KeyRow() {
  Setting row = Row<&Config::dialects, &Dialects::peerjs_key>(
      "dialects", "peerjs-key", "peerjs-key", "KEY", Change::kRestart,
      "The key that clients of PeerJS have to name");
  row.read = ReadKey;
  return row;
}

constexpr Setting kRows[] = {
    Row<&Config::dialects, &Dialects::peerjs>(
        "dialects", "peerjs", "peerjs", "off|on", Change::kRestart,
        "Whether clients of PeerJS are served (docs/dialects.md)"),
    PathRow<&Dialects::peerjs_path>(
        "peerjs-path", "peerjs-path",
        "The path that they are given; their WebSockets are at \"peerjs\" "
        "below it"),
    KeyRow(),
    Row<&Config::dialects, &Dialects::peerjs_discovery>(
        "dialects", "peerjs-discovery", "peerjs-discovery", "forbid|allow",
        Change::kRestart, "Whether everybody may list the ids of all peers"),
    Row<&Config::dialects, &Dialects::ywebrtc>(
        "dialects", "y-webrtc", "y-webrtc", "off|on", Change::kRestart,
        "Whether clients of y-webrtc are served"),
    PathRow<&Dialects::ywebrtc_path>("y-webrtc-path", "y-webrtc-path",
                                     "Where their WebSockets are"),
    {"dialects", "origins", "dialect-origin", "ORIGIN", Kind::kTexts,
     Change::kReload,
     "Other sites whose pages may use these, beside those of http.origins; "
     "or \"*\". They get no credentials of the relay here",
     ReadOrigins, PrintOrigins},
};

}  // namespace

absl::Span<const Setting> DialectRows() { return kRows; }

}  // namespace kyuu::tools
