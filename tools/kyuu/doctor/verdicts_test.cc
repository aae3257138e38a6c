#include "tools/kyuu/doctor/verdicts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"

namespace kyuu::tools {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(24 * 20'000);
const IpAddress kServer = IpAddress::V4(192, 0, 2, 1);
const IpAddress kUs = IpAddress::V4(198, 51, 100, 7);

signaling::HttpResponse Response(
    int status, std::string body,
    std::vector<std::pair<const char*, std::string>> headers = {}) {
  signaling::HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  for (const auto& [name, value] : headers) response.headers.Add(name, value);
  return response;
}

IceFacts Relay(const char* text) {
  IceFacts ice;
  ice.text = text;
  ice.url = ServerUrl::Parse(text, peer::ServerKind::kTurn);
  ice.addresses = {{kServer, ice.url->port}};
  ice.stun = StunAnswer{{kUs, 4711}, absl::Milliseconds(3)};
  ice.forbidden = {IpAddress::V4(127, 0, 0, 1)};
  ice.turn = TurnAnswer{.round_trip = absl::Milliseconds(5),
                        .payload_max = 1200,
                        .forbidden = {absl::PermissionDeniedError("403")}};
  ice.wrong_password = absl::UnauthenticatedError("401");
  ice.ipv6 = absl::UnimplementedError("440");
  return ice;
}

// A server with which all is well.
ServerFacts Sound() {
  ServerFacts facts;
  facts.site = Site::Parse("https://kyuu.example/talk/").value();
  facts.backend = Site::Parse("http://127.0.0.1:9000").value();
  facts.resolved = absl::OkStatus();
  facts.reaches = {{{kServer, 443}, absl::OkStatus()}};
  facts.local = kUs;
  facts.tls.handshake = absl::OkStatus();
  facts.tls.version = "TLSv1.3";
  facts.tls.chain = {{"CN = kyuu.example",
                      "CN = ca",
                      {"kyuu.example"},
                      kNow - absl::Hours(24),
                      kNow + absl::Hours(24 * 60)}};
  facts.tls.takes_old = false;
  facts.answered = kNow;
  facts.health =
      Response(200, "ok\n",
               {{"Date", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", kNow,
                                          absl::UTCTimeZone())}});
  facts.ready = Response(200, "ok\n");
  facts.page = Response(200, "<!doctype html>");
  facts.upgrade = Response(101, "",
                           {{"Upgrade", "websocket"},
                            {"Connection", "Upgrade"},
                            {"Sec-WebSocket-Protocol", "kyuu.v1"}});
  facts.whoami = Response(
      200,
      R"({"address":"198.51.100.7","forwarded_for":"none","host":"kyuu.example",)"
      R"("peerjs":"/peerjs","y_webrtc":"/y-webrtc"})");
  facts.peerjs = Response(426, "");
  facts.y_webrtc = Response(200, "okay");
  facts.session.welcomed = absl::OkStatus();
  facts.session.echoed = absl::OkStatus();
  facts.events =
      Response(200, kEventsBegin, {{"Content-Type", "text/event-stream"}});
  facts.event_session.welcomed = absl::OkStatus();
  facts.event_session.echoed = absl::OkStatus();
  facts.session.idled = absl::OkStatus();
  facts.session.idle = absl::Seconds(65);
  facts.ice = {Relay("turn:kyuu.example:3478?transport=udp"),
               Relay("turns:kyuu.example:443?transport=tcp")};
  return facts;
}

std::string NotPassed(const std::vector<Finding>& findings) {
  std::string all;
  for (const Finding& finding : findings) {
    if (finding.verdict == Verdict::kPass) continue;
    absl::StrAppend(&all, ToText(finding.verdict), " ", finding.name, ": ",
                    finding.what, "\n", finding.fix, "\n");
  }
  return all;
}

TEST(VerdictsTest, WhereAllIsWellAllPasses) {
  EXPECT_EQ(NotPassed(Judge(Sound(), kNow)), "");
}

struct Row {
  const char* name;
  void (*change)(ServerFacts& facts);
  const char* expected;  // Of what has not passed: its verdict and name.
  const char* says;      // In what is said, or in the fix.
};

void ExpectRows(absl::Span<const Row> rows) {
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ServerFacts facts = Sound();
    row.change(facts);
    const std::string found = NotPassed(Judge(facts, kNow));
    EXPECT_THAT(found, HasSubstr(row.expected));
    EXPECT_THAT(found, HasSubstr(row.says));
  }
}

