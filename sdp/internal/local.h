// Writing our offers and answers (RFC 9429 sections 5.2 and 5.3).

#ifndef KYUU_SDP_INTERNAL_LOCAL_H_
#define KYUU_SDP_INTERNAL_LOCAL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "sdp/description.h"
#include "sdp/media_capability.h"
#include "sdp/transport_parameters.h"

namespace kyuu::sdp::internal {

// What stays the same in all descriptions of a session, but for the version.
struct LocalIdentity {
  uint64_t session_id = 0;
  uint64_t session_version = 0;
  uint64_t max_message_size = 0;
  uint16_t sctp_port = 0;
  std::string sctp_init;  // Empty: not to be written.
  std::optional<absl::Duration> ice_pacing;
  bool msid_semantic = false;
};

// WriteOffer writes an offer of one data section. After an earlier negotiation
// (`current_local`, `current_remote`; else null) every m= section keeps its
// place and its use, and the data section takes its old one, else the first
// place that was rejected, else a new one. INVALID_ARGUMENT if `local` cannot
// be written.
absl::StatusOr<std::string> WriteOffer(const LocalIdentity& identity,
                                       const LocalTransport& local,
                                       const Description* current_local,
                                       const Description* current_remote);

// WriteAnswer answers `offer`: the section `data` with the role `setup`, media
// that shares its transport `accepted` as `media` says, else parked, all others
// rejected. `accepted` is null to reject everything.
absl::StatusOr<std::string> WriteAnswer(
    const LocalIdentity& identity, const LocalTransport& local,
    const Description& offer, const TransportParameters* accepted, size_t data,
    Setup setup, absl::Span<const MediaCapability> media);

// WithCandidates is `description` with the candidates, which must be ours,
// added to its tagged section, and the default destination set accordingly. A
// description without a data section comes back as it is.
absl::StatusOr<std::string> WithCandidates(
    const Description& description, absl::Span<const ice::Candidate> candidates,
    bool end_of_candidates);

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_LOCAL_H_
