// The attributes that connectivity checks understand.

#ifndef KYUU_ICE_INTERNAL_UNDERSTOOD_H_
#define KYUU_ICE_INTERNAL_UNDERSTOOD_H_

#include "stun/attribute_set.h"
#include "stun/attributes.h"

namespace kyuu::ice::internal {

// RFC 8445 section 16.1; ICE-CONTROLLED and ICE-CONTROLLING are
// comprehension-optional.
inline constexpr stun::AttributeSet kIceAttributes =
    stun::kStunAttributes |
    stun::AttributeSet::Of<stun::Priority, stun::UseCandidate>();

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_UNDERSTOOD_H_
