// Files that have come in part, on the disk.

#ifndef KYUU_TOOLS_KYUU_TRANSFER_PART_FILE_H_
#define KYUU_TOOLS_KYUU_TRANSFER_PART_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/kyuu/transfer/journal.h"

namespace kyuu::tools {

// What the system says, by what a person and the sender can do about it:
// RESOURCE_EXHAUSTED (the disk or the quota is full), OUT_OF_RANGE (no files of
// that size), INVALID_ARGUMENT (no such names), else as absl::ErrnoToStatus.
absl::Status StorageFailure(int error, absl::string_view what);

// PartFile is a hidden file beside the place of what is received, locked while
// it is open, and its journal:
//
//   .NAME.KEY.part            KEY: 16 digits of the hash of the file's source
//   .NAME.KEY.part.journal    journal.h; only once a chunk is there
//
// so that it is found again when the same file is offered. One without a source
// has 6 random characters for KEY, and no journal. Links in their places are
// never followed. The destructor closes it and removes nothing.
class PartFile {
 public:
  // Opens the part of `file` in `folder`, or creates it, or, if there is
  // another program at it or it is not a file of ours, a new one without a
  // journal.
  static absl::StatusOr<PartFile> Open(const std::string& folder,
                                       const std::string& stored_name,
                                       const FileVersion& file);
  // Creates a new one, without a journal. What the system says if `folder`
  // cannot be written.
  static absl::StatusOr<PartFile> Create(const std::string& folder,
                                         const std::string& stored_name);
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile();

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  // Whether it is found again.
  bool lasts() const { return !journal_path_.empty(); }
  // Bytes when it was opened.
  uint64_t found() const { return found_; }

  // What the journal says; an empty one if there is none, or it is damaged.
  Journal ReadJournal() const;

  // Everything behind `offset` goes; what is written goes there.
  absl::Status Truncate(uint64_t offset);
  absl::Status Write(absl::Span<const uint8_t> bytes);
  // Brings what was written to the disk.
  absl::Status Sync();
  // Replaces the journal as one step. What fails here costs nothing but time
  // when the transfer goes on, so nobody is told.
  void WriteWholeJournal(const Journal& journal);
  // Adds a line to what WriteWholeJournal has written.
  void AppendJournal(absl::string_view sha256);

  // Gives back the room behind what was written.
  void Trim(uint64_t size);
  void RemoveJournal();
  // The part, too.
  void Remove();

 private:
  PartFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_;
  std::string path_;
  std::string journal_path_;  // Empty: without one.
  uint64_t found_ = 0;
  int journal_fd_ = -1;  // Behind its last line; -1 before WriteWholeJournal.
};

// A part that nobody has finished.
struct PartInfo {
  std::string path;
  std::string name;     // As offered, or as stored without a journal.
  uint64_t have = 0;    // Bytes of the file.
  uint64_t size = 0;    // Of the whole file; 0: not known.
  bool in_use = false;  // A program is at it.
};

// "big.iso (1.30 GB of 2.00 GB)", to a person.
std::string PartText(const PartInfo& part);

// Parts in a folder that are kept, at most; beyond, what is interrupted is not.
inline constexpr size_t kPartsMax = 64;

// ListParts returns the parts in `folder` that last, in the order of their
// names, at most `most`. Room that they hold for what has not come is given
// back. What the system says if the folder cannot be read.
absl::StatusOr<std::vector<PartInfo>> ListParts(const std::string& folder,
                                                size_t most = kPartsMax);

// Removes a part and its journal. FAILED_PRECONDITION: a program is at it.
absl::Status RemovePart(const PartInfo& part);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TRANSFER_PART_FILE_H_
