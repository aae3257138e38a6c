// kyuud: page, signaling, STUN and TURN in one process.

#include <unistd.h>

#include <cstdio>
#include <iterator>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "spdlog/spdlog.h"
#include "tools/completion/completion.h"
#include "tools/kyuud/admin/admin_client.h"
#include "tools/kyuud/admission/settings.h"
#include "tools/kyuud/admission/token_command.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/daemon.h"
#include "tools/kyuud/doctor/doctor.h"
#include "tools/kyuud/healthcheck/healthcheck.h"
#include "tools/kyuud/log.h"
#include "tools/kyuud/settings.h"

namespace kyuu::tools {
namespace {

std::vector<std::pair<std::string, std::string>> Environment() {
  std::vector<std::pair<std::string, std::string>> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string::npos) continue;
    environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

int Check(const Config& config) {
  const absl::Status status = CheckConfig(config);
  if (status.ok()) {
    std::printf("kyuud: %s is sound\n", config.file.empty()
                                            ? "the configuration"
                                            : config.file.c_str());
    return 0;
  }
  std::fprintf(stderr, "kyuud: %s\n", std::string(status.message()).c_str());
  return 2;
}

int Print(const TokenAnswer& answer) {
  std::fputs(answer.text.c_str(), answer.code == 0 ? stdout : stderr);
  return answer.code;
}

// Tokens of more bytes are refused unread.
std::string ReadStdin() {
  std::string text(signaling::kMaxTokenBytes + 16, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), stdin));
  return text;
}

// "token create ..." or "token verify ...", of which the latter is for the
// server that the flags, variables and file would make.
int Token(const std::vector<std::string>& arguments) {
  const std::string what = arguments.empty() ? "" : arguments[0];
  const std::vector<std::string> rest(
      arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (what == "create") return Print(CreateToken(rest, absl::Now()));
  if (what != "verify") return Print({2, std::string(TokenUsage())});
  const auto read = ReadConfig(rest, Environment());
  if (const Exit* exit = std::get_if<Exit>(&read)) {
    return Print({exit->code, exit->text});
  }
  const auto options = LoadAdmission(std::get<Config>(read).admission);
  if (!options.ok()) {
    return Print(
        {2, absl::StrCat("kyuud: ", options.status().message(), "\n")});
  }
  return Print(VerifyToken(ReadStdin(), *options, absl::Now()));
}

// Who waits longer for an answer has a server that is not well.
constexpr absl::Duration kHealthTimeout = absl::Seconds(5);

int CheckHealthOf(const Config& config) {
  const absl::Status status = CheckHealth(config, kHealthTimeout);
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuud healthcheck: %s\n",
               std::string(status.message()).c_str());
  return 1;
}

std::vector<CommandWords> CompletedWords() {
  std::vector<std::string> flags = {"--config"};
  for (const Setting& setting : Settings()) {
    flags.push_back(absl::StrCat("--", setting.flag));
  }
  std::vector<std::string> all = {"--help",       "--version",   "admin",
                                  "check-config", "completion",  "config",
                                  "doctor",       "healthcheck", "token"};
  all.insert(all.end(), flags.begin(), flags.end());
  std::vector<std::string> of_doctor = flags;
  of_doctor.push_back("--json");
  return {{"", all},
          {"admin",
           {"--config", "--socket", "--json", "--user", "sessions", "end",
            "reload", "drain", "status"}},
          {"config", {"default", "doc"}},
          {"completion", {std::begin(kShells), std::end(kShells)}},
          {"check-config", flags},
          {"doctor", of_doctor},
          {"healthcheck", flags}};
}

int Main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "completion") {
    if (const auto script =
            Completion(arguments[1], "kyuud", CompletedWords())) {
      std::fputs(script->c_str(), stdout);
      return 0;
    }
  }
  const bool asks = !arguments.empty() && arguments[0] == "healthcheck";
  if (asks) arguments.erase(arguments.begin());
  const auto environment = Environment();
  if (!arguments.empty() && arguments[0] == "admin") {
    const auto asked =
        ReadAdminRequest({arguments.begin() + 1, arguments.end()}, environment);
    if (const Exit* exit = std::get_if<Exit>(&asked)) {
      std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
      return exit->code;
    }
    return RunAdmin(std::get<AdminRequest>(asked));
  }
  if (!arguments.empty() && arguments[0] == "token") {
    return Token({arguments.begin() + 1, arguments.end()});
  }
  if (!arguments.empty() && arguments[0] == "doctor") {
    return RunDoctor({arguments.begin() + 1, arguments.end()}, environment);
  }
  auto read = ReadConfig(arguments, environment);
  if (const Exit* exit = std::get_if<Exit>(&read)) {
    std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
    return exit->code;
  }
  Config& config = std::get<Config>(read);
  if (asks) return CheckHealthOf(config);
  if (config.command == Config::Command::kCheck) return Check(config);
  StartLog(config.log_level, config.log_format);
  for (const std::string& name : config.unknown_variables) {
    spdlog::warn("kyuud: the variable {} sets nothing", name);
  }
  absl::Status status;
  {
    Daemon daemon(std::move(config),
                  [&] { return ReadConfig(arguments, environment); });
    status = daemon.Run();
  }
  EndLog();
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuud: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace kyuu::tools

int main(int argc, char** argv) { return kyuu::tools::Main(argc, argv); }
