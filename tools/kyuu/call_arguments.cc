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

constexpr char kCodeFile[] =
    "A file with the code that the other side shows; else that of KYUU_CODE, "
    "or asked for";

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "kyuu: %s\n", PrintableLine(status.message()).c_str());
  return absl::IsFailedPrecondition(status) ? 2 : 1;
}

}  // namespace

std::string CallerName() {
  const char* user = std::getenv("USER");
  return std::string(user == nullptr || *user == '\0' ? "kyuu" : user) + "-" +
         std::to_string(getpid());
}

void CallArguments::Add(CLI::App& app) {
  AddConnect(app);
  AddSend(app);
  AddRecv(app);
  AddPipe(app);
  AddPing(app);
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
  AddNetworkUse(*command, options_.network);
  command->add_flag("--verify", options_.verify,
                    "Show the number by which two people find whether "
                    "somebody sits in the middle");
  return command;
}

void CallArguments::AddConnect(CLI::App& app) {
  CLI::App* connect =
      AddCommand(app, "connect", "Join, be called or call, and chat")
          ->alias("chat");
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
  AddOwnName(*send)->needs(to);
  AddQr(*send);
}

void CallArguments::AddRecv(CLI::App& app) {
  CLI::App* recv = AddCommand(app, "recv", "Wait for files");
  CLI::Option* name =
      recv->add_option("name", options_.name,
                       "Our name; without it the sender's code is asked "
                       "for");
  AddCodeFile(*recv,
              "A file with the sender's code, - for stdin; else that of "
              "KYUU_CODE, or asked for")
      ->excludes(name);
  recv->add_flag("--once", options_.once, "End after the first call");
  AddTaking(*recv);
}

void CallArguments::AddPipe(CLI::App& app) {
  CLI::App* pipe = AddCommand(
      app, "pipe", "Stdin to the stdout of a kyuu pipe elsewhere, both ways");
  CLI::Option* name = pipe->add_option(
      "name", options_.name,
      "Our name, to be called by; without it, --to and --code a code is "
      "shown, which the other one types");
  CLI::Option* to =
      pipe->add_option("--to", options_.call, "Whom to call")->excludes(name);
  AddOwnName(*pipe)->needs(to);
  AddCode(*pipe)->excludes(name)->excludes(to);
  AddCodeFile(*pipe, kCodeFile)->excludes(name)->excludes(to);
  AddQr(*pipe);
  AddFrom(*pipe, "Take the first call, whoever it is from",
          "Take a call of this name; repeatable");
}

void CallArguments::AddPing(CLI::App& app) {
  CLI::App* ping = AddCommand(
      app, "ping", "How long it takes to a peer and back, and by which way");
  CLI::Option* peer = ping->add_option(
      "peer", options_.call,
      "Whom to call; without it and --code a code is shown, which the other "
      "one types");
  AddOwnName(*ping)->needs(peer);
  AddCode(*ping)->excludes(peer);
  AddCodeFile(*ping, kCodeFile)->excludes(peer);
  AddQr(*ping);
  ping->add_option("-c,--count", options_.ping.count, "End after so many")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 32));
  ping->add_option("-i,--interval", options_.ping.interval_s,
                   "Seconds between two; 1 by default")
      ->check(CLI::Range(0.01, 3600.0));
  ping->add_flag("--json", options_.ping.json, "One JSON object a line");
}

void CallArguments::AddQr(CLI::App& command) {
  CLI::Option* always = command.add_flag_callback(
      "--qr", [this] { options_.qr = QrWish::kAlways; },
      "Draw the code that is shown as a QR code, too, on any terminal");
  command
      .add_flag_callback(
          "--no-qr", [this] { options_.qr = QrWish::kNever; },
          "Draw none; without either, where it can be seen")
      ->excludes(always);
}

CLI::Option* CallArguments::AddOwnName(CLI::App& command) {
  return command.add_option("--name", options_.name,
                            "Our name; the user's by default");
}

CLI::Option* CallArguments::AddCode(CLI::App& command) {
  return command.add_flag("--code", types_code_,
                          "Ask for the code that the other side shows");
}

CLI::Option* CallArguments::AddCodeFile(CLI::App& command, const char* what) {
  return command.add_option("--code-file", code_file_, what)->type_name("FILE");
}

void CallArguments::AddFrom(CLI::App& command, const char* yes,
                            const char* from) {
  command.add_flag("--yes", options_.yes, yes);
  command.add_option("--from", options_.from, from)->allow_extra_args(false);
}

// What is taken of others, and where to.
void CallArguments::AddTaking(CLI::App& command) {
  command.add_option("--dir", options_.folder, "Where files go")
      ->check(CLI::ExistingDirectory);
  command.add_flag("--overwrite", options_.overwrite,
                   "Replace files of the same name");
  AddFrom(command, "Take every call and every file unasked",
          "Take calls and files of this name unasked; repeatable");
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

// Who has named nobody meets the other one by a code: the one shows it, and the
// other types it.
absl::Status CallArguments::FindCode(const CLI::App& app) {
  const bool both = app.got_subcommand("pipe") || app.got_subcommand("ping");
  const bool types = types_code_ || !code_file_.empty();
  if (both && !options_.name.empty() && options_.call.empty()) {
    options_.answers = true;
  } else if ((both && types) ||
             (app.got_subcommand("recv") && options_.name.empty())) {
    return TakeCode(app);
  } else if (options_.call.empty() && (both || app.got_subcommand("send"))) {
    SystemRandom random;
    options_.code = Code::Make(random);
  }
  return absl::OkStatus();
}

absl::Status CallArguments::TakeCode(const CLI::App& app) {
  // Of a pipe stdin is what is sent.
  auto code = app.got_subcommand("recv") ? ReadCode(code_file_)
                                         : ReadCodeBesideStdin(code_file_);
  if (!code.ok()) return code.status();
  options_.code = *std::move(code);
  options_.once = true;
  options_.answers = true;
  return absl::OkStatus();
}

std::optional<int> CallArguments::Run(const CLI::App& app) {
  int (*run)(const CallOptions&) = app.got_subcommand("connect") ? &RunConnect
                                   : app.got_subcommand("send")  ? &RunSend
                                   : app.got_subcommand("recv")  ? &RunRecv
                                   : app.got_subcommand("pipe")  ? &RunPipe
                                   : app.got_subcommand("ping")  ? &RunPing
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
