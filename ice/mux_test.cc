// The tables of a Mux, by hand.

#include "ice/mux.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "bench/allocations.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace kyuu::ice {
namespace {

using Bytes = std::vector<uint8_t>;

const TransportAddress kLocal{IpAddress::V4(192, 0, 2, 1), 7000};
const Bytes kData{23, 254, 253, 0};

Path From(uint16_t port) {
  return {kLocal, {IpAddress::V4(198, 51, 100, 1), port}};
}

Bytes Stun(stun::MessageClass cls, uint8_t id, absl::string_view username = "",
           int attributes_before = 0) {
  Bytes buffer(2000);
  stun::TransactionId transaction;
  transaction.bytes.fill(id);
  stun::MessageWriter w(absl::MakeSpan(buffer), cls, stun::Method::kBinding,
                        transaction);
  for (int i = 0; i < attributes_before; ++i) w.Add(stun::Priority{1});
  if (!username.empty()) w.Add(stun::Username{std::string(username)});
  w.AddFingerprint();
  const absl::Span<const uint8_t> bytes = w.Finish();
  return Bytes(bytes.begin(), bytes.end());
}
Bytes Check(absl::string_view username) {
  return Stun(stun::MessageClass::kRequest, 1, username);
}

class MuxTest : public ::testing::Test {
 protected:
  MuxId Add(absl::string_view ufrag) {
    const MuxId id = *mux_.Add();
    EXPECT_TRUE(mux_.AddUfrag(id, ufrag));
    return id;
  }
  std::optional<MuxId> Route(const Path& path, const Bytes& bytes) {
    return mux_.Route({path, bytes});
  }
  void Sent(MuxId id, const Path& path, const Bytes& bytes) {
    mux_.NoteSent(now_, id, {path, bytes});
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  Mux mux_{{.ufrags_max = 3, .paths_max = 3, .transactions_max = 4}};
};

TEST_F(MuxTest, ACheckIsForTheAgentWhoseUfragItNames) {
  const MuxId a = Add("aaaa"), b = Add("bbbb");
  EXPECT_EQ(Route(From(1), Check("aaaa:xxxx")), a);
  EXPECT_EQ(Route(From(1), Check("bbbb:xxxx")), b);
  EXPECT_EQ(Route(From(1), Check("bbbb:")), b);
  for (const char* name : {"", "cccc:xxxx", "aaa:xxxx", "aaaaa:xxxx", "aaaa",
                           ":aaaa", "xxxx:aaaa"}) {
    EXPECT_EQ(Route(From(1), Check(name)), std::nullopt) << name;
  }
  EXPECT_EQ(mux_.stats().by_ufrag, 3u);
  EXPECT_EQ(mux_.stats().drop_unknown_ufrag, 7u);
}

TEST_F(MuxTest, UfragOfLooksAtSoManyAttributes) {
  const auto nth = [](int before) {
    return Stun(stun::MessageClass::kRequest, 1, "aaaa:b", before);
  };
  EXPECT_EQ(UfragOf(nth(0)), "aaaa");
  EXPECT_EQ(UfragOf(nth(31)), "aaaa");
  EXPECT_EQ(UfragOf(nth(32)), "");
  Bytes cut = nth(1);
  for (size_t size = 0; size < 32; ++size) {
    EXPECT_EQ(UfragOf(absl::MakeConstSpan(cut).first(size)), "") << size;
  }
  EXPECT_EQ(UfragOf(kData), "");
}

TEST_F(MuxTest, APathIsNobodysBeforeSomethingWasAuthenticated) {
  const MuxId a = Add("aaaa");
  EXPECT_EQ(Route(From(1), Check("aaaa:xxxx")), a);
  EXPECT_EQ(Route(From(1), kData), std::nullopt);
  mux_.Bind(a, From(1), PathProof::kNone);
  EXPECT_EQ(Route(From(1), kData), std::nullopt);
  EXPECT_EQ(mux_.stats().drop_unknown_path, 2u);
  mux_.Bind(a, From(1), PathProof::kHeard);
  EXPECT_EQ(Route(From(1), kData), a);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kIndication, 2)), a);
  EXPECT_EQ(Route(From(2), kData), std::nullopt);
}

