// The settings as people read them.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tools/kyuud/settings.h"

namespace kyuu::tools {
namespace {

using Kind = Setting::Kind;
using Change = Setting::Change;
using Texts = std::vector<std::string>;

constexpr absl::string_view kRealmDoc =
    "A realm beside that of [turn], with users of its own; as many as there "
    "are such tables. All of it changes by reload, and nothing by flags.";

// Of edits that make one of the other (Levenshtein).
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat(
      "\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

// `text` in lines of at most 77 characters behind "# ".
std::string AsComment(absl::string_view text) {
  std::string out, line = "#";
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (line.size() + 1 + word.size() > 79) {
      absl::StrAppend(&out, line, "\n");
      line.resize(1);
    }
    absl::StrAppend(&line, " ", word);
  }
  return absl::StrCat(out, line, "\n");
}

}  // namespace

absl::string_view Nearest(absl::string_view name,
                          absl::Span<const absl::string_view> names) {
  absl::string_view nearest;
  // A third may be wrong, and of most names two letters that have changed
  // places.
  size_t least = std::max<size_t>(name.size() / 3, name.size() < 4 ? 1 : 2) + 1;
  for (const absl::string_view candidate : names) {
    const size_t distance = Distance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest;
}

std::string AsToml(const Setting& setting, const Texts& texts) {
  switch (setting.kind) {
    case Kind::kInteger:
    case Kind::kNumber:
      return texts.front();
    case Kind::kText:
    case Kind::kDuration:
      return Quoted(texts.front());
    case Kind::kTexts:
      break;
  }
  return absl::StrCat("[",
                      absl::StrJoin(texts, ", ",
                                    [](std::string* out, const auto& text) {
                                      absl::StrAppend(out, Quoted(text));
                                    }),
                      "]");
}

std::string DefaultFile() {
  std::string out =
      "# All settings of kyuud, with what they are unless set. A flag "
      "overrides "
      "a\n# variable, which overrides this file. Made by: kyuud config "
      "default\n";
  absl::string_view section;
  const Config config;
  // What begins with "#" and no blank is a setting as it is.
  const auto write = [&](const Setting& setting, absl::string_view mark) {
    absl::StrAppend(&out, AsComment(setting.doc), "# ", setting.form);
    if (!setting.flag.empty()) {
      absl::StrAppend(&out, "; --", setting.flag, ", ", setting.variable());
    }
    if (setting.change == Change::kRestart) {
      absl::StrAppend(&out, "; needs a restart");
    }
    absl::StrAppend(&out, "\n", mark, setting.key, " = ",
                    AsToml(setting, setting.print(config)), "\n");
  };
  for (const Setting& setting : Settings()) {
    absl::StrAppend(&out, "\n");
    if (setting.section != section) {
      section = setting.section;
      absl::StrAppend(&out, "[", section, "]\n\n");
    }
    write(setting, "#");
  }
  absl::StrAppend(&out, "\n", AsComment(kRealmDoc), "# [[", kRealmSection,
                  "]]\n");
  for (const Setting& setting : RealmSettings()) {
    absl::StrAppend(&out, "\n");
    write(setting, "# ");
  }
  return out;
}

std::string SettingsAsMarkdown() {
  std::string out;
  absl::string_view section = "?";
  const Config config;
  const auto cell = [](absl::string_view text) {
    return absl::StrReplaceAll(text, {{"|", "\\|"}});
  };
  const auto form = [&cell](const Setting& setting) {
    return absl::StrCat(cell(setting.form),
                        setting.kind == Kind::kTexts ? ", a list" : "");
  };
  for (const Setting& setting : Settings()) {
    if (setting.section != section) {
      section = setting.section;
      absl::StrAppend(&out, out.empty() ? "" : "\n", "### ",
                      section.empty() ? "Above all sections"
                                      : absl::StrCat("`[", section, "]`"),
                      "\n\n| key | flag | value | unless set | changed by | "
                      "meaning |\n|---|---|---|---|---|---|\n");
    }
    absl::StrAppend(&out, "| `", setting.key, "` | `--", setting.flag, "` | ",
                    form(setting), " | `",
                    cell(AsToml(setting, setting.print(config))), "` | ",
                    setting.change == Change::kReload ? "reload" : "restart",
                    " | ", cell(setting.doc), " |\n");
  }
  absl::StrAppend(&out, "\n### `[[", kRealmSection, "]]`\n\n", kRealmDoc,
                  "\n\n| key | value | unless set | meaning "
                  "|\n|---|---|---|---|\n");
  for (const Setting& setting : RealmSettings()) {
    absl::StrAppend(&out, "| `", setting.key, "` | ", form(setting), " | `",
                    cell(AsToml(setting, setting.print(config))), "` | ",
                    cell(setting.doc), " |\n");
  }
  return out;
}

}  // namespace kyuu::tools
