#include "mdns/endpoint.h"

#include <array>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::mdns {
namespace {

const IpAddress kA = IpAddress::V4(10, 0, 0, 1),
                kB = IpAddress::V4(10, 0, 0, 2);
constexpr absl::string_view kName =
    "5f0c6a1e-2b7d-4c3f-9a8b-7c6d5e4f3a2b.local";

// Endpoints on networks: what one sends to the group all others on it hear.
class EndpointTest : public testing::Test {
 protected:
  struct Host {
    Endpoint endpoint{};
    std::map<IpAddress, int> networks;  // Of its addresses.
    std::vector<Resolved> resolved;
  };

  void Join(Host& host, const IpAddress& ip, int network = 0,
            uint32_t interface = 7) {
    host.networks[ip] = network;
    ASSERT_OK(host.endpoint.AddLink(now_, {ip, interface}));
  }

  // Delivers all that is sent at this moment; what is lost `lost` says.
  void Settle(std::vector<Host*> hosts) {
    for (bool more = true; more;) {
      more = false;
      for (Host* host : hosts) {
        while (auto out =
                   host->endpoint.PollTransmit(now_, absl::MakeSpan(buffer_))) {
          more = true;
          sent_.emplace_back(out->path, *Parse(out->bytes));
          if (lost_) continue;
          for (Host* other : hosts) Deliver(*host, *other, *out);
        }
      }
    }
    for (Host* host : hosts) {
      while (auto event = host->endpoint.PollEvent()) {
        host->resolved.push_back(std::get<Resolved>(*event));
      }
    }
  }
  void Deliver(const Host& from, Host& to, const Datagram& out) {
    for (const auto& [ip, network] : to.networks) {
      if (network != from.networks.at(out.path.local.ip) ||
          out.path.remote != GroupOf(ip.family())) {
        continue;
      }
      to.endpoint.HandlePacket(now_,
                               {{{ip, kPort}, out.path.local}, out.bytes});
    }
  }
  // Runs until `until`, or until nothing is left to do.
  void RunUntil(std::vector<Host*> hosts, absl::Time until) {
    while (true) {
      Settle(hosts);
      absl::Time next = absl::InfiniteFuture();
      for (Host* host : hosts) {
        next = std::min(next, host->endpoint.NextTimeout());
      }
      if (next > until) break;
      ASSERT_GT(next, now_);
      now_ = next;
      for (Host* host : hosts) host->endpoint.HandleTimeout(now_);
    }
    now_ = until;
  }
  // As if `remote` had sent it on the link of kA.
  template <typename Write>
  void Send(Host& to, const TransportAddress& remote, Write write) {
    std::array<uint8_t, 600> bytes;
    Writer w(absl::MakeSpan(bytes));
    write(w);
    ASSERT_TRUE(w.ok());
    to.endpoint.HandlePacket(now_, {{{kA, kPort}, remote}, w.written()});
  }
  void Ask(Host& to, QueryType type, uint16_t port = kPort) {
    Send(to, {kB, port}, [&](Writer& w) {
      WriteQuery(w, {.name = std::string(kName), .type = type});
    });
  }
  void Tell(Host& to, const IpAddress& ip, int ttl = 120,
            absl::string_view name = kName, uint16_t port = kPort) {
    Send(to, {kB, port}, [&](Writer& w) {
      WriteAnswer(w, {std::string(name), ip, absl::Seconds(ttl)});
    });
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::array<uint8_t, 600> buffer_;
  std::vector<std::pair<Path, Message>> sent_;
  bool lost_ = false;
};

TEST_F(EndpointTest, ANameIsResolvedAtOnce) {
  Host a, b;
  Join(a, kA);
  Join(b, kB);
  ASSERT_OK(b.endpoint.Publish(kName, kB, 7));
  const auto id = a.endpoint.Resolve(now_, absl::AsciiStrToUpper(kName));
  ASSERT_OK(id);
  Settle({&a, &b});
  ASSERT_EQ(a.resolved.size(), 1u);
  EXPECT_EQ(a.resolved[0].id, *id);
  EXPECT_EQ(a.resolved[0].ip, kB);
  // A question for A and one for AAAA, and an answer and a denial of theirs.
  ASSERT_EQ(sent_.size(), 4u);
  for (const auto& [path, message] : sent_) {
    EXPECT_EQ(path.remote, GroupOf(IpFamily::kV4));
    EXPECT_LE(message.questions.size(), 1u);  // All that Chromium reads.
  }
  EXPECT_EQ(a.endpoint.NextTimeout(), absl::InfiniteFuture());
  EXPECT_FALSE(a.endpoint.busy());
  EXPECT_TRUE(b.endpoint.busy());
}

TEST_F(EndpointTest, WhoDoesNotAnswerIsAskedEverLessOftenAndThenGivenUp) {
  Host a;
  Join(a, kA);
  const absl::Time start = now_;
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  std::vector<int64_t> seconds;
  while (a.resolved.empty()) {
    sent_.clear();
    Settle({&a});
    if (!sent_.empty()) seconds.push_back(absl::ToInt64Seconds(now_ - start));
    if (a.resolved.empty()) now_ = a.endpoint.NextTimeout();
    a.endpoint.HandleTimeout(now_);
  }
  EXPECT_THAT(seconds, testing::ElementsAre(0, 1, 3, 7));
  EXPECT_EQ(now_ - start, absl::Seconds(9));
  EXPECT_EQ(a.resolved[0].ip, std::nullopt);
  EXPECT_EQ(a.endpoint.stats().names_expired, 1u);
}

TEST_F(EndpointTest, ALostQuestionIsAskedAgain) {
  Host a, b;
  Join(a, kA);
  Join(b, kB);
  ASSERT_OK(b.endpoint.Publish(kName, kB, 7));
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  lost_ = true;
  Settle({&a, &b});
  lost_ = false;
  RunUntil({&a, &b}, now_ + absl::Seconds(1));
  ASSERT_EQ(a.resolved.size(), 1u);
  EXPECT_EQ(a.resolved[0].ip, kB);
}

// RFC 6762 section 6: a record is multicast once a second, and whoever asked
// meanwhile hears it then.
TEST_F(EndpointTest, ManyQuestionsMakeFewAnswers) {
  Host a;
  Join(a, kA);
  ASSERT_OK(a.endpoint.Publish(kName, kA, 7));
  for (int i = 0; i < 1000; ++i) {
    Ask(a, QueryType::kA);
    Ask(a, QueryType::kAaaa);
    Settle({&a});
    now_ += absl::Milliseconds(1);
  }
  EXPECT_EQ(sent_.size(), 2u);
  RunUntil({&a}, now_ + absl::Seconds(5));
  EXPECT_EQ(sent_.size(), 4u);
  EXPECT_EQ(sent_[2].second.records.size() + sent_[3].second.records.size(),
            1u);
}

TEST_F(EndpointTest, WhoKnowsIsNotToldAgain) {
  Host a;
  Join(a, kA);
  ASSERT_OK(a.endpoint.Publish(kName, kA, 7));
  const auto ask = [&](const IpAddress& ip, uint32_t ttl) {
    Send(a, {kB, kPort}, [&](Writer& w) {
      WriteLegacyAnswer(w, 0, {.name = std::string(kName)},
                        {std::string(kName), ip, absl::Seconds(ttl)});
      w.mutable_written()[2] = 0;  // A query with a known answer.
    });
    Settle({&a});
    now_ += absl::Seconds(2);
    return std::exchange(sent_, {}).size();
  };
  EXPECT_EQ(ask(kA, 120), 0u);
  EXPECT_EQ(ask(kA, 60), 0u);
  EXPECT_EQ(ask(kA, 59), 1u);   // It would forget too soon,
  EXPECT_EQ(ask(kB, 120), 1u);  // or knows something else.
}

TEST_F(EndpointTest, NamesAreAnsweredOnTheirOwnInterfaceAlone) {
  const IpAddress elsewhere = IpAddress::V4(192, 168, 0, 1);
  const IpAddress v6 = *IpAddress::Parse("fe80::2%7");
  Host a, b;
  Join(a, kA, 0);
  Join(a, IpAddress::V4(192, 168, 0, 9), 1, 8);
  Join(b, kB, 0, 7);
  Join(b, v6, 2, 7);  // Of the other family, nobody is there.
  Join(b, elsewhere, 1, 8);
  ASSERT_OK(b.endpoint.Publish(kName, elsewhere, 8));
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Settle({&a, &b});
  ASSERT_EQ(a.resolved.size(), 1u);
  EXPECT_EQ(a.resolved[0].ip, elsewhere);
  for (const auto& [path, message] : sent_) {
    if (message.response) {
      EXPECT_EQ(path.local.ip, elsewhere);
    }
  }
}

TEST_F(EndpointTest, AnAddressOfIpv6IsToldOverIpv4Too) {
  Host a, b;
  Join(a, kA);
  Join(b, kB);
  ASSERT_OK(b.endpoint.Publish(kName, *IpAddress::Parse("2001:db8::2"), 7));
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Settle({&a, &b});
  ASSERT_EQ(a.resolved.size(), 1u);
  EXPECT_EQ(a.resolved[0].ip, *IpAddress::Parse("2001:db8::2"));
}

TEST_F(EndpointTest, LinkLocalAddressesHaveTheScopeOfTheirLink) {
  Host a;
  Join(a, kA);
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Tell(a, *IpAddress::Parse("fe80::2"));
  Settle({&a});
  ASSERT_EQ(a.resolved.size(), 1u);
  EXPECT_EQ(a.resolved[0].ip, *IpAddress::Parse("fe80::2%7"));
}

TEST_F(EndpointTest, WhatWasHeardIsKnownForAWhile) {
  Host a, b;
  Join(a, kA);
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Tell(a, kB, 10);
  Settle({&a});
  sent_.clear();
  now_ += absl::Seconds(9);
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Settle({&a});
  ASSERT_EQ(a.resolved.size(), 2u);
  EXPECT_EQ(a.resolved[1].ip, kB);
  EXPECT_TRUE(sent_.empty());
  now_ += absl::Seconds(1);
  const auto id = a.endpoint.Resolve(now_, kName);
  Settle({&a});
  EXPECT_EQ(a.resolved.size(), 2u);
  EXPECT_EQ(sent_.size(), 2u);
  a.endpoint.Cancel(*id);
  // What was taken back, and what the network told that is left, is not known.
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Tell(a, kB);
  Tell(a, kB, 0);
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Settle({&a});
  EXPECT_EQ(a.resolved.size(), 3u);
  Tell(a, kB);
  a.endpoint.RemoveLink(kA);
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Settle({&a});
  EXPECT_EQ(a.resolved.size(), 4u);
}

TEST_F(EndpointTest, OwnNamesNeedNoNetwork) {
  Host a;
  ASSERT_OK(a.endpoint.Publish(kName, kA, 7));
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Settle({&a});
  ASSERT_EQ(a.resolved.size(), 1u);
  EXPECT_EQ(a.resolved[0].ip, kA);
}

TEST_F(EndpointTest, WhoComesLaterIsAskedToo) {
  Host a, b;
  Join(a, kA);
  Join(b, kB, 1);
  ASSERT_OK(b.endpoint.Publish(kName, kB, 7));
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Settle({&a, &b});
  EXPECT_TRUE(a.resolved.empty());
  Join(a, IpAddress::V4(10, 0, 0, 3), 1);
  Settle({&a, &b});
  ASSERT_EQ(a.resolved.size(), 1u);
  EXPECT_EQ(a.resolved[0].ip, kB);
}

TEST_F(EndpointTest, ANameThatGoesIsTakenBackWhereItWasTold) {
  Host a;
  Join(a, kA);
  ASSERT_OK(a.endpoint.Publish(kName, kA, 7));
  a.endpoint.Withdraw(now_, kName);
  Settle({&a});
  EXPECT_TRUE(sent_.empty());  // Nobody has heard of it.
  ASSERT_OK(a.endpoint.Publish(kName, kA, 7));
  Ask(a, QueryType::kAny);
  Settle({&a});
  Ask(a, QueryType::kAny);  // Would be answered in a second.
  a.endpoint.Withdraw(now_, kName);
  RunUntil({&a}, now_ + absl::Seconds(5));
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[0].second.records[0].ttl, absl::Seconds(120));
  EXPECT_EQ(sent_[1].second.records[0].ttl, absl::ZeroDuration());
  EXPECT_FALSE(a.endpoint.busy());
}

// RFC 6762 section 6.7.
TEST_F(EndpointTest, ProgramsThatKnowNoMulticastDnsAreAnsweredAlone) {
  Host a;
  Join(a, kA);
  ASSERT_OK(a.endpoint.Publish(kName, kA, 7));
  for (int i = 0; i < 50; ++i) Ask(a, QueryType::kA, 40000);
  Ask(a, QueryType::kAaaa, 40000);
  Settle({&a});
  ASSERT_EQ(sent_.size(), 1u);
  const auto& [path, message] = sent_[0];
  EXPECT_EQ(path.remote, (TransportAddress{kB, 40000}));
  ASSERT_EQ(message.questions.size(), 1u);
  ASSERT_EQ(message.records.size(), 1u);
  EXPECT_EQ(message.records[0].ttl, absl::Seconds(10));
  now_ += absl::Milliseconds(100);
  Ask(a, QueryType::kA, 40000);
  Settle({&a});
  EXPECT_EQ(sent_.size(), 2u);
}

TEST_F(EndpointTest, NoiseIsCountedAndChangesNothing) {
  Host a;
  Join(a, kA);
  ASSERT_OK(a.endpoint.Resolve(now_, kName));
  Tell(a, kB, 120, "other.local");
  Tell(a, kB, 120, kName, 5354);  // No responder speaks from there.
  Tell(a, IpAddress::V4(224, 0, 0, 1));
  Tell(a, IpAddress::V4(0));
  const uint8_t noise[] = {1, 2, 3};
  a.endpoint.HandlePacket(now_, {{{kA, kPort}, {kB, kPort}}, noise});
  a.endpoint.HandlePacket(now_, {{{kB, kPort}, {kB, kPort}}, noise});
  Settle({&a});
  EXPECT_TRUE(a.resolved.empty());
  const EndpointStats& stats = a.endpoint.stats();
  EXPECT_EQ(stats.drop_malformed, 1u);
  EXPECT_EQ(stats.drop_unknown_link, 1u);
  EXPECT_EQ(stats.drop_wrong_port, 1u);
  EXPECT_EQ(stats.responses_received, 3u);
}

TEST_F(EndpointTest, CommandsHaveBounds) {
  Endpoint endpoint({.max_queries = 2, .max_names = 2, .max_links = 2});
  for (const char* name : {"", "example.com", "local", "a b.local"}) {
    EXPECT_THAT(endpoint.Resolve(now_, name),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
    EXPECT_THAT(endpoint.Publish(name, kA, 7),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
  EXPECT_THAT(endpoint.Publish("a.local", IpAddress(), 7),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(endpoint.AddLink(now_, {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  for (uint32_t i = 0; i < 3; ++i) {
    const auto expected =
        i < 2 ? absl::StatusCode::kOk : absl::StatusCode::kResourceExhausted;
    const std::string name = absl::StrCat("n", i, ".local");
    EXPECT_THAT(endpoint.Resolve(now_, name), StatusIs(expected));
    EXPECT_THAT(endpoint.Publish(name, kA, 7), StatusIs(expected));
    EXPECT_THAT(endpoint.AddLink(now_, {IpAddress::V4(0x0a000001u + i)}),
                StatusIs(expected));
  }
  EXPECT_THAT(endpoint.Publish("n0.local", kA, 7),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(endpoint.AddLink(now_, {kA}),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(EndpointTest, WhatWaitsToBeSentIsBounded) {
  Endpoint endpoint;
  for (uint32_t i = 0; i < 32; ++i) {
    ASSERT_OK(endpoint.AddLink(now_, {IpAddress::V4(0x0a000100u + i)}));
  }
  for (int i = 0; i < 256; ++i) {
    ASSERT_OK(endpoint.Resolve(now_, absl::StrCat("n", i, ".local")));
  }
  endpoint.HandleTimeout(now_);
  EXPECT_EQ(endpoint.stats().drop_own_limit, 32u * 256 * 2 - 1024);
  size_t sent = 0;
  while (endpoint.PollTransmit(now_, absl::MakeSpan(buffer_))) ++sent;
  EXPECT_EQ(sent, 1024u);
}

}  // namespace
}  // namespace kyuu::mdns
