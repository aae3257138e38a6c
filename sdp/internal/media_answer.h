// What is written in an m= section of audio or video that stays open.

#ifndef KYUU_SDP_INTERNAL_MEDIA_ANSWER_H_
#define KYUU_SDP_INTERNAL_MEDIA_ANSWER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "sdp/description.h"
#include "sdp/media_capability.h"

namespace kyuu::sdp::internal {

// MediaAnswer is the media's part of a section; the transport's is not in it.
struct MediaAnswer {
  std::string formats;  // Of the m= line.
  Direction direction = Direction::kInactive;
  std::vector<std::string> lines;  // "rtpmap:111 opus/48000/2"
};

// Park returns the formats of a section, and no media: what keeps the transport
// that it shares with data (RFC 9143 section 7.3.3).
MediaAnswer Park(const MediaSection& offered);

// Keep returns what `ours`, a section of a description of ours, says already.
MediaAnswer Keep(const MediaSection& ours);

// CheckMedia is INVALID_ARGUMENT if a capability says what is not its to say.
absl::Status CheckMedia(absl::Span<const MediaCapability> media);

// AnswerMedia answers `offered` as the capability for its media says, which
// without one is to park it; nullopt for a rejection.
std::optional<MediaAnswer> AnswerMedia(const MediaSection& offered,
                                       absl::Span<const MediaCapability> media);

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_MEDIA_ANSWER_H_
