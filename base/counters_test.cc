#include "base/counters.h"

#include <cstdint>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Stats {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t malformed = 0;

  static constexpr Counter<Stats> kCounters[] = {
      KYUU_COUNTER(Stats, sent), KYUU_COUNTER(Stats, received),
      KYUU_COUNTER(Stats, malformed)};
};
static_assert(Countable<Stats>);

// Each of these has a mistake that the concept must find.
struct FieldForgotten {
  uint64_t sent = 0;
  uint64_t received = 0;
  static constexpr Counter<FieldForgotten> kCounters[] = {
      KYUU_COUNTER(FieldForgotten, sent)};
};
static_assert(!Countable<FieldForgotten>);

struct FieldTwice {
  uint64_t sent = 0;
  uint64_t received = 0;
  static constexpr Counter<FieldTwice> kCounters[] = {
      KYUU_COUNTER(FieldTwice, sent), KYUU_COUNTER(FieldTwice, sent)};
};
static_assert(!Countable<FieldTwice>);

struct AnotherType {
  uint64_t sent = 0;
  uint32_t received = 0;
  static constexpr Counter<AnotherType> kCounters[] = {
      KYUU_COUNTER(AnotherType, sent)};
};
static_assert(!Countable<AnotherType>);

struct NoTable {
  uint64_t sent = 0;
};
static_assert(!Countable<NoTable>);

TEST(Counters, AreAddedFieldByField) {
  Stats sum{.sent = 1, .received = 2, .malformed = 3};
  AddCounters(sum, Stats{.sent = 10, .received = 20, .malformed = 30});
  EXPECT_EQ(sum.sent, 11u);
  EXPECT_EQ(sum.received, 22u);
  EXPECT_EQ(sum.malformed, 33u);
}

TEST(Counters, AreFoundByTheNameOfTheirField) {
  const Stats stats{.sent = 4, .malformed = 5};
  EXPECT_EQ(FindCounter(stats, "sent"), 4u);
  EXPECT_EQ(FindCounter(stats, "received"), 0u);
  EXPECT_EQ(FindCounter(stats, "malformed"), 5u);
  EXPECT_EQ(FindCounter(stats, "lost"), std::nullopt);
}

TEST(Counters, TextTellsWhatIsNotZero) {
  EXPECT_EQ(CountersToString(Stats{}), "");
  EXPECT_EQ(CountersToString(Stats{.malformed = 1}), "malformed=1");
  EXPECT_EQ(CountersToString(Stats{.sent = 3, .malformed = 1}),
            "sent=3 malformed=1");
}

TEST(Counters, DifferenceTellsWhatAStepHasCounted) {
  const Stats before{.sent = 3, .received = 7, .malformed = 1};
  Stats now = before;
  EXPECT_THAT(NonzeroCounters(CountersSince(before, now)), IsEmpty());
  now.sent += 2;
  const Stats step = CountersSince(before, now);
  EXPECT_EQ(step.sent, 2u);
  EXPECT_THAT(NonzeroCounters(step), ElementsAre("sent"));
}

}  // namespace
}  // namespace kyuu
