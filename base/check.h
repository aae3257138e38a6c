// KYUU_CHECK: our own bugs abort, loudly. Nothing that a peer or a caller can
// do may reach one.

#ifndef KYUU_BASE_CHECK_H_
#define KYUU_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace kyuu::internal {

[[noreturn]] inline void CheckFailed(const char* file, int line,
                                     const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace kyuu::internal

// Aborts with the place and the condition unless `condition` holds.
#define KYUU_CHECK(condition)                                        \
  do {                                                               \
    if (!(condition)) [[unlikely]] {                                 \
      ::kyuu::internal::CheckFailed(__FILE__, __LINE__, #condition); \
    }                                                                \
  } while (false)

#endif  // KYUU_BASE_CHECK_H_
