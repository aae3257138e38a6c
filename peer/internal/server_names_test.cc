#include "peer/internal/server_names.h"

#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "ice/candidate.h"

namespace kyuu::peer::internal {
namespace {

using ice::RelayProtocol;

TransportAddress At(const char* text) { return *TransportAddress::Parse(text); }

ice::Candidate Of(const TransportAddress& server,
                  std::optional<RelayProtocol> protocol = std::nullopt) {
  ice::Candidate candidate;
  candidate.server = server;
  candidate.relay_protocol = protocol;
  return candidate;
}

TEST(ServerNames, EveryKindHasItsUrl) {
  ServerNames names;
  const TransportAddress at = At("192.0.2.1:3478");
  names.Add({at}, {}, "stun.example.org");
  struct Row {
    RelayProtocol protocol;
    const char* url;
  };
  const Row rows[] = {
      {RelayProtocol::kUdp, "turn:turn.example.org:3478?transport=udp"},
      {RelayProtocol::kTcp, "turn:turn.example.org:3478?transport=tcp"},
      {RelayProtocol::kDtls, "turns:turn.example.org:3478?transport=udp"},
      {RelayProtocol::kTls, "turns:turn.example.org:3478?transport=tcp"}};
  for (const Row& row : rows) {
    names.Add({}, {{at, "u", "p", row.protocol, "turn.example.org"}}, "other");
    EXPECT_EQ(names.UrlOf(Of(at, row.protocol)), row.url);
  }
  EXPECT_EQ(names.UrlOf(Of(at)), "stun:stun.example.org:3478");
  EXPECT_EQ(names.UrlOf({}), "");
}

TEST(ServerNames, WhatHasNoNameIsToldByItsAddress) {
  ServerNames names;
  const TransportAddress v6 = At("[2001:db8::1]:3478");
  EXPECT_EQ(names.UrlOf(Of(v6)), "stun:[2001:db8::1]:3478");
  EXPECT_EQ(names.UrlOf(Of(v6, RelayProtocol::kUdp)),
            "turn:[2001:db8::1]:3478?transport=udp");
  // As a URL names it.
  names.Add({v6}, {}, "2001:db8::1");
  EXPECT_EQ(names.UrlOf(Of(v6)), "stun:[2001:db8::1]:3478");
}

TEST(ServerNames, ATurnServerThatWasAskedAsStunServerIsItself) {
  ServerNames names;
  const TransportAddress at = At("192.0.2.1:3478");
  names.Add({}, {{at, "u", "p"}}, "turn.example.org");
  EXPECT_EQ(names.UrlOf(Of(at)), "turn:turn.example.org:3478?transport=udp");
}

TEST(ServerNames, TheOldestOfManyAreForgotten) {
  ServerNames names;
  for (uint16_t port = 1; port <= ServerNames::kMax + 1; ++port) {
    names.Add({{IpAddress::V4(192, 0, 2, 1), port}}, {}, "name");
  }
  EXPECT_EQ(names.UrlOf(Of(At("192.0.2.1:1"))), "stun:192.0.2.1:1");
  EXPECT_EQ(names.UrlOf(Of(At("192.0.2.1:2"))), "stun:name:2");
  // One that is told again is the newest.
  names.Add({At("192.0.2.1:2")}, {}, "again");
  names.Add({At("192.0.2.1:1")}, {}, "name");
  EXPECT_EQ(names.UrlOf(Of(At("192.0.2.1:2"))), "stun:again:2");
  EXPECT_EQ(names.UrlOf(Of(At("192.0.2.1:3"))), "stun:192.0.2.1:3");
}

}  // namespace
}  // namespace kyuu::peer::internal
