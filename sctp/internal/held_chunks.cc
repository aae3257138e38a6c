#include "sctp/internal/held_chunks.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/tsn_intervals.h"

namespace kyuu::sctp::internal {

// A window that begins in the middle of a page ends in one more.
HeldChunks::HeldChunks(size_t window)
    : directory_size_(std::bit_ceil(window / kPageSize + 2)) {}

const HeldChunk* HeldChunks::Find(Tsn tsn) const {
  if (directory_.empty()) return nullptr;
  ++visited_;
  const Page* page = directory_[Index(tsn)].get();
  if (page == nullptr) return nullptr;
  const HeldChunk& chunk = page->chunks[tsn.value() & (kPageSize - 1)];
  return chunk.present ? &chunk : nullptr;
}

bool HeldChunks::Continues(const HeldChunk* before,
                           const HeldChunk* after) const {
  if (before == nullptr || after == nullptr) return false;
  const uint8_t differs = before->flags ^ after->flags;
  return (before->flags & DataChunk::kEnd) == 0 &&
         (after->flags & DataChunk::kBegin) == 0 &&
         (differs & DataChunk::kUnordered) == 0 &&
         before->stream == after->stream &&
         ((before->flags & DataChunk::kUnordered) != 0 ||
          before->ssn == after->ssn);
}

std::optional<TsnInterval> HeldChunks::Insert(const DataChunk& chunk, Tsn low) {
  if (directory_.empty()) directory_.resize(directory_size_);
  const Tsn tsn = chunk.tsn;
  std::unique_ptr<Page>& page = directory_[Index(tsn)];
  if (page == nullptr) {
    page = std::make_unique<Page>();
    ++pages_;
  }
  HeldChunk& held = At(tsn);
  KYUU_CHECK(!held.present);
  held.present = true;
  held.flags = chunk.flags;
  held.stream = chunk.stream;
  held.ssn = chunk.ssn;
  held.ppid = chunk.ppid;
  held.payload.assign(chunk.payload.begin(), chunk.payload.end());
  ++page->used;
  ++size_;

  TsnInterval run{tsn, tsn};
  if (const HeldChunk* before = low < tsn ? Find(tsn - 1) : nullptr;
      Continues(before, &held)) {
    // A FORWARD TSN may have cut its beginning off.
    run.first = std::max(before->other_end, low);
  }
  if (const HeldChunk* after = Find(tsn + 1); Continues(&held, after)) {
    run.last = after->other_end;
  }
  HeldChunk& first = At(run.first);
  HeldChunk& last = At(run.last);
  first.other_end = run.last;
  last.other_end = run.first;
  if ((first.flags & DataChunk::kBegin) == 0 ||
      (last.flags & DataChunk::kEnd) == 0) {
    return std::nullopt;
  }
  return run;
}

HeldChunk HeldChunks::Take(Tsn tsn) {
  HeldChunk taken = std::exchange(At(tsn), HeldChunk());
  KYUU_CHECK(taken.present);
  std::unique_ptr<Page>& page = directory_[Index(tsn)];
  if (--page->used == 0) {
    page.reset();
    --pages_;
  }
  if (--size_ == 0) directory_ = decltype(directory_)();
  return taken;
}

}  // namespace kyuu::sctp::internal
