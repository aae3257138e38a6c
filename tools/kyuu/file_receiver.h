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

// Whether a file's name may be used as it is: the table of limits in
// docs/application_protocol.md.
bool IsSafeFileName(absl::string_view name);

// What to do when the name is in use already.
enum class IfExists : uint8_t {
  kRename,     // "a.pdf" becomes "a (1).pdf".
  kOverwrite,  // Only ever because the user asked for it.
};

// FileReceiver stores what comes in a hidden ".NAME.XXXXXX.part" beside its
// place, and gives it its name only when size and hash were right. Destroyed
// before that, it leaves nothing behind.
class FileReceiver {
 public:
  // Creates the partial file in `folder`. INVALID_ARGUMENT for an unsafe name;
  // what the system says if the folder cannot be written.
  static absl::StatusOr<FileReceiver> Create(const std::string& folder,
                                             std::string name, uint64_t size,
                                             IfExists if_exists);
  FileReceiver(FileReceiver&& other) noexcept;
  FileReceiver& operator=(FileReceiver&&) = delete;
  ~FileReceiver();

  // Stores a chunk. OUT_OF_RANGE if more comes than was offered, or a chunk
  // above 65536 bytes; what the system says if it cannot be written.
  absl::Status Add(absl::Span<const uint8_t> chunk);

  // Takes the sender's last message ("end"), checks size and hash and gives
  // the file its name. The path it got, or DATA_LOSS if it is not what was
  // sent, INVALID_ARGUMENT if the message is not one of the protocol.
  absl::StatusOr<std::string> Finish(absl::string_view end_message);

  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  uint64_t received() const { return received_; }
  // Of what was stored; empty before Finish.
  const std::string& sha256() const { return sha256_; }

 private:
  FileReceiver() = default;
  absl::StatusOr<std::string> Publish();

  std::string folder_;
  std::string name_;
  std::string partial_path_;  // Empty once published.
  uint64_t size_ = 0;
  uint64_t received_ = 0;
  IfExists if_exists_ = IfExists::kRename;
  FileHandle file_;
  Sha256 hash_;
  std::string sha256_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_FILE_RECEIVER_H_
