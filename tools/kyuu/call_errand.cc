// What a CallSession does of calls that are for a pipe or for pings, and what
// it answers in others.

#include <memory>

#include "absl/status/status.h"
#include "tools/kyuu/call_session.h"
#include "tools/kyuu/ping/ping_errand.h"
#include "tools/kyuu/pipe/pipe_errand.h"

namespace kyuu::tools {

void CallSession::MakeErrand(CallMode mode) {
  Errand::Surroundings surroundings{*loop_, terminal_,
                                    [this](const absl::Status& status) {
                                      status.ok() ? Leave(0) : FailWith(status);
                                    }};
  if (mode == CallMode::kPipe) {
    errand_ = std::make_unique<PipeErrand>(std::move(surroundings));
  } else if (mode == CallMode::kPing) {
    errand_ = std::make_unique<PingErrand>(std::move(surroundings),
                                           options_.ping, random_);
  }
}

void CallSession::OnAside(Aside& aside) {
  if (errand_) return errand_->HandleAside(aside);
  answerer_.HandleAside(*call_, aside);
}

}  // namespace kyuu::tools
