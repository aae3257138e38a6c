// Description::Parse: one pass over the lines.

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sdp/description.h"
#include "sdp/internal/error.h"
#include "sdp/internal/line_syntax.h"

namespace kyuu::sdp {

using internal::CheckLine;
using internal::CheckMediaLine;
using internal::MediaLine;
using internal::ParseMediaLine;

// Parser fills the tables of a Description that has its text already.
class Description::Parser {
 public:
  Parser(Description& description, const Limits& limits)
      : out_(description), text_(description.text_), limits_(limits) {}

  absl::Status Run();

 private:
  absl::Status Split();
  absl::Status AddLine(size_t begin, size_t end);
  absl::Status AddMedia(absl::string_view value);
  absl::Status AddAttribute(absl::string_view value, LineSpan& span);
  absl::Status CheckPlace(char type);
  absl::Status CheckComplete() const;

  size_t line_number() const { return out_.lines_.size() + 1; }
  absl::Status Error(size_t column, absl::string_view message,
                     absl::string_view rule) const {
    return internal::ErrorAt(line_number(), column, message, rule);
  }

  // A fault that stands in nobody's way.
  void Note(Finding::Code code, size_t column, absl::string_view message,
            absl::string_view rule,
            AttributeType attribute = AttributeType::kNone) {
    if (out_.findings_.size() >= limits_.findings_max) {
      ++out_.findings_dropped_;
      return;
    }
    out_.findings_.push_back(
        {code, line_number(), column, attribute, message, rule});
  }

  Description& out_;
  const absl::string_view text_;
  const Limits& limits_;
  size_t nul_ = absl::string_view::npos;  // The first NUL of text_.
  char previous_ = 0;  // The last known type of the session level.
  bool has_timing_ = false;
  bool rejected_ = false;  // The section that lines belong to now has port 0.
};

namespace {

// Attributes without which nobody can tell what a section is, or whose it is.
bool IsEssential(AttributeType attribute) {
  return attribute == AttributeType::kIceUfrag ||
         attribute == AttributeType::kIcePwd ||
         attribute == AttributeType::kMid ||
         attribute == AttributeType::kSctpmap;
}

}  // namespace

absl::Status Description::Parser::Run() {
  if (text_.size() > limits_.bytes_max ||
      text_.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "SDP of ", text_.size(), " bytes; the limit is ", limits_.bytes_max));
  }
  // Browsers' lines have 33 to 38 bytes on average.
  out_.lines_.reserve(std::min(text_.size() / 32 + 8, limits_.lines_max));
  nul_ = text_.find('\0');
  KYUU_RETURN_IF_ERROR(Split());
  KYUU_RETURN_IF_ERROR(CheckComplete());

  const auto is_media = [](const LineSpan& line) { return line.type == 'm'; };
  out_.media_.reserve(static_cast<size_t>(
      std::count_if(out_.lines_.begin(), out_.lines_.end(), is_media)));
  for (size_t i = 0; i < out_.lines_.size(); ++i) {
    if (!is_media(out_.lines_[i])) continue;
    if (out_.media_.size() == limits_.media_sections_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat("SDP line ", i + 1, ": more than ",
                       limits_.media_sections_max, " media sections"));
    }
    out_.media_.push_back(static_cast<uint32_t>(i));
  }
  return absl::OkStatus();
}

absl::Status Description::Parser::Split() {
  size_t begin = 0;
  while (begin < text_.size()) {
    const size_t feed = text_.find('\n', begin);
    const bool terminated = feed != absl::string_view::npos;
    size_t end = terminated ? feed : text_.size();
    if (terminated && end > begin && text_[end - 1] == '\r') {
      --end;
    } else {
      out_.conforming_ = false;
    }
    if (end == begin) {
      // Blank lines at the end come from well-meaning transports.
      out_.conforming_ = false;
      if (text_.find_first_not_of("\r\n", begin) == absl::string_view::npos) {
        return absl::OkStatus();
      }
      return Error(1, "empty line", "RFC 8866 section 5");
    }
    KYUU_RETURN_IF_ERROR(AddLine(begin, end));
    begin = terminated ? feed + 1 : text_.size();
  }
  return absl::OkStatus();
}

