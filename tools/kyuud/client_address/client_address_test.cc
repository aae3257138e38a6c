#include "tools/kyuud/client_address/client_address.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tools/kyuud/client_address/whoami.h"

namespace kyuu::tools {
namespace {

using signaling::HttpRequest;

std::vector<IpPrefix> Proxies() {
  return {IpPrefix::Parse("10.0.0.0/8").value(),
          IpPrefix::Parse("2001:db8:1::/48").value()};
}

struct Row {
  const char* name;
  const char* remote;
  std::vector<std::string> fields;
  const char* client;
  ForwardedFor forwarded_for;
};

TEST(ClientAddressTest, ProxiesThatAreTrustedAreBelieved) {
  const Row rows[] = {
      {"no header", "192.0.2.1", {}, "192.0.2.1", ForwardedFor::kNone},
      {"a proxy's own", "10.0.0.1", {}, "10.0.0.1", ForwardedFor::kNone},
      {"one hop",
       "10.0.0.1",
       {"198.51.100.7"},
       "198.51.100.7",
       ForwardedFor::kUsed},
      {"a stranger's",
       "192.0.2.1",
       {"198.51.100.7"},
       "192.0.2.1",
       ForwardedFor::kIgnored},
      {"the client's invention in front",
       "10.0.0.1",
       {"127.0.0.1, 198.51.100.7"},
       "198.51.100.7",
       ForwardedFor::kUsed},
      {"two proxies of ours",
       "10.0.0.1",
       {"203.0.113.1, 198.51.100.7, 10.3.0.9"},
       "198.51.100.7",
       ForwardedFor::kUsed},
      {"two fields",
       "10.0.0.1",
       {"198.51.100.7", "10.3.0.9"},
       "198.51.100.7",
       ForwardedFor::kUsed},
      {"from inside",
       "10.0.0.1",
       {"10.3.0.9"},
       "10.3.0.9",
       ForwardedFor::kUsed},
      {"IPv6",
       "2001:db8:1::1",
       {"2001:db8:2::7"},
       "2001:db8:2::7",
       ForwardedFor::kUsed},
      {"with ports",
       "10.0.0.1",
       {"[2001:db8:2::7]:4711"},
       "2001:db8:2::7",
       ForwardedFor::kUsed},
      {"IPv4 with a port",
       "10.0.0.1",
       {"198.51.100.7:4711"},
       "198.51.100.7",
       ForwardedFor::kUsed},
      {"no address",
       "10.0.0.1",
       {"198.51.100.7, unknown"},
       "10.0.0.1",
       ForwardedFor::kUnreadable},
      {"empty", "10.0.0.1", {""}, "10.0.0.1", ForwardedFor::kUnreadable},
      {"garbage behind which a client stands",
       "10.0.0.1",
       {"<script>, 198.51.100.7"},
       "198.51.100.7",
       ForwardedFor::kUsed},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    HttpRequest request;
    for (const std::string& field : row.fields) {
      request.headers.Add("x-forwarded-for", field);
    }
    const ClientAddress client =
        ClientOf(request, IpAddress::Parse(row.remote).value(), Proxies());
    EXPECT_EQ(client.ip.ToString(), row.client);
    EXPECT_EQ(client.forwarded_for, row.forwarded_for);
  }
}

TEST(ClientAddressTest, AChainWithoutEndIsNotFollowed) {
  HttpRequest request;
  std::string chain = "198.51.100.7";
  for (size_t i = 0; i < kMaxForwardedHops; ++i) chain += ", 10.0.0.2";
  request.headers.Add("X-Forwarded-For", chain);
  const IpAddress proxy = IpAddress::V4(10, 0, 0, 1);
  const ClientAddress client = ClientOf(request, proxy, Proxies());
  EXPECT_EQ(client.ip, proxy);
  EXPECT_EQ(client.forwarded_for, ForwardedFor::kUnreadable);
}

TEST(WhoamiTest, TellsHowTheRequestHasArrived) {
  HttpRequest request;
  request.method = "GET";
  request.host = "kyuu.example\xff";
  request.headers.Add("X-Forwarded-Host", "front.example");
  DialectSettings dialects;
  dialects.peerjs_path = "/p";
  dialects.ywebrtc = DialectSettings::Service::kOff;
  const auto response = AnswerWhoami(
      request, {IpAddress::V4(192, 0, 2, 1), ForwardedFor::kIgnored}, dialects);
  EXPECT_EQ(response.status, 200);
  const auto told = nlohmann::json::parse(response.body);
  EXPECT_EQ(told["address"], "192.0.2.1");
  EXPECT_EQ(told["forwarded_for"], "ignored");
  EXPECT_EQ(told["forwarded_host"], "front.example");
  EXPECT_EQ(told["peerjs"], "/p/peerjs");
  EXPECT_FALSE(told.contains("y_webrtc"));
  request.method = "POST";
  EXPECT_EQ(AnswerWhoami(request, {}, dialects).status, 405);
}

}  // namespace
}  // namespace kyuu::tools
