#include "tools/kyuu/doctor/verdicts.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "signaling/endpoint.h"
#include "tools/kyuu/doctor/proxy_lines.h"

namespace kyuu::tools {
namespace {

constexpr absl::Duration kSkewWarned = absl::Seconds(30);
// Tokens are taken with 60 s of leeway, and short-lived credentials not at all.
constexpr absl::Duration kSkewFailed = absl::Minutes(1);

// Of the two ends of the PROXY protocol only one was told of it. kyuud resets
// who comes without the header that it waits for, and who sends one unasked;
// another server may take that for HTTP. A proxy in between makes an orderly
// end of it.
constexpr char kHeaderMissing[] =
    "\n# behind a proxy for TCP that [http] proxy-protocol-from names, which "
    "has "
    "to send the header:\n#   send-proxy-v2 (HAProxy), proxy_protocol on; "
    "(nginx)";
constexpr char kHeaderUntold[] =
    "\n# if a proxy for TCP in front sends the PROXY protocol, in "
    "/etc/kyuud/kyuud.toml:\n[http]\nproxy-protocol-from = [\"ADDRESS OF THE "
    "PROXY\"]";

bool IsInside(const IpAddress& ip) {
  return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocal();
}

ProxySetup SetupOf(const ServerFacts& facts) {
  return {.site = facts.site, .backend = facts.backend};
}

// The lines for the proxy that has answered, if it says which one it is.
std::string LinesFor(const ServerFacts& facts,
                     const ServerFacts::Answer& answer) {
  return ProxyFix(answer.ok() ? ProxyOf(*answer) : std::nullopt,
                  SetupOf(facts));
}

std::string PublicUrlFix(const ServerFacts& facts) {
  return absl::StrCat("# /etc/kyuud/kyuud.toml, then: kyuud admin reload\n",
                      "[http]\npublic-url = \"", facts.site.Origin(),
                      facts.site.path, "\"");
}

std::string FirstLine(absl::string_view body) {
  return std::string(body.substr(0, std::min<size_t>(body.find('\n'), 120)));
}

// An answer that is another than was hoped for, and the likely cause.
Finding JudgeStatus(const ServerFacts& facts, const std::string& name,
                    const ServerFacts::Answer& answer) {
  const int status = answer->status;
  Finding finding{Verdict::kFail, name,
                  absl::StrCat("answers ", status, " ", answer->reason)};
  const auto say = [&](absl::string_view cause, std::string fix) {
    absl::StrAppend(&finding.what, ": ", cause);
    finding.fix = std::move(fix);
    return finding;
  };
  const std::string body = FirstLine(answer->body);
  switch (status) {
    case 301:
    case 302:
    case 307:
    case 308:
      return say(
          absl::StrCat("it redirects to ",
                       answer->headers.Find("Location").value_or("nowhere"),
                       ", which WebSockets do not follow; give that address "
                       "to people, and to kyuu doctor"),
          "");
    case 400:
      return say(absl::StrCat("the request was mangled on its way, as by a "
                              "proxy that speaks HTTP/1.0, or sends the PROXY "
                              "protocol unasked; it says \"",
                              body, "\""),
                 absl::StrCat(LinesFor(facts, answer), kHeaderUntold));
    case 401:
      return say(
          "the proxy asks for a password, which WebSockets of pages do "
          "not show",
          "exempt /v1/ws from it in the proxy");
    case 403:
      return say(absl::StrCat("it refuses pages of ", facts.site.Origin(),
                              ": a proxy has put another name into Host; it "
                              "says \"",
                              body, "\""),
                 PublicUrlFix(facts));
    case 404:
      return say(absl::StrCat("there is nothing at \"", facts.site.path,
                              "/\": the sub-path is another one, or the proxy "
                              "does not take it off"),
                 LinesFor(facts, answer));
    case 421:
      return say(absl::StrCat("kyuud does not know that it is called ",
                              facts.site.host),
                 PublicUrlFix(facts));
    case 426:
      return say(
          "a proxy in front does not pass on the Upgrade and Connection "
          "headers, or speaks HTTP/1.0 to kyuud",
          LinesFor(facts, answer));
    case 502:
    case 503:
      return say(
          absl::StrCat("a proxy in front does not reach kyuud; it is "
                       "believed to be at ",
                       facts.backend.Origin(), " (--backend)"),
          absl::StrCat("systemctl status kyuud\n", LinesFor(facts, answer)));
    case 504:
      return say(
          "kyuud, or what is in its place, does not answer the proxy in "
          "its time",
          absl::StrCat("systemctl status kyuud\n", LinesFor(facts, answer)));
    default:
      return say(absl::StrCat("it says \"", body, "\""),
                 LinesFor(facts, answer));
  }
}

Finding Unanswered(const ServerFacts& facts, const std::string& name,
                   const absl::Status& status) {
  if (!WasAsked(status)) {
    return {Verdict::kNotSeen, name, "not asked, as nothing answers there"};
  }
  const bool was_cut = absl::IsUnavailable(status) || absl::IsDataLoss(status);
  const bool other_scheme =
      absl::IsInvalidArgument(status) ||
      absl::StrContains(status.message(), "wrong version number");
  return {
      Verdict::kFail, name, absl::StrCat("no answer: ", status.message()),
      other_scheme
          ? absl::StrCat("kyuu doctor ", facts.site.secure ? "http" : "https",
                         "://", facts.site.Authority(), facts.site.path,
                         "/   # the other scheme?", kHeaderUntold)
          : absl::StrCat("systemctl status kyuud; ss -ltn",
                         was_cut ? kHeaderMissing : "",
                         was_cut ? kHeaderUntold : "")};
}

// /healthz and /readyz, whose body tells kyuud from whatever else answers 200.
Finding JudgeProbe(const ServerFacts& facts, const std::string& name,
                   const ServerFacts::Answer& answer) {
  if (!answer.ok()) return Unanswered(facts, name, answer.status());
  const std::string body = FirstLine(answer->body);
  if (answer->status == 503 && !body.empty() && !absl::StrContains(body, "<")) {
    return {Verdict::kWarn, name, absl::StrCat("not ready: ", body),
            "kyuud admin status"};
  }
  if (answer->status != 200) return JudgeStatus(facts, name, answer);
  if (!absl::StartsWith(body, "ok")) {
    return {Verdict::kFail, name,
            "answers 200, but it is not kyuud that answers",
            LinesFor(facts, answer)};
  }
  return {Verdict::kPass, name, body};
}

Finding JudgeUpgrade(const ServerFacts& facts) {
  const auto& answer = facts.upgrade;
  if (!answer.ok()) return Unanswered(facts, "websocket", answer.status());
  if (answer->status == 200) {
    return {Verdict::kFail, "websocket",
            "answers 200 instead of 101: a proxy serves a page of its own "
            "there, or passes on neither the Upgrade",
            LinesFor(facts, answer)};
  }
  if (answer->status != 101) return JudgeStatus(facts, "websocket", answer);
  if (!answer->headers.HasToken("Upgrade", "websocket") ||
      answer->headers.Find("Sec-WebSocket-Protocol").value_or("") !=
          signaling::kSubprotocol) {
    return {Verdict::kFail, "websocket",
            "answers 101 without the subprotocol kyuu.v1: something else is "
            "there, or a proxy drops headers",
            LinesFor(facts, answer)};
  }
  return {Verdict::kPass, "websocket",
          absl::StrCat("upgrades at ", facts.site.ToString(), "v1/ws")};
}

Finding JudgeDialect(const std::string& name, const std::string& path,
                     const ServerFacts& facts,
                     const ServerFacts::Answer& answer) {
  if (!answer.ok()) return Unanswered(facts, name, answer.status());
  if (answer->status == 404 || answer->status >= 500) {
    return JudgeStatus(facts, name, answer);
  }
  return {Verdict::kPass, name, absl::StrCat("answers at ", path)};
}

}  // namespace

std::vector<Finding> JudgeReach(const ServerFacts& facts) {
  if (!facts.resolved.ok()) {
    return {{Verdict::kFail, "name", std::string(facts.resolved.message()),
             absl::StrCat("; in the zone of its domain\n", facts.site.host,
                          ".  IN  A  ADDRESS OF THE SERVER")}};
  }
  std::vector<Finding> findings;
  std::string list;
  size_t connected = 0;
  for (const Reach& reach : facts.reaches) {
    absl::StrAppend(&list, list.empty() ? "" : ", ",
                    reach.address.ip.ToString());
    if (reach.connected.ok()) ++connected;
  }
  findings.push_back(
      {Verdict::kPass, "name", absl::StrCat(facts.site.host, " is ", list)});
  for (const Reach& reach : facts.reaches) {
    const std::string where = reach.address.ToString();
    if (reach.connected.ok()) {
      findings.push_back(
          {Verdict::kPass, "tcp", absl::StrCat("connects to ", where)});
      continue;
    }
    // Clients try every address, and lose time with each that is silent.
    findings.push_back(
        {connected > 0 ? Verdict::kWarn : Verdict::kFail, "tcp",
         absl::StrCat("does not connect to ", where, ": ",
                      reach.connected.message()),
         absl::StrCat("ufw allow ", facts.site.port,
                      "/tcp   # on the server, "
                      "or nft add rule inet filter input tcp dport ",
                      facts.site.port, " accept\n",
                      "# and see that it listens there: ss -ltn 'sport = :",
                      facts.site.port, "'")});
  }
  return findings;
}

std::vector<Finding> JudgeTls(const ServerFacts& facts, absl::Time now) {
  if (!facts.site.secure) {
    const auto ip = IpAddress::Parse(facts.site.host);
    if (facts.site.host == "localhost" || (ip.ok() && ip->IsLoopback())) {
      return {{Verdict::kPass, "tls", "not needed on loopback"}};
    }
    return {{Verdict::kWarn, "tls",
             "plain HTTP: browsers give such a page no camera, microphone or "
             "screen, and a page of https may not connect to it",
             "# /etc/kyuud/kyuud.toml\n[tls]\ncertificates = "
             "[\"/etc/kyuud/tls/fullchain.pem\"]\nkeys = "
             "[\"/etc/kyuud/tls/privkey.pem\"]"}};
  }
  const TlsFacts& tls = facts.tls;
  if (!tls.handshake.ok()) return {Unanswered(facts, "tls", tls.handshake)};
  std::vector<Finding> findings = {
      {Verdict::kPass, "tls", absl::StrCat(tls.version, " is spoken")}};
  if (tls.chain.empty()) {
    findings.push_back({Verdict::kFail, "tls-chain", "shows no certificate"});
    return findings;
  }
  findings.push_back(JudgeName(tls.chain.front(), facts.site.host));
  findings.push_back(JudgeExpiry(tls.chain, now));
  findings.push_back(JudgeOrder(tls.chain));
  if (tls.distrust.empty()) {
    findings.push_back({Verdict::kPass, "tls-chain", "is trusted"});
  } else {
    findings.push_back(
        {Verdict::kFail, "tls-chain",
         absl::StrCat("is not trusted: ", tls.distrust),
         "# the file of the certificate has to have the intermediate ones "
         "behind it (fullchain.pem)\n# for an authority of your own: kyuu "
         "--ca-file FILE doctor ..."});
  }
  if (!tls.takes_old) {
    findings.push_back({Verdict::kNotSeen, "tls-version",
                        "whether TLS 1.1 is taken was not found out"});
  } else if (*tls.takes_old) {
    findings.push_back({Verdict::kWarn, "tls-version",
                        "TLS 1.1 or older is still taken (RFC 8996)",
                        "ssl_protocols TLSv1.2 TLSv1.3;   # nginx"});
  } else {
    findings.push_back(
        {Verdict::kPass, "tls-version", "nothing older than TLS 1.2 is taken"});
  }
  return findings;
}

Finding JudgeClock(const ServerFacts& facts) {
  absl::Time told;
  std::string error;
  const auto date =
      facts.health.ok() ? facts.health->headers.Find("Date") : std::nullopt;
  if (!date ||
      !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", *date, &told, &error)) {
    return {Verdict::kNotSeen, "clock", "no answer tells the server's time"};
  }
  // The Date has seconds, and was on its way.
  const absl::Duration skew =
      told - absl::Floor(facts.answered - absl::UnixEpoch(), absl::Seconds(1)) -
      absl::UnixEpoch();
  const absl::Duration size = absl::AbsDuration(skew);
  const std::string words = absl::StrCat(
      "the server's clock is ", absl::FormatDuration(size),
      skew < absl::ZeroDuration() ? " behind" : " ahead of", " this one's");
  if (size < kSkewWarned) {
    return {Verdict::kPass, "clock", "the server's clock agrees with this one"};
  }
  return {size < kSkewFailed ? Verdict::kWarn : Verdict::kFail, "clock",
          absl::StrCat(words,
                       ": credentials and tokens expire at the wrong "
                       "time"),
          "timedatectl set-ntp true   # on the one that is wrong"};
}

std::vector<Finding> JudgeHttp(const ServerFacts& facts) {
  std::vector<Finding> findings;
  findings.push_back(JudgeProbe(facts, "healthz", facts.health));
  findings.push_back(JudgeProbe(facts, "readyz", facts.ready));
  if (!facts.page.ok()) {
    findings.push_back(Unanswered(facts, "page", facts.page.status()));
  } else if (facts.page->status == 404 && facts.health.ok() &&
             facts.health->status == 200) {
    findings.push_back({Verdict::kNotSeen, "page",
                        "there is none: a server for TURN alone has none"});
  } else if (facts.page->status != 200) {
    findings.push_back(JudgeStatus(facts, "page", facts.page));
  } else {
    findings.push_back({Verdict::kPass, "page", "is there"});
  }
  findings.push_back(JudgeUpgrade(facts));
  findings.push_back(JudgeEvents(facts));
  const bool told = facts.whoami.ok() && facts.whoami->status == 200;
  const auto whoami = told ? WhoamiFacts::Parse(facts.whoami->body)
                           : absl::StatusOr<WhoamiFacts>(NotAsked());
  if (!whoami.ok()) return findings;
  if (!whoami->peerjs.empty()) {
    findings.push_back(
        JudgeDialect("peerjs", whoami->peerjs, facts, facts.peerjs));
  }
  if (!whoami->y_webrtc.empty()) {
    findings.push_back(
        JudgeDialect("y-webrtc", whoami->y_webrtc, facts, facts.y_webrtc));
  }
  return findings;
}

Finding JudgeAddress(const ServerFacts& facts) {
  Finding finding{Verdict::kNotSeen, "client-address"};
  if (!facts.whoami.ok() || facts.whoami->status != 200) {
    finding.what = "the server does not tell whom it sees";
    return finding;
  }
  const auto whoami = WhoamiFacts::Parse(facts.whoami->body);
  if (!whoami.ok()) {
    finding.what = "it is not kyuud that tells whom it sees";
    return finding;
  }
  const std::string seen = whoami->address.ToString();
  const auto trust = [&](absl::string_view what) {
    finding.verdict = Verdict::kWarn;
    finding.what = std::string(what);
    finding.fix = absl::StrCat(
        "# /etc/kyuud/kyuud.toml, then: systemctl restart kyuud\n[http]\n"
        "proxies = [\"",
        seen, "\"]");
    return finding;
  };
  if (whoami->forwarded_for == "ignored") {
    return trust(absl::StrCat(
        "a proxy tells by X-Forwarded-For whose requests it passes on, and "
        "kyuud does not believe it: all clients are ",
        seen, " and share its limits"));
  }
  if (whoami->forwarded_for == "unreadable") {
    finding.verdict = Verdict::kWarn;
    finding.what =
        "what the proxy writes into X-Forwarded-For is no address; its clients "
        "share its limits";
    finding.fix = LinesFor(facts, facts.whoami);
    return finding;
  }
  const bool by_proxy = whoami->forwarded_for == "used";
  const bool mapped =
      std::any_of(facts.ice.begin(), facts.ice.end(), [&](const IceFacts& ice) {
        return ice.stun.ok() && ice.stun->mapped.ip == whoami->address;
      });
  const bool behind = facts.whoami.ok() && ProxyOf(*facts.whoami).has_value();
  if (!by_proxy && (behind || (IsInside(whoami->address) && !mapped &&
                               whoami->address != facts.local))) {
    finding.verdict = Verdict::kWarn;
    finding.what = absl::StrCat(
        "the server sees ", seen,
        ", which is a proxy that does not say whose requests it passes on: "
        "all clients share its limits");
    finding.fix = LinesFor(facts, facts.whoami);
    return finding;
  }
  if (whoami->address == facts.local || mapped) {
    finding.verdict = Verdict::kPass;
    finding.what = absl::StrCat("the server sees this machine at ", seen,
                                by_proxy ? ", as the proxy tells it" : "");
    return finding;
  }
  finding.what = absl::StrCat(
      "the server sees ", seen,
      "; whether that is this machine's NAT or a proxy is not to be told");
  return finding;
}

std::vector<Finding> Judge(const ServerFacts& facts, absl::Time now) {
  std::vector<Finding> findings = JudgeReach(facts);
  const bool reached =
      std::any_of(facts.reaches.begin(), facts.reaches.end(),
                  [](const Reach& reach) { return reach.connected.ok(); });
  if (!reached) {
    findings.push_back(
        {Verdict::kNotSeen, "server", "everything else, as it is not reached"});
    return findings;
  }
  Append(findings, JudgeTls(facts, now));
  Append(findings, JudgeHttp(facts));
  findings.push_back(JudgeClock(facts));
  findings.push_back(JudgeAddress(facts));
  Append(findings, JudgeSession(facts));
  Append(findings, JudgeIce(facts));
  return findings;
}

}  // namespace kyuu::tools
