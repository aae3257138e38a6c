#include "sdp/rtp.h"

#include <array>
#include <limits>

#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::IsToken;
using internal::ParseDecimal;
using internal::ParseDigits;
using internal::Words;

constexpr uint64_t kMax32 = std::numeric_limits<uint32_t>::max();
// Seven bits of the RTP header (RFC 3550 section 5.1).
constexpr uint64_t kPayloadTypeMax = 127;

constexpr std::array<absl::string_view, 4> kDirections = {
    "sendrecv", "sendonly", "recvonly", "inactive"};

template <typename T>
Parsed<T> ParseNumber(absl::string_view value, absl::string_view rule) {
  const auto number = ParseDecimal(value);
  if (!number) return SyntaxError{"must be a number greater than 0", rule};
  return T{*number};
}

}  // namespace

absl::string_view DirectionName(Direction direction) {
  return kDirections[static_cast<size_t>(direction)];
}

std::optional<Direction> ParseDirection(absl::string_view name) {
  for (size_t i = 0; i < kDirections.size(); ++i) {
    if (name == kDirections[i]) return static_cast<Direction>(i);
  }
  return std::nullopt;
}

uint32_t Rtpmap::channels() const {
  const auto count = ParseDigits(parameters, kMax32);
  return count.value_or(0) == 0 ? 1 : static_cast<uint32_t>(*count);
}

Parsed<Rtpmap> Rtpmap::Parse(absl::string_view value) {
  Words words(value, "RFC 8866 section 6.6");
  Rtpmap map;
  const auto payload_type = ParseDigits(words.Take(), kPayloadTypeMax);
  if (!payload_type) return words.Wrong("payload type must be 0..127");
  map.payload_type = static_cast<uint8_t>(*payload_type);
  const absl::string_view codec = words.TakeRest();
  const size_t slash = codec.find('/');
  map.encoding = codec.substr(0, slash);
  if (!IsToken(map.encoding)) {
    return words.Wrong("encoding name must be a token");
  }
  if (slash == absl::string_view::npos) {
    return words.Wrong("clock rate missing", codec.size());
  }
  absl::string_view rate = codec.substr(slash + 1);
  const size_t second = rate.find('/');
  if (second != absl::string_view::npos) {
    map.parameters = rate.substr(second + 1);
    if (!IsToken(map.parameters)) {
      return words.Wrong("encoding parameters must be a token",
                         slash + 1 + second + 1);
    }
    rate = rate.substr(0, second);
  }
  const auto clock_rate = ParseDigits(rate, kMax32);
  if (clock_rate.value_or(0) == 0) {
    return words.Wrong("clock rate must be 1..2^32-1", slash + 1);
  }
  map.clock_rate = static_cast<uint32_t>(*clock_rate);
  return map;
}

Parsed<Fmtp> Fmtp::Parse(absl::string_view value) {
  Words words(value, "RFC 8866 section 6.15");
  Fmtp fmtp;
  fmtp.format = words.Take();
  if (!IsToken(fmtp.format)) return words.Wrong("format must be a token");
  fmtp.parameters = Parameters(words.TakeRest());
  if (fmtp.parameters.text().empty()) return words.Wrong("parameters missing");
  return fmtp;
}

Parsed<RtcpFeedback> RtcpFeedback::Parse(absl::string_view value) {
  Words words(value, "RFC 4585 section 4.2");
  RtcpFeedback feedback;
  const absl::string_view format = words.Take();
  if (format != "*") {
    const auto payload_type = ParseDigits(format, kPayloadTypeMax);
    if (!payload_type) return words.Wrong("payload type must be 0..127 or *");
    feedback.payload_type = static_cast<uint8_t>(*payload_type);
  }
  feedback.kind = words.Take();
  if (!IsToken(feedback.kind)) return words.Wrong("feedback must be a token");
  feedback.parameters = words.TakeRest();
  return feedback;
}

Parsed<Extmap> Extmap::Parse(absl::string_view value) {
  Words words(value, "RFC 8285 section 8");
  Extmap map;
  const absl::string_view head = words.Take();
  const size_t slash = head.find('/');
  const uint64_t id = ParseDigits(head.substr(0, slash), 99999).value_or(0);
  if (!(id >= 1 && id <= 256) && !(id >= 4096 && id <= 4351)) {
    return words.Wrong("id must be 1..256 or 4096..4351");
  }
  map.id = static_cast<uint16_t>(id);
  if (slash != absl::string_view::npos) {
    map.direction = ParseDirection(head.substr(slash + 1));
    if (!map.direction) return words.Wrong("no direction", slash + 1);
  }
  map.uri = words.Take();
  if (map.uri.empty()) return words.Wrong("URI missing");
  map.attributes = words.TakeRest();
  return map;
}

