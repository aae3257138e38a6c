// SNAP, the handshake without packets (draft-hancke-tsvwg-snap): what an INIT
// says travels beforehand, for WebRTC as `a=sctp-init` of both descriptions,
// and the association is established as soon as there is a transport. That
// saves two round trips. DTLS has proven the peer by then, which is what the
// cookie was for.

#ifndef KYUU_SCTP_OUT_OF_BAND_H_
#define KYUU_SCTP_OUT_OF_BAND_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/random.h"
#include "sctp/options.h"

namespace kyuu::sctp {

// The INIT chunks (RFC 9260 section 3.3.2) of both sides, without a packet
// around them.
struct OutOfBandInits {
  std::vector<uint8_t> local;
  std::vector<uint8_t> remote;
};

// MakeInit returns the INIT chunk of an association to be made with `options`.
// Its tag and its first TSN are good for that one only.
std::vector<uint8_t> MakeInit(const Options& options, Random& random);

// OK if `init` is what a peer's MakeInit may return: one INIT chunk and nothing
// beside it but its padding, with a tag and streams. INVALID_ARGUMENT with the
// reason if not: the draft wants that ignored, and the handshake in packets.
absl::Status ValidateInit(absl::Span<const uint8_t> init);

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_OUT_OF_BAND_H_
