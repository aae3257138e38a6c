// Description::Parse: one pass over the lines.

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "sdp/description.h"
#include "sdp/internal/error.h"
#include "sdp/internal/line_end.h"
#include "sdp/internal/line_syntax.h"

namespace kyuu::sdp {

using internal::CheckLine;
using internal::CountLines;
using internal::FindLineEnd;
using internal::LineCount;
using internal::LineTable;
using internal::MediaLine;
using internal::ParseMediaLine;

namespace {

constexpr absl::string_view kOrderRule = "RFC 8866 section 9";
// The lines that a description begins with.
constexpr absl::string_view kFirst = "vos";

// Attributes without which nobody can tell what a section is, or whose it is.
bool IsEssential(AttributeType attribute) {
  return attribute == AttributeType::kIceUfrag ||
         attribute == AttributeType::kIcePwd ||
         attribute == AttributeType::kMid ||
         attribute == AttributeType::kSctpmap;
}

}  // namespace

// Parser collects the words of the lines beside itself while they are few, then
// in a block of the size that the rest of the text needs. Functions that return
// bool return false with status_ set.
class Description::Parser {
 public:
  Parser(absl::string_view text, const Limits& limits)
      : text_(text),
        limits_(limits),
        line_bytes_max_(
            std::min(limits.line_bytes_max, LineTable::kLineSizeMax)),
        lines_(absl::MakeSpan(near_)) {}

  absl::StatusOr<Description> Run();

 private:
  bool Split();
  bool AddUsual(size_t begin, size_t end, size_t colon);
  bool AddLine(size_t begin, size_t end, size_t colon);
  bool AddMedia(absl::string_view value);
  bool AddAttribute(absl::string_view value, size_t colon,
                    AttributeType& attribute);
  bool CheckPlace(char type);
  bool CheckComplete();
  void MakeRoom(size_t begin);
  Description Finish();

  bool Error(size_t column, absl::string_view message, absl::string_view rule) {
    status_ = internal::ErrorAt(count_ + 1, column, message, rule);
    return false;
  }
  bool Exhausted(absl::string_view message) {
    status_ = absl::ResourceExhaustedError(message);
    return false;
  }

  // A browser's offer with twenty media sections has about 2 500 lines, a usual
  // one 60 to 200.
  static constexpr size_t kNear = 384;

  const absl::string_view text_;
  const Limits& limits_;
  const size_t line_bytes_max_;
  std::array<uint64_t, kNear> near_;
  std::unique_ptr<uint64_t[]> block_;  // Once near_ was full.
  absl::Span<uint64_t> lines_;         // Of either.
  size_t count_ = 0;                   // Lines.
  size_t media_count_ = 0;
  bool conforming_ = true;
  char previous_ = 0;  // The last known type of the session level.
  bool has_timing_ = false;
  bool rejected_ = false;  // The section that lines belong to now has port 0.
  absl::Status status_;
};

absl::StatusOr<Description> Description::Parser::Run() {
  if (text_.size() > limits_.bytes_max ||
      text_.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "SDP of ", text_.size(), " bytes; the limit is ", limits_.bytes_max));
  }
  if (!Split() || !CheckComplete()) return status_;
  return Finish();
}

bool Description::Parser::Split() {
  size_t begin = 0;
  while (begin < text_.size()) {
    const auto [stop, colon] = FindLineEnd(text_, begin);
    size_t next = stop + 1;
    if (stop == text_.size()) {
      conforming_ = false;
      next = stop;
    } else if (text_[stop] == '\r' && next < text_.size() &&
               text_[next] == '\n') {
      ++next;
    } else if (text_[stop] == '\n') {
      conforming_ = false;
    } else {
      return Error(stop - begin + 1, text_[stop] == '\r' ? "stray CR" : "NUL",
                   kOrderRule);
    }
    if (stop == begin) {
      // Blank lines at the end come from well-meaning transports.
      conforming_ = false;
      if (text_.find_first_not_of("\r\n", begin) == absl::string_view::npos) {
        return true;
      }
      return Error(1, "empty line", "RFC 8866 section 5");
    }
    if (!AddUsual(begin, stop, colon) && !AddLine(begin, stop, colon)) {
      return false;
    }
    begin = next;
  }
  return true;
}

// Adds a line as nearly all are: an attribute where attributes may stand, with
// nothing wrong. False for any other, which is AddLine's to judge.
bool Description::Parser::AddUsual(size_t begin, size_t end, size_t colon) {
  const size_t size = end - begin;
  const char* const line = text_.data() + begin;
  if ((previous_ != 'm' && previous_ != 'a') || size < 2 || line[0] != 'a' ||
      line[1] != '=' || size > line_bytes_max_ || count_ == lines_.size() ||
      count_ == limits_.lines_max) {
    return false;
  }
  const size_t name_end = colon == absl::string_view::npos ? end : colon;
  const AttributeType attribute =
      FindAttribute({line + 2, name_end - begin - 2});
  if (IsEssential(attribute) && !rejected_) {
    if (colon == absl::string_view::npos) return false;
    const absl::string_view value(text_.data() + colon + 1, end - colon - 1);
    if (CheckAttribute(attribute, value)) return false;
  }
  lines_[count_++] = LineTable::Pack(begin, size, attribute);
  return true;
}

