#include "bench/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace kyuu::bench {

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

uint64_t Allocations() { return allocations.load(std::memory_order_relaxed); }

namespace internal {
void* Allocate(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}
}  // namespace internal

}  // namespace kyuu::bench

void* operator new(std::size_t size) {
  return kyuu::bench::internal::Allocate(size);
}
void* operator new[](std::size_t size) {
  return kyuu::bench::internal::Allocate(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
