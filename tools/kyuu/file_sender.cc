#include "tools/kyuu/file_sender.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/file_name.h"

namespace kyuu::tools {
namespace {

// What tells this machine from others, and is no secret that must not get out
// hashed: machine-id(5). Empty where there is none.
std::string MachineId() {
  std::string id;
  std::ifstream("/etc/machine-id") >> id;
  return id;
}

std::string Token(absl::string_view text) {
  Sha256 hash;
  hash.Add(AsBytes(text));
  return hash.Finish().substr(0, 32);
}

// The source is where the file lies, whatever is in it; the version what a
// write to it changes.
FileVersion VersionOf(const std::string& path, const struct stat& info) {
  static const std::string kMachine = MachineId();
  char* const resolved = realpath(path.c_str(), nullptr);
  const std::string whole = resolved == nullptr ? path : resolved;
  std::free(resolved);
  // Without an id others could guess what it is; the price is that a file that
  // is replaced is another one.
  const std::string salt =
      kMachine.empty() ? absl::StrCat(info.st_dev, ":", info.st_ino) : kMachine;
  return {
      Token(absl::StrCat("kyuu.file.v1 source ", salt, " ", info.st_uid, " ",
                         whole)),
      Token(absl::StrCat("kyuu.file.v1 version ", salt, " ", info.st_size, " ",
                         info.st_mtim.tv_sec, " ", info.st_mtim.tv_nsec)),
  };
}

}  // namespace

std::string BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path
                                                      : path.substr(slash + 1));
}

absl::StatusOr<FileSender> FileSender::Open(std::string id, std::string path) {
  FileSender sender;
  // Without O_NONBLOCK a FIFO would keep us until somebody writes to it.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  }
  sender.file_.reset(fdopen(fd, "rb"));
  struct stat info;
  if (fstat(fileno(sender.file_.get()), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  }
  sender.id_ = std::move(id);
  sender.name_ = CleanFileName(BaseName(path));
  sender.version_ = VersionOf(path, info);
  sender.path_ = std::move(path);
  sender.size_ = static_cast<uint64_t>(info.st_size);
  return sender;
}

std::string FileSender::Offer() const {
  return nlohmann::json{{"type", "file-offer"},
                        {"id", id_},
                        {"name", name_},
                        {"size", size_},
                        {"resume", ToJson(version_)}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void FileSender::Accept(std::optional<std::vector<Checkpoint>> checkpoints) {
  if (!checkpoints) return;
  if (!checkpoints->empty()) offered_begin_ = checkpoints->back().offset;
  check_.emplace(fileno(file_.get()), *std::move(checkpoints));
}

void FileSender::Check(size_t bytes) {
  if (!checking()) return;
  check_->Step(bytes);
  if (!check_->done()) return;
  begin_ = offset_ = check_->common();
  hash_ = check_->hash();
}

std::string FileSender::Start() const {
  return check_ ? StartMessage(begin_) : "";
}

absl::StatusOr<absl::Span<const uint8_t>> FileSender::Chunk() {
  if (offset_ == begin_ && chunk_bytes_ == 0 && begin_ > 0 &&
      fseeko(file_.get(), static_cast<off_t>(begin_), SEEK_SET) != 0) {
    return absl::DataLossError(absl::StrCat("cannot read on in ", path_));
  }
  if (chunk_bytes_ == 0) {
    const size_t want =
        static_cast<size_t>(std::min<uint64_t>(kChunkBytes, size_ - offset_));
    chunk_.resize(want);
    if (std::fread(chunk_.data(), 1, want, file_.get()) != want) {
      return absl::DataLossError(
          absl::StrCat(path_, " changed or failed while it was read"));
    }
    // While the processor has the bytes at hand.
    hash_.Add(chunk_);
    chunk_bytes_ = want;
  }
  return absl::MakeConstSpan(chunk_);
}

void FileSender::Advance() {
  offset_ += chunk_bytes_;
  chunk_bytes_ = 0;
}

std::string FileSender::End() {
  if (sha256_.empty()) sha256_ = hash_.Finish();
  return nlohmann::json{{"type", "end"}, {"size", size_}, {"sha256", sha256_}}
      .dump();
}

}  // namespace kyuu::tools
