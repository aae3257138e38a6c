// A small value for each of the 65536 streams, in little memory.

#ifndef KYUU_SCTP_INTERNAL_STREAM_TABLE_H_
#define KYUU_SCTP_INTERNAL_STREAM_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "sctp/internal/recent_map.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// StreamTable holds a T for each stream, T() until it is written to, in pages
// of 16 that exist once they are. Unused, it owns nothing.
template <typename T>
class StreamTable {
 public:
  // The value of `stream`, to be written to. Stays where it is until Clear.
  T& operator[](StreamId stream) {
    return pages_.Make(High(stream))[Low(stream)];
  }
  T Get(StreamId stream) const {
    const Page* page = pages_.Find(High(stream));
    return page == nullptr ? T() : (*page)[Low(stream)];
  }
  // The value of `stream`, or null where none near it was written to.
  T* Find(StreamId stream) {
    Page* page = pages_.Find(High(stream));
    return page == nullptr ? nullptr : &(*page)[Low(stream)];
  }
  // Streams that there is a place for.
  size_t places() const { return pages_.size() * kPageSize; }
  // All values are T() again.
  void Clear() { pages_.Clear(); }

 private:
  static constexpr size_t kPageSize = 16;
  using Page = std::array<T, kPageSize>;
  static uint16_t High(StreamId stream) {
    return static_cast<uint16_t>(static_cast<uint16_t>(stream) / kPageSize);
  }
  static size_t Low(StreamId stream) {
    return static_cast<uint16_t>(stream) % kPageSize;
  }

  RecentMap<uint16_t, Page> pages_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_TABLE_H_
