// A small value for each of the 65536 streams, in little memory.

#ifndef KYUU_SCTP_INTERNAL_STREAM_TABLE_H_
#define KYUU_SCTP_INTERNAL_STREAM_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "sctp/message.h"

namespace kyuu::sctp::internal {

// StreamTable holds a T for each stream, T() until it is written to, in pages
// of 256 that exist once they are. Unused, it owns nothing.
template <typename T>
class StreamTable {
 public:
  // The value of `stream`, to be written to. Stays where it is.
  T& operator[](StreamId stream) {
    if (directory_ == nullptr) directory_ = std::make_unique<Directory>();
    std::unique_ptr<Page>& page = (*directory_)[High(stream)];
    if (page == nullptr) page = std::make_unique<Page>();
    return (*page)[Low(stream)];
  }
  T Get(StreamId stream) const {
    if (directory_ == nullptr) return T();
    const std::unique_ptr<Page>& page = (*directory_)[High(stream)];
    return page == nullptr ? T() : (*page)[Low(stream)];
  }
  // All values are T() again.
  void Clear() { directory_.reset(); }

 private:
  using Page = std::array<T, 256>;
  using Directory = std::array<std::unique_ptr<Page>, 256>;
  static size_t High(StreamId stream) {
    return static_cast<uint16_t>(stream) >> 8;
  }
  static size_t Low(StreamId stream) {
    return static_cast<uint16_t>(stream) & 0xff;
  }

  std::unique_ptr<Directory> directory_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_TABLE_H_
