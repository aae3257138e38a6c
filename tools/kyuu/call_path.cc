// What a call's way is, for the person and for the server.

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/kyuu/call_session.h"

namespace kyuu::tools {

void CallSession::OnPath(const PathFound& path) {
  if (errand_) errand_->HandlePath(path);
  std::string text =
      absl::StrCat(path.relayed ? "relayed" : "direct", " way to ", peer_name_,
                   " (", path.local, " to ", path.remote, ")");
  if (text == path_text_) return;
  // What comes later of the same call is no news to the server.
  if (path_text_.empty()) {
    ReportCall(path.relayed ? signaling::CallOutcome::kRelayed
                            : signaling::CallOutcome::kDirect);
  }
  path_text_ = std::move(text);
  terminal_.Say(path_text_);
}

void CallSession::ReportCall(signaling::CallOutcome outcome) {
  if (server_->client() == nullptr) return;
  // Of a call that the server has no more there is nothing to tell it.
  (void)server_->client()->ReportCall(net::Loop::Now(), call_id_, outcome);
  server_->Flush();
}

}  // namespace kyuu::tools
