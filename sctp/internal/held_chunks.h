// DATA chunks that lie beyond a hole, by their TSN, and which of them belong
// together.

#ifndef KYUU_SCTP_INTERNAL_HELD_CHUNKS_H_
#define KYUU_SCTP_INTERNAL_HELD_CHUNKS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/tsn_intervals.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// HeldChunk is a DATA chunk with a copy of its payload.
struct HeldChunk {
  bool present = false;
  uint8_t flags = 0;
  StreamId stream{};
  Ssn ssn;
  Ppid ppid{};
  // At both ends of a run of fragments: where the other end is.
  Tsn other_end;
  std::vector<uint8_t> payload;

  DataChunk View(Tsn tsn) const {
    return {.flags = flags,
            .tsn = tsn,
            .stream = stream,
            .ssn = ssn,
            .ppid = ppid,
            .payload = payload};
  }
};

// HeldChunks keeps its chunks in pages, which exist while anything is in them:
// a chunk far away costs a page and not the distance. What an insertion costs
// does not depend on how many chunks there are. Empty, it owns nothing.
class HeldChunks {
 public:
  // All TSNs lie within `window` above the cumulative TSN.
  explicit HeldChunks(size_t window);

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  const HeldChunk* Find(Tsn tsn) const;

  // Insert takes a chunk in whose TSN is not here yet, and joins it with the
  // fragments of the same message on both sides. If they are a whole message
  // now, returns where it begins and ends. `low` is the lowest TSN that may
  // be here.
  std::optional<TsnInterval> Insert(const DataChunk& chunk, Tsn low);
  // Take removes the chunk at `tsn`, which is here. Of a run, all chunks go, or
  // those below the next `low`.
  HeldChunk Take(Tsn tsn);
  // Calls `drop` with each chunk from `first` to `last` and removes it.
  template <typename F>
  void DropRange(Tsn first, Tsn last, F&& drop) {
    for (Tsn tsn = first; tsn <= last && size_ > 0;) {
      const Page* page = directory_[Index(tsn)].get();
      if (page == nullptr) {
        // The next page.
        tsn = Tsn(((tsn.value() >> kPageBits) + 1) << kPageBits);
        continue;
      }
      ++visited_;
      if (Find(tsn) != nullptr) drop(Take(tsn));
      ++tsn;
    }
  }

  // How many chunks were looked at so far: the work done.
  uint64_t visited() const { return visited_; }
  // Pages that exist.
  size_t pages() const { return pages_; }

 private:
  static constexpr int kPageBits = 6;
  static constexpr size_t kPageSize = size_t{1} << kPageBits;
  struct Page {
    size_t used = 0;
    std::array<HeldChunk, kPageSize> chunks;
  };

  size_t Index(Tsn tsn) const {
    return (tsn.value() >> kPageBits) & (directory_size_ - 1);
  }
  HeldChunk& At(Tsn tsn) {
    ++visited_;
    return directory_[Index(tsn)]->chunks[tsn.value() & (kPageSize - 1)];
  }
  bool Continues(const HeldChunk* before, const HeldChunk* after) const;

  // A power of two, so that the pages of a window never share a place in it.
  size_t directory_size_;
  std::vector<std::unique_ptr<Page>> directory_;  // Empty if nothing is held.
  size_t size_ = 0;
  size_t pages_ = 0;
  mutable uint64_t visited_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_HELD_CHUNKS_H_
