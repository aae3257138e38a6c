#include "sdp/signaling_state.h"

#include <array>
#include <cstddef>

namespace kyuu::sdp {
namespace {

constexpr size_t kStates = 6;
constexpr size_t kOperations = 8;
using enum SignalingState;

constexpr std::optional<SignalingState> kNo = std::nullopt;

// RFC 9429 section 3.2, figure 2; section 5.7 for the rollback of provisional
// answers; the remote offer in have-local-offer is W3C's implicit rollback.
constexpr std::array<std::array<std::optional<SignalingState>, kOperations>,
                     kStates>
    kTransitions = {{
        // stable
        {kHaveLocalOffer, kNo, kNo, kHaveRemoteOffer, kNo, kNo, kNo, kClosed},
        // have-local-offer
        {kHaveLocalOffer, kNo, kNo, kHaveRemoteOffer, kHaveRemotePranswer,
         kStable, kStable, kClosed},
        // have-remote-offer
        {kNo, kHaveLocalPranswer, kStable, kHaveRemoteOffer, kNo, kNo, kStable,
         kClosed},
        // have-local-pranswer
        {kNo, kHaveLocalPranswer, kStable, kNo, kNo, kNo, kStable, kClosed},
        // have-remote-pranswer
        {kNo, kNo, kNo, kNo, kHaveRemotePranswer, kStable, kStable, kClosed},
        // closed
        {kNo, kNo, kNo, kNo, kNo, kNo, kNo, kClosed},
    }};

constexpr std::array<absl::string_view, kStates> kStateNames = {
    "stable",
    "have-local-offer",
    "have-remote-offer",
    "have-local-pranswer",
    "have-remote-pranswer",
    "closed"};

constexpr std::array<absl::string_view, 3> kTypeNames = {"offer", "pranswer",
                                                         "answer"};

}  // namespace

absl::string_view SignalingStateName(SignalingState state) {
  return kStateNames[static_cast<size_t>(state)];
}

absl::string_view SdpTypeName(SdpType type) {
  return kTypeNames[static_cast<size_t>(type)];
}

std::optional<SdpType> ParseSdpType(absl::string_view name) {
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    if (name == kTypeNames[i]) return static_cast<SdpType>(i);
  }
  return std::nullopt;
}

std::optional<SignalingState> NextState(SignalingState state,
                                        Operation operation) {
  return kTransitions[static_cast<size_t>(state)]
                     [static_cast<size_t>(operation)];
}

}  // namespace kyuu::sdp
