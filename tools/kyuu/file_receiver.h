// Receives one file by the rules of docs/application_protocol.md.

#ifndef KYUU_TOOLS_KYUU_FILE_RECEIVER_H_
#define KYUU_TOOLS_KYUU_FILE_RECEIVER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/kyuu/file_sender.h"
#include "tools/kyuu/sha256.h"

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

// FileReceiver stores what comes in a hidden ".NAME.XXXXXX.part" beside its
// place, and gives it its name only when size and hash were right. What can
// fail for a reason that is known at the start fails at the start: the name is
// tried and the room is taken before the first byte. Destroyed before it is
// complete, it leaves nothing behind; a complete file that cannot be given its
// name is kept under the other one.
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
      IfExists if_exists, const FileSystem& system = FileSystem::System());
  FileReceiver(FileReceiver&& other) noexcept;
  FileReceiver& operator=(FileReceiver&&) = delete;
  ~FileReceiver();

  // Whether a file can be created in `folder` at all: what the system says.
  static absl::Status Probe(const std::string& folder);

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

  // The peer's name of it, and the one under which it is stored, but for a
  // number.
  const std::string& name() const { return name_; }
  const std::string& stored_name() const { return stored_name_; }
  uint64_t size() const { return size_; }
  uint64_t received() const { return received_; }
  // Of what was stored; empty before Finish.
  const std::string& sha256() const { return sha256_; }

 private:
  explicit FileReceiver(const FileSystem& system) : system_(&system) {}
  absl::Status TryName();
  absl::Status TakeRoom();
  absl::StatusOr<std::string> Publish();
  absl::StatusOr<std::string> Rename();
  // Gives the partial file the name `path` unless one has it, as `errno` says.
  int RenameUnlessExists(const std::string& path);

  const FileSystem* system_;
  std::string folder_;
  std::string name_;
  std::string stored_name_;
  std::string partial_path_;  // Empty once published or kept.
  uint64_t size_ = 0;
  uint64_t received_ = 0;
  uint64_t flushed_ = 0;  // Bytes whose way to the disk has begun.
  IfExists if_exists_ = IfExists::kRename;
  FileHandle file_;
  Sha256 hash_;
  std::string sha256_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_FILE_RECEIVER_H_
