// A small value for each of the 65536 streams, in little memory.

#ifndef KYUU_SCTP_INTERNAL_STREAM_TABLE_H_
#define KYUU_SCTP_INTERNAL_STREAM_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// StreamTable holds a T for each stream, T() until it is written to, in pages
// of 64 that exist once they are. Unused, it owns nothing.
template <typename T>
class StreamTable {
 public:
  // The value of `stream`, to be written to. Stays where it is until Clear.
  T& operator[](StreamId stream) {
    std::unique_ptr<Page>& page = pages_[High(stream)];
    if (page == nullptr) page = std::make_unique<Page>();
    return (*page)[Low(stream)];
  }
  T Get(StreamId stream) const {
    const auto it = pages_.find(High(stream));
    return it == pages_.end() ? T() : (*it->second)[Low(stream)];
  }
  // The value of `stream`, or null where none near it was written to.
  T* Find(StreamId stream) {
    const auto it = pages_.find(High(stream));
    return it == pages_.end() ? nullptr : &(*it->second)[Low(stream)];
  }
  // All values are T() again.
  void Clear() { pages_ = {}; }

 private:
  static constexpr size_t kPageSize = 64;
  using Page = std::array<T, kPageSize>;
  static uint16_t High(StreamId stream) {
    return static_cast<uint16_t>(static_cast<uint16_t>(stream) / kPageSize);
  }
  static size_t Low(StreamId stream) {
    return static_cast<uint16_t>(stream) % kPageSize;
  }

  absl::flat_hash_map<uint16_t, std::unique_ptr<Page>> pages_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_TABLE_H_
