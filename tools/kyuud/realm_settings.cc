// The rows of [[realm]].

#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/kyuud/setting_values.h"
#include "tools/kyuud/settings.h"

namespace kyuu::tools {
namespace {

using Kind = Setting::Kind;
using Change = Setting::Change;
using Texts = std::vector<std::string>;
using Options = turn::RealmOptions;

template <auto kField>
auto& FieldOf(Options& options) {
  return options.*kField;
}

template <auto kField>
using FieldType = std::remove_reference_t<decltype(FieldOf<kField>(
    std::declval<Options&>()))>;

// Into the last realm that has begun.
template <auto kField>
absl::Status ReadField(const Texts& texts, Config& config) {
  using V = Value<FieldType<kField>>;
  auto& field = FieldOf<kField>(config.realms.back().options);
  if constexpr (V::kKind == Kind::kTexts) {
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

// Of the last realm, or of one as it is unless set.
template <auto kField>
Texts PrintField(const Config& config) {
  using V = Value<FieldType<kField>>;
  Options options =
      config.realms.empty() ? Options() : config.realms.back().options;
  if constexpr (V::kKind == Kind::kTexts) {
    return V::Print(FieldOf<kField>(options));
  } else {
    return {V::Print(FieldOf<kField>(options))};
  }
}

template <auto kField>
constexpr Setting Row(absl::string_view key, absl::string_view form,
                      absl::string_view doc) {
  return {kRealmSection,
          key,
          "",
          form,
          Value<FieldType<kField>>::kKind,
          Change::kReload,
          doc,
          ReadField<kField>,
          PrintField<kField>};
}

absl::Status ReadSecretFiles(const Texts& texts, Config& config) {
  auto names = Value<Texts>::Read(texts);
  if (!names.ok()) return names.status();
  config.realms.back().rest_secret_files = *std::move(names);
  return absl::OkStatus();
}

Texts PrintSecretFiles(const Config& config) {
  return config.realms.empty() ? Texts()
                               : config.realms.back().rest_secret_files;
}

absl::Status BeginRealm(const Texts&, Config& config) {
  config.realms.emplace_back();
  return absl::OkStatus();
}

constexpr Setting kRealmSettings[] = {
    Row<&Options::name>("name", "NAME", "What clients are told it is"),
    Row<&Options::origins>(
        "origins", "ORIGIN",
        "Pages whose clients get it, by the ORIGIN of their requests "
        "(https://example.org)"),
    Row<&Options::listeners>(
        "listeners", "ADDR:PORT",
        "Addresses at which clients get it whose ORIGIN says nothing; what "
        "they have reached, not \"0.0.0.0\""),
    Row<&Options::users>("users", "NAME:PASSWORD", "As in [auth]"),
    Row<&Options::rest_secrets>("secrets", "SECRET", "As in [auth]"),
    {kRealmSection, "secret-files", "", "FILE", Kind::kTexts, Change::kReload,
     "As in [auth]", ReadSecretFiles, PrintSecretFiles},
    Row<&Options::rest_hash>("secret-hash", "sha1|sha256|either",
                             "As in [auth]"),
    Row<&Options::allocations_max>(
        "allocations", "N", "Allocations of it, besides the bound of [limits]"),
    Row<&Options::allocations_per_user_max>(
        "allocations-per-user", "N",
        "Allocations of one of its users, instead of what [limits] says"),
    Row<&Options::alternate_servers>(
        "alternate-servers", "ADDR:PORT",
        "Instead of those of [turn], if there are any"),
};

constexpr Setting kBegin = {
    kRealmSection,   "", "",         "",     Kind::kTexts,
    Change::kReload, "", BeginRealm, nullptr};

}  // namespace

absl::Span<const Setting> RealmSettings() { return kRealmSettings; }
const Setting& RealmBegins() { return kBegin; }

}  // namespace kyuu::tools
