// Tests of candidates kept as bytes.

#include "ice/compact/candidate_list.h"

#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/testing.h"
#include "ice/candidate.h"

namespace kyuu::ice {
namespace {

// With something in each field.
std::vector<Candidate> Examples() {
  std::vector<Candidate> all;
  Candidate host;
  host.foundation = "1";
  host.priority = 2130706431;
  host.address = *TransportAddress::Parse("192.0.2.1:5000");
  host.base = host.address;
  all.push_back(host);

  Candidate tcp = host;
  tcp.transport = Transport::kTcp;
  tcp.tcp_type = TcpType::kSimultaneousOpen;
  tcp.name = "a.local";
  tcp.component = 256;
  all.push_back(tcp);

  Candidate local = host;
  local.address = {*IpAddress::Parse("fe80::1%70000"), 65535};
  local.base = local.address;
  local.extensions.Add("generation", "0");
  local.extensions.Add("network-cost", "999");
  all.push_back(local);

  Candidate relayed = host;
  relayed.foundation = std::string(300, 'f');
  relayed.type = CandidateType::kRelayed;
  relayed.address = *TransportAddress::Parse("[2001:db8::1]:1");
  relayed.related = TransportAddress{IpAddress::V4(0), 0};
  relayed.server = *TransportAddress::Parse("[2001:db8::2]:3478");
  relayed.relay_protocol = RelayProtocol::kTls;
  all.push_back(relayed);

  all.emplace_back();  // Nothing in any.
  return all;
}

TEST(CandidateList, GivesBackWhatWasAdded) {
  const std::vector<Candidate> all = Examples();
  CandidateList list;
  EXPECT_TRUE(list.empty());
  EXPECT_TRUE(list.Get().empty());
  for (const Candidate& candidate : all) list.Add(candidate);
  EXPECT_EQ(list.size(), all.size());
  EXPECT_EQ(list.Get(), all);
  EXPECT_EQ(CandidateList(all).Get(), all);
}

TEST(CandidateList, CopiesAreEqualAndTheirOwn) {
  const std::vector<Candidate> all = Examples();
  CandidateList list(all);
  CandidateList copy = list;
  EXPECT_EQ(copy, list);
  copy.Add(all[0]);
  EXPECT_NE(copy, list);
  EXPECT_EQ(list.Get(), all);
  list = std::move(copy);
  EXPECT_EQ(list.size(), all.size() + 1);
  EXPECT_TRUE(copy.empty());  // NOLINT(bugprone-use-after-move): it says so.
  EXPECT_TRUE(copy.Get().empty());
  list = CandidateList();
  EXPECT_EQ(list, CandidateList(std::vector<Candidate>()));
  std::vector<Candidate> turned(all.rbegin(), all.rend());
  EXPECT_NE(CandidateList(turned), CandidateList(all));
}

TEST(CandidateList, TakesOutInOrder) {
  const std::vector<Candidate> all = Examples();
  CandidateList list(all);
  const auto is_host = [](const Candidate& c) {
    return c.type == CandidateType::kHost;
  };
  EXPECT_TRUE(list.Any(is_host));
  EXPECT_EQ(list.TakeOut(is_host),
            (std::vector<Candidate>{all[0], all[1], all[2], all[4]}));
  EXPECT_EQ(list.Get(), std::vector<Candidate>{all[3]});
  EXPECT_FALSE(list.Any(is_host));
  EXPECT_TRUE(list.TakeOut(is_host).empty());
  EXPECT_EQ(list.TakeOut([](const Candidate&) { return true; }).size(), 1u);
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace kyuu::ice
