// Finds out how much of a file two sides have in common, a slice at a time, so
// that a loop can do other things in between.

#ifndef KYUU_TOOLS_KYUU_TRANSFER_PREFIX_CHECK_H_
#define KYUU_TOOLS_KYUU_TRANSFER_PREFIX_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/kyuu/transfer/journal.h"
#include "tools/kyuu/transfer/resume_message.h"
#include "tools/kyuu/transfer/sha256.h"

namespace kyuu::tools {

// PrefixHasher hashes a file from its beginning.
class PrefixHasher {
 public:
  // `fd` stays the caller's and must outlive the hasher; its position is not
  // used.
  explicit PrefixHasher(int fd) : fd_(fd) {}

  // Goes on to `to`, by at most `bytes`, and takes what it read from `bytes`.
  // True once it is there. DATA_LOSS if the file ends before or cannot be read.
  absl::StatusOr<bool> GoTo(uint64_t to, size_t& bytes);

  uint64_t offset() const { return offset_; }
  // Of the first offset() bytes.
  const Sha256& hash() const { return hash_; }

 private:
  int fd_;
  uint64_t offset_ = 0;
  Sha256 hash_;
  std::vector<uint8_t> buffer_;
};

// PartCheck is the receiver's half: what of a part is as its journal says, and
// the hashes to tell the sender. What stands behind the journal's last hash is
// hashed, too: the sender decides.
class PartCheck {
 public:
  // A place from which the transfer may go on.
  struct Place {
    Checkpoint checkpoint;
    Sha256 hash;  // To be gone on with.
  };

  // The part has `have` bytes, of a file of `size`, at least as many; the
  // journal may be empty.
  PartCheck(int fd, uint64_t have, uint64_t size, const Journal& journal);

  // Goes on by at most `bytes`. A part that cannot be read ends where that is.
  void Step(size_t bytes);
  bool done() const { return done_; }

  // As far as the part is what the journal says; all of it without one.
  uint64_t intact() const { return intact_; }
  // Ascending; the last one is intact().
  const std::vector<Place>& places() const { return places_; }
  // Of the whole chunks in intact(), as in a journal.
  const std::vector<std::string>& prefixes() const { return prefixes_; }

 private:
  // False where the part ceases to be what the journal says.
  bool Pass(uint64_t offset);

  PrefixHasher hasher_;
  const uint64_t have_;
  const uint64_t chunk_bytes_;
  std::vector<std::string> expected_;
  std::vector<uint64_t> plan_;
  size_t next_ = 0;  // In plan_.
  uint64_t intact_ = 0;
  Sha256 last_;  // Of the last whole chunk's end.
  bool done_ = false;
  std::vector<Place> places_;
  std::vector<std::string> prefixes_;
};

// SourceCheck is the sender's half: up to which of the receiver's checkpoints
// its own file is the same.
class SourceCheck {
 public:
  // `checkpoints` are of ReadCheckpoints.
  SourceCheck(int fd, std::vector<Checkpoint> checkpoints)
      : hasher_(fd), checkpoints_(std::move(checkpoints)) {}

  // Goes on by at most `bytes`. A file that cannot be read is the same up to
  // there: reading on will tell.
  void Step(size_t bytes);
  bool done() const { return next_ == checkpoints_.size(); }

  // What both have: where to go on, and the hash to go on with.
  uint64_t common() const { return common_; }
  const Sha256& hash() const { return hash_; }

 private:
  PrefixHasher hasher_;
  std::vector<Checkpoint> checkpoints_;
  size_t next_ = 0;
  uint64_t common_ = 0;
  Sha256 hash_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TRANSFER_PREFIX_CHECK_H_
