#include "sdp/description.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "sdp/internal/error.h"
#include "sdp/internal/line_syntax.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::CheckLine;
using internal::MediaLine;
using internal::ParseDigits;
using internal::ParseMediaLine;
using internal::TakeToken;

}  // namespace

// Parser fills the tables of a Description that has its text already.
class Description::Parser {
 public:
  Parser(Description& description, const Limits& limits)
      : out_(description), text_(description.text_), limits_(limits) {}

  absl::Status Run();

 private:
  absl::Status Split();
  absl::Status AddLine(size_t begin, size_t end);
  absl::Status AddAttribute(absl::string_view value, LineSpan& span) const;
  absl::Status CheckPlace(char type);
  absl::Status CheckComplete() const;

  size_t line_number() const { return out_.lines_.size() + 1; }
  absl::Status Error(size_t column, absl::string_view message,
                     absl::string_view rule) const {
    return internal::ErrorAt(line_number(), column, message, rule);
  }

  Description& out_;
  const absl::string_view text_;
  const Limits& limits_;
  size_t nul_ = absl::string_view::npos;  // The first NUL of text_.
  char previous_ = 0;  // The last known type of the session level.
  bool has_timing_ = false;
};

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
                static_cast<uint32_t>(line.size()), 0, type,
                AttributeType::kNone};
  if (type == 'a') {
    KYUU_RETURN_IF_ERROR(AddAttribute(value, span));
  } else if (const auto error = CheckLine(type, value)) {
    return Error(3 + error->offset, error->message, error->rule);
  }
  out_.lines_.push_back(span);
  return absl::OkStatus();
}

