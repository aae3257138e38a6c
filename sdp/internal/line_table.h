// The text of a description and where its lines are, in one block of memory.

#ifndef KYUU_SDP_INTERNAL_LINE_TABLE_H_
#define KYUU_SDP_INTERNAL_LINE_TABLE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "sdp/attribute_type.h"

namespace kyuu::sdp::internal {

// LineTable is a view of such a block. Its words are
//
//   0         size of the text in bytes, and above that whether it conforms
//   1         lines, and above that media sections
//   2 ...     one word a line:
//              63    56 55          32 31                       0
//             +--------+--------------+--------------------------+
//             |  type  |     size     |       begin              |
//             +--------+--------------+--------------------------+
//             (of the attribute; in bytes; where the line's letter stands)
//   ...       one word a media section: the index of its m= line
//   ...       the text
//
// so that a description costs one allocation and, with lines of four bytes,
// three times its size.
class LineTable {
 public:
  // 2^24-1: what a word has room for.
  static constexpr size_t kLineSizeMax = 0xffffff;
  static constexpr size_t kHeadWords = 2;

  LineTable() = default;
  // `words` may be null for a description without lines, and must live as long
  // as this and every view that it gives.
  explicit LineTable(const uint64_t* words) : words_(words) {}

  static constexpr uint64_t Pack(size_t begin, size_t size,
                                 AttributeType attribute) {
    return uint64_t{begin} | uint64_t{size} << 32 |
           static_cast<uint64_t>(attribute) << 56;
  }
  static constexpr size_t BeginOf(uint64_t line) { return line & 0xffffffff; }
  static constexpr size_t SizeOf(uint64_t line) {
    return line >> 32 & kLineSizeMax;
  }
  // The words of a block.
  static constexpr size_t WordsFor(size_t text_size, size_t lines,
                                   size_t media) {
    return kHeadWords + lines + media + (text_size + 7) / 8;
  }

  bool conforming() const { return words_ != nullptr && words_[0] >> 32 != 0; }
  size_t line_count() const {
    return words_ == nullptr ? 0 : words_[1] & 0xffffffff;
  }
  size_t media_count() const { return words_ == nullptr ? 0 : words_[1] >> 32; }
  absl::string_view text() const {
    if (words_ == nullptr) return {};
    const uint64_t* text = words_ + WordsFor(0, line_count(), media_count());
    return {reinterpret_cast<const char*>(text), words_[0] & 0xffffffff};
  }
  size_t word_count() const {
    if (words_ == nullptr) return 0;
    return WordsFor(words_[0] & 0xffffffff, line_count(), media_count());
  }

  // `index` < line_count().
  uint64_t word(size_t index) const { return words_[kHeadWords + index]; }
  AttributeType attribute(size_t index) const {
    return static_cast<AttributeType>(word(index) >> 56);
  }
  // Without its line end.
  absl::string_view line(size_t index) const {
    return text().substr(BeginOf(word(index)), SizeOf(word(index)));
  }
  // `index` < media_count(): the index of its m= line.
  size_t media(size_t index) const {
    return words_[kHeadWords + line_count() + index];
  }

 private:
  const uint64_t* words_ = nullptr;
};

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_LINE_TABLE_H_
