#include "tools/kyuud/config_file.h"

#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"

#define TOML_EXCEPTIONS 0
#include "toml++/toml.h"

namespace kyuu::tools {
namespace {

using Kind = Setting::Kind;

// The library has another kind of view.
absl::string_view NameOf(const toml::key& key) {
  return {key.str().data(), key.str().size()};
}

// What a file holds of a kind, for people.
absl::string_view Wanted(Kind kind) {
  switch (kind) {
    case Kind::kText:
      return "a string";
    case Kind::kTexts:
      return "an array of strings";
    case Kind::kInteger:
      return "an integer";
    case Kind::kNumber:
      return "a number";
    case Kind::kDuration:
      return "a string like \"1h30m\", or seconds";
  }
  return "?";
}

absl::string_view Found(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

// The texts of a value, if it is of the kind.
std::optional<std::vector<std::string>> TextsOf(const toml::node& node,
                                                Kind kind) {
  using Texts = std::vector<std::string>;
  if (kind == Kind::kTexts) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return std::nullopt;
    Texts texts;
    for (const toml::node& element : *array) {
      const auto* text = element.as_string();
      if (text == nullptr) return std::nullopt;
      texts.push_back(text->get());
    }
    // As a flag says it.
    if (texts.empty()) texts = {"none"};
    return texts;
  }
  if (const auto* integer = node.as_integer(); integer && kind != Kind::kText) {
    return Texts{absl::StrCat(integer->get())};
  }
  if (const auto* number = node.as_floating_point();
      number && kind == Kind::kNumber) {
    return Texts{absl::StrCat(number->get())};
  }
  if (const auto* text = node.as_string();
      text && (kind == Kind::kText || kind == Kind::kDuration)) {
    return Texts{text->get()};
  }
  return std::nullopt;
}

// Reader collects what one file gives.
class FileReader {
 public:
  explicit FileReader(const std::string& name) : name_(name) {}

  absl::StatusOr<std::vector<Given>> Read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (NameOf(key) == kRealmSection &&
          (node.is_array() || node.is_table())) {
        KYUU_RETURN_IF_ERROR(ReadRealms(key, node));
        continue;
      }
      const bool is_section = IsSection(NameOf(key));
      const absl::Status status =
          is_section ? ReadSection(key, node) : ReadValue("", key, node);
      if (!status.ok()) return status;
    }
    return std::move(given_);
  }

  absl::Status Wrong(const toml::source_position& at,
                     absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(Place(at), what));
  }

 private:
  static bool IsSection(absl::string_view name) {
    for (const Setting& setting : Settings()) {
      if (!setting.section.empty() && setting.section == name) return true;
    }
    return false;
  }

  std::string Place(const toml::source_position& at) const {
    return absl::StrCat(name_, ":", at.line, ":", at.column, ": ");
  }

  absl::Status ReadSection(const toml::key& section, const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      return Wrong(section.source().begin,
                   absl::StrCat("\"", NameOf(section), "\" is a section: [",
                                NameOf(section), "]"));
    }
    for (const auto& [key, value] : *table) {
      const absl::Status status = ReadValue(NameOf(section), key, value);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadRealms(const toml::key& section, const toml::node& node) {
    const toml::array* tables = node.as_array();
    for (size_t i = 0; tables != nullptr && i < tables->size(); ++i) {
      const toml::node& element = *tables->get(i);
      const toml::table* table = element.as_table();
      if (table == nullptr) {
        tables = nullptr;
        break;
      }
      given_.push_back({&RealmBegins(), {}, Place(element.source().begin)});
      for (const auto& [key, value] : *table) {
        KYUU_RETURN_IF_ERROR(ReadValue(kRealmSection, key, value));
      }
    }
    if (tables != nullptr) return absl::OkStatus();
    return Wrong(section.source().begin,
                 "realms are tables that begin with [[realm]], each");
  }

  static absl::Span<const Setting> RowsOf(absl::string_view section) {
    return section == kRealmSection ? RealmSettings() : Settings();
  }

  absl::Status ReadValue(absl::string_view section, const toml::key& key,
                         const toml::node& node) {
    for (const Setting& setting : RowsOf(section)) {
      if (setting.section != section || setting.key != NameOf(key)) continue;
      auto texts = TextsOf(node, setting.kind);
      if (!texts.has_value()) {
        return Wrong(node.source().begin,
                     absl::StrCat(setting.path(), " is ", Wanted(setting.kind),
                                  ", not ", Found(node)));
      }
      given_.push_back(
          {&setting, *std::move(texts),
           absl::StrCat(Place(node.source().begin), setting.path())});
      return absl::OkStatus();
    }
    return Wrong(key.source().begin, Unknown(section, NameOf(key)));
  }

  static std::string Bracketed(absl::string_view section) {
    return section == kRealmSection ? absl::StrCat("[[", section, "]]")
                                    : absl::StrCat("[", section, "]");
  }

  // What is wrong with the key, and what may be meant: a key of this section,
  // one of another, or a section.
  static std::string Unknown(absl::string_view section, absl::string_view key) {
    std::string text =
        section.empty()
            ? absl::StrCat("there is no \"", key, "\" above all sections")
            : absl::StrCat("there is no \"", key, "\" in ", Bracketed(section));
    std::vector<absl::string_view> here, sections;
    for (const Setting& setting : RowsOf(section)) {
      if (setting.section == section) here.push_back(setting.key);
    }
    sections.push_back(kRealmSection);
    for (const Setting& setting : Settings()) {
      if (setting.section != section &&
          (setting.key == key || setting.flag == key)) {
        return absl::StrCat(
            text, "; did you mean ", setting.key, " in ",
            setting.section.empty() ? "no section" : Bracketed(setting.section),
            "?");
      }
      sections.push_back(setting.section);
    }
    absl::string_view nearest = Nearest(key, here);
    if (nearest.empty() && section.empty()) nearest = Nearest(key, sections);
    if (nearest.empty()) return text;
    return absl::StrCat(text, "; did you mean \"", nearest, "\"?");
  }

  const std::string& name_;
  std::vector<Given> given_;
};

}  // namespace

namespace {

absl::StatusOr<std::string> ContentOf(const std::string& name) {
  std::ifstream file(name);
  file.peek();  // Fails for what is no file.
  if (!file.is_open() || file.bad()) {
    return absl::NotFoundError(absl::StrCat(name, " cannot be read"));
  }
  return std::string((std::istreambuf_iterator<char>(file)),
                     std::istreambuf_iterator<char>());
}

absl::StatusOr<toml::table> TableOf(const std::string& name) {
  absl::StatusOr<std::string> content = ContentOf(name);
  if (!content.ok()) return content.status();
  toml::parse_result parsed = toml::parse(*content);
  if (!parsed) {
    return FileReader(name).Wrong(parsed.error().source().begin,
                                  std::string(parsed.error().description()));
  }
  return std::move(parsed).table();
}

}  // namespace

absl::StatusOr<std::vector<Given>> ReadConfigFile(const std::string& name) {
  const absl::StatusOr<toml::table> table = TableOf(name);
  if (!table.ok()) return table.status();
  return FileReader(name).Read(*table);
}

absl::StatusOr<std::string> FindInConfigFile(const std::string& name,
                                             absl::string_view section,
                                             absl::string_view key) {
  const absl::StatusOr<toml::table> table = TableOf(name);
  if (!table.ok()) return table.status();
  const auto at = [](absl::string_view text) {
    return std::string(text);  // The library has another kind of view.
  };
  return (*table)[at(section)][at(key)].value_or(std::string());
}

}  // namespace kyuu::tools
