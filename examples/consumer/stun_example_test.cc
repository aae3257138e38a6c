// A program that takes nothing of kyuu but //stun: builds a Binding request
// and reads it back.

#include <array>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "stun/message.h"

TEST(StunExample, BuildsAndReadsABindingRequest) {
  namespace stun = kyuu::stun;
  const stun::IntegrityKey key = stun::IntegrityKey::ShortTerm("password");
  std::array<uint8_t, 128> buffer;
  stun::MessageWriter writer(absl::MakeSpan(buffer),
                             stun::MessageClass::kRequest,
                             stun::Method::kBinding, stun::TransactionId{});
  writer.Add(stun::Username{"peer:me"});
  writer.Add(stun::Priority{0x6e0001ff});
  writer.AddIntegrity(key);
  writer.AddFingerprint();

  const auto message = stun::MessageView::Parse(writer.Finish());
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_TRUE(message->CheckIntegrity(key));
  EXPECT_TRUE(message->CheckFingerprint());
  EXPECT_EQ(message->Get<stun::Priority>()->value, 0x6e0001ffu);
}
