#include "tools/kyuu/call_arguments.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/system_random.h"
#include "tools/kyuu/code/code.h"
#include "tools/kyuu/code/code_input.h"
#include "tools/kyuu/page_url.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

// A name for one who only calls: unlikely to be taken.
std::string CallerName() {
  const char* user = std::getenv("USER");
  return std::string(user == nullptr || *user == '\0' ? "kyuu" : user) + "-" +
         std::to_string(getpid());
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "kyuu: %s\n", PrintableLine(status.message()).c_str());
  return absl::IsFailedPrecondition(status) ? 2 : 1;
}

}  // namespace

void CallArguments::Add(CLI::App& app) {
  AddConnect(app);
  AddSend(app);
  AddRecv(app);
}

CLI::App* CallArguments::AddCommand(CLI::App& app, const char* name,
                                    const char* what) {
  CLI::App* command = app.add_subcommand(name, what);
  command
      ->add_option("url", options_.url,
                   "The server: ws://HOST:PORT or the "
                   "address of its page")
      ->required();
  command
      ->add_option("--token-file", options_.token_file,
                   "A file with the token, or API key, that lets us in")
      ->type_name("FILE");
  command->add_option("--room", options_.room, "Room to join");
  command
      ->add_option("--room-secret-file", options_.room_secret_file,
                   "A file with the room's secret, without which nobody comes")
      ->type_name("FILE");
  command->add_flag("--relay", options_.relay, "Relayed candidates only");
  command->add_flag("--verify", options_.verify,
                    "Show the number by which two people find whether "
                    "somebody sits in the middle");
  return command;
}

void CallArguments::AddConnect(CLI::App& app) {
  CLI::App* connect =
      AddCommand(app, "connect", "Join, be called or call, and chat");
  connect->add_option("name", options_.name, "Our name")->required();
  connect->add_option("--call", options_.call, "Whom to call");
  AddTaking(*connect);
}

void CallArguments::AddSend(CLI::App& app) {
  CLI::App* send = AddCommand(app, "send", "Send files to a peer");
  send->add_option("files", options_.files, "The files")->required();
  CLI::Option* to =
      send->add_option("--to", options_.call,
                       "Whom to send to; without it a code is shown, which "
                       "the other one types");
  send->add_option("--name", options_.name, "Our name; the user's by default")
      ->needs(to);
}

void CallArguments::AddRecv(CLI::App& app) {
  CLI::App* recv = AddCommand(app, "recv", "Wait for files");
  CLI::Option* name =
      recv->add_option("name", options_.name,
                       "Our name; without it the sender's code is asked "
                       "for");
  recv->add_option("--code-file", code_file_,
                   "A file with the sender's code, - for stdin; else that of "
                   "KYUU_CODE, or asked for")
      ->type_name("FILE")
      ->excludes(name);
  recv->add_flag("--once", options_.once, "End after the first call");
  AddTaking(*recv);
}

// What is taken of others, and where to.
void CallArguments::AddTaking(CLI::App& command) {
  command.add_option("--dir", options_.folder, "Where files go")
      ->check(CLI::ExistingDirectory);
  command.add_flag("--overwrite", options_.overwrite,
                   "Replace files of the same name");
  command.add_flag("--yes", options_.yes,
                   "Take every call and every file unasked");
  command
      .add_option("--from", options_.from,
                  "Take calls and files of this name unasked; "
                  "repeatable")
      ->allow_extra_args(false);
  command
      .add_option("--max-size", options_.size_max,
                  "Refuse larger files: bytes, or 10MB, 2GB")
      ->transform(CLI::AsSizeValue(true));
}

// The address may name the room and the way, as it does for the page.
absl::Status CallArguments::FitPageUrl() {
  const auto page = PageUrl::Parse(options_.url);
  if (!page.ok()) return page.status();
  options_.address = std::exchange(options_.url, page->url);
  // Who meets by a code has a room of their own.
  if (options_.room.empty() && !options_.code) options_.room = page->room;
  options_.relay = options_.relay || page->relay;
  return absl::OkStatus();
}

// Who has named nobody sends or receives by a code.
absl::Status CallArguments::FindCode(const CLI::App& app) {
  if (app.got_subcommand("send") && options_.call.empty()) {
    SystemRandom random;
    options_.code = Code::Make(random);
  } else if (app.got_subcommand("recv") && options_.name.empty()) {
    auto code = ReadCode(code_file_);
    if (!code.ok()) return code.status();
    options_.code = *std::move(code);
    options_.once = true;
  }
  return absl::OkStatus();
}

std::optional<int> CallArguments::Run(const CLI::App& app) {
  int (*run)(const CallOptions&) = app.got_subcommand("connect") ? &RunConnect
                                   : app.got_subcommand("send")  ? &RunSend
                                   : app.got_subcommand("recv")  ? &RunRecv
                                                                 : nullptr;
  if (run == nullptr) return std::nullopt;
  if (const absl::Status status = FindCode(app); !status.ok()) {
    return Fail(status);
  }
  if (const absl::Status status = FitPageUrl(); !status.ok()) {
    return Fail(status);
  }
  if (options_.name.empty()) options_.name = CallerName();
  return run(options_);
}

}  // namespace kyuu::tools
