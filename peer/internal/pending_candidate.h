// What came of the peer before the description that it belongs to.

#ifndef KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_
#define KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "ice/credentials.h"

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
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_
