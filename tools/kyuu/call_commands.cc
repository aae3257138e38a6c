#include "tools/kyuu/call_commands.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/kyuu/call_session.h"

namespace kyuu::tools {
namespace {

int Start(CallMode mode, const CallOptions& options) {
  CallSession session(mode, options);
  const absl::StatusOr<int> code = session.Run();
  if (code.ok()) return *code;
  session.terminal().Complain(code.status());
  return absl::IsFailedPrecondition(code.status()) ? 2 : 1;
}

}  // namespace

int RunConnect(const CallOptions& options) {
  return Start(CallMode::kConnect, options);
}
int RunSend(const CallOptions& options) {
  return Start(CallMode::kSend, options);
}
int RunRecv(const CallOptions& options) {
  return Start(CallMode::kRecv, options);
}
int RunPipe(const CallOptions& options) {
  // What is opened next would get these numbers, and the bytes.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    std::fprintf(
        stderr,
        "kyuu: %s is closed, and a pipe needs both; /dev/null may be one\n",
        fd == STDIN_FILENO ? "stdin" : "stdout");
    return 2;
  }
  // A reader that has gone is an error of a write, not the end of us.
  std::signal(SIGPIPE, SIG_IGN);
  return Start(CallMode::kPipe, options);
}
int RunPing(const CallOptions& options) {
  return Start(CallMode::kPing, options);
}

}  // namespace kyuu::tools
