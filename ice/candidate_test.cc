// Tests of candidate lines, priorities and foundations.

#include "ice/candidate.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing.h"

namespace kyuu::ice {
namespace {

// Lines as the programs of the field write them; all come back unchanged.
constexpr const char* kLines[] = {
    // Chromium 156.
    "candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host "
    "generation 0 ufrag Wdcg network-id 1 network-cost 10",
    "candidate:842163049 1 udp 1677729535 198.51.100.7 46243 typ srflx raddr "
    "192.168.0.196 rport 46243 generation 0 ufrag Wdcg network-cost 999",
    "candidate:1 1 udp 2113937151 ae7f1dd1-5a94-4a03-8f8d-2f0b2c8d2f6b.local "
    "54111 typ host generation 0 ufrag Wdcg network-cost 999",
    "candidate:4 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active "
    "generation 0",
    // A hidden related address.
    "candidate:2 1 udp 1 203.0.113.9 0 typ relay raddr 0.0.0.0 rport 0",
    "candidate:3 256 udp 2147483647 fe80::1 65535 typ prflx raddr :: rport 0",
    // A related address without a port stays what it was.
    "candidate:3 1 udp 7 192.0.2.1 1 typ srflx raddr 192.0.2.2",
    "candidate:3 1 udp 7 192.0.2.1 1 typ srflx raddr host.example rport 1",
    "candidate:a+/ 1 tcp 7 192.0.2.1 1 typ host tcptype so x-new 1 y z",
};

TEST(CandidateLine, ComesBackUnchanged) {
  for (const char* line : kLines) {
    absl::StatusOr<Candidate> candidate = Candidate::Parse(line);
    ASSERT_OK(candidate) << line;
    EXPECT_EQ(candidate->ToString(), line);
  }
}

TEST(CandidateLine, FieldsOfAServerReflexiveOne) {
  absl::StatusOr<Candidate> c = Candidate::Parse(kLines[1]);
  ASSERT_OK(c);
  EXPECT_EQ(c->foundation, "842163049");
  EXPECT_EQ(c->component, 1);
  EXPECT_EQ(c->transport, Transport::kUdp);
  EXPECT_EQ(c->priority, 1677729535u);
  EXPECT_EQ(c->address.ToString(), "198.51.100.7:46243");
  EXPECT_EQ(c->type, CandidateType::kServerReflexive);
  ASSERT_TRUE(c->related);
  EXPECT_EQ(c->related->ToString(), "192.168.0.196:46243");
  EXPECT_EQ(c->ufrag(), "Wdcg");
  EXPECT_EQ(c->extensions.Get("network-cost"), "999");
  EXPECT_EQ(c->extensions.Get("network-id"), std::nullopt);
  EXPECT_FALSE(c->is_name());
}

// Found by the fuzzer: what is dropped in front of raddr made it an extension,
// which came back as a related address.
TEST(CandidateLine, WhatIsDroppedDoesNotStandBeforeTheRelatedAddress) {
  const auto candidate = Candidate::Parse(
      "candidate:3 1 udp 7 192.0.2.1 9 typ host tcptype x raddr :: rport 0");
  ASSERT_OK(candidate);
  EXPECT_TRUE(candidate->related.has_value());
  const auto again = Candidate::Parse(candidate->ToString());
  ASSERT_OK(again);
  EXPECT_EQ(*again, *candidate);
}

TEST(CandidateLine, PrefixesAndCaseAreOptional) {
  absl::StatusOr<Candidate> plain = Candidate::Parse(kLines[0]);
  ASSERT_OK(plain);
  const std::string line = kLines[0];
  EXPECT_EQ(Candidate::Parse("a=" + line).value(), *plain);
  EXPECT_EQ(Candidate::Parse(line.substr(10)).value(), *plain);
  EXPECT_EQ(
      Candidate::Parse(absl::StrReplaceAll(line, {{"udp", "UDP"}})).value(),
      *plain);
}

TEST(CandidateLine, MdnsNameIsKeptAsText) {
  absl::StatusOr<Candidate> c = Candidate::Parse(kLines[2]);
  ASSERT_OK(c);
  EXPECT_TRUE(c->is_name());
  EXPECT_TRUE(c->is_mdns());
  EXPECT_EQ(c->address.ip, IpAddress());
  EXPECT_EQ(c->address.port, 54111);
  EXPECT_FALSE(
      Candidate::Parse("1 1 udp 7 turn.example 1 typ host")->is_mdns());
}

TEST(CandidateLine, ForeignScopeIsDropped) {
  for (const char* ip : {"fe80::1%3", "fe80::1%eth0"}) {
    absl::StatusOr<Candidate> c =
        Candidate::Parse(absl::StrCat("1 1 udp 7 ", ip, " 1 typ host"));
    ASSERT_OK(c);
    EXPECT_EQ(c->ToString(), "candidate:1 1 udp 7 fe80::1 1 typ host");
  }
}

struct BadLine {
  const char* name;
  const char* line;
};

TEST(CandidateLine, RefusesMalformedOnes) {
  constexpr BadLine kBad[] = {
      {"empty", ""},
      {"only the prefix", "candidate:"},
      {"component 0", "1 0 udp 7 192.0.2.1 1 typ host"},
      {"component 257", "1 257 udp 7 192.0.2.1 1 typ host"},
      {"component -1", "1 -1 udp 7 192.0.2.1 1 typ host"},
      {"component 2^32+1", "1 4294967297 udp 7 192.0.2.1 1 typ host"},
      {"priority 2^32", "1 1 udp 4294967296 192.0.2.1 1 typ host"},
      {"priority 2^64", "1 1 udp 18446744073709551616 192.0.2.1 1 typ host"},
      {"priority signed", "1 1 udp +7 192.0.2.1 1 typ host"},
      {"priority hex", "1 1 udp 0x7 192.0.2.1 1 typ host"},
      {"port 65536", "1 1 udp 7 192.0.2.1 65536 typ host"},
      {"port missing", "1 1 udp 7 192.0.2.1 typ host"},
      {"address", "1 1 udp 7 192.0.2.1/24 1 typ host"},
      {"bracketed address", "1 1 udp 7 [2001:db8::1] 1 typ host"},
      {"no typ", "1 1 udp 7 192.0.2.1 1 type host"},
      {"no type", "1 1 udp 7 192.0.2.1 1 typ"},
      {"newline", "1 1 udp 7 192.0.2.1 1 typ host\r\na=ice-lite"},
      {"line feed", "1 1 udp 7 192.0.2.1 1 typ host\n"},
      {"tab", "1\t1 udp 7 192.0.2.1 1 typ host"},
      {"8 bit", "1 1 udp 7 192.0.2.1 1 typ host x \xc3\xa4"},
  };
  for (const BadLine& bad : kBad) {
    EXPECT_THAT(Candidate::Parse(bad.line),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << bad.name;
  }
  EXPECT_FALSE(
      Candidate::Parse(std::string("1 1 udp 7 192.0.2.1 1 typ host x a\0b", 36))
          .ok());
}

// Where a candidate is reached is in the line; the rest of it is not judged.
TEST(CandidateLine, OddWordsThatNobodyNeedsAreTaken) {
  struct OddLine {
    const char* line;
    const char* taken_as;
  };
  constexpr OddLine kOdd[] = {
      {"123456789012345678901234567890123 1 udp 7 192.0.2.1 1 typ host",
       "candidate:123456789012345678901234567890123 1 udp 7 192.0.2.1 1 typ "
       "host"},
      {"1 1 udp 0 192.0.2.1 1 typ host",
       "candidate:1 1 udp 1 192.0.2.1 1 typ host"},
      {"1 1 udp 2147483648 192.0.2.1 1 typ host",
       "candidate:1 1 udp 2147483647 192.0.2.1 1 typ host"},
      {"1 1 udp 4294967295 192.0.2.1 1 typ host",
       "candidate:1 1 udp 2147483647 192.0.2.1 1 typ host"},
      {"1 1 udp 7 192.0.2.1 1 typ host generation",
       "candidate:1 1 udp 7 192.0.2.1 1 typ host"},
      {"1 1 udp 7 192.0.2.1 1 typ host tcptype so",
       "candidate:1 1 udp 7 192.0.2.1 1 typ host"},
      {"1 1 udp 7 192.0.2.1 1 typ srflx raddr 192.0.2.2 rport 65536",
       "candidate:1 1 udp 7 192.0.2.1 1 typ srflx raddr 192.0.2.2 rport "
       "65536"},
      {"1  1   udp 7 192.0.2.1 1 typ host ",
       "candidate:1 1 udp 7 192.0.2.1 1 typ host"},
  };
  for (const OddLine& odd : kOdd) {
    const auto candidate = Candidate::Parse(odd.line);
    ASSERT_OK(candidate) << odd.line;
    EXPECT_EQ(candidate->ToString(), odd.taken_as);
  }
}

TEST(CandidateLine, UnknownTransportsAndTypesAreToBeIgnored) {
  EXPECT_THAT(Candidate::Parse("1 1 ssltcp 7 192.0.2.1 1 typ host"),
              StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(Candidate::Parse("1 1 udp 7 192.0.2.1 1 typ overlay"),
              StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(Candidate::Parse("1 1 tcp 7 192.0.2.1 1 typ host"),
              StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(Candidate::Parse("1 1 tcp 7 192.0.2.1 1 typ host tcptype x"),
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST(CandidateLine, LengthAndExtensionsAreBounded) {
  std::string line = "1 1 udp 7 192.0.2.1 1 typ host";
  for (size_t i = 0; i < Candidate::kMaxExtensions; ++i) {
    absl::StrAppend(&line, " n", i, " v");
  }
  EXPECT_OK(Candidate::Parse(line));
  EXPECT_EQ(Candidate::Parse(line + " one-more v")->extensions.size(),
            Candidate::kMaxExtensions);
  const std::string long_value(Candidate::kMaxLineSize, 'v');
  EXPECT_FALSE(
      Candidate::Parse("1 1 udp 7 192.0.2.1 1 typ host x " + long_value).ok());
}

TEST(CandidateLine, ExtensionsAreWordsInPairs) {
  const auto c = Candidate::Parse(
      "1 1 tcp 7 192.0.2.1 1 typ host  generation  0 a-long-name   "
      "a-long-value tcptype so x y ufrag generation ufrag 2 alone");
  ASSERT_OK(c);
  EXPECT_EQ(c->extensions.text(),
            "generation 0 a-long-name a-long-value x y ufrag generation ufrag "
            "2");
  EXPECT_EQ(c->extensions.size(), 5u);
  EXPECT_EQ(c->extensions.Get("generation"), "0");
  EXPECT_EQ(c->extensions.Get("a-long-name"), "a-long-value");
  // The first one counts, and a value is no name.
  EXPECT_EQ(c->ufrag(), "generation");
  EXPECT_EQ(c->extensions.Get("y"), std::nullopt);
  EXPECT_EQ(c->extensions.Get("tcptype"), std::nullopt);
  EXPECT_EQ(Candidate().extensions.size(), 0u);
}

// The table of blanks has an end at each sixteenth and each 64th character.
TEST(CandidateLine, WordsAreFoundWhereverTheyStand) {
  for (size_t size = 1; size < 200; ++size) {
    const std::string foundation(size, 'f');
    for (const char* blanks : {" ", "  ", "                 "}) {
      const std::string line = absl::StrCat(
          foundation, blanks, "1 udp 7 192.0.2.1 1 typ", blanks, "host x y");
      const auto c = Candidate::Parse(line);
      ASSERT_OK(c) << line;
      EXPECT_EQ(c->foundation, foundation);
      EXPECT_EQ(c->extensions.text(), "x y") << line;
      EXPECT_FALSE(Candidate::Parse(absl::StrCat(line, "\x7f")).ok());
      EXPECT_FALSE(Candidate::Parse(absl::StrCat("\t", line)).ok());
    }
  }
}

TEST(CandidateLine, WriterNeverBreaksTheLine) {
  Candidate c = Candidate::Parse(kLines[0]).value();
  c.foundation = "1\r\na=evil";
  c.extensions.Add("x", "two words");
  c.extensions.Add(std::string("n\0", 2), "");
  const std::string line = c.ToString();
  EXPECT_EQ(line.find_first_of(std::string("\r\n\0", 3)), std::string::npos);
  EXPECT_OK(Candidate::Parse(line));
}

TEST(CandidateLine, SurvivesTruncationAndFlippedBits) {
  for (const char* text : kLines) {
    const std::string line = text;
    for (size_t size = 0; size < line.size(); ++size) {
      (void)Candidate::Parse(line.substr(0, size));
    }
    for (size_t bit = 0; bit < line.size() * 8; ++bit) {
      std::string flipped = line;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      absl::StatusOr<Candidate> c = Candidate::Parse(flipped);
      if (!c.ok()) continue;
      EXPECT_EQ(Candidate::Parse(c->ToString()).value(), *c) << flipped;
    }
  }
}

TEST(Priority, FormulaOfRfc8445) {
  // 126 * 2^24 + 65535 * 2^8 + 255.
  EXPECT_EQ(Priority(CandidateType::kHost, 65535), 2130706431u);
  EXPECT_EQ(Priority(CandidateType::kRelayed, 0, 256), 0u);
  EXPECT_GT(Priority(CandidateType::kPeerReflexive, 0),
            Priority(CandidateType::kServerReflexive, 65535));
}

TEST(Priority, RelaysOverUdpThenTcpThenTlsOnWhateverNetwork) {
  EXPECT_GT(RelayPriority(RelayProtocol::kUdp, 0),
            RelayPriority(RelayProtocol::kTcp, 65535));
  EXPECT_GT(RelayPriority(RelayProtocol::kTcp, 0),
            RelayPriority(RelayProtocol::kTls, 65535));
  EXPECT_EQ(RelayPriority(RelayProtocol::kTls, 5),
            Priority(CandidateType::kRelayed, 5));
  EXPECT_LT(RelayPriority(RelayProtocol::kUdp, 65535),
            Priority(CandidateType::kServerReflexive, 0));
}

TEST(PairPriority, OrdersByTheLowerOneAndBreaksTies) {
  EXPECT_EQ(PairPriority(1, 2), (uint64_t{1} << 32) + 4);
  EXPECT_EQ(PairPriority(2, 1), (uint64_t{1} << 32) + 5);
  EXPECT_GT(PairPriority(3, 3), PairPriority(2, 0x7fffffff));
}

TEST(Foundations, SameForSameTypeBaseServerAndTransport) {
  Foundations foundations;
  const IpAddress base = IpAddress::V4(10, 0, 0, 1);
  const IpAddress server = IpAddress::V4(192, 0, 2, 1);
  const std::string host =
      foundations.Get(CandidateType::kHost, base, {}, Transport::kUdp);
  const std::string srflx = foundations.Get(CandidateType::kServerReflexive,
                                            base, server, Transport::kUdp);
  EXPECT_NE(host, srflx);
  EXPECT_EQ(host,
            foundations.Get(CandidateType::kHost, base, {}, Transport::kUdp));
  EXPECT_NE(host,
            foundations.Get(CandidateType::kHost, base, {}, Transport::kTcp));
  EXPECT_NE(srflx,
            foundations.Get(CandidateType::kServerReflexive, base,
                            IpAddress::V4(192, 0, 2, 2), Transport::kUdp));
}

}  // namespace
}  // namespace kyuu::ice
