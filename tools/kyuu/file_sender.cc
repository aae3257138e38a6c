#include "tools/kyuu/file_sender.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/file_name.h"

namespace kyuu::tools {

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
  sender.path_ = std::move(path);
  sender.size_ = static_cast<uint64_t>(info.st_size);
  sender.chunk_.resize(kChunkBytes);
  return sender;
}

std::string FileSender::Offer() const {
  return nlohmann::json{
      {"type", "file-offer"}, {"id", id_}, {"name", name_}, {"size", size_}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<absl::Span<const uint8_t>> FileSender::Chunk() {
  if (chunk_size_ == 0) {
    const size_t want =
        static_cast<size_t>(std::min<uint64_t>(kChunkBytes, size_ - offset_));
    if (std::fread(chunk_.data(), 1, want, file_.get()) != want) {
      return absl::DataLossError(
          absl::StrCat(path_, " changed or failed while it was read"));
    }
    chunk_size_ = want;
  }
  return absl::MakeConstSpan(chunk_).first(chunk_size_);
}

void FileSender::Advance() {
  hash_.Add(absl::MakeConstSpan(chunk_).first(chunk_size_));
  offset_ += chunk_size_;
  chunk_size_ = 0;
}

std::string FileSender::End() {
  if (sha256_.empty()) sha256_ = hash_.Finish();
  return nlohmann::json{{"type", "end"}, {"size", size_}, {"sha256", sha256_}}
      .dump();
}

}  // namespace kyuu::tools
