// The state machine of offer and answer as data (RFC 9429 section 3.2).

#ifndef KYUU_SDP_SIGNALING_STATE_H_
#define KYUU_SDP_SIGNALING_STATE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace kyuu::sdp {

// SignalingState is RFC 9429 section 3.2's figure.
enum class SignalingState : uint8_t {
  kStable,
  kHaveLocalOffer,
  kHaveRemoteOffer,
  kHaveLocalPranswer,
  kHaveRemotePranswer,
  kClosed,
};
absl::string_view SignalingStateName(SignalingState state);

// SdpType says what a description is for. Rollback() is the fourth type.
enum class SdpType : uint8_t { kOffer, kPranswer, kAnswer };
absl::string_view SdpTypeName(SdpType type);
// ParseSdpType reads "offer", "pranswer" and "answer".
std::optional<SdpType> ParseSdpType(absl::string_view name);

// NextState is the state machine as data: where an operation leads to, nullopt
// where it is not allowed (RFC 9429 section 3.2, and 5.7 for the rollback).
enum class Operation : uint8_t {
  kLocalOffer,
  kLocalPranswer,
  kLocalAnswer,
  kRemoteOffer,
  kRemotePranswer,
  kRemoteAnswer,
  kRollback,
  kClose,
};
std::optional<SignalingState> NextState(SignalingState state,
                                        Operation operation);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_SIGNALING_STATE_H_
