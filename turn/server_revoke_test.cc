// Credentials that end before the allocations that were made with them.

#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/internal/credentials.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;

std::optional<Server::EndReason> Ended(ServerHarness& harness) {
  std::optional<Server::EndReason> reason;
  for (const Server::Event& event : harness.events()) {
    const auto* end = std::get_if<Server::AllocationEnded>(&event);
    if (end != nullptr) reason = end->reason;
  }
  return reason;
}

class TurnServerRevoke : public testing::Test {
 protected:
  static ServerOptions Options() {
    ServerOptions options = ServerHarness::Options();
    options.rest_secrets = {"secret"};
    options.revoked_grace = absl::Hours(2);
    return options;
  }
  TurnServerRevoke() {
    EXPECT_OK(server_.Grant(harness_.now(), "s1", "pw"));
    EXPECT_TRUE(harness_.Allocate(call_).ok());
    EXPECT_TRUE(harness_.Permit(call_, kTestPeer.ip).ok());
  }

  // A fresh nonce, then a Refresh.
  int Refresh() {
    harness_.Challenge(call_);
    return harness_.Refresh(call_, 600).error();
  }

  ServerHarness harness_{Options()};
  Server& server_ = harness_.server();
  TestClient call_{1000, "s1", "pw"};
};

// A relayed call outlives the connection that its credential hung on.
TEST_F(TurnServerRevoke, LivingAllocationsGoOn) {
  server_.Revoke(harness_.now(), "s1");
  server_.Revoke(harness_.now(), "nobody");
  EXPECT_EQ(server_.allocations(), 1u);
  // No new ones.
  TestClient another(1001, "s1", "pw");
  EXPECT_EQ(harness_.Allocate(another).error(), 401);
  for (int minutes = 0; minutes < 110; minutes += 5) {
    harness_.Advance(absl::Minutes(5));
    ASSERT_EQ(Refresh(), 0) << minutes;
    ASSERT_TRUE(harness_.Permit(call_, kTestPeer.ip).ok());
    ASSERT_TRUE(harness_.Bind(call_, 0x4000, kTestPeer).ok());
    const auto data = ServerHarness::ChannelMessage(0x4000, "x");
    EXPECT_EQ(server_.FromClient(harness_.now(), call_.path, data, data.size())
                  .size(),
              1u);
    EXPECT_EQ(
        server_
            .FromPeer(harness_.now(), *call_.relay, kTestPeer, AsBytes("x"), 1)
            .size(),
        1u);
  }
  // Nor can others use the name on their 5-tuples, or another password here.
  TestClient thief = call_;
  thief.password = "guess";
  EXPECT_EQ(harness_.Refresh(thief, 600).error(), 401);
}

TEST_F(TurnServerRevoke, TheGraceIsTheEnd) {
  server_.Revoke(harness_.now(), "s1");
  for (int i = 0; i < 15; ++i) {
    harness_.Advance(absl::Minutes(8));
    if (i == 14) break;
    ASSERT_EQ(Refresh(), 0) << i;
  }
  // 120 minutes: the last refresh granted no more than was left.
  EXPECT_EQ(server_.allocations(), 0u);
  EXPECT_EQ(Ended(harness_), Server::EndReason::kRevoked);
  EXPECT_EQ(Refresh(), 401);
}

TEST_F(TurnServerRevoke, WithoutAGraceTheyEndWithTheCredential) {
  ServerOptions options = Options();
  options.revoked_grace = absl::ZeroDuration();
  ServerHarness harness(options);
  EXPECT_OK(harness.server().Grant(harness.now(), "s1", "pw"));
  TestClient call(1000, "s1", "pw");
  ASSERT_TRUE(harness.Allocate(call).ok());
  harness.server().Revoke(harness.now(), "s1");
  EXPECT_EQ(harness.Refresh(call, 600).error(), 401);
  harness.Advance(absl::ZeroDuration());
  EXPECT_EQ(harness.server().allocations(), 0u);
  EXPECT_EQ(Ended(harness), Server::EndReason::kRevoked);
}

TEST_F(TurnServerRevoke, WhoseClientIsGoneEndWithTheirLifetime) {
  server_.Revoke(harness_.now(), "s1");
  harness_.Advance(absl::Minutes(10));
  EXPECT_EQ(server_.allocations(), 0u);
  EXPECT_EQ(Ended(harness_), Server::EndReason::kExpired);
}

TEST_F(TurnServerRevoke, EndAllocationsEndsThemAtOnce) {
  TestClient again(1001, "s1", "pw"), other(1002, "other", "q");
  ASSERT_TRUE(harness_.Allocate(again).ok());
  ASSERT_TRUE(harness_.Allocate(other).ok());
  server_.Revoke(harness_.now(), "s1");
  EXPECT_EQ(server_.EndAllocations("s1"), 2u);
  EXPECT_EQ(server_.EndAllocations("s1"), 0u);
  EXPECT_EQ(server_.EndAllocations("nobody"), 0u);
  harness_.Drain();
  EXPECT_EQ(server_.allocations(), 1u);
  EXPECT_EQ(Ended(harness_), Server::EndReason::kRevoked);
  EXPECT_EQ(Refresh(), 401);
  EXPECT_EQ(harness_.Refresh(other, 600).error(), 0);
}

// The credential of the old session is gone, the name is back: the call goes on
// with whichever its client has.
TEST_F(TurnServerRevoke, ANameThatIsGrantedAgainCarriesItsAllocationsOn) {
  server_.Revoke(harness_.now(), "s1");
  EXPECT_OK(server_.Grant(harness_.now(), "s1", "new"));
  EXPECT_EQ(Refresh(), 0);
  call_.password = "new";
  EXPECT_EQ(Refresh(), 0);
  for (int i = 0; i < 30; ++i) {  // Beyond the grace of the old one.
    harness_.Advance(absl::Minutes(9));
    ASSERT_EQ(Refresh(), 0) << i;
  }
}

// What expires is no other thing than what is revoked.
TEST_F(TurnServerRevoke, AllocationsOutliveAnExpiryToo) {
  const absl::Time soon = harness_.now() + absl::Minutes(5);
  EXPECT_OK(server_.Grant(harness_.now(), "brief", "pw", soon));
  const std::string rest = absl::StrCat(absl::ToUnixSeconds(soon), ":ann");
  TestClient granted(1001, "brief", "pw");
  TestClient timed(1002, rest,
                   internal::Credentials::RestPassword("secret", rest));
  ASSERT_TRUE(harness_.Allocate(granted).ok());
  ASSERT_TRUE(harness_.Allocate(timed).ok());
  harness_.Advance(absl::Minutes(6));
  EXPECT_TRUE(harness_.Refresh(granted, 600).ok());
  EXPECT_TRUE(harness_.Refresh(timed, 600).ok());
  TestClient late(1003, rest, timed.password);
  EXPECT_EQ(harness_.Allocate(late).error(), 401);
  EXPECT_EQ(server_.EndAllocations(rest), 1u);
}

}  // namespace
}  // namespace kyuu::turn
