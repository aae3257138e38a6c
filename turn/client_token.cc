// Tokens of an authorization server in the place of a password (RFC 7635).
//
//     client                    server            authorization server
//       |-------- Allocate ------->|                      |
//       |<- 401, THIRD-PARTY-      |                      |
//       |        AUTHORIZATION ----|                      |
//       |  TokenWanted ......................... the application ..|
//       |  UseToken() ..............................................|
//       |-------- Allocate ------->|
//       |         ACCESS-TOKEN     |
//       |<------- success ---------|  for no longer than the token lives
//       |  TokenWanted (kRunsOut), UseToken()
//       |-------- Refresh -------->|
//       |         ACCESS-TOKEN     |

#include "turn/client_token.h"

#include <algorithm>
#include <utility>

#include "turn/client.h"

namespace kyuu::turn {
namespace {

// As with allocations: a minute before the end, or half of a short lifetime.
constexpr absl::Duration kTokenMargin = absl::Minutes(1);

}  // namespace

absl::Status Client::UseToken(absl::Time now, ClientToken token) {
  if (state_ == State::kClosing || state_ == State::kClosed) {
    return absl::FailedPreconditionError("the client is closed");
  }
  if (options_.tokens == Options::Tokens::kIgnore) {
    return absl::FailedPreconditionError("the client uses no tokens");
  }
  if (absl::Status status = token.Validate(); !status.ok()) return status;
  const absl::Duration wait =
      std::max(token.lifetime - kTokenMargin, token.lifetime / 2);
  timers_.Set({Timer::kToken, internal::kTheAllocation}, now + wait);
  connections_.UseToken(token);
  credential_.UseToken(std::move(token));
  ++stats_.tokens_used;
  token_wanted_ = false;
  const bool asked_for = !credential_.authorization_server().empty();
  if (state_ == State::kAllocated && asked_for) {
    timers_.Stop({Timer::kRefresh, internal::kTheAllocation});
    if (!allocation_request_) StartRequest(internal::kTheAllocation);
  }
  for (const Subject subject : std::exchange(waits_.want_token, {})) {
    StartRequest(subject, RequestOf(subject)->challenges + 1);
  }
  return absl::OkStatus();
}

// Tells the application, unless it knows or the server takes none.
void Client::WantToken(TokenWanted::Why why) {
  if (token_wanted_ || credential_.authorization_server().empty()) return;
  token_wanted_ = true;
  events_.push_back(TokenWanted{credential_.authorization_server(),
                                credential_.token_realm(), why});
}

}  // namespace kyuu::turn