absl::Status Description::Parser::AddAttribute(absl::string_view value,
                                               LineSpan& span) const {
  const size_t colon = value.find(':');
  const absl::string_view name = value.substr(0, colon);
  if (name.empty() || name.size() > std::numeric_limits<uint16_t>::max()) {
    return Error(3, "attribute name missing or too long",
                 "RFC 8866 section 5.13");
  }
  span.name_size = static_cast<uint16_t>(name.size());
  span.attribute = FindAttribute(name);
  if (span.attribute == AttributeType::kUnknown) return absl::OkStatus();
  std::optional<absl::string_view> rest;
  if (colon != absl::string_view::npos) rest = value.substr(colon + 1);
  if (const auto error = CheckAttribute(span.attribute, rest)) {
    const size_t column = 3 + name.size() + (rest ? 1 : 0) + error->offset;
    return Error(column, absl::StrCat(name, ": ", error->message), error->rule);
  }
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
      return Error(1, "not allowed in a media section", kRule);
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

std::string Description::ToString() const {
  std::string out;
  AppendTo(out);
  return out;
}

void Description::AppendTo(std::string& out) const {
  if (conforming_) {
    out.append(text_);
    return;
  }
  for (const LineSpan& line : lines_) {
    out.append(text_, line.begin, line.size).append("\r\n");
  }
}

Line Description::line(size_t index) const {
  KYUU_CHECK(index < lines_.size());
  const LineSpan& span = lines_[index];
  const absl::string_view value =
      absl::string_view(text_).substr(span.begin + 2, span.size - 2);
  Line line{span.type, value, span.attribute, {}, {}, index + 1};
  if (span.type == 'a') {
    line.attribute_name = value.substr(0, span.name_size);
    if (span.name_size < value.size()) {
      line.attribute_value = value.substr(span.name_size + 1u);
    }
  }
  return line;
}

Origin Description::origin() const {
  if (lines_.size() < 2) return {};
  absl::string_view rest = line(1).value;
  Origin origin;
  origin.username = TakeToken(rest);
  origin.session_id = ParseDigits(TakeToken(rest)).value_or(0);
  origin.session_version = ParseDigits(TakeToken(rest)).value_or(0);
  origin.network_type = TakeToken(rest);
  origin.address_type = TakeToken(rest);
  origin.address = TakeToken(rest);
  return origin;
}

Block Description::session() const {
  return Block(this, 0, media_.empty() ? lines_.size() : media_[0]);
}

MediaSection Description::media(size_t index) const {
  KYUU_CHECK(index < media_.size());
  const size_t end =
      index + 1 < media_.size() ? media_[index + 1] : lines_.size();
  return MediaSection(this, media_[index], end);
}

std::vector<std::vector<absl::string_view>> Description::BundleGroups() const {
  std::vector<std::vector<absl::string_view>> groups;
  for (absl::string_view rest : session().Values(AttributeType::kGroup)) {
    if (TakeToken(rest) != "BUNDLE") continue;
    std::vector<absl::string_view>& mids = groups.emplace_back();
    while (!rest.empty()) {
      const absl::string_view mid = TakeToken(rest);
      if (!mid.empty()) mids.push_back(mid);
    }
  }
  return groups;
}

std::optional<absl::string_view> Description::Inherited(
    size_t media_index, AttributeType attribute) const {
  const auto value = media(media_index).Value(attribute);
  return value ? value : session().Value(attribute);
}

std::optional<Position> PositionOf(const absl::Status& status) {
  const auto payload = status.GetPayload(internal::kPositionUrl);
  if (!payload) return std::nullopt;
  const std::string text(*payload);
  absl::string_view rest = text;
  Position position;
  position.line = ParseDigits(TakeToken(rest)).value_or(0);
  position.column = ParseDigits(TakeToken(rest)).value_or(0);
  position.rule = std::string(rest);
  return position;
}

Line Block::line(size_t index) const {
  KYUU_CHECK(index < line_count());
  return description_->line(begin_ + index);
}

bool Block::Has(AttributeType attribute) const {
  return Value(attribute).has_value();
}

std::optional<absl::string_view> Block::Value(AttributeType attribute) const {
  for (size_t i = begin_; i < end_; ++i) {
    if (description_->lines_[i].attribute == attribute) {
      return description_->line(i).attribute_value;
    }
  }
  return std::nullopt;
}

std::vector<absl::string_view> Block::Values(AttributeType attribute) const {
  std::vector<absl::string_view> values;
  for (size_t i = begin_; i < end_; ++i) {
    if (description_->lines_[i].attribute == attribute) {
      values.push_back(description_->line(i).attribute_value);
    }
  }
  return values;
}

std::optional<absl::string_view> Block::ice_ufrag() const {
  return Value(AttributeType::kIceUfrag);
}

std::optional<absl::string_view> Block::ice_pwd() const {
  return Value(AttributeType::kIcePwd);
}

bool Block::HasIceOption(absl::string_view tag) const {
  absl::string_view rest = Value(AttributeType::kIceOptions).value_or("");
  while (!rest.empty()) {
    // RFC 8839 separates by blanks; libdatachannel by commas.
    const size_t end = rest.find_first_of(" ,");
    if (rest.substr(0, end) == tag) return true;
    if (end == absl::string_view::npos) return false;
    rest.remove_prefix(end + 1);
  }
  return false;
}

std::optional<uint32_t> Block::ice_pacing_ms() const {
  const auto value = Value(AttributeType::kIcePacing);
  if (!value) return std::nullopt;
  return static_cast<uint32_t>(ParseDigits(*value).value_or(0));
}

std::optional<Setup> Block::setup() const {
  const auto value = Value(AttributeType::kSetup);
  return value ? ParseSetup(*value) : std::nullopt;
}

std::optional<absl::string_view> Block::tls_id() const {
  return Value(AttributeType::kTlsId);
}

std::optional<Direction> Block::direction() const {
  for (size_t i = begin_; i < end_; ++i) {
    switch (description_->lines_[i].attribute) {
      case AttributeType::kSendrecv:
        return Direction::kSendrecv;
      case AttributeType::kSendonly:
        return Direction::kSendonly;
      case AttributeType::kRecvonly:
        return Direction::kRecvonly;
      case AttributeType::kInactive:
        return Direction::kInactive;
      default:
        break;
    }
  }
  return std::nullopt;
}

namespace {

MediaLine MediaLineOf(const MediaSection& section) {
  MediaLine media;
  // Parse() has checked the line.
  KYUU_CHECK(!ParseMediaLine(section.line(0).value, media));
  return media;
}

}  // namespace

absl::string_view MediaSection::media() const {
  return MediaLineOf(*this).media;
}
uint16_t MediaSection::port() const { return MediaLineOf(*this).port; }
uint32_t MediaSection::port_count() const {
  return MediaLineOf(*this).port_count;
}
absl::string_view MediaSection::protocol() const {
  return MediaLineOf(*this).protocol;
}
absl::string_view MediaSection::formats() const {
  return MediaLineOf(*this).formats;
}

std::optional<absl::string_view> MediaSection::mid() const {
  return Value(AttributeType::kMid);
}

bool MediaSection::is_data_channel() const {
  const MediaLine line = MediaLineOf(*this);
  if (line.media != "application") return false;
  if (line.formats != "webrtc-datachannel") return is_legacy_data_channel();
  return line.protocol == "UDP/DTLS/SCTP" || line.protocol == "TCP/DTLS/SCTP" ||
         line.protocol == "DTLS/SCTP";
}

bool MediaSection::is_legacy_data_channel() const {
  const MediaLine line = MediaLineOf(*this);
  if (line.media != "application" || line.protocol != "DTLS/SCTP" ||
      !ParseDigits(line.formats, 65535)) {
    return false;
  }
  const auto map = Value(AttributeType::kSctpmap);
  if (!map) return false;
  absl::string_view rest = *map;
  return TakeToken(rest) == line.formats &&
         TakeToken(rest) == "webrtc-datachannel";
}

std::optional<uint16_t> MediaSection::sctp_port() const {
  auto value = Value(AttributeType::kSctpPort);
  if (!value) {
    value = Value(AttributeType::kSctpmap);
    if (!value) return std::nullopt;
    absl::string_view rest = *value;
    value = TakeToken(rest);
  }
  return static_cast<uint16_t>(ParseDigits(*value).value_or(0));
}

std::optional<uint64_t> MediaSection::max_message_size() const {
  const auto value = Value(AttributeType::kMaxMessageSize);
  return value ? ParseDigits(*value) : std::nullopt;
}

std::optional<uint16_t> MediaSection::sctpmap_streams() const {
  absl::string_view rest = Value(AttributeType::kSctpmap).value_or("");
  TakeToken(rest);
  TakeToken(rest);
  const auto streams = ParseDigits(rest, 65535);
  if (!streams) return std::nullopt;
  return static_cast<uint16_t>(*streams);
}

}  // namespace kyuu::sdp
