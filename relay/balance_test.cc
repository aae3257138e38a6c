#include "relay/balance.h"

#include "gtest/gtest.h"

namespace kyuu::relay {
namespace {

TEST(BalanceTest, WhoHasTheFewestClientsIsTheHeir) {
  Balance balance(0, 3, 8);
  EXPECT_EQ(balance.HeirOf(0), std::nullopt);
  balance.SetClients(0, 2);
  balance.SetClients(1, 1);
  EXPECT_EQ(balance.HeirOf(0), 2u);
  EXPECT_EQ(balance.HeirOf(1), 2u);
  EXPECT_EQ(balance.HeirOf(2), std::nullopt);
  balance.SetClients(2, 2);
  EXPECT_EQ(balance.HeirOf(0), 1u);
}

// One after the other, not all to the same.
TEST(BalanceTest, OfEqualsTheOneWithFewerSocketsIsTheHeir) {
  Balance balance(0, 4, 8);
  balance.SetClients(0, 1);
  EXPECT_EQ(balance.HeirOf(0), 1u);
  EXPECT_EQ(balance.HeirOf(0), 2u);
  EXPECT_EQ(balance.HeirOf(0), 3u);
  EXPECT_EQ(balance.HeirOf(0), 1u);
}

TEST(BalanceTest, ALoopThatServesNobodyInheritsNothing) {
  Balance balance(1, 3, 8);
  balance.SetClients(1, 5);
  EXPECT_EQ(balance.HeirOf(1), 2u);
}

}  // namespace
}  // namespace kyuu::relay
