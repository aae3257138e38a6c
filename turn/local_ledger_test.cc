#include "turn/local_ledger.h"

#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu::turn {
namespace {

using Refusal = Ledger::Refusal;
using Ports = Ledger::Ports;

IpAddress Ip(absl::string_view text) { return IpAddress::Parse(text).value(); }

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

ServerOptions Options(std::vector<ServerOptions::RelayAddress> addresses,
                      uint16_t ports = 100) {
  ServerOptions options;
  options.relay_addresses = std::move(addresses);
  options.relay_port_low = 50'000;
  options.relay_port_high = static_cast<uint16_t>(50'000 + ports - 1);
  return options;
}

class LedgerTest : public testing::Test {
 protected:
  Ledger::Claim Claim(absl::string_view reached, absl::string_view client,
                      std::string user = "u") {
    Ledger::Claim claim;
    claim.holder = {0, RelayId{++next_id_}};
    claim.client = {{Ip(reached), 3478}, {Ip(client), 4000}, Transport::kUdp};
    claim.user = std::move(user);
    claim.family = Ip(reached).family();
    return claim;
  }
  Ledger::Result Take(LocalLedger& ledger, const Ledger::Claim& claim) {
    return ledger.Take(kNow, claim, random_);
  }
  // The relayed IP, or the refusal's number.
  std::string Told(LocalLedger& ledger, const Ledger::Claim& claim) {
    const Ledger::Result result = Take(ledger, claim);
    if (const auto* lease = std::get_if<Ledger::Lease>(&result)) {
      return lease->relayed.ip.ToString();
    }
    return "refused";
  }

  SeededRandom random_{7};
  uint64_t next_id_ = 0;
};

// A wildcard listener on a machine with two cards and loopback.
TEST_F(LedgerTest, TheRelayAddressFitsTheAddressThatWasReached) {
  LocalLedger ledger(Options({{Ip("11.1.1.1"), {}},
                              {Ip("10.9.9.1"), {}},
                              {Ip("127.0.0.1"), {}},
                              {Ip("2a00:1::1"), {}},
                              {Ip("::1"), {}}}),
                     random_);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Told(ledger, Claim("11.1.1.1", "11.1.1.2")), "11.1.1.1");
    EXPECT_EQ(Told(ledger, Claim("10.9.9.1", "10.9.9.2")), "10.9.9.1");
    EXPECT_EQ(Told(ledger, Claim("127.0.0.1", "127.0.0.1")), "127.0.0.1");
  }
  // The other family: the first that others reach.
  Ledger::Claim six = Claim("11.1.1.1", "11.1.1.2");
  six.family = IpFamily::kV6;
  EXPECT_EQ(Told(ledger, six), "2a00:1::1");
  six = Claim("127.0.0.1", "127.0.0.1");
  six.family = IpFamily::kV6;
  EXPECT_EQ(Told(ledger, six), "::1");
  // An address that is none of the relays': the first.
  EXPECT_EQ(Told(ledger, Claim("11.1.1.9", "11.1.1.2")), "11.1.1.1");
}

// Two addresses that the operator has named serve as one larger range.
TEST_F(LedgerTest, AddressesForEverybodyLendWhenTheFirstIsOutOfPorts) {
  using RelayAddress = ServerOptions::RelayAddress;
  const auto whom = RelayAddress::For::kEverybody;
  LocalLedger named(
      Options({{Ip("11.1.1.1"), {}, whom}, {Ip("11.1.1.9"), {}, whom}}, 2),
      random_);
  LocalLedger cards(Options({{Ip("11.1.1.1"), {}}, {Ip("10.9.9.1"), {}}}, 2),
                    random_);
  std::vector<std::string> told, told_cards;
  for (int i = 0; i < 5; ++i) {
    const std::string client = "11.1.1." + std::to_string(20 + i);
    told.push_back(Told(named, Claim("11.1.1.9", client)));
    told_cards.push_back(Told(cards, Claim("11.1.1.1", client)));
  }
  EXPECT_EQ(told, (std::vector<std::string>{"11.1.1.9", "11.1.1.9", "11.1.1.1",
                                            "11.1.1.1", "refused"}));
  EXPECT_EQ(told_cards,
            (std::vector<std::string>{"11.1.1.1", "11.1.1.1", "refused",
                                      "refused", "refused"}));
}