TEST(VerdictsTest, NetworkAndTls) {
  const Row rows[] = {
      {"no such name",
       [](ServerFacts& f) { f.resolved = absl::NotFoundError("no name"); },
       "FAIL name", "IN  A  ADDRESS"},
      {"one family is dead",
       [](ServerFacts& f) {
         f.reaches.push_back({{IpAddress::Parse("2001:db8::1").value(), 443},
                              absl::DeadlineExceededError("silent")});
       },
       "WARN tcp", "ufw allow 443/tcp"},
      {"nobody listens",
       [](ServerFacts& f) {
         f.reaches[0].connected = absl::UnavailableError("refused");
       },
       "FAIL tcp", "ss -ltn"},
      {"no TLS",
       [](ServerFacts& f) {
         f.tls = {};
         f.tls.handshake = absl::UnavailableError("wrong version number");
       },
       "FAIL tls", "kyuu doctor http://kyuu.example"},
      {"untrusted",
       [](ServerFacts& f) { f.tls.distrust = "self-signed certificate"; },
       "FAIL tls-chain", "--ca-file"},
      {"another name",
       [](ServerFacts& f) { f.tls.chain[0].names = {"other.example"}; },
       "FAIL tls-name", "other.example"},
      {"soon over",
       [](ServerFacts& f) {
         f.tls.chain[0].not_after = kNow + absl::Hours(24);
       },
       "WARN tls-expiry", "certbot renew"},
      {"old versions", [](ServerFacts& f) { f.tls.takes_old = true; },
       "WARN tls-version", "TLSv1.2 TLSv1.3"},
      {"plain HTTP on a network", [](ServerFacts& f) { f.site.secure = false; },
       "WARN tls", "camera"},
      {"clock", [](ServerFacts& f) { f.answered = kNow + absl::Minutes(5); },
       "FAIL clock", "5m behind"},
      {"clock, a little",
       [](ServerFacts& f) { f.answered = kNow - absl::Seconds(45); },
       "WARN clock", "45s ahead"},
      {"no clock", [](ServerFacts& f) { f.health = Response(200, "ok"); },
       "NOT SEEN clock", "no answer tells"},
  };
  ExpectRows(rows);
}

TEST(VerdictsTest, Http) {
  const Row rows[] = {
      {"not kyuud",
       [](ServerFacts& f) {
         f.health = Response(200, "<html>", {{"Server", "nginx"}});
       },
       "FAIL healthz", "proxy_set_header Upgrade"},
      {"draining",
       [](ServerFacts& f) { f.health = Response(503, "draining\n"); },
       "WARN healthz", "draining"},
      {"the PROXY protocol is awaited and not sent",
       [](ServerFacts& f) {
         f.health = absl::UnavailableError("Connection reset by peer");
       },
       "FAIL healthz", "send-proxy-v2"},
      {"the PROXY protocol is sent and not awaited",
       [](ServerFacts& f) {
         f.health = absl::UnavailableError("Connection reset by peer");
       },
       "FAIL healthz", "proxy-protocol-from = ["},
      {"the same through a proxy",
       [](ServerFacts& f) {
         f.health = absl::DataLossError("cut off without close_notify");
       },
       "FAIL healthz", "proxy-protocol-from = ["},
      {"the same of another server",
       [](ServerFacts& f) { f.health = Response(400, "HTTP: bad method\n"); },
       "FAIL healthz", "proxy-protocol-from = ["},
      {"the same in front of TLS",
       [](ServerFacts& f) {
         f.tls = {};
         f.tls.handshake = absl::UnavailableError("wrong version number");
       },
       "FAIL tls", "proxy-protocol-from = ["},
      {"a dead backend",
       [](ServerFacts& f) {
         f.health = Response(502, "<html>", {{"Server", "nginx"}});
       },
       "FAIL healthz", "http://127.0.0.1:9000"},
      {"no upgrade behind nginx",
       [](ServerFacts& f) {
         f.upgrade = Response(426, "", {{"Server", "nginx/1.22.1"}});
       },
       "FAIL websocket", "location /talk/"},
      {"no upgrade behind nobody knows whom",
       [](ServerFacts& f) { f.upgrade = Response(426, ""); }, "FAIL websocket",
       "kyuu doctor --proxy nginx --public-url https://kyuu.example/talk/"},
      {"a page instead",
       [](ServerFacts& f) { f.upgrade = Response(200, "<html>"); },
       "FAIL websocket", "200 instead of 101"},
      {"HTTP/1.0", [](ServerFacts& f) { f.upgrade = Response(400, "bad\n"); },
       "FAIL websocket", "HTTP/1.0"},
      {"origin", [](ServerFacts& f) { f.upgrade = Response(403, "no\n"); },
       "FAIL websocket", "public-url = \"https://kyuu.example/talk\""},
      {"sub-path", [](ServerFacts& f) { f.upgrade = Response(404, ""); },
       "FAIL websocket", "sub-path"},
      {"name", [](ServerFacts& f) { f.upgrade = Response(421, ""); },
       "FAIL websocket", "public-url"},
      {"timeout", [](ServerFacts& f) { f.upgrade = Response(504, ""); },
       "FAIL websocket", "systemctl status kyuud"},
      {"redirect",
       [](ServerFacts& f) {
         f.upgrade = Response(301, "", {{"Location", "https://x.example/"}});
       },
       "FAIL websocket", "https://x.example/"},
      {"no subprotocol",
       [](ServerFacts& f) {
         f.upgrade = Response(101, "", {{"Upgrade", "websocket"}});
       },
       "FAIL websocket", "kyuu.v1"},
      {"no answer",
       [](ServerFacts& f) {
         f.upgrade = absl::DeadlineExceededError("too late");
       },
       "FAIL websocket", "too late"},
      {"no page", [](ServerFacts& f) { f.page = Response(404, ""); },
       "NOT SEEN page", "TURN alone"},
      {"PeerJS is not passed on",
       [](ServerFacts& f) { f.peerjs = Response(404, ""); }, "FAIL peerjs",
       "404"},
      {"y-webrtc is not passed on",
       [](ServerFacts& f) { f.y_webrtc = Response(502, ""); }, "FAIL y-webrtc",
       "502"},
  };
  ExpectRows(rows);
}

