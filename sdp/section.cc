#include "sdp/section.h"

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "base/check.h"
#include "sdp/internal/line_at.h"
#include "sdp/internal/line_syntax.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {

using internal::LineAt;
using internal::MediaLine;
using internal::ParseDigits;
using internal::ParseMediaLine;
using internal::TakeToken;

Line Block::line(size_t index) const {
  KYUU_CHECK(index < line_count());
  return LineAt(table_, begin_ + index);
}

size_t Block::Find(size_t from, AttributeType attribute) const {
  while (from < end_ && table_.attribute(from) != attribute) ++from;
  return std::min(from, end_);
}

size_t Block::Find(size_t from, char type) const {
  while (from < end_ && table_.line(from)[0] != type) ++from;
  return std::min(from, end_);
}

absl::string_view Block::ValueAt(size_t index) const {
  const absl::string_view value = table_.line(index).substr(2);
  const AttributeType attribute = table_.attribute(index);
  if (attribute == AttributeType::kNone) return value;
  // Empty for a flag, which ends with its name.
  return value.substr(
      std::min(value.size(), AttributeName(attribute).size() + 1));
}

std::optional<absl::string_view> Block::Value(AttributeType attribute) const {
  const size_t index = Find(begin_, attribute);
  if (index == end_) return std::nullopt;
  return ValueAt(index);
}

std::vector<absl::string_view> Block::Values(AttributeType attribute) const {
  std::vector<absl::string_view> values;
  for (size_t i = Find(begin_, attribute); i != end_;
       i = Find(i + 1, attribute)) {
    values.push_back(ValueAt(i));
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
    switch (table_.attribute(i)) {
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
  // Description::Parse() has read the line.
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

bool MediaSection::is_rtp() const {
  return absl::StrContains(protocol(), "RTP/");
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
