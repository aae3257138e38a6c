#include "tools/kyuud/static_pages.h"

#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/testing.h"
#include "signaling/http.h"

namespace kyuu::tools {
namespace {

using signaling::HttpRequest;
using signaling::HttpResponse;

StaticPages Pages() {
  return StaticPages({{"/index.html", "text/html; charset=utf-8", "<p>hi"},
                      {"/js/app.js", "text/javascript", "x"}});
}

HttpRequest Get(const std::string& path) {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  return request;
}

TEST(StaticPagesTest, ThePageIsServedWithItsTypeAndAStrictPolicy) {
  for (const char* path : {"/", "/index.html"}) {
    const HttpResponse response = Pages().Answer(Get(path));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "<p>hi");
    EXPECT_EQ(response.headers.Find("Content-Type"),
              "text/html; charset=utf-8");
    EXPECT_EQ(response.headers.Find("X-Content-Type-Options"), "nosniff");
    const std::string policy(
        response.headers.Find("Content-Security-Policy").value());
    EXPECT_THAT(policy, testing::HasSubstr("default-src 'none'"));
    EXPECT_THAT(policy, testing::Not(testing::HasSubstr("unsafe")));
    const std::string permissions(
        response.headers.Find("Permissions-Policy").value());
    for (const char* allowed : {"camera", "microphone", "display-capture"}) {
      EXPECT_THAT(permissions,
                  testing::HasSubstr(absl::StrCat(allowed, "=(self)")));
    }
    // Nothing else, and nobody else.
    const std::vector<std::string> parts = absl::StrSplit(permissions, '(');
    EXPECT_EQ(absl::c_count_if(parts,
                               [](const std::string& part) {
                                 return !absl::StartsWith(part, ")");
                               }),
              1 + 3);
    EXPECT_THAT(permissions, testing::Not(testing::HasSubstr("*")));
    EXPECT_THAT(permissions, testing::HasSubstr("geolocation=()"));
  }
  EXPECT_EQ(Pages().Answer(Get("/js/app.js")).headers.Find("Content-Type"),
            "text/javascript");
}

// The hash is what `printf x | openssl dgst -sha256 -binary | base64` says.
TEST(StaticPagesTest, ScriptsInADocumentRunAsTheyWereWrittenOnly) {
  const StaticPages pages(
      {{"/index.html", "text/html; charset=utf-8",
        "<script>x</script><script src=\"a.js\"></script>"},
       {"/a.js", "text/javascript", "// <script>y</script>"},
       {"/cut.html", "text/html", "<script>x"}});
  const auto scripts_of = [&](const std::string& path) {
    const HttpResponse response = pages.Answer(Get(path));
    const std::vector<std::string> parts =
        absl::StrSplit(*response.headers.Find("Content-Security-Policy"), "; ");
    return parts.at(1);
  };
  const std::string one =
      "script-src 'self' "
      "'sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='";
  EXPECT_EQ(scripts_of("/"), one);
  EXPECT_EQ(scripts_of("/cut.html"), one);
  EXPECT_EQ(scripts_of("/a.js"), "script-src 'self'");
}

TEST(StaticPagesTest, WhatTheClientHasIsNotSentAgain) {
  const HttpResponse first = Pages().Answer(Get("/"));
  HttpRequest again = Get("/");
  again.headers.Add("If-None-Match", *first.headers.Find("ETag"));
  const HttpResponse second = Pages().Answer(again);
  EXPECT_EQ(second.status, 304);
  EXPECT_EQ(second.body, "");
  again = Get("/js/app.js");
  again.headers.Add("If-None-Match", *first.headers.Find("ETag"));
  EXPECT_EQ(Pages().Answer(again).status, 200);
}

// RFC 9110 section 13.1.2: weak, as a proxy that compresses makes it.
TEST(StaticPagesTest, AWeakTagIsTheSameTag) {
  const HttpResponse first = Pages().Answer(Get("/"));
  for (const std::string& text :
       {absl::StrCat("W/", *first.headers.Find("ETag")),
        absl::StrCat("\"a\", W/", *first.headers.Find("ETag"), ", \"b\""),
        std::string("*")}) {
    HttpRequest again = Get("/");
    again.headers.Add("If-None-Match", text);
    EXPECT_EQ(Pages().Answer(again).status, 304) << text;
  }
}

TEST(StaticPagesTest, WhatRobotsAndBrowsersAskForIsThere) {
  EXPECT_EQ(Pages().Answer(Get("/readyz")).body, "ok\n");
  EXPECT_EQ(Pages().Answer(Get("/robots.txt")).status, 200);
  EXPECT_EQ(Pages().Answer(Get("/favicon.ico")).headers.Find("Content-Type"),
            "image/svg+xml");
}

TEST(StaticPagesTest, OnlyWhatIsThereIsServed) {
  for (const char* path : {"/nothing", "/js", "/js/", "//", ""}) {
    EXPECT_EQ(Pages().Answer(Get(path)).status, 404) << path;
  }
}

TEST(StaticPagesTest, OtherMethodsAreRefused) {
  HttpRequest request = Get("/");
  request.method = "POST";
  const HttpResponse response = Pages().Answer(request);
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers.Find("Allow"), "GET, HEAD");
}

TEST(StaticPagesTest, HealthIsTold) {
  EXPECT_EQ(Pages().Answer(Get("/healthz")).status, 200);
  EXPECT_EQ(Pages().Answer(Get("/healthz")).body, "ok\n");
}

}  // namespace
}  // namespace kyuu::tools
