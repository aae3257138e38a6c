// A call that signaling has ended, and that goes on
// (docs/application_protocol.md, "A call that outlives its signaling").

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/call_session.h"

namespace kyuu::tools {

void CallSession::OnWayLost() {
  path_text_.clear();
  terminal_.Say(absl::StrCat("the way to ", peer_name_,
                             " is lost; looking for another one"));
  const signaling::Client* const client = server_->client();
  if (continuation_ && continuation_->peer_lost && client != nullptr &&
      !client->peers().contains(peer_name_)) {
    EndAsGone();
  }
}

// Both ways to the other side have been silent for as long as one may be: the
// server, which waits for who has lost it, and the call's own. Somebody whose
// program was killed looks like that, and is not waited for any longer.
void CallSession::EndAsGone() {
  call_->End(absl::UnavailableError("the other side has gone"));
}

void CallSession::ContinueCall() {
  signaling::Client* const client = server_->client();
  if (!continuation_ || !continuation_->new_id.empty() || client == nullptr ||
      role_ != CallRole::kCaller || !client->peers().contains(peer_name_)) {
    return;
  }
  const std::string meta =
      nlohmann::json{{"continues", continuation_->old_id}}.dump();
  // Refused only before joining, after which this is tried again.
  (void)client->StartCall(net::Loop::Now(), peer_name_, meta);
  server_->Flush();
}

}  // namespace kyuu::tools
