#include "tools/kyuud/doctor/doctor.h"

#include <algorithm>
#include <cstdio>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "tools/findings/finding.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/doctor/checks.h"
#include "tools/kyuud/doctor/gather.h"

namespace kyuu::tools {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

// Of a question to this machine.
constexpr absl::Duration kPatience = absl::Seconds(3);

// The flags without the file: what is wrong with these is wrong use, what is
// wrong with the file or the variables is a finding.
std::vector<std::string> WithoutFile(std::vector<std::string> arguments) {
  for (auto it = arguments.begin(); it != arguments.end();) {
    if (*it == "--config") {
      it = arguments.erase(it);
      if (it != arguments.end()) it = arguments.erase(it);
    } else if (absl::StartsWith(*it, "--config=")) {
      it = arguments.erase(it);
    } else {
      ++it;
    }
  }
  return arguments;
}

std::vector<Finding> Look(const std::variant<Config, Exit>& read) {
  if (const Exit* exit = std::get_if<Exit>(&read)) {
    absl::string_view text = absl::StripAsciiWhitespace(exit->text);
    absl::ConsumePrefix(&text, "kyuud: ");
    return {{Verdict::kFail, "configuration", std::string(text),
             "kyuud config doc   # says what there is to be set"},
            {Verdict::kNotSeen, "machine",
             "everything else, as it depends on the configuration"}};
  }
  const Config& config = std::get<Config>(read);
  return Check(config, GatherMachine(config, kPatience), absl::Now());
}

}  // namespace

int RunDoctor(std::vector<std::string> arguments,
              const Environment& environment) {
  const auto flag = std::find(arguments.begin(), arguments.end(), "--json");
  const bool json = flag != arguments.end();
  if (json) arguments.erase(flag);
  const auto read = ReadConfig(arguments, environment);
  if (const Exit* exit = std::get_if<Exit>(&read)) {
    const auto alone = ReadConfig(WithoutFile(arguments), {});
    if (exit->code == 0 || std::holds_alternative<Exit>(alone)) {
      std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
      return exit->code;
    }
  }
  const std::vector<Finding> findings = Look(read);
  std::fputs((json ? ToJson(findings) : ToText(findings)).c_str(), stdout);
  return StatusOf(findings);
}

}  // namespace kyuu::tools
