// The fields and messages by which a broken transfer goes on
// (docs/application_protocol.md, "Going on"), without I/O.

#ifndef KYUU_TOOLS_KYUU_TRANSFER_RESUME_MESSAGE_H_
#define KYUU_TOOLS_KYUU_TRANSFER_RESUME_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {

// The largest file that can be offered, in bytes: what a number of JavaScript
// counts exactly.
inline constexpr uint64_t kFileBytesMax = (uint64_t{1} << 53) - 1;

// FileVersion is what a sender tells of a file that it can send from any place
// on. Both are opaque to the receiver: `source` is the same whenever that
// sender offers that file, and known to nobody else; `version` is another one
// if the file has changed.
struct FileVersion {
  std::string source;
  std::string version;
  bool operator==(const FileVersion&) const = default;
};

// Whether `text` can be a source or a version: 1 to 64 of A-Z a-z 0-9 _ -.
bool IsVersionToken(absl::string_view text);

// The field "resume" of a file-offer. ReadFileVersion returns nullopt if it is
// not there or against the rules: then the file is sent from its beginning.
nlohmann::json ToJson(const FileVersion& version);
std::optional<FileVersion> ReadFileVersion(const nlohmann::json& offer);

// The hash of the first `offset` bytes of a file.
struct Checkpoint {
  uint64_t offset = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits.
  bool operator==(const Checkpoint&) const = default;
};

// Of one file-accept: 64 * 86 bytes at most, which leaves room in a control
// message of 16384.
inline constexpr size_t kCheckpointsMax = 64;

// PlanCheckpoints returns where a receiver that has `have` bytes takes the
// hashes that it tells, ascending: at some ends of chunks, evenly spread, at
// that of the last whole chunk and at `have` itself. At most kCheckpointsMax;
// none for 0 bytes. `chunk_bytes` must not be 0.
std::vector<uint64_t> PlanCheckpoints(uint64_t have, uint64_t chunk_bytes);

// The field "resume" of a file-accept. ReadCheckpoints returns nullopt if it is
// not there: the receiver does not know this. It is empty if it is against the
// rules: offsets must ascend from 1 to `size`.
nlohmann::json ToJson(const std::vector<Checkpoint>& checkpoints);
std::optional<std::vector<Checkpoint>> ReadCheckpoints(
    const nlohmann::json& accept, uint64_t size);

// The first message of the file's channel: the offset of what follows.
// INVALID_ARGUMENT if it is another message.
std::string StartMessage(uint64_t offset);
absl::StatusOr<uint64_t> ReadStart(absl::string_view message);

// Whether `text` is 64 lower-case hexadecimal digits.
bool IsSha256(absl::string_view text);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TRANSFER_RESUME_MESSAGE_H_
