// ERROR and ABORT: both are lists of causes (RFC 9260 sections 3.3.7 and
// 3.3.10).

#ifndef KYUU_SCTP_INTERNAL_CHUNK_ERROR_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_ERROR_CHUNK_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"

namespace kyuu::sctp::internal {

// The IANA registry "Error Cause Codes", as far as we send or read them.
enum class ErrorCause : uint16_t {
  kInvalidStreamIdentifier = 1,
  kMissingMandatoryParameter = 2,
  kStaleCookie = 3,
  kOutOfResource = 4,
  kUnresolvableAddress = 5,
  kUnrecognizedChunkType = 6,
  kInvalidMandatoryParameter = 7,
  kUnrecognizedParameters = 8,
  kNoUserData = 9,
  kCookieReceivedWhileShuttingDown = 10,
  kRestartWithNewAddresses = 11,
  kUserInitiatedAbort = 12,
  kProtocolViolation = 13,
};

//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Type = 6, 9  |  Reserved   |T|            Length             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |          Cause Code           |         Cause Length          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                     Cause-Specific Information                /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// WriteCauseChunk writes an ERROR or ABORT with one cause.
void WriteCauseChunk(Writer& writer, ChunkType type, uint8_t flags,
                     ErrorCause cause, Bytes information);

// True if the list of causes holds `cause`. Unknown causes, and whatever
// follows a broken one, are passed over: an ABORT closes in any case.
bool HasCause(const ChunkView& chunk, ErrorCause cause);

// A description of the causes for people: the names of the known ones, the
// numbers of others, and the text that came with them, cut to 128 bytes and
// with unprintable bytes escaped.
std::string DescribeCauses(const ChunkView& chunk);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_ERROR_CHUNK_H_
