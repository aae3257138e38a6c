// What came of the peer before the description that it belongs to.

#ifndef KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_
#define KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_

#include <cstddef>
#include <string>

namespace kyuu::peer::internal {

struct PendingCandidate {
  std::string line;
  std::string mid;
  size_t mline_index = 0;
  std::string ufrag;  // Which generation it is of, if it says so.
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PENDING_CANDIDATE_H_
