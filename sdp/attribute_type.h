// The attributes (a= lines) of SDP that kyuu understands, by name.

#ifndef KYUU_SDP_ATTRIBUTE_TYPE_H_
#define KYUU_SDP_ATTRIBUTE_TYPE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace kyuu::sdp {

// AttributeType tells the attributes with a meaning here from the others,
// which are kept as they are.
enum class AttributeType : uint8_t {
  kNone,     // Not an a= line.
  kUnknown,  // Any other attribute.
  kBundleOnly,
  kCandidate,
  kCrypto,
  kEndOfCandidates,
  kExtmap,
  kExtmapAllowMixed,
  kFingerprint,
  kFmtp,
  kFramerate,
  kGroup,
  kIceLite,
  kIceMismatch,
  kIceOptions,
  kIcePacing,
  kIcePwd,
  kIceUfrag,
  kIdentity,
  kImageattr,
  kInactive,
  kMaxMessageSize,
  kMaxptime,
  kMid,
  kMsid,
  kMsidSemantic,
  kPtime,
  kRecvonly,
  kRemoteCandidates,
  kRid,
  kRtcp,
  kRtcpFb,
  kRtcpMux,
  kRtcpMuxOnly,
  kRtcpRsize,
  kRtpmap,
  kSctpInit,
  kSctpPort,
  kSctpmap,
  kSendonly,
  kSendrecv,
  kSetup,
  kSimulcast,
  kSsrc,
  kSsrcGroup,
  kTlsId,  // The last one.
};

// FindAttribute returns the type of the attribute with that name; kUnknown if
// it has no meaning here. Names are case-sensitive (RFC 8866 section 5.13).
AttributeType FindAttribute(absl::string_view name);

// AttributeName is the inverse; empty for kNone and kUnknown.
absl::string_view AttributeName(AttributeType attribute);

// IsFlag is true for property attributes, which have no value (RFC 8866
// section 5.13).
bool IsFlag(AttributeType attribute);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_ATTRIBUTE_TYPE_H_
