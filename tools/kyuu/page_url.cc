#include "tools/kyuu/page_url.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "signaling/endpoint.h"

namespace kyuu::tools {
namespace {

// "a%20b+c" of a query is "a b c".
bool Decode(absl::string_view text, std::string& decoded) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      decoded.push_back(' ');
    } else if (text[i] != '%') {
      decoded.push_back(text[i]);
    } else {
      if (i + 2 >= text.size() || !absl::ascii_isxdigit(text[i + 1]) ||
          !absl::ascii_isxdigit(text[i + 2])) {
        return false;
      }
      decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<PageUrl> PageUrl::Parse(absl::string_view text) {
  PageUrl page;
  absl::string_view rest = text.substr(0, text.find('#'));
  const size_t query = rest.find('?');
  if (query != absl::string_view::npos) {
    for (const absl::string_view pair :
         absl::StrSplit(rest.substr(query + 1), '&')) {
      std::string value;
      if (!Decode(pair.substr(pair.find('=') + 1), value)) {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", text, "\": an escape in it is none"));
      }
      if (absl::StartsWith(pair, "room=")) page.room = value;
      if (pair == "relay=1") page.relay = true;
    }
    rest = rest.substr(0, query);
  }
  // The page lies beside the protocol, whatever its file is called.
  const size_t scheme = rest.find("://");
  const size_t host = scheme == absl::string_view::npos ? 0 : scheme + 3;
  if (!absl::EndsWith(rest, signaling::kSignalingPath)) {
    if (absl::EndsWith(rest, "/index.html")) {
      rest.remove_suffix(sizeof "/index.html" - 1);
    }
    while (rest.size() > host && absl::EndsWith(rest, "/")) {
      rest.remove_suffix(1);
    }
    page.url = absl::StrCat(rest, signaling::kSignalingPath);
  } else {
    page.url = std::string(rest);
  }
  return page;
}

}  // namespace kyuu::tools
