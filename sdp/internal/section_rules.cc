// What the lines of a media section say against each other.

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdp/internal/judge.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp::internal {
namespace {

// Payload types have seven bits (RFC 3550 section 5.1).
using PayloadTypes = std::bitset<128>;

constexpr uint8_t kDynamicMin = 96;   // RFC 3551 section 3.
constexpr uint8_t kRtcpLikeMin = 64;  // RFC 5761 section 4: with the marker
constexpr uint8_t kRtcpLikeMax = 95;  // bit they read as packets of RTCP.

// One section, and what is known of it so far.
class Rules {
 public:
  Rules(const MediaSection& section, FindingList& findings)
      : section_(section), findings_(findings) {}

  void JudgeRtp(bool leads) {
    ReadFormats();
    for (size_t i = 1; i < section_.line_count(); ++i) {
      if (IsOfRtp(section_.attribute(i))) JudgeRtpLine(section_.line(i));
    }
    JudgeUnmapped();
    if (!leads) return;
    if (!section_.Has(AttributeType::kRtcpMux) &&
        !section_.Has(AttributeType::kRtcpMuxOnly)) {
      AtHead(Finding::Code::kMissing, AttributeType::kRtcpMux,
             "bundled without rtcp-mux", "RFC 9143 section 9.3");
    }
  }

  void JudgeSimulcast() {
    for (size_t i = 1; i < section_.line_count(); ++i) {
      if (section_.attribute(i) != AttributeType::kRid) continue;
      const Line line = section_.line(i);
      const auto rid = Rid::Parse(line.attribute_value);
      if (!rid.ok() || rids_.emplace(rid->id, rid->send).second) continue;
      At(line, rid->id, Finding::Code::kRepeated, "id is declared twice",
         "RFC 8851 section 5");
    }
    for (size_t i = 1; i < section_.line_count(); ++i) {
      if (section_.attribute(i) != AttributeType::kSimulcast) continue;
      const Line line = section_.line(i);
      const auto simulcast = Simulcast::Parse(line.attribute_value);
      if (!simulcast.ok()) continue;
      JudgeStreams(line, simulcast->send, true);
      JudgeStreams(line, simulcast->recv, false);
    }
  }

  void JudgeData() {
    if (section_.sctp_port().value_or(0) != 0) return;
    AtHead(Finding::Code::kSctpPort, AttributeType::kSctpPort, "missing or 0",
           "RFC 8841 section 5");
  }

 private:
  void At(const Line& line, absl::string_view part, Finding::Code code,
          absl::string_view message, absl::string_view rule) {
    findings_.Add({code, line.number,
                   3 + static_cast<size_t>(part.data() - line.value.data()),
                   line.attribute, message, rule});
  }
  void AtHead(Finding::Code code, AttributeType attribute,
              absl::string_view message, absl::string_view rule) {
    findings_.Add({code, section_.line(0).number, 1, attribute, message, rule});
  }

  void ReadFormats() {
    const Line head = section_.line(0);
    const bool muxed = section_.Has(AttributeType::kRtcpMux);
    for (const absl::string_view format : Pieces(section_.formats(), ' ')) {
      const auto number = ParseDigits(format, 127);
      if (!number) {
        At(head, format, Finding::Code::kLine,
           "format of RTP must be a payload type, 0..127",
           "RFC 8866 section 5.14");
        continue;
      }
      if (formats_.test(*number)) {
        At(head, format, Finding::Code::kRepeated, "format is named twice",
           "RFC 8866 section 5.14");
      }
      formats_.set(*number);
      if (muxed && *number >= kRtcpLikeMin && *number <= kRtcpLikeMax) {
        At(head, format, Finding::Code::kLine,
           "payload types 64..95 look like RTCP beside rtcp-mux",
           "RFC 5761 section 4");
      }
    }
  }

  // `text` is the payload type as the line has it.
  bool IsOffered(const Line& line, absl::string_view text,
                 absl::string_view rule) {
    const auto number = ParseDigits(text, 127);
    // Another format than a number was never one of RTP.
    if (number && formats_.test(*number)) return true;
    At(line, text, Finding::Code::kReference, "m= does not have this format",
       rule);
    return false;
  }

  // Those that JudgeRtpLine has a rule for.
  static bool IsOfRtp(AttributeType attribute) {
    return attribute == AttributeType::kRtpmap ||
           attribute == AttributeType::kFmtp ||
           attribute == AttributeType::kRtcpFb ||
           attribute == AttributeType::kExtmap;
  }

  void JudgeRtpLine(const Line& line) {
    absl::string_view rest = line.attribute_value;
    switch (line.attribute) {
      case AttributeType::kRtpmap: {
        const auto map = Rtpmap::Parse(rest);
        if (!map.ok()) return;
        const absl::string_view format = TakeToken(rest);
        if (!IsOffered(line, format, "RFC 8866 section 6.6")) return;
        if (mapped_.test(map->payload_type)) {
          At(line, format, Finding::Code::kRepeated, "format is mapped twice",
             "RFC 8866 section 6.6");
        }
        mapped_.set(map->payload_type);
        return;
      }
      case AttributeType::kFmtp:
        if (Fmtp::Parse(rest).ok()) {
          IsOffered(line, TakeToken(rest), "RFC 8866 section 6.15");
        }
        return;
      case AttributeType::kRtcpFb: {
        const auto feedback = RtcpFeedback::Parse(rest);
        if (feedback.ok() && feedback->payload_type) {
          IsOffered(line, TakeToken(rest), "RFC 4585 section 4.2");
        }
        return;
      }
      case AttributeType::kExtmap: {
        const auto map = Extmap::Parse(rest);
        if (map.ok() && !extensions_.insert(map->id).second) {
          At(line, rest, Finding::Code::kRepeated, "id is used twice",
             "RFC 8285 section 6");
        }
        return;
      }
      default:
        return;
    }
  }

  // Formats whose meaning only a=rtpmap tells.
  void JudgeUnmapped() {
    const Line head = section_.line(0);
    PayloadTypes told = mapped_;
    for (const absl::string_view format : Pieces(section_.formats(), ' ')) {
      const auto number = ParseDigits(format, 127);
      if (!number || *number < kDynamicMin || told.test(*number)) continue;
      told.set(*number);
      At(head, format, Finding::Code::kMissing, "dynamic format without rtpmap",
         "RFC 8866 section 6.6");
    }
  }

  void JudgeStreams(const Line& line, const Pieces& streams, bool send) {
    constexpr absl::string_view kRule = "RFC 8853 section 5.2";
    for (const absl::string_view stream : streams) {
      for (const absl::string_view id : SimulcastAlternatives(stream)) {
        const auto rid = rids_.find(ParseSimulcastId(id).rid);
        if (rid == rids_.end()) {
          At(line, id, Finding::Code::kReference, "no rid has this id", kRule);
        } else if (rid->second != send) {
          At(line, id, Finding::Code::kReference,
             "rid is of the other direction", kRule);
        }
      }
    }
  }

  const MediaSection& section_;
  FindingList& findings_;
  PayloadTypes formats_;  // Of the m= line.
  PayloadTypes mapped_;
  absl::flat_hash_set<uint16_t> extensions_;
  absl::flat_hash_map<absl::string_view, bool> rids_;  // Whether to be sent.
};

}  // namespace

void JudgeSection(const MediaSection& section, bool leads,
                  FindingList& findings) {
  // A rejected section is not judged (RFC 3264 section 6).
  if (section.rejected()) return;
  Rules rules(section, findings);
  if (section.is_rtp()) {
    rules.JudgeRtp(leads);
    rules.JudgeSimulcast();
  } else if (section.is_data_channel()) {
    rules.JudgeData();
  }
}

}  // namespace kyuu::sdp::internal
