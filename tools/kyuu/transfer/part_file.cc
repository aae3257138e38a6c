#include "tools/kyuu/transfer/part_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "tools/kyuu/file_name.h"
#include "tools/kyuu/progress.h"
#include "tools/kyuu/transfer/sha256.h"

namespace kyuu::tools {
namespace {

// The rest of the names takes 35 bytes, whatever the peer's is.
constexpr size_t kNameBytesMax = 200;
constexpr size_t kKeyDigits = 16;
constexpr char kEnd[] = ".part";

std::string KeyOf(const FileVersion& file) {
  Sha256 hash;
  hash.Add(AsBytes(file.source));
  return hash.Finish().substr(0, kKeyDigits);
}

std::string JournalPath(absl::string_view part) {
  return absl::StrCat(part, ".journal");
}

// Whether a name is of the form .NAME.KEY.part, and NAME.
std::optional<std::string> NameOfPart(absl::string_view file) {
  if (!absl::ConsumePrefix(&file, ".") || !absl::ConsumeSuffix(&file, kEnd) ||
      file.size() < kKeyDigits + 2) {
    return std::nullopt;
  }
  const absl::string_view key = file.substr(file.size() - kKeyDigits);
  file.remove_suffix(kKeyDigits);
  const bool digits = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (!digits || !absl::ConsumeSuffix(&file, ".")) return std::nullopt;
  return std::string(file);
}

enum class Hold : uint8_t { kOurs, kInUse, kNotAPart };

// Locks an open file, and finds out whether it is a plain file of ours that
// still stands under `path`: it may have got its name while we waited.
Hold Take(int fd, const std::string& path, struct stat& info) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? Hold::kInUse : Hold::kNotAPart;
  }
  struct stat named;
  const bool ours = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
                    info.st_uid == geteuid() && info.st_nlink == 1 &&
                    lstat(path.c_str(), &named) == 0 &&
                    named.st_dev == info.st_dev && named.st_ino == info.st_ino;
  return ours ? Hold::kOurs : Hold::kNotAPart;
}

// What a journal says, of which no more is read than one can have.
absl::StatusOr<Journal> LoadJournal(const std::string& path) {
  // Without O_NONBLOCK a FIFO would keep us until somebody writes to it.
  const int fd =
      open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, "no journal");
  std::string text(kJournalBytesMax + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(fd, text.data() + size, text.size() - size);
    if (got <= 0) break;  // The rest is as good as torn.
    size += static_cast<size_t>(got);
  }
  close(fd);
  return ParseJournal(absl::string_view(text).substr(0, size));
}

absl::Status WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return StorageFailure(errno, "cannot write");
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StorageFailure(int error, absl::string_view what) {
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

absl::StatusOr<PartFile> PartFile::Create(const std::string& folder,
                                          const std::string& stored_name) {
  std::string path = absl::StrCat(
      folder, "/.", Utf8Prefix(stored_name, kNameBytesMax), ".XXXXXX", kEnd);
  const int fd =
      mkostemps(path.data(), static_cast<int>(sizeof(kEnd)) - 1, O_CLOEXEC);
  if (fd < 0) {
    return StorageFailure(errno, absl::StrCat("cannot write to ", folder));
  }
  return PartFile(fd, std::move(path));
}

absl::StatusOr<PartFile> PartFile::Open(const std::string& folder,
                                        const std::string& stored_name,
                                        const FileVersion& file) {
  std::string path =
      absl::StrCat(folder, "/.", Utf8Prefix(stored_name, kNameBytesMax), ".",
                   KeyOf(file), kEnd);
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
           0600);
  if (fd < 0) return Create(folder, stored_name);
  PartFile part(fd, std::move(path));
  struct stat info;
  if (Take(fd, part.path_, info) != Hold::kOurs) {
    return Create(folder, stored_name);
  }
  part.journal_path_ = JournalPath(part.path_);
  part.found_ = static_cast<uint64_t>(info.st_size);
  return part;
}

