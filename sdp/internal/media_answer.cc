#include "sdp/internal/media_answer.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "sdp/codecs.h"
#include "sdp/syntax.h"

namespace kyuu::sdp::internal {
namespace {

// Whether a line is not the media's to write: it is the transport's, or says
// which section this is and whether it is open.
bool IsOfSession(AttributeType attribute) {
  switch (attribute) {
    case AttributeType::kBundleOnly:
    case AttributeType::kCandidate:
    case AttributeType::kCrypto:
    case AttributeType::kEndOfCandidates:
    case AttributeType::kFingerprint:
    case AttributeType::kGroup:
    case AttributeType::kIceLite:
    case AttributeType::kIceMismatch:
    case AttributeType::kIceOptions:
    case AttributeType::kIcePacing:
    case AttributeType::kIcePwd:
    case AttributeType::kIceUfrag:
    case AttributeType::kInactive:
    case AttributeType::kMid:
    case AttributeType::kRecvonly:
    case AttributeType::kRemoteCandidates:
    case AttributeType::kRtcp:
    case AttributeType::kSendonly:
    case AttributeType::kSendrecv:
    case AttributeType::kSetup:
    case AttributeType::kTlsId:
      return true;
    default:
      return false;
  }
}

// The a= lines for which that is true, in order.
template <typename Wanted>
std::vector<std::string> Lines(const MediaSection& section, Wanted wanted) {
  std::vector<std::string> lines;
  for (size_t i = 1; i < section.line_count(); ++i) {
    const AttributeType attribute = section.attribute(i);
    if (attribute != AttributeType::kNone && wanted(attribute)) {
      lines.emplace_back(section.line(i).value);
    }
  }
  return lines;
}

std::string EncodingOf(const Codec& codec) {
  std::string encoding = absl::StrCat(codec.encoding, "/", codec.clock_rate);
  if (codec.channels > 1) absl::StrAppend(&encoding, "/", codec.channels);
  return encoding;
}

bool HasAll(const Parameters& offered, absl::string_view required) {
  for (const Parameters::Parameter wanted : Parameters(required)) {
    const auto value = offered.Get(wanted.name);
    if (!value || !absl::EqualsIgnoreCase(*value, wanted.value)) return false;
  }
  return true;
}

bool Contains(const std::vector<uint8_t>& types, uint32_t type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

// Whether `offered` is what `ours` means, `accepted` being the payload types
// that we have said yes to.
bool Matches(const MediaCodec& ours, const Codec& offered,
             const std::vector<uint8_t>& accepted) {
  if (Contains(accepted, offered.payload_type) ||
      !absl::EqualsIgnoreCase(ours.encoding, EncodingOf(offered)) ||
      !HasAll(offered.parameters, ours.required)) {
    return false;
  }
  if (!absl::EqualsIgnoreCase(offered.encoding, "rtx")) return true;
  uint32_t repaired;
  const auto apt = offered.parameters.Get("apt");
  return apt && absl::SimpleAtoi(*apt, &repaired) &&
         Contains(accepted, repaired);
}

std::string FeedbackName(const RtcpFeedback& feedback) {
  return feedback.parameters.empty()
             ? std::string(feedback.kind)
             : absl::StrCat(feedback.kind, " ", feedback.parameters);
}

bool OffersFeedback(const MediaSection& section, uint8_t payload_type,
                    absl::string_view name) {
  for (const RtcpFeedback& feedback : section.All<RtcpFeedback>()) {
    if (FeedbackName(feedback) == name &&
        feedback.payload_type.value_or(payload_type) == payload_type) {
      return true;
    }
  }
  return false;
}

void AddCodec(const MediaSection& section, const MediaCodec& ours,
              const Codec& offered, std::vector<std::string>& lines) {
  const int type = offered.payload_type;
  lines.push_back(absl::StrCat("rtpmap:", type, " ", EncodingOf(offered)));
  for (const std::string& feedback : ours.feedback) {
    if (OffersFeedback(section, offered.payload_type, feedback)) {
      lines.push_back(absl::StrCat("rtcp-fb:", type, " ", feedback));
    }
  }
  const std::string parameters =
      ours.parameters.value_or(std::string(offered.parameters.text()));
  if (!parameters.empty()) {
    lines.push_back(absl::StrCat("fmtp:", type, " ", parameters));
  }
}

bool Sends(Direction direction) {
  return direction == Direction::kSendrecv || direction == Direction::kSendonly;
}
bool Receives(Direction direction) {
  return direction == Direction::kSendrecv || direction == Direction::kRecvonly;
}

Direction Left(Direction ours, Direction offered) {
  const bool send = Sends(ours) && Receives(offered);
  const bool receive = Receives(ours) && Sends(offered);
  if (send && receive) return Direction::kSendrecv;
  if (send) return Direction::kSendonly;
  return receive ? Direction::kRecvonly : Direction::kInactive;
}

MediaAnswer Accept(const MediaSection& offered,
                   const MediaCapability& capability) {
  std::vector<uint8_t> accepted;
  std::vector<std::string> lines;
  const std::vector<Codec> codecs = Codecs(offered);
  for (const MediaCodec& ours : capability.codecs) {
    for (const Codec& codec : codecs) {
      if (!Matches(ours, codec, accepted)) continue;
      accepted.push_back(codec.payload_type);
      AddCodec(offered, ours, codec, lines);
    }
  }
  if (accepted.empty()) return Park(offered);
  if (offered.Has(AttributeType::kRtcpMux)) lines.emplace_back("rtcp-mux");
  for (const Extmap& extension : offered.All<Extmap>()) {
    const auto& known = capability.extensions;
    if (std::find(known.begin(), known.end(), extension.uri) != known.end()) {
      lines.push_back(
          absl::StrCat("extmap:", extension.id, " ", extension.uri));
    }
  }
  lines.insert(lines.end(), capability.attributes.begin(),
               capability.attributes.end());
  return {absl::StrJoin(accepted, " "),
          Left(capability.direction,
               offered.direction().value_or(Direction::kSendrecv)),
          std::move(lines)};
}

}  // namespace

MediaAnswer Park(const MediaSection& offered) {
  return {std::string(offered.formats()), Direction::kInactive,
          Lines(offered, [](AttributeType attribute) {
            return attribute == AttributeType::kRtpmap ||
                   attribute == AttributeType::kFmtp ||
                   attribute == AttributeType::kRtcpMux;
          })};
}

MediaAnswer Keep(const MediaSection& ours) {
  return {std::string(ours.formats()),
          ours.direction().value_or(Direction::kSendrecv),
          Lines(ours, [](AttributeType attribute) {
            return !IsOfSession(attribute);
          })};
}

absl::Status CheckMedia(absl::Span<const MediaCapability> media) {
  for (const MediaCapability& capability : media) {
    for (const std::string& line : capability.attributes) {
      const absl::string_view name =
          absl::string_view(line).substr(0, line.find(':'));
      if (name.empty() || IsOfSession(FindAttribute(name))) {
        return absl::InvalidArgumentError(
            absl::StrCat("a=", name, " is not the application's to write"));
      }
    }
  }
  return absl::OkStatus();
}

std::optional<MediaAnswer> AnswerMedia(
    const MediaSection& offered, absl::Span<const MediaCapability> media) {
  const auto capability = std::find_if(
      media.begin(), media.end(),
      [&](const MediaCapability& one) { return one.media == offered.media(); });
  if (capability == media.end() ||
      capability->use == MediaCapability::Use::kPark) {
    return Park(offered);
  }
  if (capability->use == MediaCapability::Use::kReject) return std::nullopt;
  return Accept(offered, *capability);
}

}  // namespace kyuu::sdp::internal
