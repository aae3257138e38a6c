#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/testing.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

// Allocations of both families (RFC 8656 sections 5, 7.2 and 8.2).

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;

const IpAddress kRelay6 = *IpAddress::Parse("2001:db8::2");
const TransportAddress kPeer6{*IpAddress::Parse("2a00::9"), 7000};

ServerOptions BothFamilies() {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses.push_back({kRelay6, {}});
  return options;
}

const auto kAlso6 = [](MessageWriter& w) {
  w.Add(stun::AdditionalAddressFamily{IpFamily::kV6});
};

// What the relayed addresses of a reply are, in their order.
std::vector<TransportAddress> Relayed(const Reply& reply) {
  std::vector<TransportAddress> relayed;
  const stun::MessageView view = reply.view();
  for (auto c = view.attributes(); c.Next();) {
    if (const auto address = c.As<stun::XorRelayedAddress>()) {
      relayed.push_back(address->address);
    }
  }
  return relayed;
}

class DualAllocation : public testing::Test {
 protected:
  // Answers each OpenRelay, with failure if it is of `unlucky`; keeps the ids.
  void Open(IpFamily unlucky = IpFamily::kUnspecified) {
    harness_.Drain();
    while (!harness_.events().empty()) {
      const Server::Event event = harness_.events().front();
      harness_.events().pop_front();
      if (const auto* close = std::get_if<Server::CloseRelay>(&event)) {
        closed_.push_back(close->relay);
      }
      const auto* open = std::get_if<Server::OpenRelay>(&event);
      if (open == nullptr) continue;
      ids_[open->bind.ip.family()] = open->relay;
      if (open->bind.ip.family() == unlucky) {
        harness_.server().RelayFailed(harness_.now(), open->relay);
      } else {
        harness_.server().RelayOpened(harness_.now(), open->relay);
      }
      harness_.Drain();
    }
  }
  Reply Allocate(IpFamily unlucky = IpFamily::kUnspecified) {
    harness_.open_relays = false;
    harness_.Challenge(client_);
    const auto request =
        harness_.Build(client_, Method::kAllocate, [](MessageWriter& w) {
          w.Add(stun::RequestedTransport{});
          kAlso6(w);
        });
    EXPECT_TRUE(harness_.Exchange(client_, request).empty());
    Open(unlucky);
    return harness_.Poll(client_);
  }
  Reply Refresh(uint32_t seconds, IpFamily family) {
    const Reply reply =
        harness_.Call(client_, Method::kRefresh, [&](MessageWriter& w) {
          w.Add(stun::Lifetime{seconds});
          w.Add(stun::RequestedAddressFamily{family});
        });
    Open();
    return reply;
  }
  size_t FromPeer(const TransportAddress& peer) {
    return harness_.server()
        .FromPeer(harness_.now(), ids_[peer.ip.family()], peer, AsBytes("x"), 1)
        .size();
  }
  std::optional<Path> ToPeer(uint16_t channel) {
    const auto message = ServerHarness::ChannelMessage(channel, "x");
    const auto forwards = harness_.server().FromClient(
        harness_.now(), client_.path, message, message.size());
    if (forwards.size() != 1) return std::nullopt;
    EXPECT_EQ(forwards[0].relay, ids_[forwards[0].path.remote.ip.family()]);
    return forwards[0].path;
  }

  ServerHarness harness_{BothFamilies()};
  TestClient client_{1000};
  std::map<IpFamily, RelayId> ids_;
  std::vector<RelayId> closed_;
};

TEST_F(DualAllocation, RelaysToPeersOfBothFamilies) {
  const Reply reply = Allocate();
  ASSERT_TRUE(reply.ok());
  const auto relayed = Relayed(reply);
  ASSERT_EQ(relayed.size(), 2u);
  EXPECT_EQ(relayed[0].ip, kTestRelay);
  EXPECT_EQ(relayed[1].ip, kRelay6);
  EXPECT_FALSE(reply.Get<stun::AddressErrorCode>().has_value());
  EXPECT_EQ(harness_.server().allocations(), 1u);
  EXPECT_NE(ids_[IpFamily::kV4], ids_[IpFamily::kV6]);

  EXPECT_TRUE(harness_.Bind(client_, 0x4000, kTestPeer).ok());
  EXPECT_TRUE(harness_.Bind(client_, 0x4001, kPeer6).ok());
  EXPECT_EQ(ToPeer(0x4000), (Path{relayed[0], kTestPeer}));
  EXPECT_EQ(ToPeer(0x4001), (Path{relayed[1], kPeer6}));
  EXPECT_EQ(FromPeer(kTestPeer), 1u);
  EXPECT_EQ(FromPeer(kPeer6), 1u);
}