TEST_F(MuxTest, APathPassesToWhoHasProvenItOnly) {
  const MuxId a = Add("aaaa"), b = Add("bbbb");
  mux_.Bind(a, From(1), PathProof::kProven);
  // A check of b's that was recorded, and is sent again from there.
  mux_.Bind(b, From(1), PathProof::kHeard);
  EXPECT_EQ(mux_.Owner(From(1)), a);
  mux_.Bind(b, From(1), PathProof::kProven);
  EXPECT_EQ(mux_.Owner(From(1)), b);
  // The older one may be alive: the newer one's data is not torn apart.
  mux_.Bind(a, From(1), PathProof::kProven);
  EXPECT_EQ(mux_.Owner(From(1)), b);
  EXPECT_EQ(mux_.stats().paths_moved, 1u);
  // Checks still find both, and answers who has asked.
  EXPECT_EQ(Route(From(1), Check("aaaa:xxxx")), a);
  Sent(a, From(1), Stun(stun::MessageClass::kRequest, 5));
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kSuccess, 5)), a);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kSuccess, 6)), b);
  // When the newer one is gone it is the older one's again.
  mux_.Remove(b);
  EXPECT_EQ(mux_.Owner(From(1)), std::nullopt);
  mux_.Bind(a, From(1), PathProof::kHeard);
  EXPECT_EQ(mux_.Owner(From(1)), a);
}

TEST_F(MuxTest, AnAnswerIsForWhoHasAsked) {
  const MuxId a = Add("aaaa"), b = Add("bbbb");
  Sent(a, From(1), Stun(stun::MessageClass::kRequest, 1));
  Sent(b, From(1), Stun(stun::MessageClass::kRequest, 2));
  Sent(a, From(1), Stun(stun::MessageClass::kSuccess, 3));
  Sent(a, From(1), kData);
  EXPECT_EQ(mux_.transactions(), 2u);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kError, 2)), b);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kSuccess, 1)), a);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kSuccess, 3)),
            std::nullopt);
  EXPECT_EQ(mux_.stats().drop_unknown_transaction, 1u);
  mux_.Remove(b);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kError, 2)), std::nullopt);
}

TEST_F(MuxTest, ConsentOnAPathOfItsOwnTakesNoMemory) {
  const MuxId a = Add("aaaa");
  mux_.Bind(a, From(1), PathProof::kHeard);
  Sent(a, From(1), Stun(stun::MessageClass::kRequest, 1));
  EXPECT_EQ(mux_.transactions(), 0u);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kSuccess, 1)), a);
}

TEST_F(MuxTest, TransactionsAreForgotten) {
  const MuxId a = Add("aaaa");
  Sent(a, From(1), Stun(stun::MessageClass::kRequest, 1));
  now_ += absl::Seconds(9);
  Sent(a, From(1), Stun(stun::MessageClass::kRequest, 1));  // Again.
  now_ += absl::Seconds(9);
  Sent(a, From(1), Stun(stun::MessageClass::kRequest, 2));
  EXPECT_EQ(mux_.transactions(), 2u);
  now_ += absl::Seconds(2);
  Sent(a, From(1), Stun(stun::MessageClass::kRequest, 3));
  EXPECT_EQ(mux_.transactions(), 2u);
  EXPECT_EQ(Route(From(1), Stun(stun::MessageClass::kSuccess, 1)),
            std::nullopt);
  EXPECT_EQ(mux_.stats().transaction_limit, 0u);
}

