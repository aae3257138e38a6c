#include "tools/kyuu/file_receiver.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/file_name.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/progress.h"

namespace kyuu::tools {
namespace {

// Names that are tried: "a.pdf" to "a (999).pdf".
constexpr int kNumbersMax = 1000;
// The kernel is told to write from time to time, so that the last fdatasync
// does not stand still for all of a large file.
constexpr uint64_t kWritebackBytes = uint64_t{4} << 20;

// ...and has done so, where the file is to go on after a power cut.
constexpr uint64_t kSyncBytes = uint64_t{64} << 20;

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
  KYUU_ASSIGN_OR_RETURN(PartFile part, PartFile::Create(folder, "kyuu"));
  part.Remove();
  return absl::OkStatus();
}

absl::StatusOr<FileReceiver> FileReceiver::Create(
    const std::string& folder, const std::string& name, uint64_t size,
    IfExists if_exists, const FileSystem& system,
    const std::optional<FileVersion>& version) {
  if (!IsSafeFileName(name)) {
    return absl::InvalidArgumentError("the peer's file name cannot be used");
  }
  std::string stored = StoredFileName(name);
  absl::Status tried =
      TryName(system, absl::StrCat(folder, "/", stored), if_exists);
  if (absl::IsInvalidArgument(tried)) {
    stored = PortableFileName(stored);
    tried = TryName(system, absl::StrCat(folder, "/", stored), if_exists);
  }
  KYUU_RETURN_IF_ERROR(tried);
  KYUU_ASSIGN_OR_RETURN(PartFile part,
                        version ? PartFile::Open(folder, stored, *version)
                                : PartFile::Create(folder, stored));
  FileReceiver receiver(system, std::move(part));
  receiver.folder_ = folder;
  receiver.name_ = name;
  receiver.stored_name_ = std::move(stored);
  receiver.version_ = version;
  receiver.size_ = size;
  receiver.if_exists_ = if_exists;
  receiver.begun_ = !version;
  KYUU_RETURN_IF_ERROR(receiver.TakeRoom());
  if (version) {
    receiver.found_journal_ = receiver.part_.ReadJournal();
    receiver.check_.emplace(receiver.part_.fd(),
                            std::min(size, receiver.part_.found()), size,
                            receiver.found_journal_);
  }
  return receiver;
}

FileReceiver::~FileReceiver() {
  // Whoever wanted to hear of it has called it before.
  (void)Suspend();
}

// A name that the file system does not take shows now, and so does a folder in
// the way; that another file has it is for the end, when it may be gone.
absl::Status FileReceiver::TryName(const FileSystem& system,
                                   const std::string& path,
                                   IfExists if_exists) {
  const int fd = system.create(path.c_str());
  if (fd >= 0) {
    close(fd);
    unlink(path.c_str());
    return absl::OkStatus();
  }
  if (errno != EEXIST && errno != EISDIR) {
    return StorageFailure(errno,
                          absl::StrCat("cannot create ", PrintableLine(path)));
  }
  struct stat info;
  if (if_exists == IfExists::kOverwrite && lstat(path.c_str(), &info) == 0 &&
      S_ISDIR(info.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat(PrintableLine(path), " is a folder"));
  }
  return absl::OkStatus();
}

absl::Status FileReceiver::TakeRoom() {
  if (size_ == 0) return absl::OkStatus();
  const uint64_t missing = size_ - std::min(size_, part_.found());
  const std::string what =
      absl::StrCat("no room for ", PrintableLine(name_), " in ", folder_);
  int taken = 0;
  // A signal may interrupt it, though none comes again and again.
  for (int tries = 0; tries < 10; ++tries) {
    taken = system_->allocate(part_.fd(), size_);
    if (taken == 0 || errno != EINTR) break;
  }
  if (taken == 0) return absl::OkStatus();
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
    return StorageFailure(errno, what);
  }
  // A file system that cannot take room ahead can at least be asked.
  struct statvfs info;
  if (fstatvfs(part_.fd(), &info) != 0) return absl::OkStatus();
  if (missing > 0 && missing / info.f_frsize >= info.f_bavail)
    return StorageFailure(ENOSPC, what);
  return absl::OkStatus();
}

void FileReceiver::Check(size_t bytes) {
  if (checking()) check_->Step(bytes);
}

std::vector<Checkpoint> FileReceiver::Checkpoints() const {
  std::vector<Checkpoint> checkpoints;
  if (!check_) return checkpoints;
  for (const PartCheck::Place& place : check_->places()) {
    checkpoints.push_back(place.checkpoint);
  }
  return checkpoints;
}

absl::StatusOr<Resumption> FileReceiver::Begin(
    absl::string_view start_message) {
  KYUU_ASSIGN_OR_RETURN(const uint64_t begin, ReadStart(start_message));
  if (begun_ || checking()) {
    return absl::InvalidArgumentError("the peer begins out of turn");
  }
  const auto place = std::find_if(
      check_->places().begin(), check_->places().end(),
      [&](const auto& there) { return there.checkpoint.offset == begin; });
  if (begin > 0) {
    if (place == check_->places().end()) {
      return absl::InvalidArgumentError("the peer begins where we are not");
    }
    hash_ = place->hash;
  }
  KYUU_RETURN_IF_ERROR(part_.Truncate(begin));
  // The room behind it went with what was there.
  if (begin != part_.found()) KYUU_RETURN_IF_ERROR(TakeRoom());
  begun_ = true;
  begin_ = received_ = flushed_ = synced_ = begin;
  prefixes_ = check_->prefixes();
  prefixes_.resize(
      std::min<size_t>(prefixes_.size(), begin / JournalChunkBytes(size_)));
  if (prefixes_.empty()) {
    part_.RemoveJournal();
  } else {
    part_.WriteWholeJournal(JournalNow());
  }
  return Resumption{
      .found = part_.found(),
      .intact = check_->intact(),
      .begin = begin,
      .changed = !found_journal_.name.empty() &&
                 (found_journal_.size != size_ ||
                  found_journal_.file.version != version_->version),
  };
}

