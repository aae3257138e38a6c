#include "tools/kyuud/routes.h"

#include <string>
#include <vector>

#include "base/testing.h"

namespace kyuu::tools {
namespace {

signaling::HttpRequest Request(const std::string& host,
                               const std::string& origin = "",
                               const std::string& forwarded = "") {
  signaling::HttpRequest request;
  request.path = std::string(signaling::kSignalingPath);
  request.host = host;
  if (!host.empty()) request.headers.Add("Host", host);
  if (!origin.empty()) request.headers.Add("Origin", origin);
  if (!forwarded.empty()) request.headers.Add("X-Forwarded-Host", forwarded);
  return request;
}

int Judge(const Routes& routes, const signaling::HttpRequest& request) {
  const auto refusal = routes.RefuseUpgrade(request, true);
  return refusal ? refusal->status : 0;
}

// DNS rebinding: a page of evil.test resolves its name to 127.0.0.1.
TEST(RoutesTest, OnLoopbackOnlyNamesOfLoopbackAreServed) {
  const Routes routes({});
  for (const char* host :
       {"localhost", "LOCALHOST:9000", "kyuu.localhost", "127.0.0.1:9000",
        "127.1.2.3", "[::1]:9000", "localhost.", ""}) {
    EXPECT_EQ(Judge(routes, Request(host)), 0) << host;
  }
  for (const char* host : {"evil.test", "evil.test:9000", "localhost.evil.test",
                           "192.0.2.1", "127.0.0.1.evil.test"}) {
    EXPECT_EQ(Judge(routes, Request(host, "http://evil.test")), 421) << host;
  }
  for (const char* host : {"[::1", "a/b", "localhost@evil.test", "a:x"}) {
    EXPECT_EQ(Judge(routes, Request(host)), 400) << host;
  }
  signaling::HttpRequest probe = Request("evil.test");
  probe.path = "/healthz";
  EXPECT_FALSE(routes.RefuseHost(probe).has_value());
}

TEST(RoutesTest, ThePublicUrlIsServedAndOnANetworkNothingElseByName) {
  const auto url = PublicUrl::Parse("https://example.org/below/");
  ASSERT_OK(url);
  for (const Exposure exposure : {Exposure::kLoopback, Exposure::kNetwork}) {
    const Routes routes({.exposure = exposure, .public_url = *url});
    EXPECT_EQ(Judge(routes, Request("example.org")), 0);
    EXPECT_EQ(Judge(routes, Request("Example.org:9000")), 0);
    EXPECT_EQ(Judge(routes, Request("evil.test")), 421);
    EXPECT_EQ(Judge(routes, Request("192.0.2.1")),
              exposure == Exposure::kLoopback ? 421 : 0);
  }
  const Routes open({.exposure = Exposure::kNetwork});
  EXPECT_EQ(Judge(open, Request("any.test")), 0);
}

TEST(RoutesTest, PagesConnectToTheirOwnServer) {
  struct Row {
    const char* name;
    const char* origin;
    const char* host;
    const char* forwarded;
    int status;
  };
  const Row rows[] = {
      {"a program", "", "example.org", "", 0},
      {"its own", "http://example.org:9000", "example.org:9000", "", 0},
      {"default port left out", "http://example.org", "example.org:80", "", 0},
      {"default port of TLS", "https://example.org", "example.org:443", "", 0},
      {"written out", "https://example.org:443", "example.org", "", 0},
      {"proxy drops the port", "https://example.org:8443", "example.org", "",
       0},
      {"proxy puts ours", "https://example.org", "example.org:9000", "", 0},
      {"case", "https://Example.ORG", "eXample.org", "", 0},
      {"forwarded host", "https://example.org", "10.0.0.7:9000", "example.org",
       0},
      {"two proxies", "https://example.org", "10.0.0.7:9000",
       "example.org, inner.test", 0},
      {"another", "https://evil.test", "example.org", "", 403},
      {"another, forwarded", "https://evil.test", "10.0.0.7", "example.org",
       403},
      {"null", "null", "example.org", "", 403},
      {"no host", "https://", "example.org", "", 403},
      {"an app", "capacitor://localhost", "localhost", "", 403},
      {"suffix", "https://notexample.org", "example.org", "", 403},
      {"loopback, its own", "http://localhost:9000", "localhost:9000", "", 0},
      {"loopback, another port", "http://localhost:3000", "localhost:9000", "",
       403},
      {"IPv6", "http://[::1]:9000", "[::1]:9000", "", 0},
  };
  const Routes routes({.exposure = Exposure::kNetwork});
  for (const Row& row : rows) {
    EXPECT_EQ(Judge(routes, Request(row.host, row.origin, row.forwarded)),
              row.status)
        << row.name;
  }
}

TEST(RoutesTest, OtherPagesMayBeNamed) {
  const Routes routes(
      {.exposure = Exposure::kNetwork,
       .public_url = PublicUrl::Parse("https://meet.test").value(),
       .origins = {WebOrigin::Parse("https://app.test").value(),
                   WebOrigin::Parse("capacitor://localhost").value()}});
  for (const char* origin : {"https://app.test", "https://app.test:443",
                             "capacitor://localhost", "https://meet.test"}) {
    EXPECT_EQ(Judge(routes, Request("10.0.0.7", origin)), 0) << origin;
  }
  for (const char* origin :
       {"http://app.test", "https://app.test:444", "https://x.app.test"}) {
    EXPECT_EQ(Judge(routes, Request("10.0.0.7", origin)), 403) << origin;
  }
  const Routes any({.exposure = Exposure::kNetwork, .any_origin = true});
  EXPECT_EQ(Judge(any, Request("10.0.0.7", "null")), 0);
}

TEST(RoutesTest, ASubPathIsTakenOffIfTheProxyHasNot) {
  const Routes routes(
      {.public_url = PublicUrl::Parse("http://localhost/below").value()});
  signaling::HttpRequest request;
  for (const auto& [path, inner] :
       std::vector<std::pair<std::string, std::string>>{
           {"/below/", "/"},
           {"/below/v1/ws", "/v1/ws"},
           {"/v1/ws", "/v1/ws"},
           {"/belowx", "/belowx"},
           {"/below", "/below"}}) {
    request.path = path;
    EXPECT_EQ(routes.PathOf(request), inner);
  }
}

TEST(RoutesTest, OtherFormsAreErrors) {
  for (const char* text : {"", "null", "example.org", "https://", "https://a/b",
                           "https://a:0", "https://a:x", "https://u@a"}) {
    EXPECT_FALSE(WebOrigin::Parse(text).ok()) << text;
  }
  for (const char* text : {"ftp://a", "https://a/?x", "a", "https://a/%41"}) {
    EXPECT_FALSE(PublicUrl::Parse(text).ok()) << text;
  }
  EXPECT_EQ(WebOrigin::Parse("HTTPS://A.test:443")->ToString(),
            "https://a.test");
}

TEST(RoutesTest, WrongPathsAndProtocolsAreToldWhy) {
  const Routes routes({});
  signaling::HttpRequest request = Request("localhost");
  EXPECT_EQ(routes.RefuseUpgrade(request, false)->status, 400);
  request.path = "/other";
  EXPECT_EQ(routes.RefuseUpgrade(request, true)->status, 404);
}

TEST(RoutesTest, TheNameIsTheOneThatTheClientUsed) {
  const Routes routes({});
  EXPECT_EQ(routes.NameOf(Request("Example.org:9000")), "example.org");
  EXPECT_EQ(routes.NameOf(Request("[::1]:9000")), "[::1]");
  EXPECT_EQ(routes.NameOf(Request("10.0.0.7", "", "meet.test:443")),
            "meet.test");
  EXPECT_EQ(routes.NameOf(Request("")), "");
}

TEST(RoutesTest, OtherSignalingMayHaveMorePagesThanOurs) {
  const auto at = [](absl::string_view text) {
    return WebOrigin::Parse(text).value();
  };
  RouteOptions options;
  options.origins = {at("https://both.test")};
  options.dialect_origins = {at("https://dialect.test")};
  const auto judge = [&](const char* origin, Routes::Audience audience) {
    const auto refusal = Routes(options).RefuseOrigin(
        Request("localhost:9000", origin), audience);
    return refusal ? refusal->status : 0;
  };
  using Audience = Routes::Audience;
  for (const Audience audience : {Audience::kKyuu, Audience::kDialects}) {
    EXPECT_EQ(judge("", audience), 0);
    EXPECT_EQ(judge("http://localhost:9000", audience), 0);
    EXPECT_EQ(judge("https://both.test", audience), 0);
    EXPECT_EQ(judge("http://localhost:3000", audience), 403);
    EXPECT_EQ(judge("null", audience), 403);
    EXPECT_EQ(judge("https://other.test", audience), 403);
  }
  EXPECT_EQ(judge("https://dialect.test", Audience::kDialects), 0);
  EXPECT_EQ(judge("https://dialect.test", Audience::kKyuu), 403);
  options.any_dialect_origin = true;
  for (const char* origin : {"null", "https://other.test"}) {
    EXPECT_EQ(judge(origin, Audience::kDialects), 0);
    EXPECT_EQ(judge(origin, Audience::kKyuu), 403);
  }
}

// A page that cannot read the answer may ask all the same, without its origin.
TEST(RoutesTest, WhatABrowserAsksForOthersPagesIsRefusedWithoutWebSockets) {
  RouteOptions options;
  options.origins = {WebOrigin::Parse("https://friend.test").value()};
  const Routes routes(options);
  const auto judge = [&](const char* origin, const char* site) {
    signaling::HttpRequest request = Request("localhost:9000", origin);
    if (*site != '\0') request.headers.Add("Sec-Fetch-Site", site);
    const auto refusal = routes.RefuseFetch(request);
    return refusal ? refusal->status : 0;
  };
  for (const char* site : {"", "none", "same-origin"}) {
    EXPECT_EQ(judge("", site), 0) << site;
  }
  EXPECT_EQ(judge("", "cross-site"), 403);
  EXPECT_EQ(judge("", "same-site"), 403);
  EXPECT_EQ(judge("https://friend.test", "cross-site"), 0);
  EXPECT_EQ(judge("https://evil.test", "cross-site"), 403);
  EXPECT_EQ(judge("https://evil.test", "same-origin"), 403);
  signaling::HttpRequest twice =
      Request("localhost:9000", "https://friend.test");
  twice.headers.Add("Origin", "https://evil.test");
  EXPECT_EQ(routes.RefuseFetch(twice)->status, 400);
}

}  // namespace
}  // namespace kyuu::tools
