// The bounds of JSON in messages of other programs' protocols, whose payloads
// are their applications' own.

#ifndef KYUU_SIGNALING_INTERNAL_DIALECT_JSON_H_
#define KYUU_SIGNALING_INTERNAL_DIALECT_JSON_H_

#include "signaling/internal/json.h"

namespace kyuu::signaling::internal {

// Their own objects have up to six members. What an application adds (PeerJS'
// metadata) is scanned in one pass, whatever it has: the size of a message
// bounds it. A level of depth is a frame of a hundred bytes on the stack.
inline constexpr JsonLimits kDialectJson = {
    .max_depth = 64, .max_members = 64, .max_inner_members = 64 * 1024};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_DIALECT_JSON_H_
