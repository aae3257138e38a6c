#include "tools/kyuu/file_receiver.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/file_name.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

// Names that are tried: "a.pdf" to "a (999).pdf".
constexpr int kNumbersMax = 1000;
// The kernel is told to write from time to time, so that the last fdatasync
// does not stand still for all of a large file.
constexpr uint64_t kWritebackBytes = uint64_t{32} << 20;

// What the system says, by what a person and the sender can do about it.
absl::Status Failure(int error, absl::string_view what) {
  const absl::Status status = absl::ErrnoToStatus(error, what);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(status.message());
    case EFBIG:
      return absl::OutOfRangeError(status.message());
    case EINVAL:
    case EILSEQ:
    case ENAMETOOLONG:
      return absl::InvalidArgumentError(status.message());
    default:
      return status;
  }
}

absl::StatusOr<std::string> CreatePartial(const std::string& folder,
                                          absl::string_view name, int& fd) {
  // The rest of the name takes 13 bytes, whatever the peer's is.
  std::string path =
      absl::StrCat(folder, "/.", Utf8Prefix(name, 200), ".XXXXXX.part");
  fd = mkostemps(path.data(), 5, O_CLOEXEC);
  if (fd < 0) return Failure(errno, absl::StrCat("cannot write to ", folder));
  return path;
}

}  // namespace

const FileSystem& FileSystem::System() {
  static const FileSystem kSystem{
      .rename_no_replace =
          [](const char* from, const char* to) {
            return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
          },
      .rename = [](const char* from,
                   const char* to) { return ::rename(from, to); },
      .allocate =
          [](int fd, uint64_t bytes) {
            return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0,
                             static_cast<off_t>(bytes));
          },
      .create =
          [](const char* path) {
            return open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
          },
  };
  return kSystem;
}

absl::Status FileReceiver::Probe(const std::string& folder) {
  int fd = -1;
  KYUU_ASSIGN_OR_RETURN(const std::string path,
                        CreatePartial(folder, "kyuu", fd));
  close(fd);
  unlink(path.c_str());
  return absl::OkStatus();
}

absl::StatusOr<FileReceiver> FileReceiver::Create(const std::string& folder,
                                                  const std::string& name,
                                                  uint64_t size,
                                                  IfExists if_exists,
                                                  const FileSystem& system) {
  if (!IsSafeFileName(name)) {
    return absl::InvalidArgumentError("the peer's file name cannot be used");
  }
  FileReceiver receiver(system);
  receiver.folder_ = folder;
  receiver.name_ = name;
  receiver.stored_name_ = StoredFileName(name);
  receiver.size_ = size;
  receiver.if_exists_ = if_exists;
  absl::Status tried = receiver.TryName();
  if (absl::IsInvalidArgument(tried)) {
    receiver.stored_name_ = PortableFileName(receiver.stored_name_);
    tried = receiver.TryName();
  }
  KYUU_RETURN_IF_ERROR(tried);
  int fd = -1;
  KYUU_ASSIGN_OR_RETURN(receiver.partial_path_,
                        CreatePartial(folder, receiver.stored_name_, fd));
  receiver.file_.reset(fdopen(fd, "wb"));
  KYUU_RETURN_IF_ERROR(receiver.TakeRoom());
  return receiver;
}

FileReceiver::FileReceiver(FileReceiver&& other) noexcept
    : system_(other.system_),
      folder_(std::move(other.folder_)),
      name_(std::move(other.name_)),
      stored_name_(std::move(other.stored_name_)),
      partial_path_(std::exchange(other.partial_path_, "")),
      size_(other.size_),
      received_(other.received_),
      flushed_(other.flushed_),
      if_exists_(other.if_exists_),
      file_(std::move(other.file_)),
      hash_(std::move(other.hash_)),
      sha256_(std::move(other.sha256_)) {}

FileReceiver::~FileReceiver() {
  if (!partial_path_.empty()) unlink(partial_path_.c_str());
}

// A name that the file system does not take shows now, and so does a folder in
// the way; that another file has it is for the end, when it may be gone.
absl::Status FileReceiver::TryName() {
  const std::string path = absl::StrCat(folder_, "/", stored_name_);
  const int fd = system_->create(path.c_str());
  if (fd >= 0) {
    close(fd);
    unlink(path.c_str());
    return absl::OkStatus();
  }
  if (errno != EEXIST && errno != EISDIR) {
    return Failure(errno, absl::StrCat("cannot create ", PrintableLine(path)));
  }
  struct stat info;
  if (if_exists_ == IfExists::kOverwrite && lstat(path.c_str(), &info) == 0 &&
      S_ISDIR(info.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat(PrintableLine(path), " is a folder"));
  }
  return absl::OkStatus();
}

