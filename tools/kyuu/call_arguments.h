// The words of the command line that say how to call somebody.

#ifndef KYUU_TOOLS_KYUU_CALL_ARGUMENTS_H_
#define KYUU_TOOLS_KYUU_CALL_ARGUMENTS_H_

#include <optional>
#include <string>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "tools/kyuu/call_commands.h"

namespace kyuu::tools {

// A name for one who only calls: unlikely to be taken.
std::string CallerName();

// CallArguments are the options of the commands that make or take calls. It
// must outlive the parsing of the `app` that it was added to.
class CallArguments {
 public:
  void Add(CLI::App& app);
  // Runs the command that was given; the exit status, or nullopt if it is none
  // of these.
  std::optional<int> Run(const CLI::App& app);

 private:
  CLI::App* AddCommand(CLI::App& app, const char* name, const char* what);
  void AddConnect(CLI::App& app);
  void AddSend(CLI::App& app);
  void AddRecv(CLI::App& app);
  void AddPipe(CLI::App& app);
  void AddPing(CLI::App& app);
  // Those of who calls, who types a code, and who is called.
  void AddQr(CLI::App& command);
  CLI::Option* AddOwnName(CLI::App& command);
  CLI::Option* AddCode(CLI::App& command);
  CLI::Option* AddCodeFile(CLI::App& command, const char* what);
  void AddFrom(CLI::App& command, const char* yes, const char* from);
  void AddTaking(CLI::App& command);
  absl::Status FitPageUrl();
  absl::Status FindCode(const CLI::App& app);
  absl::Status TakeCode(const CLI::App& app);

  CallOptions options_;
  std::string code_file_;
  bool types_code_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CALL_ARGUMENTS_H_
