#include "tools/kyuu/turn_probe/size_probe.h"

#include <algorithm>

namespace kyuu::tools {

std::vector<size_t> UsualPayloads(IpFamily family) {
  // IP, UDP, and the header of ChannelData (RFC 8656 section 12.4).
  const size_t headers = (family == IpFamily::kV6 ? 40 : 20) + 8 + 4;
  std::vector<size_t> sizes = {1200};
  for (const size_t packet : {576, 1000, 1100, 1280, 1360, 1380, 1400, 1420,
                              1440, 1460, 1480, 1492, 1500}) {
    sizes.push_back(packet - headers);
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

std::vector<size_t> SizeProbe::NextRound() {
  if (rounds_ == kRoundsMax) return {};
  ++rounds_;
  return missing_;
}

void SizeProbe::HandleReturn(size_t size) {
  const auto it = std::find(missing_.begin(), missing_.end(), size);
  if (it == missing_.end()) return;
  missing_.erase(it);
  largest_ = std::max(largest_.value_or(0), size);
}

}  // namespace kyuu::tools
