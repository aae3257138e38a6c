#include "tools/kyuud/backplane/address.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/address.h"

namespace kyuu::tools {
namespace {

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      what,
      "; a backplane is redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]"
      "[?prefix=PREFIX], or rediss:// for TLS"));
}

bool IsWord(absl::string_view text, absl::string_view others) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::StrContains(others, c);
  });
}

std::optional<std::string> Unescape(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '%') {
      out.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 3 || !absl::ascii_isxdigit(text[1]) ||
        !absl::ascii_isxdigit(text[2])) {
      return std::nullopt;
    }
    out.append(absl::HexStringToBytes(text.substr(1, 2)));
    text.remove_prefix(3);
  }
  return out;
}

std::string Escape(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    if (IsWord(absl::string_view(&c, 1), "-._~")) {
      out.push_back(c);
    } else {
      absl::StrAppend(&out, "%",
                      absl::BytesToHexString(absl::string_view(&c, 1)));
    }
  }
  return out;
}

// Takes what stands before the last `mark` off `text`; nullopt without one.
std::optional<absl::string_view> TakeBefore(absl::string_view& text,
                                            char mark) {
  const size_t at = text.rfind(mark);
  if (at == absl::string_view::npos) return std::nullopt;
  const absl::string_view before = text.substr(0, at);
  text.remove_prefix(at + 1);
  return before;
}

bool ReadUser(absl::string_view text, BackplaneAddress& address) {
  const size_t colon = text.find(':');
  if (colon == absl::string_view::npos) return false;
  const auto user = Unescape(text.substr(0, colon));
  const auto password = Unescape(text.substr(colon + 1));
  if (!user || !password || password->empty()) return false;
  address.user = *user;
  address.password = *password;
  return true;
}

bool ReadHost(absl::string_view text, BackplaneAddress& address) {
  absl::string_view host = text, port = "6379";
  if (absl::StartsWith(text, "[")) {
    const size_t end = text.find(']');
    if (end == absl::string_view::npos) return false;
    host = text.substr(1, end - 1);
    absl::string_view rest = text.substr(end + 1);
    if (!IpAddress::Parse(host).ok()) return false;
    if (!rest.empty()) {
      if (!absl::ConsumePrefix(&rest, ":")) return false;
      port = rest;
    }
  } else {
    const size_t colon = text.find(':');
    if (colon != absl::string_view::npos) {
      host = text.substr(0, colon);
      port = text.substr(colon + 1);
    }
    if (!IsWord(host, "-._")) return false;
  }
  uint32_t number = 0;
  if (host.empty() || host.size() > 253 || !IsWord(port, "") ||
      !absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) {
    return false;
  }
  address.host = std::string(host);
  address.port = static_cast<uint16_t>(number);
  return true;
}

}  // namespace

absl::StatusOr<BackplaneAddress> BackplaneAddress::Parse(
    absl::string_view text) {
  BackplaneAddress address;
  address.tls = absl::ConsumePrefix(&text, "rediss://");
  if (!address.tls && !absl::ConsumePrefix(&text, "redis://")) {
    return Wrong("it does not begin with redis:// or rediss://");
  }
  absl::string_view rest = text;
  if (const auto before = TakeBefore(rest, '?')) {
    text = *before;
    if (!absl::ConsumePrefix(&rest, "prefix=") || rest.empty() ||
        rest.size() > 64 || !IsWord(rest, "-_.:")) {
      return Wrong(
          "behind the \"?\" stands only prefix=, with 1 to 64 letters, digits, "
          "'-', '_', '.' and ':'");
    }
    address.prefix = std::string(rest);
  }
  absl::string_view place = text;
  if (const auto before = TakeBefore(place, '@')) {
    if (!ReadUser(*before, address)) {
      return Wrong("before the \"@\" is no USER:PASSWORD or :PASSWORD");
    }
  }
  const size_t slash = place.find('/');
  if (slash != absl::string_view::npos) {
    const absl::string_view database = place.substr(slash + 1);
    if (!database.empty() &&
        (!absl::SimpleAtoi(database, &address.database) ||
         !IsWord(database, "") || address.database > 65535)) {
      return Wrong("behind the \"/\" is no number of a database");
    }
    place = place.substr(0, slash);
  }
  if (!ReadHost(place, address)) return Wrong("it has no HOST:PORT");
  return address;
}

std::string BackplaneAddress::Place() const {
  const bool is_ipv6 = absl::StrContains(host, ':');
  return absl::StrCat(is_ipv6 ? "[" : "", host, is_ipv6 ? "]:" : ":", port);
}

std::string BackplaneAddress::ToString() const {
  std::string text = tls ? "rediss://" : "redis://";
  if (!password.empty()) {
    absl::StrAppend(&text, Escape(user), ":", Escape(password), "@");
  }
  absl::StrAppend(&text, Place());
  if (database != 0) absl::StrAppend(&text, "/", database);
  if (prefix != BackplaneAddress().prefix) {
    absl::StrAppend(&text, "?prefix=", prefix);
  }
  return text;
}

}  // namespace kyuu::tools