TEST(VerdictsTest, WithoutWebSockets) {
  const Row rows[] = {
      {"nothing answers", [](ServerFacts& f) { f.events = NotAsked(); },
       "NOT SEEN without-websockets", "nothing answers"},
      {"the header is held back",
       [](ServerFacts& f) { f.events = absl::DeadlineExceededError("late"); },
       "WARN without-websockets", "proxy_buffering off;"},
      {"the first event is held back",
       [](ServerFacts& f) { f.events->body = ""; }, "WARN without-websockets",
       "it buffers answers"},
      {"and no WebSocket gets through either",
       [](ServerFacts& f) {
         f.events->body = "event";
         f.session.welcomed = absl::UnavailableError("no");
       },
       "FAIL without-websockets", "flush_interval -1"},
      {"it is slow altogether",
       [](ServerFacts& f) {
         f.events = absl::DeadlineExceededError("late");
         f.health = absl::DeadlineExceededError("late");
       },
       "WARN without-websockets", "no answer at /v1/events: late"},
      {"not passed on",
       [](ServerFacts& f) {
         f.events = Response(404, "", {{"Server", "nginx"}});
       },
       "WARN without-websockets: /v1/events answers 404", "location /talk/"},
      {"a page instead",
       [](ServerFacts& f) {
         f.events = Response(200, "<html>", {{"Content-Type", "text/html"}});
       },
       "WARN without-websockets", "text/html instead of events"},
      {"rewritten", [](ServerFacts& f) { f.events->body = "event:  strea"; },
       "WARN without-websockets", "rewrites them"},
      {"a token is needed",
       [](ServerFacts& f) {
         f.event_session.welcomed = absl::UnauthenticatedError("unauthorized");
       },
       "NOT SEEN without-websockets", "--token-file"},
      {"posts are lost",
       [](ServerFacts& f) {
         f.event_session.welcomed = absl::DeadlineExceededError("no welcome");
       },
       "WARN without-websockets", "/v1/messages does not get through: no wel"},
      {"answers are lost",
       [](ServerFacts& f) {
         f.event_session.echoed = absl::DataLossError("otherwise");
       },
       "WARN without-websockets", "otherwise"},
  };
  ExpectRows(rows);
  // What works says what it is good for where a WebSocket does not.
  ServerFacts facts = Sound();
  facts.session.welcomed = absl::UnavailableError("no");
  EXPECT_EQ(JudgeEvents(facts).verdict, Verdict::kPass);
  EXPECT_THAT(JudgeEvents(facts).what, HasSubstr("go on by them"));
}

TEST(VerdictsTest, WhomTheServerSees) {
  const auto judge = [](const std::string& address, const std::string& how,
                        const char* server = nullptr) {
    ServerFacts facts = Sound();
    facts.whoami =
        Response(200, absl::StrCat("{\"address\":\"", address,
                                   "\",\"forwarded_for\":\"", how, "\"}"));
    if (server != nullptr) facts.whoami->headers.Add("Server", server);
    return JudgeAddress(facts);
  };
  EXPECT_EQ(judge("198.51.100.7", "none").verdict, Verdict::kPass);
  EXPECT_EQ(judge("198.51.100.7", "used", "nginx").verdict, Verdict::kPass);
  EXPECT_EQ(judge("203.0.113.9", "none").verdict, Verdict::kNotSeen);
  const Finding ignored = judge("10.0.0.2", "ignored");
  EXPECT_EQ(ignored.verdict, Verdict::kWarn);
  EXPECT_THAT(ignored.fix, HasSubstr("proxies = [\"10.0.0.2\"]"));
  const Finding silent = judge("10.0.0.2", "none");
  EXPECT_EQ(silent.verdict, Verdict::kWarn);
  EXPECT_THAT(silent.fix, HasSubstr("kyuu doctor --proxy"));
  EXPECT_THAT(judge("198.51.100.7", "none", "nginx").fix,
              HasSubstr("X-Forwarded-For"));
  EXPECT_EQ(judge("10.0.0.2", "unreadable").verdict, Verdict::kWarn);
  EXPECT_EQ(judge("no address", "none").verdict, Verdict::kNotSeen);
}

