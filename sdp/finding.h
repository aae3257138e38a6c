// What a description says against the grammar, kept as data.

#ifndef KYUU_SDP_FINDING_H_
#define KYUU_SDP_FINDING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "sdp/attribute_type.h"

namespace kyuu::sdp {

// Finding is what a description says against the grammar where nothing depends
// on it.
struct Finding {
  enum class Code : uint8_t {
    kPlace,           // A line where its type may not stand.
    kLine,            // The value of a line other than a=.
    kAttributeName,   // No name, or an empty one.
    kAttributeValue,  // A value, or none, that the attribute may not have.
    kCandidate,       // A candidate that cannot be used.
    kSctpPort,        // Missing or 0: read as 5000.
    kReference,       // It names what the description does not have.
    kRepeated,        // Said, or used, a second time.
    kMissing,         // What has to be said beside something else is not.
  };
  Code code;
  size_t line = 0;    // From 1.
  size_t column = 0;  // From 1, in bytes.
  AttributeType attribute = AttributeType::kNone;
  absl::string_view message;  // "must be 1..65535". Static.
  absl::string_view rule;     // "RFC 8841 section 5". Static.
};
// "attribute-value".
absl::string_view FindingCodeName(Finding::Code code);

// Findings are those of one description, in the order of its lines.
struct Findings {
  std::vector<Finding> kept;
  size_t dropped = 0;  // Those beyond the limit.

  bool empty() const { return kept.empty() && dropped == 0; }
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_FINDING_H_
