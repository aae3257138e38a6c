// The rows of [[realm]].

#include <type_traits>
#include <utility>

#include "tools/kyuud/setting_rows.h"
#include "tools/kyuud/settings.h"
#include "tools/kyuud/user_values.h"

namespace kyuu::tools {
namespace {

using Texts = std::vector<std::string>;
using Realm = Config::Realm;
using Options = turn::RealmOptions;

// The field of the last realm that has begun.
template <auto... kPath>
absl::Status ReadOfLast(const Texts& texts, Config& config) {
  return ReadInto(texts, FieldOf<kPath...>(config.realms.back()));
}
// Or of one as it is unless set.
template <auto... kPath>
Texts PrintOfLast(const Config& config) {
  const Realm realm = config.realms.empty() ? Realm() : config.realms.back();
  return PrintOf(FieldOf<kPath...>(realm));
}

template <auto... kPath>
constexpr Setting RealmRow(absl::string_view key, absl::string_view form,
                           absl::string_view doc) {
  using Field = std::remove_reference_t<decltype(FieldOf<kPath...>(
      std::declval<Realm&>()))>;
  return {kRealmSection,
          key,
          "",
          form,
          Value<Field>::kKind,
          Setting::Change::kReload,
          doc,
          ReadOfLast<kPath...>,
          PrintOfLast<kPath...>};
}

absl::Status BeginRealm(const Texts&, Config& config) {
  config.realms.emplace_back();
  return absl::OkStatus();
}

constexpr Setting kRealmSettings[] = {
    RealmRow<&Realm::options, &Options::name>("name", "NAME",
                                              "What clients are told it is"),
    RealmRow<&Realm::options, &Options::origins>(
        "origins", "ORIGIN",
        "Pages whose clients get it, by the ORIGIN of their requests "
        "(https://example.org)"),
    RealmRow<&Realm::options, &Options::hosts>(
        "hosts", "NAME",
        "Names by which clients on TLS and DTLS get it (SNI) whose ORIGIN says "
        "nothing (turn.example.org)"),
    RealmRow<&Realm::options, &Options::listeners>(
        "listeners", "ADDR:PORT",
        "Addresses at which clients get it of whom neither says anything; what "
        "they have reached, not \"0.0.0.0\""),
    RealmRow<&Realm::options, &Options::users>("users", "NAME:PASSWORD",
                                               "As in [auth]"),
    RealmRow<&Realm::options, &Options::rest_secrets>("secrets", "SECRET",
                                                      "As in [auth]"),
    RealmRow<&Realm::rest_secret_files>("secret-files", "FILE", "As in [auth]"),
    RealmRow<&Realm::options, &Options::rest_hash>(
        "secret-hash", "sha1|sha256|either", "As in [auth]"),
    RealmRow<&Realm::options, &Options::authorizing>(
        "authorizer", "off|on",
        "Whether the authorizer of [auth] is asked about its users, too"),
    RealmRow<&Realm::options, &Options::allocations_max>(
        "allocations", "N", "Allocations of it, besides the bound of [limits]"),
    RealmRow<&Realm::options, &Options::allocations_per_user_max>(
        "allocations-per-user", "N",
        "Allocations of one of its users, instead of what [limits] says"),
    RealmRow<&Realm::options, &Options::allocation_bytes_per_s>(
        "bytes-per-second", "BYTES",
        "Of payload that one of its allocations may relay in each direction, "
        "instead of what [limits] says; 0 for that"),
    RealmRow<&Realm::options, &Options::total_bytes_per_s>(
        "bytes-per-second-in-all", "BYTES",
        "That all its allocations may, besides the bounds of [limits]; 0 for "
        "no limit. bytes-burst is that of [limits]"),
    RealmRow<&Realm::options, &Options::alternate_servers>(
        "alternate-servers", "ADDR:PORT",
        "Instead of those of [turn], if there are any"),
};

constexpr Setting kBegin = {kRealmSection,
                            "",
                            "",
                            "",
                            Setting::Kind::kTexts,
                            Setting::Change::kReload,
                            "",
                            BeginRealm,
                            nullptr};

}  // namespace

absl::Span<const Setting> RealmSettings() { return kRealmSettings; }
const Setting& RealmBegins() { return kBegin; }

}  // namespace kyuu::tools