TEST_F(LedgerTest, LoopbackIsForClientsOnLoopback) {
  LocalLedger ledger(Options({{Ip("127.0.0.1"), {}}}), random_);
  const auto result = Take(ledger, Claim("11.1.1.1", "11.1.1.2"));
  EXPECT_EQ(std::get<Refusal>(result), Refusal::kFamily);
  EXPECT_EQ(Told(ledger, Claim("127.0.0.1", "127.0.0.1")), "127.0.0.1");
  // Only this machine reaches its loopback, from whichever of its addresses.
  EXPECT_EQ(Told(ledger, Claim("127.0.0.1", "11.1.1.1")), "127.0.0.1");
}

TEST_F(LedgerTest, WhatIsToldIsTheAdvertisedAddress) {
  LocalLedger ledger(Options({{Ip("10.0.0.1"), Ip("8.8.4.4")}}), random_);
  const auto result = Take(ledger, Claim("10.0.0.1", "9.9.9.9"));
  const auto& lease = std::get<Ledger::Lease>(result);
  EXPECT_EQ(lease.bind.ip, Ip("10.0.0.1"));
  EXPECT_EQ(lease.relayed.ip, Ip("8.8.4.4"));
  EXPECT_EQ(lease.relayed.port, lease.bind.port);
  EXPECT_TRUE(ledger.Find(lease.relayed, Transport::kUdp).has_value());
  EXPECT_FALSE(ledger.Find(lease.bind, Transport::kUdp).has_value());
  EXPECT_TRUE(ledger.IsLent(Ip("8.8.4.4")));
}

TEST_F(LedgerTest, FindKnowsWhatIsLentNowAndWhose) {
  LocalLedger ledger(Options({{Ip("11.1.1.1"), {}}}, 2), random_);
  Ledger::Claim claim = Claim("11.1.1.1", "11.1.1.2");
  claim.holder.instance = 3;
  EXPECT_FALSE(ledger.IsLent(Ip("11.1.1.1")));
  const auto lease = std::get<Ledger::Lease>(Take(ledger, claim));
  EXPECT_EQ(ledger.Find(lease.relayed, Transport::kUdp), claim.holder);
  EXPECT_FALSE(ledger.Find({lease.relayed.ip, uint16_t(lease.relayed.port ^ 1)},
                           Transport::kUdp));
  ledger.Return(lease.bind);
  ledger.Return(lease.bind);  // Once is enough.
  EXPECT_FALSE(ledger.Find(lease.relayed, Transport::kUdp).has_value());
  EXPECT_FALSE(ledger.IsLent(Ip("11.1.1.1")));
  EXPECT_EQ(ledger.free_ports(), 2u);
}

TEST_F(LedgerTest, EveryPortOfASmallRangeIsLent) {
  LocalLedger ledger(Options({{Ip("11.1.1.1"), {}}}, 4), random_);
  const auto client = [](int i) { return "11.1.1." + std::to_string(2 + i); };
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Told(ledger, Claim("11.1.1.1", client(i))), "11.1.1.1");
  }
  EXPECT_EQ(std::get<Refusal>(Take(ledger, Claim("11.1.1.1", client(9)))),
            Refusal::kPorts);
}

TEST_F(LedgerTest, QuotasCountUsersSourcesAndAllTogether) {
  ServerOptions options = Options({{Ip("11.1.1.1"), {}}, {Ip("2a00::1"), {}}});
  options.allocations_per_user_max = 2;
  options.allocations_per_source_max = 3;
  options.allocations_max = 6;
  LocalLedger ledger(options, random_);
  const auto refusal = [&](absl::string_view client, std::string user) {
    const auto result =
        Take(ledger, Claim(Ip(client).is_v4() ? "11.1.1.1" : "2a00::1", client,
                           std::move(user)));
    const auto* no = std::get_if<Refusal>(&result);
    return no == nullptr ? -1 : static_cast<int>(*no);
  };
  EXPECT_EQ(refusal("9.9.9.9", "a"), -1);
  EXPECT_EQ(refusal("9.9.9.8", "a"), -1);
  EXPECT_EQ(refusal("9.9.9.7", "a"), static_cast<int>(Refusal::kUserQuota));
  // One /64 is one source; the neighbour is another.
  EXPECT_EQ(refusal("2a00:5::1", "b"), -1);
  EXPECT_EQ(refusal("2a00:5::2", "c"), -1);
  EXPECT_EQ(refusal("2a00:5::ffff:1", "d"), -1);
  EXPECT_EQ(refusal("2a00:5::9", "e"), static_cast<int>(Refusal::kSourceQuota));
  EXPECT_EQ(refusal("2a00:5:0:1::9", "e"), -1);
  EXPECT_EQ(refusal("8.8.8.8", "f"), static_cast<int>(Refusal::kTotal));
  ledger.ReturnAll(0);
  EXPECT_EQ(refusal("9.9.9.9", "a"), -1);
}

