// Candidate lines: what parses is written as a line that parses to the same,
// and is the same in little memory.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "ice/candidate.h"
#include "ice/compact/candidate_list.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::ice::Candidate;
  const absl::StatusOr<Candidate> candidate = Candidate::Parse(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!candidate.ok()) return 0;
  const kyuu::ice::CandidateList compact({*candidate, *candidate});
  KYUU_CHECK(compact.Get()[1] == *candidate);
  const std::string line = candidate->ToString();
  KYUU_CHECK(line.find_first_of(std::string("\r\n\0", 3)) == std::string::npos);
  // A prefix that was left out, and a group of zeros, may not fit any more.
  if (line.size() > Candidate::kMaxLineSize) return 0;
  const absl::StatusOr<Candidate> again = Candidate::Parse(line);
  KYUU_CHECK(again.ok());
  KYUU_CHECK(*again == *candidate);
  KYUU_CHECK(again->ToString() == line);
  return 0;
}
