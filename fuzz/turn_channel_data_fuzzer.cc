// ChannelData: what reads is written as the same bytes, but for the padding.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "turn/channel_data.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::turn::ChannelData;
  using kyuu::turn::kChannelHeaderSize;
  const auto bytes = absl::MakeConstSpan(data, size);
  const std::optional<ChannelData> read = kyuu::turn::ReadChannelData(bytes);
  if (!read) return 0;
  KYUU_CHECK(kyuu::turn::IsChannelData(bytes));
  KYUU_CHECK(kChannelHeaderSize + read->payload.size() <= size);
  std::vector<uint8_t> written(kChannelHeaderSize);
  kyuu::turn::WriteChannelHeader(read->channel, read->payload.size(),
                                 absl::MakeSpan(written));
  written.insert(written.end(), read->payload.begin(), read->payload.end());
  KYUU_CHECK(std::equal(written.begin(), written.end(), data));
  return 0;
}
