#include "net/train_builder.h"

#include <algorithm>

namespace kyuu::net {

void TrainBuilder::DropFront(size_t segments) {
  segments = std::min(segments, segments_);
  size_t gone = std::min(segments * segment_size_, bytes_);
  segments_ -= segments;
  bytes_ -= gone;
  size_t whole = 0;
  while (whole < pieces_.size() && pieces_[whole].iov_len <= gone) {
    gone -= pieces_[whole++].iov_len;
  }
  pieces_.erase(pieces_.begin(),
                pieces_.begin() + static_cast<ptrdiff_t>(whole));
  if (gone == 0) return;
  iovec& cut = pieces_.front();
  cut.iov_base = static_cast<uint8_t*>(cut.iov_base) + gone;
  cut.iov_len -= gone;
}

}  // namespace kyuu::net
