// Shares per source (base/shares.h), by the names that signaling uses.

#ifndef KYUU_SIGNALING_INTERNAL_SHARES_H_
#define KYUU_SIGNALING_INTERNAL_SHARES_H_

#include "base/shares.h"

namespace kyuu::signaling::internal {

using ::kyuu::Shares;
using ::kyuu::Source;
using ::kyuu::SourceOf;

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_SHARES_H_
