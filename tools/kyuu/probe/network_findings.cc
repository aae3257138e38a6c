#include "tools/kyuu/probe/network_findings.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/address.h"

namespace kyuu::tools {
namespace {

using ice::RelayProtocol;
using stun::NatDependence;

std::string MappingInWords(const stun::NatReport& nat) {
  switch (nat.mapping) {
    case NatDependence::kUnknown:
      return "whether it uses another port for each destination is unknown: "
             "the server has one address, and no other server was named";
    case NatDependence::kNone:
      return "one outside port for all destinations (endpoint-independent "
             "mapping)";
    case NatDependence::kAddress:
      return "another outside port for each address (address-dependent "
             "mapping)";
    case NatDependence::kAddressAndPort:
      return "another outside port for each address and port (address- and "
             "port-dependent mapping, \"symmetric\")";
    case NatDependence::kSome:
      return "another outside port for other destinations (endpoint-dependent "
             "mapping)";
  }
  return "";
}

std::string FilteringInWords(const stun::NatReport& nat) {
  switch (nat.filtering) {
    case NatDependence::kUnknown:
    case NatDependence::kSome:
      return "who may send to that port is unknown: the server has one address";
    case NatDependence::kNone:
      return "everybody may send to that port (endpoint-independent filtering)";
    case NatDependence::kAddress:
      return "only addresses that were sent to may send to that port "
             "(address-dependent filtering)";
    case NatDependence::kAddressAndPort:
      return "only an address and port that was sent to may send to that port "
             "(address- and port-dependent filtering)";
  }
  return "";
}

std::string LifetimeInWords(const stun::NatLifetime& lifetime) {
  const std::string at_least = absl::FormatDuration(lifetime.at_least);
  if (lifetime.below == absl::InfiniteDuration()) {
    return absl::StrCat("a mapping lives for ", at_least,
                        " or longer without traffic");
  }
  if (lifetime.at_least == absl::ZeroDuration()) {
    return absl::StrCat("a mapping lives for less than ",
                        absl::FormatDuration(lifetime.below),
                        " without traffic");
  }
  return absl::StrCat("a mapping lives for ", at_least, " to ",
                      absl::FormatDuration(lifetime.below), " without traffic");
}

// Direct ways between this machine and others, by what its NAT does. ICE makes
// both sides send, which opens filters; what remains is who cannot know whereto
// (RFC 5128 section 3).
std::string DirectInWords(const stun::NatReport& nat) {
  if (nat.filtering == NatDependence::kNone &&
      nat.mapping == NatDependence::kNone) {
    return "Direct connections work with everybody who can send UDP.";
  }
  if (nat.mapping == NatDependence::kUnknown) {
    return "Whether direct connections work is not known; name a second server "
           "to find out.";
  }
  if (nat.mapping != NatDependence::kNone) {
    return "Direct connections work only with peers to whom everybody, or "
           "every "
           "port of a known address, may send; all others need a TURN relay.";
  }
  if (nat.filtering == NatDependence::kAddress) {
    return "Direct connections work with everybody who can send UDP, through "
           "every NAT.";
  }
  return "Direct connections work with all peers but those behind a NAT with "
         "endpoint-dependent mapping; these need a TURN relay.";
}

}  // namespace

bool NetworkFindings::Works(RelayProtocol protocol) const {
  return std::any_of(ways.begin(), ways.end(), [protocol](const Way& way) {
    return way.protocol == protocol && way.answer.ok();
  });
}

std::string WayInWords(const NetworkFindings::Way& way) {
  std::string line =
      absl::StrFormat("%-5s %s: ", ice::ToString(way.protocol), way.server);
  if (!way.answer.ok()) {
    return absl::StrCat(line, "does not work: ", way.answer.status().message());
  }
  absl::StrAppend(&line, "works; sees this machine at ",
                  way.answer->mapped.ToString());
  if (way.answer->round_trip) {
    absl::StrAppendFormat(&line, " (round trip %.1f ms)",
                          absl::ToDoubleMilliseconds(*way.answer->round_trip));
  }
  return line;
}

std::vector<std::string> NatInWords(const NetworkFindings& findings) {
  if (!findings.nat) return {};
  const stun::NatReport& nat = *findings.nat;
  std::vector<std::string> lines;
  if (nat.translated()) {
    lines.push_back(absl::StrCat("a NAT makes ", nat.local.ToString(), " ",
                                 nat.mapped.ToString()));
    lines.push_back(MappingInWords(nat));
  } else {
    lines.push_back(absl::StrCat("no NAT: ", nat.local.ToString(),
                                 " is this machine's address everywhere"));
  }
  lines.push_back(FilteringInWords(nat));
  if (nat.hairpinning != stun::NatAbility::kUnknown) {
    lines.push_back(
        nat.hairpinning == stun::NatAbility::kYes
            ? "machines behind it reach each other by outside addresses, too "
              "(hairpinning)"
            : "machines behind it do not reach each other by outside addresses "
              "(no hairpinning)");
  }
  if (nat.fragments == stun::NatAbility::kNo) {
    lines.push_back("datagrams larger than a packet do not pass (fragments)");
  }
  if (findings.lifetime) {
    lines.push_back(LifetimeInWords(*findings.lifetime));
  }
  return lines;
}

std::vector<std::string> Verdict(const NetworkFindings& findings) {
  const bool tcp = findings.Works(RelayProtocol::kTcp);
  const bool tls = findings.Works(RelayProtocol::kTls);
  if (findings.nat) {
    const IpAddress& seen_at = findings.nat->mapped.ip;
    if (seen_at.IsLoopback() || seen_at.IsPrivate() || seen_at.IsLinkLocal()) {
      return {DirectInWords(*findings.nat),
              "That holds inside of this private network; ask a server on the "
              "internet what the way there does."};
    }
    return {DirectInWords(*findings.nat)};
  }
  if (findings.Works(RelayProtocol::kUdp) ||
      findings.Works(RelayProtocol::kDtls)) {
    return {"UDP works; what a NAT does with it was not found out."};
  }
  if (!tcp && !tls) {
    return {
        "None of these servers is reached from here: calls will not work. "
        "Open UDP to their ports, or TCP to 443, on the way out."};
  }
  return {absl::StrCat("UDP does not get out: calls work only through a TURN "
                       "relay over ",
                       tcp ? (tls ? "TCP or TLS" : "TCP") : "TLS", "."),
          "Open UDP to the server's port on the way out, and faster and direct "
          "ways work, too."};
}

}  // namespace kyuu::tools
