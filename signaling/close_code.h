// Close codes of WebSockets.

#ifndef KYUU_SIGNALING_CLOSE_CODE_H_
#define KYUU_SIGNALING_CLOSE_CODE_H_

#include <cstdint>

namespace kyuu::signaling {

// Of RFC 6455 section 7.4.1 and the IANA registry, those that kyuu itself uses.
inline constexpr uint16_t kCloseNormal = 1000;
inline constexpr uint16_t kCloseGoingAway = 1001;
inline constexpr uint16_t kCloseProtocolError = 1002;
inline constexpr uint16_t kCloseNoStatus = 1005;  // Never on the wire.
inline constexpr uint16_t kCloseAbnormal = 1006;  // Never on the wire.
inline constexpr uint16_t kCloseInvalidPayload = 1007;
inline constexpr uint16_t kClosePolicyViolation = 1008;
inline constexpr uint16_t kCloseMessageTooBig = 1009;
inline constexpr uint16_t kCloseServiceRestart = 1012;
inline constexpr uint16_t kCloseTryAgainLater = 1013;
// Of kyuu's protocol (docs/signaling_protocol.md), in the range for private
// use: another connection has resumed the session.
inline constexpr uint16_t kCloseResumedElsewhere = 4001;

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_CLOSE_CODE_H_
