#include "tools/kyuu/file_sender.h"

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

namespace kyuu::tools {

std::string BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path
                                                      : path.substr(slash + 1));
}

absl::StatusOr<FileSender> FileSender::Open(std::string id, std::string path) {
  FileSender sender;
  sender.file_.reset(std::fopen(path.c_str(), "rb"));
  if (sender.file_ == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  }
  struct stat info;
  if (fstat(fileno(sender.file_.get()), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  }
  sender.id_ = std::move(id);
  sender.name_ = BaseName(path);
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

absl::StatusOr<absl::Span<const uint8_t>> FileSender::NextChunk() {
  const size_t want =
      static_cast<size_t>(std::min<uint64_t>(kChunkBytes, size_ - offset_));
  const size_t got = std::fread(chunk_.data(), 1, want, file_.get());
  if (got != want) {
    return absl::DataLossError(
        absl::StrCat(path_, " changed or failed while it was read"));
  }
  offset_ += got;
  const auto chunk = absl::MakeConstSpan(chunk_).first(got);
  hash_.Add(chunk);
  return chunk;
}

std::string FileSender::End() {
  return nlohmann::json{
      {"type", "end"}, {"size", size_}, {"sha256", hash_.Finish()}}
      .dump();
}

}  // namespace kyuu::tools
