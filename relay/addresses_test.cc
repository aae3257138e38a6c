#include "relay/addresses.h"

#include <string>
#include <vector>

#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "relay/options.h"
#include "turn/server.h"

namespace kyuu::relay {
namespace {

IpAddress Ip(absl::string_view text) { return IpAddress::Parse(text).value(); }
TransportAddress At(absl::string_view text) {
  return TransportAddress::Parse(text).value();
}

// A server with a public and a private card, and what Docker adds.
std::vector<net::Interface> Machine() {
  const auto other = net::InterfaceKind::kOther;
  return {{"lo", 1, Ip("127.0.0.1"), net::InterfaceKind::kLoopback},
          {"lo", 1, Ip("::1"), net::InterfaceKind::kLoopback},
          {"docker0", 2, Ip("172.17.0.1"), other},
          {"eth0", 3, Ip("11.1.1.1"), other},
          {"eth0", 3, Ip("2a00:1::1"), other},
          {"eth0", 3, Ip("fe80::1%3"), other},
          {"eth1", 4, Ip("10.9.9.1"), other}};
}

std::vector<std::string> Relays(const Addresses& addresses) {
  std::vector<std::string> texts;
  for (const auto& relay : addresses.relay) {
    texts.push_back(relay.bind.ToString());
    if (relay.told() != relay.bind) {
      texts.back() += " as " + relay.told().ToString();
    }
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(AddressesTest, AWildcardRelaysFromEachAddressPublicOnesFirst) {
  const Addresses four = AddressesOf({}, {At("0.0.0.0:3478")}, Machine());
  EXPECT_EQ(Relays(four),
            (Texts{"11.1.1.1", "172.17.0.1", "10.9.9.1", "127.0.0.1"}));
  EXPECT_EQ(four.own.size(), Machine().size());
  EXPECT_EQ(Relays(AddressesOf({}, {At("[::]:3478")}, Machine())),
            (Texts{"2a00:1::1", "::1"}));
}

TEST(AddressesTest, ListenersOnAddressesRelayFromThem) {
  EXPECT_EQ(Relays(AddressesOf({}, {At("10.9.9.1:3478"), At("10.9.9.1:3479")},
                               Machine())),
            Texts{"10.9.9.1"});
}

TEST(AddressesTest, NamedAddressesTakeThePlaceOfAFamilysOthers) {
  Options options;
  options.relay_addresses = {{{}, Ip("5.5.5.5")},
                             {Ip("10.9.9.1"), Ip("6.6.6.6")}};
  EXPECT_EQ(
      Relays(AddressesOf(options, {At("0.0.0.0:1"), At("[::]:1")}, Machine())),
      (Texts{"11.1.1.1 as 5.5.5.5", "10.9.9.1 as 6.6.6.6", "2a00:1::1",
             "::1"}));
  // A NAT in front of the address that is listened on.
  options.relay_addresses = {{{}, Ip("5.5.5.5")}};
  EXPECT_EQ(Relays(AddressesOf(options, {At("10.9.9.1:1")}, Machine())),
            Texts{"10.9.9.1 as 5.5.5.5"});
}

// Each is left out until it is there, and while it is away.
TEST(AddressesTest, NamedAddressesAreWaitedFor) {
  std::vector<net::Interface> machine = Machine();
  EXPECT_EQ(
      Relays(AddressesOf({}, {At("11.1.1.7:1"), At("10.9.9.1:1")}, machine)),
      Texts{"10.9.9.1"});
  Options options;
  options.relay_addresses = {{Ip("11.1.1.7"), Ip("5.5.5.5")}};
  EXPECT_EQ(Relays(AddressesOf(options, {At("0.0.0.0:1")}, machine)), Texts{});
  machine.push_back({"eth0", 3, Ip("11.1.1.7"), net::InterfaceKind::kOther});
  EXPECT_EQ(
      Relays(AddressesOf({}, {At("11.1.1.7:1"), At("10.9.9.1:1")}, machine)),
      (Texts{"11.1.1.7", "10.9.9.1"}));
  EXPECT_EQ(Relays(AddressesOf(options, {At("0.0.0.0:1")}, machine)),
            Texts{"11.1.1.7 as 5.5.5.5"});
}

// Whether an address is the machine's own or a NAT's in front of it is asked
// whenever addresses change: our own may be there later than we.
TEST(AddressesTest, AnAddressThatComesLaterIsNoNats) {
  Options options;
  options.relay_addresses = {{{}, Ip("11.1.1.7")}};
  std::vector<net::Interface> machine = Machine();
  EXPECT_EQ(Relays(AddressesOf(options, {At("0.0.0.0:1")}, machine)),
            Texts{"11.1.1.1 as 11.1.1.7"});
  machine.push_back({"eth0", 3, Ip("11.1.1.7"), net::InterfaceKind::kOther});
  EXPECT_EQ(Relays(AddressesOf(options, {At("0.0.0.0:1")}, machine)),
            Texts{"11.1.1.7"});
  options.relay_addresses = {{{}, Ip("127.0.0.1")}};
  EXPECT_EQ(Relays(AddressesOf(options, {At("0.0.0.0:1")}, machine)),
            Texts{"127.0.0.1"});
}

// Started before the network: no loopback stands in for what is to come.
TEST(AddressesTest, AMachineWithoutNetworkRelaysForItselfOnly) {
  std::vector<net::Interface> machine = {Machine()[0]};
  EXPECT_EQ(Relays(AddressesOf({}, {At("0.0.0.0:3478")}, machine)),
            Texts{"127.0.0.1"});
  Options options;
  options.relay_addresses = {{{}, Ip("5.5.5.5")}};
  EXPECT_EQ(Relays(AddressesOf(options, {At("0.0.0.0:3478")}, machine)),
            Texts{});
}

// The policy as a cluster makes it, with nothing lent.
absl::Status Check(Options options, std::vector<TransportAddress> listeners) {
  SeededRandom random(1);
  const Addresses addresses = AddressesOf(options, listeners, Machine());
  turn::ServerOptions server = options.server;
  server.listeners.insert(server.listeners.end(), listeners.begin(),
                          listeners.end());
  server.relay_addresses = addresses.relay;
  server.own_addresses = addresses.own;
  const turn::Server engine(random, server);
  return CheckPolicy(
      options, listeners, addresses,
      [&](const TransportAddress& peer) { return engine.AllowsPeer(peer); });
}

TEST(PolicyCheckTest, ThePolicyOfEveryKindOfListenerPasses) {
  Options options;
  options.server.own_relays = turn::ServerOptions::OwnRelays::kAllow;
  options.server.listeners = {At("0.0.0.0:9000")};
  for (const auto& listeners : std::vector<std::vector<TransportAddress>>{
           {At("0.0.0.0:3478"), At("[::]:3478")},
           {At("11.1.1.1:3478")},
           {At("127.0.0.1:3478"), At("11.1.1.1:3478")}}) {
    EXPECT_OK(Check(options, listeners));
  }
  // What the operator names is meant, whole networks only beside ourselves.
  for (const char* block : {"10.0.0.0/8", "0.0.0.0/0", "::/0", "127.0.0.0/8",
                            "10.9.9.1/32", "169.254.169.254/32"}) {
    options.server.allow_peers = {IpPrefix::Parse(block).value()};
    EXPECT_OK(Check(options, {At("0.0.0.0:3478")})) << block;
  }
}

TEST(PolicyCheckTest, AWrongAnswerIsToldWithItsAddress) {
  const Options options;
  const std::vector<TransportAddress> listeners = {At("0.0.0.0:3478")};
  const Addresses addresses = AddressesOf(options, listeners, Machine());
  for (const char* wrong :
       {"127.0.0.1:22", "10.9.9.1:80", "11.1.1.1:3478", "[2a00:1::1]:443",
        "169.254.169.254:80", "[::1]:22", "11.1.1.1:49152"}) {
    const absl::Status status = CheckPolicy(
        options, listeners, addresses,
        [&](const TransportAddress& peer) { return peer == At(wrong); });
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_NE(status.message().find(wrong), absl::string_view::npos) << status;
  }
}

// Not even what is named may be one of our own services.
TEST(PolicyCheckTest, ServicesStayClosedWhenTheirAddressIsNamed) {
  Options options;
  options.server.listeners = {At("127.0.0.1:9000")};
  options.server.allow_peers = {IpPrefix::Parse("127.0.0.0/8").value()};
  const std::vector<TransportAddress> listeners = {At("127.0.0.1:3478")};
  const Addresses addresses = AddressesOf(options, listeners, Machine());
  EXPECT_OK(Check(options, listeners));
  const absl::Status status = CheckPolicy(options, listeners, addresses,
                                          [](const TransportAddress& peer) {
                                            return peer == At("127.0.0.1:9000");
                                          });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace kyuu::relay
