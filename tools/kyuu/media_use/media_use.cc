#include "tools/kyuu/media_use/media_use.h"

#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kyuu::tools {
namespace {

using sdp::MediaCapability;

// "name/rate" or "name/rate/channels".
bool IsCodec(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  if (parts.size() < 2 || parts.size() > 3) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool number =
        parts[i].find_first_not_of("0123456789") == absl::string_view::npos;
    if (parts[i].empty() || (i > 0 && !number)) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<MediaCapability> ParseMediaUse(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  MediaCapability media;
  media.media = std::string(parts.first);
  if (media.media != "audio" && media.media != "video") {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", media.media, "\" is neither audio nor video"));
  }
  if (parts.second == "reject") {
    media.use = MediaCapability::Use::kReject;
  } else if (parts.second != "park") {
    media.use = MediaCapability::Use::kAccept;
    // Of nothing at all there would be no parts.
    for (const absl::string_view codec :
         absl::StrSplit(parts.second.empty() ? " " : parts.second, ',')) {
      if (!IsCodec(codec)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "\"", codec, "\" is no codec such as opus/48000/2 or VP8/90000"));
      }
      media.codecs.push_back({.encoding = std::string(codec)});
    }
  }
  return media;
}

void AddMediaUse(CLI::App& command, std::vector<MediaCapability>& media) {
  command
      .add_option_function<std::vector<std::string>>(
          "--media",
          [&media](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              auto one = ParseMediaUse(text);
              if (!one.ok()) {
                throw CLI::ValidationError("--media",
                                           std::string(one.status().message()));
              }
              media.push_back(*std::move(one));
            }
          },
          "How audio or video of the peer is answered: audio=reject, "
          "video=park, or audio=CODEC,CODEC; repeatable")
      ->type_name("KIND=ANSWER")
      ->allow_extra_args(false);
}

}  // namespace kyuu::tools