TEST_F(LedgerTest, OneSourceLeavesPortsForTheOthers) {
  for (const auto trust :
       {Ledger::Trust::kGranted, Ledger::Trust::kConfigured}) {
    LocalLedger ledger(Options({{Ip("11.1.1.1"), {}}}, 10), random_);
    int taken = 0;
    for (int i = 0; i < 10; ++i) {
      // Each with a credential of its own: only the source is the same.
      Ledger::Claim claim =
          Claim("11.1.1.1", "9.9.9.9", "session" + std::to_string(i));
      claim.trust = trust;
      const auto result = Take(ledger, claim);
      if (std::holds_alternative<Ledger::Lease>(result)) {
        ++taken;
      } else {
        EXPECT_EQ(std::get<Refusal>(result), Refusal::kSourceQuota);
      }
    }
    EXPECT_EQ(taken, 5);
    EXPECT_EQ(Told(ledger, Claim("11.1.1.1", "9.9.9.8")), "11.1.1.1");
  }
}

TEST_F(LedgerTest, ProgramsOfThisMachineAreTrustedUnlessTheyAreAnybody) {
  LocalLedger ledger(Options({{Ip("127.0.0.1"), {}}}, 4), random_);
  Ledger::Claim session = Claim("127.0.0.1", "127.0.0.1");
  session.trust = Ledger::Trust::kGranted;
  EXPECT_EQ(Told(ledger, session), "127.0.0.1");
  EXPECT_EQ(Told(ledger, session), "127.0.0.1");
  EXPECT_EQ(Told(ledger, session), "refused");
  EXPECT_EQ(Told(ledger, Claim("127.0.0.1", "127.0.0.1")), "127.0.0.1");
  EXPECT_EQ(Told(ledger, Claim("127.0.0.1", "127.0.0.1")), "127.0.0.1");
}

TEST_F(LedgerTest, EvenASingleSharedPortIsLentToASession) {
  LocalLedger ledger(Options({{Ip("11.1.1.1"), {}}}, 1), random_);
  Ledger::Claim claim = Claim("11.1.1.1", "9.9.9.9");
  claim.trust = Ledger::Trust::kGranted;
  EXPECT_EQ(Told(ledger, claim), "11.1.1.1");
}

