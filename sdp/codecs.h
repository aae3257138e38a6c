// The codecs of a media section, put together from its lines.

#ifndef KYUU_SDP_CODECS_H_
#define KYUU_SDP_CODECS_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "sdp/section.h"

namespace kyuu::sdp {

// Codec is one format of an RTP section: what a=rtpmap, a=fmtp and a=rtcp-fb
// say of it. Views live as long as those of the section.
struct Codec {
  uint8_t payload_type = 0;
  // From a=rtpmap, else what RFC 3551 section 6 assigned to the payload type;
  // empty and 0 if neither says anything.
  absl::string_view encoding;
  uint32_t clock_rate = 0;  // In Hz.
  uint32_t channels = 1;    // Of audio.
  Parameters parameters;    // From a=fmtp; the first one of several.
  // Those for all formats ("*") are left out: the section has them.
  std::vector<RtcpFeedback> feedback;
};

// Codecs returns the formats of the m= line in its order, which is that of
// preference, each once: at most 128.
std::vector<Codec> Codecs(const MediaSection& section);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_CODECS_H_
