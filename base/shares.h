// Who takes how much of what is limited for all: a count for each source.

#ifndef KYUU_BASE_SHARES_H_
#define KYUU_BASE_SHARES_H_

#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "base/address.h"

namespace kyuu {

// Source is what a share is counted for: an IPv4 address, or the /64 of an
// IPv6 one, as every host of a /64 may take any of its addresses (RFC 4291
// section 2.5.1).
using Source = IpAddress;
Source SourceOf(const IpAddress& address);

// Shares counts the things that each source holds; nothing for the source that
// is not known, Source(), which has no limit of its own. Its size is bounded by
// the number of all things together, which its owner bounds.
class Shares {
 public:
  // Take counts one more for `source`; false, and nothing is counted, if it
  // holds `limit` already.
  bool Take(const Source& source, size_t limit);
  // Return gives back what Take has counted.
  void Return(const Source& source);

  size_t held(const Source& source) const;
  bool empty() const { return held_.empty(); }

 private:
  absl::flat_hash_map<Source, size_t> held_;
};

}  // namespace kyuu

#endif  // KYUU_BASE_SHARES_H_
