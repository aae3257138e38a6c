#include "tools/kyuu/doctor/proxy_lines.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "gmock/gmock.h"

namespace kyuu::tools {
namespace {

using testing::HasSubstr;
using testing::Not;

ProxySetup SetupOf(const char* site, const char* backend) {
  return {.site = Site::Parse(site).value(),
          .backend = Site::Parse(backend).value()};
}

TEST(SiteTest, AddressesAreReadAsPeopleCopyThem) {
  for (const auto& [text, whole] : {
           std::pair("https://kyuu.example", "https://kyuu.example/"),
           std::pair("https://kyuu.example:443/", "https://kyuu.example/"),
           std::pair("http://kyuu.example:81/a/b/?room=red",
                     "http://kyuu.example:81/a/b/"),
           std::pair("wss://kyuu.example/a/v1/ws", "https://kyuu.example/a/"),
           std::pair("http://[::1]:9000/", "http://[::1]:9000/"),
       }) {
    const auto site = Site::Parse(text);
    ASSERT_OK(site) << text;
    EXPECT_EQ(site->ToString(), whole);
  }
  EXPECT_FALSE(Site::Parse("ftp://kyuu.example/").ok());
}

TEST(ProxyLinesTest, EachProxyGetsHostPortAndSubPath) {
  ProxySetup setup =
      SetupOf("https://kyuu.example:8443/talk/", "http://10.0.0.5:9000");
  setup.certificate = "/c.pem";
  setup.key = "/c.pem.key";
  const std::string nginx = ProxyLines(ProxyKind::kNginx, setup);
  EXPECT_THAT(nginx, HasSubstr("listen 8443 ssl;"));
  EXPECT_THAT(nginx, HasSubstr("server_name kyuu.example;"));
  EXPECT_THAT(nginx, HasSubstr("ssl_certificate_key /c.pem.key;"));
  EXPECT_THAT(nginx, HasSubstr("location /talk/ {\n"
                               "        proxy_pass http://10.0.0.5:9000/;"));
  const std::string haproxy = ProxyLines(ProxyKind::kHaproxy, setup);
  EXPECT_THAT(haproxy, HasSubstr("bind :::8443 v4v6 ssl crt /c.pem "));
  EXPECT_THAT(haproxy, HasSubstr("if { path_beg /talk/ }"));
  EXPECT_THAT(haproxy, HasSubstr("replace-path ^/talk/(.*) /\\1\n"));
  EXPECT_THAT(haproxy, HasSubstr("server kyuud 10.0.0.5:9000"));
  const std::string caddy = ProxyLines(ProxyKind::kCaddy, setup);
  EXPECT_THAT(caddy, HasSubstr("https://kyuu.example:8443 {\n"));
  EXPECT_THAT(caddy, HasSubstr("tls /c.pem /c.pem.key\n"));
  EXPECT_THAT(caddy, HasSubstr("handle_path /talk/* {\n"
                               "        reverse_proxy 10.0.0.5:9000\n"));
  const std::string kyuud = KyuudLines(setup);
  EXPECT_THAT(kyuud, HasSubstr("listen = [\"10.0.0.5:9000\"]"));
  EXPECT_THAT(kyuud,
              HasSubstr("public-url = \"https://kyuu.example:8443/talk\""));
}

TEST(ProxyLinesTest, AtTheRootAndWithoutTlsThereIsLess) {
  const ProxySetup setup =
      SetupOf("http://kyuu.example/", "http://127.0.0.1:9000");
  EXPECT_THAT(ProxyLines(ProxyKind::kNginx, setup), Not(HasSubstr("ssl")));
  EXPECT_THAT(ProxyLines(ProxyKind::kNginx, setup),
              HasSubstr("location / {\n"));
  const std::string haproxy = ProxyLines(ProxyKind::kHaproxy, setup);
  EXPECT_THAT(haproxy, HasSubstr("default_backend kyuud\n"));
  EXPECT_THAT(haproxy, Not(HasSubstr("replace-path")));
  EXPECT_EQ(ProxyLines(ProxyKind::kCaddy, setup),
            "http://kyuu.example {\n    reverse_proxy 127.0.0.1:9000\n}\n");
  EXPECT_THAT(KyuudLines(setup), HasSubstr("proxies = [\"127.0.0.1\"]"));
}

TEST(ProxyLinesTest, AProxyIsKnownByItsName) {
  signaling::HttpResponse response;
  EXPECT_EQ(ProxyOf(response), std::nullopt);
  response.headers.Add("Server", "nginx/1.22.1");
  EXPECT_EQ(ProxyOf(response), ProxyKind::kNginx);
  signaling::HttpResponse via;
  via.headers.Add("Via", "1.1 Caddy");
  EXPECT_EQ(ProxyOf(via), ProxyKind::kCaddy);
  const ProxySetup setup =
      SetupOf("http://kyuu.example/", "http://127.0.0.1:9000");
  EXPECT_THAT(ProxyFix(ProxyKind::kNginx, setup), HasSubstr("proxy_pass"));
  EXPECT_THAT(ProxyFix(std::nullopt, setup),
              HasSubstr("kyuu doctor --proxy nginx --public-url "
                        "http://kyuu.example/ http://127.0.0.1:9000"));
  EXPECT_FALSE(ParseProxyKind("apache").ok());
}

}  // namespace
}  // namespace kyuu::tools
