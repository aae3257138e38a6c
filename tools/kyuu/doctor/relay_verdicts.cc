// What is to be said of signaling's content and of STUN and TURN.

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ice/candidate.h"
#include "tools/kyuu/doctor/proxy_lines.h"
#include "tools/kyuu/doctor/verdicts.h"

namespace kyuu::tools {
namespace {

using ice::RelayProtocol;

bool IsInside(const IpAddress& ip) {
  return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocal();
}

bool IsStream(const ServerUrl& url) {
  return url.protocol == RelayProtocol::kTcp ||
         url.protocol == RelayProtocol::kTls;
}

std::string OpenPortFix(const ServerUrl& url) {
  const char* protocol = IsStream(url) ? "tcp" : "udp";
  std::string fix =
      absl::StrCat("ufw allow ", url.port, "/", protocol,
                   "   # on the server, or nft add rule inet filter input ",
                   protocol, " dport ", url.port, " accept");
  if (!IsStream(url)) {
    absl::StrAppend(&fix, "\nss -lun 'sport = :", url.port,
                    "'   # whether it listens at an address that is reached: "
                    "[turn] listen");
  } else {
    absl::StrAppend(&fix,
                    "\n# a proxy for HTTP does not pass on TURN: kyuud needs "
                    "a TCP port of its own for it, [http] listen");
  }
  return fix;
}

// A certificate that is not taken is no matter of ports.
std::string FixOf(const IceFacts& ice) {
  if (!absl::StrContains(ice.stun.status().message(), "certificate")) {
    return OpenPortFix(*ice.url);
  }
  return absl::StrCat(
      "# that URL has to name whom the certificate is made out to, as those of "
      "wildcards do. In /etc/kyuud/kyuud.toml, then: systemctl restart kyuud\n"
      "[http]\nlisten = [\"0.0.0.0:",
      ice.url->port, "\", \"[::]:", ice.url->port, "\"]");
}

Finding JudgeStun(const IceFacts& ice) {
  Finding finding{Verdict::kPass, "stun"};
  if (!ice.url.ok()) {
    finding.verdict = Verdict::kFail;
    finding.what = absl::StrCat(
        ice.text, " is no address of a server: ", ice.url.status().message());
  } else if (ice.stun.ok()) {
    finding.what = absl::StrCat(ice.text, " answers; it sees this machine at ",
                                ice.stun->mapped.ToString());
  } else if (!WasAsked(ice.stun.status())) {
    finding.verdict = Verdict::kFail;
    finding.what = absl::StrCat(ice.text, " is the name of no address");
  } else {
    finding.verdict = Verdict::kFail;
    finding.what = absl::StrCat(
        ice.text, " does not answer: ", ice.stun.status().message());
    finding.fix = FixOf(ice);
  }
  return finding;
}

Finding JudgeLoop(const IceFacts& ice) {
  if (ice.turn.ok()) {
    return {Verdict::kPass, "relay",
            absl::StrCat(ice.text, " relays, there and back in ",
                         absl::FormatDuration(absl::Trunc(
                             ice.turn->round_trip, absl::Microseconds(100))))};
  }
  const absl::Status& status = ice.turn.status();
  if (!WasAsked(status)) {
    return {Verdict::kNotSeen, "relay",
            absl::StrCat(ice.text, " was not asked to relay")};
  }
  Finding finding{Verdict::kFail, "relay",
                  absl::StrCat(ice.text, ": ", status.message())};
  if (absl::IsUnauthenticated(status)) {
    finding.fix =
        "# servers that share a name have to share [auth] nonce-secret and "
        "secrets; and their clocks have to be right:\ntimedatectl set-ntp true";
  } else if (absl::IsDeadlineExceeded(status) && ice.stun.ok()) {
    finding.fix =
        "ufw allow 49152:65535/udp   # [relay] ports; or nft add rule inet "
        "filter input udp dport 49152-65535 accept\n"
        "# behind a NAT, in /etc/kyuud/kyuud.toml:\n[relay]\n"
        "addresses = [\"PUBLIC/PRIVATE\"]";
  }
  return finding;
}

// The ones that go through the relay at addresses that nobody should reach.
Finding JudgeForbidden(const IceFacts& ice) {
  Finding finding{Verdict::kPass, "relay-refuses"};
  if (ice.forbidden.empty()) {
    return {Verdict::kNotSeen, "relay-refuses",
            "whether it relays to private addresses was not asked"};
  }
  std::string refused;
  for (size_t i = 0; i < ice.forbidden.size(); ++i) {
    const std::string peer = ice.forbidden[i].ToString();
    const absl::Status& status = ice.turn->forbidden[i];
    if (absl::IsPermissionDenied(status)) {
      absl::StrAppend(&refused, refused.empty() ? "" : ", ", peer);
    } else if (status.ok()) {
      finding.verdict = Verdict::kFail;
      finding.what = absl::StrCat(
          "relays to ", peer,
          ": whoever gets a credential reaches what is inside of its network");
      finding.fix = absl::StrCat(
          "# /etc/kyuud/kyuud.toml, then: kyuud admin reload\n[relay]\n"
          "allow-peers = []\ndeny-peers = [\"",
          peer, "\"]");
      return finding;
    } else {
      finding.verdict = Verdict::kNotSeen;
      finding.what = absl::StrCat("whether it relays to ", peer,
                                  " is not known: ", status.message());
    }
  }
  if (finding.verdict == Verdict::kPass) {
    finding.what = absl::StrCat("relays to none of ", refused);
  }
  return finding;
}

Finding JudgePassword(const IceFacts& ice) {
  if (absl::IsUnauthenticated(ice.wrong_password)) {
    return {Verdict::kPass, "relay-password", "a wrong password is refused"};
  }
  if (ice.wrong_password.ok()) {
    return {Verdict::kFail, "relay-password",
            "relays with a wrong password, too: it is open to everybody",
            "# /etc/kyuud/kyuud.toml has no such setting: look which program "
            "is at that address"};
  }
  return {Verdict::kNotSeen, "relay-password",
          absl::StrCat("what it does with a wrong password is not known: ",
                       ice.wrong_password.message())};
}

Finding JudgeIpv6(const ServerFacts& facts, const IceFacts& ice) {
  const bool has_ipv6 =
      std::any_of(facts.reaches.begin(), facts.reaches.end(),
                  [](const Reach& reach) { return reach.address.ip.is_v6(); });
  if (ice.ipv6.ok()) {
    return {Verdict::kPass, "relay-ipv6", "relays from IPv6, too"};
  }
  if (!absl::IsUnimplemented(ice.ipv6)) {
    return {Verdict::kNotSeen, "relay-ipv6",
            absl::StrCat("whether it relays from IPv6 is not known: ",
                         ice.ipv6.message())};
  }
  if (!has_ipv6) {
    return {Verdict::kPass, "relay-ipv6",
            "says that it has no IPv6, as its name has none"};
  }
  return {Verdict::kWarn, "relay-ipv6",
          "its name has an IPv6 address, and its relay has none: peers with "
          "IPv6 alone are not reached",
          "# /etc/kyuud/kyuud.toml, then: systemctl restart kyuud\n[turn]\n"
          "listen = [\"0.0.0.0:3478\", \"[::]:3478\"]"};
}

// An address that only means something elsewhere.
bool IsHidden(const ServerFacts& facts, const IceFacts& ice) {
  const bool inside = std::any_of(
      facts.reaches.begin(), facts.reaches.end(),
      [](const Reach& reach) { return IsInside(reach.address.ip); });
  return !inside && !ice.addresses.empty() &&
         std::all_of(ice.addresses.begin(), ice.addresses.end(),
                     [](const TransportAddress& a) { return IsInside(a.ip); });
}

// Payloads that DTLS, and SCTP in it, count on: those of browsers, too.
constexpr size_t kPayloadNeeded = 1200;

// Of the first relay over UDP that works.
Finding JudgeMtu(const ServerFacts& facts) {
  const auto ice = std::find_if(
      facts.ice.begin(), facts.ice.end(), [](const IceFacts& each) {
        return each.url.ok() && each.turn.ok() &&
               each.url->protocol == RelayProtocol::kUdp;
      });
  if (ice == facts.ice.end()) {
    return {Verdict::kNotSeen, "mtu",
            "how large datagrams may be: no relay over UDP works"};
  }
  const size_t bytes = ice->turn->payload_max.value_or(0);
  if (bytes >= kPayloadNeeded) {
    return {Verdict::kPass, "mtu",
            absl::StrCat("datagrams with ", bytes,
                         " bytes go to the relay in one packet each, and come "
                         "back")};
  }
  return {
      Verdict::kWarn, "mtu",
      absl::StrCat(
          bytes == 0
              ? "no datagram of a usual size"
              : absl::StrCat("no datagram with more than ", bytes, " bytes"),
          " goes to the relay in one packet and comes back, and browsers send "
          "up to ",
          kPayloadNeeded,
          ": connections stall where those are dropped. A tunnel, such as a "
          "VPN or PPPoE, or a link with a small MTU is on the way from this "
          "machine"),
      "tracepath -n SERVER   # names the link where packets get smaller\n"
      "ip link set dev TUNNEL mtu 1280   # at both of its ends; no less\n"
      "# routers and firewalls have to say that a packet is too large, and to "
      "let in what says so:\n"
      "nft add rule inet filter input icmp type destination-unreachable "
      "accept\n"
      "nft add rule inet filter input icmpv6 type packet-too-big accept"};
}

Finding JudgeTogether(const ServerFacts& facts) {
  const auto works = [&](auto fits) {
    return std::any_of(
        facts.ice.begin(), facts.ice.end(), [&](const IceFacts& ice) {
          return ice.url.ok() && ice.turn.ok() && fits(ice.url->protocol);
        });
  };
  const bool tls = works([](auto p) { return p == RelayProtocol::kTls; });
  const bool tcp = works([](auto p) { return p == RelayProtocol::kTcp; });
  const bool udp = works([](auto p) { return p == RelayProtocol::kUdp; });
  if (tls || (tcp && !facts.site.secure)) {
    return {Verdict::kPass, "relay-ways",
            udp ? "relays over UDP and over streams" : "relays over streams"};
  }
  if (facts.site.secure) {
    return {Verdict::kWarn, "relay-ways",
            "the page is on https, and no relay is offered over TLS: networks "
            "that let nothing else out have no calls",
            "# /etc/kyuud/kyuud.toml: TURN over TLS is at kyuud's own ports of "
            "HTTP, and handed out unless proxies, or a public-url elsewhere, "
            "says that a proxy is in front\n"
            "[tls]\ncertificates = [\"/etc/kyuud/tls/fullchain.pem\"]\nkeys = "
            "[\"/etc/kyuud/tls/privkey.pem\"]"};
  }
  return {
      Verdict::kWarn, "relay-ways",
      udp ? "relays over UDP only: networks without it have no calls"
          : "no relay works: only peers that reach each other have calls",
      "# /etc/kyuud/kyuud.toml: TURN over TCP is at kyuud's own ports of "
      "HTTP, and handed out unless proxies, or a public-url elsewhere, says "
      "that a proxy is in front\n"
      "[http]\nlisten = [\"0.0.0.0:443\", \"[::]:443\"]"};
}

}  // namespace

std::vector<Finding> JudgeSession(const ServerFacts& facts) {
  const SessionFacts& session = facts.session;
  if (!session.welcomed.ok()) {
    const bool secret = absl::IsUnauthenticated(session.welcomed);
    return {{!WasAsked(session.welcomed) || secret ? Verdict::kNotSeen
                                                   : Verdict::kFail,
             "signaling", std::string(session.welcomed.message()),
             secret ? absl::StrCat("kyuu doctor --token-file FILE ",
                                   facts.site.ToString())
                    : ""}};
  }
  std::vector<Finding> findings;
  if (session.echoed.ok()) {
    findings.push_back(
        {Verdict::kPass, "signaling",
         absl::StrCat("what one peer sends comes to the other as it was, and "
                      "back, in ",
                      absl::FormatDuration(absl::Trunc(
                          session.echo_time, absl::Microseconds(100))))});
  } else {
    const bool altered = absl::IsDataLoss(session.echoed);
    findings.push_back(
        {Verdict::kFail, "signaling",
         altered ? "what one peer sends comes to the other changed: something "
                   "on the way, such as a proxy that inspects TLS, rewrites "
                   "WebSockets"
                 : absl::StrCat("nothing comes from peer to peer: ",
                                session.echoed.message()),
         ProxyFix(facts.upgrade.ok() ? ProxyOf(*facts.upgrade) : std::nullopt,
                  {.site = facts.site, .backend = facts.backend})});
  }
  if (!WasAsked(session.idled)) {
    findings.push_back({Verdict::kNotSeen, "idle",
                        "whether a silent WebSocket lives: --slow waits 65 s "
                        "to see it"});
  } else if (session.idled.ok()) {
    findings.push_back({Verdict::kPass, "idle",
                        absl::StrCat("a silent WebSocket lived for ",
                                     absl::FormatDuration(session.idle))});
  } else {
    findings.push_back(
        {Verdict::kFail, "idle",
         absl::StrCat("a silent WebSocket was cut after ",
                      absl::FormatDuration(
                          absl::Trunc(session.idle_lived, absl::Seconds(1))),
                      ": a proxy's time limit"),
         ProxyFix(facts.upgrade.ok() ? ProxyOf(*facts.upgrade) : std::nullopt,
                  {.site = facts.site, .backend = facts.backend})});
  }
  return findings;
}

std::vector<Finding> JudgeIce(const ServerFacts& facts) {
  if (!facts.session.welcomed.ok()) {
    return {{Verdict::kNotSeen, "relay",
             "STUN and TURN, of which signaling would tell"}};
  }
  if (facts.ice.empty()) {
    return {{Verdict::kWarn, "relay",
             "the server hands out no STUN and TURN: only peers of one network "
             "reach each other",
             "# /etc/kyuud/kyuud.toml, then: systemctl restart kyuud\nmode = "
             "\"all\"\n[turn]\nlisten = [\"0.0.0.0:3478\", \"[::]:3478\"]"}};
  }
  std::vector<Finding> findings;
  const IceFacts* relay = nullptr;  // The first that works.
  for (const IceFacts& ice : facts.ice) {
    if (IsHidden(facts, ice)) {
      findings.push_back(
          {Verdict::kFail, "relay-address",
           absl::StrCat(ice.text, " is an address inside of a network, and ",
                        facts.site.host, " is not"),
           "# wildcards are told by the name that is asked for. In "
           "/etc/kyuud/kyuud.toml, then: systemctl restart kyuud\n[turn]\n"
           "listen = [\"0.0.0.0:3478\", \"[::]:3478\"]"});
    }
    findings.push_back(JudgeStun(ice));
    if (!ice.url.ok() || ice.url->kind != peer::ServerKind::kTurn) continue;
    findings.push_back(JudgeLoop(ice));
    if (ice.turn.ok() && relay == nullptr) relay = &ice;
  }
  if (relay != nullptr) {
    findings.push_back(JudgeForbidden(*relay));
    findings.push_back(JudgePassword(*relay));
    findings.push_back(JudgeIpv6(facts, *relay));
  }
  findings.push_back(JudgeMtu(facts));
  findings.push_back(JudgeTogether(facts));
  return findings;
}

}  // namespace kyuu::tools
