// What an INIT says, wherever it came from: made from our options, and read as
// terms of an association.

#ifndef KYUU_SCTP_INTERNAL_INIT_TERMS_H_
#define KYUU_SCTP_INTERNAL_INIT_TERMS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// A verification tag (RFC 9260 section 5.3.1): random, and not 0.
uint32_t NewTag(Random& random);

// An INIT of ours, with the extensions that every peer takes: zero checksum is
// the caller's to add.
InitChunk OwnInit(const Options& options, uint32_t tag, Tsn initial_tsn);

// Sections 3.3.2 and 3.3.3: neither the tag nor a number of streams is 0.
bool IsAcceptable(const InitChunk& init);

// The peer's side of what is agreed; ours is to be filled in.
StateCookie TermsOfPeer(const InitChunk& init);

// ReadInit reads an INIT chunk that stands alone. INVALID_ARGUMENT with the
// reason if it is none. Views point into `bytes`.
absl::StatusOr<InitChunk> ReadInit(Bytes bytes);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_INIT_TERMS_H_
