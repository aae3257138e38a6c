// Rows of the table of settings, made from the fields of Config that they set.

#ifndef KYUU_TOOLS_KYUUD_SETTING_ROWS_H_
#define KYUU_TOOLS_KYUUD_SETTING_ROWS_H_

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/setting_values.h"
#include "tools/kyuud/settings.h"

namespace kyuu::tools {

// The field of `outer` that is some steps behind it.
template <auto kField, auto... kRest, typename Outer>
auto& FieldOf(Outer& outer) {
  if constexpr (sizeof...(kRest) == 0) {
    return outer.*kField;
  } else {
    return FieldOf<kRest...>(outer.*kField);
  }
}

template <auto... kPath>
using FieldType = std::remove_reference_t<decltype(FieldOf<kPath...>(
    std::declval<Config&>()))>;

// Reads the texts of a setting into what it sets, and prints that.
template <typename T>
absl::Status ReadInto(const std::vector<std::string>& texts, T& field) {
  using V = Value<T>;
  if constexpr (V::kKind == Setting::Kind::kTexts) {
    auto value = V::Read(texts);
    if (!value.ok()) return value.status();
    field = *std::move(value);
  } else {
    auto value = V::Read(texts.front());
    if (!value.ok()) return value.status();
    field = *std::move(value);
  }
  return absl::OkStatus();
}
template <typename T>
std::vector<std::string> PrintOf(const T& field) {
  if constexpr (Value<T>::kKind == Setting::Kind::kTexts) {
    return Value<T>::Print(field);
  } else {
    return {Value<T>::Print(field)};
  }
}

template <auto... kPath>
absl::Status ReadField(const std::vector<std::string>& texts, Config& config) {
  return ReadInto(texts, FieldOf<kPath...>(config));
}
template <auto... kPath>
std::vector<std::string> PrintField(const Config& config) {
  return PrintOf(FieldOf<kPath...>(config));
}

// The row of a field, by the steps to it from Config.
template <auto... kPath>
constexpr Setting Row(absl::string_view section, absl::string_view key,
                      absl::string_view flag, absl::string_view form,
                      Setting::Change change, absl::string_view doc) {
  return {section,
          key,
          flag,
          form,
          Value<FieldType<kPath...>>::kKind,
          change,
          doc,
          ReadField<kPath...>,
          PrintField<kPath...>};
}

// A number that must be of a range.
template <int64_t kMin, int64_t kMax, auto... kPath>
absl::Status ReadBounded(const std::vector<std::string>& texts,
                         Config& config) {
  const absl::Status status = ReadField<kPath...>(texts, config);
  if (!status.ok()) return status;
  const auto value = FieldOf<kPath...>(config);
  if (value >= static_cast<decltype(value)>(kMin) &&
      value <= static_cast<decltype(value)>(kMax)) {
    return status;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(value, " is not of ", kMin, " to ", kMax));
}

template <int64_t kMin, int64_t kMax, auto... kPath>
constexpr Setting Bounded(absl::string_view section, absl::string_view key,
                          absl::string_view flag, absl::string_view form,
                          Setting::Change change, absl::string_view doc) {
  Setting row = Row<kPath...>(section, key, flag, form, change, doc);
  row.read = ReadBounded<kMin, kMax, kPath...>;
  return row;
}

// A time of so many milliseconds at least.
inline constexpr int64_t kMillisecond = 1;
inline constexpr int64_t kSecond = 1000;

template <int64_t kLeastMs, auto... kPath>
absl::Status ReadAtLeast(const std::vector<std::string>& texts,
                         Config& config) {
  const absl::Status status = ReadField<kPath...>(texts, config);
  const absl::Duration least = absl::Milliseconds(kLeastMs);
  if (!status.ok() || FieldOf<kPath...>(config) >= least) return status;
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", texts.front(), "\" is less than ", absl::FormatDuration(least)));
}

template <int64_t kLeastMs, auto... kPath>
constexpr Setting AtLeast(absl::string_view section, absl::string_view key,
                          absl::string_view flag, Setting::Change change,
                          absl::string_view doc) {
  Setting row = Row<kPath...>(section, key, flag, "TIME", change, doc);
  row.read = ReadAtLeast<kLeastMs, kPath...>;
  return row;
}

// A list of origins, in which "*" stands for all.
absl::Status ReadOriginList(const std::vector<std::string>& texts,
                            std::vector<WebOrigin>& origins, bool& any);
std::vector<std::string> PrintOriginList(const std::vector<WebOrigin>& origins,
                                         bool any);

// The rows of [admission].
absl::Span<const Setting> AdmissionRows();
// The rows of [dialects].
absl::Span<const Setting> DialectRows();
// The rows of [limits].
absl::Span<const Setting> LimitSettings();

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_SETTING_ROWS_H_
