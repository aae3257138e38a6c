// IceProvider: who gives signaling sessions what they need to connect.

#ifndef KYUU_TOOLS_KYUUD_ICE_PROVIDER_H_
#define KYUU_TOOLS_KYUUD_ICE_PROVIDER_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "signaling/message.h"

namespace kyuu::tools {

// IceProvider mints what a signaling session needs to connect.
class IceProvider {
 public:
  using Servers = std::vector<signaling::IceServer>;
  virtual ~IceProvider() = default;
  // Makes servers with credentials for `session`, whose client reached us by
  // the name `host`, and hands them to `done` on the loop, now or later. May
  // come again for a session: it was resumed, or wants new credentials. What
  // was handed out before stays good until Close().
  virtual void Open(const std::string& session, const std::string& host,
                    absl::AnyInvocable<void(Servers)> done) = 0;
  // The session is over; its credentials end.
  virtual void Close(const std::string& session) = 0;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ICE_PROVIDER_H_
