#include "tools/kyuud/dialects.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "signaling/token/admission.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"

namespace kyuu::tools {
namespace {

using signaling::HttpRequest;
using signaling::HttpResponse;
using ::testing::HasSubstr;
using Service = DialectSettings::Service;

HttpRequest Get(const std::string& path, const std::string& accept = "*/*") {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  request.headers.Add("Accept", accept);
  return request;
}

struct World {
  explicit World(DialectSettings settings = {},
                 signaling::AdmissionOptions options = {})
      : admission(std::move(options)),
        dialects({.settings = std::move(settings)}, random, admission) {}

  // What `dialect` says to who connects with `query`: its first message, or the
  // status that refuses him.
  std::string Greeting(Dialect dialect, std::string query) {
    HttpRequest request = Get("/");
    request.query = std::move(query);
    const absl::Status status = dialects.Connect(
        now, dialect, signaling::ConnectionId{next++}, IpAddress(), request);
    if (!status.ok()) return std::string(status.message());
    const auto first = dialects.PollTransmit(now);
    return first ? first->text : "";
  }

  // The status, or 0 if the request is not for any of them.
  int Status(const HttpRequest& request) {
    return dialects.Serves(request) ? dialects.Answer(request).status : 0;
  }

  SeededRandom random{1};
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  uint64_t next = 1;
  signaling::Admission admission;
  Dialects dialects;
};

TEST(DialectsTest, EachIsAtItsPath) {
  World w;
  EXPECT_EQ(w.dialects.SpokenAt("/peerjs"), Dialect::kPeerJs);
  EXPECT_EQ(w.dialects.SpokenAt("/y-webrtc"), Dialect::kYWebrtc);
  EXPECT_EQ(w.dialects.SpokenAt("/y-webrtc/"), Dialect::kYWebrtc);
  for (const char* path : {"/", "/v1/ws", "/peerjs/", "/peerjs/id", "/x/peerjs",
                           "/y-webrtc/x", "/y-webrtcx", ""}) {
    EXPECT_EQ(w.dialects.SpokenAt(path), Dialect::kNone) << path;
  }
  World off({.peerjs = Service::kOff, .ywebrtc = Service::kOff});
  for (const char* path : {"/peerjs", "/y-webrtc", "/peerjs/id"}) {
    EXPECT_EQ(off.dialects.SpokenAt(path), Dialect::kNone) << path;
    EXPECT_EQ(off.Status(Get(path)), 0) << path;
  }
  EXPECT_EQ(off.Status(Get("/", "application/json")), 0);
  World moved({.peerjs_path = "/app", .ywebrtc_path = "/"});
  EXPECT_EQ(moved.dialects.SpokenAt("/app/peerjs"), Dialect::kPeerJs);
  EXPECT_EQ(moved.dialects.SpokenAt("/peerjs"), Dialect::kNone);
  EXPECT_EQ(moved.dialects.SpokenAt("/"), Dialect::kYWebrtc);
}

TEST(DialectsTest, RequestsAreAnsweredAsByTheReferenceServers) {
  struct Row {
    const char* path;
    const char* accept;
    int status;
    std::string type;
    std::string body;
  };
  const char kJson[] = "application/json; charset=utf-8";
  const Row rows[] = {
      {"/peerjs/id", "*/*", 200, "text/html; charset=utf-8", ""},
      {"/peerjs/peers", "*/*", 401, "text/plain; charset=utf-8",
       "Unauthorized"},
      {"/other/id", "*/*", 401, "text/plain; charset=utf-8",
       "Invalid key provided\n"},
      {"/other/peers", "*/*", 401, "text/plain; charset=utf-8",
       "Invalid key provided\n"},
      {"/", "application/json", 200, kJson, signaling::kPeerJsGreeting},
      // The page's.
      {"/", "*/*", 0, "", ""},
      {"/", "text/html,application/xhtml+xml", 0, "", ""},
      {"/peerjs", "*/*", 426, "text/plain; charset=utf-8", ""},
      {"/y-webrtc", "*/*", 200, "text/plain", "okay"},
      {"/app.js", "*/*", 0, "", ""},
      {"/peerjs/id/more", "*/*", 0, "", ""},
      {"//id", "*/*", 0, "", ""},
      {"/v1/ws", "*/*", 0, "", ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.path);
    World w;
    const HttpRequest request = Get(row.path, row.accept);
    ASSERT_EQ(w.Status(request), row.status);
    if (row.status == 0) continue;
    const HttpResponse response = w.dialects.Answer(request);
    EXPECT_EQ(response.headers.Find("Content-Type").value_or(""), row.type);
    if (!row.body.empty()) {
      EXPECT_EQ(response.body, row.body);
    }
  }
  World moved({.peerjs_path = "/app", .peerjs_key = "k"});
  for (const char* path : {"/app", "/app/", "/app/k/id"}) {
    EXPECT_EQ(moved.Status(Get(path)), 200) << path;
  }
  EXPECT_EQ(moved.Status(Get("/app/peerjs/id")), 401);
  for (const char* path : {"/k/id", "/appk/id", "/apple", "/peerjs/id"}) {
    EXPECT_EQ(moved.Status(Get(path)), 0) << path;
  }
}

TEST(DialectsTest, AnIdIsNewEachTime) {
  World w;
  const std::string id = w.dialects.Answer(Get("/peerjs/id")).body;
  EXPECT_EQ(id.size(), 36u);
  EXPECT_NE(w.dialects.Answer(Get("/peerjs/id")).body, id);
}

TEST(DialectsTest, PagesOfOtherOriginsMayReadTheAnswers) {
  World w;
  HttpRequest request = Get("/peerjs/id");
  const auto allowed = [](const HttpResponse& response) {
    return std::string(
        response.headers.Find("Access-Control-Allow-Origin").value_or(""));
  };
  HttpResponse response = w.dialects.Answer(request);
  EXPECT_EQ(allowed(response), "");
  EXPECT_EQ(response.headers.Find("Vary").value_or(""), "Origin");
  request.headers.Add("Origin", "https://app.test");
  EXPECT_EQ(allowed(w.dialects.Answer(request)), "https://app.test");
  request.method = "OPTIONS";
  response = w.dialects.Answer(request);
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(allowed(response), "https://app.test");
  EXPECT_EQ(response.headers.Find("Access-Control-Allow-Methods").value_or(""),
            "GET, HEAD");
  EXPECT_FALSE(response.headers.Find("Access-Control-Allow-Headers"));
  request.headers.Add("Access-Control-Request-Headers", "traceparent,x-own");
  EXPECT_EQ(w.dialects.Answer(request)
                .headers.Find("Access-Control-Allow-Headers")
                .value_or(""),
            "traceparent,x-own");
  request.method = "POST";
  EXPECT_EQ(w.dialects.Answer(request).status, 405);
}

// What a WebSocket of PeerJS with `query` is told first.
std::string Told(const std::string& query) {
  World w;
  HttpRequest request = Get("/peerjs");
  request.query = query;
  EXPECT_OK(w.dialects.Connect(absl::UnixEpoch(), Dialect::kPeerJs,
                               signaling::ConnectionId{1}, IpAddress(),
                               request));
  const auto envelope = w.dialects.PollTransmit(absl::UnixEpoch());
  Metrics metrics;
  w.dialects.Tell(metrics);
  const bool is_open = metrics.now.peerjs_peers == 1;
  EXPECT_EQ(w.dialects.PollEvent().has_value(), !is_open);
  return envelope ? envelope->text : "";
}

TEST(DialectsTest, TheQueryOfAWebSocketIsReadAsBrowsersWriteIt) {
  const std::string open = R"({"type":"OPEN"})";
  EXPECT_EQ(Told("key=peerjs&id=a&token=t&version=1.5.5"), open);
  EXPECT_EQ(Told("token=t&id=a%20b&key=peerjs"), open);
  EXPECT_EQ(Told("key=peerj%73&id=a+b&token=t"), open);
  EXPECT_NE(Told("key=peerjs&id=a%00&token=t"), open);
  EXPECT_NE(Told("key=peerjs&id=a"), open);
  EXPECT_NE(Told("key=x&id=a&token=t"), open);
  EXPECT_NE(Told(""), open);
}

TEST(DialectsTest, PeersAreListedIfTheyMayBe) {
  World w({.peerjs_discovery = DialectSettings::Discovery::kAllow});
  HttpRequest request = Get("/peerjs");
  request.query = "key=peerjs&id=a+b&token=t";
  ASSERT_OK(w.dialects.Connect(absl::UnixEpoch(), Dialect::kPeerJs,
                               signaling::ConnectionId{1}, IpAddress(),
                               request));
  EXPECT_EQ(w.dialects.Answer(Get("/peerjs/peers")).body, R"(["a b"])");
  w.dialects.Disconnect(Dialect::kPeerJs, signaling::ConnectionId{1});
  EXPECT_EQ(w.dialects.Answer(Get("/peerjs/peers")).body, "[]");
}

constexpr char kApiKey[] = "an-api-key-of-some-length";

signaling::AdmissionOptions Guarded() {
  signaling::AdmissionOptions options;
  options.anonymous = signaling::AdmissionOptions::Anonymous::kForbid;
  options.api_keys = {kApiKey};
  EXPECT_TRUE(options.keys
                  .Add(*signaling::TokenKey::FromSecret(
                      "", signaling::testing::kSecret))
                  .ok());
  return options;
}

std::string TokenOf(absl::string_view user, absl::Duration lifetime,
                    std::optional<std::vector<std::string>> rooms = {}) {
  signaling::NewToken token;
  token.subject = std::string(user);
  token.rooms = std::move(rooms);
  token.expires = absl::FromUnixSeconds(1'800'000'000) + lifetime;
  return *signaling::SigningKey::FromText(signaling::testing::kSecret)
              ->MakeToken("", token);
}

TEST(DialectsTest, PeersOfPeerJsHaveTheIdsThatTheirTokensAreFor) {
  World w({}, Guarded());
  const auto greeting = [&](absl::string_view id, absl::string_view token,
                            absl::string_view key = "peerjs") {
    return w.Greeting(Dialect::kPeerJs,
                      absl::StrCat("id=", id, "&token=", token, "&key=", key));
  };
  const std::string open = R"({"type":"OPEN"})";
  const std::string ada = TokenOf("ada", absl::Minutes(1));
  EXPECT_EQ(greeting("ada", ada), open);
  // Another token of hers takes her place, and a made-up one does not.
  EXPECT_EQ(greeting("ada", TokenOf("ada", absl::Minutes(2))), open);
  EXPECT_THAT(greeting("ada", "user%20ada", kApiKey), HasSubstr("ID-TAKEN"));
  EXPECT_THAT(greeting("eve", ada), HasSubstr("another id"));
  EXPECT_THAT(greeting("bob", TokenOf("bob", absl::Minutes(1), {{"hall"}})),
              HasSubstr("rooms"));
  EXPECT_THAT(greeting("bob", TokenOf("bob", -absl::Minutes(2))),
              HasSubstr("expired"));
  EXPECT_THAT(greeting("bob", "madeup"), HasSubstr("shows a token"));
  EXPECT_THAT(greeting("bob", "madeup", "no-key-at-all-but-long"),
              HasSubstr("INVALID-KEY"));
  EXPECT_EQ(greeting("bob", "madeup", kApiKey), open);
  EXPECT_EQ(greeting("bob", "madeup", kApiKey), open);
  EXPECT_THAT(greeting("bob", "another", kApiKey), HasSubstr("ID-TAKEN"));
  EXPECT_EQ(w.admission.stats().refused_room, 2u);
  EXPECT_EQ(w.admission.stats().refused_expired, 1u);
}

TEST(DialectsTest, AnApiKeyIsAKeyOfPeerJsAndListsItsPeers) {
  World w({.peerjs_discovery = DialectSettings::Discovery::kAllow}, Guarded());
  EXPECT_EQ(w.Status(Get(absl::StrCat("/", kApiKey, "/id"))), 200);
  EXPECT_EQ(w.Status(Get(absl::StrCat("/", kApiKey, "/peers"))), 200);
  EXPECT_EQ(w.Status(Get("/peerjs/id")), 200);
  EXPECT_EQ(w.Status(Get("/peerjs/peers")), 401);
  EXPECT_EQ(w.Status(Get("/another-key-of-some-length/peers")), 401);
}

TEST(DialectsTest, ClientsOfYWebrtcHaveTheTopicsOfTheirTokens) {
  World w({}, Guarded());
  const auto shown = [&](absl::string_view token) {
    return w.Greeting(Dialect::kYWebrtc, absl::StrCat("token=", token));
  };
  EXPECT_THAT(shown(""), HasSubstr("shows a token"));
  EXPECT_THAT(shown("a.b.c"), HasSubstr("refused"));
  EXPECT_EQ(shown(kApiKey), "");
  EXPECT_EQ(shown(TokenOf("ada", absl::Minutes(1), {{"doc-*"}})), "");
  const signaling::ConnectionId ada{w.next - 1};
  const auto answer = [&](std::string text) {
    w.dialects.HandlePacket(w.now, Dialect::kYWebrtc, {ada, std::move(text)});
    const auto said = w.dialects.PollTransmit(w.now);
    return said ? said->text : "";
  };
  EXPECT_EQ(answer(R"({"type":"subscribe","topics":["doc-1"]})"), "");
  EXPECT_THAT(answer(R"({"type":"subscribe","topics":["other"]})"),
              HasSubstr("does not allow this topic"));
  EXPECT_THAT(answer(R"({"type":"publish","topic":"other"})"),
              HasSubstr("does not allow this topic"));
  EXPECT_THAT(answer(R"({"type":"publish","topic":"doc-1"})"),
              HasSubstr(R"("clients":1)"));
}

TEST(DialectsTest, WithoutKeysWhatClientsMakeUpIsNotJudged) {
  World w;
  EXPECT_EQ(w.Greeting(Dialect::kPeerJs, "id=a&token=x.y.z&key=peerjs"),
            R"({"type":"OPEN"})");
  EXPECT_EQ(w.Greeting(Dialect::kYWebrtc, "token=x.y.z"), "");
}

}  // namespace
}  // namespace kyuu::tools
