// The flag --media of `kyuu peer`: what is said to a peer's audio and video.

#ifndef KYUU_TOOLS_KYUU_MEDIA_USE_MEDIA_USE_H_
#define KYUU_TOOLS_KYUU_MEDIA_USE_MEDIA_USE_H_

#include <vector>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sdp/media_capability.h"

namespace kyuu::tools {

// AddMediaUse adds it to `command`. `media` must outlive that.
void AddMediaUse(CLI::App& command, std::vector<sdp::MediaCapability>& media);

// ParseMediaUse reads "audio=reject", "video=park" or "audio=opus/48000/2,
// PCMU/8000", codecs that are accepted. INVALID_ARGUMENT with the reason.
absl::StatusOr<sdp::MediaCapability> ParseMediaUse(absl::string_view text);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_MEDIA_USE_MEDIA_USE_H_
