#include "tools/kyuud/config.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "tools/kyuud/config_file.h"
#include "tools/kyuud/settings.h"
#include "tools/version/version.h"

namespace kyuu::tools {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;
using Kind = Setting::Kind;

constexpr int kMaxThreads = 64;
constexpr absl::string_view kFileVariable = "KYUU_CONFIG";

absl::Status Invalid(absl::string_view where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", what));
}

// The command line, taken apart.
struct CommandLine {
  std::vector<Given> given;
  std::string file;
  std::optional<Exit> exit;
};

// What CLI11 has not understood.
absl::Status Unknown(absl::string_view argument) {
  const absl::string_view name = argument.substr(0, argument.find('='));
  if (!absl::StartsWith(name, "-")) {
    return Invalid(argument, "neither a flag nor a command");
  }
  std::vector<absl::string_view> flags;
  for (const Setting& setting : Settings()) flags.push_back(setting.flag);
  const absl::string_view nearest =
      Nearest(name.substr(std::min<size_t>(2, name.size())), flags);
  if (nearest.empty()) return Invalid(name, "there is no such flag");
  return Invalid(name, absl::StrCat("there is no such flag; did you mean --",
                                    nearest, "?"));
}

absl::StatusOr<CommandLine> ReadCommandLine(
    std::vector<std::string> arguments) {
  CLI::App app{
      "kyuud: people find each other here, and their browsers connect. Serves "
      "the page, signaling, STUN and TURN.\nEach flag can be set by a variable "
      "(KYUU_HTTP_LISTEN for --http-listen; lists with commas) or in a file of "
      "TOML.\n\nkyuud check-config [FILE]   says whether it could start so\n"
      "kyuud healthcheck           asks the one that runs so how it is\n"
      "kyuud doctor                says what is wrong with machine and "
      "settings\n"
      "kyuud admin COMMAND         speaks to one that runs\n"
      "kyuud token COMMAND         makes and verifies tokens\n"
      "kyuud config default        prints a file of all settings\n"
      "kyuud config doc            describes them in Markdown\n"
      "kyuud completion SHELL      prints what bash, zsh or fish completes",
      "kyuud"};
  CommandLine line;
  app.set_version_flag("--version", absl::StrCat("kyuud ", kVersion));
  app.add_option("--config", line.file, "A file of settings, in TOML")
      ->type_name("FILE");
  std::vector<std::vector<std::string>> texts(Settings().size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const Setting& setting = Settings()[i];
    const bool repeatable = setting.kind == Kind::kTexts;
    app.add_option(
           absl::StrCat("--", setting.flag), texts[i],
           absl::StrCat(setting.doc, repeatable ? "; may be repeated" : ""))
        ->type_name(std::string(setting.form))
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  app.allow_extras();
  // CLI11 takes arguments from the back.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, problems;
    if (app.exit(error, out, problems) != 0) {
      return absl::InvalidArgumentError(error.what());
    }
    line.exit = Exit{0, out.str()};
    return line;
  }
  if (const auto extras = app.remaining(); !extras.empty()) {
    return Unknown(extras.front());
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    const Setting& setting = Settings()[i];
    if (texts[i].empty()) continue;
    const std::string where = absl::StrCat("--", setting.flag);
    if (setting.kind != Kind::kTexts && texts[i].size() > 1) {
      return Invalid(where, "is there twice");
    }
    line.given.push_back({&setting, std::move(texts[i]), where});
  }
  return line;
}

// What the variables give; those that mean nothing go to `unknown`.
std::vector<Given> ReadEnvironment(const Environment& environment,
                                   std::vector<std::string>& unknown) {
  std::vector<Given> given;
  for (const auto& [name, value] : environment) {
    if (!absl::StartsWith(name, "KYUU_") || name == kFileVariable) continue;
    const auto setting = std::find_if(
        Settings().begin(), Settings().end(),
        [&name = name](const Setting& s) { return s.variable() == name; });
    if (setting == Settings().end()) {
      unknown.push_back(name);
      continue;
    }
    std::vector<std::string> texts = {value};
    if (setting->kind == Kind::kTexts) texts = absl::StrSplit(value, ',');
    given.push_back({&*setting, std::move(texts), name});
  }
  return given;
}

absl::Status Apply(const std::vector<Given>& given, Config& config,
                   std::vector<const Setting*>& set) {
  for (const Given& value : given) {
    const absl::Status status = value.setting->read(value.texts, config);
    if (!status.ok()) return Invalid(value.where, status.message());
    set.push_back(value.setting);
  }
  return absl::OkStatus();
}

absl::Status ReadSecrets(absl::string_view where,
                         const std::vector<std::string>& files,
                         std::vector<std::string>& secrets) {
  for (const std::string& name : files) {
    std::ifstream file(name);
    std::string secret;
    std::getline(file, secret);
    secret = std::string(absl::StripAsciiWhitespace(secret));
    if (secret.empty()) {
      return Invalid(where, absl::StrCat("no secret can be read from ", name));
    }
    secrets.push_back(std::move(secret));
  }
  return absl::OkStatus();
}

absl::Status ReadRealms(Config& config) {
  for (const Config::Realm& realm : config.realms) {
    turn::RealmOptions options = realm.options;
    if (options.authorizing != turn::Authorizing::By::kNobody &&
        !config.authorizer) {
      return Invalid("realm.authorizer", "there is no auth.authorizer to ask");
    }
    KYUU_RETURN_IF_ERROR(ReadSecrets(
        "realm.secret-files", realm.rest_secret_files, options.rest_secrets));
    config.turn.realms.push_back(std::move(options));
  }
  return absl::OkStatus();
}

// Paths of ours stay ours, and nobody's is two servers'.
absl::Status CheckDialects(const DialectSettings& dialects) {
  if (dialects.ywebrtc == DialectSettings::Service::kOff) {
    return absl::OkStatus();
  }
  const std::string& path = dialects.ywebrtc_path;
  const std::string base =
      dialects.peerjs_path == "/" ? "" : dialects.peerjs_path;
  for (const absl::string_view taken :
       {"/v1/ws", "/v1/whoami", "/healthz", "/readyz", "/metrics"}) {
    if (path == taken) {
      return Invalid("--y-webrtc-path", absl::StrCat(path, " is taken"));
    }
  }
  if (dialects.peerjs == DialectSettings::Service::kOn &&
      path == absl::StrCat(base, "/peerjs")) {
    return Invalid("--y-webrtc-path", "is where clients of PeerJS connect");
  }
  return absl::OkStatus();
}

// Whether the flags go together.
absl::Status CheckBackplaneFlags(const Config& config) {
  const BackplaneTls& tls = config.backplane_tls;
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return Invalid("--backplane-key",
                   "goes with --backplane-certificate, and the reverse");
  }
  const bool over_tls = config.backplane.has_value() && config.backplane->tls;
  if (tls != BackplaneTls() && !over_tls) {
    return Invalid(
        tls.ca_file.empty() ? "--backplane-certificate" : "--backplane-ca",
        "goes with a --backplane of rediss://");
  }
  return absl::OkStatus();
}

