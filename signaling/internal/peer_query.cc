#include "signaling/internal/peer_query.h"

#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "signaling/internal/name.h"

namespace kyuu::signaling::internal {
namespace {

Refusal Refused(ErrorCode code, std::string message) {
  Refusal refusal;
  refusal.code = code;
  refusal.message = std::move(message);
  return refusal;
}

}  // namespace

PeerQuery::Value PeerQuery::ValueOf(const JsonValue& value) {
  std::optional<std::string> text = JsonText(value);
  return {value.kind, text ? *std::move(text) : std::string(value.raw)};
}

std::variant<PeerQuery, Refusal> PeerQuery::Make(const Query& query,
                                                 size_t max_name_bytes) {
  PeerQuery made;
  made.max_name_bytes_ = max_name_bytes;
  if (!query.prefix.empty()) {
    auto prefix = PrepareName(query.prefix, max_name_bytes);
    if (!prefix.ok()) {
      return Refused(ErrorCode::kInvalidName,
                     std::string(prefix.status().message()));
    }
    made.prefix_ = std::move(prefix->folded);
  }
  const absl::StatusOr<JsonObject> meta = JsonObject::Parse(query.meta, {});
  if (!meta.ok()) {
    return Refused(ErrorCode::kBadMessage,
                   absl::StrCat("\"meta\": ", meta.status().message()));
  }
  for (const JsonObject::Member& member : meta->members()) {
    if (member.value.kind == JsonKind::kObject ||
        member.value.kind == JsonKind::kArray) {
      return Refused(ErrorCode::kBadMessage,
                     "\"meta\": objects and arrays cannot be looked for");
    }
    if (made.members_.size() == kMaxQueryMembers) {
      return Refused(
          ErrorCode::kTooLarge,
          absl::StrCat("\"meta\": more than ", kMaxQueryMembers, " members"));
    }
    made.members_.push_back({member.name, ValueOf(member.value)});
  }
  return made;
}

bool PeerQuery::Matches(absl::string_view name, absl::string_view meta) const {
  if (!prefix_.empty()) {
    const auto prepared = PrepareName(name, max_name_bytes_);
    if (!prepared.ok() || !absl::StartsWith(prepared->folded, prefix_)) {
      return false;
    }
  }
  if (members_.empty()) return true;
  const absl::StatusOr<JsonObject> object = JsonObject::Parse(meta, {});
  if (!object.ok()) return false;
  for (const Member& wanted : members_) {
    const std::optional<JsonValue> value = object->Find(wanted.name);
    if (!value.has_value() || !(ValueOf(*value) == wanted.value)) return false;
  }
  return true;
}

}  // namespace kyuu::signaling::internal
