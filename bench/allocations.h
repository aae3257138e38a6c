// Counts the allocations of a benchmark, so that it can report them per
// operation:
//
//   bench::AllocationCounter allocations(state);
//   for (auto _ : state) Work();
//
// adds the counter `allocs/op` when it goes out of scope.

#ifndef KYUU_BENCH_ALLOCATIONS_H_
#define KYUU_BENCH_ALLOCATIONS_H_

#include <cstdint>

#include "benchmark/benchmark.h"

namespace kyuu::bench {

// Allocations returns how often operator new was called in this process so
// far. malloc by C libraries (OpenSSL) is not counted.
uint64_t Allocations();

// AllocationCounter reports the allocations between its construction and its
// destruction, divided by the iterations of `state`.
class AllocationCounter {
 public:
  explicit AllocationCounter(benchmark::State& state)
      : state_(state), start_(Allocations()) {}
  ~AllocationCounter() {
    state_.counters["allocs/op"] =
        benchmark::Counter(static_cast<double>(Allocations() - start_),
                           benchmark::Counter::kAvgIterations);
  }
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

 private:
  benchmark::State& state_;
  uint64_t start_;
};

}  // namespace kyuu::bench

#endif  // KYUU_BENCH_ALLOCATIONS_H_