TEST_F(DualAllocation, OneFamilyIsGivenBackAndTheOtherGoesOn) {
  const size_t ports = harness_.server().free_ports();
  for (const IpFamily gone : {IpFamily::kV4, IpFamily::kV6}) {
    ASSERT_TRUE(Allocate().ok());
    EXPECT_TRUE(harness_.Bind(client_, 0x4000, kTestPeer).ok());
    EXPECT_TRUE(harness_.Bind(client_, 0x4001, kPeer6).ok());
    const bool v4_gone = gone == IpFamily::kV4;
    const TransportAddress& lost = v4_gone ? kTestPeer : kPeer6;
    const TransportAddress& kept = v4_gone ? kPeer6 : kTestPeer;
    closed_.clear();
    const Reply reply = Refresh(0, gone);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply.Get<stun::Lifetime>()->seconds, 0u);
    EXPECT_EQ(closed_, std::vector<RelayId>{ids_[gone]});
    EXPECT_EQ(harness_.server().free_ports(), ports - 1);

    EXPECT_EQ(FromPeer(lost), 0u);
    EXPECT_FALSE(ToPeer(v4_gone ? 0x4000 : 0x4001).has_value());
    EXPECT_EQ(harness_.Permit(client_, lost.ip).error(), 443);
    EXPECT_EQ(Refresh(600, gone).error(), 443);
    EXPECT_EQ(FromPeer(kept), 1u);
    EXPECT_TRUE(ToPeer(v4_gone ? 0x4001 : 0x4000).has_value());
    EXPECT_TRUE(harness_.Refresh(client_, 600).ok());

    // The last one is the allocation.
    EXPECT_TRUE(Refresh(0, kept.ip.family()).ok());
    EXPECT_EQ(harness_.server().allocations(), 0u);
    EXPECT_EQ(harness_.server().free_ports(), ports);
  }
}

TEST_F(DualAllocation, ASocketThatCannotBeOpenedCostsItsFamilyOnly) {
  for (const IpFamily unlucky : {IpFamily::kV4, IpFamily::kV6}) {
    const size_t ports = harness_.server().free_ports();
    const Reply reply = Allocate(unlucky);
    ASSERT_TRUE(reply.ok());
    ASSERT_EQ(Relayed(reply).size(), 1u);
    EXPECT_NE(Relayed(reply)[0].ip.family(), unlucky);
    const auto refused = reply.Get<stun::AddressErrorCode>();
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->family, unlucky);
    EXPECT_EQ(refused->code, stun::Error::kInsufficientCapacity);
    EXPECT_TRUE(harness_.Refresh(client_, 0).ok());
    EXPECT_EQ(harness_.server().free_ports(), ports);
  }
}

TEST(DualAllocationRefused, OneFamilyIsASuccessAndNoneIsNot) {
  const struct {
    std::string name;
    bool v4, v6;
    size_t per_user;
    int error;
    std::optional<IpFamily> refused;
    stun::Error why;
  } kRows[] = {
      {"no IPv6", true, false, 9, 0, IpFamily::kV6,
       stun::Error::kAddressFamilyNotSupported},
      {"no IPv4", false, true, 9, 0, IpFamily::kV4,
       stun::Error::kAddressFamilyNotSupported},
      {"neither", false, false, 9, 440, std::nullopt, {}},
      {"each counts for the user", true, true, 1, 0, IpFamily::kV6,
       stun::Error::kAllocationQuotaReached},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    ServerOptions options = BothFamilies();
    options.allocations_per_user_max = row.per_user;
    options.relay_addresses.clear();
    if (row.v4) options.relay_addresses.push_back({kTestRelay, {}});
    if (row.v6) options.relay_addresses.push_back({kRelay6, {}});
    ServerHarness harness(options);
    TestClient client(1000);
    const size_t ports = harness.server().free_ports();
    const Reply reply = harness.Allocate(client, kAlso6);
    EXPECT_EQ(reply.error(), row.error);
    const auto refused = reply.Get<stun::AddressErrorCode>();
    ASSERT_EQ(refused.has_value(), row.refused.has_value());
    if (row.error != 0) continue;
    EXPECT_EQ(refused->family, *row.refused);
    EXPECT_EQ(refused->code, row.why);
    EXPECT_EQ(harness.server().free_ports(), ports - 1);
    EXPECT_TRUE(harness.Refresh(client, 0).ok());
    EXPECT_EQ(harness.server().free_ports(), ports);
  }
}

// What clients of coturn before 4.16 send.
TEST(DualAllocationDraft, IsAskedForByTheAttributeOfTheDraftToo) {
  ServerHarness harness(BothFamilies());
  TestClient client(1000);
  const Reply reply = harness.Allocate(client, [](MessageWriter& w) {
    w.Add(stun::SsodaAddressFamily{IpFamily::kV6});
  });
  EXPECT_EQ(Relayed(reply).size(), 2u);
}

TEST(DualAllocationEnd, EveryEndClosesBothSockets) {
  ServerHarness harness(BothFamilies());
  TestClient client(1000);
  const size_t ports = harness.server().free_ports();
  const auto ends = {
      +[](ServerHarness& h, TestClient& c) { (void)h.Refresh(c, 0); },
      +[](ServerHarness& h, TestClient&) { h.Advance(absl::Minutes(11)); },
      +[](ServerHarness& h, TestClient& c) { h.server().ClientGone(c.path); },
      +[](ServerHarness& h, TestClient&) { h.server().EndAllocations("u"); },
      +[](ServerHarness& h, TestClient&) { h.server().Close(); }};
  for (const auto end : ends) {
    ASSERT_TRUE(harness.Allocate(client, kAlso6).ok());
    EXPECT_EQ(harness.server().free_ports(), ports - 2);
    end(harness, client);
    harness.Drain();
    EXPECT_EQ(harness.server().allocations(), 0u);
    EXPECT_EQ(harness.server().free_ports(), ports);
  }
}

}  // namespace
}  // namespace kyuu::turn
