// The allocations of all nodes, as an operator asks for them.

#ifndef KYUU_RELAY_SESSIONS_H_
#define KYUU_RELAY_SESSIONS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "turn/server_events.h"

namespace kyuu::relay {

// Which allocations are meant, and what becomes of them.
struct SessionFilter {
  std::optional<turn::SessionId> session;
  // By its whole user name, or the NAME of a time-limited one.
  std::optional<std::string> user;
  turn::SessionVerdict verdict = turn::SessionVerdict::kKeep;

  bool Matches(const turn::SessionInfo& info) const {
    return (!session.has_value() || info.session == *session) &&
           (!user.has_value() || info.username == *user ||
            info.quota_user == *user);
  }
};

// Where a walk through all of them goes on; the default is its beginning.
struct SessionCursor {
  size_t instance = 0;
  size_t place = 0;
};

// What one step of a walk has found. An allocation that is there from begin to
// end of the walk is found once.
struct SessionPage {
  // Places that one step looks at. To make text of what it finds costs its
  // reader more than the step: some 10 us for each.
  static constexpr size_t kPlaces = 32;

  std::vector<turn::SessionInfo> sessions;
  std::optional<SessionCursor> next;  // nullopt at the end.
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_SESSIONS_H_
