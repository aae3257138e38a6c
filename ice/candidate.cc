#include "ice/candidate.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/address.h"

namespace kyuu::ice {
namespace {

constexpr uint32_t kMaxPriority = 0x7fffffff;  // RFC 8445 section 5.1.2.

bool IsVisible(char c) { return c > 0x20 && c < 0x7f; }

bool AllVisible(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsVisible);
}

// Takes the next blank-separated word off `rest`; "" at the end.
absl::string_view Next(absl::string_view& rest) {
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const absl::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

// Reads 1 to `max_digits` digits, as the grammar counts them.
bool ParseNumber(absl::string_view text, size_t max_digits, uint32_t min,
                 uint32_t max, uint32_t& value) {
  if (text.empty() || text.size() > max_digits) return false;
  uint64_t sum = 0;
  for (char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    sum = sum * 10 + static_cast<uint64_t>(c - '0');
  }
  value = static_cast<uint32_t>(sum);
  return sum >= min && sum <= max;
}

bool IsHostName(absl::string_view text) {
  return !text.empty() && text.size() <= Candidate::kMaxNameSize &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '-' || c == '.' || c == '_';
         });
}

std::optional<IpAddress> ParseIp(absl::string_view text) {
  absl::StatusOr<IpAddress> ip =
      IpAddress::Parse(text.substr(0, text.find('%')));
  if (!ip.ok()) return std::nullopt;
  return *ip;
}

// Our scope is of no use to the peer: written without it.
std::string FormatIp(const IpAddress& ip) {
  return IpAddress::FromBytes(ip.bytes()).ToString();
}

absl::Status Malformed(absl::string_view field) {
  return absl::InvalidArgumentError(
      absl::StrCat("candidate line: bad ", field));
}

std::optional<CandidateType> ParseType(absl::string_view text) {
  for (CandidateType type :
       {CandidateType::kHost, CandidateType::kServerReflexive,
        CandidateType::kPeerReflexive, CandidateType::kRelayed}) {
    if (absl::EqualsIgnoreCase(text, ToString(type))) return type;
  }
  return std::nullopt;
}

std::optional<TcpType> ParseTcpType(absl::string_view text) {
  for (TcpType type :
       {TcpType::kActive, TcpType::kPassive, TcpType::kSimultaneousOpen}) {
    if (absl::EqualsIgnoreCase(text, ToString(type))) return type;
  }
  return std::nullopt;
}

// raddr and rport serve diagnostics only: another form of them is kept as any
// extension is.
std::optional<TransportAddress> ParseRelated(absl::string_view address,
                                             absl::string_view& rest) {
  absl::string_view ahead = rest;
  const std::optional<IpAddress> ip = ParseIp(address);
  uint32_t port = 0;
  if (!ip || Next(ahead) != "rport" ||
      !ParseNumber(Next(ahead), 5, 0, 65535, port)) {
    return std::nullopt;
  }
  rest = ahead;
  return TransportAddress{*ip, static_cast<uint16_t>(port)};
}

// Reads what follows the type: the related address, then name-value pairs.
void ParseExtensions(absl::string_view rest, Candidate& candidate) {
  bool first = true;
  while (true) {
    const absl::string_view name = Next(rest);
    const absl::string_view value = Next(rest);
    if (value.empty()) return;
    const bool leading = std::exchange(first, false);
    if (leading && name == "raddr") {
      candidate.related = ParseRelated(value, rest);
      if (candidate.related) continue;
    }
    if (name == "tcptype") {
      if (candidate.transport == Transport::kTcp && !candidate.tcp_type) {
        candidate.tcp_type = ParseTcpType(value);
      }
      // What is dropped does not stand before anything.
      if (!candidate.tcp_type) first = leading;
    } else if (candidate.extensions.size() < Candidate::kMaxExtensions) {
      candidate.extensions.push_back({std::string(name), std::string(value)});
    }
  }
}

// A field that would end the line or shift its words must not get there.
absl::string_view Safe(absl::string_view text) {
  return AllVisible(text) ? text : "-";
}

}  // namespace

absl::string_view ToString(CandidateType type) {
  switch (type) {
    case CandidateType::kHost:
      return "host";
    case CandidateType::kServerReflexive:
      return "srflx";
    case CandidateType::kPeerReflexive:
      return "prflx";
    case CandidateType::kRelayed:
      return "relay";
  }
  return "";
}

absl::string_view ToString(RelayProtocol protocol) {
  switch (protocol) {
    case RelayProtocol::kUdp:
      return "udp";
    case RelayProtocol::kDtls:
      return "dtls";
    case RelayProtocol::kTcp:
      return "tcp";
    case RelayProtocol::kTls:
      return "tls";
  }
  return "";
}