// What settings mean together.
absl::Status Finish(const std::vector<const Setting*>& set, Config& config) {
  if (config.tls_certificates.size() != config.tls_keys.size()) {
    return Invalid("--tls-key", "goes with --tls-certificate, and the reverse");
  }
  const bool proxied = config.public_url.has_value() || !config.proxies.empty();
  const bool told = std::any_of(set.begin(), set.end(), [](const Setting* s) {
    return s->flag == "metrics-from";
  });
  if (proxied && !told) config.metrics_from.clear();
  if (config.mode == Mode::kStun) {
    config.turn.service = turn::ServerOptions::Service::kStun;
  }
  if (config.mode == Mode::kHttp) config.turn_listen.clear();
  if (config.http_listen.empty() && config.turn_listen.empty()) {
    return Invalid("--turn-listen",
                   "nothing is served: neither over UDP nor over TCP");
  }
  if (config.turn.admission == turn::ServerOptions::Admission::kDraining &&
      config.turn.alternate_servers.empty()) {
    return Invalid("--alternate-when", "needs --alternate-server");
  }
  KYUU_RETURN_IF_ERROR(CheckBackplaneFlags(config));
  KYUU_RETURN_IF_ERROR(CheckDialects(config.dialects));
  KYUU_RETURN_IF_ERROR(CheckKernel(config.kernel, config.turn));
  if (config.threads == 0) {
    config.threads = std::clamp(
        static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
  }
  KYUU_RETURN_IF_ERROR(ReadSecrets(
      "auth.secret-files", config.rest_secret_files, config.turn.rest_secrets));
  KYUU_RETURN_IF_ERROR(ReadRealms(config));
  return config.turn.Validate();
}

// "check-config [FILE]" is "--config FILE" for the rest.
std::optional<Exit> TakeCommand(std::vector<std::string>& arguments,
                                Config::Command& command) {
  if (arguments.empty()) return std::nullopt;
  if (arguments[0] == "config") {
    const std::string what = arguments.size() == 2 ? arguments[1] : "";
    if (what == "default") return Exit{0, DefaultFile()};
    if (what == "doc") return Exit{0, SettingsAsMarkdown()};
    return Exit{2, "kyuud: config default, or config doc\n"};
  }
  if (arguments[0] != "check-config") return std::nullopt;
  command = Config::Command::kCheck;
  arguments.erase(arguments.begin());
  if (!arguments.empty() && !absl::StartsWith(arguments[0], "-")) {
    arguments.insert(arguments.begin(), "--config");
  }
  return std::nullopt;
}

absl::StatusOr<std::variant<Config, Exit>> Read(
    std::vector<std::string> arguments, const Environment& environment) {
  Config config;
  if (auto exit = TakeCommand(arguments, config.command)) return *exit;
  KYUU_ASSIGN_OR_RETURN(CommandLine line,
                        ReadCommandLine(std::move(arguments)));
  if (line.exit.has_value()) return *std::move(line.exit);
  config.file = line.file;
  for (const auto& [name, value] : environment) {
    if (config.file.empty() && name == kFileVariable) config.file = value;
  }
  std::vector<const Setting*> set;
  if (!config.file.empty()) {
    KYUU_ASSIGN_OR_RETURN(const std::vector<Given> given,
                          ReadConfigFile(config.file));
    KYUU_RETURN_IF_ERROR(Apply(given, config, set));
  }
  KYUU_RETURN_IF_ERROR(Apply(
      ReadEnvironment(environment, config.unknown_variables), config, set));
  KYUU_RETURN_IF_ERROR(Apply(line.given, config, set));
  KYUU_RETURN_IF_ERROR(Finish(set, config));
  return config;
}

}  // namespace

std::variant<Config, Exit> ReadConfig(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& environment) {
  absl::StatusOr<std::variant<Config, Exit>> result =
      Read(arguments, environment);
  if (result.ok()) return *std::move(result);
  return Exit{2, absl::StrCat("kyuud: ", result.status().message(), "\n")};
}

}  // namespace kyuu::tools
