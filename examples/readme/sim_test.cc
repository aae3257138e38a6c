// The example of sim/README.md: a STUN client behind a symmetric NAT.

#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "sctp/association.h"
#include "sim/network.h"
#include "sim/pair.h"
#include "stun/client.h"
#include "stun/server.h"

namespace {

using namespace kyuu;  // NOLINT: as in the README.

TEST(SimReadme, ExampleWorks) {
  const uint64_t seed = 7;
  const IpAddress server_ip = IpAddress::V4(192, 0, 2, 1);
  const IpAddress nat_ip = IpAddress::V4(192, 0, 2, 9);
  const IpAddress inside_ip = IpAddress::V4(10, 0, 0, 2);
  const TransportAddress server_address{server_ip, 3478};
  const TransportAddress inside_address{inside_ip, 4000};
  SeededRandom random(seed);
  using Client = stun::Client;
  Client client(random, {});
  stun::Server responder({});
  std::vector<Client::Event> events;

  sim::Network network({.seed = seed});
  const sim::HostId server =
      network.AddHost("server", {sim::kInternet, {server_ip}});
  const sim::ZoneId home =
      network.AddNat(sim::kInternet, sim::NatOptions::Symmetric(nat_ip));
  const sim::HostId host = network.AddHost(
      "client", {home, {inside_ip}, {.loss = 0.2}, {.loss = 0.2}});
  network.Attach(server, {server_address}, responder);
  network.Attach(host, {inside_address}, client,
                 [&](Client::Event e) { events.push_back(e); });
  ASSERT_OK(client.Bind(network.now(), {inside_address, server_address}));
  EXPECT_TRUE(
      network.RunUntil([&] { return !events.empty(); }, absl::Seconds(10)));
}

TEST(SimReadme, PairOfTheExampleWorks) {
  const uint64_t seed = 7;
  SeededRandom random(seed);
  sctp::Association client({}, random), server({}, random);
  ASSERT_OK(client.Connect(absl::UnixEpoch()));

  sim::Pair pair(client, server, {.seed = seed, .a_to_b = {.loss = 0.2}});
  EXPECT_TRUE(
      pair.RunUntil([&] { return client.is_connected(); }, absl::Minutes(1)));
}

}  // namespace
