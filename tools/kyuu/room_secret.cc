#include "tools/kyuu/room_secret.h"

#include <cstddef>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "signaling/message_limits.h"

namespace kyuu::tools {

absl::StatusOr<std::string> ReadRoomSecret(const std::string& file) {
  if (file.empty()) return "";
  // With a line's end more than a secret may have.
  std::string text(signaling::kMaxRoomSecretBytes + 2, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  absl::string_view secret = absl::string_view(text).substr(0, text.find('\n'));
  absl::ConsumeSuffix(&secret, "\r");
  if (secret.empty() || secret.size() > signaling::kMaxRoomSecretBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no secret of a room, of 1 to ", signaling::kMaxRoomSecretBytes,
        " bytes, can be read from ", file));
  }
  return std::string(secret);
}

}  // namespace kyuu::tools
