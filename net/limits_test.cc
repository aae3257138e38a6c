#include "net/limits.h"

#include <sys/resource.h>

#include <cerrno>

#include "base/testing.h"
#include "net/testing/syscall_faults.h"

namespace kyuu::net {
namespace {

TEST(LimitsTest, TheSoftLimitBecomesTheHardOne) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit low{64, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const DescriptorLimit raised = RaiseDescriptorLimit();
  EXPECT_EQ(raised.before, 64u);
  EXPECT_EQ(raised.soft, limit.rlim_max);
  EXPECT_EQ(raised.hard, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(LimitsTest, ARefusalLeavesTheLimitAsItWas) {
  SyscallFaults faults;
  faults.Fail(Syscall::kSetrlimit, EPERM);
  const DescriptorLimit raised = RaiseDescriptorLimit();
  EXPECT_EQ(raised.soft, raised.before);
}

TEST(LimitsTest, DescriptorsAreDivided) {
  struct Row {
    const char* name;
    uint64_t limit;
    DescriptorBudget wanted;
    DescriptorBudget given;
  };
  const Row rows[] = {
      {"plenty", 1'000'000, {12'000, 16'384}, {12'000, 16'384}},
      {"exactly", 1040, {500, 500}, {500, 500}},
      {"one too few", 1039, {500, 500}, {499, 500}},
      {"1024", 1024, {12'000, 16'384}, {492, 492}},
      {"few relays wanted", 1024, {12'000, 100}, {884, 100}},
      {"few connections wanted", 1024, {100, 16'384}, {100, 884}},
      {"64", 64, {12'000, 16'384}, {12, 12}},
      {"less than is reserved", 16, {12'000, 16'384}, {4, 4}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const DescriptorBudget budget =
        DivideDescriptors(row.limit, 40, row.wanted);
    EXPECT_EQ(budget.connections, row.given.connections);
    EXPECT_EQ(budget.relays, row.given.relays);
  }
}

}  // namespace
}  // namespace kyuu::net
