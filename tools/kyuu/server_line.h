// The line to a kyuud that is made again when it breaks.

#ifndef KYUU_TOOLS_KYUU_SERVER_LINE_H_
#define KYUU_TOOLS_KYUU_SERVER_LINE_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "net/loop.h"
#include "tools/kyuu/signaling_link.h"

namespace kyuu::tools {

// How long to wait before the attempt after `failures` of them: 1, 2, 4, ...
// seconds (docs/signaling_protocol.md, "Connections that break"), 30 at most,
// a quarter more or less so that not all come back at once.
absl::Duration RetryDelay(int failures, Random& random);

// ServerLine lives on one loop. Its owner hears every event of the signaling
// client, ClientClosed whenever a line was lost or could not be made, and then
// calls Retry or lets it be.
class ServerLine {
 public:
  // `loop` and `random` must outlive it.
  ServerLine(net::Loop& loop, Random& random, std::string url,
             SignalingLink::Handler handler);

  // INVALID_ARGUMENT for a URL that is none, else what SignalingLink says.
  absl::Status Connect();
  // Connects again after RetryDelay, which it returns.
  absl::Duration Retry();

  // Null while there is no line: between ClientClosed and Ready.
  signaling::Client* client() { return up_ ? &link_->client() : nullptr; }
  void Flush() {
    if (link_) link_->Flush();
  }
  // Says goodbye; nothing follows.
  void Close();

 private:
  net::Loop& loop_;
  Random& random_;
  const std::string url_;
  SignalingLink::Handler handler_;
  std::unique_ptr<SignalingLink> link_;
  net::Alarm retry_;
  bool up_ = false;
  int failures_ = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SERVER_LINE_H_
