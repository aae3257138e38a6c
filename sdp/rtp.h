// The attributes of RTP media: each one a small value, read from the text that
// follows the colon. Views point into that text.
//
//   for (const Rtpmap& map : media.All<Rtpmap>()) Use(map.encoding);
//
// Parse() of each checks the form alone: whether a payload type is one of the
// m= line's, say, is for Description::Judge(). Writing is Builder's work.

#ifndef KYUU_SDP_RTP_H_
#define KYUU_SDP_RTP_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "sdp/attribute_type.h"
#include "sdp/syntax.h"

namespace kyuu::sdp {

// Direction of media (RFC 8866 section 6.7). Data channels ignore it.
enum class Direction : uint8_t { kSendrecv, kSendonly, kRecvonly, kInactive };
// "sendrecv".
absl::string_view DirectionName(Direction direction);
std::optional<Direction> ParseDirection(absl::string_view name);

// a=rtpmap:<payload type> <encoding name>/<clock rate>[/<encoding parameters>]
// (RFC 8866 section 6.6).
struct Rtpmap {
  static constexpr AttributeType kType = AttributeType::kRtpmap;
  uint8_t payload_type = 0;      // 0..127.
  absl::string_view encoding;    // "opus"; names have no case.
  uint32_t clock_rate = 0;       // In Hz, 1..2^32-1.
  absl::string_view parameters;  // "2"; empty if there are none.

  // Of audio: what the parameters say, else 1.
  uint32_t channels() const;
  static Parsed<Rtpmap> Parse(absl::string_view value);
};

// a=fmtp:<format> <format specific parameters> (RFC 8866 section 6.15).
struct Fmtp {
  static constexpr AttributeType kType = AttributeType::kFmtp;
  absl::string_view format;  // A payload type, where the media is RTP.
  // "minptime=10;useinbandfec=1". Formats are free in their syntax: RED writes
  // "111/111", telephone events "0-15".
  Parameters parameters;

  static Parsed<Fmtp> Parse(absl::string_view value);
};

// a=rtcp-fb:<payload type or *> <what> (RFC 4585 section 4.2, RFC 5104 section
// 7).
struct RtcpFeedback {
  static constexpr AttributeType kType = AttributeType::kRtcpFb;
  std::optional<uint8_t> payload_type;  // nullopt: all of them.
  absl::string_view kind;               // "nack".
  absl::string_view parameters;         // "pli"; empty if there are none.

  static Parsed<RtcpFeedback> Parse(absl::string_view value);
};

// a=extmap:<id>[/<direction>] <URI>[ <attributes>] (RFC 8285 section 8).
struct Extmap {
  static constexpr AttributeType kType = AttributeType::kExtmap;
  // 1..256, or of the range for offers with more extensions than ids, 4096..
  // 4351 (RFC 8285 section 7).
  uint16_t id = 0;
  std::optional<Direction> direction;
  absl::string_view uri;
  absl::string_view attributes;

  static Parsed<Extmap> Parse(absl::string_view value);
};

// a=ssrc:<ssrc> <attribute>[:<value>] (RFC 5576 section 4.1).
struct Ssrc {
  static constexpr AttributeType kType = AttributeType::kSsrc;
  uint32_t ssrc = 0;
  absl::string_view attribute;  // "cname".
  absl::string_view value;      // Empty if there is none.

  static Parsed<Ssrc> Parse(absl::string_view value);
};

// a=ssrc-group:<semantics> <ssrc>... (RFC 5576 section 4.2).
struct SsrcGroup {
  static constexpr AttributeType kType = AttributeType::kSsrcGroup;
  absl::string_view semantics;  // "FID", "FEC-FR", "SIM".
  Pieces ssrcs;                 // Each one 0..2^32-1 in digits.

  static Parsed<SsrcGroup> Parse(absl::string_view value);
};

// a=msid:<id>[ <appdata>] (RFC 8830 section 2).
struct Msid {
  static constexpr AttributeType kType = AttributeType::kMsid;
  absl::string_view stream;  // "-": none.
  absl::string_view track;   // Empty if it is not said.

  static Parsed<Msid> Parse(absl::string_view value);
};

// a=msid-semantic:<semantics> <id>... of the drafts before RFC 8830; browsers
// write it with a blank behind the colon.
struct MsidSemantic {
  static constexpr AttributeType kType = AttributeType::kMsidSemantic;
  absl::string_view semantics;  // "WMS".
  Pieces streams;               // "*": all.

  static Parsed<MsidSemantic> Parse(absl::string_view value);
};

// a=rtcp:<port>[ <nettype> <addrtype> <address>] (RFC 3605 section 2.1).
struct Rtcp {
  static constexpr AttributeType kType = AttributeType::kRtcp;
  uint16_t port = 0;
  absl::string_view network_type;  // The three are empty if they are missing.
  absl::string_view address_type;
  absl::string_view address;

  static Parsed<Rtcp> Parse(absl::string_view value);
};

// a=ptime and a=maxptime: milliseconds of media in a packet (RFC 8866 sections
// 6.4, 6.5); a=framerate: frames in a second (section 6.13).
struct Ptime {
  static constexpr AttributeType kType = AttributeType::kPtime;
  double milliseconds = 0;
  static Parsed<Ptime> Parse(absl::string_view value);
};
struct Maxptime {
  static constexpr AttributeType kType = AttributeType::kMaxptime;
  double milliseconds = 0;
  static Parsed<Maxptime> Parse(absl::string_view value);
};
struct Framerate {
  static constexpr AttributeType kType = AttributeType::kFramerate;
  double frames_per_second = 0;
  static Parsed<Framerate> Parse(absl::string_view value);
};

// b=<type>:<bandwidth> (RFC 8866 section 5.8): kilobits per second for AS and
// CT, bits per second for TIAS (RFC 3890 section 6.2), RS and RR (RFC 3556).
struct Bandwidth {
  static constexpr char kLine = 'b';
  absl::string_view type;
  uint64_t value = 0;

  static Parsed<Bandwidth> Parse(absl::string_view value);
};

// c=<nettype> <addrtype> <connection-address> (RFC 8866 section 5.7).
struct Connection {
  static constexpr char kLine = 'c';
  absl::string_view network_type;
  absl::string_view address_type;
  absl::string_view address;

  static Parsed<Connection> Parse(absl::string_view value);
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_RTP_H_
