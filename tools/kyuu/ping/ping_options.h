// The options of `kyuu ping`, as docs/kyuu.md lists them.

#ifndef KYUU_TOOLS_KYUU_PING_PING_OPTIONS_H_
#define KYUU_TOOLS_KYUU_PING_PING_OPTIONS_H_

#include <cstdint>
#include <optional>

namespace kyuu::tools {

struct PingOptions {
  std::optional<uint64_t> count;  // For ever without.
  double interval_s = 1;
  bool json = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PING_PING_OPTIONS_H_
