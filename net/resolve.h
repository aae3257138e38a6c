// Resolve: host names to addresses, blocking, for command lines.

#ifndef KYUU_NET_RESOLVE_H_
#define KYUU_NET_RESOLVE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/address.h"

namespace kyuu::net {

// Resolve asks the system's resolver for the addresses of `host`, best first,
// and gives each of them `port`. An address in numbers resolves to itself. It
// may block for seconds: never call it on a loop. NOT_FOUND if there is none.
absl::StatusOr<std::vector<TransportAddress>> Resolve(const std::string& host,
                                                      uint16_t port);

}  // namespace kyuu::net

#endif  // KYUU_NET_RESOLVE_H_
