#include "turn/internal/ticket.h"

#include <set>
#include <vector>

#include "base/testing.h"

namespace kyuu::turn::internal {
namespace {

const Ticket kTicket{{3, RelayId{0x1122334455667788}}, 9};

TEST(Ticket, IsOpenedByWhoHasTheSecret) {
  const TicketMaker maker("secret"), twin("secret"), other("other");
  const TicketMaker::Sealed sealed = maker.Seal(kTicket);
  EXPECT_EQ(twin.Open(sealed), kTicket);
  EXPECT_EQ(other.Open(sealed), std::nullopt);
}

TEST(Ticket, AnyOtherBitOrSizeIsNone) {
  const TicketMaker maker("secret");
  const TicketMaker::Sealed sealed = maker.Seal(kTicket);
  for (size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    TicketMaker::Sealed other = sealed;
    other[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(maker.Open(other), std::nullopt) << bit;
  }
  std::vector<uint8_t> bytes(sealed.begin(), sealed.end());
  bytes.push_back(0);
  EXPECT_EQ(maker.Open(bytes), std::nullopt);
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_EQ(maker.Open(absl::MakeConstSpan(sealed).first(size)),
              std::nullopt);
  }
}

// What coturn's uclient can keep: 32 bytes, none of them zero.
TEST(Ticket, IsText) {
  for (uint32_t number = 0; number < 1000; ++number) {
    const auto sealed = TicketMaker("secret").Seal({kTicket.holder, number});
    EXPECT_EQ(sealed.size(), 32u);
    for (const uint8_t c : sealed) ASSERT_GT(c, ' ');
  }
}

TEST(Ticket, SaysNothingOfTheOneBefore) {
  const TicketMaker maker("secret");
  std::set<TicketMaker::Sealed> all;
  for (uint32_t number = 0; number < 100; ++number) {
    const auto sealed = maker.Seal({kTicket.holder, number});
    EXPECT_TRUE(all.insert(sealed).second);
    // Of 32 random characters of 64 half a one is the same.
    size_t same = 0;
    const auto first = maker.Seal({kTicket.holder, 1000});
    for (size_t i = 0; i < sealed.size(); ++i) same += sealed[i] == first[i];
    EXPECT_LT(same, 8u);
  }
}

}  // namespace
}  // namespace kyuu::turn::internal
