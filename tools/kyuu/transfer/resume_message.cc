#include "tools/kyuu/transfer/resume_message.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

constexpr size_t kTokenBytesMax = 64;
constexpr size_t kSha256Digits = 64;

std::string Text(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>()
                                               : std::string();
}

}  // namespace

bool IsVersionToken(absl::string_view text) {
  return !text.empty() && text.size() <= kTokenBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '_' || c == '-';
         });
}

bool IsSha256(absl::string_view text) {
  return text.size() == kSha256Digits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

json ToJson(const FileVersion& version) {
  return {{"source", version.source}, {"version", version.version}};
}

std::optional<FileVersion> ReadFileVersion(const json& offer) {
  const auto it = offer.find("resume");
  if (it == offer.end() || !it->is_object()) return std::nullopt;
  FileVersion version{Text(*it, "source"), Text(*it, "version")};
  if (!IsVersionToken(version.source) || !IsVersionToken(version.version)) {
    return std::nullopt;
  }
  return version;
}

std::vector<uint64_t> PlanCheckpoints(uint64_t have, uint64_t chunk_bytes) {
  std::vector<uint64_t> offsets;
  const uint64_t chunks = have / chunk_bytes;
  // All but the last two, which are the places most likely to be used.
  constexpr uint64_t kSpread = kCheckpointsMax - 2;
  const uint64_t step = (chunks + kSpread - 1) / kSpread;
  for (uint64_t chunk = step; step > 0 && chunk < chunks; chunk += step) {
    offsets.push_back(chunk * chunk_bytes);
  }
  if (chunks > 0) offsets.push_back(chunks * chunk_bytes);
  if (have % chunk_bytes != 0) offsets.push_back(have);
  return offsets;
}

json ToJson(const std::vector<Checkpoint>& checkpoints) {
  json list = json::array();
  for (const Checkpoint& checkpoint : checkpoints) {
    list.push_back({checkpoint.offset, checkpoint.sha256});
  }
  return list;
}

std::optional<std::vector<Checkpoint>> ReadCheckpoints(const json& accept,
                                                       uint64_t size) {
  const auto it = accept.find("resume");
  if (it == accept.end()) return std::nullopt;
  std::vector<Checkpoint> checkpoints;
  if (!it->is_array() || it->size() > kCheckpointsMax) return checkpoints;
  uint64_t last = 0;
  for (const json& entry : *it) {
    if (!entry.is_array() || entry.size() != 2 ||
        !entry[0].is_number_unsigned() || !entry[1].is_string()) {
      return std::vector<Checkpoint>();
    }
    Checkpoint checkpoint{entry[0].get<uint64_t>(),
                          entry[1].get<std::string>()};
    if (checkpoint.offset <= last || checkpoint.offset > size ||
        !IsSha256(checkpoint.sha256)) {
      return std::vector<Checkpoint>();
    }
    last = checkpoint.offset;
    checkpoints.push_back(std::move(checkpoint));
  }
  return checkpoints;
}

std::string StartMessage(uint64_t offset) {
  return json{{"type", "start"}, {"offset", offset}}.dump();
}

absl::StatusOr<uint64_t> ReadStart(absl::string_view message) {
  const json start =
      json::parse(message.begin(), message.end(), nullptr, false);
  if (start.is_object() && Text(start, "type") == "start") {
    const auto it = start.find("offset");
    if (it != start.end() && it->is_number_unsigned() &&
        it->get<uint64_t>() <= kFileBytesMax) {
      return it->get<uint64_t>();
    }
  }
  return absl::InvalidArgumentError(
      "the peer's first message is not \"start\"");
}

}  // namespace kyuu::tools
