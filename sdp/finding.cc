#include "sdp/finding.h"

namespace kyuu::sdp {

absl::string_view FindingCodeName(Finding::Code code) {
  switch (code) {
    case Finding::Code::kPlace:
      return "place";
    case Finding::Code::kLine:
      return "line";
    case Finding::Code::kAttributeName:
      return "attribute-name";
    case Finding::Code::kAttributeValue:
      return "attribute-value";
    case Finding::Code::kCandidate:
      return "candidate";
    case Finding::Code::kSctpPort:
      return "sctp-port";
    case Finding::Code::kReference:
      return "reference";
    case Finding::Code::kRepeated:
      return "repeated";
    case Finding::Code::kMissing:
      return "missing";
  }
  return "";
}

}  // namespace kyuu::sdp
