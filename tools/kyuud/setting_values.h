// How the values of settings are read from text and written, by their type.

#ifndef KYUU_TOOLS_KYUUD_SETTING_VALUES_H_
#define KYUU_TOOLS_KYUUD_SETTING_VALUES_H_

#include <algorithm>
#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/setting_words.h"
#include "tools/kyuud/settings.h"

namespace kyuu::tools {

// Value<T> reads one T from a text (INVALID_ARGUMENT if it is none) and writes
// it, and says what kind of setting it is.
template <typename T>
struct Value;

template <>
struct Value<std::string> {
  static constexpr Setting::Kind kKind = Setting::Kind::kText;
  static absl::StatusOr<std::string> Read(absl::string_view text) {
    return std::string(text);
  }
  static std::string Print(const std::string& value) { return value; }
};

template <std::integral T>
struct Value<T> {
  static constexpr Setting::Kind kKind = Setting::Kind::kInteger;
  static absl::StatusOr<T> Read(absl::string_view text) {
    T value;
    // SimpleAtoi takes signs of unsigned numbers, too.
    if (!absl::SimpleAtoi(text, &value) || text[0] == '+') {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is not a whole number of that size"));
    }
    return value;
  }
  static std::string Print(T value) { return absl::StrCat(value); }
};

template <>
struct Value<double> {
  static constexpr Setting::Kind kKind = Setting::Kind::kNumber;
  static absl::StatusOr<double> Read(absl::string_view text) {
    double value;
    if (!absl::SimpleAtod(text, &value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is not a number"));
    }
    return value;
  }
  static std::string Print(double value) { return absl::StrCat(value); }
};

// A number without unit is seconds.
template <>
struct Value<absl::Duration> {
  static constexpr Setting::Kind kKind = Setting::Kind::kDuration;
  static absl::StatusOr<absl::Duration> Read(absl::string_view text) {
    absl::Duration value;
    int64_t seconds = 0;
    if (absl::SimpleAtoi(text, &seconds)) {
      value = absl::Seconds(seconds);
    } else if (!absl::ParseDuration(text, &value)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", text, "\" is not a time like \"1h30m\", or seconds"));
    }
    if (value < absl::ZeroDuration() || value > absl::Hours(24 * 365)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is less than 0 or more than a year"));
    }
    return value;
  }
  static std::string Print(absl::Duration value) {
    return absl::FormatDuration(value);
  }
};

template <>
struct Value<TransportAddress> {
  static absl::StatusOr<TransportAddress> Read(absl::string_view text) {
    return TransportAddress::Parse(text);
  }
  static std::string Print(const TransportAddress& value) {
    return value.ToString();
  }
};

template <>
struct Value<IpPrefix> {
  static absl::StatusOr<IpPrefix> Read(absl::string_view text) {
    return IpPrefix::Parse(text);
  }
  static std::string Print(const IpPrefix& value) { return value.ToString(); }
};

template <>
struct Value<WebOrigin> {
  static absl::StatusOr<WebOrigin> Read(absl::string_view text) {
    return WebOrigin::Parse(text);
  }
  static std::string Print(const WebOrigin& value) { return value.ToString(); }
};

template <>
struct Value<TokenKeyFile> {
  static absl::StatusOr<TokenKeyFile> Read(absl::string_view text) {
    return TokenKeyFile::Parse(text);
  }
  static std::string Print(const TokenKeyFile& value) {
    return value.ToString();
  }
};

// "PUBLIC" or "PUBLIC/PRIVATE".
template <>
struct Value<Config::RelayAddress> {
  static absl::StatusOr<Config::RelayAddress> Read(absl::string_view text);
  static std::string Print(const Config::RelayAddress& value) {
    if (!value.bind.has_value()) return value.told.ToString();
    return absl::StrCat(value.told.ToString(), "/", value.bind->ToString());
  }
};

// "NAME:PASSWORD", or "NAME:0xKEY" with 32 or 64 digits, as coturn has it.
inline std::string TextOf(const PublicUrl& url) {
  return absl::StrCat(url.origin.ToString(), url.path);
}
inline std::string TextOf(const AuthorizerAddress& address) {
  return address.ToString();
}
inline std::string TextOf(const BackplaneAddress& address) {
  return address.ToString();
}

// Nothing, or what T::Parse reads.
template <typename T>
struct Value<std::optional<T>> {
  static constexpr Setting::Kind kKind = Setting::Kind::kText;
  static absl::StatusOr<std::optional<T>> Read(absl::string_view text) {
    if (text.empty()) return std::nullopt;
    absl::StatusOr<T> value = T::Parse(text);
    if (!value.ok()) return value.status();
    return *std::move(value);
  }
  static std::string Print(const std::optional<T>& value) {
    return value ? TextOf(*value) : "";
  }
};

template <typename T>
requires std::is_enum_v<T>
struct Value<T> {
  static constexpr Setting::Kind kKind = Setting::Kind::kText;
  static absl::StatusOr<T> Read(absl::string_view text) {
    const auto words = Words(T());
    const auto word = std::find(words.begin(), words.end(), text);
    if (word == words.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", text, "\" is none of ", absl::StrJoin(words, ", ")));
    }
    return static_cast<T>(word - words.begin());
  }
  static std::string Print(T value) {
    return std::string(Words(T())[static_cast<size_t>(value)]);
  }
};

// A list; the one text "none" is the empty one.
template <typename T>
struct Value<std::vector<T>> {
  static constexpr Setting::Kind kKind = Setting::Kind::kTexts;
  static absl::StatusOr<std::vector<T>> Read(
      const std::vector<std::string>& texts) {
    std::vector<T> values;
    if (texts.size() == 1 && texts[0] == "none") return values;
    values.reserve(texts.size());
    for (const std::string& text : texts) {
      absl::StatusOr<T> value = Value<T>::Read(text);
      if (!value.ok()) return value.status();
      values.push_back(*std::move(value));
    }
    return values;
  }
  static std::vector<std::string> Print(const std::vector<T>& values) {
    std::vector<std::string> texts;
    texts.reserve(values.size());
    for (const T& value : values) texts.push_back(Value<T>::Print(value));
    return texts;
  }
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_SETTING_VALUES_H_
