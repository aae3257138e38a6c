// Sends one file by the rules of docs/application_protocol.md.

#ifndef KYUU_TOOLS_KYUU_FILE_SENDER_H_
#define KYUU_TOOLS_KYUU_FILE_SENDER_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/kyuu/transfer/prefix_check.h"
#include "tools/kyuu/transfer/resume_message.h"
#include "tools/kyuu/transfer/sha256.h"

namespace kyuu::tools {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

// The base name of a path, as it is offered to the peer.
std::string BaseName(absl::string_view path);

// FileSender is one file on its way out. The owner passes messages between it
// and the two channels:
//
//   control << Offer()                    -> file-accept: Accept()
//   while checking(): Check(), now and then; then open "file:ID"
//   channel << Start(), if it is not empty
//   while channel has room: channel << Chunk(), Advance()
//   channel << End(), once at_end()       -> file-result: close the channel
class FileSender {
 public:
  // Bytes of a chunk: the most that docs/application_protocol.md allows.
  static constexpr size_t kChunkBytes = 65536;

  // Opens `path` for reading. NOT_FOUND, PERMISSION_DENIED or, for what is not
  // a regular file, INVALID_ARGUMENT, each naming the path.
  static absl::StatusOr<FileSender> Open(std::string id, std::string path);

  const std::string& id() const { return id_; }
  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  uint64_t offset() const { return offset_; }

  // The file-offer message.
  std::string Offer() const;

  // Takes the checkpoints of a file-accept; nullopt if that had none, so that
  // the file goes from its beginning, without a Start().
  void Accept(std::optional<std::vector<Checkpoint>> checkpoints);
  // Whether our file is still being compared with them.
  bool checking() const { return check_ && !check_->done(); }
  // Goes on with that by at most `bytes`.
  void Check(size_t bytes);
  // Whether the receiver goes on with it another time, as its accept said.
  bool can_resume() const { return check_.has_value(); }
  // The first message on the channel; empty if there is none.
  std::string Start() const;
  // Where this transfer begins, and the most that the receiver had.
  uint64_t begin() const { return begin_; }
  uint64_t offered_begin() const { return offered_begin_; }

  // The next chunk, the same one until Advance(): a view until then. DATA_LOSS
  // if the file became shorter than it was when offered, or cannot be read. Not
  // while checking().
  absl::StatusOr<absl::Span<const uint8_t>> Chunk();
  // Its bytes, which may be moved from if Advance() is next.
  std::vector<uint8_t>& buffer() { return chunk_; }
  // The chunk was sent.
  void Advance();
  bool at_end() const { return offset_ == size_; }
  // The message after the last chunk.
  std::string End();
  // Of all that was sent; empty before End().
  const std::string& sha256() const { return sha256_; }

 private:
  FileSender() = default;

  std::string id_;
  std::string path_;
  std::string name_;
  uint64_t size_ = 0;
  uint64_t offset_ = 0;
  FileVersion version_;
  std::optional<SourceCheck> check_;
  uint64_t begin_ = 0;
  uint64_t offered_begin_ = 0;
  FileHandle file_;
  Sha256 hash_;
  std::vector<uint8_t> chunk_;
  size_t chunk_bytes_ = 0;  // 0: none is read.
  std::string sha256_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_FILE_SENDER_H_
