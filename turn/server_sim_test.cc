// turn::Client and turn::Server on a simulated network.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sim/network.h"
#include "turn/client.h"
#include "turn/server.h"
#include "turn/testing/sim_server.h"

namespace kyuu::turn {
namespace {

using ::testing::ElementsAre;

const IpAddress kServerIp = IpAddress::V4(192, 0, 2, 1);
const TransportAddress kListener{kServerIp, 3478};
const TransportAddress kInside{IpAddress::V4(10, 0, 0, 2), 5000};
const TransportAddress kPeer{IpAddress::V4(198, 51, 100, 9), 7000};

// A client behind a NAT, a server, and a peer that echoes.
class TurnOnSim : public ::testing::Test {
 protected:
  void Start(uint64_t seed, const sim::LinkOptions& link,
             const sim::NatOptions& nat) {
    network_ =
        std::make_unique<sim::Network>(sim::NetworkOptions{.seed = seed});
    random_ = std::make_unique<SeededRandom>(seed);
    ServerOptions options;
    options.users = {{"u", "p"}};
    options.relay_addresses = {{kServerIp, {}}};
    options.listeners = {kListener};
    options.allow_peers = {*IpPrefix::Parse("198.51.100.0/24")};
    server_ = std::make_unique<SimServer>(*random_, options);
    client_ = std::make_unique<Client>(
        *random_, Client::Options{.local = kInside,
                                  .server = kListener,
                                  .username = "u",
                                  .password = "p",
                                  .channel_after_datagrams = 0});
    const sim::HostId server_host =
        network_->AddHost("server", {sim::kInternet, {kServerIp}});
    const sim::ZoneId home = network_->AddNat(sim::kInternet, nat);
    host_ = network_->AddHost("client", {home, {kInside.ip}, link, link});
    const sim::HostId peer =
        network_->AddHost("peer", {sim::kInternet, {kPeer.ip}});
    server_->Attach(*network_, server_host, {kListener});
    network_->Attach(host_, {kInside}, *this->shim(), [](Client::Event) {});
    network_->Listen(peer, kPeer, [this, peer](const Datagram& d) {
      heard_.push_back(std::string(AsText(d.bytes)));
      echo_to_ = d.path.remote;
      network_->Send(peer, {d.path, d.bytes});
    });
  }

  // Gives relayed data to the test and the rest to the client.
  class Shim {
   public:
    using Packet = Datagram;
    using Event = Client::Event;
    explicit Shim(TurnOnSim& test) : test_(test) {}
    void HandlePacket(absl::Time now, Packet in) {
      if (auto data = test_.client_->Unwrap(in)) {
        test_.received_.push_back(std::string(AsText(data->payload)));
        test_.from_ = data->peer;
      } else {
        test_.client_->HandlePacket(now, in);
      }
    }
    void HandleTimeout(absl::Time now) { test_.client_->HandleTimeout(now); }
    std::optional<Packet> PollTransmit(absl::Time now,
                                       absl::Span<uint8_t> out) {
      return test_.client_->PollTransmit(now, out);
    }
    std::optional<Event> PollEvent() {
      auto event = test_.client_->PollEvent();
      if (event && std::holds_alternative<Client::PermissionGranted>(*event)) {
        test_.permitted_ = true;
      }
      if (event && std::holds_alternative<Client::ChannelBound>(*event)) {
        test_.bound_ = true;
      }
      return event;
    }
    absl::Time NextTimeout() const { return test_.client_->NextTimeout(); }

   private:
    TurnOnSim& test_;
  };
  Shim* shim() { return &shim_; }