absl::string_view ToString(TcpType type) {
  switch (type) {
    case TcpType::kActive:
      return "active";
    case TcpType::kPassive:
      return "passive";
    case TcpType::kSimultaneousOpen:
      return "so";
  }
  return "";
}

absl::StatusOr<Candidate> Candidate::Parse(absl::string_view line) {
  if (line.size() > kMaxLineSize) return Malformed("length");
  if (!std::all_of(line.begin(), line.end(),
                   [](char c) { return c == ' ' || IsVisible(c); })) {
    return Malformed("character");
  }
  absl::string_view rest = line;
  if (absl::StartsWith(rest, "a=")) rest.remove_prefix(2);
  if (absl::StartsWith(rest, "candidate:")) rest.remove_prefix(10);

  Candidate candidate;
  uint32_t number = 0;
  const absl::string_view foundation = Next(rest);
  if (foundation.empty()) return Malformed("foundation");
  candidate.foundation = std::string(foundation);
  if (!ParseNumber(Next(rest), 3, 1, 256, number)) {
    return Malformed("component");
  }
  candidate.component = static_cast<uint16_t>(number);
  const absl::string_view transport = Next(rest);
  if (!ParseNumber(Next(rest), 10, 0, UINT32_MAX, number)) {
    return Malformed("priority");
  }
  candidate.priority = std::clamp<uint32_t>(number, 1, kMaxPriority);
  const absl::string_view address = Next(rest);
  if (const std::optional<IpAddress> ip = ParseIp(address)) {
    candidate.address.ip = *ip;
  } else if (IsHostName(address)) {
    candidate.name = std::string(address);
  } else {
    return Malformed("address");
  }
  if (!ParseNumber(Next(rest), 5, 0, 65535, number)) return Malformed("port");
  candidate.address.port = static_cast<uint16_t>(number);
  if (Next(rest) != "typ") return Malformed("typ");
  const absl::string_view type = Next(rest);
  if (type.empty()) return Malformed("type");

  const std::optional<CandidateType> known_type = ParseType(type);
  if (!known_type) {
    return absl::UnimplementedError(
        absl::StrCat("candidate line: unknown type ", type));
  }
  candidate.type = *known_type;
  if (absl::EqualsIgnoreCase(transport, "udp")) {
    candidate.transport = Transport::kUdp;
  } else if (absl::EqualsIgnoreCase(transport, "tcp")) {
    candidate.transport = Transport::kTcp;
  } else {
    return absl::UnimplementedError(
        absl::StrCat("candidate line: unknown transport ", transport));
  }
  ParseExtensions(rest, candidate);
  if (candidate.transport == Transport::kTcp && !candidate.tcp_type) {
    return absl::UnimplementedError(
        "candidate line: TCP without a known tcptype");
  }
  return candidate;
}

std::string Candidate::ToString() const {
  std::string line = absl::StrCat(
      "candidate:", Safe(foundation), " ", component, " ",
      transport == Transport::kUdp ? "udp" : "tcp", " ", priority, " ",
      is_name() ? std::string(Safe(name)) : Safe(FormatIp(address.ip)), " ",
      address.port, " typ ", ice::ToString(type));
  if (related) {
    absl::StrAppend(&line, " raddr ", Safe(FormatIp(related->ip)), " rport ",
                    related->port);
  }
  if (tcp_type) absl::StrAppend(&line, " tcptype ", ice::ToString(*tcp_type));
  for (const CandidateExtension& extension : extensions) {
    absl::StrAppend(&line, " ", Safe(extension.name), " ",
                    Safe(extension.value));
  }
  return line;
}

std::optional<absl::string_view> Candidate::Extension(
    absl::string_view extension_name) const {
  for (const CandidateExtension& extension : extensions) {
    if (extension.name == extension_name) return extension.value;
  }
  return std::nullopt;
}

bool Candidate::is_mdns() const {
  return absl::EndsWithIgnoreCase(name, ".local") ||
         absl::EndsWithIgnoreCase(name, ".local.");
}

std::string Foundations::Get(CandidateType type, const IpAddress& base,
                             const IpAddress& server, Transport transport) {
  const Key key{type, base, server, transport};
  auto it = std::find(keys_.begin(), keys_.end(), key);
  if (it == keys_.end()) it = keys_.insert(keys_.end(), key);
  return absl::StrCat(it - keys_.begin() + 1);
}

}  // namespace kyuu::ice
