// Receives one file by the rules of docs/application_protocol.md.

#ifndef KYUU_TOOLS_KYUU_FILE_RECEIVER_H_
#define KYUU_TOOLS_KYUU_FILE_RECEIVER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/kyuu/file_sender.h"
#include "tools/kyuu/transfer/part_file.h"
#include "tools/kyuu/transfer/prefix_check.h"
#include "tools/kyuu/transfer/resume_message.h"
#include "tools/kyuu/transfer/resumption.h"
#include "tools/kyuu/transfer/sha256.h"

namespace kyuu::tools {

// What to do when the name is in use already.
enum class IfExists : uint8_t {
  kRename,     // "a.pdf" becomes "a (1).pdf".
  kOverwrite,  // Only ever because the user asked for it.
};

// The system calls that file systems differ in, so that a test can have a
// file system that the machine has not. Each is the system's own by default
// and fails as that does.
struct FileSystem {
  // renameat2(2), with AT_FDCWD.
  int (*rename_no_replace)(const char* from, const char* to);
  int (*rename)(const char* from, const char* to);
  // fallocate(2) with FALLOC_FL_KEEP_SIZE, from 0.
  int (*allocate)(int fd, uint64_t bytes);
  // open(2) with O_CREAT | O_EXCL; the descriptor.
  int (*create)(const char* path);

  static const FileSystem& System();
};

// FileReceiver stores what comes in a hidden file beside its place, and gives
// it its name only when size and hash were right. What can fail for a reason
// that is known at the start fails at the start: the name is tried and the room
// is taken before the first byte. A complete file that cannot be given its name
// is kept under the other one.
//
// A file of which the sender tells the version goes on where it was, whatever
// ended it before:
//
//   Create()
//   while checking(): Check(), now and then
//   -> file-accept with Checkpoints()
//   channel >> Begin()
//   channel >> Add(), ..., Finish()      or Suspend()
//
// Of others nothing is kept until they are complete, and neither Check nor
// Begin is called.
class FileReceiver {
 public:
  // Creates the partial file in `folder`; the name it will have is
  // StoredFileName(name), or as much of it as the file system takes.
  // INVALID_ARGUMENT: a name that is not safe, or that the file system does not
  // take. RESOURCE_EXHAUSTED: no room for `size` bytes. OUT_OF_RANGE: the file
  // system has no files of that size. ALREADY_EXISTS: a folder is in the way
  // with kOverwrite. Else what the system says if `folder` cannot be written.
  static absl::StatusOr<FileReceiver> Create(
      const std::string& folder, const std::string& name, uint64_t size,
      IfExists if_exists, const FileSystem& system = FileSystem::System(),
      const std::optional<FileVersion>& version = std::nullopt);
  FileReceiver(FileReceiver&&) = default;
  FileReceiver& operator=(FileReceiver&&) = delete;
  ~FileReceiver();

  // Whether a file can be created in `folder` at all: what the system says.
  static absl::Status Probe(const std::string& folder);

  // Whether the sender can go on with it, and is told from where.
  bool can_resume() const { return version_.has_value(); }
  // Whether what is there is still being hashed.
  bool checking() const { return check_ && !check_->done(); }
  // Goes on with that by at most `bytes`.
  void Check(size_t bytes);
  // Where the sender may go on; none if nothing is there.
  std::vector<Checkpoint> Checkpoints() const;
  // Takes the sender's first message ("start"). INVALID_ARGUMENT if it is
  // another one or names no place of ours; else what the system says.
  absl::StatusOr<Resumption> Begin(absl::string_view start_message);
  // Whether Add may be called.
  bool begun() const { return begun_; }
  // Where it began.
  uint64_t begin() const { return begin_; }

  // Stores a chunk. OUT_OF_RANGE if more comes than was offered, or a chunk
  // above 65536 bytes; RESOURCE_EXHAUSTED or what the system says if it cannot
  // be written.
  absl::Status Add(absl::Span<const uint8_t> chunk);

  // Takes the sender's last message ("end"), checks size and hash, brings the
  // bytes to the disk and gives the file its name. The path it got. DATA_LOSS
  // if it is not what was sent, INVALID_ARGUMENT if the message is not one of
  // the protocol; else it is intact, and the status says why it could not be
  // stored and where it is.
  absl::StatusOr<std::string> Finish(absl::string_view end_message);

  // The transfer has ended before it was complete: keeps what is worth it, and
  // says so to a person; empty if nothing is kept. The destructor does the
  // same.
  std::string Suspend();

  // The peer's name of it, and the one under which it is stored, but for a
  // number.
  const std::string& name() const { return name_; }
  const std::string& stored_name() const { return stored_name_; }
  uint64_t size() const { return size_; }
  uint64_t received() const { return received_; }
  // Of what was stored; empty before Finish.
  const std::string& sha256() const { return sha256_; }

 private:
  FileReceiver(const FileSystem& system, PartFile part)
      : system_(&system), part_(std::move(part)) {}
  static absl::Status TryName(const FileSystem& system, const std::string& path,
                              IfExists if_exists);
  absl::Status TakeRoom();
  void Record(absl::Span<const uint8_t> chunk);
  absl::Status WriteBack();
  Journal JournalNow() const;
  absl::StatusOr<std::string> Publish();
  absl::StatusOr<std::string> Rename();
  // Gives the partial file the name `path` unless one has it, as `errno` says.
  int RenameUnlessExists(const std::string& path);

  const FileSystem* system_;
  PartFile part_;
  bool open_ = true;      // Neither published nor kept nor removed.
  bool useless_ = false;  // What is there is nothing to go on with.
  std::string folder_;
  std::string name_;
  std::string stored_name_;
  std::optional<FileVersion> version_;
  std::optional<PartCheck> check_;
  Journal found_journal_;
  uint64_t size_ = 0;
  bool begun_ = false;
  uint64_t begin_ = 0;
  uint64_t received_ = 0;
  uint64_t flushed_ = 0;  // Bytes whose way to the disk has begun...
  uint64_t synced_ = 0;   // ...and has ended.
  std::vector<std::string> prefixes_;  // As in the journal.
  IfExists if_exists_ = IfExists::kRename;
  Sha256 hash_;
  std::string sha256_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_FILE_RECEIVER_H_
