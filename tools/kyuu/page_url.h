// The address of the page, as people copy it from a browser.

#ifndef KYUU_TOOLS_KYUU_PAGE_URL_H_
#define KYUU_TOOLS_KYUU_PAGE_URL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {

// Where an address leads.
struct PageUrl {
  std::string url;     // Of the WebSocket: scheme, host and path, no query.
  std::string room;    // Of "?room=", decoded; empty without it.
  bool relay = false;  // Of "?relay=1".

  // Parse takes the address of the page, in whatever folder of the host it
  // lies and with its query, or that of the WebSocket, which ends with
  // signaling::kSignalingPath. INVALID_ARGUMENT for an escape that is none.
  static absl::StatusOr<PageUrl> Parse(absl::string_view text);
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PAGE_URL_H_
