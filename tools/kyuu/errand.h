// What a call is made for, where that is neither chat nor files.

#ifndef KYUU_TOOLS_KYUU_ERRAND_H_
#define KYUU_TOOLS_KYUU_ERRAND_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "net/loop.h"
#include "tools/kyuu/call.h"
#include "tools/kyuu/terminal.h"

namespace kyuu::tools {

// Errand is told what happens to the one call that it is for, until it is done.
class Errand {
 public:
  // What it works with; all of it outlives it.
  struct Surroundings {
    net::Loop& loop;
    Terminal& terminal;
    // Ends the program: with 0, or with 1 and the reason.
    absl::AnyInvocable<void(const absl::Status&)> done;
  };

  virtual ~Errand() = default;

  // `call` is connected, and there until HandleOver or done().
  virtual void HandleConnected(Call& call, CallRole role) = 0;
  virtual void HandlePath(const PathFound& path) = 0;
  virtual void HandleAside(Aside& aside) = 0;
  // The call is over, and `status` is why: done() is to be called.
  virtual void HandleOver(const absl::Status& status) = 0;
  // A person wants it to end: done() is to be called.
  virtual void HandleInterrupt() = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_ERRAND_H_
