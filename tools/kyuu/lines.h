// Lines from stdin, on an event loop.

#ifndef KYUU_TOOLS_KYUU_LINES_H_
#define KYUU_TOOLS_KYUU_LINES_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "net/loop.h"

namespace kyuu::tools {

// StdinLines reads lines in a thread of its own, since stdin may be a file,
// which epoll refuses, and hands them to the loop. The thread ends with stdin
// or with the process; nothing is handed over after the object is gone.
class StdinLines {
 public:
  // `handler` gets each line without its end, and nullopt once at the end of
  // stdin. Lines above 1 MiB count as the end. The loop must run, or exist,
  // until the process ends.
  using Handler = absl::AnyInvocable<void(std::optional<std::string>)>;

  StdinLines(net::Loop& loop, Handler handler);
  ~StdinLines();
  StdinLines(const StdinLines&) = delete;
  StdinLines& operator=(const StdinLines&) = delete;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_LINES_H_
