// The facts of a session description that its summaries tell, words and JSON.

#ifndef KYUU_TOOLS_KYUU_SDP_SDP_FACTS_H_
#define KYUU_TOOLS_KYUU_SDP_SDP_FACTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sdp/description.h"

namespace kyuu::tools {

// The ICE candidates of a block, by what they are.
struct CandidateCount {
  std::string kind;  // "host udp", "srflx udp", "host mDNS udp".
  int count = 0;
};

// CountCandidates counts every a=candidate; "unusable" are those that nobody
// can read, "unknown" those of a transport or type that kyuu does not have.
std::vector<CandidateCount> CountCandidates(const sdp::Block& block);

// FeedbackName is "nack pli".
std::string FeedbackName(const sdp::RtcpFeedback& feedback);

// The tags of a=ice-options, and the fingerprints, where the block has some.
std::vector<absl::string_view> IceTags(const sdp::Block& block);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SDP_SDP_FACTS_H_
