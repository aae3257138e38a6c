// What came of the peer before the description that it belongs to.

#ifndef KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_
#define KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "ice/credentials.h"
#include "sdp/session.h"

namespace kyuu::peer::internal {

struct PendingCandidate {
  std::string line;
  std::string mid;
  size_t mline_index = 0;
  std::string ufrag;  // Which generation it is of, if it says so.
};

// How far ICE is with what the peer has described.
struct RemoteIce {
  // Came before their description.
  std::vector<PendingCandidate> pending;
  bool waits = false;    // The peer's credentials wait for our restart.
  bool overdue = false;  // Our restart waits for the peer's credentials.
  // Those of the peer that ICE has.
  std::optional<ice::Credentials> known;

  // Drops what waits and is of a description in force of which no section was
  // accepted: nothing will ever come of it. Without a ufrag it is of the newest
  // one; what names another has overtaken that. Returns how many those were.
  size_t DropRefused(const sdp::Session& session);
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_
