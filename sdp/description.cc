#include "sdp/description.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sdp/internal/error.h"
#include "sdp/internal/line_syntax.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::MediaLine;
using internal::ParseDigits;
using internal::ParseMediaLine;
using internal::TakeToken;

}  // namespace

absl::Status Description::Strict() const {
  const auto error = [](const Finding& finding) {
    const absl::string_view name = AttributeName(finding.attribute);
    return internal::ErrorAt(
        finding.line, finding.column,
        absl::StrCat(name, name.empty() ? "" : ": ", finding.message),
        finding.rule);
  };
  if (!findings_.empty()) return error(findings_.front());
  for (size_t i = 0; i < lines_.size(); ++i) {
    if (lines_[i].attribute != AttributeType::kCandidate) continue;
    const Line line = this->line(i);
    if (const auto wrong =
            CheckAttribute(line.attribute, line.attribute_value)) {
      return error({Finding::Code::kCandidate, line.number,
                    3 + line.attribute_name.size() + 1, line.attribute,
                    wrong->message, wrong->rule});
    }
  }
  return absl::OkStatus();
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
    const size_t colon = value.find(':');
    line.attribute_name = value.substr(0, colon);
    if (colon != absl::string_view::npos) {
      line.attribute_value = value.substr(colon + 1);
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
  const auto milliseconds =
      ParseDigits(*value, std::numeric_limits<uint32_t>::max());
  if (!milliseconds) return std::nullopt;
  return static_cast<uint32_t>(*milliseconds);
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
  // Parse() has read the line.
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
  const auto port = ParseDigits(*value, 65535);
  if (!port) return std::nullopt;
  return static_cast<uint16_t>(*port);
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
