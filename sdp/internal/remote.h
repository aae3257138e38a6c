// Reading the peer's description: the checks of RFC 9429 section 5.8.3, and
// the transport of its data section.

#ifndef KYUU_SDP_INTERNAL_REMOTE_H_
#define KYUU_SDP_INTERNAL_REMOTE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "sdp/description.h"
#include "sdp/transport_parameters.h"

namespace kyuu::sdp::internal {

// What a remote description is judged against. Null where there is none.
struct RemoteContext {
  // Our pending offer: the description answers it. Null: it is an offer.
  const Description* offer = nullptr;
  // What was negotiated before.
  const Description* current_local = nullptr;
  const TransportParameters* current = nullptr;
  size_t current_data = 0;  // Its section.
  // More candidates than these are dropped.
  size_t candidates_max = 0;
  // More fingerprints than these are an error.
  size_t fingerprints_max = 0;
};

struct RemoteReading {
  // nullopt: no data section, or a rejected one.
  std::optional<TransportParameters> transport;
  size_t data = 0;  // Its section.
  uint64_t candidates_ignored = 0;
  uint64_t candidates_dropped = 0;
};

// Whether `local` and `remote`, which belong together, both have a=sctp-init;
// `data` is the section. Null where there is no description.
bool SctpInitAgreed(const Description* local, const TransportParameters* remote,
                    size_t data);

// ReadRemote returns what `remote` says, or INVALID_ARGUMENT with the line and
// the rule for what may not be said.
absl::StatusOr<RemoteReading> ReadRemote(const Description& remote,
                                         const RemoteContext& context);

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_REMOTE_H_