  void Send(const std::string& text) {
    std::vector<uint8_t> out(2048);
    const auto datagram = client_->Wrap(network_->now(), kPeer, AsBytes(text),
                                        absl::MakeSpan(out));
    ASSERT_OK(datagram);
    network_->Send(host_, *datagram);
  }
  bool AllocateAndPermit() {
    EXPECT_OK(client_->Allocate(network_->now()));
    if (!network_->RunUntil([&] { return client_->allocated(); },
                            absl::Minutes(1))) {
      return false;
    }
    EXPECT_OK(client_->Permit(network_->now(), kPeer));
    return network_->RunUntil([&] { return permitted_; }, absl::Minutes(1));
  }

  std::unique_ptr<sim::Network> network_;
  std::unique_ptr<SeededRandom> random_;
  std::unique_ptr<SimServer> server_;
  std::unique_ptr<Client> client_;
  Shim shim_{*this};
  sim::HostId host_{};
  bool permitted_ = false;
  bool bound_ = false;
  std::vector<std::string> heard_;
  std::vector<std::string> received_;
  TransportAddress echo_to_;
  TransportAddress from_;
};

TEST_F(TurnOnSim, RelaysBothWaysByIndicationThenByChannel) {
  Start(1, {},
        sim::NatOptions::PortRestrictedCone(IpAddress::V4(203, 0, 113, 1)));
  ASSERT_TRUE(AllocateAndPermit());
  Send("by indication");
  network_->RunFor(absl::Seconds(1));
  ASSERT_OK(client_->BindChannel(network_->now(), kPeer));
  ASSERT_TRUE(network_->RunUntil([&] { return bound_; }, absl::Seconds(10)));
  Send("by channel");
  network_->RunFor(absl::Seconds(1));
  EXPECT_THAT(heard_, ElementsAre("by indication", "by channel"));
  EXPECT_THAT(received_, ElementsAre("by indication", "by channel"));
  EXPECT_EQ(from_, kPeer);
  EXPECT_EQ(echo_to_, client_->relayed());
}

TEST_F(TurnOnSim, AllocationIsKeptForHoursUnderLossAndReleased) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    permitted_ = bound_ = false;
    received_.clear();
    sim::NatOptions nat =
        sim::NatOptions::Symmetric(IpAddress::V4(203, 0, 113, 1));
    // Refreshes alone, every 4 to 9 minutes, keep this mapping.
    nat.mapping_lifetime = absl::Minutes(10);
    Start(seed, {.jitter = absl::Milliseconds(20), .loss = 0.1}, nat);
    ASSERT_TRUE(AllocateAndPermit());
    ASSERT_OK(client_->BindChannel(network_->now(), kPeer));
    network_->RunFor(absl::Hours(3));
    EXPECT_EQ(server_->server().allocations(), 1u);
    network_->SetLinks(host_, {});
    Send("still here");
    network_->RunFor(absl::Seconds(1));
    EXPECT_THAT(received_, ElementsAre("still here"));
    client_->Close(network_->now());
    network_->RunFor(absl::Seconds(1));
    EXPECT_EQ(server_->server().allocations(), 0u);
  }
}

TEST_F(TurnOnSim, AllocationOfAClientThatVanishesExpires) {
  Start(1, {}, sim::NatOptions::FullCone(IpAddress::V4(203, 0, 113, 1)));
  ASSERT_TRUE(AllocateAndPermit());
  network_->SetLinks(host_, {.loss = 1});
  network_->RunFor(absl::Minutes(11));
  EXPECT_EQ(server_->server().allocations(), 0u);
}

TEST_F(TurnOnSim, OneSeedGivesOneTranscript) {
  const auto run = [this](uint64_t seed) {
    permitted_ = bound_ = false;
    Start(seed, {.jitter = absl::Milliseconds(9), .loss = 0.2, .reorder = 0.1},
          sim::NatOptions::Symmetric(IpAddress::V4(203, 0, 113, 1)));
    EXPECT_TRUE(AllocateAndPermit());
    for (int i = 0; i < 20; ++i) Send("x");
    network_->RunFor(absl::Minutes(20));
    return network_->transcript().hash();
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

}  // namespace
}  // namespace kyuu::turn
