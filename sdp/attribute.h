// The attributes (a= lines) of SDP that kyuu understands, and their syntax.

#ifndef KYUU_SDP_ATTRIBUTE_H_
#define KYUU_SDP_ATTRIBUTE_H_

#include <cstddef>
#include <cstdint>
#include <optional>

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
  kExtmapAllowMixed,
  kFingerprint,
  kGroup,
  kIceLite,
  kIceOptions,
  kIcePacing,
  kIcePwd,
  kIceUfrag,
  kInactive,
  kMaxMessageSize,
  kMid,
  kMsidSemantic,
  kRecvonly,
  kRtcpMux,
  kSctpInit,
  kSctpPort,
  kSctpmap,
  kSendonly,
  kSendrecv,
  kSetup,
  kTlsId,
};

// FindAttribute returns the type of the attribute with that name; kUnknown if
// it has no meaning here. Names are case-sensitive (RFC 8866 section 5.13).
AttributeType FindAttribute(absl::string_view name);

// AttributeName is the inverse; empty for kNone and kUnknown.
absl::string_view AttributeName(AttributeType attribute);

// Setup is the value of a=setup (RFC 4145 section 4): who opens the DTLS
// association. kActive is the DTLS client.
enum class Setup : uint8_t { kActive, kPassive, kActpass, kHoldconn };
// ParseSetup takes any case of letters, as browsers do.
std::optional<Setup> ParseSetup(absl::string_view value);
absl::string_view SetupName(Setup setup);

// Direction of media (RFC 8866 section 6.7). Data channels ignore it.
enum class Direction : uint8_t { kSendrecv, kSendonly, kRecvonly, kInactive };

// SyntaxError says what is wrong with a value, where, and by which rule.
struct SyntaxError {
  absl::string_view message;  // "must be 1..65535"
  absl::string_view rule;     // "RFC 8841 section 5"
  size_t offset = 0;          // In the value.
};

// CheckAttribute returns what is wrong with the value of an attribute (nullopt
// for a flag: "a=x" has no value, "a=x:" an empty one); nullopt if nothing is.
// kUnknown is always right.
std::optional<SyntaxError> CheckAttribute(
    AttributeType attribute, std::optional<absl::string_view> value);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_ATTRIBUTE_H_