Parsed<Ssrc> Ssrc::Parse(absl::string_view value) {
  Words words(value, "RFC 5576 section 4.1");
  Ssrc ssrc;
  const auto id = ParseDigits(words.Take(), kMax32);
  if (!id) return words.Wrong("SSRC must be 0..2^32-1");
  ssrc.ssrc = static_cast<uint32_t>(*id);
  const absl::string_view attribute = words.TakeRest();
  const size_t colon = attribute.find(':');
  ssrc.attribute = attribute.substr(0, colon);
  if (!IsToken(ssrc.attribute)) return words.Wrong("attribute must be a token");
  if (colon != absl::string_view::npos) {
    ssrc.value = attribute.substr(colon + 1);
  }
  return ssrc;
}

Parsed<SsrcGroup> SsrcGroup::Parse(absl::string_view value) {
  constexpr absl::string_view kRule = "RFC 5576 section 4.2";
  Words words(value, kRule);
  SsrcGroup group;
  group.semantics = words.Take();
  if (!IsToken(group.semantics)) {
    return words.Wrong("semantics must be a token");
  }
  group.ssrcs = Pieces(words.TakeRest(), ' ');
  for (const absl::string_view ssrc : group.ssrcs) {
    if (!ParseDigits(ssrc, kMax32)) {
      return SyntaxError{"SSRC must be 0..2^32-1", kRule,
                         static_cast<size_t>(ssrc.data() - value.data())};
    }
  }
  return group;
}

Parsed<Msid> Msid::Parse(absl::string_view value) {
  Words words(value, "RFC 8830 section 2");
  const auto right = [](absl::string_view id) {
    return IsToken(id) && id.size() <= 64;
  };
  Msid msid;
  msid.stream = words.Take();
  if (!right(msid.stream)) {
    return words.Wrong("id must be a token of 1..64 characters");
  }
  if (words.done()) return msid;
  msid.track = words.TakeRest();
  if (!right(msid.track)) {
    return words.Wrong("appdata must be a token of 1..64 characters");
  }
  return msid;
}

Parsed<MsidSemantic> MsidSemantic::Parse(absl::string_view value) {
  Words words(value, "draft-ietf-mmusic-msid-05 section 3");
  MsidSemantic semantic;
  semantic.semantics = words.Take();
  // Browsers put a blank behind the colon.
  if (semantic.semantics.empty()) semantic.semantics = words.Take();
  if (!IsToken(semantic.semantics)) {
    return words.Wrong("semantics must be a token");
  }
  semantic.streams = Pieces(words.TakeRest(), ' ');
  return semantic;
}

Parsed<Rtcp> Rtcp::Parse(absl::string_view value) {
  Words words(value, "RFC 3605 section 2.1");
  Rtcp rtcp;
  const auto port = ParseDigits(words.Take(), 65535);
  if (!port) return words.Wrong("port must be 0..65535");
  rtcp.port = static_cast<uint16_t>(*port);
  if (words.done()) return rtcp;
  rtcp.network_type = words.Take();
  rtcp.address_type = words.Take();
  rtcp.address = words.Take();
  if (rtcp.address.empty() || !words.done()) {
    return words.Wrong("address has three parts");
  }
  return rtcp;
}

Parsed<Ptime> Ptime::Parse(absl::string_view value) {
  return ParseNumber<Ptime>(value, "RFC 8866 section 6.4");
}
Parsed<Maxptime> Maxptime::Parse(absl::string_view value) {
  return ParseNumber<Maxptime>(value, "RFC 8866 section 6.5");
}
Parsed<Framerate> Framerate::Parse(absl::string_view value) {
  return ParseNumber<Framerate>(value, "RFC 8866 section 6.13");
}

Parsed<Bandwidth> Bandwidth::Parse(absl::string_view value) {
  const size_t colon = value.find(':');
  const absl::string_view type = value.substr(0, colon);
  if (colon != absl::string_view::npos && IsToken(type)) {
    if (const auto bandwidth = ParseDigits(value.substr(colon + 1))) {
      return Bandwidth{type, *bandwidth};
    }
  }
  return SyntaxError{"type and 0..2^64-1 expected", "RFC 8866 section 5.8"};
}

Parsed<Connection> Connection::Parse(absl::string_view value) {
  Words words(value, "RFC 8866 section 5.7");
  const Connection connection{words.Take(), words.Take(), words.Take()};
  // The last word is missing if any is; what follows it is one too many.
  if (!connection.network_type.empty() && !connection.address_type.empty() &&
      !connection.address.empty() && words.done()) {
    return connection;
  }
  return SyntaxError{"connection has three parts", "RFC 8866 section 5.7"};
}

}  // namespace kyuu::sdp
