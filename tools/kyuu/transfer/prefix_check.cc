#include "tools/kyuu/transfer/prefix_check.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace kyuu::tools {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;

}  // namespace

absl::StatusOr<bool> PrefixHasher::GoTo(uint64_t to, size_t& bytes) {
  buffer_.resize(kReadBytes);
  while (offset_ < to && bytes > 0) {
    const size_t want = static_cast<size_t>(
        std::min<uint64_t>({to - offset_, bytes, kReadBytes}));
    const ssize_t got =
        pread(fd_, buffer_.data(), want, static_cast<off_t>(offset_));
    // A signal may interrupt it, at the price of one of our bytes.
    if (got < 0 && errno == EINTR) {
      --bytes;
      continue;
    }
    if (got < 0) return absl::DataLossError("it cannot be read");
    if (got == 0) return absl::DataLossError("it ends too early");
    hash_.Add(absl::MakeConstSpan(buffer_).first(static_cast<size_t>(got)));
    offset_ += static_cast<uint64_t>(got);
    bytes -= static_cast<size_t>(got);
  }
  return offset_ >= to;
}

PartCheck::PartCheck(int fd, uint64_t have, uint64_t size,
                     const Journal& journal)
    : hasher_(fd),
      have_(have),
      chunk_bytes_(JournalChunkBytes(size)),
      // Other chunks, other hashes.
      expected_(JournalChunkBytes(journal.size) == JournalChunkBytes(size)
                    ? journal.prefixes
                    : std::vector<std::string>()),
      plan_(PlanCheckpoints(have, chunk_bytes_)),
      done_(have == 0) {}

void PartCheck::Step(size_t bytes) {
  while (!done_ && bytes > 0) {
    const uint64_t to = std::min(have_, (prefixes_.size() + 1) * chunk_bytes_);
    const absl::StatusOr<bool> there = hasher_.GoTo(to, bytes);
    if (there.ok() && !*there) return;
    done_ = !there.ok() || !Pass(to) || to == have_;
  }
}

bool PartCheck::Pass(uint64_t offset) {
  const std::string sha256 = hasher_.hash().Peek();
  const bool whole = offset == (prefixes_.size() + 1) * chunk_bytes_;
  if (whole && prefixes_.size() < expected_.size() &&
      expected_[prefixes_.size()] != sha256) {
    // What is intact ends at the chunk before, whether planned or not.
    if (intact_ > 0 &&
        (places_.empty() || places_.back().checkpoint.offset != intact_)) {
      places_.push_back({{intact_, prefixes_.back()}, last_});
    }
    return false;
  }
  intact_ = offset;
  if (whole) {
    prefixes_.push_back(sha256);
    last_ = hasher_.hash();
  }
  if (plan_[next_] == offset) {
    places_.push_back({{offset, sha256}, hasher_.hash()});
    ++next_;
  }
  return true;
}

void SourceCheck::Step(size_t bytes) {
  while (!done() && bytes > 0) {
    const Checkpoint& checkpoint = checkpoints_[next_];
    const absl::StatusOr<bool> there = hasher_.GoTo(checkpoint.offset, bytes);
    if (there.ok() && !*there) return;
    if (!there.ok() || hasher_.hash().Peek() != checkpoint.sha256) {
      // Beginnings that differ have no longer ones that do not.
      next_ = checkpoints_.size();
      return;
    }
    common_ = checkpoint.offset;
    hash_ = hasher_.hash();
    ++next_;
  }
}

}  // namespace kyuu::tools
