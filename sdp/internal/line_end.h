// Where the lines of SDP end, found sixteen bytes at a time.

#ifndef KYUU_SDP_INTERNAL_LINE_END_H_
#define KYUU_SDP_INTERNAL_LINE_END_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace kyuu::sdp::internal {

struct LineEnd {
  size_t stop;  // Of the first CR, LF or NUL; the size of the text without one.
  size_t colon;  // Of the first colon in front of that; npos without one.
};

// FindLineEnd looks from `begin` on. All offsets are of the text.
inline LineEnd FindLineEnd(absl::string_view text, size_t begin) {
  LineEnd end{text.size(), absl::string_view::npos};
  size_t at = begin;
#if defined(__SSE2__)
  const auto equal = [](__m128i block, char c) {
    return _mm_cmpeq_epi8(block, _mm_set1_epi8(c));
  };
  const auto mask = [](__m128i bytes) {
    return static_cast<uint32_t>(_mm_movemask_epi8(bytes));
  };
  for (; at + 16 <= text.size(); at += 16) {
    const __m128i block =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(&text[at]));
    const uint32_t stops =
        mask(_mm_or_si128(_mm_or_si128(equal(block, '\r'), equal(block, '\n')),
                          equal(block, '\0')));
    if (end.colon == absl::string_view::npos) {
      const uint32_t colons = mask(equal(block, ':'));
      // Those in front of the first stop.
      const uint32_t ours = colons & (stops ^ (stops - 1));
      if (ours != 0) {
        end.colon = at + static_cast<size_t>(std::countr_zero(ours));
      }
    }
    if (stops != 0) {
      end.stop = at + static_cast<size_t>(std::countr_zero(stops));
      return end;
    }
  }
#endif
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\r' || c == '\n' || c == '\0') {
      end.stop = at;
      return end;
    }
    if (c == ':' && end.colon == absl::string_view::npos) end.colon = at;
  }
  return end;
}

struct LineCount {
  size_t lines = 0;
  size_t media = 0;  // Those of type m.
};

// CountLines counts the lines of a text that begins with one; at least as many
// as there are.
inline LineCount CountLines(absl::string_view text) {
  LineCount count;
  if (text.empty()) return count;
  ++count.lines;
  if (text[0] == 'm') ++count.media;
  size_t at = 0;
#if defined(__SSE2__)
  // One byte more than a block is looked at: that behind a line end.
  const __m128i zero = _mm_setzero_si128();
  __m128i feeds = zero;
  __m128i media = zero;
  const auto load = [&text](size_t from) {
    return _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(text.data() + from));
  };
  // Found bytes are -1; the sums are of eight bytes each.
  const auto sum = [zero](__m128i found) {
    return _mm_sad_epu8(_mm_sub_epi8(zero, found), zero);
  };
  for (; at + 17 <= text.size(); at += 16) {
    const __m128i ends = _mm_cmpeq_epi8(load(at), _mm_set1_epi8('\n'));
    feeds = _mm_add_epi64(feeds, sum(ends));
    media = _mm_add_epi64(
        media, sum(_mm_and_si128(
                   ends, _mm_cmpeq_epi8(load(at + 1), _mm_set1_epi8('m')))));
  }
  const auto total = [](__m128i halves) {
    return static_cast<size_t>(_mm_cvtsi128_si64(halves)) +
           static_cast<size_t>(
               _mm_cvtsi128_si64(_mm_unpackhi_epi64(halves, halves)));
  };
  count.lines += total(feeds);
  count.media += total(media);
#endif
  for (; at < text.size(); ++at) {
    if (text[at] != '\n') continue;
    ++count.lines;
    if (at + 1 < text.size() && text[at + 1] == 'm') ++count.media;
  }
  return count;
}

// HasBreak is true if a CR, LF or NUL is in the text.
inline bool HasBreak(absl::string_view text) {
  return FindLineEnd(text, 0).stop != text.size();
}

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_LINE_END_H_
