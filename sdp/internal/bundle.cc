#include "sdp/internal/bundle.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"

namespace kyuu::sdp::internal {

std::optional<size_t> FindData(const Description& description) {
  for (size_t i = 0; i < description.media_count(); ++i) {
    const MediaSection section = description.media(i);
    if (section.is_data_channel() && !section.rejected()) return i;
  }
  return std::nullopt;
}

std::vector<absl::string_view> GroupOf(const Description& description,
                                       absl::string_view mid) {
  for (std::vector<absl::string_view>& group : description.BundleGroups()) {
    if (std::find(group.begin(), group.end(), mid) != group.end()) {
      return std::move(group);
    }
  }
  return {};
}

bool IsMedia(const MediaSection& section) {
  return absl::StrContains(section.protocol(), "TLS/RTP/");
}

std::vector<size_t> TransportOf(const Description& description, size_t data) {
  const auto mid = description.media(data).mid();
  if (!mid) return {data};
  absl::flat_hash_map<absl::string_view, size_t> indexes;
  for (size_t i = 0; i < description.media_count(); ++i) {
    if (const auto name = description.media(i).mid()) indexes.emplace(*name, i);
  }
  std::vector<size_t> shared;
  for (const absl::string_view member : GroupOf(description, *mid)) {
    const auto found = indexes.find(member);
    if (found == indexes.end()) continue;
    const MediaSection section = description.media(found->second);
    if (found->second == data || (IsMedia(section) && !section.rejected())) {
      shared.push_back(found->second);
    }
  }
  if (shared.empty()) shared.push_back(data);
  return shared;
}

}  // namespace kyuu::sdp::internal