// Three of four ports are another program's: the fourth is found each time.
TEST_F(LedgerTest, PortsThatCannotBeOpenedAreNotTriedTwice) {
  for (int round = 0; round < 50; ++round) {
    LocalLedger ledger(Options({{Ip("11.1.1.1"), {}}}, 4), random_);
    Ledger::Result result = Take(ledger, Claim("11.1.1.1", "11.1.1.2"));
    std::set<uint16_t> tried;
    int tries = 0;
    while (std::holds_alternative<Ledger::Lease>(result)) {
      const TransportAddress bind = std::get<Ledger::Lease>(result).bind;
      ++tries;
      tried.insert(bind.port);
      if (bind.port == 50'002) break;
      result = ledger.Exchange(kNow, bind, random_);
    }
    ASSERT_TRUE(std::holds_alternative<Ledger::Lease>(result)) << round;
    EXPECT_EQ(tried.size(), static_cast<size_t>(tries));
    ledger.Return(std::get<Ledger::Lease>(result).bind);
    EXPECT_EQ(ledger.free_ports(), 4u) << "all come back";
  }
}

TEST_F(LedgerTest, OpenAttemptsAreBounded) {
  ServerOptions options = Options({{Ip("11.1.1.1"), {}}});
  options.open_attempts = 3;
  LocalLedger ledger(options, random_);
  Ledger::Result result = Take(ledger, Claim("11.1.1.1", "11.1.1.2"));
  int tries = 1;
  while (std::holds_alternative<Ledger::Lease>(result)) {
    result =
        ledger.Exchange(kNow, std::get<Ledger::Lease>(result).bind, random_);
    ++tries;
  }
  EXPECT_EQ(tries, 4);
  EXPECT_EQ(std::get<Refusal>(result), Refusal::kPorts);
  EXPECT_EQ(ledger.free_ports(), 100u);
  EXPECT_EQ(ledger.lent(), 0u);
}

TEST_F(LedgerTest, AReservedPortIsGivenOnceToWhoeverShowsTheToken) {
  LocalLedger ledger(Options({{Ip("11.1.1.1"), {}}}, 4), random_);
  Ledger::Claim claim = Claim("11.1.1.1", "11.1.1.2");
  claim.ports = Ports::kEvenAndNext;
  const auto first = std::get<Ledger::Lease>(Take(ledger, claim));
  ASSERT_TRUE(first.reservation.has_value());
  EXPECT_EQ(first.bind.port % 2, 0);
  EXPECT_EQ(ledger.free_ports(), 2u);
  Ledger::Claim second = Claim("11.1.1.1", "11.1.1.3");
  second.holder.instance = 1;
  second.token = first.reservation;
  const auto next = std::get<Ledger::Lease>(Take(ledger, second));
  EXPECT_EQ(next.bind.port, first.bind.port + 1);
  EXPECT_EQ(std::get<Refusal>(Take(ledger, second)), Refusal::kToken);
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(LedgerTest, AReservationIsNoAllocationOfItsUser) {
  ServerOptions options = Options({{Ip("11.1.1.1"), {}}});
  options.allocations_per_user_max = 2;
  LocalLedger ledger(options, random_);
  Ledger::Claim claim = Claim("11.1.1.1", "11.1.1.2");
  claim.ports = Ports::kEvenAndNext;
  for (int i = 0; i < 10; ++i) {
    const auto lease = Take(ledger, claim);
    ASSERT_TRUE(std::holds_alternative<Ledger::Lease>(lease)) << i;
    ledger.Return(std::get<Ledger::Lease>(lease).bind);
  }
  EXPECT_EQ(ledger.reserved(), 10u);
}

TEST_F(LedgerTest, AReservationEndsInTimeAndCountsUntilThen) {
  ServerOptions options = Options({{Ip("11.1.1.1"), {}}}, 4);
  options.allocations_per_source_max = 2;
  LocalLedger ledger(options, random_);
  Ledger::Claim claim = Claim("11.1.1.1", "11.1.1.2");
  claim.ports = Ports::kEvenAndNext;
  const auto lease = std::get<Ledger::Lease>(Take(ledger, claim));
  EXPECT_EQ(std::get<Refusal>(Take(ledger, claim)), Refusal::kSourceQuota);
  ledger.Expire(kNow + absl::Seconds(29));
  EXPECT_EQ(ledger.reserved(), 1u);
  ledger.Expire(kNow + absl::Seconds(30));
  EXPECT_EQ(ledger.reserved(), 0u);
  EXPECT_EQ(ledger.free_ports(), 3u);
  claim.ports = Ports::kAny;
  claim.token = lease.reservation;
  EXPECT_EQ(std::get<Refusal>(Take(ledger, claim)), Refusal::kToken);
}

// An address goes while it is in use, and comes back.
TEST_F(LedgerTest, AddressesComeAndGo) {
  LocalLedger ledger(Options({}), random_);
  const Ledger::Claim claim = Claim("11.1.1.1", "11.1.1.2");
  EXPECT_EQ(std::get<Refusal>(Take(ledger, claim)), Refusal::kFamily);
  ledger.SetRelayAddresses({{Ip("11.1.1.1"), {}}});
  const auto lease = std::get<Ledger::Lease>(Take(ledger, claim));
  ledger.SetRelayAddresses({{Ip("11.1.1.7"), {}}});
  EXPECT_EQ(Told(ledger, Claim("11.1.1.7", "11.1.1.2")), "11.1.1.7");
  EXPECT_TRUE(ledger.Find(lease.relayed, Transport::kUdp).has_value())
      << "a flap ends no call";
  ledger.SetRelayAddresses({{Ip("11.1.1.1"), {}}});
  EXPECT_EQ(ledger.free_ports(), 99u);
  ledger.Return(lease.bind);
  EXPECT_EQ(ledger.free_ports(), 100u);
  ledger.SetRelayAddresses({});
  EXPECT_EQ(ledger.free_ports(), 0u);
}

}  // namespace
}  // namespace kyuu::turn