TEST_F(MuxTest, HoldsNoMoreThanItsOptionsSay) {
  const MuxId a = Add("aaaa");
  for (uint8_t i = 1; i <= 6; ++i) {
    Sent(a, From(99), Stun(stun::MessageClass::kRequest, i));
    mux_.Bind(a, From(i), PathProof::kHeard);
    mux_.AddUfrag(a, std::string(4, static_cast<char>('a' + i)));
  }
  EXPECT_EQ(mux_.transactions(), 4u);
  EXPECT_EQ(mux_.stats().transaction_limit, 2u);
  EXPECT_EQ(mux_.paths(), 3u);
  EXPECT_EQ(mux_.stats().path_limit, 3u);
  EXPECT_EQ(mux_.Owner(From(3)), std::nullopt);
  EXPECT_EQ(mux_.Owner(From(4)), a);
  EXPECT_EQ(Route(From(9), Check("dddd:x")), std::nullopt);
  EXPECT_EQ(Route(From(9), Check("eeee:x")), a);
  // One of a generation that is forgotten here, from a path of the agent.
  EXPECT_EQ(Route(From(6), Check("aaaa:x")), a);
  Mux small({.agents_max = 1});
  ASSERT_OK(small.Add());
  EXPECT_THAT(small.Add(), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(MuxTest, AnAgentThatIsGoneLeavesNothing) {
  const MuxId a = Add("aaaa");
  EXPECT_TRUE(mux_.AddUfrag(a, "cccc"));
  mux_.Bind(a, From(1), PathProof::kHeard);
  mux_.Remove(a);
  EXPECT_EQ(mux_.agents(), 0u);
  EXPECT_EQ(mux_.paths(), 0u);
  EXPECT_EQ(Route(From(1), Check("aaaa:x")), std::nullopt);
  EXPECT_EQ(Route(From(1), Check("cccc:x")), std::nullopt);
  EXPECT_EQ(Route(From(1), kData), std::nullopt);
  mux_.Remove(a);
  mux_.Bind(a, From(1), PathProof::kProven);
  EXPECT_FALSE(mux_.AddUfrag(a, "aaaa"));
  EXPECT_EQ(mux_.Owner(From(1)), std::nullopt);
  const MuxId b = Add("aaaa");
  EXPECT_NE(a, b);
}

TEST_F(MuxTest, AUfragHasOneAgent) {
  const MuxId a = Add("aaaa"), b = Add("bbbb");
  EXPECT_FALSE(mux_.AddUfrag(b, "aaaa"));
  EXPECT_FALSE(mux_.AddUfrag(b, ""));
  EXPECT_EQ(mux_.stats().ufrag_collisions, 1u);
  EXPECT_EQ(Route(From(1), Check("aaaa:x")), a);
  // The one that is added again is not the first to make room.
  mux_.AddUfrag(a, "cccc");
  mux_.AddUfrag(a, "aaaa");
  mux_.AddUfrag(a, "dddd");
  mux_.AddUfrag(a, "eeee");
  EXPECT_EQ(Route(From(1), Check("aaaa:x")), a);
  EXPECT_EQ(Route(From(1), Check("cccc:x")), std::nullopt);
}

// S10: who floods costs look-ups and nothing else.
TEST_F(MuxTest, AFloodOfStrangersAllocatesNothingAndChangesNothing) {
  const MuxId a = Add("aaaa");
  mux_.Bind(a, From(1), PathProof::kProven);
  SeededRandom random(1);
  std::vector<Bytes> flood;
  for (int i = 0; i < 200; ++i) {
    flood.push_back(Check(random.IceChars(8) + ":" + random.IceChars(200)));
    flood.push_back(Stun(stun::MessageClass::kSuccess, 7));
    flood.push_back(Check(""));
    flood.push_back(kData);
    flood.push_back({});
    Bytes torn = flood[flood.size() - 5];  // STUN by its header alone.
    torn[22] = 0xff;
    flood.push_back(torn);
  }
  const uint64_t before = bench::Allocations();
  for (int round = 0; round < 100; ++round) {
    for (size_t i = 0; i < flood.size(); ++i) {
      const auto port = static_cast<uint16_t>(1000 + round * 100 + i);
      if (mux_.Route({From(port), flood[i]})) FAIL() << i;
    }
  }
  EXPECT_EQ(bench::Allocations(), before);
  EXPECT_EQ(mux_.paths(), 1u);
  EXPECT_EQ(mux_.transactions(), 0u);
  const MuxStats& stats = mux_.stats();
  EXPECT_EQ(stats.drop_unknown_ufrag + stats.drop_unknown_transaction +
                stats.drop_unknown_path,
            100 * flood.size());
  EXPECT_EQ(Route(From(1), kData), a);
}

}  // namespace
}  // namespace kyuu::ice
