// The journal beside a file that has come in part, without I/O.
//
// A journal is text. Its first line is a JSON object that says whose part it
// is; each line behind it is the SHA-256 of the file's beginning, up to the end
// of one more chunk:
//
//   {"kyuu":"part 1","name":"big.iso","size":2000000000,"chunk":4194304,
//    "source":"5d41...","version":"7b2a..."}          (one line)
//   <64 digits: the first 4194304 bytes>
//   <64 digits: the first 8388608 bytes>
//
// It only ever grows, after the bytes that it tells of were written. It is a
// hint all the same: whoever goes on hashes the part itself, and has the sender
// compare. What it adds is that damage is seen before the sender is asked, and
// a name for what is lying there.

#ifndef KYUU_TOOLS_KYUU_TRANSFER_JOURNAL_H_
#define KYUU_TOOLS_KYUU_TRANSFER_JOURNAL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/kyuu/transfer/resume_message.h"

namespace kyuu::tools {

struct Journal {
  std::string name;  // As the sender offered it.
  uint64_t size = 0;
  FileVersion file;
  // Of the beginnings of 1, 2, 3, ... chunks, of JournalChunkBytes(size) each.
  std::vector<std::string> prefixes;
};

// The least that a chunk has, in bytes.
inline constexpr uint64_t kJournalChunkBytesMin = uint64_t{4} << 20;
// Lines of hashes, at most.
inline constexpr size_t kJournalChunksMax = 16384;
inline constexpr size_t kJournalHeaderBytesMax = 4096;
// What a journal can have: 1.1 MB. Of a file no more is read.
inline constexpr size_t kJournalBytesMax =
    kJournalHeaderBytesMax + kJournalChunksMax * 65;

// The bytes of a chunk in the journal of a file of `size` bytes: 4 MiB up to
// 64 GiB, then as many times 2 as keep the journal below its limit.
uint64_t JournalChunkBytes(uint64_t size);

// The whole text, and one more line of it.
std::string WriteJournal(const Journal& journal);
std::string JournalLine(absl::string_view sha256);

// ParseJournal returns what `text` says up to the first line that is torn or is
// no hash. INVALID_ARGUMENT if the first line is not that of a journal, the
// text is longer than any, or has more hashes than the file has chunks.
absl::StatusOr<Journal> ParseJournal(absl::string_view text);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TRANSFER_JOURNAL_H_
