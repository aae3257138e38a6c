// What a description says against the grammar and against itself.

#ifndef KYUU_SDP_INTERNAL_JUDGE_H_
#define KYUU_SDP_INTERNAL_JUDGE_H_

#include <cstddef>

#include "sdp/description.h"
#include "sdp/finding.h"

namespace kyuu::sdp::internal {

// FindingList keeps the first findings, and counts the others.
class FindingList {
 public:
  explicit FindingList(size_t findings_max) : max_(findings_max) {}

  void Add(const Finding& finding) {
    if (findings_.kept.size() < max_) {
      findings_.kept.push_back(finding);
    } else {
      ++findings_.dropped;
    }
  }
  // In the order of the lines.
  Findings Take();

 private:
  size_t max_;
  Findings findings_;
};

// Judge looks at each line by itself, then at each section, then at the groups.
// Time is linear in the size of the description, but for a logarithm.
Findings Judge(const Description& description, size_t findings_max);

// JudgeSection adds what a media section says against itself
// (section_rules.cc).
void JudgeSection(const MediaSection& section, bool bundled,
                  FindingList& findings);

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_JUDGE_H_
