// One table for each struct of counters, from which all that reads counters
// follows: sums, text, lookup by name, metrics.
//
//   struct Stats {
//     uint64_t sent = 0;
//     uint64_t malformed = 0;
//
//     static constexpr Counter<Stats> kCounters[] = {
//         KYUU_COUNTER(Stats, sent), KYUU_COUNTER(Stats, malformed)};
//   };
//   static_assert(Countable<Stats>);
//
//   AddCounters(total, loop.stats());
//   log(CountersToString(total));  // "sent=3 malformed=1"

#ifndef KYUU_BASE_COUNTERS_H_
#define KYUU_BASE_COUNTERS_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kyuu {

// Counter is a row of the table: a field of `S`, and the name that it has
// there, which is also its name in text and metrics.
template <typename S>
struct Counter {
  absl::string_view name;
  uint64_t S::*field;
};

// KYUU_COUNTER makes a row, so that the name cannot differ from the field's.
#define KYUU_COUNTER(S, field) \
  ::kyuu::Counter<S> { #field, &S::field }

namespace internal {

// True if the table has each field of `S` exactly once: as many rows as there
// are fields, and no two alike.
template <typename S>
consteval bool HasEachFieldOnce() {
  constexpr size_t kCount = std::size(S::kCounters);
  if (sizeof(S) != kCount * sizeof(uint64_t)) return false;
  for (size_t i = 0; i < kCount; ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (S::kCounters[i].field == S::kCounters[j].field) return false;
    }
  }
  return true;
}

}  // namespace internal

// Countable is a struct of uint64_t fields and nothing else, all of which
// stand in its kCounters. To be static_asserted behind the struct: a field
// without a row does not compile.
template <typename S>
concept Countable = requires {
  { S::kCounters[0] } -> std::convertible_to<Counter<S>>;
}
&&internal::HasEachFieldOnce<S>();

// AddCounters adds each field of `more` to that of `sum`.
template <Countable S>
void AddCounters(S& sum, const S& more) {
  for (const Counter<S>& counter : S::kCounters) {
    sum.*counter.field += more.*counter.field;
  }
}

// CountersSince returns by how much each field has grown since `before`.
template <Countable S>
S CountersSince(const S& before, const S& now) {
  S difference;
  for (const Counter<S>& counter : S::kCounters) {
    difference.*counter.field = now.*counter.field - before.*counter.field;
  }
  return difference;
}

// FindCounter returns the field called `name`; nullopt if there is none.
template <Countable S>
std::optional<uint64_t> FindCounter(const S& counters, absl::string_view name) {
  for (const Counter<S>& counter : S::kCounters) {
    if (counter.name == name) return counters.*counter.field;
  }
  return std::nullopt;
}

// CountersToString returns "name=value" of the fields that are not zero, in
// the table's order, with spaces between them; "" if all are zero.
template <Countable S>
std::string CountersToString(const S& counters) {
  std::string text;
  for (const Counter<S>& counter : S::kCounters) {
    const uint64_t value = counters.*counter.field;
    if (value == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : " ", counter.name, "=", value);
  }
  return text;
}

// NonzeroCounters returns the names of the fields that are not zero. With
// CountersSince() it tells what a step has counted, and that it counted
// nothing else.
template <Countable S>
std::vector<absl::string_view> NonzeroCounters(const S& counters) {
  std::vector<absl::string_view> names;
  for (const Counter<S>& counter : S::kCounters) {
    if (counters.*counter.field != 0) names.push_back(counter.name);
  }
  return names;
}

}  // namespace kyuu

#endif  // KYUU_BASE_COUNTERS_H_
