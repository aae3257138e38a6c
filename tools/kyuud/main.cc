// kyuud: page, signaling, STUN and TURN in one process.

#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/admin_client.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/daemon.h"
#include "tools/kyuud/log.h"

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

int Main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
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
  auto read = ReadConfig(arguments, environment);
  if (const Exit* exit = std::get_if<Exit>(&read)) {
    std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
    return exit->code;
  }
  Config& config = std::get<Config>(read);
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