PartFile::PartFile(PartFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      journal_path_(std::move(other.journal_path_)),
      found_(other.found_),
      journal_fd_(std::exchange(other.journal_fd_, -1)) {}

PartFile::~PartFile() {
  if (fd_ >= 0) close(fd_);
  if (journal_fd_ >= 0) close(journal_fd_);
}

Journal PartFile::ReadJournal() const {
  if (!lasts()) return {};
  return LoadJournal(journal_path_).value_or(Journal());
}

absl::Status PartFile::Truncate(uint64_t offset) {
  const auto at = static_cast<off_t>(offset);
  if ((offset != found_ && ftruncate(fd_, at) != 0) ||
      lseek(fd_, at, SEEK_SET) != at) {
    return StorageFailure(errno, "cannot shorten what is there");
  }
  return absl::OkStatus();
}

absl::Status PartFile::Write(absl::Span<const uint8_t> bytes) {
  return WriteAll(fd_, AsText(bytes));
}

absl::Status PartFile::Sync() {
  if (fdatasync(fd_) != 0) return StorageFailure(errno, "cannot store");
  return absl::OkStatus();
}

void PartFile::WriteWholeJournal(const Journal& journal) {
  if (!lasts()) return;
  if (journal_fd_ >= 0) close(std::exchange(journal_fd_, -1));
  const std::string path = journal_path_ + ".new";
  // Of a run that was killed here.
  unlink(path.c_str());
  const int fd = open(
      path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return;
  // A rename replaces a link, too, and does not follow it.
  if (!WriteAll(fd, WriteJournal(journal)).ok() ||
      rename(path.c_str(), journal_path_.c_str()) != 0) {
    close(fd);
    unlink(path.c_str());
    return;
  }
  journal_fd_ = fd;
}

void PartFile::AppendJournal(absl::string_view sha256) {
  if (journal_fd_ < 0) return;
  if (WriteAll(journal_fd_, JournalLine(sha256)).ok()) return;
  // Nothing may stand behind a torn line.
  close(std::exchange(journal_fd_, -1));
}

void PartFile::Trim(uint64_t size) {
  // A hint: who cannot give room back keeps it.
  (void)!ftruncate(fd_, static_cast<off_t>(size));
}

void PartFile::RemoveJournal() {
  if (!lasts()) return;
  unlink(journal_path_.c_str());
}

void PartFile::Remove() {
  unlink(path_.c_str());
  RemoveJournal();
}

std::string PartText(const PartInfo& part) {
  const std::string size =
      part.size == 0
          ? ""
          : absl::StrCat(" of ", FormatBytes(static_cast<double>(part.size)));
  return absl::StrCat(part.name, " (",
                      FormatBytes(static_cast<double>(part.have)), size, ")",
                      part.in_use ? ", coming just now" : "");
}

absl::StatusOr<std::vector<PartInfo>> ListParts(const std::string& folder,
                                                size_t most) {
  struct Close {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(opendir(folder.c_str()));
  if (!dir) {
    return StorageFailure(errno, absl::StrCat("cannot read ", folder));
  }
  std::vector<PartInfo> parts;
  while (const dirent* entry = readdir(dir.get())) {
    const std::optional<std::string> name = NameOfPart(entry->d_name);
    if (!name || parts.size() == most) continue;
    PartInfo part{.path = absl::StrCat(folder, "/", entry->d_name),
                  .name = *name};
    const int fd =
        open(part.path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) continue;
    struct stat info;
    const Hold hold = Take(fd, part.path, info);
    if (hold == Hold::kInUse) (void)!fstat(fd, &info);
    // Who was killed has kept the room for all of it.
    if (hold == Hold::kOurs) (void)!ftruncate(fd, info.st_size);
    close(fd);
    if (hold == Hold::kNotAPart) continue;
    part.in_use = hold == Hold::kInUse;
    part.have = static_cast<uint64_t>(info.st_size);
    const absl::StatusOr<Journal> journal = LoadJournal(JournalPath(part.path));
    if (journal.ok()) {
      part.name = journal->name;
      part.size = journal->size;
    }
    parts.push_back(std::move(part));
  }
  std::sort(
      parts.begin(), parts.end(),
      [](const PartInfo& a, const PartInfo& b) { return a.path < b.path; });
  return parts;
}

absl::Status RemovePart(const PartInfo& part) {
  const int fd =
      open(part.path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return StorageFailure(errno, "cannot open it");
  struct stat info;
  const Hold hold = Take(fd, part.path, info);
  const bool ours = hold == Hold::kOurs;
  if (ours) {
    unlink(part.path.c_str());
    unlink(JournalPath(part.path).c_str());
  }
  close(fd);
  if (ours) return absl::OkStatus();
  return absl::FailedPreconditionError(hold == Hold::kInUse
                                           ? "a program is receiving it"
                                           : "it is not a part of ours");
}

}  // namespace kyuu::tools
