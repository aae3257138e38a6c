// The one table of kyuud's settings. Flags, variables, keys of the file and the
// documentation are made of it.

#ifndef KYUU_TOOLS_KYUUD_SETTINGS_H_
#define KYUU_TOOLS_KYUUD_SETTINGS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/kyuud/config.h"

namespace kyuu::tools {

// Setting is one row. Its values are texts, as a flag has them.
struct Setting {
  // What the file holds.
  enum class Kind : uint8_t {
    kText,      // A string.
    kTexts,     // An array of strings; a flag that may be repeated.
    kInteger,   // An integer.
    kNumber,    // An integer or a float.
    kDuration,  // A string like "1h30m", or an integer: seconds.
  };
  enum class Change : uint8_t {
    kReload,   // Taken over on SIGHUP.
    kRestart,  // Needs a new start.
  };

  absl::string_view section;  // Of the file; "" above all sections.
  absl::string_view key;      // In it.
  absl::string_view flag;     // Without "--".
  absl::string_view form;     // Of a value, for people: "ADDR:PORT".
  Kind kind;
  Change change;
  absl::string_view doc;
  // Reads the texts, of which all kinds but kTexts have one.
  absl::Status (*read)(const std::vector<std::string>& texts, Config& config);
  // The inverse.
  std::vector<std::string> (*print)(const Config& config);

  // "turn.listen", or "threads".
  std::string path() const;
  // "KYUU_TURN_LISTEN".
  std::string variable() const;
};

absl::Span<const Setting> Settings();

// A table that may be there several times, [[realm]]: its rows read into the
// last one of Config::realms and print that; they are no flags.
inline constexpr absl::string_view kRealmSection = "realm";
absl::Span<const Setting> RealmSettings();
// What adds one to them.
const Setting& RealmBegins();

// The name of `names` that is most like `name`, or "" if none is.
absl::string_view Nearest(absl::string_view name,
                          absl::Span<const absl::string_view> names);

// All settings with their defaults, as a file of comments to begin with.
std::string DefaultFile();
// The same as a table in Markdown for each section.
std::string SettingsAsMarkdown();

// A value as the file has it: "\"10m\"", "[\"a\", \"b\"]", "7".
std::string AsToml(const Setting& setting,
                   const std::vector<std::string>& texts);

// What becomes of a running server that is to have another configuration.
struct Reloaded {
  Config config;  // The old one with all of the new that needs no restart.
  std::vector<const Setting*> changed;  // With RealmBegins() for any realm.
  std::vector<const Setting*> need_restart;  // Differ, and are as they were.
};
Reloaded Reload(const Config& old, const Config& next);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_SETTINGS_H_
