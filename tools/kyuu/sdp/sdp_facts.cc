#include "tools/kyuu/sdp/sdp_facts.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ice/candidate.h"

namespace kyuu::tools {
namespace {

std::string KindOf(absl::string_view line) {
  const auto candidate = ice::Candidate::Parse(line);
  if (absl::IsUnimplemented(candidate.status())) return "unknown";
  if (!candidate.ok()) return "unusable";
  return absl::StrCat(
      ice::ToString(candidate->type),
      candidate->is_mdns()   ? " mDNS"
      : candidate->is_name() ? " name"
                             : "",
      candidate->transport == Transport::kTcp ? " tcp" : " udp");
}

}  // namespace

std::vector<CandidateCount> CountCandidates(const sdp::Block& block) {
  std::vector<CandidateCount> counts;
  for (const absl::string_view line :
       block.Values(sdp::AttributeType::kCandidate)) {
    const std::string kind = KindOf(line);
    const auto found =
        std::find_if(counts.begin(), counts.end(),
                     [&](const CandidateCount& c) { return c.kind == kind; });
    if (found == counts.end()) {
      counts.push_back({kind, 1});
    } else {
      ++found->count;
    }
  }
  return counts;
}

std::string FeedbackName(const sdp::RtcpFeedback& feedback) {
  if (feedback.parameters.empty()) return std::string(feedback.kind);
  return absl::StrCat(feedback.kind, " ", feedback.parameters);
}

std::vector<absl::string_view> IceTags(const sdp::Block& block) {
  const auto options = block.Get<sdp::IceOptions>();
  if (!options) return {};
  return {options->tags.begin(), options->tags.end()};
}

}  // namespace kyuu::tools