absl::Status FileReceiver::TakeRoom() {
  if (size_ == 0) return absl::OkStatus();
  const std::string what =
      absl::StrCat("no room for ", PrintableLine(name_), " in ", folder_);
  int taken = 0;
  // A signal may interrupt it, though none comes again and again.
  for (int tries = 0; tries < 10; ++tries) {
    taken = system_->allocate(fileno(file_.get()), size_);
    if (taken == 0 || errno != EINTR) break;
  }
  if (taken == 0) return absl::OkStatus();
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
    return Failure(errno, what);
  }
  // A file system that cannot take room ahead can at least be asked.
  struct statvfs info;
  if (fstatvfs(fileno(file_.get()), &info) != 0) return absl::OkStatus();
  if (size_ / info.f_frsize >= info.f_bavail) return Failure(ENOSPC, what);
  return absl::OkStatus();
}

absl::Status FileReceiver::Add(absl::Span<const uint8_t> chunk) {
  if (chunk.size() > FileSender::kChunkBytes ||
      chunk.size() > size_ - received_ || !sha256_.empty()) {
    return absl::OutOfRangeError("the peer sends more than it offered");
  }
  if (std::fwrite(chunk.data(), 1, chunk.size(), file_.get()) != chunk.size()) {
    return Failure(errno, absl::StrCat("cannot store ", PrintableLine(name_)));
  }
  hash_.Add(chunk);
  received_ += chunk.size();
  if (received_ - flushed_ >= kWritebackBytes) {
    // A hint: what fails here shows at the end.
    (void)sync_file_range(fileno(file_.get()), static_cast<off_t>(flushed_),
                          static_cast<off_t>(received_ - flushed_),
                          SYNC_FILE_RANGE_WRITE);
    flushed_ = received_;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FileReceiver::Finish(
    absl::string_view end_message) {
  const nlohmann::json end = nlohmann::json::parse(
      end_message.begin(), end_message.end(), nullptr, false);
  if (!sha256_.empty() || !end.is_object() ||
      end.value("type", nlohmann::json()) != "end" ||
      !end.value("sha256", nlohmann::json()).is_string()) {
    return absl::InvalidArgumentError("the peer's last message is not \"end\"");
  }
  sha256_ = hash_.Finish();
  if (received_ != size_ || end.value("sha256", nlohmann::json()) != sha256_) {
    return absl::DataLossError(
        absl::StrCat(PrintableLine(name_),
                     " is damaged: its hash or size is not the "
                     "sender's; nothing was kept"));
  }
  return Publish();
}

absl::StatusOr<std::string> FileReceiver::Publish() {
  const mode_t mask = umask(0);
  umask(mask);
  const int fd = fileno(file_.get());
  // The bytes before the name: a name that survives a power cut with nothing
  // in it would be worse than none.
  if (std::fflush(file_.get()) != 0 || fdatasync(fd) != 0) {
    return Failure(errno, absl::StrCat("cannot store ", PrintableLine(name_)));
  }
  // FAT knows no modes and may refuse them; the file is as good without.
  (void)fchmod(fd, 0666 & ~mask);
  absl::StatusOr<std::string> path = Rename();
  if (path.ok()) {
    partial_path_.clear();
    return path;
  }
  // It has arrived: it stays.
  const std::string kept = std::exchange(partial_path_, "");
  return absl::Status(path.status().code(),
                      absl::StrCat(path.status().message(),
                                   "; the file is intact and kept as ", kept));
}

absl::StatusOr<std::string> FileReceiver::Rename() {
  for (int number = 0; number < kNumbersMax; ++number) {
    const std::string path =
        absl::StrCat(folder_, "/", NumberedFileName(stored_name_, number));
    const int failed =
        if_exists_ == IfExists::kOverwrite
            ? system_->rename(partial_path_.c_str(), path.c_str())
            : RenameUnlessExists(path);
    if (failed == 0) return path;
    if (errno != EEXIST || if_exists_ == IfExists::kOverwrite) {
      return Failure(errno,
                     absl::StrCat("cannot create ", PrintableLine(path)));
    }
  }
  return absl::AlreadyExistsError(
      absl::StrCat("too many files are called ", PrintableLine(stored_name_)));
}

int FileReceiver::RenameUnlessExists(const std::string& path) {
  if (system_->rename_no_replace(partial_path_.c_str(), path.c_str()) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return -1;
  // A file system that does not know the flag. Who creates the name owns it,
  // and may put the file in its place: no other program can lose one.
  const int fd = system_->create(path.c_str());
  if (fd < 0) return -1;
  close(fd);
  if (system_->rename(partial_path_.c_str(), path.c_str()) == 0) return 0;
  const int error = errno;
  unlink(path.c_str());
  errno = error;
  return -1;
}

}  // namespace kyuu::tools