bool Description::Parser::AddLine(size_t begin, size_t end, size_t colon) {
  if (count_ == limits_.lines_max) {
    return Exhausted(
        absl::StrCat("SDP has more than ", limits_.lines_max, " lines"));
  }
  const absl::string_view line = text_.substr(begin, end - begin);
  if (line.size() > line_bytes_max_) {
    return Exhausted(absl::StrCat("SDP line ", count_ + 1, " has ", line.size(),
                                  " bytes; the limit is ", line_bytes_max_));
  }
  const char type = line[0];
  if (!absl::ascii_isalpha(static_cast<unsigned char>(type)) ||
      line.size() < 2 || line[1] != '=') {
    return Error(1, "<type>=<value> expected", "RFC 8866 section 5");
  }
  if (!CheckPlace(type)) return false;
  const absl::string_view value = line.substr(2);
  AttributeType attribute = AttributeType::kNone;
  if (type == 'a') {
    const size_t name_size =
        colon == absl::string_view::npos ? value.size() : colon - begin - 2;
    if (!AddAttribute(value, name_size, attribute)) return false;
  } else if (type == 'm') {
    if (!AddMedia(value)) return false;
  } else if (type == 'v') {
    if (const auto error = CheckLine(type, value)) {
      return Error(3, error->message, error->rule);
    }
  }
  if (count_ == lines_.size()) MakeRoom(begin);
  lines_[count_++] = LineTable::Pack(begin, line.size(), attribute);
  return true;
}

bool Description::Parser::AddMedia(absl::string_view value) {
  MediaLine media;
  if (const auto error = ParseMediaLine(value, media)) {
    return Error(3 + error->offset, error->message, error->rule);
  }
  if (media_count_ == limits_.media_sections_max) {
    return Exhausted(absl::StrCat("SDP line ", count_ + 1, ": more than ",
                                  limits_.media_sections_max,
                                  " media sections"));
  }
  ++media_count_;
  rejected_ = media.port == 0;
  return true;
}

bool Description::Parser::AddAttribute(absl::string_view value,
                                       size_t name_size,
                                       AttributeType& attribute) {
  const absl::string_view name = value.substr(0, name_size);
  attribute = FindAttribute(name);
  // A rejected section is not judged (RFC 3264 section 6).
  if (!IsEssential(attribute) || rejected_) return true;
  std::optional<absl::string_view> rest;
  if (name_size < value.size()) rest = value.substr(name_size + 1);
  const auto error = CheckAttribute(attribute, rest);
  if (!error) return true;
  return Error(3 + name_size + (rest ? 1 : 0) + error->offset,
               absl::StrCat(name, ": ", error->message), error->rule);
}

// The order of RFC 8866 section 9. In media sections the order of i=, c=, b=,
// k= and a= is left open: nothing depends on it, and endpoints vary.
bool Description::Parser::CheckPlace(char type) {
  if (count_ < kFirst.size() && type != kFirst[count_]) {
    return Error(1, absl::StrCat(kFirst.substr(count_, 1), "= expected"),
                 kOrderRule);
  }
  // a= is the last type of the session level, and may stand in every section.
  if (type == 'a' && (previous_ == 'm' || previous_ == 'a')) return true;
  if (type == 'm' || previous_ == 'm') {
    if (type == 'm' && !has_timing_) {
      return Error(1, "t= expected before the first m=", kOrderRule);
    }
    previous_ = 'm';
    return true;
  }
  const int rank = internal::SessionRank(type);
  if (rank < 0) return true;
  if (previous_ != 0) {
    const int previous_rank = internal::SessionRank(previous_);
    if (rank < previous_rank ||
        (rank == previous_rank && !internal::MayRepeat(type))) {
      return Error(1, "line out of order", kOrderRule);
    }
  }
  if (type == 't') has_timing_ = true;
  previous_ = type;
  return true;
}

bool Description::Parser::CheckComplete() {
  if (count_ < kFirst.size()) {
    return Error(1, absl::StrCat(kFirst.substr(count_, 1), "= expected"),
                 kOrderRule);
  }
  return has_timing_ || Error(1, "t= expected", kOrderRule);
}

// Counts what is left of the text, from the line at `begin` on, and takes a
// block that holds it all. What is counted is at least what will be added.
void Description::Parser::MakeRoom(size_t begin) {
  const LineCount left = CountLines(text_.substr(begin));
  const size_t lines = std::min(count_ + left.lines, limits_.lines_max);
  const size_t media = media_count_ + left.media;
  block_ = std::make_unique_for_overwrite<uint64_t[]>(
      LineTable::WordsFor(text_.size(), lines, media));
  const absl::Span<uint64_t> room(&block_[LineTable::kHeadWords], lines);
  std::copy(lines_.begin(), lines_.end(), room.begin());
  lines_ = room;
}

Description Description::Parser::Finish() {
  if (block_ == nullptr) {
    block_ = std::make_unique_for_overwrite<uint64_t[]>(
        LineTable::WordsFor(text_.size(), count_, media_count_));
    std::copy_n(lines_.begin(), count_, &block_[LineTable::kHeadWords]);
  }
  block_[0] = uint64_t{text_.size()} | uint64_t{conforming_} << 32;
  block_[1] = uint64_t{count_} | uint64_t{media_count_} << 32;
  size_t word = LineTable::kHeadWords + count_;
  for (size_t i = 0; i < count_; ++i) {
    if (text_[LineTable::BeginOf(block_[LineTable::kHeadWords + i])] == 'm') {
      block_[word++] = i;
    }
  }
  // The last word is not filled by every text.
  const size_t words = LineTable::WordsFor(text_.size(), count_, media_count_);
  block_[words - 1] = 0;
  std::memcpy(&block_[word], text_.data(), text_.size());
  Description description;
  description.block_ = std::move(block_);
  return description;
}

absl::StatusOr<Description> Description::Parse(absl::string_view text,
                                               const Limits& limits) {
  return Parser(text, limits).Run();
}

}  // namespace kyuu::sdp
