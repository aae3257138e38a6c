#include "tools/kyuu/code/short_number.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;
using testing::MatchesRegex;
using testing::Optional;

dtls::Fingerprint Of(uint8_t byte) {
  return *dtls::Fingerprint::FromDigest(dtls::HashAlgorithm::kSha256,
                                        std::vector<uint8_t>(32, byte));
}

struct Two {
  explicit Two(uint64_t seed = 1, uint8_t caller_sees = 2,
               uint8_t callee_sees = 1)
      : random(seed),
        caller(NumberRole::kCaller, Of(1), Of(caller_sees), random),
        callee(NumberRole::kCallee, Of(2), Of(callee_sees), random) {}
  void Run() {
    callee.HandleMessage(*caller.PollMessage());
    caller.HandleMessage(*callee.PollMessage());
    callee.HandleMessage(*caller.PollMessage());
  }
  SeededRandom random;
  ShortNumber caller, callee;
};

TEST(ShortNumber, BothHaveTheSame) {
  std::set<std::string> numbers;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Two two(seed);
    two.Run();
    EXPECT_THAT(two.caller.number(),
                Optional(MatchesRegex("[0-9][0-9][0-9] [0-9][0-9][0-9]")));
    EXPECT_EQ(two.caller.number(), two.callee.number());
    numbers.insert(*two.caller.number());
  }
  EXPECT_GT(numbers.size(), 95u);
}

// For those who write this anew, computed apart from this code: nonces 00 01 ..
// 0f and 10 11 .. 1f, certificates 01 01 .. and 02 02 ...
TEST(ShortNumber, Vector) {
  class Counting final : public Random {
   public:
    void Fill(absl::Span<uint8_t> out) override {
      for (uint8_t& byte : out) byte = next_++;
    }

   private:
    uint8_t next_ = 0;
  } random;
  ShortNumber caller(NumberRole::kCaller, Of(1), Of(2), random);
  ShortNumber callee(NumberRole::kCallee, Of(2), Of(1), random);
  const json commit = *caller.PollMessage();
  EXPECT_EQ(commit["commit"],
            "be45cb2605bf36bebde684841a28f0fd43c69850a3dce5fedba69928ee3a8991");
  callee.HandleMessage(commit);
  const json nonce = *callee.PollMessage();
  EXPECT_EQ(nonce["nonce"], "101112131415161718191a1b1c1d1e1f");
  caller.HandleMessage(nonce);
  EXPECT_THAT(caller.number(), Optional(std::string("677 961")));
}

// One in the middle has a connection, and so a certificate, of his own on each
// side, and passes the nonces on.
TEST(ShortNumber, OfAConnectionWithAMiddleTheNumbersDiffer) {
  Two two(1, 3, 4);
  two.Run();
  ASSERT_TRUE(two.caller.number() && two.callee.number());
  EXPECT_NE(two.caller.number(), two.callee.number());
}

TEST(ShortNumber, ANonceThatWasNotCommittedToLeavesNoNumber) {
  Two two;
  two.callee.HandleMessage(*two.caller.PollMessage());
  ASSERT_TRUE(two.callee.PollMessage());
  two.callee.HandleMessage(
      {{"type", "verify"}, {"nonce", std::string(32, 'a')}});
  EXPECT_FALSE(two.callee.number());
  // Nor is there a second try.
  two.caller.HandleMessage(
      {{"type", "verify"}, {"nonce", std::string(32, 'b')}});
  two.callee.HandleMessage(*two.caller.PollMessage());
  EXPECT_FALSE(two.callee.number());
}

TEST(ShortNumber, NobodySaysItsNonceTwiceOrTooEarly) {
  Two two;
  const json commit = *two.caller.PollMessage();
  // The callee says nothing before there is a commitment, the caller nothing
  // before there is a nonce.
  two.callee.HandleMessage(
      {{"type", "verify"}, {"nonce", std::string(32, 'a')}});
  EXPECT_FALSE(two.callee.PollMessage());
  two.caller.HandleMessage(commit);
  EXPECT_FALSE(two.caller.PollMessage());
  two.callee.HandleMessage(commit);
  const json nonce = *two.callee.PollMessage();
  // A second commitment changes nothing.
  two.callee.HandleMessage(
      {{"type", "verify"}, {"commit", std::string(64, 'a')}});
  EXPECT_FALSE(two.callee.PollMessage());
  two.caller.HandleMessage(nonce);
  const json reveal = *two.caller.PollMessage();
  const auto number = two.caller.number();
  two.caller.HandleMessage(
      {{"type", "verify"}, {"nonce", std::string(32, 'c')}});
  EXPECT_FALSE(two.caller.PollMessage());
  EXPECT_EQ(two.caller.number(), number);
  two.callee.HandleMessage(reveal);
  EXPECT_EQ(two.callee.number(), number);
}

TEST(ShortNumber, WhatIsNoMessageIsIgnored) {
  Two two;
  (void)two.caller.PollMessage();
  for (const json& message :
       std::vector<json>{nullptr,
                         json::array(),
                         {{"type", "verify"}},
                         {{"nonce", 1}, {"commit", 2}},
                         {{"nonce", "0"}, {"commit", "0"}},
                         {{"nonce", std::string(32, 'x')},
                          {"commit", std::string(64, 'x')}}}) {
    two.caller.HandleMessage(message);
    two.callee.HandleMessage(message);
    EXPECT_FALSE(two.caller.PollMessage()) << message;
    EXPECT_FALSE(two.callee.PollMessage()) << message;
  }
}

}  // namespace
}  // namespace kyuu::tools
