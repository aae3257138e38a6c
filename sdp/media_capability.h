// What an application takes of the audio and video that a peer offers: the
// lines that our answers say of it. Media itself is the application's.

#ifndef KYUU_SDP_MEDIA_CAPABILITY_H_
#define KYUU_SDP_MEDIA_CAPABILITY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdp/attribute.h"

namespace kyuu::sdp {

// MediaCodec names formats of an offer, whatever payload types it gives them.
struct MediaCodec {
  // As a=rtpmap has it, "opus/48000/2", or as RFC 3551 has it for static
  // payload types, "PCMU/8000". Names have no case. Every offered format of
  // that encoding is meant; of "rtx/90000" those whose apt is a format that is
  // accepted (RFC 4588 section 8.1).
  std::string encoding;
  // "profile-id=0;...": parameters that the offered a=fmtp must have so.
  std::string required;
  // What our a=fmtp says; nullopt for the parameters that were offered, an
  // empty one for no line.
  std::optional<std::string> parameters;
  // "nack pli": as a=rtcp-fb, where it was offered, too (RFC 4585 section 4.2).
  std::vector<std::string> feedback;
};

// MediaCapability says how the sections of one kind of media are answered. Only
// media that shares the transport of data channels (RFC 9143) can be parked or
// accepted; all other is refused. A section that carries the transport's
// attributes for the others cannot be refused: it is parked instead.
struct MediaCapability {
  enum class Use : uint8_t {
    kReject,  // Port 0.
    kPark,    // Inactive, with the formats that were offered.
    kAccept,  // With `codecs`; parked if none of them was offered.
  };
  std::string media = "audio";  // Of the m= line.
  Use use = Use::kPark;
  // What we would do; the answer says what the offer leaves of it (RFC 3264
  // section 6.1).
  Direction direction = Direction::kSendrecv;
  std::vector<MediaCodec> codecs;  // Ours to choose from, best first.
  // URIs of RTP header extensions that we know (RFC 8285 section 6).
  std::vector<std::string> extensions;
  // Further lines of an accepted section, "msid:- camera": not what the
  // transport says, mid and direction, which are Session's.
  std::vector<std::string> attributes;
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_MEDIA_CAPABILITY_H_
