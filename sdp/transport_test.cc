#include "sdp/transport.h"

#include <string>
#include <vector>

#include "base/testing.h"

namespace kyuu::sdp {
namespace {

using ::testing::ElementsAre;

std::vector<absl::string_view> All(const Pieces& pieces) {
  return {pieces.begin(), pieces.end()};
}

TEST(TransportTest, Group) {
  const auto bundle = Group::Parse("BUNDLE 0 a1 ");
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(bundle->semantics, "BUNDLE");
  EXPECT_THAT(All(bundle->mids), ElementsAre("0", "a1"));
  EXPECT_TRUE(Group::Parse("LS")->mids.empty());
  EXPECT_EQ(Group::Parse("BUNDLE 0  1").error()->offset, 9u);
}

TEST(TransportTest, IceOptions) {
  EXPECT_THAT(All(IceOptions::Parse("trickle ice2")->tags),
              ElementsAre("trickle", "ice2"));
  EXPECT_THAT(All(IceOptions::Parse("ice2,trickle")->tags),
              ElementsAre("ice2", "trickle"));
  EXPECT_FALSE(IceOptions::Parse(" ").ok());
}

TEST(TransportTest, FingerprintText) {
  const auto fingerprint = FingerprintText::Parse("sha-1 4A:AD:b9");
  ASSERT_TRUE(fingerprint.ok());
  EXPECT_EQ(fingerprint->hash_function, "sha-1");
  EXPECT_EQ(fingerprint->digest, "4A:AD:b9");
  EXPECT_EQ(FingerprintText::Parse("sha-1 4A:A").error()->offset, 6u);
  EXPECT_EQ(FingerprintText::Parse("sha-1 4A;AD").error()->offset, 8u);
}

TEST(TransportTest, Sctpmap) {
  const auto map = Sctpmap::Parse("5000 webrtc-datachannel 1024");
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->port, 5000);
  EXPECT_EQ(map->application, "webrtc-datachannel");
  EXPECT_EQ(map->streams, 1024);
  EXPECT_EQ(Sctpmap::Parse("5000 x")->streams, std::nullopt);
  EXPECT_FALSE(Sctpmap::Parse("5000 x ").ok());
  EXPECT_FALSE(Sctpmap::Parse("").ok());
}

TEST(TransportTest, RemoteCandidates) {
  auto remote = RemoteCandidates::Parse("1 192.0.2.3 45664 2 ::1 65535");
  ASSERT_TRUE(remote.ok());
  RemoteCandidates rest = *remote;
  const auto first = rest.TakeFirst();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->component, 1);
  EXPECT_EQ(first->address, "192.0.2.3");
  EXPECT_EQ(first->port, 45664);
  const auto second = rest.TakeFirst();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->address, "::1");
  EXPECT_FALSE(rest.TakeFirst());
  for (const char* wrong :
       {"", "1", "1 a", "0 a 1", "257 a 1", "1 a 65536", "1 a 1 2", "1  1"}) {
    EXPECT_FALSE(RemoteCandidates::Parse(wrong).ok()) << wrong;
  }
}

TEST(TransportTest, Identity) {
  const auto identity = Identity::Parse("ICAgIC== a=b c");
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(identity->assertion, "ICAgIC==");
  EXPECT_THAT(All(identity->extensions), ElementsAre("a=b", "c"));
  EXPECT_FALSE(Identity::Parse("").ok());
  EXPECT_FALSE(Identity::Parse("a.b").ok());
}

TEST(TransportTest, SetupRoles) {
  for (const sdp::Setup setup : {sdp::Setup::kActive, sdp::Setup::kPassive,
                                 sdp::Setup::kActpass, sdp::Setup::kHoldconn}) {
    EXPECT_EQ(ParseSetup(SetupName(setup)), setup);
  }
  EXPECT_EQ(ParseSetup("Active"), sdp::Setup::kActive);
  EXPECT_EQ(ParseSetup("activ"), std::nullopt);
}

}  // namespace
}  // namespace kyuu::sdp