TEST(VerdictsTest, SignalingAndRelay) {
  const Row rows[] = {
      {"a token is needed",
       [](ServerFacts& f) {
         f.session.welcomed = absl::UnauthenticatedError("unauthorized");
       },
       "NOT SEEN signaling", "--token-file"},
      {"altered",
       [](ServerFacts& f) { f.session.echoed = absl::DataLossError("x"); },
       "FAIL signaling", "rewrites WebSockets"},
      {"not watched", [](ServerFacts& f) { f.session.idled = NotAsked(); },
       "NOT SEEN idle", "--slow"},
      {"cut",
       [](ServerFacts& f) {
         f.session.idled = absl::UnavailableError("over");
         f.session.idle_lived = absl::Milliseconds(60'300);
         f.upgrade->headers.Add("Server", "nginx");
       },
       "FAIL idle: a silent WebSocket was cut after 1m",
       "proxy_read_timeout 1h"},
      {"nothing is handed out", [](ServerFacts& f) { f.ice.clear(); },
       "WARN relay", "[turn]"},
      {"UDP is closed",
       [](ServerFacts& f) {
         f.ice[0].stun = absl::DeadlineExceededError("silent");
         f.ice[0].turn = absl::DeadlineExceededError("silent");
       },
       "FAIL stun", "ufw allow 3478/udp"},
      {"a certificate for another name",
       [](ServerFacts& f) {
         f.ice[1].stun = absl::UnavailableError("certificate verify failed");
       },
       "FAIL stun", "listen = [\"0.0.0.0:443\", \"[::]:443\"]"},
      {"relayed ports are closed",
       [](ServerFacts& f) {
         f.ice[0].turn = absl::DeadlineExceededError("silent");
       },
       "FAIL relay", "ufw allow 49152:65535/udp"},
      {"the credential is refused",
       [](ServerFacts& f) {
         f.ice[0].turn = absl::UnauthenticatedError("401");
       },
       "FAIL relay", "nonce-secret"},
      {"an open relay",
       [](ServerFacts& f) { f.ice[0].wrong_password = absl::OkStatus(); },
       "FAIL relay-password", "open to everybody"},
      {"a way inside",
       [](ServerFacts& f) { f.ice[0].turn->forbidden[0] = absl::OkStatus(); },
       "FAIL relay-refuses", "deny-peers = [\"127.0.0.1\"]"},
      {"no answer about the inside",
       [](ServerFacts& f) {
         f.ice[0].turn->forbidden[0] = absl::DeadlineExceededError("?");
       },
       "NOT SEEN relay-refuses", "is not known"},
      {"IPv6 without a relay",
       [](ServerFacts& f) {
         f.reaches.push_back({{IpAddress::Parse("2001:db8::1").value(), 443},
                              absl::OkStatus()});
       },
       "WARN relay-ipv6", "[::]:3478"},
      {"packets with too little in them",
       [](ServerFacts& f) { f.ice[0].turn->payload_max = 1199; },
       "WARN mtu: no datagram with more than 1199 bytes", "mtu 1280"},
      {"packets with nothing in them",
       [](ServerFacts& f) { f.ice[0].turn->payload_max.reset(); },
       "WARN mtu: no datagram of a usual size", "tracepath"},
      {"no relay over UDP", [](ServerFacts& f) { f.ice.erase(f.ice.begin()); },
       "NOT SEEN mtu", "no relay over UDP works"},
      {"no TLS for a page with it", [](ServerFacts& f) { f.ice.pop_back(); },
       "WARN relay-ways", "[tls]"},
      {"an address inside",
       [](ServerFacts& f) {
         f.ice[0].addresses = {{IpAddress::V4(10, 0, 0, 5), 3478}};
       },
       "FAIL relay-address", "0.0.0.0:3478"},
      {"no URL",
       [](ServerFacts& f) {
         f.ice[0].text = "turn:";
         f.ice[0].url = absl::InvalidArgumentError("no host");
       },
       "FAIL stun", "no host"},
  };
  ExpectRows(rows);
}

}  // namespace
}  // namespace kyuu::tools
