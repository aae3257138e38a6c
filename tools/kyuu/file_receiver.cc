#include "tools/kyuu/file_receiver.h"

#include <fcntl.h>
#include <sys/stat.h>
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
#include "nlohmann/json.hpp"

namespace kyuu::tools {
namespace {

// "a (2).tar.gz" of "a.tar.gz" and 2; the name itself for 0.
std::string NumberedName(const std::string& name, int number) {
  if (number == 0) return name;
  const size_t dot = name.find('.', 1);
  const std::string stem = name.substr(0, dot);
  return absl::StrCat(stem, " (", number, ")",
                      dot == std::string::npos ? "" : name.substr(dot));
}

}  // namespace

bool IsSafeFileName(absl::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") {
    return false;
  }
  for (const char c : name) {
    if (c == '/' || c == '\\' || c == 0x7f || static_cast<uint8_t>(c) < 0x20) {
      return false;
    }
  }
  return true;
}

absl::StatusOr<FileReceiver> FileReceiver::Create(const std::string& folder,
                                                  std::string name,
                                                  uint64_t size,
                                                  IfExists if_exists) {
  if (!IsSafeFileName(name)) {
    return absl::InvalidArgumentError("the peer's file name cannot be used");
  }
  FileReceiver receiver;
  // The prefix keeps the name below 255 bytes, whatever the peer's is.
  std::string path =
      absl::StrCat(folder, "/.", name.substr(0, 200), ".XXXXXX", ".part");
  const int fd = mkstemps(path.data(), 5);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write to ", folder));
  }
  receiver.file_.reset(fdopen(fd, "wb"));
  receiver.folder_ = folder;
  receiver.name_ = std::move(name);
  receiver.partial_path_ = std::move(path);
  receiver.size_ = size;
  receiver.if_exists_ = if_exists;
  return receiver;
}

FileReceiver::FileReceiver(FileReceiver&& other) noexcept
    : folder_(std::move(other.folder_)),
      name_(std::move(other.name_)),
      partial_path_(std::exchange(other.partial_path_, "")),
      size_(other.size_),
      received_(other.received_),
      if_exists_(other.if_exists_),
      file_(std::move(other.file_)),
      hash_(std::move(other.hash_)),
      sha256_(std::move(other.sha256_)) {}

FileReceiver::~FileReceiver() {
  if (!partial_path_.empty()) unlink(partial_path_.c_str());
}

absl::Status FileReceiver::Add(absl::Span<const uint8_t> chunk) {
  if (chunk.size() > FileSender::kChunkBytes ||
      chunk.size() > size_ - received_ || !sha256_.empty()) {
    return absl::OutOfRangeError("the peer sends more than it offered");
  }
  if (std::fwrite(chunk.data(), 1, chunk.size(), file_.get()) != chunk.size()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot store ", name_));
  }
  hash_.Add(chunk);
  received_ += chunk.size();
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
        absl::StrCat(name_,
                     " is damaged: its hash or size is not the "
                     "sender's; nothing was kept"));
  }
  return Publish();
}

absl::StatusOr<std::string> FileReceiver::Publish() {
  const mode_t mask = umask(0);
  umask(mask);
  if (std::fflush(file_.get()) != 0 ||
      fchmod(fileno(file_.get()), 0666 & ~mask) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot store ", name_));
  }
  for (int number = 0; number < 1000; ++number) {
    const std::string path =
        absl::StrCat(folder_, "/", NumberedName(name_, number));
    // link() fails where the name exists: no other program can lose a file.
    const int failed = if_exists_ == IfExists::kOverwrite
                           ? rename(partial_path_.c_str(), path.c_str())
                           : link(partial_path_.c_str(), path.c_str());
    if (failed == 0) {
      if (if_exists_ != IfExists::kOverwrite) unlink(partial_path_.c_str());
      partial_path_.clear();
      return path;
    }
    if (errno != EEXIST) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
    }
  }
  return absl::AlreadyExistsError(
      absl::StrCat("too many files are called ", name_));
}

}  // namespace kyuu::tools
