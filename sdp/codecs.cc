#include "sdp/codecs.h"

#include <array>
#include <cstddef>
#include <optional>

#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::ParseDigits;

struct StaticType {
  uint8_t payload_type;
  absl::string_view encoding;
  uint32_t clock_rate;
  uint32_t channels;
};

// RFC 3551 section 6, tables 4 and 5, without reserved and unassigned ones.
constexpr std::array<StaticType, 24> kStaticTypes = {{
    {0, "PCMU", 8000, 1},   {3, "GSM", 8000, 1},    {4, "G723", 8000, 1},
    {5, "DVI4", 8000, 1},   {6, "DVI4", 16000, 1},  {7, "LPC", 8000, 1},
    {8, "PCMA", 8000, 1},   {9, "G722", 8000, 1},   {10, "L16", 44100, 2},
    {11, "L16", 44100, 1},  {12, "QCELP", 8000, 1}, {13, "CN", 8000, 1},
    {14, "MPA", 90000, 1},  {15, "G728", 8000, 1},  {16, "DVI4", 11025, 1},
    {17, "DVI4", 22050, 1}, {18, "G729", 8000, 1},  {25, "CelB", 90000, 1},
    {26, "JPEG", 90000, 1}, {28, "nv", 90000, 1},   {31, "H261", 90000, 1},
    {32, "MPV", 90000, 1},  {33, "MP2T", 90000, 1}, {34, "H263", 90000, 1},
}};

Codec CodecOf(uint8_t payload_type) {
  Codec codec;
  codec.payload_type = payload_type;
  for (const StaticType& known : kStaticTypes) {
    if (known.payload_type != payload_type) continue;
    codec.encoding = known.encoding;
    codec.clock_rate = known.clock_rate;
    codec.channels = known.channels;
  }
  return codec;
}

}  // namespace

std::vector<Codec> Codecs(const MediaSection& section) {
  std::vector<Codec> codecs;
  if (!section.is_rtp()) return codecs;
  std::array<std::optional<size_t>, 128> places;  // In `codecs`.
  for (const absl::string_view format : Pieces(section.formats(), ' ')) {
    const auto number = ParseDigits(format, 127);
    if (!number || places[*number]) continue;
    places[*number] = codecs.size();
    codecs.push_back(CodecOf(static_cast<uint8_t>(*number)));
  }
  const auto find = [&](std::optional<uint64_t> payload_type) -> Codec* {
    if (!payload_type || !places[*payload_type]) return nullptr;
    return &codecs[*places[*payload_type]];
  };
  for (const Rtpmap& map : section.All<Rtpmap>()) {
    Codec* codec = find(map.payload_type);
    if (codec == nullptr) continue;
    codec->encoding = map.encoding;
    codec->clock_rate = map.clock_rate;
    codec->channels = map.channels();
  }
  for (const Fmtp& fmtp : section.All<Fmtp>()) {
    Codec* codec = find(ParseDigits(fmtp.format, 127));
    if (codec == nullptr || !codec->parameters.empty()) continue;
    codec->parameters = fmtp.parameters;
  }
  for (const RtcpFeedback& feedback : section.All<RtcpFeedback>()) {
    Codec* codec = find(feedback.payload_type);
    if (codec != nullptr) codec->feedback.push_back(feedback);
  }
  return codecs;
}

}  // namespace kyuu::sdp