Journal FileReceiver::JournalNow() const {
  return {
      .name = name_, .size = size_, .file = *version_, .prefixes = prefixes_};
}

absl::Status FileReceiver::Add(absl::Span<const uint8_t> chunk) {
  if (chunk.size() > FileSender::kChunkBytes ||
      chunk.size() > size_ - received_ || !sha256_.empty() || !begun_) {
    useless_ = true;
    return absl::OutOfRangeError("the peer sends more than it offered");
  }
  if (const absl::Status written = part_.Write(chunk); !written.ok()) {
    const std::string why = absl::StrCat("cannot store ", PrintableLine(name_),
                                         ": ", written.message());
    // A file system, or a limit of ours, that has room for no more of it.
    return absl::IsOutOfRange(written) ? absl::ResourceExhaustedError(why)
                                       : absl::Status(written.code(), why);
  }
  Record(chunk);
  return WriteBack();
}

// Hashes what was written, and has the journal follow.
void FileReceiver::Record(absl::Span<const uint8_t> chunk) {
  const uint64_t unit = JournalChunkBytes(size_);
  while (!chunk.empty()) {
    const size_t bytes = static_cast<size_t>(
        std::min<uint64_t>(chunk.size(), unit - received_ % unit));
    hash_.Add(chunk.first(bytes));
    received_ += bytes;
    chunk.remove_prefix(bytes);
    if (!part_.lasts() || received_ % unit != 0) continue;
    prefixes_.push_back(hash_.Peek());
    if (prefixes_.size() == 1) {
      part_.WriteWholeJournal(JournalNow());
    } else {
      part_.AppendJournal(prefixes_.back());
    }
  }
}

absl::Status FileReceiver::WriteBack() {
  if (received_ - flushed_ >= kWritebackBytes) {
    // A hint: what fails here shows at the end.
    (void)sync_file_range(part_.fd(), static_cast<off_t>(flushed_),
                          static_cast<off_t>(received_ - flushed_),
                          SYNC_FILE_RANGE_WRITE);
    flushed_ = received_;
  }
  if (!part_.lasts() || received_ - synced_ < kSyncBytes) {
    return absl::OkStatus();
  }
  synced_ = received_;
  return part_.Sync();
}

std::string FileReceiver::Suspend() {
  if (!open_ || part_.fd() < 0) return "";
  open_ = false;
  // What was found there stays as it is until the sender has said more.
  const uint64_t have = begun_ ? received_ : part_.found();
  if (!part_.lasts() || useless_ || have < kJournalChunkBytesMin) {
    part_.Remove();
    return "";
  }
  const auto parts = ListParts(folder_, kPartsMax + 1);
  if (parts.ok() && parts->size() > kPartsMax) {
    part_.Remove();
    return absl::StrCat("nothing of it is kept, for there are ", kPartsMax,
                        " parts of files already (kyuu parts)");
  }
  part_.Trim(have);
  return absl::StrCat(FormatBytes(static_cast<double>(have)),
                      " of it are kept for when it is sent again");
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
    open_ = false;
    part_.Remove();
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
  // The bytes before the name: a name that survives a power cut with nothing
  // in it would be worse than none.
  if (const absl::Status synced = part_.Sync(); !synced.ok()) {
    return absl::Status(
        synced.code(), absl::StrCat("cannot store ", PrintableLine(name_), ": ",
                                    synced.message()));
  }
  // FAT knows no modes and may refuse them; the file is as good without.
  (void)fchmod(part_.fd(), 0666 & ~mask);
  absl::StatusOr<std::string> path = Rename();
  open_ = false;
  if (path.ok()) {
    part_.RemoveJournal();
    return path;
  }
  // It has arrived: it stays.
  return absl::Status(
      path.status().code(),
      absl::StrCat(path.status().message(), "; the file is intact and kept as ",
                   part_.path()));
}

absl::StatusOr<std::string> FileReceiver::Rename() {
  for (int number = 0; number < kNumbersMax; ++number) {
    const std::string path =
        absl::StrCat(folder_, "/", NumberedFileName(stored_name_, number));
    const int failed = if_exists_ == IfExists::kOverwrite
                           ? system_->rename(part_.path().c_str(), path.c_str())
                           : RenameUnlessExists(path);
    if (failed == 0) return path;
    if (errno != EEXIST || if_exists_ == IfExists::kOverwrite) {
      return StorageFailure(
          errno, absl::StrCat("cannot create ", PrintableLine(path)));
    }
  }
  return absl::AlreadyExistsError(
      absl::StrCat("too many files are called ", PrintableLine(stored_name_)));
}

int FileReceiver::RenameUnlessExists(const std::string& path) {
  if (system_->rename_no_replace(part_.path().c_str(), path.c_str()) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return -1;
  // A file system that does not know the flag. Who creates the name owns it,
  // and may put the file in its place: no other program can lose one.
  const int fd = system_->create(path.c_str());
  if (fd < 0) return -1;
  close(fd);
  if (system_->rename(part_.path().c_str(), path.c_str()) == 0) return 0;
  const int error = errno;
  unlink(path.c_str());
  errno = error;
  return -1;
}

}  // namespace kyuu::tools
