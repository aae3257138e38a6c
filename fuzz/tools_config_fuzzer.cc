// kyuud's settings as people write them, in its file, on the command line and
// in variables: they are refused with a reason, or are what they say: each
// value, printed and read again, is the same.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kyuu::tools;  // NOLINT: one function.
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  // Files of the system may have no end.
  if (input.empty() || absl::StrContains(input, "/")) return 0;
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  const int file = memfd_create("config", 0);
  if (input[0] == 'f') {
    KYUU_CHECK(write(file, data + 1, size - 1) >= 0);
    arguments = {"check-config", absl::StrCat("/proc/self/fd/", file)};
  } else {
    for (const absl::string_view line : absl::StrSplit(input, '\n')) {
      const size_t end = line.find('=');
      if (end == 0 || absl::StartsWith(line, "-") || end == line.npos) {
        arguments.emplace_back(line);
      } else {
        environment.emplace_back(absl::StrCat("KYUU_", line.substr(0, end)),
                                 std::string(line.substr(end + 1)));
      }
    }
  }
  const auto read = ReadConfig(arguments, environment);
  close(file);
  if (const auto* exit = std::get_if<Exit>(&read)) {
    KYUU_CHECK(!exit->text.empty());
    return 0;
  }
  for (const Setting& setting : Settings()) {
    const auto texts = setting.print(std::get<Config>(read));
    Config again;
    if (texts.empty() && setting.kind != Setting::Kind::kTexts) continue;
    KYUU_CHECK(setting.read(texts, again).ok());
    KYUU_CHECK(setting.print(again) == texts);
  }
  return 0;
}
