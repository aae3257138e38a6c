// HeapBytes: what malloc has lent, for tests of memory.

#ifndef KYUU_BASE_HEAP_TESTING_H_
#define KYUU_BASE_HEAP_TESTING_H_

#include <malloc.h>

#include <cstddef>

// Defined unless malloc is a sanitizer's, which takes more and does not tell.
// g++ and clang name their sanitizers differently.
#define KYUU_HEAP_IS_TOLD
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef KYUU_HEAP_IS_TOLD
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef KYUU_HEAP_IS_TOLD
#endif
#endif

namespace kyuu {

// Bytes that the program has of malloc now; 0 if that is not told.
inline size_t HeapBytes() {
#ifdef KYUU_HEAP_IS_TOLD
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

}  // namespace kyuu

#endif  // KYUU_BASE_HEAP_TESTING_H_