absl::Status Description::Parser::AddLine(size_t begin, size_t end) {
  const absl::string_view line = text_.substr(begin, end - begin);
  if (out_.lines_.size() == limits_.lines_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("SDP has more than ", limits_.lines_max, " lines"));
  }
  if (line.size() > limits_.line_bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("SDP line ", line_number(), " has ", line.size(),
                     " bytes; the limit is ", limits_.line_bytes_max));
  }
  const size_t stray = line.find('\r');
  if (stray != absl::string_view::npos) {
    return Error(stray + 1, "stray CR", "RFC 8866 section 9");
  }
  if (nul_ < end) {
    return Error(nul_ - begin + 1, "NUL", "RFC 8866 section 9");
  }
  const char type = line[0];
  if (!absl::ascii_isalpha(static_cast<unsigned char>(type)) ||
      line.size() < 2 || line[1] != '=') {
    return Error(1, "<type>=<value> expected", "RFC 8866 section 5");
  }
  KYUU_RETURN_IF_ERROR(CheckPlace(type));
  const absl::string_view value = line.substr(2);
  LineSpan span{static_cast<uint32_t>(begin),
                static_cast<uint32_t>(line.size()), type, AttributeType::kNone};
  if (type == 'a') {
    KYUU_RETURN_IF_ERROR(AddAttribute(value, span));
  } else if (type == 'm') {
    KYUU_RETURN_IF_ERROR(AddMedia(value));
  } else if (const auto error = CheckLine(type, value)) {
    if (type == 'v') return Error(3, error->message, error->rule);
    Note(Finding::Code::kLine, 3 + error->offset, error->message, error->rule);
  }
  out_.lines_.push_back(span);
  return absl::OkStatus();
}

absl::Status Description::Parser::AddMedia(absl::string_view value) {
  MediaLine media;
  if (const auto error = ParseMediaLine(value, media)) {
    return Error(3 + error->offset, error->message, error->rule);
  }
  if (const auto error = CheckMediaLine(value, media)) {
    Note(Finding::Code::kLine, 3 + error->offset, error->message, error->rule);
  }
  rejected_ = media.port == 0;
  return absl::OkStatus();
}

absl::Status Description::Parser::AddAttribute(absl::string_view value,
                                               LineSpan& span) {
  const size_t colon = value.find(':');
  const absl::string_view name = value.substr(0, colon);
  if (name.empty()) {
    Note(Finding::Code::kAttributeName, 3, "attribute name missing",
         "RFC 8866 section 5.13");
  }
  span.attribute = FindAttribute(name);
  // Candidates are the longest to read, and of no use to most readers.
  if (span.attribute == AttributeType::kUnknown ||
      span.attribute == AttributeType::kCandidate) {
    return absl::OkStatus();
  }
  std::optional<absl::string_view> rest;
  if (colon != absl::string_view::npos) rest = value.substr(colon + 1);
  const auto error = CheckAttribute(span.attribute, rest);
  if (!error) return absl::OkStatus();
  const size_t column = 3 + name.size() + (rest ? 1 : 0) + error->offset;
  // A rejected section is not judged (RFC 3264 section 6).
  if (IsEssential(span.attribute) && !rejected_) {
    return Error(column, absl::StrCat(name, ": ", error->message), error->rule);
  }
  Note(Finding::Code::kAttributeValue, column, error->message, error->rule,
       span.attribute);
  return absl::OkStatus();
}

// The order of RFC 8866 section 9. In media sections the order of i=, c=, b=,
// k= and a= is left open: nothing depends on it, and endpoints vary.
absl::Status Description::Parser::CheckPlace(char type) {
  constexpr absl::string_view kRule = "RFC 8866 section 9";
  constexpr absl::string_view kFirst = "vos";
  const size_t index = out_.lines_.size();
  if (index < kFirst.size() && type != kFirst[index]) {
    return Error(1, absl::StrCat(kFirst.substr(index, 1), "= expected"), kRule);
  }
  if (type == 'm' || previous_ == 'm') {
    if (internal::IsSessionOnly(type)) {
      Note(Finding::Code::kPlace, 1, "not allowed in a media section", kRule);
    }
    if (type == 'm' && !has_timing_) {
      return Error(1, "t= expected before the first m=", kRule);
    }
    previous_ = 'm';
    return absl::OkStatus();
  }
  const int rank = internal::SessionRank(type);
  if (rank < 0) return absl::OkStatus();
  if (previous_ != 0) {
    const int previous_rank = internal::SessionRank(previous_);
    if (rank < previous_rank ||
        (rank == previous_rank && !internal::MayRepeat(type))) {
      return Error(1, "line out of order", kRule);
    }
  }
  if (type == 't') has_timing_ = true;
  previous_ = type;
  return absl::OkStatus();
}

absl::Status Description::Parser::CheckComplete() const {
  constexpr absl::string_view kFirst = "vos";
  const size_t count = out_.lines_.size();
  if (count < kFirst.size()) {
    return Error(1, absl::StrCat(kFirst.substr(count, 1), "= expected"),
                 "RFC 8866 section 9");
  }
  if (!has_timing_) return Error(1, "t= expected", "RFC 8866 section 9");
  return absl::OkStatus();
}

absl::StatusOr<Description> Description::Parse(std::string text,
                                               const Limits& limits) {
  Description description;
  description.text_ = std::move(text);
  KYUU_RETURN_IF_ERROR(Parser(description, limits).Run());
  return description;
}

}  // namespace kyuu::sdp
