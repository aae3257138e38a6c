// What a session description says, in words and as JSON.

#ifndef KYUU_TOOLS_KYUU_SDP_SDP_SUMMARY_H_
#define KYUU_TOOLS_KYUU_SDP_SDP_SUMMARY_H_

#include <string>

#include "sdp/description.h"

namespace kyuu::tools {

// SdpSummary returns lines of text, fit for a terminal: what the session level
// says, then each section with what is indented below it.
std::string SdpSummary(const sdp::Description& description);

// SdpJson returns the same as one JSON object in ASCII, with the findings.
// Bytes that are no UTF-8 become U+FFFD.
std::string SdpJson(const sdp::Description& description,
                    const sdp::Findings& findings);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SDP_SDP_SUMMARY_H_
